"""Runs in a zip or a folder of anybody's, before they are let into the library: what there is, and what is refused.

Nothing is unpacked before the listing is bounded, every name is one of a run's files, and sizes, counts and the ratio
of compression are within bounds; what a file then holds is counted and hashed again while it is unpacked. What is
wrong with a run refuses that run, in a sentence, and the others go on.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, cast

from ..errors import NewerError, RecordError, quoted
from ..runs.folder import LOCK, RECORD
from ..runs.stored import MOST_READ
from ..system.locks import is_held
from .index import INDEX

#: The file of an export that names its runs, their files and hashes; what it calls itself; the version of its layout.
MANIFEST, FORMAT, MANIFEST_LAYOUT = "manifest.json", "superdiff-library", 1
#: Files of a zip or a folder, bytes of a zip's own listing, bytes of its manifest, files of one run.
MOST_FILES, MOST_LISTING, MOST_MANIFEST, MOST_OF_A_RUN = 100_000, 16 * 1024**2, 64 * 1024**2, 64
#: Bytes of all runs together, unpacked; how many times its packed size a run may have that is larger than the last.
MOST_UNPACKED, MOST_RATIO, RATIO_FROM = 256 * 1024**3, 100, 64 * 1024**2
#: How deep below a zip's or a folder's root runs are looked for, and the letters of a name.
_DEEPEST, _LONGEST = 5, 100
#: Bytes that are read at once.
CHUNK = 1 << 20
#: What systems leave beside people's files; nothing is said of it.
_LITTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}
#: Files that a run or a grid may have where no manifest speaks of it.
KNOWN = {*RECORD, "grid.csv"}
#: Files of which one makes a folder a run's.
_MARKS = {"begun.json", "recipe.json", "status.json"}
#: What reading a damaged zip can raise.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, ValueError, EOFError, OverflowError,
    MemoryError, RecursionError,
)  # fmt: skip


@dataclass(frozen=True)
class PackedFile:
    """A file of a run, as a zip or a folder tells of it.

    Attributes:
        size: in bytes, unpacked; packed: as it lies there.
        modified: seconds since 1970.
        open: gives its content.
        trouble: why it may not be unpacked, "" for nothing.
        sha256: that its manifest says; "" where there is none.
    """

    name: str
    size: int
    packed: int
    modified: float
    open: Callable[[], IO[bytes]]
    trouble: str = ""
    sha256: str = ""


@dataclass
class PackedRun:
    """A run or a grid in a zip or a folder; `id` is the name of its folder."""

    id: str
    files: list[PackedFile]

    @property
    def size(self) -> int:
        """Bytes of its files, unpacked."""
        return sum(file.size for file in self.files)

    def unpack(self, folder: Path, on_bytes: Callable[[int], None]) -> None:
        """Write its files into a folder that is there and empty.

        Args:
            folder: of nobody else.
            on_bytes: called with how many bytes were written since the last call; may raise.

        Raises:
            RecordError: when a file is not what the listing or the manifest says.
            OSError: when it cannot be written.
        """
        for file in self.files:
            told, count = hashlib.sha256(), 0
            with (folder / file.name).open("xb") as target:
                for part in self._parts(file):
                    count += len(part)
                    if count > file.size:
                        break
                    told.update(part)
                    target.write(part)
                    on_bytes(len(part))
            if count != file.size:
                raise RecordError(f"The run {quoted(self.id)} was not let in: its {file.name} is damaged.")
            if file.sha256 and told.hexdigest() != file.sha256:
                raise RecordError(
                    f"The run {quoted(self.id)} was not let in: its {file.name} is not what was exported; export it "
                    "again."
                )
            with suppress(OSError, OverflowError, ValueError):  # a date that no drive can keep
                os.utime(folder / file.name, (file.modified, file.modified))

    def _parts(self, file: PackedFile) -> Iterator[bytes]:
        try:
            with file.open() as source:
                while part := source.read(CHUNK):
                    yield part
        except _BROKEN:
            raise RecordError(f"The run {quoted(self.id)} was not let in: its {file.name} cannot be read.") from None


@dataclass
class Packed:
    """What a zip or a folder holds: runs that may be unpacked, and a sentence for everything else."""

    runs: list[PackedRun] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Member:
    """A file somewhere in a zip or a folder; `parts` are the names from its root to the file."""

    parts: tuple[str, ...]
    file: PackedFile


@contextmanager
def packed_runs(source: Path | BinaryIO, name: str = "") -> Iterator[Packed]:
    """The runs of a zip or a folder, for as long as the block lasts.

    Args:
        source: an export of the library, a zip of runs' folders or of one run's files, or a folder of either kind.
        name: what sentences call it; left out, as the path.

    Raises:
        RecordError: when it can be nothing of that, in a sentence; NewerError where a later version exported it.
    """
    name = quoted(name or (source.name if isinstance(source, Path) else "this file"))
    if isinstance(source, Path) and source.is_dir():
        yield _gathered(list(_of_folder(source)), source.name, name)
        return
    if isinstance(source, Path) and not source.is_file():
        raise RecordError(f"There is no file or folder {name} to import.")
    opened: AbstractContextManager[BinaryIO]
    try:
        opened = source.open("rb") if isinstance(source, Path) else nullcontext(source)
    except OSError as error:
        raise RecordError(f"{name} cannot be read: {error.strerror or error}.") from None
    with opened as file:
        try:
            archive = zipfile.ZipFile(cast(BinaryIO, _Bounded(file)))
        except _BROKEN:
            raise RecordError(
                f"{name} is no zip that can be read; choose one that was exported here, or a zip of runs' folders."
            ) from None
        with archive:
            yield _gathered(_of_zip(archive, file.seek(0, os.SEEK_END), name), Path(name).stem, name)


class _Bounded:
    """A file of which nothing is read at once that is longer than a zip's listing may be."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def seekable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        found = self._file.read(min(count, MOST_LISTING + 1) if count >= 0 else MOST_LISTING + 1)
        if len(found) > MOST_LISTING:
            raise zipfile.BadZipFile("too long a listing")
        return found


