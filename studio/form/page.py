"""The recipe form: what to compose, how, and with which numbers. Values live in `state`."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from superdiff_engine.domains import domains, get_domain, model_notices
from superdiff_engine.errors import SuperDiffError

from ..guard import callback, guarded, plain, show_sentence
from . import memory as form_memory
from . import state as form_state
from .correction import draw_correction
from .experts import draw_form_experts
from .operators import draw_operator
from .sampling import draw_sampling
from .upload import recipe_from_file

_KEEP: Literal["session"] = "session"


def draw_form() -> None:
    """All of the form but the Run button."""
    _domain_and_example()
    domain = get_domain(st.session_state["f.domain"])
    if domain.absent:
        st.info(plain(domain.getting_models), icon=":material/download:")
    else:
        draw_form_experts()
        draw_operator()
        draw_correction()
        with st.expander("Sampling", icon=":material/tune:", key="sampling"):
            draw_sampling()
    with st.expander("Load a recipe", icon=":material/upload_file:", key="loading"):
        _upload()


def _domain_and_example() -> None:
    session = st.session_state
    # A domain without a model on this machine is offered once a recipe (with a hub's model, say) asks for it, or where
    # it says how to come by one.
    titles = {
        name: domain.title
        for name, domain in domains().items()
        if domain.getting_models or domain.models() or name == session["f.domain"]
    }
    st.segmented_control(
        "Domain",
        list(titles),
        format_func=titles.__getitem__,
        required=True,
        key="f.domain",
        on_change=callback(lambda: form_memory.change_domain(session["f.domain"])),
        persist_state=_KEEP,
        label_visibility="collapsed",
        wrap=True,  # every domain is seen: what is cut off at the edge is not found
    )
    for sentence in model_notices():
        st.caption(f":material/warning: {plain(sentence)}")
    examples = get_domain(session["f.domain"]).examples()

    form_memory.drop_edited_example()
    if not examples:
        return
    # The choice is a new one whenever its name comes or goes. What the browser sends a moment later still holds the
    # name of the old one, and must not put that example in the place of what was just entered.
    key = f"example-{session['example-turn']}"

    def take() -> None:
        title = session.get(key)
        if title in examples and key == f"example-{session['example-turn']}":
            form_state.load(examples[title], example=title)

    st.selectbox(
        "Start from an example",
        list(examples),
        index=list(examples).index(session["f.example"]) if session["f.example"] in examples else None,
        placeholder="Choose an example",
        key=key,
        on_change=callback(take),
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
