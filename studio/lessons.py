"""A page of its own for every lesson of the domains: what a formula means, its picture, and its recipe to open."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import streamlit as st

from superdiff_engine.domain import Lesson
from superdiff_engine.domains import domains
from superdiff_engine.recipes.document import Recipe

from . import session
from .form import state as form_state
from .guard import guarded, plain
from .views import view_of
from .words import operator_summary

#: Of the pages.
_ICON = ":material/functions:"


@cache
def lessons() -> tuple[Lesson, ...]:
    """Those of all domains."""
    return tuple(lesson for domain in domains().values() for lesson in domain.lessons())


def lesson_pages() -> list[st.Page]:
    """A page for each lesson, at /formula-KEY; the same at every call."""
    return [page_of(lesson) for lesson in lessons()]


def page_of(lesson: Lesson) -> st.Page:
    """The lesson's page, to link to."""
    return st.Page(_script(lesson), title=lesson.title, icon=_ICON, url_path=f"formula-{lesson.key}")


def _script(lesson: Lesson) -> Callable[[], None]:
    def show() -> None:
        with guarded("the page of this formula"):
            draw_lesson(lesson)

    return show


def draw_lesson(lesson: Lesson) -> None:
    """The page of one lesson."""
    st.markdown(f"## {lesson.title}")
    words = operator_summary(lesson.recipe.operator)
    st.caption(f"In the studio: operator {plain(words)}")
    st.markdown(lesson.meaning)
    with guarded("the picture"):
        view_of(lesson.recipe.domain).draw_lesson(lesson, lessons())
    st.markdown(f"**What to see.** {lesson.look}")
    _mathematics(lesson)
    with st.container(horizontal=True, gap="small"):
        _opener(lesson.recipe, "Open in the studio", "open-lesson", True)
        if lesson.plain != lesson.recipe:
            _opener(lesson.plain, "Open without the correction", "open-plain", False)
    st.divider()
    place, all_of_them = lessons().index(lesson), lessons()
    with st.container(horizontal=True, horizontal_alignment="distribute", gap="small"):
        if place > 0:
            _link(all_of_them[place - 1], ":material/arrow_back:")
        if place + 1 < len(all_of_them):
            _link(all_of_them[place + 1], ":material/arrow_forward:")


def _link(lesson: Lesson, icon: str) -> None:
    st.page_link(page_of(lesson), label=lesson.title, icon=icon)


def _mathematics(lesson: Lesson) -> None:
    meant = "The density that is meant" if lesson.correction else "What is held"
    parts = [(meant, lesson.target), ("Weights of the scores", lesson.weights)]
    if lesson.correction:
        parts.append(("Weights of the particles, a step that removes the variance h", lesson.correction))
    with st.grid(columns=len(parts), min_column_width=300, gap="small", border=True) as cells:
        for title, formula in parts:
            with cells.cell():
                st.markdown(f"**{title}**")
                st.latex(formula)


def _opener(recipe: Recipe, label: str, key: str, first: bool) -> None:
    """A button that puts a recipe into the form and turns to it."""
    if st.button(label, icon=":material/open_in_new:", key=key, type="primary" if first else "secondary"):
        with guarded("opening this recipe"):
            form_state.load(recipe)
            session.show([])
            st.switch_page("screens/compose.py")
