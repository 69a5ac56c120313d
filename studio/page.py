"""What surrounds a page: its keyboard and the list of it, the settings' drawer on narrow screens, the pane put away."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from . import session
from .words import VIEWS

#: As in static/style.css: narrower than this, the form is a drawer.
NARROW = 900


@dataclass(frozen=True)
class Shortcut:
    """A key that does something.

    Attributes:
        key: as the browser names it; "" where another part of the page listens.
        shown: how the list writes it.
        meaning: what it does.
        act: "press" or "focus" what stands at `place`, "form": put the form away or take it out, "present":
            show the stage alone, or leave that, "help": show the list.
        place: a CSS selector.
        number: which one of those at `place`, from 0.
        awaited: a CSS selector; while this is there, what stands at `place` is about to be, and a press waits for it.
    """

    key: str
    shown: str
    meaning: str
    act: Literal["press", "focus", "form", "help", "present", ""] = ""
    place: str = ""
    number: int = 0
    awaited: str = ""


_LIVE = ".st-key-live"
_PICKED = "[class*='st-key-pick-'] [data-testid='stNumberInputStep"
#: The keyboard: the list under "?" and the script (static/page.js) are made from it.
SHORTCUTS = (
    Shortcut("", "Ctrl + Enter", "Run what the form says, wherever the focus is (on a Mac also Cmd + Enter)"),
    *(
        Shortcut(
            str(number + 1), str(number + 1), f"Show a run's {view.lower()}", "press", ".st-key-view button", number
        )
        for number, view in enumerate(VIEWS)
    ),
    Shortcut(
        "p", "p", "Pause the run that is watched, or let it go on", "press", ".transport-pause:enabled", awaited=_LIVE
    ),
    Shortcut(
        "n", "n", "Let it take one step, and stand still after it", "press", ".transport-step:enabled", awaited=_LIVE
    ),
    Shortcut("[", "[", "The sample before", "press", f"{_PICKED}Down']"),
    Shortcut("]", "]", "The next sample", "press", f"{_PICKED}Up']"),
    Shortcut("", "Space", "In a replay: play or pause (← → moment by moment, Home and End its ends, [ ] the sample)"),
    Shortcut("s", "s", "Save: the menu of files", "press", "[class*='st-key-save-'] button"),
    Shortcut("/", "/", "Search, on the page Library", "focus", ".st-key-library-search input"),
    Shortcut(
        "", "Enter", "In the library: open a run (Space selects it, s stars it, e names it, Del puts it into the bin)"
    ),
    Shortcut("f", "f", "Present: the stage alone, large enough for a room; f or Esc leaves", "present"),
    Shortcut(".", ".", "Put the settings away, or take them out", "form"),
    Shortcut("?", "?", "This list", "help"),
    Shortcut("", "Esc", "Close what is open: this list, a menu, the drawer of settings"),
)

_HTML = """
<button type="button" class="page-settings" aria-expanded="false" aria-haspopup="dialog">Settings</button>
<button type="button" class="page-handle" aria-expanded="true" aria-label="Put the settings away (.)"></button>
<button type="button" class="page-present" aria-pressed="false"
  title="Present: the stage alone, for a room (f)"></button>
<button type="button" class="page-help" aria-haspopup="dialog" title="Keyboard (?)"
  aria-label="Keyboard shortcuts">?</button>
<dialog class="page-shortcuts" aria-label="Keyboard">
  <form method="dialog"><button class="page-close" aria-label="Close">✕</button></form>
  <h2>Keyboard</h2>
  <table><tbody></tbody></table>
  <label><input type="checkbox" class="page-keys"> Single keys work, unless you are typing in a field or a table</label>
</dialog>
"""


@cache
def _component() -> Any:
    script = (Path(__file__).parent / "static" / "page.js").read_text(encoding="utf-8")
    # Not apart from the page: its buttons have the page's style, and name the panes that they open.
    return st.components.v2.component("superdiff_page", html=_HTML, js=script, isolate_styles=False)


def draw_page(page: str) -> None:
    """Mount the script. `page` is the page's path, "" for the one with form and stage."""
    jobs = session.shown_jobs()
    data = {
        "page": page,
        "panes": not page,
        "shown": ",".join(st.session_state["shown"]),
        "result": len(jobs) == 1 and jobs[0].finished,
        "narrow": NARROW,
        "shortcuts": [asdict(one) for one in SHORTCUTS],
    }
    _component()(key="page-script", data=data, height=1)
