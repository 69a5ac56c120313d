"""A run played back: the moments that were kept of its samples beside its curves, in the browser alone."""

from __future__ import annotations

import streamlit as st

from superdiff_engine.trace import Curves

from .. import looked
from ..charts.player import Playback, draw_player, playback
from ..guard import callback, guarded
from ..job import Job
from ..part import part
from ..session import registry
from ..views import view_of
from .lineage import marks_note
from .progress import names_of

_PARTICLES = "Shown are the particles of that moment, all alike: some have no descendants among the finished samples."


@part
def draw_replay(job_id: str) -> None:
    """The player of a run that has ended; where another sample is chosen in it, nothing else is drawn anew."""
    job = registry().find(job_id)
    if job is None:
        return
    with guarded("the replay"):
        trace = job.run.trace
        if not len(trace):
            st.info("Nothing was kept of this run that could be played.")
            return
        key = f"player-{job_id}"

        def choose() -> None:
            sample = int(st.session_state[key]["sample"])
            looked.choose(job_id, None if sample < 0 else sample)

        draw_player(
            _playback(job_id, len(trace), len(trace.frames), job),
            key,
            looked.chosen(job_id),
            looked.step_of(job_id),
            callback(choose),
        )


@st.cache_data(show_spinner="Getting the replay ready", max_entries=6)
def _playback(job_id: str, steps: int, frames: int, _job: Job) -> Playback:
    """What the player is sent; made once a run."""
    view, recipe = view_of(_job.recipe.domain), _job.run.recipe
    curves: Curves = _job.run.trace.curves()
    corrected = recipe.correction is not None
    note = " ".join([marks_note(curves, recipe), _PARTICLES]) if corrected else ""
    token = f"{job_id}-{steps}-{frames}"
    return playback(token, recipe, _job.run.trace, names_of(_job), view.scenes(_job), view.compared, note)
