"""The run of one cell of a grid, as a piece of work that may be done anywhere: it is given a recipe as JSON, and gives
back what the grid needs of it.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import ModelError, OutputError, SuperDiffError
from ..recipes.document import Recipe
from ..result import Result
from ..sampling import Step
from ..system.downloads import Download, watching
from ..system.workplaces.line import heeding
from .cells import Cell, made_cell
from .folder import LOCK
from .run import Run


@dataclass(frozen=True)
class CellAsked:
    """A cell that is to be run.

    Attributes:
        recipe: as JSON.
        part_of: the id of the grid.
        home: the folder that takes the records of all cells; None where none is kept.
        elsewhere: whether it is run where that folder is not: a record is then sent.
        whole: whether the result itself is wanted.
    """

    recipe: str
    part_of: str
    home: Path | None = None
    elsewhere: bool = False
    whole: bool = True


@dataclass(frozen=True)
class CellNews:
    """How far a cell is.

    Attributes:
        index: of the last step that was made; -1 while its models are loaded.
        steps: in all.
        download: what it fetches now; None while it fetches nothing.
    """

    index: int
    steps: int
    download: Download | None = None


@dataclass(frozen=True)
class CellMade:
    """What became of a cell's run.

    Attributes:
        cell: for the grid; None where the run was cancelled.
        result: where it was wanted and there is one.
        unkept: why the record could not be kept, in a sentence; "" where it was or need not be.
        files: of the record, where it is to be kept elsewhere.
    """

    cell: Cell | None
    result: Result[Any] | None = None
    unkept: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)


def make_cell(asked: CellAsked) -> CellMade:
    """Run a cell, wherever this process is."""
    with _place_of(asked) as home:
        made = _run(asked, home)
        if asked.elsewhere and home is not None and made.cell is not None and made.cell.run:
            made = replace(made, files=_files(home / made.cell.run))
    return made if asked.whole else replace(made, result=None)


@contextmanager
def _place_of(asked: CellAsked) -> Iterator[Path | None]:
    """The folder in which the run's record is made."""
    if asked.home is None or not asked.elsewhere:
        yield asked.home
        return
    folder = tempfile.mkdtemp(prefix="superdiff-cell-")
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path) -> dict[str, bytes]:
    """A record's files; what says that it is whole comes last."""
    names = sorted(
        (path.name for path in folder.iterdir() if path.name != LOCK), key=lambda name: name == "status.json"
    )
    return {name: (folder / name).read_bytes() for name in names}


def _run(asked: CellAsked, home: Path | None) -> CellMade:
    run = Run(Recipe.model_validate_json(asked.recipe), previews=home is not None, part_of=asked.part_of)
    run.folder = None if home is None else home / run.id
    steps, unkept, problem = run.recipe.levels.steps, "", ""
    with heeding(run) as tell:

        def show(download: Download) -> None:
            tell(CellNews(-1, steps, download if download.done < download.total else None))

        def step(at: Step) -> None:
            tell(CellNews(at.index, steps))

        tell(CellNews(-1, steps))
        if run.cancelling:
            return CellMade(None)
        try:
            with watching(show):
                result = run.execute(step)
        except OutputError as error:
            # A disk that is full costs the cell's record, not the cell.
            unkept, result = str(error), run.result
            _discard(run)
            if result is None and home is not None:
                return replace(_run(asked, None), unkept=unkept)
            problem = "" if result is not None else unkept
        except SuperDiffError as error:
            problem, result = _placed(error, asked), None
    if not problem and (result is None or not result.complete):
        _discard(run)
        return CellMade(None, unkept=unkept)
    if run.unsaved:
        _discard(run)
    named = run.id if run.folder is not None and run.folder.is_dir() else ""
    if result is None:
        return CellMade(Cell(problem=problem, failed=True, run=named), unkept=unkept)
    return CellMade(made_cell(result, run.notes, named), result, unkept)


def _discard(run: Run) -> None:
    """Remove what a cell's run left, which only its grid knows of."""
    if run.folder is not None:
        shutil.rmtree(run.folder, ignore_errors=True)


def _placed(error: SuperDiffError, asked: CellAsked) -> str:
    """Why a run failed; of a model that another machine may lack, on which one that was."""
    if isinstance(error, ModelError) and asked.elsewhere:
        return f"{error} (On {socket.gethostname()}, a machine of the cluster, where models of your own must lie too.)"
    return str(error)
