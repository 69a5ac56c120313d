"""Files that are there whole or not at all, and read no further than they may be long.

A file is written beside its place, under a name that ends in .partial, and moved there once it is complete. Its writer
holds a lock on it meanwhile; what a killed process left behind has none, and is swept away by whoever writes into the
same folder next.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import OutputError, SuperDiffError

#: How long the program at the other end of a pipe may be silent.
PIPE_SECONDS = 30.0

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: there age alone tells what nobody writes any more
    fcntl = None

#: Seconds after which a partial file is an abandoned one, where files cannot be locked.
ABANDONED = 3600.0

_PARTIAL = re.compile(r"\..+\.[0-9a-f]{8}\.partial")
_swept: set[Path] = set()
#: What this process writes now.
_at_work: set[Path] = set()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is either complete or not there (or as it was before).

    Raises:
        OutputError: when it cannot be written, for instance because the disk is full.
    """
    with whole_file(path) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, by parts, that is there when the block ends well; else all is as it was before.

    Raises:
        OutputError: when it cannot be written, for instance because the disk is full.
    """
    if path.parent not in _swept:
        _swept.add(path.parent)
        sweep_partials(path.parent)
    partial = path
    try:
        partial, file = _begin(path)
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:  # still locked: nobody takes it for an abandoned one
                os.replace(partial, path)
        if fcntl is None:
            os.replace(partial, path)
    except OSError as error:
        raise OutputError(
            f"{path.name} could not be written to {path.parent}: {error.strerror or error}. Free space there or choose "
            "another folder."
        ) from error
    finally:
        if partial is not path:
            partial.unlink(missing_ok=True)
            _at_work.discard(partial)


def _begin(path: Path) -> tuple[Path, BinaryIO]:
    """A new file beside `path`, locked."""
    while True:
        # Cut, so that any name that fits a folder has one beside it that does.
        partial = path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}.partial")
        _at_work.add(partial)
        try:
            file = open(partial, "xb")  # noqa: SIM115
        except BaseException:
            _at_work.discard(partial)
            raise
        if fcntl is None:
            return partial, file
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            return partial, file
        if partial.exists():
            return partial, file
        file.close()  # swept away between the two
        _at_work.discard(partial)


def sweep_partials(folder: Path) -> None:
    """Remove what processes that are gone left half-written in a folder; what a living one writes stays."""
    try:
        names = [entry.name for entry in os.scandir(folder) if _PARTIAL.fullmatch(entry.name)]
    except OSError:
        return
    for name in names:
        _remove_abandoned(folder / name)


def _remove_abandoned(partial: Path) -> None:
    try:
        with open(partial, "r+b") as file:
            locked = False
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    locked = True
                except BlockingIOError:
                    return  # somebody writes it
                except OSError:
                    pass  # a file system without locks
            abandoned = locked or time.time() - os.fstat(file.fileno()).st_mtime > ABANDONED
            if abandoned and fcntl is not None:
                partial.unlink(missing_ok=True)
        if abandoned:
            partial.unlink(missing_ok=True)
    except OSError:
        return


def drop_partials() -> None:
    """Remove what this process is writing now; for one that is about to end at once."""
    for partial in list(_at_work):
        try:
            partial.unlink(missing_ok=True)
        except OSError:
            continue


def read_bounded(path: Path, most: int) -> bytes:
    """What a file or a pipe (/dev/stdin, a named pipe) holds, `most + 1` bytes of it if it holds more than `most`.

    A pipe is read to its end, for as long as there is something at its other end.

    Raises:
        SuperDiffError: where there is nothing to read: a folder, a device, a silent pipe.
    """
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
        source = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            kind = os.fstat(source).st_mode
            if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
                raise OSError(0, f"it is {'a folder' if stat.S_ISDIR(kind) else 'a device'}, not a file")
            return _read(source, most)
        finally:
            os.close(source)
    except OSError as error:
        raise SuperDiffError(f"{path} could not be read: {error.strerror}.") from None


def _read(source: int, most: int) -> bytes:
    content = b""
    while len(content) <= most:
        try:
            part = os.read(source, most + 1 - len(content))
        except BlockingIOError:  # of a pipe whose other end has nothing to say yet
            if not select.select([source], [], [], PIPE_SECONDS)[0]:
                raise OSError(0, f"nothing came from this pipe for {PIPE_SECONDS:.0f} seconds") from None
            continue
        if not part:
            break
        content += part
    return content
