"""The finished cells of a grid that is not finished, in a folder beside its picture: so that the same command goes on
after its process was ended, however that was.

The folder holds about.json (which grid, its id, its recipe as its models were resolved), cells.json (as a grid's
grid.json) and a PNG for each cell's picture. It is removed when the grid is finished. A cell whose record was written
but not yet told of there, when the process was ended, is taken from its record.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..domains.checked import parse_recipe
from ..errors import NewerError, OutputError, SuperDiffError
from ..recipes.document import Recipe
from ..system.files import read_bounded, write_whole
from ..system.locks import Hold, take
from ..system.sandbox import LARGEST_RECIPE
from .axes import Axis
from .cells import Cell, axes_document, made_cell
from .folder import at_work, remove_bare
from .grid_file import MOST_BYTES, grid_json, read_grid_json
from .grid_picture import Place
from .stored import StoredRun, read_begun, read_record
from .work import is_id

log = logging.getLogger("superdiff.sweep")

_ABOUT, _CELLS, _LOCK = "about.json", "cells.json", "lock"
#: Bytes of a cell's picture that are read.
_MOST_PICTURE = 16 * 1024**2


class Unfinished:
    """What is kept of a grid until it is finished.

    Args:
        out: the grid's picture; the folder stands beside it, as PICTURE.unfinished.
        recipe: what all cells have in common, as it was asked for.
        x: across; y: down, None for a single row.
        cells: the folder that takes the records of the cells' runs; None for nowhere.

    Attributes:
        id: of the grid as it was begun; "" where none was, or another one.
        recipe: of that, as its models were resolved; None likewise.

    Raises:
        OutputError: where another process is at work on it or has just finished it, or the folder cannot be made.
    """

    def __init__(self, out: Path, recipe: Recipe, x: Axis, y: Axis | None, cells: Path | None) -> None:
        self._out = out
        self.folder = out.with_name(f"{out.name}.unfinished")
        self._x, self._y, self._cells = x, y, cells
        self._key = _key(recipe, x, y, cells)
        self._drawn: set[Place] = set()
        #: The runs of the cells that are taken up.
        self._taken: set[str] = set()
        self._hold: Hold | None = None
        self.id, self.recipe = self._read_about()

    def _read_about(self) -> tuple[str, Recipe | None]:
        try:
            about: Any = json.loads(read_bounded(self.folder / _ABOUT, LARGEST_RECIPE))
            if about["key"] == self._key and is_id(about["id"]):
                return about["id"], parse_recipe(json.dumps(about["recipe"]))
        except (SuperDiffError, OSError, ValueError, KeyError, TypeError, RecursionError):
            pass  # there is none, or none that can be used: the grid begins anew
        return "", None

    def begin(self, id: str, recipe: Recipe) -> None:
        """Keep what is finished from now on; what another grid left there goes.

        Args:
            id: of the grid.
            recipe: as its models are resolved.
        """
        try:
            self.folder.mkdir(exist_ok=True)
            self._hold = take(self.folder / _LOCK)
            if self._hold is None:
                raise OutputError(f"Another process is at work on this grid, in {self.folder}; wait for its end.")
            if self.id and self._read_about()[0] != self.id:
                self.close(finished=True)
                raise OutputError(f"Another process has just finished this grid; its picture is {self._out}.")
            if self.id:
                # Of cells that were at work, and are run again.
                for folder in self._records():
                    if folder.name not in self._taken:
                        shutil.rmtree(folder, ignore_errors=True)
                for folder in self._runs():
                    remove_bare(folder)
            else:
                for path in self.folder.iterdir():
                    if path.name != _LOCK and path.is_file():
                        path.unlink()
            about = {"key": self._key, "id": id, "recipe": json.loads(recipe.to_json())}
            write_whole(self.folder / _ABOUT, json.dumps(about).encode())
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be written: {error.strerror or error}.") from error

    def read(self, recipes: Mapping[Place, Recipe]) -> dict[Place, Cell]:
        """The cells that need not be run again: those with a result, whose pictures and records are there.

        Args:
            recipes: of the cells that can be run, by place.
        """
        if not self.id:
            return {}
        found = self._told()
        self._taken = {cell.run for cell in found.values()}
        wanted = {recipe.to_json(): place for place, recipe in recipes.items() if place not in found}
        for folder in self._records() if wanted else ():
            run = _whole_run(folder) if folder.name not in self._taken else None
            place = None if run is None else wanted.pop(run.recipe.to_json(), None)
            if run is not None and run.result is not None and place is not None:
                found[place] = made_cell(run.result, run.notes, run.id)
                self._taken.add(run.id)
        return found

    def _told(self) -> dict[Place, Cell]:
        """The cells that cells.json tells of, as far as what it tells of is there."""
        try:
            document = read_grid_json(read_bounded(self.folder / _CELLS, MOST_BYTES), str(self.folder))
        except (SuperDiffError, OSError):
            return {}
        if (document.x, document.y) != (self._x, self._y):
            return {}
        found = {}
        for place, cell in document.settled().items():
            recorded = self._cells is None or not cell.run or (self._cells / cell.run / "status.json").is_file()
            picture = None if cell.problem else self._picture(place)
            if not cell.failed and recorded and (picture is not None or cell.problem):
                found[place] = replace(cell, picture=picture)
                self._drawn.add(place)
        return found

    def _records(self) -> list[Path]:
        """The records of this grid's cells that nobody is at work on, whole or not."""
        return [folder for folder in self._runs() if self._is_part(folder) and not at_work(folder)]

    def _runs(self) -> list[Path]:
        """The folders of all runs that are where the cells' records are kept."""
        try:
            folders = [] if self._cells is None else sorted(self._cells.iterdir())
        except OSError:  # there is none yet
            return []
        return [folder for folder in folders if is_id(folder.name)]

    def _is_part(self, folder: Path) -> bool:
        try:
            return read_begun(folder)["part_of"] == self.id
        except NewerError:
            return False

    def _picture(self, place: Place) -> Image.Image | None:
        try:
            picture = Image.open(io.BytesIO(read_bounded(self._file(place), _MOST_PICTURE)), formats=["PNG"])
            picture.load()
            return picture
        except Exception:  # whatever a damaged picture makes its reader raise: the cell is run again
            return None

    def _file(self, place: Place) -> Path:
        return self.folder / f"{place[0]}-{place[1]}.png"

    def keep(self, cells: Mapping[Place, Cell]) -> None:
        """Keep the cells as they stand, once it has begun; what cannot be written would be run again."""
        if self._hold is None:
            return
        try:
            for place, cell in cells.items():
                if cell.picture is not None and place not in self._drawn:
                    buffer = io.BytesIO()
                    cell.picture.save(buffer, "PNG", compress_level=1)
                    write_whole(self._file(place), buffer.getvalue())
                    self._drawn.add(place)
            write_whole(self.folder / _CELLS, grid_json(self._x, self._y, cells, ""))
        except OutputError as error:
            log.warning("what is finished of a grid: %s", error)

    def close(self, finished: bool) -> None:
        """Let it go; `finished`: nothing of it is needed any more."""
        if finished and self._hold is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._hold is not None:
            self._hold.release()
            self._hold = None


def _whole_run(folder: Path) -> StoredRun | None:
    """The run of a record that was made to its end; None where it was not, or cannot be read."""
    try:
        run = read_record(folder)
    except SuperDiffError:
        return None
    return run if run.state == "done" and run.result is not None else None


def _key(recipe: Recipe, x: Axis, y: Axis | None, cells: Path | None) -> str:
    """A hash of all that decides the cells: the recipe, the axes, and what computes them."""
    try:
        own = version("superdiff-studio")
    except PackageNotFoundError:
        own = ""
    home = None if cells is None else str(cells.resolve())
    parts = [recipe.to_json(), axes_document(x, y), home, own, torch.__version__]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
