"""A run that has ended: what was run and how it ended, and the choice of how to look at it."""

from __future__ import annotations

import streamlit as st

from superdiff_engine.density import get_estimator
from superdiff_engine.solvers import get_solver

from ..charts.palette import dot
from ..guard import guarded, plain, show_sentence
from ..jobs import Job
from ..session import registry
from ..views import view_of
from ..words import STATES, other_than_usual, run_title
from .curves import draw_curves
from .exports import draw_downloads, shown_of
from .progress import names_of, seconds_text
from .replay import draw_replay
from .sample import KEEP
from .table import draw_table

#: The view in which a run's curves are, with the check of its log-densities.
CURVES = "Curves"


def draw_results(job: Job) -> None:
    """Everything about one ended run."""
    draw_heading(job)
    result = job.run.result
    if result is None:
        if job.run.state == "cancelled":
            st.info(
                plain(job.run.message) or "The run was cancelled before its first step, so there is nothing to show."
            )
        return
    views = ["Samples", "Replay", CURVES, "Table"]
    view = st.segmented_control(
        "What to show",
        views,
        default="Samples",
        required=True,
        key=f"view-{job.id}",
        persist_state=KEEP,
        label_visibility="collapsed",
    )
    with guarded("the results"):
        if view == "Samples":
            _samples(job.id)
        elif view == "Replay":
            draw_replay(job)
        elif view == CURVES:
            draw_curves(job)
        else:
            draw_table(job, result)


def draw_heading(job: Job, save: bool = True) -> None:
    """What was run, how it ended, and the files."""
    run = job.run
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
        st.markdown(f"### {plain(run_title(job.recipe))}", width="content")
        if save:
            draw_downloads(job, shown_of(job))
    facts = [
        STATES[run.state],
        f"{max(len(run.trace) - 1, 0)} of {run.recipe.levels.steps} steps in {seconds_text(run.seconds)}",
        f"{run.recipe.batch} samples",
        f"seed {run.recipe.seed}",
        *map(plain, other_than_usual(run.recipe)),
    ]
    legend = "   ".join(f"{dot(index)} {plain(name)}" for index, name in enumerate(names_of(job)))
    st.markdown(f"{' · '.join(facts)}   {legend}")
    if run.state in ("failed", "interrupted"):
        show_sentence(run.message)
    elif run.state == "cancelled" and run.result is not None:
        note = view_of(run.recipe.domain).cancelled_note
        st.info(
            f"Cancelled at step {run.result.index}, level {run.result.level:.3g}: {note}.",
            icon=":material/stop_circle:",
        )
    for note in run.notes:
        st.caption(f":material/info: {plain(note)}")
    caution = get_estimator(run.recipe.estimator).caution(get_solver(run.recipe.solver))
    if caution and run.state == "done":
        st.caption(caution)


@st.fragment
def _samples(job_id: str) -> None:
    job = registry().find(job_id)
    if job is None or job.run.result is None:
        return
    with guarded("the samples"):
        view_of(job.recipe.domain).draw_samples(job, job.run.result)
