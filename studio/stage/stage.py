"""The right side of the page: what runs, what has run, and what to do with it."""

from __future__ import annotations

import gc
import sys
from importlib import import_module

import streamlit as st

from superdiff_engine.domains import get_domain
from superdiff_engine.errors import SuperDiffError

from .. import session
from ..charts.scale import presented
from ..form import state as form_state
from ..guard import guarded, once, plain, show_sentence
from ..job import Job
from ..shelf.kept import draw_put_back
from ..views import view_of
from .compare import draw_run_beside
from .edited import draw_edited
from .given import draw_own
from .grid import draw_grid, draw_way_back
from .live import draw_live
from .queue import draw_queue
from .results import draw_results
from .side_by_side import draw_comparison
from .welcome import draw_welcome_preview


def warm_up(domain: str) -> None:
    """Import what a domain's first run needs before it can be asked for, not beside a live page.

    Thousands of small files, read while a page ticks, take minutes: every one of them gives way to the page's threads.
    """
    if get_domain(domain).absent:
        return  # there is nothing to run
    view = view_of(domain)
    if not sys.modules.keys() >= set(view.first_needs):
        with st.spinner(f"Loading {view.loads}, once"):
            for module in view.first_needs:
                import_module(module)
        # Streamlit collects all garbage after every tick; modules never are, and a million of their objects would hold
        # the interpreter for most of the time between two ticks.
        gc.freeze()


def draw_run_button() -> None:
    """Run, or the sentence that says why not."""
    problem, remarks = "", []
    try:
        recipe = form_state.recipe_now()
        remarks = get_domain(recipe.domain).remarks(recipe)
    except SuperDiffError as error:
        problem = str(error)
    session.take_presses(runs=not problem)
    if get_domain(st.session_state["f.domain"]).absent:
        return  # the form says why there is nothing to run
    with st.container(key="run-bar", gap="xsmall"):
        _run_bar(problem, remarks)


def _run_bar(problem: str, remarks: list[str]) -> None:
    with st.container(key="run"):
        st.button(
            "Run",
            type="primary",
            icon=":material/play_arrow:",
            shortcut="Ctrl+Enter",
            width="stretch",
            **once("run", session.run_form),
            disabled=bool(problem),
            help="Compose the experts with these settings; while something runs, this is added to the queue",
        )
    if problem:
        show_sentence(problem)
    for remark in remarks:
        st.caption(f":material/info: {plain(remark)}")


def draw_stage() -> None:
    """The live view, the results, or a word of welcome."""
    screen = presented()
    draw_queue()
    if st.session_state["problem"]:
        show_sentence(st.session_state["problem"])
        draw_put_back()
    jobs = session.shown_jobs()
    if not jobs:
        _welcome()
    elif len(jobs) > 1:
        with guarded("the way back"):
            draw_way_back(jobs)
        draw_comparison(jobs)
    else:
        _one_run(jobs[0])
    own = view_of(st.session_state["f.domain"]).own
    if own is not None and screen is None:
        draw_own(own)


def _one_run(job: Job) -> None:
    if presented() is None:
        with guarded("what was edited"):
            draw_edited(job)
    if not job.finished:
        draw_live(job)
        return
    draw_results(job)
    if presented() is not None:
        return
    with guarded("the comparison"):
        draw_run_beside(job)
    with guarded("the grid"):
        draw_grid(job)


def _welcome() -> None:
    st.markdown("### Compose diffusion models and watch them negotiate")
    st.markdown(
        "Each **expert** in the settings is a diffusion model. While samples form out of noise, the studio follows "
        "every expert's **log-density**: how likely it finds each sample. The **operator** turns these into "
        "**weights**, and the weights decide whom a sample follows at its next step."
    )
    domain = get_domain(st.session_state["f.domain"])
    if domain.absent:
        st.markdown(f"**{plain(domain.title)}**: {plain(domain.getting_models)}")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("Press **Run**, or Ctrl+Enter. To begin from the beginning:", width="content")
        st.page_link("screens/lessons.py", label="Lessons", icon=":material/school:", width="content")
        st.page_link("screens/playground.py", label="Playground", icon=":material/gesture:", width="content")
    with guarded("the preview of the experts"):
        draw_welcome_preview()
    # A browser fetches a bar's script when it is asked for the first one; a first run waited a second for it.
    with st.container(key="fetched-ahead"):
        st.progress(0)
