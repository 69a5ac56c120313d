"""Runs of the library as one zip, and back: what `export_zip` writes, `import_zip` reads.

    export_zip(library, ids, Path("runs.zip"))
    imported = import_zip(other, Path("runs.zip"))
    imported.came          # names in the zip -> names in the library

The zip has a folder for each run, named by its id, and manifest.json with the size and SHA-256 of every file; any zip
program reads it. The same runs give the same bytes. What comes in is checked (packed.py), unpacked into a hidden folder
of the library and moved from there whole, so a run is in the library as it was, or not at all.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import OutputError, RecordError, quoted
from ..runs.folder import BEGUN, LOCK, RECORD, at_work
from ..runs.stored import read_begun
from ..system.files import whole_file
from ..system.locks import alone, take
from .entry import OPENED, Entry, read_entry
from .index import Query
from .labels import LABELS
from .library import LABELLING, Library
from .packed import (
    CHUNK,
    FORMAT,
    KNOWN,
    MANIFEST,
    MANIFEST_LAYOUT,
    MOST_OF_A_RUN,
    PackedRun,
    folded,
    may_be_named,
    may_be_run,
    packed_runs,
)

#: Folders in which an import unpacks begin so; a living one holds a lock inside.
STAGE, _STAGED = ".import-", ".lock"
#: What is compressed already is stored as it is.
_COMPRESSED = (".npz", ".png", ".parquet")
#: What a grid's record says of its cells: files with the ids of their runs.
_GRID, _GRID_TABLE = "grid.json", "grid.csv"
_ID = re.compile(r"(\d{8}-\d{6}-)[0-9a-f]{8}")

#: Called with how many bytes are done and how many there are; what it raises ends the work, and nothing of it stays.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Exported:
    """What an export holds: ids in their order, bytes of their files, and a sentence for each that was left out."""

    ids: list[str]
    bytes: int
    refused: list[str]


@dataclass
class Imported:
    """What an import did.

    Attributes:
        came: the names that runs have in the library now, by the names that they had.
        there: names in the library of those that were there already, with the same content.
        refused: a sentence for each that was not let in, and for what is no run.
        bytes: of the files that came.
    """

    came: dict[str, str] = field(default_factory=dict)
    there: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    bytes: int = 0


def export_zip(
    library: Library, ids: Sequence[str], file: Path | BinaryIO, on_progress: Progress | None = None
) -> Exported:
    """Write runs as one zip, a grid with its cells; no more of it is in memory than a part of a file.

    Args:
        library: that has them.
        ids: of the runs; in the zip they are in order.
        file: the zip; a path is written whole or not at all.
        on_progress: as `Progress` says.

    Raises:
        RecordError: where the library has no such run, or nothing can be exported.
        OutputError: when it cannot be written.
    """
    library.refresh()
    entries, refused = _exportable(library, ids)
    sources = {entry.id: _files_of(library.folder / entry.id) for entry in entries}
    total, done = sum(size for files in sources.values() for _, size, _ in files), 0
    told: list[dict[str, Any]] = []
    target = whole_file(file) if isinstance(file, Path) else nullcontext(file)
    with target as opened, zipfile.ZipFile(opened, "w") as archive:
        for id, files in sources.items():
            parts: dict[str, dict[str, Any]] = {}
            for path, size, modified in files:
                hashed, written = hashlib.sha256(), 0
                info = _member(f"{id}/{path.name}", modified)
                info.file_size = size
                with archive.open(info, "w") as member:
                    for part in _parts_of(path, size):
                        member.write(part)
                        hashed.update(part)
                        written += len(part)
                        if on_progress is not None:
                            on_progress(done + written, total)
                done += written
                parts[path.name] = {"bytes": written, "sha256": hashed.hexdigest()}
            told.append({"id": id, "files": parts})
        document = {"format": FORMAT, "layout": MANIFEST_LAYOUT, "product": _product(), "runs": told}
        archive.writestr(_member(MANIFEST, 0), json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    return Exported(list(sources), done, refused)


def _member(name: str, modified: float) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _date(modified))
    info.compress_type = zipfile.ZIP_STORED if name.endswith(_COMPRESSED) else zipfile.ZIP_DEFLATED
    info.external_attr = 0o100644 << 16
    return info


def _parts_of(path: Path, size: int) -> Iterator[bytes]:
    """A file by parts, as long as it was when it was listed."""
    try:
        with path.open("rb") as source:
            while part := source.read(min(CHUNK, size)):
                size -= len(part)
                yield part
    except OSError as error:
        raise RecordError(
            f"The run {path.parent.name} cannot be read ({path.name}: {error.strerror or error}); leave it out."
        ) from error


def _exportable(library: Library, ids: Iterable[str]) -> tuple[list[Entry], list[str]]:
    """The entries to export, in order, with the cells of grids; and why others are left out."""
    wanted = list(ids)
    for id in dict.fromkeys(ids):
        wanted += [cell.id for cell in library.find(Query(part_of=id)).entries] if id else []
    entries, refused = [], []
    # Compared with what is there, once for all: a name that somebody typed becomes no path.
    there = {path.name for path in library.folder.iterdir()} if library.folder.is_dir() else set()
    for id in sorted(set(wanted)):
        if id not in there:
            library.path(id)  # says why
        entry = read_entry(library.folder / id)
        if not entry.kind or not may_be_run(id):
            refused.append(f"{quoted(id)} is no run of this library, and was left out.")
        elif entry.state == "running":
            refused.append(f"The run {quoted(id)} is at work, and was left out; export it when it has ended.")
        else:
            entries.append(entry)
    if not entries:
        raise RecordError(refused[0] if refused else "There is nothing to export; name a run.")
    return entries, refused


def _files_of(folder: Path) -> list[tuple[Path, int, float]]:
    """The files of a run, in order: path, bytes, time of their last change; no links, nothing hidden."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.is_symlink() and path.is_file())
        own = [path for path in paths if path.name in KNOWN]
        own += [path for path in paths if path.name not in KNOWN and _is_a_users(path.name)]
        kept = {folded(path.name): path for path in reversed(own[:MOST_OF_A_RUN])}
        return [(path, path.stat().st_size, path.stat().st_mtime) for path in sorted(kept.values())]
    except OSError as error:
        raise OutputError(f"The run {folder.name} cannot be read: {error.strerror or error}.") from error


