"""The part of the form for a formula: its text, checked as it is typed, choices by a click, its tree, its weights."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

import streamlit as st

from superdiff_engine.domains import get_domain
from superdiff_engine.formula import ExpertTerm, Formula, WeightedSum
from superdiff_engine.recipes.formula_words import (
    formula_in_latex,
    formula_in_words,
    linear_weights,
    total_in_words,
)
from superdiff_engine.recipes.formulas import LONGEST, FormulaError, parse_formula, print_formula
from superdiff_engine.recipes.parameters import Composition
from superdiff_engine.system.visible_text import visible

from ..charts.palette import dot, expert_colours, theme_name
from ..charts.tree import formula_svg
from ..guard import callback, plain
from ..unbroken import unbroken
from .parameters import key_of
from .state import state
from .to_recipe import expert_names

_KEEP: Literal["session"] = "session"
#: How long typing must pause before the text is looked at.
_PAUSE = "400ms"
#: Letters that are shown around the place of an error, and experts and letters of a prompt in choices that name them.
_AROUND, _MOST_IN_WORDS, _LONGEST_CHOICE = 48, 3, 20
#: Letters of a formula's LaTeX; a longer one would leave the column.
_LONGEST_LATEX = 120
#: The red of a wrong place, by theme.
_WRONG = {"light": "#b3261e", "dark": "#ff8a80"}
_LARGEST_WEIGHT = 100.0


def draw_formula(parameter: Composition) -> None:
    """The field, what is wrong with its text or what it says, and the ways to fill it."""
    session, names = state(), expert_names(state())
    key, shown = key_of(parameter), shown_names(names)
    _choices(key, names, shown)
    st.text_input(
        parameter.title,
        key=key,
        max_chars=LONGEST,
        live=_PAUSE,
        placeholder=parameter.start(len(names)),
        persist_state=_KEEP,
        help=parameter.help or None,
    )
    formula: Formula | None = None
    try:
        formula = parse_formula(session[key], names)
        _drawn(formula, shown)
    except FormulaError as error:
        st.html(wrong_place(session[key], error, theme_name()))
    _weights(key, formula, len(names))


def choices(experts: int) -> dict[str, str]:
    """Formulas to choose from by a click, for so many experts: text, and what it is called where not by its text."""
    if experts == 1:
        return {"1": "", "1^2": "sharper: 1^2", "0.5*1": "flatter: 0.5*1"}
    each, last = [str(number) for number in range(1, experts + 1)], str(experts)
    found = {"1 but not 2": "", "2 but not 1": ""}
    if experts > 2:
        either, short = f"({' or '.join(each[:-1])})", f"({_between(experts - 1, 'or')})"
        found |= {f"{either} and {last}": f"{short} and {last}", f"{either} but not {last}": f"{short} but not {last}"}
    found |= {f" {word} ".join(each): _between(experts, word) for word in ("and", "or")}
    found |= {"1 xor 2": "", " + ".join(each): "product"}
    found["0.5*1 + 0.5*2" if experts == 2 else f"temperature({' + '.join(each)}, {experts})"] = "geometric mean"
    return found | {"1^2": "sharper: 1^2"}


def _between(experts: int, word: str) -> str:
    """The experts with a word between them; of many the first and the last."""
    if experts > _MOST_IN_WORDS:
        return f"1 {word} … {word} {experts}"
    return f" {word} ".join(str(number) for number in range(1, experts + 1))


def wrong_place(text: str, error: FormulaError, theme: str) -> str:
    """The text with its wrong place marked, and the sentence below it, as HTML in which nothing typed is markup."""
    place = min(error.position, len(text))
    before, here, after = text[:place], text[place : place + 1], text[place + 1 :]
    before = before if len(before) <= _AROUND else f"…{before[-_AROUND:]}"
    after = after if len(after) <= _AROUND else f"{after[:_AROUND]}…"
    colour = _WRONG[theme]
    shown = escape(visible(here)).strip() or "&nbsp;"
    return (
        '<div style="margin-top: -0.5rem"><div style="font-family: monospace; white-space: pre-wrap; '
        f'overflow-wrap: anywhere">{escape(visible(before))}<span style="display: inline-flex; flex-direction: column; '
        f'align-items: center; line-height: 1.15; color: {colour}; font-weight: 700"><span style="border-bottom: 2px '
        f'solid {colour}">{shown}</span><span aria-hidden="true">^</span></span>{escape(visible(after))}</div>'
        f'<div style="color: {colour}; font-size: 0.9rem" role="alert">{escape(visible(str(error)))}</div></div>'
    )


def sum_text(weights: Sequence[float]) -> str:
    """The weighted sum of the experts as a formula's text; "" where all weights are 0."""
    given = [(index, weight) for index, weight in enumerate(weights) if weight]
    if not given:
        return ""
    if [weight for _, weight in given] == [1.0]:
        return str(given[0][0] + 1)
    return print_formula(WeightedSum(tuple(ExpertTerm(index) for index, _ in given), tuple(w for _, w in given)))


