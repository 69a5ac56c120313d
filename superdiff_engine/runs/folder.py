"""The folder of a run or a grid while it is written.

A folder holds one record. What cannot be written, because the disk is full say, is made again from what is in memory
and written later: with the next file, or when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import OutputError
from ..system.files import sweep_partials, write_whole

#: The files of a record, in the order in which an old one is removed: what says that it is whole goes first.
RECORD = (
    "status.json",
    "samples.npz",
    "preview.png",
    "grid.png",
    "replay.npz",
    "trace.parquet",
    "grid.json",
    "recipe.json",
    "run.log",
)
#: Bytes of blank lines that keep room in run.log, so that the status fits where a disk has filled up meanwhile.
_ROOM = 8192


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
        self._waiting: dict[str, Callable[[], bytes]] = {}

    def begin(self, title: str) -> None:
        """Make the folder ready for a new record, whose log begins with `title`.

        Raises:
            OutputError: when it holds a record already or cannot be written.
        """
        try:
            sweep_partials(self.path)
            held = [name for name in RECORD if (self.path / name).exists()]
            # A recipe alone is no record: it may be what the user runs.
            if held not in ([], ["recipe.json"]):
                if not self.replace:
                    raise OutputError(
                        f"The folder {self.path} holds the record of another run ({', '.join(reversed(held))}); choose "
                        "another folder, or replace that record with --replace."
                    )
                for name in held:
                    (self.path / name).unlink(missing_ok=True)
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(self.path / "run.log", title.encode() + b"\n" * _ROOM)
        except OSError as error:
            raise OutputError(
                f"The folder {self.path} cannot be written: {error.strerror or error}. Choose another one."
            ) from error
        except ValueError as error:  # a zero byte
            raise OutputError(f"The folder {self.path} cannot be written: {error}. Choose another one.") from error
        self._begun = True

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
