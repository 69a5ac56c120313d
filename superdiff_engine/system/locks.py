"""Files that a living process holds: a lock ends with the process that holds it, however that ends.

Where files cannot be locked (Windows, some network drives), one that was written within the last hour counts as held.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from .files import ABANDONED

fcntl: Any
try:
    import fcntl
except ImportError:
    fcntl = None

#: Seconds in which whoever merely looks whether a file is held has let it go again.
_LOOK = 1.0


class Hold:
    """A file that this process holds, until `release`, or until the process or this object is gone."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._file = path, file

    def release(self) -> None:
        """Let it go and remove it; more than once does no harm."""
        if not self._file.closed:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            self._file.close()


def take(path: Path) -> Hold | None:
    """Hold a file, which is made; None where another holder has it. Raises OSError where it cannot be made."""
    end = time.monotonic() + _LOOK
    while True:
        file = open(path, "ab")  # noqa: SIM115
        if _locked(file):
            if _same(path, file):
                os.utime(file.fileno())
                return Hold(path, file)
            end += 0.01  # its last holder removed it meanwhile
        file.close()
        if time.monotonic() > end:
            return None
        time.sleep(0.01)


def is_held(path: Path) -> bool:
    """Whether a living process holds this file."""
    try:
        if not path.is_file():  # opening a pipe may wait for ever
            return False
        with open(path, "rb") as file:
            if fcntl is None:
                return time.time() - os.fstat(file.fileno()).st_mtime < ABANDONED
            return not _locked(file, shared=True)  # so that two who look are not in each other's way
    except OSError:
        return False


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Only one process and thread at a time is in such a block of the same file, for as short as it can be."""
    with open(path, "ab") as file:
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _locked(file: BinaryIO, shared: bool = False) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _same(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False
