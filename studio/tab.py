"""The address line and the presses of Run of a browser tab: scripts without a face, on every page."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from . import looked, session, titles
from .charts.palette import theme_name
from .charts.scale import note_screen
from .form import memory as form_memory
from .guard import callback
from .playground import kept as played
from .shelf import asked
from .teach import doing
from .words import REPLAY, VIEW, VIEWS

#: Longer addresses are not taken by every browser and server; such a form is not kept over a reload.
_LONGEST = 30_000


_KEY = "tab-script"


@cache
def _component(name: str) -> Any:
    script = (Path(__file__).parent / "static" / f"{name}.js").read_text(encoding="utf-8")
    return st.components.v2.component(f"superdiff_{name}", html="<span></span>", js=script)


def draw_presses() -> None:
    """Mount the script that listens for presses of Run; draw it first, so that there is nothing to press before."""
    _component("presses")(key="presses-script", height=1)


def address(page: str = "") -> str:
    """The query of the address that opens this tab again: its runs, its form, and what is asked of the library.

    Args:
        page: the page's path.
    """
    state = st.session_state
    query = {"run": ",".join(state["shown"])} if state["shown"] else {}
    if query and state.get(VIEW, VIEWS[0]) != VIEWS[0]:
        query[VIEW] = state[VIEW].lower()
    query |= titles.to_query(state["shown"])
    query |= looked.to_query(state["shown"], with_step=state.get(VIEW) == REPLAY)
    asks = asked.to_query() if page == asked.PATH else []
    query |= doing.to_query() if page == doing.PATH else {}
    asks += list(played.to_query().items()) if page == played.PATH else []
    found = urlencode([*asks, *(query | form_memory.to_query()).items()], safe=",")
    return found if len(found) <= _LONGEST else urlencode({"run": ",".join(state["shown"])}, safe=",")


def draw_tab(page: str) -> None:
    """Mount the script of the address line; draw it last, so that it knows the form as it is.

    Presses of Run are told by it, too: when all of the page is there.

    Args:
        page: the page's path.
    """
    script = _component("tab")(
        key=_KEY,
        data={"query": address(page), "page": page, "scheme": theme_name()},
        default={"asked": 0, "screen": [], "scheme": ""},
        on_screen_change=callback(lambda: note_screen(st.session_state[_KEY]["screen"])),
        on_scheme_change=callback(lambda: None),  # the whole page is drawn again, in the colours of now
        on_asked_change=callback(lambda: session.count_presses(st.session_state[_KEY]["asked"])),
        height=1,
    )
    # A tab that outlived its server, or its session, brings the presses of before along.
    st.session_state.setdefault("presses-known", script["asked"])
