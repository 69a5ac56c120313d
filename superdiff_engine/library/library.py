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

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from ..errors import BinnedError, OutputError, RecordError
from ..runs.folder import RECORD, at_work
from ..runs.stored import StoredRun, read_record
from ..system.library_folder import VARIABLE
from ..system.locks import alone
from .entry import Entry, read_entry
from .index import INDEX, Found, Index, IndexLost, Known, Query
from .labels import LABELS, LabelError, Labels, read_labels, write_labels
from .thumbnails import Thumbnails

T = TypeVar("T")
#: What else lies in the library's folder: what was deleted, what waits to be run, the lock of those who write labels or
#: move folders.
BIN, QUEUE, LABELLING = "bin", "queue", ".labels.lock"
#: Names in the folder that are no entries.
_OWN = {BIN, QUEUE}
#: A folder that was written less than so many nanoseconds before it was read is read again: drives' clocks are coarse.
_SETTLES = 2_000_000_000
#: Entries that are taken in at once; whoever waits to write waits no longer than for these.
_BATCH = 100


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
        #: Names that are no text, as text, with the time of their last change.
        self._unnamed: dict[tuple[str, bool], int] = {}
        #: How many folders are read and how many are to be, while `refresh` or `reindex` is at it; None else.
        self.reading: tuple[int, int] | None = None
        self._thumbnails = Thumbnails(self.index)
        self._starting = threading.Lock()
        self._looking: threading.Thread | None = None
        self._failed: OutputError | None = None

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
                self._refresh_surely()
                self._refreshed = time.monotonic()
        finally:
            self.reading = None
            self._refreshing.release()
        return True

    def _refresh_surely(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        try:
            self._refresh(on_progress)
        except IndexLost:
            self._refresh(on_progress)

    def _answered(self, ask: Callable[[], T]) -> T:
        """What the index answers; one that was damaged is made anew before."""
        try:
            return ask()
        except IndexLost:
            self.refresh()
            return ask()

    def look(self, older: float = 1.0, patience: float = 0.2) -> bool:
        """`refresh` in a thread of its own, for pages that must not wait; says whether the index is up to date.

        Args:
            older: as `refresh` has it.
            patience: seconds to wait for the thread's end.

        Raises:
            OutputError: what the thread before could not read or write.
        """
        with self._starting:
            failed, self._failed = self._failed, None
            if failed is not None:
                raise failed
            if self._looking is None or not self._looking.is_alive():
                if time.monotonic() - self._refreshed < older:
                    return True
                self._looking = threading.Thread(
                    target=self._look, args=(older,), name="superdiff-library", daemon=True
                )
                self._looking.start()
            looking = self._looking
        looking.join(patience)
        return not looking.is_alive()

    def read_anew(self) -> None:
        """`reindex` in a thread of its own; `reading` says how far it is."""
        with self._starting:
            if self._looking is None or not self._looking.is_alive():
                self._looking = threading.Thread(target=self._look, args=(None,), name="superdiff-library", daemon=True)
                self._looking.start()

    def _look(self, older: float | None) -> None:
        try:
            if older is None:
                self.reindex()
            else:
                self.refresh(older)
        except OutputError as error:
            self._failed = error

    def _refresh(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        if not self._there:
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
            self._put(part)
            if on_progress is not None:
                on_progress(start + len(part), len(changed))

    def _put(self, places: Sequence[tuple[str, bool]]) -> None:
        """Bring these into the index as they are now, or as gone."""
        seen = [(place, self._looked_at(*place)) for place in places]
        self.index.put(
            [found for _, found in seen if found is not None], [place for place, found in seen if found is None]
        )

    def _looked_at(self, id: str, binned: bool) -> tuple[Entry, Known] | None:
        """A folder as it is now; None where it is gone."""
        path = self._path(id, binned)
        stamp = _stamp(path)
        if stamp is None and (id, binned) in self._unnamed:
            return _unnamed(id, binned), Known(self._unnamed[id, binned], True)
        entry = read_entry(path, binned)
        if stamp is None or _stamp(path) is None:
            return None
        # What somebody is at work on changes without a new file: by its end.
        settled = entry.state != "running" and time.time_ns() - stamp > _SETTLES
        return entry, Known(stamp, settled)

    def _folders(self) -> dict[tuple[str, bool], int]:
        """All that lies in the library, by name and whether it is in the bin, with the time of its last change."""
        found = {}
        self._unnamed = {}
        for place, binned in ((self.folder, False), (self.folder / BIN, True)):
            try:
                with os.scandir(place) as listed:
                    for one in listed:
                        if one.name.startswith(".") or (not binned and _own(one.name)):
                            continue
                        with suppress(OSError):  # removed meanwhile
                            stamp, name = _whole(one.stat(follow_symlinks=False).st_mtime_ns), _text(one.name)
                            if name != one.name:
                                self._unnamed[name, binned] = stamp
                            found[name, binned] = stamp
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
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._unwritable(error) from error
            with suppress(IndexLost):
                self.index.clear()
            try:
                self._refresh_surely(on_progress)
            finally:
                self.reading = None
            self._refreshed = time.monotonic()
        return self.find(Query(part_of=None)).total + self.find(Query(part_of=None, binned=True)).total

    def find(self, query: Query | None = None) -> Found:
        """The entries that a query asks for, as the index knows them; `refresh` first to be sure."""
        return self._answered(lambda: self.index.find(query or Query())) if self._there else Found([], 0, 0)

    def counts(self, binned: bool = False) -> dict[str, dict[str, int]]:
        """How many entries have each "domain", "operator", "state" and "tag"."""
        return self._answered(lambda: self.index.counts(binned)) if self._there else {}

    @property
    def _there(self) -> bool:
        """Whether there is a folder.

        Raises:
            OutputError: where a file is in its place.
        """
        try:
            if self.folder.is_dir():
                return True
            file = self.folder.exists()
        except OSError:  # no path of a folder, or of one that nobody may see
            return False
        if file:
            raise OutputError(
                f"The library cannot be kept in {self.folder}, which is a file; name a folder in {VARIABLE}."
            )
        return False

    def entries(self, ids: Iterable[str], binned: bool = False) -> list[Entry]:
        """The entries with these ids, in their order, as the index knows them; those that are gone are left out."""
        wanted = list(ids)
        return self._answered(lambda: self.index.entries(wanted, binned)) if wanted and self._there else []

    def entry(self, id: str, binned: bool = False) -> Entry:
        """The entry of a folder as it is now; raises RecordError where there is none."""
        path = self.path(id, binned)
        entry = read_entry(path, binned)
        self.path(id, binned)  # unless it was moved meanwhile
        return entry

    def path(self, id: str, binned: bool = False) -> Path:
        """The folder with this name, which must be one of the library's own; raises RecordError where it is not."""
        # Compared with what is there: a name that somebody typed becomes no path.
        if id in self._names(binned):
            return self._path(id, binned)
        if not binned and id in self._names(True):
            raise BinnedError("This run lies in the library's bin; put it back to open it.")
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
        with self._alone():
            path = self.path(id)  # it may have been moved meanwhile
            try:
                before = read_labels(path)
            except LabelError:  # what it held stays beside it
                (path / LABELS).replace(_free(path, f"damaged-{LABELS}"))
                before = Labels()
            labels = before.changed(name, note, star, add, remove)
            write_labels(path, labels)
        self._take([(id, False)])
        return labels

    def _take(self, places: Iterable[tuple[str, bool]]) -> None:
        """Bring these into the index as they are now; where that fails, the next `refresh` does it, or says why not."""
        with suppress(OutputError):
            self._put(list(dict.fromkeys(places)))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else changes labels or moves folders meanwhile."""
        try:
            with alone(self.folder / LABELLING):
                yield
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"The library {self.folder} cannot be written: {error.strerror or error}. Free space there, or choose "
            "another folder."
        )

    def delete(self, ids: Sequence[str]) -> list[str]:
        """Put runs into the bin, a grid with its cells; gives the names that they have there, for `restore`.

        Raises:
            RecordError: where there is no such run, or somebody is at work on one; then nothing was moved.
        """
        names = self._with_parts(ids, binned=False)
        for path in map(self.path, names):
            if at_work(path):
                raise RecordError(f"The run {path.name} is at work; cancel it before you delete it.")
            if not read_entry(path).kind:
                raise RecordError(f"{path.name} is no run of this library; it is left as it is.")
        return self._move(names, binned=False)

    def restore(self, ids: Sequence[str]) -> list[str]:
        """Take runs out of the bin, a grid with its cells; gives the names that they have now."""
        return self._move(self._with_parts(ids, binned=True), binned=True)

    def _with_parts(self, ids: Sequence[str], binned: bool) -> list[str]:
        """These and their cells, a grid after its own: broken off in the middle, a move is made whole by another."""
        found: list[str] = []
        for id in ids:
            found += [one.id for one in self.find(Query(part_of=id, binned=binned)).entries] if id else []
            found.append(id)
        return list(dict.fromkeys(found))

    def _move(self, ids: Sequence[str], binned: bool) -> list[str]:
        """Move folders out of the bin, or into it; gives the names that they have there."""
        names = []
        target = self.folder if binned else self.folder / BIN
        try:
            with self._alone():
                paths = [self.path(id, binned) for id in ids]
                target.mkdir(exist_ok=True)
                for path in paths:
                    names.append(path.rename(_free(target, path.name)).name)
        finally:
            self._take([(id, place) for id in ids for place in (False, True)])
            self._take([(name, not binned) for name in names])
        return names

    def empty_bin(self, ids: Sequence[str] | None = None) -> int:
        """Remove what lies in the bin for good, all of it or these; gives the number of folders that are gone."""
        names = [name for name, binned in self._folders() if binned and (ids is None or name in ids)]
        for path in (self._path(name, True) for name in names):
            for name in RECORD:  # what says that it is whole goes first
                with suppress(OSError):
                    (path / name).unlink()
            shutil.rmtree(path, ignore_errors=True)
        self._take([(name, True) for name in names])
        return sum(not self._path(name, True).exists() for name in names)

    def thumbnails(self, entries: Iterable[Entry], wait: bool = True) -> dict[str, bytes]:
        """Small pictures of entries by id, WebP, at most 320 x 320 pixels; none of those that made no picture.

        They are made of the preview of the run or grid when they are first asked for, and kept in the index.

        Args:
            entries: of this library.
            wait: whether to wait for those that have to be made; else a thread makes them, `drawing` until it is done.
        """
        sources = {entry.id: (self._path(entry.id, entry.binned), entry.kept) for entry in entries}
        return self._answered(lambda: self._thumbnails.of(sources, wait))

    @property
    def drawing(self) -> bool:
        """Whether a thread makes small pictures that `thumbnails` was asked for."""
        return self._thumbnails.drawing

    @property
    def bytes(self) -> int:
        """Bytes that all runs take, with those in the bin."""
        return sum(self.find(Query(part_of=None, binned=binned, most=0)).bytes for binned in (False, True))


def _own(name: str) -> bool:
    """Whether a name in the library's folder is the library's own."""
    return name in _OWN or name == INDEX or name.startswith(f"{INDEX}-")


def _stamp(path: Path) -> int | None:
    """When something was last changed, links not followed; None where there is nothing."""
    try:
        return _whole(path.lstat().st_mtime_ns)
    except OSError:
        return None


def _whole(stamp: int) -> int:
    """A time that fits a column, however far away it is."""
    return max(-(2**63), min(stamp, 2**63 - 1))


def _text(name: str) -> str:
    """A name as text; bytes that are none are written out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _unnamed(name: str, binned: bool) -> Entry:
    said = "Its name is no text (UTF-8); it is left as it is. Rename it, and it can be read."
    return Entry(name, sentence=said, binned=binned)


def _free(folder: Path, name: str) -> Path:
    """A place in a folder that nothing has yet: of this name, or with a number behind it."""
    number = 1
    while os.path.lexists(folder / (name if number == 1 else f"{name}-{number}")):
        number += 1
    return folder / (name if number == 1 else f"{name}-{number}")