def _of_zip(archive: zipfile.ZipFile, length: int, name: str) -> list[_Member]:
    """The files of a zip of so many bytes; raises RecordError where its listing cannot be true."""
    listed = archive.infolist()
    if len(listed) > MOST_FILES:
        raise RecordError(
            f"{name} has {len(listed):,} files, and at most {MOST_FILES:,} are taken; import it in parts."
        )
    if sum(info.compress_size for info in listed) > length:
        raise RecordError(f"{name} was not let in: its files overlap, or are said to be longer than it is.")
    found = []
    for info in listed:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir() and kind != stat.S_IFLNK:
            continue
        trouble = ""
        if kind == stat.S_IFLNK:
            trouble = "is a link"
        elif kind not in (0, stat.S_IFREG):
            trouble = "is no file"
        elif info.flag_bits & 1:
            trouble = "is locked with a password"
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            trouble = "is compressed in another way than zips commonly are"
        try:
            modified = datetime(*info.date_time, tzinfo=UTC).timestamp()
        except (ValueError, OverflowError):
            modified = time.time()
        parts = tuple(info.orig_filename.split("/"))
        file = PackedFile(parts[-1], info.file_size, info.compress_size, modified, partial(archive.open, info), trouble)
        found.append(_Member(parts, file))
    return found


