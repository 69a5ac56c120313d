"""The recipe form: what to compose, how, and with which numbers. Values live in `form_state`."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from superdiff_engine.domains import domains, get_domain, model_notices
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.solvers import get_solver

from ..charts.palette import dot
from ..guard import callback, guarded, plain, show_sentence
from ..words import ESTIMATORS, OPERATORS, SAVINGS, SOLVERS
from . import memory as form_memory
from . import state as form_state
from .experts import draw_form_experts
from .upload import recipe_from_file

_KEEP: Literal["session"] = "session"


def draw_form() -> None:
    """All of the form but the Run button."""
    _domain_and_example()
    draw_form_experts()
    _operator()
    with st.expander("Sampling", icon=":material/tune:", key="sampling"):
        _sampling()
    with st.expander("Load a recipe", icon=":material/upload_file:", key="loading"):
        _upload()


def _domain_and_example() -> None:
    keep = st.session_state
    # A domain without a model on this machine is offered once a recipe (with a hub's model, say) asks for it.
    titles = {name: domain.title for name, domain in domains().items() if domain.models() or name == keep["f.domain"]}
    st.segmented_control(
        "Domain",
        list(titles),
        format_func=titles.__getitem__,
        required=True,
        key="f.domain",
        on_change=callback(lambda: form_memory.change_domain(keep["f.domain"])),
        persist_state=_KEEP,
        label_visibility="collapsed",
        wrap=True,  # every domain is seen: what is cut off at the edge is not found
    )
    for sentence in model_notices():
        st.caption(f":material/warning: {plain(sentence)}")
    examples = get_domain(keep["f.domain"]).examples()

    form_memory.drop_edited_example()
    # The choice is a new one whenever its name comes or goes. What the browser sends a moment later still holds the
    # name of the old one, and must not put that example in the place of what was just entered.
    key = f"example-{keep['example-turn']}"

    def take() -> None:
        title = keep.get(key)
        if title in examples and key == f"example-{keep['example-turn']}":
            form_state.load(examples[title], example=title)

    st.selectbox(
        "Start from an example",
        list(examples),
        index=list(examples).index(keep["f.example"]) if keep["f.example"] in examples else None,
        placeholder="Choose an example",
        key=key,
        on_change=callback(take),
    )


def _operator() -> None:
    keep = st.session_state
    slots = keep["experts"]
    st.pills(
        "Operator",
        list(OPERATORS),
        format_func=lambda name: OPERATORS[name].title,
        required=True,
        wrap=True,
        key="f.operator",
        persist_state=_KEEP,
        help="How the experts' scores become one: the weights κ of the experts at every step.",
    )
    name = keep["f.operator"]
    words = OPERATORS[name]
    st.caption(f"{words.line} ${words.formula}$")
    if name == "or":
        st.number_input(
            "Temperature T",
            **form_state.limits("f.temperature"),
            step=0.5,
            format="%g",
            key="f.temperature",
            persist_state=_KEEP,
            help="How sharply the log-densities decide. 1 samples the mixture of the experts; 0 ignores the densities; "
            "large values let the likeliest expert take all.",
        )
    if name == "single":
        if keep["f.single"] not in slots:
            keep["f.single"] = slots[0]
        st.selectbox(
            "The expert that makes the samples",
            slots,
            format_func=lambda slot: f"Expert {slots.index(slot) + 1}",
            key="f.single",
            persist_state=_KEEP,
        )
    if name == "fixed":
        _per_expert("Weight", "f.weight", "Weights may be negative; they must sum to 1.")
        st.button(
            "Make them even",
            icon=":material/balance:",
            on_click=callback(form_state.even_weights),
            type="tertiary",
            key="even",
        )
    if words.bias and len(slots) > 1:
        with st.expander("Biases, in nats", key=f"biases-{name}"):
            st.caption(words.bias)
            _per_expert("Expert", "f.bias", None)


def _per_expert(label: str, key: str, help_text: str | None) -> None:
    with st.grid(columns=2, min_column_width=120, gap="xsmall"):
        for position, slot in enumerate(st.session_state["experts"]):
            st.session_state.setdefault(f"{key}.{slot}", 0.0)
            st.number_input(
                f"{dot(position)} {label} {position + 1}",
                **form_state.limits(key),
                step=0.1,
                format="%g",
                key=f"{key}.{slot}",
                help=help_text,
                persist_state=_KEEP,
            )


def _sampling() -> None:
    keep = st.session_state
    domain = get_domain(keep["f.domain"])
    with st.grid(columns=2, min_column_width=130, gap="xsmall"):
        st.number_input(
            "Steps",
            **form_state.limits("f.steps"),
            step=10,
            key="f.steps",
            persist_state=_KEEP,
            help="Steps from pure noise to the samples. More steps: more exact, and slower in proportion.",
        )
        st.number_input("Samples", **form_state.limits("f.batch"), step=16, key="f.batch", persist_state=_KEEP)
    st.selectbox(
        "Solver",
        list(SOLVERS),
        format_func=SOLVERS.__getitem__,
        key="f.solver",
        persist_state=_KEEP,
        help="How a step is taken. An SDE adds fresh noise at every step; an ODE does not, so the same seed flows "
        "the same way.",
    )
    if get_solver(keep["f.solver"]).noisy:
        st.number_input(
            "Noise scale",
            **form_state.limits("f.noise_scale"),
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
        form_state.estimators(),
        format_func=ESTIMATORS.__getitem__,
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
    if keep["f.operator"] == "and":
        st.number_input(
            "Ridge of AND, in nats",
            **form_state.limits("f.ridge"),
            step=0.5,
            format="%g",
            key="f.ridge",
            persist_state=_KEEP,
            help="Calms the weights where the experts agree. 0 is the paper's exact system: a run stops where its "
            "weights explode.",
        )
        st.number_input(
            "AND holds down to level s",
            **form_state.limits("f.holds"),
            step=0.5,
            format="%g",
            key="f.holds",
            persist_state=_KEEP,
            help="Below this level the weights are even, as average's are. 0 holds the log-densities equal to the end, "
            "as the paper does; 1.5 gives the emoji's details to both prompts.",
        )
    with st.grid(columns=2, min_column_width=130, gap="xsmall"):
        for which, end in (("highest", "begins"), ("lowest", "ends")):
            st.number_input(
                f"{which.capitalize()} level s",
                **form_state.limits(f"f.{which}"),
                value=None,
                format="%g",
                key=f"f.{which}",
                placeholder="the models' own",
                persist_state=_KEEP,
                help=f"The noise level at which the run {end}.",
            )
        st.selectbox(
            "Spacing of levels",
            ["karras", "log"],
            format_func={"karras": "Karras", "log": "Even in log s"}.__getitem__,
            key="f.spacing",
            persist_state=_KEEP,
        )
        st.number_input(
            "Karras' rho",
            **form_state.limits("f.rho"),
            step=1.0,
            format="%g",
            key="f.rho",
            disabled=keep["f.spacing"] != "karras",
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
    if len(domain.components) > 1:
        st.toggle(
            "Weights by component",
            key="f.apart",
            disabled=keep["f.operator"] == "coin_flip",
            persist_state=_KEEP,
            help=f"Off: one weight for a whole sample. On: {' and '.join(domain.components)} each have their own.",
        )
    if domain.prompted:
        _guided_levels()
    if domain.prompted and not domain.own_models:
        _pipeline()
    st.toggle("Save a record of each run on disk", key="f.save", persist_state=_KEEP)


def _guided_levels() -> None:
    """Guidance by level."""
    with st.grid(columns=2, min_column_width=130, gap="xsmall"):
        for end, words in (("highest", "up to"), ("lowest", "from")):
            st.number_input(
                f"Guidance {words} level s",
                **form_state.limits(f"f.guide_{end}"),
                value=None,
                format="%g",
                key=f"f.guide_{end}",
                placeholder="all levels",
                persist_state=_KEEP,
                help="Guidance only between two levels keeps more variety (arXiv 2404.07724).",
            )


def _pipeline() -> None:
    """What only text-to-image pipelines have: the picture's size, and ways to save memory."""
    with st.grid(columns=2, min_column_width=130, gap="xsmall"):
        for side in ("height", "width"):
            st.number_input(
                f"{side.capitalize()}, pixels",
                **form_state.limits(f"f.{side}"),
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


def _upload() -> None:
    def take() -> None:
        file = st.session_state[_upload_key()]
        if file is None:
            return
        st.session_state["upload-problem"] = ""
        try:
            form_state.load(recipe_from_file(file.getvalue()), keep_seed=not st.session_state["upload-seed"])
            st.session_state["upload-done"] = True
        except SuperDiffError as error:
            st.session_state["upload-problem"] = str(error)
        # A fresh uploader: the same file can be loaded again, and nothing stays behind in memory.
        st.session_state["uploads"] = st.session_state.get("uploads", 0) + 1

    with guarded("loading a recipe"):
        st.file_uploader(
            "A recipe (JSON), or a PNG or NPZ exported here",
            type=["json", "png", "npz"],
            key=_upload_key(),
            on_change=callback(take),
            max_upload_size=32,
        )
        st.toggle(
            "Take its seed too",
            value=True,
            key="upload-seed",
            help="On: the same samples again. Off: its settings with the seed that the form has now.",
        )
    if st.session_state.get("upload-problem"):
        show_sentence(st.session_state["upload-problem"])
    elif st.session_state.pop("upload-done", False):
        st.success("The recipe is in the form; press Run.", icon=":material/check:")


def _upload_key() -> str:
    return f"upload-{st.session_state.get('uploads', 0)}"
