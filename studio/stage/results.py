"""A run that has ended: its heading, and the choice of how to look at it."""

from __future__ import annotations

from contextlib import nullcontext

import streamlit as st

from .. import looked
from ..charts.scale import presented
from ..guard import guarded, plain
from ..job import Job
from ..part import part, told
from ..session import registry
from ..views import view_of
from ..words import CURVES, REPLAY, VIEW, VIEWS
from .curves import draw_curves
from .heading import draw_heading
from .presented import draw_moment, draw_short_heading
from .replay import draw_replay
from .sample import KEEP
from .table import draw_table

#: Where the session keeps the view that was shown last.
_LAST = "view-shown"


def draw_results(job: Job) -> None:
    """Everything about one ended run; while the tab presents, what a room is to see of it."""
    screen = presented()
    if screen is None or job.run.result is None:
        draw_heading(job)
    result = job.run.result
    if result is None:
        if job.run.state == "cancelled":
            st.info(
                plain(job.run.message) or "The run was cancelled before its first step, so there is nothing to show."
            )
        _draw_kept_part(job)
        return
    looked.forget_beyond(job.id, result.log_density.shape[1])
    # The choice is the tab's: it stays when another run is opened, however long nothing was there to choose from.
    last = st.session_state.get(_LAST) or view_named(st.query_params.get(VIEW, ""))
    with nullcontext() if screen is None else st.container(horizontal=True, horizontal_alignment="distribute"):
        if screen is not None:
            draw_short_heading(job)
        view = st.segmented_control(
            "What to show",
            VIEWS,
            required=True,
            key=told(VIEW, last),
            persist_state=KEEP,
            label_visibility="collapsed",
        )
    st.session_state[_LAST] = view
    with guarded("the results"):
        if view == "Samples":
            _samples(job.id)
        elif view == REPLAY:
            draw_replay(job.id)
        elif view == CURVES:
            draw_curves(job)
        else:
            draw_table(job, result)


def _draw_kept_part(job: Job) -> None:
    """What a run without samples left behind: its moments and its curves, where it came so far."""
    views = [VIEWS[1]] * bool(job.run.trace.frames) + [CURVES] * bool(len(job.run.trace))
    if not views:
        return
    chosen = st.segmented_control("What to show", views, default=views[-1], required=True, key=told(f"kept-{job.id}"))
    with guarded("what was kept"):
        draw_replay(job.id) if chosen == VIEWS[1] else draw_curves(job)


def view_named(name: str) -> str:
    """The view that an address names; the first one where it names none that there is."""
    return next((view for view in VIEWS if view.lower() == name.lower()), VIEWS[0])


@part
def _samples(job_id: str) -> None:
    job = registry().find(job_id)
    if job is None or job.run.result is None:
        return
    with guarded("the samples"):
        screen = presented()
        if screen is not None:
            draw_moment(job, screen)
        else:
            view_of(job.recipe.domain).draw_samples(job, job.run.result)
