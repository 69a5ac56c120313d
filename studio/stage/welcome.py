"""What the experts in the form look like before anything runs: in the plane, their exact densities."""

from __future__ import annotations

import numpy as np
import streamlit as st
import torch

from superdiff_engine.domains import get_domain
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipes.document import Recipe

from ..charts import live as charts
from ..charts.finished import contour_note
from ..charts.palette import dot, expert_colours, theme_name
from ..form import state as form_state
from ..guard import plain

_HALF_WIDTH = 4.0
_CELLS = 96


def draw_experts() -> None:
    """The experts of the form: contour lines in the plane, a line of text each elsewhere."""
    try:
        recipe = form_state.recipe_now()
    except SuperDiffError:
        return  # the form says what is wrong
    domain = get_domain(recipe.domain)
    if recipe.domain == "plane":
        names = _names(recipe)
        option = charts.plane_option(_densities(recipe), names, expert_colours(len(names)), theme_name(), 480)
        st.echarts_chart(
            option, key="experts", height=480, width=520, alt="Contour lines of every expert's exact density"
        )
        st.caption(contour_note())
        return
    infos = {info.id: info for info in domain.models()}
    for position, expert in enumerate(recipe.experts):
        info = infos.get(expert.model)
        if expert.prompt is not None:
            prompt = f"**{plain(expert.prompt)}**: a" if expert.prompt else "The empty"
            st.markdown(f"{dot(position)} {prompt} prompt of {plain(info.title if info else expert.model)}")
            continue
        about = f": {info.description}" if info else ""
        st.markdown(f"{dot(position)} **{plain(info.title if info else expert.model)}**{plain(about)}")


def _names(recipe: Recipe) -> list[str]:
    titles = {info.id: info.title for info in get_domain(recipe.domain).models()}
    return [f"{place} {titles.get(expert.model, expert.model)}" for place, expert in enumerate(recipe.experts, start=1)]


def _densities(recipe: Recipe) -> dict[str, np.ndarray]:
    domain = get_domain(recipe.domain)
    axis = torch.linspace(-_HALF_WIDTH, _HALF_WIDTH, _CELLS, dtype=torch.float64)
    places = torch.cartesian_prod(axis, axis).flip(1)
    experts = [domain.load(expert, "cpu", recipe.dtype) for expert in recipe.experts]
    grids = [expert.log_density(places, 0.0).view(_CELLS, _CELLS).numpy() for expert in experts]  # type: ignore[attr-defined]
    return {
        "contours": np.stack(grids),
        "extent": np.array([-_HALF_WIDTH, _HALF_WIDTH, -_HALF_WIDTH, _HALF_WIDTH]),
        "positions": np.zeros((0, 2)),
        "weights": np.zeros((len(grids), 0)),
    }
