"""What can be done with entries of the library, by the gallery, the bar and the panel; callbacks all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.library import Query
from superdiff_engine.runs.stored import read_recipe

from .. import session, turning
from ..form import state as form_state
from ..guard import log
from . import asked


def take_acts(acts: Any) -> None:
    """Do what the gallery asked for and what is not done yet; each act counts once."""
    here, token = asked.shelf(), session.this_tab().key
    for act in acts if isinstance(acts, list) else ():
        if act.get("token") != token or act["n"] <= here.done:
            continue
        here.done = act["n"]
        try:
            _take(str(act["what"]), [str(id) for id in act["ids"]], act.get("value"))
        except SuperDiffError as error:
            # Others behind it are done all the same.
            st.session_state["problem"] = str(error)


def _take(what: str, ids: list[str], value: Any) -> None:
    here = asked.shelf()
    if what != "missing":
        st.session_state["problem"] = ""
    if what == "page":
        here.number = max(0, int(value))
    elif what == "missing":
        here.sent -= set(ids)
    elif what == "open":
        open_entry(ids[0])
    elif what == "panel":
        here.panel = "" if here.panel == ids[0] else ids[0]
    elif what == "star":
        asked.library().label(ids[0], star=bool(value))
    elif what == "bin":
        be_sure(ids) if asked.binned() else delete(ids)
    else:
        log.warning("the gallery asked for %r", what)


def begin() -> None:
    """Something new is done: what was said of the last act goes, and it can no longer be undone."""
    here = asked.shelf()
    here.deleted, here.sure, here.said = [], [], ""
    st.session_state["problem"] = ""


def open_entry(id: str) -> None:
    """Show a run on the page Compose, a grid on this one."""
    begin()
    entry = asked.library().entry(id)
    if entry.kind == "grid":
        here = asked.shelf()
        here.grid, here.number, here.panel = id, 0, ""
        return
    session.registry().recall(id)  # or the sentence that says why not
    session.show([id])
    turning.turn_to(turning.COMPOSE)


def compare(ids: Sequence[str]) -> None:
    """Show runs side by side on the page Compose."""
    begin()
    for id in ids:
        session.registry().recall(id)
    session.show(list(ids))
    turning.turn_to(turning.COMPOSE)


def use_settings(id: str) -> None:
    """Put a run's recipe into the form, and show it."""
    begin()
    form_state.load(_recipe(id))
    turning.turn_to(turning.COMPOSE)


def run_again(id: str) -> None:
    """Queue a run of the same recipe."""
    begin()
    session.registry().submit(_recipe(id), True, session.this_tab())
    asked.shelf().said = "The run waits its turn; it is listed here once it begins."


def _recipe(id: str) -> Any:
    # Checked as for a run: its models must be there.
    return make_recipe(read_recipe(asked.library().path(id, asked.binned())).model_dump())


def star(ids: Sequence[str], on: bool) -> None:
    """Give entries a star, or take it away."""
    begin()
    for id in ids:
        asked.library().label(id, star=on)


def tag(ids: Sequence[str], tags: Sequence[str]) -> None:
    """Add tags to entries."""
    begin()
    for id in ids:
        asked.library().label(id, add=tags)
    if tags:
        asked.shelf().said = f"{counted(ids)} now have {'the tag' if len(tags) == 1 else 'the tags'} {', '.join(tags)}."


def delete(ids: Sequence[str]) -> None:
    """Put entries into the bin."""
    begin()
    here = asked.shelf()
    here.deleted = asked.library().delete(ids)
    here.said = f"{counted(ids)} {_were(ids)} put into the bin."
    _let_go(ids)


def undo() -> None:
    """Take out of the bin what was put there last."""
    names = asked.shelf().deleted
    begin()
    asked.library().restore(names)


def put_back(ids: Sequence[str]) -> None:
    """Take entries out of the bin."""
    begin()
    asked.library().restore(ids)
    asked.shelf().said = f"{counted(ids)} {_were(ids)} put back."
    _let_go(ids)


def be_sure(ids: Sequence[str] | None = None) -> None:
    """Ask before entries of the bin, or all of it, are removed from the disk."""
    begin()
    entries = asked.library().find(Query(binned=True, part_of=None)).entries if ids is None else ()
    asked.shelf().sure = [one.id for one in entries] if ids is None else list(ids)


def delete_for_good() -> None:
    """Remove from the disk what was asked about."""
    ids = asked.shelf().sure
    begin()
    gone = asked.library().empty_bin(ids)
    asked.shelf().said = f"{gone:,} {'folder is' if gone == 1 else 'folders are'} gone for good."
    _let_go(ids)


def choose_all() -> None:
    """Select all that is found, on every page."""
    found = asked.library().find(asked.everything())
    asked.shelf().choose(one.id for one in found.entries if one.kind)


def choose_none() -> None:
    """Select nothing."""
    asked.shelf().choose([])


def close_panel() -> None:
    """Close the panel of an entry."""
    asked.shelf().panel = ""


def leave_grid() -> None:
    """Go from a grid back to all runs."""
    here = asked.shelf()
    here.grid, here.number, here.panel = "", 0, ""


def _let_go(ids: Sequence[str]) -> None:
    """What is elsewhere now is neither selected nor looked at."""
    here = asked.shelf()
    gone = set(ids)
    here.choose(id for id in here.chosen if id not in gone)
    here.panel = "" if here.panel in gone else here.panel
    here.grid = "" if here.grid in gone else here.grid


def counted(ids: Sequence[str]) -> str:
    """How many entries these are, in words."""
    return "1 run" if len(ids) == 1 else f"{len(ids):,} runs"


def _were(ids: Sequence[str]) -> str:
    return "was" if len(ids) == 1 else "were"
