"""What waits on a server, or is at work there, on disk: so that a server that ends, however it ends, loses none of it.

A server writes its own file, QUEUE/SERVER.json, whole at every change, and holds QUEUE/SERVER.lock as long as it lives.
One that starts takes over the files of servers that are gone; files of living ones it leaves alone. What it has taken
over stands in its own file before the other one is removed.
"""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..domains.checked import make_recipe
from ..errors import OutputError, SuperDiffError
from ..recipes.document import Recipe
from ..system.files import read_bounded, write_whole
from ..system.locks import Hold, is_held, take
from ..system.workplaces.choice import SETTING, offered_cluster, opens_at
from .axes import Axis
from .estimation import Estimation
from .grid import Sweep
from .run import Run
from .work import is_id

#: The version of the files; one of a later version is left as it is.
VERSION = 1
#: Bytes of such a file that are read.
_MOST = 64 * 1024 * 1024

Kind = Literal["run", "grid", "check", "file", "unreadable"]
_KINDS: tuple[Kind, ...] = ("run", "grid", "check", "file")


def waiting_document(work: Run | Sweep | Estimation, origin: str = "", cluster: bool = False) -> dict[str, Any]:
    """What is kept of a piece of work, as JSON.

    Args:
        work: a run, a grid, or an estimation of log-densities.
        origin: the id of the run that a grid or an estimation belongs to; an estimation without one is of a file.
        cluster: whether a grid is for the cluster that is offered, which is not named: a file may be forged.
    """
    document: dict[str, Any] = {"id": work.id, "recipe": work.recipe.model_dump(mode="json"), "origin": origin}
    if isinstance(work, Sweep):
        axes = {"x": work.x.model_dump(mode="json"), "y": None if work.y is None else work.y.model_dump(mode="json")}
        return {"kind": "grid", "cluster": cluster} | document | axes
    if isinstance(work, Run):
        return {"kind": "run"} | document
    return {"kind": "check" if origin else "file"} | document


@dataclass(frozen=True)
class Waiting:
    """A piece of work that a server which is gone has left.

    Attributes:
        key: by which it is named: the id of the work, else a name of its own.
        kind: "check" is an estimation of a run's own samples, "file" one of samples from a file, "unreadable" all that
            cannot be understood.
        document: what is kept of it.
        recipe: of it; None where it cannot be read.
        problem: why it cannot be queued again, in a sentence; "" where it can.
        begun: whether it was at work when its server ended.
        asked: when it was asked for, in seconds since 1970; 0 where that is not known.
        file: a whole file that cannot be read; None for an entry of one.
    """

    key: str
    kind: Kind
    document: Any
    recipe: Recipe | None = None
    problem: str = ""
    begun: bool = False
    asked: float = 0.0
    file: Path | None = None

    @property
    def origin(self) -> str:
        """The id of the run that it belongs to; "" where it is a run itself."""
        return str(self.document.get("origin", "")) if isinstance(self.document, dict) else ""

    @property
    def cluster(self) -> bool:
        """Whether it is a grid for the cluster that is offered."""
        return isinstance(self.document, dict) and self.document.get("cluster") is True

    def work(self) -> Run | Sweep:
        """The same run or grid again: with its id, unless it had begun; what it had made keeps that one.

        Raises:
            SuperDiffError: in a sentence, where it cannot be queued again.
        """
        if self.problem or self.recipe is None:
            raise SuperDiffError(self.problem or "This entry of the queue cannot be read.")
        recipe, id = make_recipe(self.document["recipe"]), "" if self.begun else self.key
        if self.kind == "grid":
            x, y = (None if self.document[name] is None else _axis(self.document[name]) for name in ("x", "y"))
            if x is None:
                raise SuperDiffError("This grid of the queue has no axis.")
            opens = opens_at(offered_cluster() if self.cluster else None)
            return Sweep(recipe, x, y, batch=recipe.batch, id=id, opens=opens)
        return Run(recipe, id=id)


