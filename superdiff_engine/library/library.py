"""The library: one folder that keeps all runs.

    library = Library(library_folder())
    for entry in library.find(Query(text="lion", domains=("prompts",), most=20)).entries:
        print(entry.name, entry.state)
    run = library.open(entry.id)        # the whole result, as it was

The folders are the truth. Each run or grid has one, and its files say all of it; the index (`index.py`) is a copy of
what they say, brought up to date by `refresh` whenever somebody looks: whoever writes, removes or damages folders
needs to tell nobody.
"""

from __future__ import annotations

import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image

from ..errors import OutputError, RecordError
from ..runs.folder import at_work
from ..runs.stored import StoredRun, read_record
from ..system.locks import alone
from .entry import Entry, read_entry
from .index import INDEX, Found, Index, Known, Query
from .labels import LABELS, LabelError, Labels, read_labels, write_labels

#: What else lies in the library's folder: what was deleted, what waits to be run, the lock of those who write labels.
BIN, QUEUE, LABELLING = "bin", "queue", ".labels.lock"
#: Names in the folder that are no entries.
_OWN = {BIN, QUEUE}
#: A folder that was written less than so many nanoseconds before it was read is read again: drives' clocks are coarse.
_SETTLES = 2_000_000_000
#: Entries that are taken in at once; whoever waits to write waits no longer than for these.
_BATCH = 100
#: The largest side of a small picture in pixels, and how many pixels a picture may have that one is made of.
THUMBNAIL = 320
_MOST_PIXELS = 64_000_000
_PICTURES = ("preview.png", "grid.png")