def _of_folder(root: Path) -> Iterator[_Member]:
    """The files of a folder and of those in it, links not followed."""
    waiting: list[tuple[Path, tuple[str, ...]]] = [(root, ())]
    count = 0
    while waiting:
        folder, parts = waiting.pop()
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda one: one.name)
        except OSError:
            continue
        for one in entries:
            here = (*parts, one.name)
            if one.is_dir(follow_symlinks=False):
                if len(here) < _DEEPEST and not one.name.startswith("."):
                    waiting.append((folder / one.name, here))
                continue
            count += 1
            if count > MOST_FILES:
                raise RecordError(
                    f"{root.name} has more than {MOST_FILES:,} files; choose the folder that holds the runs."
                )
            about = one.stat(follow_symlinks=False)
            trouble = "" if stat.S_ISREG(about.st_mode) else "is a link" if one.is_symlink() else "is no file"
            path = folder / one.name
            if one.name == LOCK and is_held(path):
                trouble = "is held: a program is at work on it"
            size = about.st_size
            yield _Member(here, PackedFile(one.name, size, size, about.st_mtime, partial(_opened, path), trouble))


def _opened(path: Path) -> IO[bytes]:
    return path.open("rb")


def _gathered(members: list[_Member], stem: str, name: str) -> Packed:
    """The runs among the files, each checked by what the listing says of it."""
    found, strays = Packed(), []
    folders: dict[tuple[str, ...], list[PackedFile]] = {}
    for member in members:
        if any(part in _LITTER or part.startswith("._") or part == ".DS_Store" for part in member.parts):
            continue
        if not all(map(may_be_named, member.parts)) or len(member.parts) > _DEEPEST + 1:
            strays.append("/".join(member.parts))
            continue
        folders.setdefault(member.parts[:-1], []).append(member.file)
    marked = {place for place, files in folders.items() if any(file.name in _MARKS for file in files)}
    # A whole library: what its user has deleted stays deleted.
    bins = {(*place, "bin") for place, files in folders.items() if any(file.name == INDEX for file in files)}
    told = {
        place: _read_manifest(manifest, name)
        for place, files in folders.items()
        if place not in marked and (manifest := _manifest(files)) is not None
    }
    binned = 0
    # What a manifest names comes before whatever else has its name.
    unnamed = {place: not place or place[-1] not in told.get(place[:-1], {}) for place in folders}
    for place, files in sorted(folders.items(), key=lambda one: (unnamed[one[0]], one[0])):
        if place not in marked:
            strays += ["/".join((*place, file.name)) for file in files if not _passed_over(place, file.name)]
        elif place[:-1] in bins:
            binned += 1
        else:
            listed = told.get(place[:-1], {}).pop(place[-1], None) if place else None
            run = PackedRun(place[-1] if place else stem, files)
            try:
                strays += [f"{run.id}/{name}" for name in _check(run, listed)]
                if any(folded(run.id) == folded(other.id) for other in found.runs):
                    raise RecordError(f"There are two runs {quoted(run.id)} in {name}; the second was not let in.")
                found.runs.append(run)
            except RecordError as error:
                found.refused.append(str(error))
    found.refused += [
        f"The run {quoted(id)} was not let in: {name} names it in its manifest and does not hold it."
        for ids in told.values()
        for id in ids
    ]
    if binned:
        found.refused.append(f"What lies in the bin of {name} was left out: {binned} of its folders.")
    if not found.runs and not found.refused:
        raise RecordError(f"There is no run in {name}; choose a zip that was exported here, or a run's folder.")
    if strays:
        more = f" and {len(strays) - 1:,} more" if len(strays) > 1 else ""
        found.refused.append(f"No file of a run, left out: {quoted(strays[0])}{more}.")
    if sum(run.size for run in found.runs) > MOST_UNPACKED:
        raise RecordError(
            f"{name} was not let in: unpacked it is larger than {MOST_UNPACKED // 1024**3} GiB; import it in parts."
        )
    return found


