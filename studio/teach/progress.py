"""Progress is kept in the browser: a script without a face, on the page Lessons."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from ..guard import callback
from . import doing

_KEY = "lessons-script"


@cache
def _component() -> Any:
    script = (Path(__file__).parents[1] / "static" / "lessons.js").read_text(encoding="utf-8")
    return st.components.v2.component("superdiff_lessons", html="<span></span>", js=script)


def draw_progress_script() -> None:
    """Mount the script; draw it last, so that it keeps what was done now."""
    _component()(
        key=_KEY,
        data={"keep": doing.to_keep(), "known": watched(), "place": doing.place()},
        default={"kept": None},
        on_kept_change=callback(lambda: doing.take_kept(st.session_state[_KEY]["kept"])),
        height=1,
    )


def watched() -> bool:
    """Whether a browser's script has spoken: somebody sits before it."""
    return st.session_state.get(_KEY, {}).get("kept") is not None