class Library:
    """All runs in one folder; safe to use from any thread and any process at once.

    Args:
        folder: of the library; made when something is kept in it.

    Raises:
        OutputError: of any method, when the folder cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = Index(folder / INDEX)
        self._refreshing = threading.Lock()
        self._refreshed = -float("inf")
        #: How many folders are read and how many are to be, while `refresh` or `reindex` is at it; None else.
        self.reading: tuple[int, int] | None = None

    def refresh(self, older: float = 0.0, wait: bool = True) -> bool:
        """Bring the index up to date with the folders; says whether it is.

        Args:
            older: seconds; an index that this object brought up to date less long ago stays as it is.
            wait: whether to wait where another thread is at it, for long where thousands of folders are new.
        """
        if not self._refreshing.acquire(blocking=wait):
            return False
        try:
            if time.monotonic() - self._refreshed >= older:
                self._refresh()
                self._refreshed = time.monotonic()
        finally:
            self.reading = None
            self._refreshing.release()
        return True

    def _refresh(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        if not self.folder.is_dir():
            return
        known, there = self.index.known(), self._folders()
        gone = [place for place in known if place not in there]
        changed = [
            place for place, stamp in there.items() if known.get(place) is None or known[place] != Known(stamp, True)
        ]
        if gone:
            self.index.put([], gone)
        for start in range(0, len(changed), _BATCH):
            part = changed[start : start + _BATCH]
            self.reading = start, len(changed)
            self.index.put([self._looked_at(*place) for place in part])
            if on_progress is not None:
                on_progress(start + len(part), len(changed))

    def _looked_at(self, id: str, binned: bool) -> tuple[Entry, Known]:
        """A folder as it is now."""
        path = self._path(id, binned)
        stamp = _stamp(path)
        entry = read_entry(path, binned)
        # What somebody is at work on changes without a new file: by its end.
        settled = entry.state != "running" and time.time_ns() - stamp > _SETTLES
        return entry, Known(stamp, settled)

    def _folders(self) -> dict[tuple[str, bool], int]:
        """All that lies in the library, by name and whether it is in the bin, with the time of its last change."""
        found = {}
        for place, binned in ((self.folder, False), (self.folder / BIN, True)):
            try:
                with os.scandir(place) as listed:
                    for one in listed:
                        if one.name.startswith(".") or (not binned and _own(one.name)):
                            continue
                        with suppress(OSError, UnicodeEncodeError):  # removed meanwhile; no name in any script
                            one.name.encode()
                            found[one.name, binned] = one.stat(follow_symlinks=False).st_mtime_ns
            except FileNotFoundError:
                continue
            except OSError as error:
                raise OutputError(
                    f"The library {place} cannot be read: {error.strerror or error}. Choose another folder."
                ) from error
        return found

    def reindex(self, on_progress: Callable[[int, int], None] | None = None) -> int:
        """Make the index anew from the folders; gives the number of entries.

        Args:
            on_progress: called with how many folders are read and how many there are.
        """
        with self._refreshing:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.index.clear()
            try:
                self._refresh(on_progress)
            finally:
                self.reading = None
            self._refreshed = time.monotonic()
        return self.find(Query(part_of=None)).total + self.find(Query(part_of=None, binned=True)).total

    def find(self, query: Query | None = None) -> Found:
        """The entries that a query asks for, as the index knows them; `refresh` first to be sure."""
        return self.index.find(query or Query()) if self.folder.is_dir() else Found([], 0, 0)

    def counts(self, binned: bool = False) -> dict[str, dict[str, int]]:
        """How many entries have each "domain", "operator", "state" and "tag"."""
        return self.index.counts(binned) if self.folder.is_dir() else {}

    def entry(self, id: str, binned: bool = False) -> Entry:
        """The entry of a folder as it is now; raises RecordError where there is none."""
        return read_entry(self.path(id, binned), binned)

    def path(self, id: str, binned: bool = False) -> Path:
        """The folder with this name, which must be one of the library's own; raises RecordError where it is not."""
        # Compared with what is there: a name that somebody typed becomes no path.
        if id in self._names(binned):
            return self._path(id, binned)
        if not binned and id in self._names(True):
            raise RecordError("This run lies in the library's bin; put it back to open it.")
        raise RecordError("This names a run that is not in the library (any more).")

    def _names(self, binned: bool) -> set[str]:
        """The names of all folders, but for hidden ones and the library's own."""
        try:
            with os.scandir(self.folder / BIN if binned else self.folder) as listed:
                names = {one.name for one in listed if one.is_dir(follow_symlinks=False)}
        except OSError:
            return set()
        return {name for name in names if not name.startswith(".") and (binned or not _own(name))}

    def _path(self, id: str, binned: bool) -> Path:
        return self.folder / BIN / id if binned else self.folder / id

    def open(self, id: str) -> StoredRun:
        """The run with this id, whole; raises RecordError where it cannot be read."""
        return read_record(self.path(id))

    def label(
        self,
        id: str,
        name: str | None = None,
        note: str | None = None,
        star: bool | None = None,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
    ) -> Labels:
        """Change what a user notes about a run; two who change different things lose nothing.

        Args:
            id: of the run.
            name: as `Labels.changed` has it, like all that follows.
            note: likewise.
            star: likewise.
            add: likewise.
            remove: likewise.

        Raises:
            LabelError: when something is too long.
            RecordError: where there is no such run.
            OutputError: when it cannot be kept.
        """
        path = self.path(id)
        if not read_entry(path).kind:
            raise RecordError(f"{id} is no run of this library; it is left as it is.")
        with alone(self.folder / LABELLING):
            try:
                before = read_labels(path)
            except LabelError:  # what it held stays beside it
                (path / LABELS).replace(path / f"damaged-{LABELS}")
                before = Labels()
            labels = before.changed(name, note, star, add, remove)
            write_labels(path, labels)
        self._take([(id, False)])
        return labels

    def _take(self, places: Iterable[tuple[str, bool]]) -> None:
        """Bring these into the index as they are now."""
        places = list(dict.fromkeys(places))
        there = [place for place in places if self._path(*place).is_dir()]
        self.index.put([self._looked_at(*place) for place in there], [place for place in places if place not in there])

    def delete(self, ids: Sequence[str]) -> list[str]:
        """Put runs into the bin, a grid with its cells; gives the names that they have there, for `restore`.

        Raises:
            RecordError: where there is no such run, or somebody is at work on one; then nothing was moved.
        """
        paths = [self.path(id) for id in self._with_parts(ids, binned=False)]
        for path in paths:
            if at_work(path):
                raise RecordError(f"The run {path.name} is at work; cancel it before you delete it.")
            if not read_entry(path).kind:
                raise RecordError(f"{path.name} is no run of this library; it is left as it is.")
        return self._move(paths, self.folder / BIN)

    def restore(self, ids: Sequence[str]) -> list[str]:
        """Take runs out of the bin, a grid with its cells; gives the names that they have now."""
        return self._move([self.path(id, binned=True) for id in self._with_parts(ids, binned=True)], self.folder)

    def _with_parts(self, ids: Sequence[str], binned: bool) -> list[str]:
        found = list(ids)
        for id in ids:
            found += [one.id for one in self.find(Query(part_of=id, binned=binned)).entries] if id else []
        return list(dict.fromkeys(found))

    def _move(self, paths: Sequence[Path], target: Path) -> list[str]:
        names = []
        try:
            target.mkdir(parents=True, exist_ok=True)
            for path in paths:
                name, number = path.name, 1
                while (target / name).exists():
                    number += 1
                    name = f"{path.name}-{number}"
                path.rename(target / name)
                names.append(name)
        except OSError as error:
            raise OutputError(f"{path.name} could not be moved to {target}: {error.strerror or error}.") from error
        finally:
            self._take([(path.name, binned) for path in paths for binned in (False, True)])
            self._take([(name, target.name == BIN) for name in names])
        return names

    def empty_bin(self, ids: Sequence[str] | None = None) -> int:
        """Remove what lies in the bin for good, all of it or these; gives the number of folders that are gone."""
        names = [name for name, binned in self._folders() if binned and (ids is None or name in ids)]
        for name in names:
            shutil.rmtree(self._path(name, True), ignore_errors=True)
        self._take([(name, True) for name in names])
        return sum(not self._path(name, True).exists() for name in names)

    def thumbnails(self, entries: Iterable[Entry]) -> dict[str, bytes]:
        """Small pictures of entries by id, WebP, at most 320 x 320 pixels; none of those that made no picture.

        They are made of the preview of the run or grid when they are first asked for, and kept in the index.
        """
        found, made = {}, []
        for entry in entries:
            source = next((name for name in _PICTURES if name in entry.kept), None)
            if source is None:
                continue
            path = self._path(entry.id, entry.binned) / source
            try:
                stamp = path.stat().st_mtime_ns
            except OSError:
                continue
            picture = self.index.thumbnail(entry.id, stamp)
            if picture is None:
                picture = _small(path)
                made.append((entry.id, stamp, picture))
            if picture:
                found[entry.id] = picture
        if made:
            self.index.keep_thumbnails(made)
        return found

    @property
    def bytes(self) -> int:
        """Bytes that all runs take, with those in the bin."""
        return sum(self.find(Query(part_of=None, binned=binned, most=0)).bytes for binned in (False, True))


def _own(name: str) -> bool:
    """Whether a name in the library's folder is the library's own."""
    return name in _OWN or name == INDEX or name.startswith(f"{INDEX}-")


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _small(path: Path) -> bytes:
    """A picture made small; empty where it cannot be read."""
    try:
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
