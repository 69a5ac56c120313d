"""What a tab asks of the library: the values of its fields under "shelf-*", which the address of the page holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import streamlit as st

from superdiff_engine.library import Library, Query
from superdiff_engine.library.index import SORTS, Sort

from .. import session
from ..unbroken import unbroken

#: The page's path.
PATH = "library"
#: Entries on a page of the gallery.
PAGE = 48
#: Keys of the fields, and what the address calls their values.
TEXT, DOMAINS, OPERATORS = "library-search", "shelf-domains", "shelf-operators"
STATES, TAGS = "shelf-states", "shelf-tags"
STAR, SORT, LOOK, PLACE = "shelf-star", "shelf-sort", "shelf-look", "shelf-place"
KEEP: Literal["session"] = "session"
LOOKS = ("cards", "rows")
#: Where to look: at the runs, or at those in the bin.
SHELF, BIN = "Runs", "Bin"
_LISTS = {DOMAINS: "domain", OPERATORS: "operator", STATES: "state", TAGS: "tag"}
_LONGEST = 500


@dataclass
class Shelf:
    """What else a tab knows of the page.

    Attributes:
        number: of the page of the gallery, from 0.
        chosen: the ids of the selected entries; turn: raised whenever the server, not the browser, selects.
        panel: the id of the entry whose panel is open, "" for none.
        grid: the id of the grid that is looked at, "" for none.
        done: the number of the last act of the browser that was done.
        deleted: the names that what was deleted last has in the bin, for as long as that can be undone.
        said: what happened last, in a sentence.
        sure: the ids of what is to be deleted for good, while that has to be confirmed.
        sent: the names of the small pictures that the browser was given.
        drawn: what the gallery showed when it was last drawn, and when that was.
    """

    number: int = 0
    chosen: list[str] = field(default_factory=list)
    turn: int = 0
    panel: str = ""
    grid: str = ""
    done: int = 0
    deleted: list[str] = field(default_factory=list)
    said: str = ""
    sure: list[str] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    drawn: tuple[int, float] = (0, 0.0)

    def choose(self, ids: Iterable[str]) -> None:
        """Select these entries and no others."""
        self.chosen, self.turn = list(dict.fromkeys(ids)), self.turn + 1


def library() -> Library:
    """The library of this server."""
    found = session.registry().library
    assert found is not None  # without one there is no page
    return found


@unbroken()
def shelf() -> Shelf:
    """What this tab knows of the page; made of the address when it is first asked for."""
    state = st.session_state
    if "shelf" not in state:
        state["shelf"] = Shelf()
        from_query(st.query_params.to_dict())
    found: Shelf = state["shelf"]
    return found


def binned() -> bool:
    """Whether the bin is looked at."""
    return bool(st.session_state.get(PLACE, SHELF) == BIN)


def query() -> Query:
    """What is asked for, a page of it."""
    state, here = st.session_state, shelf()
    lists = {name: tuple(state.get(key) or ()) for key, name in _LISTS.items()}
    return Query(
        text=state.get(TEXT) or "",
        domains=lists["domain"],
        operators=lists["operator"],
        states=lists["state"],
        tags=lists["tag"],
        star=bool(state.get(STAR)),
        part_of="" if binned() else here.grid,
        binned=binned(),
        sort=cast(Sort, state.get(SORT) or SORTS[0]),
        start=here.number * PAGE,
        most=PAGE,
    )


def everything() -> Query:
    """All that is asked for, on every page."""
    return replace(query(), start=0, most=None)


def filtered() -> bool:
    """Whether anything is left out by what is asked for."""
    state = st.session_state
    return bool((state.get(TEXT) or "").strip() or state.get(STAR) or any(state.get(key) for key in _LISTS))


def clear() -> None:
    """Leave nothing out (a callback)."""
    for key in (TEXT, STAR, *_LISTS):
        st.session_state[key] = "" if key == TEXT else False if key == STAR else []
    shelf().number = 0


def to_query() -> list[tuple[str, str]]:
    """The parameters of the page's address."""
    state = st.session_state
    if "shelf" not in state:
        return []
    here = shelf()
    found = [("q", (state.get(TEXT) or "").strip())] + [
        (name, str(value)) for key, name in _LISTS.items() for value in state.get(key) or ()
    ]
    found += [("star", "1" if state.get(STAR) else ""), ("in", "bin" if binned() else ""), ("grid", here.grid)]
    found += [("sort", "" if state.get(SORT) in (None, SORTS[0]) else str(state[SORT]))]
    found += [("look", "" if state.get(LOOK) in (None, LOOKS[0]) else str(state[LOOK]))]
    found += [("page", str(here.number + 1) if here.number else "")]
    return [(name, value) for name, value in found if value]


def from_query(query: dict[str, Any]) -> None:
    """Fill the fields from the parameters of an address; what is none of theirs is left out."""
    state, here = st.session_state, shelf()
    state[TEXT] = str(query.get("q", ""))[:_LONGEST]
    for key, name in _LISTS.items():
        state[key] = [value[:_LONGEST] for value in st.query_params.get_all(name)]
    state[STAR] = query.get("star") == "1"
    state[PLACE] = BIN if query.get("in") == "bin" else SHELF
    state[SORT] = query["sort"] if query.get("sort") in SORTS else SORTS[0]
    state[LOOK] = query["look"] if query.get("look") in LOOKS else LOOKS[0]
    here.grid = str(query.get("grid", ""))[:_LONGEST]
    number = str(query.get("page", ""))
    here.number = max(int(number) - 1, 0) if number.isascii() and number.isdigit() and len(number) < 7 else 0
