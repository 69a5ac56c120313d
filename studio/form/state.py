"""The recipe form's memory: the values of its widgets in the session, under "f.*", as a recipe fills and makes them."""

from __future__ import annotations

import secrets
from typing import cast

import streamlit as st

from superdiff_engine.domains import domains, get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import RecipeError
from superdiff_engine.recipes.document import Expert, Recipe
from superdiff_engine.recipes.operators import each_alone

from .to_recipe import Values, document, estimators
from .to_widgets import unshown, widget_values

#: What an expert's model is called where there is none to choose.
NO_MODEL = "none"
#: Seeds that are rolled stay short enough to be read out.
_LARGEST_ROLL = 10**6


def state() -> Values:
    """The session's state; a function so that what is the form's is easy to find."""
    return cast(Values, st.session_state)


def ensure() -> None:
    """Open with the first example of the first domain, once a session."""
    if "experts" not in state():
        open_domain(next(iter(domains())))


def open_domain(name: str) -> None:
    """Put a domain's first example into the form, or its first model where no example has all of its models; where none
    is there, an expert without one.
    """
    domain = get_domain(name)
    for title, recipe in domain.examples().items():
        load(recipe, example=title)
        return
    there = [info.id for info in domain.models()] or [NO_MODEL]
    expert = Expert(model=there[0], prompt=None if domain.wording is None else "")
    load(Recipe(domain=domain.name, experts=[expert], operator=each_alone(1)[0]))


def load(recipe: Recipe, example: str | None = None, keep_seed: bool = False) -> None:
    """Put a recipe into the form. Call it before the form's widgets are drawn, or in a callback.

    Args:
        recipe: to put in.
        example: its title, if it is one of the examples.
        keep_seed: leave the form's own seed as it is.

    Raises:
        RecipeError: one sentence, when the form cannot show the recipe as it is; the form stays as it was then.
    """
    session = state()
    values = widget_values(recipe, int(session.get("slots", 0)))
    problem = unshown(recipe, values)
    if problem:
        raise RecipeError(problem)
    if keep_seed:
        values["f.seed"] = session.get("f.seed", "0")
    values |= {"f.example": example, "form-of": recipe.domain, "example-values": None}
    values["example-turn"] = session.get("example-turn", 0) + 1
    for name, value in values.items():
        session[name] = value
    session.setdefault("f.lock", True)
    session.setdefault("f.save", True)


def recipe_now() -> Recipe:
    """The recipe that the form describes; raises RecipeError with one sentence."""
    return make_recipe(document(state()))


def roll_seed() -> None:
    """A new random seed."""
    state()["f.seed"] = str(random_seed())


def random_seed() -> int:
    """One that is short enough to be read out."""
    return secrets.randbelow(_LARGEST_ROLL)


def settle() -> None:
    """Keep the estimator and the precision if they fit, else take the first that do."""
    domain = get_domain(state()["f.domain"])
    fitting_choices = (
        ("f.estimator", estimators(state())),
        ("f.dtype", domain.dtypes),
        ("f.spacing", domain.spacings),
    )
    for field, fitting in fitting_choices:
        if state()[field] not in fitting:
            state()[field] = fitting[0]