def _is_a_users(name: str) -> bool:
    """Whether a file in a run's folder may go along that its user has put there."""
    return may_be_named(name) and not name.startswith(".") and name != LOCK


def _date(modified: float) -> tuple[int, int, int, int, int, int]:
    """As zips keep it, in UTC."""
    try:
        when = datetime.fromtimestamp(modified, UTC)
    except (ValueError, OverflowError, OSError):
        when = datetime(1980, 1, 1)
    when = when if 1980 <= when.year <= 2107 else datetime(1980, 1, 1)
    return when.year, when.month, when.day, when.hour, when.minute, when.second


def _product() -> str:
    try:
        return f"SuperDiff Studio {version('superdiff-studio')}"
    except PackageNotFoundError:  # a checkout that nobody installed
        return "SuperDiff Studio"


def import_zip(
    library: Library, file: Path | BinaryIO, on_progress: Progress | None = None, name: str = ""
) -> Imported:
    """Take runs into the library: what `export_zip` wrote, a zip of runs' folders, or a folder of them.

    A run that is there already with the same content (whatever its user calls it) stays as it is; one with other
    content comes in under a new name, a grid with its cells. Nothing is overwritten.

    Args:
        library: that takes them.
        file: the zip, or the folder.
        on_progress: as `Progress` says.
        name: what sentences call the file; left out, as the path.

    Raises:
        RecordError: when nothing of it can be let in, in a sentence.
        OutputError: when the library cannot be written.
    """
    if isinstance(file, Path) and file.is_dir() and file.resolve() == library.folder.resolve():
        raise RecordError("This folder is the library itself; what lies in it is in the library already.")
    done = Imported()
    with packed_runs(file, name) as packed:
        done.refused += packed.refused
        try:
            library.folder.mkdir(parents=True, exist_ok=True)
            sweep_imports(library.folder)
            _check_room(library.folder, sum(run.size for run in packed.runs))
            with _stage(library.folder) as stage:
                staged = _unpack(packed.runs, stage, done, on_progress)
                with alone(library.folder / LABELLING):
                    _Move(library, staged, done).all()
        except OSError as error:
            raise OutputError(
                f"The import could not be written to {library.folder}: {error.strerror or error}. Free space there, or "
                "choose another folder for the library."
            ) from error
        finally:
            library.refresh()
    return done