def shown_names(names: Sequence[str]) -> list[str]:
    """What people call the experts: their prompts, or their models' titles; told apart by their numbers if need be."""
    titles = {info.id: info.title for info in get_domain(state()["f.domain"]).models()}
    shown = [titles.get(name, name) for name in names]
    return [f"{name} ({place})" if shown.count(name) > 1 else name for place, name in enumerate(shown, start=1)]


def _choices(key: str, names: Sequence[str], shown: Sequence[str]) -> None:
    session, experts = state(), len(names)
    known = choices(experts)
    worded = get_domain(session["f.domain"]).wording is not None and experts <= _MOST_IN_WORDS
    worded = worded and max(map(len, shown)) <= _LONGEST_CHOICE

    def label(text: str) -> str:
        if worded and (not known[text] or known[text][0] in "1("):
            return plain(formula_in_words(parse_formula(text, names), shown))
        return plain(known[text] or text)

    def take() -> None:
        chosen = session[f"choice-{key}"]
        if chosen is not None:
            session[key] = chosen

    session[f"choice-{key}"] = _chosen(session[key], list(known), names)
    st.pills(
        "Formulas to choose from",
        list(known),
        format_func=label,
        key=f"choice-{key}",
        on_change=callback(take),
        label_visibility="collapsed",
        wrap=True,
    )


def _chosen(text: str, known: Sequence[str], names: Sequence[str]) -> str | None:
    """The choice that says the same as the text."""
    try:
        formula = parse_formula(text, names)
    except FormulaError:
        return None
    return next((one for one in known if parse_formula(one, names) == formula), None)


def _drawn(formula: Formula, names: Sequence[str]) -> None:
    said = formula_in_words(formula, names)
    with st.container(key="formula-tree"):
        st.image(
            formula_svg(formula, names, expert_colours(len(names)), theme_name()),
            width="content",
            alt=f"The formula as a tree: {visible(said)}",
        )
    total = total_in_words(formula)
    caption = f"{plain(said[:1].upper() + said[1:])}; {total}."
    latex = formula_in_latex(formula)
    if len(latex) <= _LONGEST_LATEX:
        caption += f"  \n$\\displaystyle p \\propto {latex}$"
    st.caption(caption)


def _weights(key: str, formula: Formula | None, experts: int) -> None:
    """A weight for each expert, and the button that makes a formula of them."""
    session = state()
    slots = session["experts"]
    keys = [f"weigh.{slot}" for slot in slots]
    now = (session[key], list(slots))
    with unbroken():
        if session.get("weighed") != now or any(one not in session for one in keys):
            session["weighed"] = now
            linear = linear_weights(formula) if formula is not None and formula.linear else None
            for place, one in enumerate(keys):
                first = session.get(one, 1 / experts) if linear is None else linear.get(place, 0.0)
                session[one] = min(max(first, -_LARGEST_WEIGHT), _LARGEST_WEIGHT)
    with st.expander("Weights by expert", icon=":material/balance:", key="weights-by-expert"):
        with st.grid(columns=2, min_column_width=120, gap="xsmall"):
            for place, one in enumerate(keys):
                st.number_input(
                    f"{dot(place)} Weight {place + 1}",
                    min_value=-_LARGEST_WEIGHT,
                    max_value=_LARGEST_WEIGHT,
                    step=0.25,
                    format="%g",
                    key=one,
                )
        text = sum_text([session[one] for one in keys])
        problem, said = "All weights are 0; give an expert one.", ""
        if text:
            try:
                total = total_in_words(parse_formula(text, expert_names(session)))
                problem, said = "", f"The {total}."
            except FormulaError as error:
                problem = str(error)
        st.caption(f":material/warning: {plain(problem)}" if problem else said)
        st.caption(
            "A sum of 1 is a mean; above 1, samples are sharper, as 2 for the product of two; negative weights lead "
            "away from an expert."
        )

        def write() -> None:
            session[key] = text

        st.button(
            plain(f"Write {text}") if text and len(text) <= 2 * _LONGEST_CHOICE else "Write the weighted sum",
            icon=":material/edit:",
            key="write-sum",
            on_click=callback(write),
            disabled=bool(problem) or text == session[key],
            type="tertiary",
        )
