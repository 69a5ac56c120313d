"""The page and the parts of it that are drawn again alone, without what Streamlit 1.67 loses between them.

Two presses within one moment, on a slow page, reach the server as one message. Where one of the two controls lies in a
part, the message asks for that part alone: what the other one changed is known, and nobody draws it. A part therefore
begins with a look at what the page was drawn from, and has the whole page drawn again where that has changed.

A control that goes is forgotten by the browser, but not before the end of that drawing has reached it. What the browser
tells until then makes the server believe that the control, where it comes again at that moment, has its value already:
it comes without any. `told` says the value of every control that was not there in the drawing before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, overload

import streamlit as st

from . import turning

P = ParamSpec("P")
R = TypeVar("R")

#: While the whole page is drawn: the name of each of its parts, "" for the page itself -> the keys of its controls.
_page: ContextVar[dict[str, set[str]] | None] = ContextVar("page", default=None)
#: The keys of the controls of what is drawn now, the page or a part; None where nobody keeps account.
_keys: ContextVar[set[str] | None] = ContextVar("keys", default=None)
#: Whether a part is drawn now.
_within: ContextVar[bool] = ContextVar("within", default=False)

#: Where the session keeps what `_page` was at the end of the last drawing; the values which that was made from; and
#: whether anything that a control of the page, not of a part, calls has been called since.
_DRAWN, _VALUES, _CALLED = "part-drawn", "part-values", "part-called"
#: The form's values are the page's: its fields, and its tables' changes.
_FORM = ("f.", "editor.")


@contextmanager
def whole_page() -> Iterator[None]:
    """The drawing of the whole page."""
    state = st.session_state
    state.pop(_CALLED, None)
    drawn: dict[str, set[str]] = {"": set()}
    page, keys = _page.set(drawn), _keys.set(drawn[""])
    try:
        yield
        # Not where the drawing was broken off: the browser may have got nothing of it.
        state[_DRAWN] = drawn
        state[_VALUES] = {
            str(key): _copied(value)
            for key, value in state.items()
            if str(key) in drawn[""] or str(key).startswith(_FORM)
        }
    finally:
        _page.reset(page)
        _keys.reset(keys)


@overload
def part(draw: Callable[P, R], *, run_every: float | None = None) -> Callable[P, R]: ...
@overload
def part(*, run_every: float | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def part(draw: Callable[P, R] | None = None, *, run_every: float | None = None) -> Any:
    """A fragment of Streamlit's, or what makes one of a function: a press in it draws nothing else, unless that is due.

    Args:
        draw: draws it.
        run_every: seconds after which it is drawn again by itself. What it is drawn from is not compared then: the
            browser may be slow to take over what the server has just put into the form.
    """
    if draw is None:
        return partial(part, run_every=run_every)

    @wraps(draw)
    def drawn(*arguments: P.args, **named: P.kwargs) -> R:
        page = _page.get()
        called = page is None and (st.session_state.pop(_CALLED, False) or turning.is_due())
        if called or (page is None and run_every is None and outdated()):
            st.rerun()
        keys, within = _keys.set(set()), _within.set(True)
        try:
            found = draw(*arguments, **named)
            mine = {_name(draw, arguments): _keys.get() or set()}
            if page is not None:
                page.update(mine)
            else:
                st.session_state[_DRAWN] = st.session_state.get(_DRAWN, {}) | mine
            return found
        finally:
            _keys.reset(keys)
            _within.reset(within)

    return st.fragment(drawn, run_every=run_every)


def told(key: str, first: Any = None) -> str:
    """The key of a control that comes and goes and keeps its choice; to be called where it is drawn.

    Args:
        key: of the control.
        first: its value while nothing has been chosen; None: what the control begins with.

    What a control begins with otherwise is no mistake beside a value that is told (see .streamlit/config.toml).
    """
    state = st.session_state
    if key not in state:
        if first is not None:
            state[key] = first
    elif not any(key in keys for keys in state.get(_DRAWN, {}).values()):
        state[key] = state[key]
    keys = _keys.get()
    if keys is not None:
        keys.add(key)
    return key


def of_page() -> bool:
    """Whether what is drawn now is the page's own, and no part's."""
    return not _within.get()


def note_call() -> None:
    """Note that something that a control of the page calls has been called: the page is to be drawn."""
    st.session_state[_CALLED] = True


def outdated() -> bool:
    """Whether the page was drawn from other values than there are now; a page that was not drawn to its end was."""
    state = st.session_state
    drawn = state.get(_VALUES)
    return drawn is None or any(key in state and state[key] != value for key, value in drawn.items())


def _copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def _name(draw: Callable[..., Any], arguments: tuple[object, ...]) -> str:
    return " ".join([draw.__qualname__, *(one for one in arguments if isinstance(one, str))])
