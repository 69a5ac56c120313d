"""A run played back: the moments that were kept of its samples."""

from __future__ import annotations

import streamlit as st

from ..charts.live import LIVE_POINTS
from ..guard import guarded
from ..job import Job
from ..session import registry
from ..views import view_of
from .curves import draw_agreement
from .lineage import draw_effective_live, marks_note
from .progress import names_of

_PLAY_TICK = 0.15
_HEIGHT = 430
_EFFECTIVE_HEIGHT = 190


def draw_replay(job: Job) -> None:
    """The samples at a moment of the run; the moments can be played."""
    playing = st.toggle("Play", key=f"play-{job.id}")
    player = st.fragment(_player, run_every=_PLAY_TICK if playing else None)
    player(job.id, playing)


def _player(job_id: str, playing: bool) -> None:
    job = registry().find(job_id)
    if job is None:
        return
    with guarded("the replay"):
        frames = job.run.trace.frames
        key = f"frame-{job.id}"
        now = min(st.session_state.get(key, 0), len(frames) - 1)
        st.session_state[key] = (now + 1) % len(frames) if playing else now
        if len(frames) > 1:
            labels = [f"step {frame.index}, level {frame.level:.3g}" for frame in frames]
            st.select_slider("Moment", range(len(frames)), format_func=labels.__getitem__, key=key)
        frame = frames[st.session_state[key]]
        view, names = view_of(job.recipe.domain), names_of(job)
        compared = view.compared(frame)
        if compared is not None:
            left, right = st.columns(2, gap="medium")
            with left:
                st.markdown(f"**Samples at level {frame.level:.3g}**")
                view.draw_preview(frame, names, f"replay-{job.id}", _HEIGHT, job.recipe)
            with right:
                draw_agreement(compared, names, f"replay-{job.id}", _HEIGHT)
        else:
            view.draw_preview(frame, names, f"replay-{job.id}", _HEIGHT, job.recipe)
            if view.preview_note:
                st.caption(view.preview_note)
        recipe = job.run.recipe
        if recipe.correction is None:
            return
        curves = job.run.trace.curves(most=LIVE_POINTS)
        draw_effective_live(curves, recipe, f"replay-{job.id}", _EFFECTIVE_HEIGHT, now=frame.index)
        st.caption(
            f"{marks_note(curves, recipe)} Shown are the particles of that moment, all alike: some have no descendants "
            "among the finished samples."
        )
