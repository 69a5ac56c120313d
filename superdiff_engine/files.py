"""Files that are written whole or not at all, and read no further than they may be long."""

from __future__ import annotations

import os
import secrets
import select
import stat
from pathlib import Path

from .errors import OutputError, SuperDiffError

#: How long the program at the other end of a pipe may be silent.
PIPE_SECONDS = 30.0


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is either complete or not there (or as it was before).

    Raises:
        OutputError: when it cannot be written, for instance because the disk is full.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"{path.name} could not be written to {path.parent}: {error.strerror}. Free space there or choose another "
            "folder."
        ) from error


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
