"""A page of the Guide for every formula of the domains: what it means, its picture, and its recipe to open."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import streamlit as st

from superdiff_engine.domain import FormulaPage
from superdiff_engine.domains import domains, get_domain
from superdiff_engine.recipes.document import Recipe

from . import session, turning
from .guard import callback, guarded, plain, show_sentence
from .playground import kept
from .views import view_of
from .words import operator_summary

#: Of the pages.
_ICON = ":material/functions:"


@cache
def formula_pages() -> tuple[FormulaPage, ...]:
    """Those of all domains."""
    return tuple(page for domain in domains().values() for page in domain.formula_pages())


def formula_page_list() -> list[st.Page]:
    """A page for each, at /formula-KEY; the same at every call."""
    return [page_of(page) for page in formula_pages()]


def page_of(page: FormulaPage) -> st.Page:
    """Its page, to link to."""
    return st.Page(_script(page), title=page.title, icon=_ICON, url_path=f"formula-{page.key}")


def _script(page: FormulaPage) -> Callable[[], None]:
    def show() -> None:
        with guarded("the page of this formula"):
            draw_formula_page(page)

    return show


def draw_formula_page(page: FormulaPage) -> None:
    """One of them."""
    st.markdown(f"## {page.title}")
    if st.session_state["problem"]:
        show_sentence(st.session_state["problem"])
    words = operator_summary(page.recipe.operator)
    st.caption(f"In the studio: operator {plain(words)}")
    st.markdown(page.meaning)
    with guarded("the picture"):
        view_of(page.recipe.domain).draw_formula_page(page, formula_pages())
    st.markdown(f"**What to see.** {page.look}")
    _mathematics(page)
    with st.container(horizontal=True, gap="small"):
        _opener(page.recipe, "Open in the studio", "open-formula", True)
        if page.plain != page.recipe:
            _opener(page.plain, "Open without the correction", "open-plain", False)
        _player(page.recipe)
    st.divider()
    place, all_of_them = formula_pages().index(page), formula_pages()
    with st.container(horizontal=True, horizontal_alignment="distribute", gap="small"):
        if place > 0:
            _link(all_of_them[place - 1], ":material/arrow_back:")
        if place + 1 < len(all_of_them):
            _link(all_of_them[place + 1], ":material/arrow_forward:")


def _link(page: FormulaPage, icon: str) -> None:
    st.page_link(page_of(page), label=page.title, icon=icon)


def _mathematics(page: FormulaPage) -> None:
    meant = "The density that is meant" if page.correction else "What is held"
    parts = [(meant, page.target), ("Weights of the scores", page.weights)]
    if page.correction:
        parts.append(("Weights of the particles, a step that removes the variance h", page.correction))
    with st.grid(columns=len(parts), min_column_width=300, gap="small", border=True) as cells:
        for title, formula in parts:
            with cells.cell():
                st.markdown(f"**{title}**")
                st.latex(formula)


def _player(recipe: Recipe) -> None:
    """A button that opens the playground with a recipe, where its experts can be drawn."""
    if get_domain(recipe.domain).playing is not None:
        st.button("Play with it", icon=":material/gesture:", key="play", on_click=callback(_play), args=(recipe,))


def _play(recipe: Recipe) -> None:
    kept.open_recipe(recipe)
    turning.turn_to(kept.PATH)


def _opener(recipe: Recipe, label: str, key: str, first: bool) -> None:
    """A button that puts a recipe into the form and turns to it."""
    st.button(
        label,
        icon=":material/open_in_new:",
        key=key,
        type="primary" if first else "secondary",
        on_click=callback(session.open_recipe),
        args=(recipe,),
    )
