"""What the experts in the form look like before anything runs."""

from __future__ import annotations

from superdiff_engine.errors import SuperDiffError

from ..form import state as form_state
from ..views import view_of


def draw_welcome_preview() -> None:
    """The experts of the form, as their domain shows them."""
    try:
        recipe = form_state.recipe_now()
    except SuperDiffError:
        return  # the form says what is wrong
    view_of(recipe.domain).draw_experts(recipe)
