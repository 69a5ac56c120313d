"""The way to the studio's pages, and what stands on every one of them."""

from __future__ import annotations

import streamlit as st

from . import session
from .formula_pages import formula_page_list
from .guard import guarded
from .page import draw_page
from .part import whole_page
from .stage.queue import draw_queue
from .style import draw_style
from .tab import draw_presses, draw_tab
from .turning import turn


def draw_studio() -> None:
    """Draw the page that the address line names."""
    # The scripts lie in a folder that Streamlit does not look for: of one called "pages" it would make a menu of its
    # own, and show that to open tabs of a server that was started again.
    compose = st.Page("screens/compose.py", title="Compose", icon=":material/join_inner:", default=True)
    page = st.navigation(
        {
            "": [
                compose,
                st.Page("screens/playground.py", title="Playground", icon=":material/gesture:"),
                st.Page("screens/lessons.py", title="Lessons", icon=":material/school:"),
                st.Page("screens/library.py", title="Library", icon=":material/photo_library:"),
                st.Page("screens/guide.py", title="Guide", icon=":material/menu_book:"),
            ],
            "Formulas": formula_page_list(),
        },
        position="top",
    )
    with whole_page():
        with guarded("the page"):
            session.start_session()
            turn(page.url_path)
            draw_style()
            draw_presses()
            if page != compose:  # there it is the stage's
                draw_queue()
        page.run()
        with guarded("the keyboard"):
            draw_page(page.url_path)
        with guarded("the address line"):
            draw_tab(page.url_path)
