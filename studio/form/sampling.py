"""The part of the form under "Sampling": steps, solver, estimator, seed, levels, and what only some recipes have."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from superdiff_engine.density import get_estimator
from superdiff_engine.domains import get_domain
from superdiff_engine.recipes.document import DRAWN_ON, SPACINGS
from superdiff_engine.runs.wording import SAVINGS
from superdiff_engine.solvers import DEFAULT_SOLVER, SOLVERS, get_solver

from ..guard import callback
from . import state as form_state
from .fields import limits
from .operators import draw_details
from .parameters import chosen_operator
from .to_recipe import estimators

_KEEP: Literal["session"] = "session"


def draw_sampling() -> None:
    """Steps, solver, estimator, seed, levels, and the details of the operator."""
    session = form_state.state()
    domain = get_domain(session["f.domain"])
    with st.grid(columns=2, min_column_width=130, gap="xsmall"):
        st.number_input(
            "Steps",
            **limits("f.steps"),
            step=10,
            key="f.steps",
            persist_state=_KEEP,
            help="Steps from pure noise to the samples. More steps: more exact, and slower in proportion.",
        )
        st.number_input("Samples", **limits("f.batch"), step=16, key="f.batch", persist_state=_KEEP)
    st.selectbox(
        "Solver",
        list(dict.fromkeys([DEFAULT_SOLVER, *SOLVERS])),
        format_func=lambda name: get_solver(name).title,
        key="f.solver",
        persist_state=_KEEP,
        help="How a step is taken. An SDE adds fresh noise at every step; an ODE does not, so the same seed flows "
        "the same way.",
    )
    if get_solver(session["f.solver"]).noisy:
        st.number_input(
            "Noise scale",
            **limits("f.noise_scale"),
            step=0.1,
            format="%g",
            key="f.noise_scale",
            persist_state=_KEEP,
            help="1: the SDE as it is. Below: less fresh noise at every step, so that samples keep nearer to the "
            "peaks of the density, with less variety. The log-densities take it into account.",
        )
    form_state.settle()
    st.selectbox(
        "Log-density estimator",
        estimators(session),
        format_func=lambda name: get_estimator(name).title,
        key="f.estimator",
        persist_state=_KEEP,
        help="How log q is followed. The Itô estimators come free with an SDE; an ODE needs a divergence.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall", wrap=False, key="seed-row"):
        st.text_input(
            "Seed", key="f.seed", max_chars=19, persist_state=_KEEP, help="The same seed repeats the same run."
        )
        st.button(
            "", icon=":material/casino:", key="roll", on_click=callback(form_state.roll_seed), help="Roll a new seed"
        )
    st.toggle(
        "Keep this seed for the next run",
        key="f.lock",
        persist_state=_KEEP,
        help="Off: every run rolls a new seed.",
    )
    draw_details()
    with st.grid(columns=2, min_column_width=130, gap="xsmall"):
        for which, end in (("highest", "begins"), ("lowest", "ends")):
            help_text = f"The noise level at which the run {end}."
            _level(f"{which.capitalize()} level s", f"f.{which}", "the models' own", help_text)
        st.selectbox(
            "Spacing of levels",
            domain.spacings,
            format_func=lambda name: SPACINGS[name][0].upper() + SPACINGS[name][1:],
            key="f.spacing",
            persist_state=_KEEP,
        )
        st.number_input(
            "Karras' rho",
            **limits("f.rho"),
            step=1.0,
            format="%g",
            key="f.rho",
            disabled=session["f.spacing"] != "karras",
            persist_state=_KEEP,
        )
        st.selectbox("Device", ["auto", "cpu", "cuda", "mps"], key="f.device", persist_state=_KEEP)
        st.selectbox(
            "Precision",
            domain.dtypes,
            key="f.dtype",
            disabled=len(domain.dtypes) == 1,
            persist_state=_KEEP,
            help="Of the networks; log-densities are always summed in float64.",
        )
        st.selectbox(
            "Random numbers",
            list(DRAWN_ON),
            format_func=lambda name: DRAWN_ON[name],
            key="f.draws",
            persist_state=_KEEP,
            help="From the CPU a seed gives the same samples on all devices; from a GPU they come quicker.",
        )
    st.toggle(
        "CUDA graphs",
        key="f.cuda_graphs",
        persist_state=_KEEP,
        help="On a CUDA device each network is recorded once and started as a whole; elsewhere a note says that "
        "this was left out.",
    )
    if len(domain.components) > 1:
        st.toggle(
            "Weights by component",
            key="f.apart",
            disabled=chosen_operator(session).whole_samples,
            persist_state=_KEEP,
            help=f"Off: one weight for a whole sample. On: {' and '.join(domain.components)} each have their own.",
        )
    if domain.guided:
        _guided_levels()
    if domain.pipelines:
        _pipeline()
    st.toggle("Save a record of each run on disk", key="f.save", persist_state=_KEEP)


def _guided_levels() -> None:
    """Guidance by level."""
    with st.grid(columns=2, min_column_width=130, gap="xsmall"):
        for end, words in (("highest", "up to"), ("lowest", "from")):
            help_text = "Guidance only between two levels keeps more variety (arXiv 2404.07724)."
            _level(f"Guidance {words} level s", f"f.guide_{end}", "all levels", help_text)


def _level(label: str, key: str, left_open: str, help_text: str) -> None:
    """A noise level that may be left open."""
    st.number_input(
        label,
        **limits(key),
        value=None,
        format="%g",
        key=key,
        placeholder=left_open,
        persist_state=_KEEP,
        help=help_text,
    )


def _pipeline() -> None:
    """What only text-to-image pipelines have: the picture's size, and ways to save memory."""
    with st.grid(columns=2, min_column_width=130, gap="xsmall"):
        for side in ("height", "width"):
            st.number_input(
                f"{side.capitalize()}, pixels",
                **limits(f"f.{side}"),
                value=None,
                step=8,
                key=f"f.{side}",
                placeholder="the model's own",
                persist_state=_KEEP,
            )
    st.multiselect(
        "Memory and speed",
        list(SAVINGS),
        format_func=SAVINGS.__getitem__,
        key="f.savings",
        persist_state=_KEEP,
        placeholder="nothing special",
    )
