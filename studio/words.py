"""The words that several places of the studio share: states of a run, sources of models, a recipe in a heading."""

from __future__ import annotations

from superdiff_engine.recipes.document import Recipe
from superdiff_engine.recipes.operators import OperatorRecipe
from superdiff_engine.runs.wording import differences

STATES: dict[str, str] = {
    "queued": "Waiting",
    "loading": "Loading the experts",
    "running": "Running",
    "done": "Finished",
    "cancelled": "Cancelled",
    "failed": "Stopped",
}

SOURCES: dict[str, str] = {
    "exact": "exact formula",
    "embedded": "embedded, trained here",
    "local": "a folder on this machine",
    "hub": "a model hub",
}


def run_title(recipe: Recipe) -> str:
    """A run in a few words: its operator, or the prompt where there is only one, and whether it is corrected."""
    corrected = "" if recipe.correction is None else ", corrected"
    if len(recipe.experts) == 1 and recipe.experts[0].prompt is not None:
        return f"One prompt: {recipe.experts[0].prompt}{corrected}"
    return f"{operator_summary(recipe.operator)}{corrected}"


def operator_summary(operator: OperatorRecipe) -> str:
    """An operator of a recipe in a few words, for instance "OR, T = 2, bias 0, 1.1"."""
    return ", ".join(operator.words())


def other_than_usual(recipe: Recipe) -> list[str]:
    """What differs from the domain's defaults and is not said by a heading's title and numbers."""
    return [words for place, words in differences(recipe).items() if place not in _STATED]


#: Places of a recipe that every heading names.
_STATED = {"levels.steps", "batch", "seed"}
