"""A page with the live plane alone: a small run of two mixtures, a moment every tick, still at the last one."""

from itertools import islice

import streamlit as st

from studio.views import view_of
from superdiff_engine.domains.plane.domain import DOMAIN
from superdiff_engine.recipes.document import Expert, Levels, Recipe
from superdiff_engine.recipes.operators import AndRecipe, OrRecipe
from superdiff_engine.trace import Frame
from superdiff_engine.walk import walk

LAST = 6
NAMES = ["1 <b>Ring</b>", "2 Petal 1"]


def recipe(operator):
    experts = [Expert(model="ring"), Expert(model="petal_a")]
    return Recipe(domain="plane", experts=experts, operator=operator, batch=64, levels=Levels(steps=12))


def frames(operator):
    """The moments of the run up to the last one that is shown."""
    asked = recipe(operator)
    prepared = DOMAIN.prepare(asked, "cpu")
    steps = islice(walk(asked, DOMAIN, prepared), LAST + 1)
    return [Frame(step.index, step.level, DOMAIN.preview(step, prepared.experts, 64)) for step in steps]


@st.fragment(run_every=0.3)
def live():
    tick = st.session_state["tick"] = st.session_state.get("tick", -1) + 1
    frame = st.session_state["frames"][min(tick, LAST)]
    view_of("plane").draw_preview(frame, NAMES, "first", 360, recipe(OrRecipe()))
    st.caption(f"tick number {tick}")


if __name__ == "__main__":
    st.session_state.setdefault("frames", frames(OrRecipe()))
    live()
    steered = frames(AndRecipe())[-1]
    view_of("plane").draw_preview(steered, NAMES, "second", 360, recipe(AndRecipe()))
