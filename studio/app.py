"""The studio's pages. Start it with `superdiff studio`, or `make studio` from the repository."""

from pathlib import Path

import streamlit as st

from studio import session
from studio.formula_pages import formula_page_list
from studio.guard import guarded
from studio.page import draw_page
from studio.part import whole_page
from studio.stage.queue import draw_queue
from studio.style import draw_style
from studio.tab import draw_presses, draw_tab
from studio.turning import turn

static = Path(__file__).parent / "static"
# An icon by its name would be fetched from the network; a file is not.
st.set_page_config(page_title="SuperDiff Studio", page_icon=str(static / "icon.png"), layout="wide")
st.logo(str(static / ("logo_dark.svg" if st.context.theme.type == "dark" else "logo_light.svg")), size="large")

# The scripts lie in a folder that Streamlit does not look for: of one called "pages" it would make a menu of its own,
# and show that to open tabs of a server that was started again.
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