def sweep_imports(folder: Path) -> None:
    """Remove what imports that were killed have left in the library's folder; a living one's stays."""
    for path in folder.glob(f"{STAGE}*"):
        with suppress(OSError):
            hold = take(path / _STAGED)
            if hold is not None:
                shutil.rmtree(path, ignore_errors=True)
                hold.release()


@contextmanager
def _stage(folder: Path) -> Iterator[Path]:
    """A hidden folder of the library, which is gone after the block."""
    hold = None
    while hold is None:
        stage = folder / f"{STAGE}{time.time_ns():x}"
        stage.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # swept away between the two
            hold = take(stage / _STAGED)
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        hold.release()


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise OutputError(
            f"These runs take {size / 1e6:,.0f} MB, and {folder} has {free / 1e6:,.0f} MB left; free space there first."
        )


def _unpack(runs: Sequence[PackedRun], stage: Path, done: Imported, on_progress: Progress | None) -> list[Path]:
    """The folders of those that are what they should be, each in a folder of its own in the stage."""
    total, written, found = sum(run.size for run in runs), 0, []

    def count(more: int) -> None:
        nonlocal written
        written += more
        if on_progress is not None:
            on_progress(min(written, total), total)

    for number, run in enumerate(runs):
        folder = stage / str(number) / run.id
        folder.mkdir(parents=True)
        try:
            run.unpack(folder, count)
            entry = read_entry(folder)
            if entry.state not in OPENED or not entry.kind:
                raise RecordError(f"The run {quoted(run.id)} was not let in: {entry.sentence or 'it is no run.'}")
        except RecordError as error:
            done.refused.append(str(error))
            shutil.rmtree(folder.parent)
            continue
        found.append(folder)
    return found


class _Move:
    """Runs of the stage on their way into the library; nobody else moves any meanwhile.

    Args:
        library: that takes them.
        staged: their folders, each named as its run was.
        done: is told what became of each.
    """

    def __init__(self, library: Library, staged: Sequence[Path], done: Imported) -> None:
        self._library, self._done = library, done
        self._grids = [folder for folder in staged if (folder / _GRID).is_file()]
        self._runs = [folder for folder in staged if folder not in self._grids]
        self._whole = {folder.name for folder in self._grids}
        self._parts = {folder: read_begun(folder)["part_of"] for folder in staged}
        self._taken = {folded(path.name) for path in library.folder.iterdir()}
        #: The names in the library of all that is in the stage, and whose that is.
        self._names: dict[str, str] = {}
        self._same: set[Path] = set()

    def all(self) -> None:
        """Move them: a grid before its cells, which a second import would bring in where this one is killed."""
        for folder in [*self._grids, *self._runs]:
            self._settle(folder)
        for folder in [*self._grids, *self._runs]:
            name = self._names[folder.name]
            if folder in self._same:
                self._done.there.append(name)
                continue
            self._adapt(folder)
            self._done.bytes += sum(path.stat().st_size for path in folder.iterdir())
            folder.rename(self._library.folder / name)
            self._done.came[folder.name] = name

    def _settle(self, folder: Path) -> None:
        """Find a run's name in the library: its own, or where that is another run's, a new one."""
        part_of = self._grid_of(folder)
        for name in _names(folder.name):
            place = self._library.folder / name
            if folded(name) not in self._taken:
                break
            # A cell of a grid that comes along belongs to that one, a copy of it elsewhere does not.
            belongs = place.is_dir() and (self._parts[folder] not in self._whole or _part_of(place) == part_of)
            if belongs and not at_work(place) and _fingerprint(place) == _fingerprint(folder):
                self._same.add(folder)
                break
        self._names[folder.name] = name
        self._taken.add(folded(name))

    def _grid_of(self, folder: Path) -> str:
        """The name in the library of the grid whose cell this is; "" for none, as it is where the grid stays away."""
        part_of = self._parts[folder]
        return self._names[part_of] if part_of in self._whole else part_of

    def _adapt(self, folder: Path) -> None:
        """Let what this run says of others name them as they are named in the library."""
        part_of = self._grid_of(folder)
        if part_of != self._parts[folder]:
            begun = json.loads((folder / BEGUN).read_bytes())
            (folder / BEGUN).write_text(json.dumps(begun | {"part_of": part_of}) + "\n")
        renamed = {old: new for old, new in self._names.items() if old != new}
        if renamed and folder in self._grids:
            _rename_cells(folder, renamed)


