"""Runs of the library as one zip, made by a thread of its own while the page says how far it is."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from superdiff_engine.library import Library
from superdiff_engine.library.archive import export_zip

from ..guard import callback, guarded, plain, sentence_of, show_sentence
from ..part import part
from ..words import bytes_text
from . import asked
from .acts import counted

#: Bytes of runs that the page hands out at once; a browser's download passes through the server's memory.
MOST_EXPORTED = 2 * 1000**3
_TICK = 0.5
_EXPORT = "shelf-export"


class _Cancelled(Exception):
    pass


class Export:
    """A zip in the making; it is gone once nobody holds this object.

    Args:
        library: that has the runs.
        ids: of the runs.
    """

    def __init__(self, library: Library, ids: Sequence[str]) -> None:
        self.ids = list(ids)
        self.done, self.total = 0, 0
        self.refused: list[str] = []
        self.problem = ""
        self._folder = tempfile.TemporaryDirectory(prefix="superdiff-")
        self.path = Path(self._folder.name) / "runs.zip"
        self._cancel, self._ended = threading.Event(), threading.Event()
        threading.Thread(target=self._make, args=(library,), name="superdiff-export", daemon=True).start()

    @property
    def ended(self) -> bool:
        """Whether the zip is there, or never will be."""
        return self._ended.is_set()

    def cancel(self) -> None:
        """Make no more of it."""
        self._cancel.set()

    def _make(self, library: Library) -> None:
        try:
            self.refused = export_zip(library, self.ids, self.path, self._told).refused
        except _Cancelled:
            self.problem = "The export was cancelled."
        except Exception as error:
            self.problem = sentence_of(error, "the export")
        finally:
            self._ended.set()

    def _told(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        if self._cancel.is_set():
            raise _Cancelled


def begin_export(ids: Sequence[str]) -> None:
    """Make a zip of these runs (a callback)."""
    library = asked.library()
    size = sum(entry.bytes for entry in library.entries(ids))
    if size > MOST_EXPORTED:
        st.session_state["problem"] = (
            f"These runs take {bytes_text(size)}, and a page hands out {bytes_text(MOST_EXPORTED)} at once; select "
            "fewer, or write them with superdiff library export."
        )
        return
    end_export()
    st.session_state[_EXPORT] = Export(library, ids)


def end_export() -> None:
    """Let go of the zip (a callback)."""
    export = st.session_state.pop(_EXPORT, None)
    if isinstance(export, Export):
        export.cancel()


def draw_export() -> None:
    """How far the zip is, and the button that saves it; nothing where none was asked for."""
    export: Export | None = st.session_state.get(_EXPORT)
    if export is None:
        return
    with st.container(border=True, key="shelf-export-box"), guarded("the export"):
        if export.ended:
            _ended(export)
        else:
            part(_tick, run_every=_TICK)(export)


def _ended(export: Export) -> None:
    if export.problem:
        show_sentence(export.problem)
    for sentence in export.refused:
        st.caption(f":material/info: {plain(sentence)}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if not export.problem:
            st.download_button(
                f"Save the zip of {counted(export.ids)} ({bytes_text(export.path.stat().st_size)})",
                data=lambda: export.path.read_bytes(),
                file_name="superdiff-runs.zip",
                mime="application/zip",
                key="shelf-export-save",
                on_click="ignore",
                icon=":material/download:",
                type="primary",
            )
        st.button("Close", key="shelf-export-close", on_click=callback(end_export))


def _tick(export: Export) -> None:
    if export.ended:
        st.rerun()
    share = export.done / export.total if export.total else 0.0
    with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        text = f"Packing {counted(export.ids)}: {bytes_text(export.done)} of {bytes_text(export.total)}"
        st.progress(min(share, 1.0), text=text)
        st.button("Cancel", key="shelf-export-cancel", on_click=callback(export.cancel))
