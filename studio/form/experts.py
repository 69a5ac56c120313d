"""The part of the form that says what is composed: experts, their prompts or properties, guidance, size."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from superdiff_engine.domain import Domain, ModelInfo, Wording
from superdiff_engine.domains import get_domain
from superdiff_engine.recipes.document import MOST_EXPERTS

from ..charts.palette import dot
from ..guard import callback, once, plain
from . import memory as form_memory
from . import slots as form_slots
from . import state as form_state
from .fields import limits
from .mixture import draw_modes
from .to_recipe import revisions

_KEEP: Literal["session"] = "session"


def draw_form_experts() -> None:
    """The list of experts, and what belongs to all of them."""
    session = st.session_state
    slots = session["experts"]
    domain = get_domain(session["f.domain"])
    infos = {info.id: info for info in domain.models()}
    titles = {key: info.title for key, info in infos.items()}
    one_model = domain.wording is not None and domain.wording.one_model
    if one_model:
        _model_choice("Model", "f.text_model", list(infos), titles, labelled=True)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        meaning = "The prompts to compose." if one_model else "The models to compose."
        title = "Prompts" if one_model else "Experts"
        st.markdown(f"##### {title}", help=f"{meaning} Each keeps its number and colour in every chart.")
        st.button(
            "Add",
            icon=":material/add:",
            **once("add-expert", form_slots.add_expert),
            disabled=len(slots) >= MOST_EXPERTS or not (infos or domain.wording),
            type="tertiary",
            help=f"Add an expert (at most {MOST_EXPERTS})",
        )
    if not infos and domain.wording is None:
        st.info(
            "No models of this domain were found; `superdiff models` in a terminal lists where they are looked for."
        )
    form_memory.keep_prompts()
    for position, slot in enumerate(slots):
        _expert(position, slot, domain, infos)
    if domain.foreign:
        _revisions()
    if domain.guided:
        _guidance(domain)
    if domain.size is not None:
        st.number_input(
            domain.size.title,
            min_value=domain.size.least,
            max_value=domain.size.most,
            value=None,
            step=1,
            key="f.size",
            placeholder=domain.size.open,
            persist_state=_KEEP,
            help=f"Of every sample, {domain.size.least} to {domain.size.most}; empty: {domain.size.open}.",
        )


def _revisions() -> None:
    """The revisions of a hub's models that a recipe brought along."""
    pinned = revisions(form_state.state())
    for model, revision in pinned.items():
        st.caption(plain(f"{model}: revision {revision[:12]}, as in the recipe."))
    if pinned:
        st.button(
            "Take the newest",
            icon=":material/update:",
            key="newest-revision",
            on_click=callback(form_slots.forget_revisions),
            type="tertiary",
            help="What the hub has now, instead of the revision that the recipe names.",
        )


def _expert(position: int, slot: int, domain: Domain, infos: dict[str, ModelInfo]) -> None:
    session, wording = st.session_state, domain.wording
    titles = {key: info.title for key, info in infos.items()}
    count, model_key = len(session["experts"]), f"f.model.{slot}"
    with st.container(horizontal=True, vertical_alignment="center", gap="xxsmall", wrap=False, key=f"expert-{slot}"):
        st.markdown(dot(position), width="content")
        if wording is not None and wording.one_model:
            _prompt(position, slot, domain, wording)
        else:
            _model_choice(f"Expert {position + 1}", model_key, list(infos), titles)
        _row_button("up", "arrow_upward", slot, f"Move expert {position + 1} up", position == 0)
        _row_button("down", "arrow_downward", slot, f"Move expert {position + 1} down", position == count - 1)
        _row_button("remove", "close", slot, f"Remove expert {position + 1}", count == 1)
    if wording is not None and wording.chosen:
        _terms(f"Properties {position + 1}", f"f.terms.{slot}", domain.suggestions(session[model_key] or ""), wording)
    if session[model_key] in infos and infos[session[model_key]].drawn:
        draw_modes(position, slot)


def _row_button(name: str, icon: str, slot: int, meaning: str, disabled: bool) -> None:
    actions = {
        "up": lambda: form_slots.move_expert(slot, -1),
        "down": lambda: form_slots.move_expert(slot, 1),
        "remove": lambda: form_slots.remove_expert(slot),
    }
    st.button(
        "",
        icon=f":material/{icon}:",
        key=f"{name}-{slot}",
        help=meaning,
        on_click=callback(actions[name]),
        disabled=disabled,
        type="tertiary",
    )


def _terms(label: str, key: str, known: list[str], wording: Wording) -> None:
    """Properties to choose from, all of which the expert is to have."""
    chosen = [term for term in st.session_state[key] if term not in known]
    st.multiselect(
        label,
        [*known, *chosen],
        key=key,
        placeholder=wording.hint,
        label_visibility="collapsed",
        persist_state=_KEEP,
    )


def _model_choice(label: str, key: str, models: list[str], titles: dict[str, str], labelled: bool = False) -> None:
    st.selectbox(
        label,
        _with_chosen(models, key),
        format_func=lambda model: titles.get(model, model),
        key=key,
        accept_new_options=get_domain(st.session_state["f.domain"]).foreign,
        label_visibility="visible" if labelled else "collapsed",
        persist_state=_KEEP,
        help="For a model of a hub, type hub/OWNER/NAME." if labelled else None,
    )


def _with_chosen(options: list[str], key: str) -> list[str]:
    """The options, and what was typed in or came with a recipe."""
    chosen = st.session_state[key]
    return options if chosen in options or not chosen else [*options, chosen]


def _prompt(position: int, slot: int, domain: Domain, wording: Wording) -> None:
    key, label, suggestions = (
        f"f.prompt.{slot}",
        f"Prompt {position + 1}",
        domain.suggestions(st.session_state["f.text_model"] or ""),
    )
    if suggestions:
        st.selectbox(
            label,
            _with_chosen(suggestions, key),
            key=key,
            index=None,
            accept_new_options=True,
            placeholder=wording.hint,
            label_visibility="collapsed",
            persist_state=_KEEP,
        )
        return
    st.text_input(
        label,
        key=key,
        max_chars=2000,
        placeholder=wording.hint,
        label_visibility="collapsed",
        persist_state=_KEEP,
    )


def _guidance(domain: Domain) -> None:
    with st.grid(columns=2, min_column_width=130, gap="xsmall"):
        st.number_input(
            "Guidance w",
            **limits("f.guidance"),
            step=0.5,
            format="%g",
            key="f.guidance",
            persist_state=_KEEP,
            help="How strongly the samples follow the prompts; 1 is none. Average and AND share it out between their "
            "prompts: for two, take twice as much. The log-densities stay those of the prompts without guidance.",
        )
        if domain.wording is not None and domain.wording.chosen:
            known = domain.suggestions(st.session_state[f"f.model.{st.session_state['experts'][0]}"])
            st.multiselect(
                "Led away from",
                list(dict.fromkeys([*known, *st.session_state["f.away"]])),
                key="f.away",
                placeholder="nothing",
                persist_state=_KEEP,
                help="Properties that guidance leads away from.",
            )
        else:
            st.text_input(
                "Negative prompt",
                key="f.negative",
                max_chars=2000,
                persist_state=_KEEP,
                placeholder="none",
                help="What guidance leads away from.",
            )
