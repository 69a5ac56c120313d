"""Folders of a library damaged in every way: all are listed, each with a sentence, and nothing on the drive changes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import socket
import stat
import struct
import tempfile
import zipfile
import zlib
from functools import cache
from pathlib import Path

from superdiff_engine.errors import SuperDiffError
from superdiff_engine.library import Library, Query
from superdiff_engine.library.entry import STATES
from superdiff_engine.library.library import LABELLING

from .ledger import Broken, Ledger, check_sentence, walk
from .library import furnished
from .mutate import generator, mutate_bytes, mutate_document, mutate_lines

#: Names of folders: scripts, directions, spaces, what shells and pages take for something else, no text, very long.
NAMES = [
    "Übung", "実験", "тест", "ניסוי", "تجربة", "a\u202eb", "zero\u200bwidth", "<b>bold", "a\nb", "\x1b[31m", " ",
    "-rf", "$HOME", "`id`", "%s%n", "a" * 255, "é" * 127, "😀" * 63, "con", "index.sqlite3x", "a b", "..a", "~", "*",
    "\\",
    os.fsdecode(b"caf\xe9"), os.fsdecode(b"\xff\xfe"), os.fsdecode(b"\xc3\x28" * 100), "20261126-120000-0123abcd",
]  # fmt: skip
#: What a preview or a document may be instead of a file.
THINGS = ["pipe", "zero", "loop", "broken link", "folder", "socket", "sparse", "link to the log", "empty"]
#: Pixels along a side of pictures, and (number, bytes) of arrays, that are small as files.
_SIDES, _SIZES = (5000, 9000, 20_000), ((40, 2**20), (2, 2**26), (1, 2**28))


def check_folder(seed: int, number: int) -> str:
    """One library with some damage."""
    rng = generator(seed, number)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "library"
        shutil.copytree(furnished(), folder)
        Library(folder).label(_runs(folder)[0], name="a name", note="a\nnote", add=["tag"])
        if rng.random() < 0.5:
            Library(folder).delete([_runs(folder)[1]])
        outcome = ", ".join(sorted({_harm(rng, folder) for _ in range(rng.choice([1, 1, 2, 4]))}))
        before = _snapshot(folder)
        library = Library(folder)
        library.refresh()
        entries = [one for binned in (False, True) for one in library.find(Query(part_of=None, binned=binned)).entries]
        there = [path for place in (folder, folder / "bin") if place.is_dir() for path in place.iterdir()]
        hidden = {folder / "bin", folder / "queue"}
        own = [path for path in there if path.name.startswith((".", "index.sqlite3-")) or path in hidden]
        if len(entries) != len(there) - len(own) - 1:
            raise Broken(f"{outcome}: {len(entries)} are listed, {len(there) - len(own) - 1} lie there")
        for entry in entries:
            if entry.state not in STATES:
                raise Broken(f"{outcome}: {entry.state!r}")
            if entry.sentence or entry.state not in ("done", "cancelled"):
                check_sentence(entry.sentence, 1000)
            if not entry.binned:
                _open(library, entry.id, entry.can_open)
        library.thumbnails(entries)
        library.counts()
        library.find(Query(text="a name"))
        again = Library(folder)
        again.reindex()
        anew = [one for binned in (False, True) for one in again.find(Query(part_of=None, binned=binned)).entries]
        if anew != entries:
            raise Broken(f"{outcome}: the index made anew says something else")
        if _snapshot(folder) != before:
            raise Broken(f"{outcome}: something on the drive has changed")
        return outcome


def _runs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if (path / "samples.npz").is_file())


def _open(library: Library, id: str, can_open: bool) -> None:
    try:
        library.open(id)
    except SuperDiffError as error:
        # A sentence of the reader names the folder, whose name may be anything, and where it lies.
        said = str(error).replace(str(library.folder), "DIR").replace(id, "ID")
        check_sentence(said, 1000)
    else:
        if not can_open:
            raise Broken(f"{id!r} is opened though it is not to be")


def _harm(rng: random.Random, folder: Path) -> str:
    """Damage something; says what, in a word or two."""
    runs = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.is_symlink() and path.name != "bin"]
    run = rng.choice(runs)
    files = sorted(path for path in run.iterdir() if path.is_file())
    kind = rng.randrange(8)
    if kind < 3 and files:
        path = rng.choice([one for one in files if one.suffix == ".json"] or files)
        content = path.read_bytes()
        if kind == 0:
            try:
                document = json.dumps(mutate_document(rng, json.loads(content), [0, 1, 2, 1e9])).encode()
            except (ValueError, RecursionError):
                document = content[1:]
            path.write_bytes(document)
            return "a document with another value"
        path.write_bytes(mutate_lines(rng, content) if kind == 1 else mutate_bytes(rng, content))
        return "a document with other bytes"
    if kind == 3 and files:
        path = rng.choice(files)
        path.write_bytes(mutate_bytes(rng, path.read_bytes()))
        return "a file with other bytes"
    if kind == 4:
        target = run.with_name(rng.choice(NAMES))
        if not os.path.lexists(target):
            run.rename(target)
        return "a folder of another name"
    if kind == 5:
        path = run / rng.choice(["recipe.json", "status.json", "begun.json", "labels.json", "grid.json", "preview.png",
                                 "samples.npz", "replay.npz", "trace.parquet", "run.log", "run.lock"])  # fmt: skip
        _instead(rng.choice(THINGS), path)
        return "a thing instead of a file"
    if kind == 6:
        (run / "preview.png").write_bytes(_png_bomb(rng.choice(_SIDES)))
        (run / "samples.npz").write_bytes(_npz_bomb(*rng.choice(_SIZES)))
        return "files that unpack to very much"
    for _ in range(rng.choice([1, 30, 300])):
        place = folder / f"{rng.choice(NAMES)[:40]}{rng.randrange(10**6)}"
        if rng.random() < 0.5:
            place.write_bytes(rng.randbytes(20))
        else:
            _instead(rng.choice(THINGS), place)
    return "foreign files"


def _instead(kind: str, path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        return
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "broken link":
        path.symlink_to("/nowhere/at/all")
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        here = os.open(path.parent, os.O_RDONLY)
        try:
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(f"/proc/self/fd/{here}/{path.name[:40]}")
        except OSError:  # a name that is too long, or no text
            path.touch()
        finally:
            os.close(here)
    elif kind == "sparse":
        with path.open("wb") as file:
            file.truncate(2**36)
    elif kind == "link to the log":
        path.symlink_to("run.log")
    else:
        path.touch()


@cache
def _png_bomb(side: int) -> bytes:
    """A picture of side x side black pixels, small as a file."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packer, rows = zlib.compressobj(9), b"\0" * (side // 8 + 2)
    data = b"".join([*(packer.compress(rows) for _ in range(side)), packer.flush()])
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@cache
def _npz_bomb(count: int, size: int) -> bytes:
    """An archive of arrays that unpack to so many bytes each."""
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({size // 8},), }}".ljust(117) + "\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            with archive.open(f"samples_{number}.npy", "w", force_zip64=True) as file:
                file.write(array)
                for _ in range(size // 2**20):
                    file.write(bytes(2**20))
    return buffer.getvalue()


def _snapshot(folder: Path) -> dict[str, tuple]:
    """All that lies there, but for the library's index and its lock."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in [*names, "."]:
            path = Path(place) / name
            if path.parent == folder and (name.startswith("index.sqlite3") or name == LABELLING):
                continue
            told = path.lstat()
            content = ""
            if stat.S_ISREG(told.st_mode) and told.st_size < 2**24:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            if stat.S_ISLNK(told.st_mode):
                content = str(path.readlink())
            found[str(path.relative_to(folder))] = (told.st_mode, told.st_size if name != "." else 0, content)
    return found


def check(seed: int, numbers: list[int], command: str) -> list[Ledger]:
    """All libraries."""
    furnished()
    for side, size in zip(_SIDES, _SIZES, strict=True):
        _png_bomb(side), _npz_bomb(*size)
    try:
        ledger = Ledger("library, folders", command)
        return [walk(ledger, numbers, lambda number: check_folder(seed, number), limit=60, memory=512)]
    finally:
        shutil.rmtree(furnished(), ignore_errors=True)
        furnished.cache_clear()
