"""A run in a few words, for titles and the lines below them."""

from __future__ import annotations

from ..domains import get_domain
from ..recipes.document import Recipe
from ..recipes.operators import OperatorRecipe
from ..runs.wording import differences

#: Places of a recipe that `facts_of` says in any case.
_STATED = {"levels.steps", "batch", "seed", "solver", "correction", "experts.model", "experts.mixture"}


def run_title(recipe: Recipe) -> str:
    """A run in a few words: its operator, or the prompt where there is only one, and whether it is corrected."""
    corrected = "" if recipe.correction is None else ", corrected"
    if len(recipe.experts) == 1 and recipe.experts[0].prompt is not None:
        return f"One prompt: {recipe.experts[0].prompt}{corrected}"
    return f"{operator_summary(recipe.operator)}{corrected}"


def operator_summary(operator: OperatorRecipe) -> str:
    """An operator of a recipe in a few words, for instance "OR, T = 2, bias 0, 1.1"."""
    return ", ".join(operator.words())


def facts_of(recipe: Recipe, steps: int | None = None) -> str:
    """Domain, steps, samples, seed, and what differs from the domain's usual recipe, in one line.

    Args:
        recipe: of the run.
        steps: that the run made, where it was cut short.
    """
    asked = recipe.levels.steps
    made = f"{asked} steps" if steps is None or steps >= asked else f"{steps} of {asked} steps"
    others = [words for place, words in differences(recipe).items() if place not in {*_STATED} - {"solver"}]
    return " · ".join(
        [get_domain(recipe.domain).title, made, f"{recipe.batch} samples", f"seed {recipe.seed}", *others]
    )


def level_axis(recipe: Recipe) -> str:
    """What the axis of noise levels is called, with the unit of the recipe's domain."""
    return f"noise level s ({get_domain(recipe.domain).level_unit}), from noise to data"
