"""The part of the form that asks for the operator and for what it can be told, whichever operator it is."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from superdiff_engine.recipes.operators import OPERATORS, OperatorRecipe
from superdiff_engine.recipes.parameters import Chosen, Composition, Number, Parameter, PerExpert

from ..charts.palette import dot
from ..guard import callback
from ..part import told
from . import slots as form_slots
from .formula import draw_formula
from .parameters import chosen_operator, key_of, limits
from .state import state

_KEEP: Literal["session"] = "session"


def draw_operator() -> None:
    """The choice of an operator, and its parameters but for the details."""
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
    operator = chosen_operator(state())
    st.caption(f"{operator.line} ${operator.formula}$")
    for parameter in operator.parameters:
        if not parameter.detail:
            _draw(operator, parameter)


def draw_details() -> None:
    """The parameters of the chosen operator that belong to the details of sampling."""
    operator = chosen_operator(state())
    for parameter in operator.parameters:
        if parameter.detail:
            _draw(operator, parameter)


def _draw(operator: type[OperatorRecipe], parameter: Parameter) -> None:
    match parameter:
        case Number():
            _number(operator, parameter)
        case Chosen():
            _choice(parameter)
        case Composition():
            draw_formula(parameter)
        case PerExpert(group=""):
            _per_expert(operator, parameter)
        case PerExpert() if len(st.session_state["experts"]) > 1:
            with st.expander(parameter.group, key=f"{parameter.name}-{st.session_state['f.operator']}"):
                st.caption(parameter.meaning)
                _per_expert(operator, parameter)


def _number(operator: type[OperatorRecipe], parameter: Number) -> None:
    st.number_input(
        parameter.title,
        **limits(operator, parameter),
        step=parameter.step,
        format="%g",
        key=key_of(parameter),
        persist_state=_KEEP,
        help=parameter.help or None,
    )


def _choice(parameter: Chosen) -> None:
    session = st.session_state
    slots, key = session["experts"], key_of(parameter)
    if session[key] not in slots:
        session[key] = slots[0]
    st.selectbox(
        parameter.title,
        slots,
        format_func=lambda slot: f"Expert {slots.index(slot) + 1}",
        key=key,
        persist_state=_KEEP,
        help=parameter.help or None,
    )


def _per_expert(operator: type[OperatorRecipe], parameter: PerExpert) -> None:
    with st.grid(columns=2, min_column_width=120, gap="xsmall"):
        for position, slot in enumerate(st.session_state["experts"]):
            key = key_of(parameter, slot)
            st.number_input(
                f"{dot(position)} {parameter.title} {position + 1}",
                **limits(operator, parameter),
                step=parameter.step,
                format="%g",
                key=told(key, 0.0),
                help=parameter.help or None,
                persist_state=_KEEP,
            )
    if parameter.shares:
        st.button(
            "Make them even",
            icon=":material/balance:",
            on_click=callback(lambda: form_slots.make_even(parameter)),
            type="tertiary",
            key="even",
        )