def _check(run: PackedRun, listed: dict[str, tuple[int, str]] | None) -> list[str]:
    """Keep the files of a run that are known; gives the names of the others.

    Args:
        run: whose files are those of its folder.
        listed: size and SHA-256 of each of its files as its manifest says; None where none speaks of it.

    Raises:
        RecordError: when the run is not let in.
    """
    id = quoted(run.id)

    def refused(why: str) -> RecordError:
        return RecordError(f"The run {id} was not let in: {why}.")

    if not may_be_run(run.id):
        raise refused("its folder has a name that no run has; rename it")
    for file in run.files:
        if file.trouble:
            raise refused(f"its {quoted(file.name)} {file.trouble}")
    known = set(KNOWN if listed is None else listed) - {LOCK}
    files = [file for file in run.files if file.name in known]
    others = [file.name for file in run.files if file.name not in known and not _passed_over((), file.name)]
    same = [folded(file.name) for file in files]
    twice = [file.name for file in files if same.count(folded(file.name)) > 1]
    if twice:
        raise refused(f"it has {quoted(twice[0])} twice")
    if len(files) > MOST_OF_A_RUN:
        raise refused(f"it has {len(files):,} files, and a run has at most {MOST_OF_A_RUN}")
    large = [file.name for file in files if file.size > MOST_READ]
    if large:
        raise refused(f"its {quoted(large[0])} is larger than {MOST_READ // 1024**3} GiB")
    if run.size > max(RATIO_FROM, MOST_RATIO * sum(file.packed for file in files)):
        raise refused(f"unpacked it is more than {MOST_RATIO} times as large")
    if listed is not None:
        lost = sorted(set(listed) - {file.name for file in files})
        if lost:
            raise refused(f"its {quoted(lost[0])} is missing")
        other = [file.name for file in files if file.size != listed[file.name][0]]
        if other:
            raise refused(f"its {quoted(other[0])} is not what was exported; export it again")
        files = [replace(file, sha256=listed[file.name][1]) for file in files]
    run.files = sorted(files, key=lambda file: file.name)
    return others


def _manifest(files: Iterable[PackedFile]) -> PackedFile | None:
    return next((file for file in files if file.name == MANIFEST and not file.trouble), None)


def _read_manifest(file: PackedFile, name: str) -> dict[str, dict[str, tuple[int, str]]]:
    """Size and SHA-256 of each file of each run, by the run's id; empty where it is another program's manifest."""
    if file.size > MOST_MANIFEST:
        raise RecordError(f"{name} was not let in: its {MANIFEST} is longer than any that is exported.")
    try:
        with file.open() as source:
            document = json.loads(source.read(MOST_MANIFEST))
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            return {}
        layout = int(document["layout"])
        if layout > MANIFEST_LAYOUT:
            raise NewerError(
                f"{name} is of version {layout}, which a later SuperDiff Studio exported; this one reads version "
                f"{MANIFEST_LAYOUT}. Install a newer one to import it."
            )
        return {
            str(run["id"]): {
                str(part): (int(told["bytes"]), str(told["sha256"])) for part, told in run["files"].items()
            }
            for run in document["runs"]
        }
    except (*_BROKEN, KeyError, TypeError, AttributeError):
        raise RecordError(f"{name} was not let in: its {MANIFEST} is damaged; export it again.") from None


def _passed_over(place: tuple[str, ...], name: str) -> bool:
    """Whether nobody needs to hear that a file is left out: what processes leave, and a library's own files."""
    own = name in (MANIFEST, LOCK) or name.startswith((".", INDEX))
    return own or (bool(place) and place[-1] == "queue")


def may_be_named(part: str) -> bool:
    """Whether a name can be a file's or a folder's here and nothing else: no way up, no root, no drive."""
    plain = all(unicodedata.category(letter) not in ("Cc", "Cf", "Cs") for letter in part)
    return plain and part not in ("", ".", "..") and not set(part) & set("/\\:") and len(part.encode()) <= 200


def may_be_run(id: str) -> bool:
    """Whether a folder of the library may have this name."""
    named = 0 < len(id) <= _LONGEST and not id.startswith(".") and id not in ("bin", "queue", MANIFEST)
    return named and may_be_named(id) and not id.startswith(INDEX)


def folded(name: str) -> str:
    """The same for names that some drive cannot tell apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
