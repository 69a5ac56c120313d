"""Small pictures of runs and grids, made of their previews when they are first asked for, and kept in the index."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image

from ..errors import OutputError
from .index import Index

#: Small pictures that are kept at once.
_DRAWN = 8
#: The largest side of a small picture in pixels, and how many pixels a picture may have that one is made of.
THUMBNAIL = 320
_MOST_PIXELS = 64_000_000
_PICTURES = ("preview.png", "grid.png")


class Thumbnails:
    """Small pictures as they are kept in an index; safe to use from any thread.

    Args:
        index: of the library.

    Attributes:
        drawing: whether a thread makes pictures that `of` was asked for.
    """

    def __init__(self, index: Index) -> None:
        self.drawing = False
        self._index = index
        self._starting = threading.Lock()

    def of(self, folders: Mapping[str, tuple[Path, Collection[str]]], wait: bool) -> dict[str, bytes]:
        """Pictures by id, WebP; none of folders that hold none.

        Args:
            folders: of the entries, by id, each with the names of its files.
            wait: whether to wait for those that have to be made; else a thread makes them.

        Raises:
            IndexLost: as the index does.
        """
        sources = {}
        for id, (folder, files) in folders.items():
            source = next((name for name in _PICTURES if name in files), None)
            if source is not None:
                with suppress(OSError):  # removed meanwhile
                    sources[id] = folder / source, (folder / source).stat().st_mtime_ns
        found = self._index.thumbnails([(id, stamp) for id, (_, stamp) in sources.items()]) if sources else {}
        missing = [(id, *source) for id, source in sources.items() if id not in found]
        if missing and wait:
            found |= self._draw(missing)
        elif missing:
            with self._starting:
                if not self.drawing:
                    self.drawing = True
                    threading.Thread(target=self._draw_apart, args=(missing,), daemon=True).start()
        return {id: picture for id, picture in found.items() if picture}

    def _draw(self, sources: Sequence[tuple[str, Path, int]]) -> dict[str, bytes]:
        made: dict[str, bytes] = {}
        for start in range(0, len(sources), _DRAWN):
            part = [(id, stamp, _small(path)) for id, path, stamp in sources[start : start + _DRAWN]]
            with suppress(OutputError):  # they are made again
                self._index.keep_thumbnails(part)
            made |= {id: picture for id, _, picture in part}
        return made

    def _draw_apart(self, sources: Sequence[tuple[str, Path, int]]) -> None:
        try:
            self._draw(sources)
        finally:
            self.drawing = False


def _small(path: Path) -> bytes:
    """A picture made small; empty where it cannot be read."""
    try:
        if not path.is_file():  # opening a pipe may wait for ever
            return b""
        with Image.open(path) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                return b""
            small = picture.convert("RGB")
        small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=82)
        return buffer.getvalue()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return b""
