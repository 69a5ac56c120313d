"""The address line and the keyboard of a browser tab: a script without a face, on every page."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from .form import memory as form_memory

#: Longer addresses are not taken by every browser and server; such a form is not kept over a reload.
_LONGEST = 30_000


@cache
def _component() -> Any:
    script = (Path(__file__).parent / "static" / "tab.js").read_text(encoding="utf-8")
    return st.components.v2.component("superdiff_tab", html="<span></span>", js=script)


def address() -> str:
    """The query of the address that opens this tab again: its runs, and its form."""
    state = st.session_state
    query = {"run": ",".join(state["shown"])} if state["shown"] else {}
    query |= form_memory.to_query()
    found = urlencode(query, safe=",")
    return found if len(found) <= _LONGEST else urlencode({"run": ",".join(state["shown"])}, safe=",")


def draw_tab(page: str) -> None:
    """Mount the script; draw it last, so that it knows the form as it is. `page` is the page's path."""
    _component()(key="tab-script", data={"query": address(), "page": page}, height=1)
