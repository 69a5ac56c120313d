"""The part of the form that corrects the samples to the operator's exact target, by particles that compete."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from ..guard import plain
from . import state as form_state
from .fields import limits
from .to_recipe import ALL, uncorrectable

_KEEP: Literal["session"] = "session"


def draw_correction() -> None:
    """The switch, where the operator has an exact target and the solver noise, and what belongs to it."""
    session = form_state.state()
    obstacle = uncorrectable(session)
    label = "Correct to the exact target"
    if obstacle:
        # A switch of its own, so that the choice is there again with an operator that can be corrected.
        st.toggle(label, value=False, disabled=True, key="uncorrectable", help=plain(obstacle))
        if session["f.corrected"]:
            st.caption(f"Not corrected. {plain(obstacle)}")
        return
    st.toggle(
        label,
        key="f.corrected",
        persist_state=_KEEP,
        help="The mix of scores alone arrives near the operator's density, not at it. Corrected, samples compete as "
        "particles: each carries a weight, and unlikely ones are replaced by copies of likely ones. No further calls "
        "to the networks.",
    )
    if session["f.corrected"]:
        with st.container(border=True, gap="small", key="correction"):
            _particles()
            _resampling()


def groups_sentence(batch: int, particles: int) -> str:
    """What a number of particles a group means for a run's cost; `ALL` for one group of all samples."""
    if particles in (ALL, batch):
        return (
            f"All {batch} samples are one group of particles: one independent run, whose samples share ancestors, at "
            f"the cost of {batch} samples."
        )
    groups = batch // particles
    return (
        f"{batch} samples: {groups} groups of {particles} particles, each group an independent run. Particles are "
        f"samples: every independent one costs the work of {particles}."
    )


def choices(batch: int, chosen: int) -> list[int]:
    """The numbers of particles a group to choose from: `ALL` of them, what divides them, and what is chosen though the
    number of samples has changed since.
    """
    dividing = [number for number in range(2, batch) if batch % number == 0]
    return [ALL, *sorted({*dividing, chosen} - {ALL})]


def _particles() -> None:
    session = st.session_state
    batch, chosen = session["f.batch"], session["f.particles"]
    st.selectbox(
        "Particles a group",
        choices(batch, chosen),
        format_func=lambda number: f"all {batch}: one group" if number == ALL else str(number),
        key="f.particles",
        persist_state=_KEEP,
        help="How many samples compete with each other. More: nearer to the exact target, and fewer samples that are "
        "independent of each other.",
    )
    if batch < 2:
        st.caption(":material/warning: A correction needs at least 2 samples to compete; raise Samples below.")
    elif chosen != ALL and batch % chosen:
        below, above = batch // chosen * chosen, -(-batch // chosen) * chosen
        fitting = f"{below} or {above}" if below else str(above)
        st.caption(
            f":material/warning: {batch} samples do not make groups of {chosen}: take {fitting} samples, or other "
            "particles."
        )
    else:
        st.caption(groups_sentence(batch, chosen))


def _resampling() -> None:
    st.slider(
        "Resample below, % of the particles",
        **limits("f.threshold"),
        step=0.05,
        format="percent",
        key="f.threshold",
        persist_state=_KEEP,
        help="When the effective number of particles of a group falls below this share of them, the group is drawn "
        "again by its weights. 0% never resamples, and the samples keep their weights; 100% does so at every step.",
    )
    with st.grid(columns=2, min_column_width=130, gap="xsmall"):
        for end, words in (("highest", "up to"), ("lowest", "down to")):
            st.number_input(
                f"Resample {words} s",
                **limits(f"f.correct_{end}"),
                value=None,
                format="%g",
                key=f"f.correct_{end}",
                placeholder="all levels",
                persist_state=_KEEP,
                help="The noise level s. Copies that are made at low levels hardly part again; empty: at all levels.",
            )
