"""The folder of a run or a grid while it is written.

From its first moment it says what it is (begun.json) and that somebody is at work on it (run.lock, held by that
process): a folder without status.json whose lock nobody holds is of a run that was broken off.

A folder holds one record. What cannot be written, because the disk is full say, is made again from what is in memory
and written later: with the next file, or when somebody asks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ..errors import OutputError
from ..system.files import sweep_partials, write_whole
from ..system.locks import Hold, is_held, take

#: The files of a record, in the order in which an old one is removed: what says that it is whole goes first.
RECORD = (
    "status.json",
    "samples.npz",
    "preview.png",
    "grid.png",
    "grid.csv",
    "replay.npz",
    "trace.parquet",
    "grid.json",
    "labels.json",
    "recipe.json",
    "begun.json",
    "run.log",
)
#: The version of what a folder holds; a folder of a later one is left as it is.
LAYOUT = 1
#: What a folder is and since when, and what whoever writes it holds.
BEGUN, LOCK = "begun.json", "run.lock"
#: Bytes of blank lines that keep room in run.log, so that the status fits where a disk has filled up meanwhile.
_ROOM = 8192
#: Seconds for which a folder may hold nothing, not even a lock, while somebody begins a record there.
_BEGINNING = 1.0


class OutputFolder:
    """A folder that takes the record of one run.

    Args:
        path: of the folder; made by `begin`.
        replace: whether a record that is there goes, whole; else it is refused.

    Attributes:
        problem: why the last file could not be written, in a sentence; empty when all could.
    """

    def __init__(self, path: Path, replace: bool = False) -> None:
        self.path, self.replace = path, replace
        self.problem = ""
        self._begun = False
        self._hold: Hold | None = None
        self._waiting: dict[str, Callable[[], bytes]] = {}

    def begin(self, title: str, id: str, part_of: str = "") -> None:
        """Make the folder ready for a new record.

        Args:
            title: with which its log begins.
            id: of the run or grid.
            part_of: the id of the grid whose cell this run is; "" for none.

        Raises:
            OutputError: when it holds a record already, somebody else writes it, or it cannot be written.
        """
        try:
            sweep_partials(self.path)
            held = [name for name in RECORD if (self.path / name).exists()]
            # A recipe alone is no record: it may be what the user runs.
            if held not in ([], ["recipe.json"]) and not self.replace:
                raise OutputError(
                    f"The folder {self.path} holds the record of another run ({', '.join(reversed(held))}); choose "
                    "another folder, or replace that record with --replace."
                )
            self.path.mkdir(parents=True, exist_ok=True)
            self._hold = take(self.path / LOCK)
            if self._hold is None:
                raise OutputError(f"Another run is at work in {self.path}; choose another folder, or wait for its end.")
            for name in held if self.replace else ():
                (self.path / name).unlink(missing_ok=True)
            about = {"id": id, "begun": datetime.now(UTC).isoformat(), "part_of": part_of, "layout": LAYOUT}
            write_whole(self.path / BEGUN, (json.dumps(about) + "\n").encode())
            write_whole(self.path / "run.log", title.encode() + b"\n" * _ROOM)
        except OutputError:
            self.release()
            raise
        except OSError as error:
            self.release()
            raise OutputError(
                f"The folder {self.path} cannot be written: {error.strerror or error}. Choose another one."
            ) from error
        except ValueError as error:  # a zero byte
            raise OutputError(f"The folder {self.path} cannot be written: {error}. Choose another one.") from error
        self._begun = True

    def release(self) -> None:
        """Nobody is at work here any more, unless something has still to be written."""
        if self._hold is not None and not self._waiting:
            self._hold.release()

    @property
    def begun(self) -> bool:
        """Whether this record, and not another one, is in the folder."""
        return self._begun

    @property
    def unsaved(self) -> list[str]:
        """The names of the files that could not be written yet."""
        return list(self._waiting)

    def write(self, name: str, make: Callable[[], bytes]) -> bool:
        """Write a file whole, or remember that it is to be written; says whether it is there.

        Args:
            name: of the file.
            make: its bytes; called again when it has to be written later.
        """
        try:
            write_whole(self.path / name, make())
        except OutputError as error:
            self.problem = str(error)
            self._waiting[name] = make
            return False
        self._waiting.pop(name, None)
        if not self._waiting:
            self.problem = ""
        return True

    def forget(self, *names: str) -> None:
        """Give up files that could not be written: they will be made anew."""
        for name in names:
            self._waiting.pop(name, None)

    def try_again(self) -> bool:
        """Write what could not be written; says whether all of it is there now."""
        written = [self.write(name, make) for name, make in list(self._waiting.items())]  # a small one may fit
        return all(written)

    def make_room(self) -> None:
        """Give up the room that run.log keeps."""
        try:
            path = self.path / "run.log"
            text = path.read_bytes().rstrip(b"\n") + b"\n"
            with open(path, "r+b") as file:
                file.truncate(len(text))
        except OSError:
            return


def at_work(folder: Path) -> bool:
    """Whether a living process is at work in a folder."""
    return is_held(folder / LOCK)


def is_bare(folder: Path) -> bool:
    """Whether a folder holds nothing but what a run leaves that was killed before its first file was there."""
    return all(path.name == LOCK or path.name.startswith(".") for path in folder.iterdir())


def remove_bare(folder: Path) -> None:
    """Remove a folder if it is bare and nobody is at work in it."""
    try:
        if not is_bare(folder) or at_work(folder) or time.time() - folder.stat().st_mtime < _BEGINNING:
            return
        sweep_partials(folder)
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()  # only if it is empty now
    except OSError:
        return


def output_file(path: Path) -> Path:
    """A file that is about to be made: its folder is there and can be written, and what an earlier run left is not.

    Raises:
        OutputError: when it cannot be written.
    """
    try:
        if not path.parent.is_dir():
            raise OutputError(f"{path} cannot be written: there is no folder {path.parent}. Choose another name.")
        if path.is_dir():
            raise OutputError(f"{path} is a folder; name a file.")
        write_whole(path, b"")  # whether it can be written at all
        path.unlink()
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}. Choose another name.") from error
    return path
