"""Nothing that goes wrong shows a traceback: what the user can act on is one sentence, the rest goes to the log."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from superdiff_engine.errors import SuperDiffError
from superdiff_engine.system.memory import is_out_of_memory
from superdiff_engine.system.visible_log import log_visibly
from superdiff_engine.system.visible_text import visible

from . import part
from .unbroken import unbroken

log = logging.getLogger("superdiff.studio")
log_visibly()

#: Parts the key of a button that is pressed once from the number of its presses.
TURN = "~"


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Show an error inside this block as one sentence and go on after it; `what` names the block."""
    try:
        yield
    except Exception as error:
        show_sentence(sentence_of(error, what))


def callback(act: Callable[..., object]) -> Callable[..., None]:
    """A callback of the page that shows a sentence above the results where `act` raises; all go through it.

    No press that comes meanwhile breaks it off.

    What a callback raises reaches no block of the page: Streamlit would show an error of its own in place of the page.
    """
    page = part.of_page()

    def guarded_act(*arguments: Any, **named: Any) -> None:
        with unbroken():
            if page:
                part.note_call()
            try:
                act(*arguments, **named)
            except Exception as error:
                st.session_state["problem"] = sentence_of(error, "what you just did")

    return guarded_act


def once(key: str, act: Callable[..., object]) -> dict[str, Any]:
    """The key and callback of a button whose press must count once.

    A click that meets the tick of a fragment is told to the server twice by Streamlit 1.67. Every press makes another
    widget of the button, which the second telling does not name. What looks it up by its key adds `TURN` and a number.

    Args:
        key: what is the same for every press of this button.
        act: as in `callback`; arguments go in `args`.
    """
    counter = f"turns.{key}"
    turn = st.session_state.setdefault(counter, 0)

    def act_once(*arguments: Any, **named: Any) -> None:
        if st.session_state[counter] == turn:
            st.session_state[counter] = turn + 1
            act(*arguments, **named)

    return {"key": f"{key}{TURN}{turn}", "on_click": callback(act_once)}


def sentence_of(error: Exception, what: str) -> str:
    """What to tell of an error that is being handled, in `what`; one that nobody foresaw goes to the log."""
    if isinstance(error, SuperDiffError):
        return str(error)
    log.error("unexpected error in %s", what, exc_info=error)
    if is_out_of_memory(error):
        return f"The memory ran out in {what}; close other programs, or choose fewer samples."
    return f"Something unexpected went wrong in {what}; the studio's log in the terminal holds the details."


def show_sentence(sentence: str) -> None:
    """An error message; whatever it quotes is shown as typed, never as Markdown."""
    st.error(plain(sentence), icon=":material/error:")


def plain(text: str) -> str:
    """`text` as Markdown that shows it as typed, on one line.

    Backslashes keep Markdown from acting on it. Streamlit acts once more on what is left as one piece of text: names of
    icons and emoji, arrows, addresses. A span without a style (`:color[ ]`) around one letter parts such a piece.
    """
    shown = _MARKDOWN.sub(r"\\\1", visible(" ".join(text.split()), keep=_JOINERS + _TURNS))
    shown = _LIST.sub(r"\1\\.", shown)
    shown = _PARTED.sub(r":color[\1]", shown)
    # A change of direction ends where the text does, and turns nothing else around.
    return f"\u2068{shown}\u2069" if any(letter in shown for letter in _TURNS) else shown


_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-!|~$:^=&])")
#: "1." at the start would begin a list.
_LIST = re.compile(r"^(\d+)\.")
#: After escaping: a colon before a name or an address, the at of one, the dot of www., the first letter of an arrow.
_PARTED = re.compile(r"(\\:(?=\w|\\\+|\\-|//)|@|(?<=www)\.|\\[<>~-](?=\\[-=>]))", re.IGNORECASE)
#: What joins letters, and what turns the direction of writing: part of how a text is written, unlike other characters
#: that are not seen.
_JOINERS = "\u200c\u200d"
_TURNS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
