"""Several entries at once: the bar at the foot of the page while any are selected."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from superdiff_engine.library.labels import LONGEST_TAG

from .. import session
from ..guard import callback
from ..words import bytes_text
from . import acts, asked
from .export import begin_export


def draw_bar(total: int, tags: list[str]) -> None:
    """What can be done with what is selected.

    Args:
        total: how many entries are found.
        tags: of the library.
    """
    here = asked.shelf()
    entries = asked.library().entries(here.chosen, asked.binned())
    if not entries:
        return
    ids = [entry.id for entry in entries]
    size = sum(entry.bytes for entry in entries)
    with st.container(key="shelf-bar", horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(f"**{len(ids):,} selected** · {bytes_text(size)}", width="content")
        if asked.binned():
            _button("Put back", "restore_from_trash", lambda: acts.put_back(ids))
            _button("Delete for good", "delete_forever", lambda: acts.be_sure(ids))
        else:
            runs = [entry.id for entry in entries if entry.can_open]
            fits = len(runs) == len(ids) and 2 <= len(ids) <= session.MOST_COMPARED
            _button(
                "Compare",
                "compare",
                lambda: acts.compare(ids),
                off=not fits,
                help=f"Side by side, 2 to {session.MOST_COMPARED} runs that have ended",
            )
            _button("Export", "folder_zip", lambda: begin_export(ids), help="All of their files, as one zip")
            starred = all(entry.labels.star for entry in entries)
            title, icon = ("Unstar", "star") if starred else ("Star", "star_outline")
            _button(title, icon, lambda: acts.star(ids, not starred))
            _tags(ids, tags)
            _button("Delete", "delete", lambda: acts.delete(ids), help="Put them into the bin")
        if total > len(ids):
            _button(f"Select all {total:,}", "select_all", acts.choose_all, help="All that is found, on every page")
        _button("Clear", "close", acts.choose_none, help="Select nothing (Esc)")


def _tags(ids: list[str], tags: list[str]) -> None:
    key = f"shelf-bar-tags-{asked.shelf().turn}"

    def add() -> None:
        found = list(st.session_state[key])
        acts.tag(ids, found)
        asked.shelf().choose(ids)  # another key, so that the field is empty again

    with st.popover("Tag", icon=":material/label:", key="shelf-bar-tag"):
        st.multiselect(
            "Tags to add",
            tags,
            key=key,
            accept_new_options=True,
            select_all=False,
            placeholder=f"A tag, up to {LONGEST_TAG} letters",
        )
        st.button("Add", key="shelf-bar-tag-add", on_click=callback(add), type="primary")


def _button(title: str, icon: str, act: Callable[[], None], off: bool = False, help: str | None = None) -> None:
    st.button(
        title,
        icon=f":material/{icon}:",
        key=f"shelf-bar-{icon}",
        on_click=callback(act),
        disabled=off,
        help=help,
    )
