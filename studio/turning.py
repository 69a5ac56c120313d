"""Turning to another page: asked for by what is pressed, done before anything of the next drawing.

Streamlit may break a drawing off for the next one at any place: what is asked for stays until that page is there.
"""

from __future__ import annotations

import streamlit as st

#: The page with form and stage, as the address line names it; the others' paths are `PATH` of their packages.
COMPOSE = ""
_TO = "turn-to"


def turn_to(page: str) -> None:
    """Have another page drawn next (in a callback, or before the page is drawn again).

    Args:
        page: its path.
    """
    st.session_state[_TO] = page


def is_due() -> bool:
    """Whether another page is to be drawn."""
    return _TO in st.session_state


def turn(page: str) -> None:
    """Turn to the page that was asked for, if it is not this one; before anything is drawn.

    Args:
        page: the path of this one.
    """
    to = st.session_state.get(_TO, page)
    if to != page:
        st.switch_page(f"screens/{to or 'compose'}.py")
    st.session_state.pop(_TO, None)
