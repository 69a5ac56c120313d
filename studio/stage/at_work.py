"""What other tabs have at work on this server: how far it is, whose it is, and the button that stops it."""

from __future__ import annotations

import streamlit as st

from .. import session
from ..guard import guarded, plain
from ..jobs import AnyJob
from ..words import CURVES, VIEW
from .progress import draw_progress, work_text

#: Seconds between two looks, while something is at work and while nothing is.
_TICK, _IDLE_TICK = 1.0, 4.0


def draw_others_at_work() -> None:
    """The work of this server that nothing else on this page shows, so that it can be stopped from any tab."""
    fast = bool(_others())
    st.fragment(_look, run_every=_TICK if fast else _IDLE_TICK)(fast)


def _look(fast: bool) -> None:
    with guarded("the list of what is at work"):
        others = _others()
        if others:
            st.markdown("**Also at work on this server**")
        for job in others:
            draw_progress(job, plain(work_text(job)))
    if bool(others) != fast:
        st.rerun()  # with the other rhythm


def _others() -> list[AnyJob]:
    state = st.session_state
    drawn = set(state["shown"])
    if state.get("own-job") and state.get("own-domain") == state["f.domain"]:
        drawn.add(state["own-job"])
    shown = session.shown_jobs()
    if len(shown) == 1 and shown[0].finished:
        grid = session.newest_grid(shown[0])
        drawn |= {grid.id} if grid is not None else set()
        check = session.newest_check(shown[0])
        if check is not None and state.get(VIEW) == CURVES:
            drawn.add(check.id)
    return [job for job in session.registry().at_work() if job.id not in drawn]
