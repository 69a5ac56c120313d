"""What a tab's playground holds: the recipe that is played with, which the address of the page names."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from superdiff_engine.domains import domains
from superdiff_engine.domains.checked import recipe_from_link
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.play import Playing
from superdiff_engine.recipes.document import CorrectionRecipe, Recipe

#: The page's path, and the parameter of its address.
PATH, QUERY = "playground", "play"
_KEY = "playground"
#: Of what is opened to be played with, at most.
SAMPLES, STEPS = 500, 100


@dataclass
class Play:
    """What a tab plays with.

    Attributes:
        recipe: the last one that was right.
        begun: the one that this page began with.
        opened: changes with every recipe that comes from elsewhere: the browser then takes it over.
        problem: what is wrong with what the address named, in a sentence; "" for nothing.
        answered: the number of the last request of the browser that was answered.
        answer: to it, as the component takes it; None before the first.
        fitted: the number of the last request to fit a mixture, and what came of it.
    """

    recipe: Recipe
    opened: str = field(default_factory=lambda: secrets.token_hex(8))
    problem: str = ""
    answered: int = 0
    answer: dict[str, Any] | None = None
    fitted: tuple[int, dict[str, Any]] | None = None
    begun: Recipe = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.recipe


def playing() -> Playing:
    """The domain to play with: the first whose experts can be drawn."""
    return next(domain.playing for domain in domains().values() if domain.playing is not None)


def play() -> Play:
    """What this tab plays with; made of the address when it is first asked for."""
    state = st.session_state
    if _KEY not in state:
        link, problem = st.query_params.get(QUERY, ""), ""
        recipe = playing().begin()
        if link:
            try:
                recipe = playing().drawn(recipe_from_link(link))
            except SuperDiffError as error:
                problem = str(error)
        state[_KEY] = Play(recipe, problem=problem)
    found: Play = state[_KEY]
    return found


def to_query() -> dict[str, str]:
    """The parameters of the page's address."""
    state = st.session_state
    return {QUERY: state[_KEY].recipe.to_link()} if _KEY in state else {}


def open_recipe(recipe: Recipe) -> None:
    """Play with another recipe from now on, of as many samples and steps as can follow a hand.

    Raises:
        RecipeError: where it is not of the domain to play with.
    """
    drawn, levels = playing().drawn(recipe), recipe.levels
    small = {
        "batch": min(recipe.batch, SAMPLES),
        "levels": levels.model_copy(update={"steps": min(levels.steps, STEPS)}),
        "correction": recipe.correction and CorrectionRecipe(),  # one group, whatever the number of samples
    }
    st.session_state[_KEY] = Play(drawn.model_copy(update=small))