class QueueFile:
    """The file of one server.

    Args:
        folder: of the files of all servers; made when there is something to be kept.
        library: with a folder for each run and grid, which says whether it has ended.
    """

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder, self._library = folder, library
        self._name = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(4)
        self._hold: Hold | None = None
        self._written = b""
        #: Files of servers that are gone, with their locks, until what they hold stands in this one's file.
        self._taken: list[tuple[Path, Hold]] = []

    @property
    def path(self) -> Path:
        """The file of this server; it is there while there is something to be kept."""
        return self.folder / f"{self._name}.json"

    def write(self, documents: Sequence[Any]) -> None:
        """Keep these and nothing else.

        Raises:
            OutputError: when that cannot be written.
        """
        content = json.dumps({"version": VERSION, "entries": list(documents)}).encode() if documents else b""
        try:
            if content and content != self._written:
                self.folder.mkdir(parents=True, exist_ok=True)
                if self._hold is None:
                    self._hold = take(self.path.with_suffix(".lock"))
                write_whole(self.path, content)
            elif not content:
                self._clear()
        except OSError as error:
            raise OutputError(f"The queue could not be kept in {self.folder}: {error.strerror or error}.") from error
        self._written = content
        for path, hold in self._taken:
            path.unlink(missing_ok=True)
            hold.release()
        self._taken = []

    def _clear(self) -> None:
        self.path.unlink(missing_ok=True)
        if self._hold is not None:
            self._hold.release()
            self._hold = None
        with suppress(OSError):
            self.folder.rmdir()  # if nobody else has anything there

    def close(self) -> None:
        """Let the file go as it is, for the next server to take over."""
        for hold in [*filter(None, [self._hold]), *(hold for _, hold in self._taken)]:
            hold.release()
        self._hold, self._taken = None, []

    def take_over(self) -> list[Waiting]:
        """What servers that are gone have left; `write` it, and their files go."""
        found: list[Waiting] = []
        try:
            paths = sorted(path for path in self.folder.iterdir() if path != self.path)
        except OSError:
            return []
        for path in paths:
            if path.suffix == ".damaged":
                found.append(_damaged(path))
            elif path.suffix == ".json" and not is_held(path.with_suffix(".lock")):
                with suppress(OSError):
                    found += self._take(path)
        return found

    def _take(self, path: Path) -> list[Waiting]:
        hold = take(path.with_suffix(".lock"))
        if hold is None:
            return []
        try:
            if not path.exists():  # somebody else was quicker
                hold.release()
                return []
            document = json.loads(read_bounded(path, _MOST))
            version, entries = document["version"], document["entries"]
            if not isinstance(version, int) or not isinstance(entries, list):
                raise ValueError(path)
        except (SuperDiffError, ValueError, RecursionError, KeyError, TypeError):
            aside = path.with_suffix(".damaged")
            path.replace(aside)
            hold.release()
            return [_damaged(aside)]
        if version > VERSION:
            hold.release()
            problem = f"{path.name} was written by a later SuperDiff Studio; start that one to queue its runs again."
            return [Waiting(path.stem, "unreadable", None, problem=problem, file=path)]
        self._taken.append((path, hold))
        read = [read_waiting(entry, f"{path.stem}-{place}", self._library) for place, entry in enumerate(entries)]
        return [one for one in read if one is not None]


def read_waiting(document: Any, key: str, library: Path) -> Waiting | None:
    """An entry of a file; None for what has ended meanwhile.

    Args:
        document: of the entry.
        key: by which it is named if it has no id.
        library: with the folders of runs and grids.
    """
    if not isinstance(document, dict) or document.get("kind") not in _KINDS or not is_id(str(document.get("id"))):
        return Waiting(key, "unreadable", document, problem="An entry of the queue is damaged and cannot be read.")
    key, kind, asked = document["id"], document["kind"], document.get("asked", 0)
    if not is_id(str(document.get("origin"))):
        document["origin"] = ""
    if not isinstance(asked, int | float) or not math.isfinite(asked):
        asked = 0
    folder = library / key
    if (folder / "status.json").exists():
        return None
    begun = document.get("begun") is True or folder.exists()
    recipe, problem = None, ""
    try:
        if not isinstance(document.get("recipe"), dict):
            raise SuperDiffError("its recipe cannot be read.")
        recipe = make_recipe(document["recipe"])
        if kind == "grid":
            Sweep(recipe, _axis(document.get("x")), None if document.get("y") is None else _axis(document["y"]))
    except SuperDiffError as error:
        problem = f"It cannot be queued again as it was: {error}"
    if document.get("cluster") is True and not problem and not offered_cluster():
        problem = f"It was for a Ray cluster, and {SETTING} names none now; ask for the grid again."
    if kind == "file":
        problem = "It was for samples of a file, which the studio does not keep; give the file again."
    return Waiting(key, kind, document, recipe, problem, begun, float(asked))


def _axis(document: Any) -> Axis:
    try:
        return Axis.model_validate(document)
    except ValueError:
        raise SuperDiffError("an axis of its grid cannot be read.") from None


def _damaged(path: Path) -> Waiting:
    problem = f"{path.name} in {path.parent} is damaged, and what waited there cannot be read; the file is kept."
    return Waiting(path.stem, "unreadable", None, problem=problem, file=path)
