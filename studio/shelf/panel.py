"""One entry of the library, at the page's side: its labels, all that is known of it, and what can be done with it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import streamlit as st

from superdiff_engine.errors import SuperDiffError
from superdiff_engine.library import Entry
from superdiff_engine.library.entry import STATES
from superdiff_engine.runs.stored import read_recipe
from superdiff_engine.runs.wording import shortened, spelled

from ..guard import callback, guarded, plain
from ..words import bytes_text
from . import acts, asked
from .cards import facts_of, opens
from .export import begin_export
from .labels import draw_labels, draw_star

#: Letters of the name above; all of it is in its field.
_TITLE = 90
#: What the files of a record hold.
_FILES = {
    "samples.npz": "samples",
    "trace.parquet": "curves",
    "replay.npz": "frames for replay",
    "preview.png": "preview",
    "grid.png": "picture of the grid",
    "grid.json": "cells of the grid",
    "recipe.json": "recipe",
    "labels.json": "name, note, star, tags",
    "status.json": "how it ended",
    "run.log": "log",
}


def draw_panel(tags: list[str]) -> None:
    """The panel of the entry that is looked at; `tags`: those of the library."""
    here = asked.shelf()
    with st.container(key="shelf-panel", gap="small"):
        try:
            entry = asked.library().entry(here.panel, asked.binned())
        except SuperDiffError as error:
            with st.container(horizontal=True, horizontal_alignment="distribute", wrap=False):
                st.markdown(plain(str(error)))
                _close()
            return
        with guarded("the entry"):
            _draw(entry, tags)


def _close() -> None:
    st.button(
        "Close",
        icon=":material/close:",
        key="shelf-panel-close",
        on_click=callback(acts.close_panel),
        type="tertiary",
        help="Close this panel",
    )


def _draw(entry: Entry, tags: list[str]) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", wrap=False, gap="small"):
        st.markdown(f"**{plain(shortened(entry.name, _TITLE))}**")
        _close()
    kind = "Grid, " if entry.kind == "grid" else ""
    state = STATES[entry.state]
    st.caption(" · ".join([f"{kind}{state}" if kind else state.capitalize(), began_text(entry), *facts_of(entry)]))
    if entry.sentence:
        st.info(plain(entry.sentence), icon=":material/info:")
    _buttons(entry)
    if entry.kind and not entry.binned:
        draw_labels(entry.id, entry.labels, tags)
    elif entry.labels.note:
        st.text(entry.labels.note)
    if entry.domain:
        with st.expander("All settings", icon=":material/list_alt:"), guarded("the settings"):
            _settings(entry)
    with st.expander(f"Files, {bytes_text(entry.bytes)}", icon=":material/folder_open:"), guarded("the files"):
        _files(entry)


def _buttons(entry: Entry) -> None:
    id = entry.id
    with st.container(horizontal=True, gap="xsmall"):
        if entry.binned:
            _button("Put back", "restore_from_trash", lambda: acts.put_back([id]), "Take it out of the bin")
            _button("Delete for good", "delete_forever", lambda: acts.be_sure([id]), "Remove it from the disk")
            return
        if opens(entry):
            _button("Open", "open_in_full", lambda: acts.open_entry(id), "Show all of it", primary=True)
        if entry.kind:
            draw_star(id, entry.labels.star)
        if entry.kind == "run" and entry.domain:
            _button("Use these settings", "tune", lambda: acts.use_settings(id), "Put its recipe into the form")
            _button("Run again", "replay", lambda: acts.run_again(id), "The same recipe with the same seed, once more")
        if entry.kind and entry.state != "running":
            _button("Export", "folder_zip", lambda: begin_export([id]), "All of its files, as a zip")
            _button("Delete", "delete", lambda: acts.delete([id]), "Put it into the bin")


def _button(title: str, icon: str, act: object, help: str, primary: bool = False) -> None:
    st.button(
        title,
        icon=f":material/{icon}:",
        key=f"shelf-panel-{icon}",
        on_click=callback(act),  # type: ignore[arg-type]
        help=help,
        type="primary" if primary else "secondary",
    )


def began_text(entry: Entry) -> str:
    """When it began, in the time zone of the browser."""
    try:
        zone: ZoneInfo | None = ZoneInfo(st.context.timezone or "")
    except (ValueError, OSError, KeyError):  # it did not say, or names none that is known here
        zone = None
    return f"{datetime.fromtimestamp(entry.began, UTC).astimezone(zone):%d %b %Y, %H:%M:%S}"


def _settings(entry: Entry) -> None:
    recipe = read_recipe(asked.library().path(entry.id, entry.binned))
    rows = [f"| {plain(one.name)} | {plain(one.value)} |" for one in spelled(recipe).values()]
    st.markdown("\n".join(["| setting | value |", "| --- | --- |", *rows]))
    st.code(recipe.to_json(), language="json", wrap_lines=True, height=200)


def _files(entry: Entry) -> None:
    library = asked.library()
    path = library.folder / "bin" / entry.id if entry.binned else library.folder / entry.id
    if path.is_dir() and not path.is_symlink():
        rows = [
            f"| {plain(name)} | {_FILES.get(name, '')} | {bytes_text(size)} |"
            for name, size in _sizes(path)[:_MOST_FILES]
        ]
        st.markdown("\n".join(["| file | holds | size |", "| --- | --- | --- |", *rows]))
    st.caption("The folder")
    st.code(str(path), language=None, wrap_lines=True)
    if opens(entry) and entry.kind == "run":
        st.caption("A link to it, which works as long as the folder is there")
        here = (st.context.url or "http://127.0.0.1:8501/library").split("?")[0]
        st.code(f"{here.removesuffix('/library')}/?run={entry.id}", language=None, wrap_lines=True)


#: Files of a folder that are listed.
_MOST_FILES = 60


def _sizes(path: Path) -> list[tuple[str, int]]:
    try:
        return sorted(
            ((one.name, one.lstat().st_size) for one in path.iterdir() if one.is_file()), key=lambda one: -one[1]
        )
    except OSError:
        return []