def _names(id: str) -> Iterator[str]:
    """The names that a run may have in the library, the same in every import, ids for ids."""
    yield id
    begins, number = _ID.fullmatch(id), 1
    while True:
        number += 1
        told = hashlib.sha256(f"{id} {number}".encode()).hexdigest()[:8]
        yield f"{id[:90]}-{number}" if begins is None else begins[1] + told


def _part_of(folder: Path) -> str:
    """The grid whose cell a run of the library is; "" also where it is of a later version."""
    try:
        return read_begun(folder)["part_of"]
    except RecordError:
        return ""


def _fingerprint(folder: Path) -> dict[str, str]:
    """The hashes of a record's files, but for what an import may change and what its user notes."""
    found = {}
    for name in RECORD:
        path = folder / name
        if name in (LABELS, _GRID_TABLE) or not path.is_file():
            continue
        if name in (BEGUN, _GRID):
            found[name] = hashlib.sha256(_without_names(path.read_bytes())).hexdigest()
            continue
        with path.open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _without_names(text: bytes) -> bytes:
    """What begun.json or grid.json says, without the names of other runs; what is damaged stays as it is."""
    try:
        document = json.loads(text)
        kept = {name: value for name, value in document.items() if name not in ("part_of", "origin", "cells")}
        cells = [{name: value for name, value in cell.items() if name != "run"} for cell in document.get("cells", [])]
        return json.dumps([kept, cells], sort_keys=True).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return text


def _rename_cells(folder: Path, names: dict[str, str]) -> None:
    """Let a grid's record name its cells' runs, and the run that it came from, by new names."""
    with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):  # damaged: read as far as it can be
        document = json.loads((folder / _GRID).read_bytes())
        if "origin" in document:
            document["origin"] = names.get(document["origin"], document["origin"])
        for cell in document.get("cells", []):
            cell["run"] = names.get(cell["run"], cell["run"])
        (folder / _GRID).write_bytes(json.dumps(document).encode() + b"\n")
    if (folder / _GRID_TABLE).is_file():
        with suppress(ValueError, csv.Error, StopIteration):
            rows = list(csv.reader(io.StringIO((folder / _GRID_TABLE).read_text(), newline="")))
            column = rows[0].index("run") if rows else -1
            text = io.StringIO()
            for row in rows[:1]:
                csv.writer(text, lineterminator="\n").writerow(row)
            for row in rows[1:]:
                row = [names.get(cell, cell) if place == column else cell for place, cell in enumerate(row)]
                csv.writer(text, lineterminator="\n").writerow(row)
            (folder / _GRID_TABLE).write_text(text.getvalue())
