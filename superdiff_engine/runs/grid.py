"""A grid over one or two parameters of a recipe: a run for every cell, as one picture with labelled axes.

An axis is a parameter's name and its values: x_0 .. x_{n-1} go across, y_0 .. y_{m-1} go down. Cell (i, j), row i and
column j, is a run of the recipe with the two parameters set to y_i and x_j and everything else, the seed too, as it
is: whatever differs between two cells comes from the axes. A run is a recipe's alone, so each cell can be made again.
Where the two do not go together (an estimator that does not follow that solver), the cell says so, and is not run.

    sweep = Sweep(recipe, parse_axis("temperature=0,1,10"), parse_axis("seed=0:4"))
    for row, column, result in sweep.results():
        ...
    write_whole(Path("grid.png"), sweep.png())

Where a sample is a picture, a cell is one sample; elsewhere (the plane) it is the preview of as many as the recipe has.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from ..domains import get_domain
from ..domains.checked import make_recipe
from ..errors import FieldError, OutputError, RecipeError, SuperDiffError
from ..recipes.document import Recipe
from ..result import Result
from ..sampling import Step
from ..system.files import write_whole
from ..system.visible_text import visible
from .axes import Axis, parameter, with_values
from .cells import GRID_CHUNK, Cell, Grid, cell_figures, cell_picture, grid_title
from .failures import explain
from .folder import OutputFolder, output_file
from .grid_file import GRID, grid_csv, grid_json
from .grid_picture import Place
from .record import CHECKPOINT_SECONDS
from .run import Run
from .work import State

__all__ = ["GRID_CHUNK", "Sweep", "grid_title"]

log = logging.getLogger("superdiff.sweep")


class Sweep(Grid):
    """A run for every cell of a grid, one after the other; `execute` does the work, the rest may be read by any thread.

    A cell that fails keeps its sentence in place of a picture, and the others go on. What is measured in each is kept
    (`cells.cell_figures`), and so is the record of its run, where there is a place for it.

    Args:
        recipe: what all cells have in common.
        x: across; y: down, None for a single row.
        batch: samples a cell; None for 1 where a sample is a picture (one group of a correction's particles, of which a
            cell shows one that is drawn by what they count for), and the recipe's number elsewhere.
        folder: where to keep the record: recipe.json, grid.json, grid.png, grid.csv, run.log, status.json; None for
            nowhere.
        cells: a folder in which each cell's run gets a record of its own, CELLS/ID; None for nowhere.
        origin: the id of the run that the grid is asked for under.
        id: of a grid that waited elsewhere; "" for a new one.

    Attributes:
        recipes: of the cells that can be run, by place.
        kept_in: see `cells`.

    Raises:
        RecipeError: one sentence, if an axis does not fit the recipe.
    """

    def __init__(
        self,
        recipe: Recipe,
        x: Axis,
        y: Axis | None = None,
        batch: int | None = None,
        folder: Path | None = None,
        cells: Path | None = None,
        origin: str = "",
        id: str = "",
    ) -> None:
        if y is not None and x.name == y.name:
            raise RecipeError(f"Both axes vary '{x.name}'; choose two different parameters.")
        regrouped = any(parameter(axis.name).groups for axis in (x, y) if axis is not None)
        if batch is None and get_domain(recipe.domain).sample_is_picture and not regrouped:
            batch = recipe.group
        common = recipe if batch is None else make_recipe(recipe.model_dump() | {"batch": batch})
        super().__init__(common, x, y, folder, origin, id)
        self.kept_in = cells
        self.recipes, self._unfit = self._derive()
        self._current: Run | None = None
        self._output: OutputFolder | None = None
        self._files: dict[Path, Callable[[], bytes]] = {}
        self._problem = ""
        self._outcome: tuple[State, str] = ("failed", "")
        self._unsaved: list[str] = []

    def _derive(self) -> tuple[dict[Place, Recipe], dict[Place, str]]:
        """The recipes of the cells, and the sentences of those whose values do not go together.

        Raises:
            FieldError: if a value is out of its field's bounds.
            RecipeError: if no cell can be.
        """
        recipes: dict[Place, Recipe] = {}
        unfit: dict[Place, str] = {}
        for place in self.places:
            try:
                recipes[place] = with_values(self.recipe, self.values_at(place))
            except FieldError:
                raise
            except RecipeError as error:
                unfit[place] = str(error)
        if not recipes:
            raise RecipeError(next(iter(unfit.values())))
        return recipes, unfit

    @property
    def unfit(self) -> dict[Place, str]:
        """Why cells cannot be run, in a sentence each."""
        return dict(self._unfit)

    def results(self, on_step: Callable[[Step], None] | None = None) -> Iterator[tuple[int, int, Result]]:
        """Run the cells, row by row, and yield (row, column, result) of each that ends; failures are passed over.

        Args:
            on_step: called at every step of every cell.
        """
        self._started = time.monotonic()
        for place, problem in self._unfit.items():
            self._keep(place, Cell(problem=problem, failed=True))
        for place, recipe in self.recipes.items():
            result = self._cell(place, recipe, on_step)
            if result is None and place not in self._cells:
                break  # cancelled
            if result is not None:
                yield *place, result
        self._current, self._ended = None, time.monotonic()

    def _cell(
        self, place: Place, recipe: Recipe, on_step: Callable[[Step], None] | None, kept: bool = True
    ) -> Result[Any] | None:
        """Run one cell and settle it, which it is not where it was cancelled; gives its result."""
        home = self.kept_in if kept else None
        run = self._current = Run(recipe, previews=home is not None, part_of=self.id)
        run.folder = None if home is None else home / run.id
        # Looked at after `_current` is set: whoever cancels sets the event first and looks for a run then.
        if self._cancel.is_set():
            return None
        problem = ""
        try:
            result = run.execute(on_step)
        except OutputError as error:
            # A disk that is full costs the cell's record, not the cell.
            self._unkept(run, error)
            if run.result is None and kept:
                return self._cell(place, recipe, on_step, kept=False)
            problem, result = "" if run.result is not None else str(error), run.result
        except SuperDiffError as error:
            problem, result = str(error), None
        if not problem and (result is None or not result.complete):
            self._discard(run)
            return None
        if run.unsaved:
            self._discard(run)
        named = run.id if run.folder is not None and run.folder.is_dir() else ""
        if result is None:
            self._keep(place, Cell(problem=problem, failed=True, run=named))
            return None
        picture, figures = cell_picture(result, run.notes), cell_figures(result)
        if isinstance(picture, str):
            self._keep(place, Cell(problem=picture, figures=figures, run=named))
        else:
            self._keep(place, Cell(picture, figures=figures, run=named))
        return result

    def _unkept(self, run: Run, error: OutputError) -> None:
        self._discard(run)
        sentence = f"Not every cell's run could be kept: {error}"
        if not self.notes:
            self.notes.append(sentence)
        log.warning("grid %s: %s", self.id, sentence)

    def _discard(self, run: Run) -> None:
        """Remove what a cell's run left, which only this grid knows of."""
        if run.folder is not None:
            shutil.rmtree(run.folder, ignore_errors=True)

    def _resolve(self) -> None:
        """Decide once for all cells what the recipe leaves open of its models; if that fails, every cell says why."""
        try:
            with self._loading():
                resolved = get_domain(self.recipe.domain).resolve(self.recipe)
        except SuperDiffError:
            return
        finally:
            self.state = "running"
        if resolved != self.recipe:
            self.recipe = resolved
            self.recipes, self._unfit = self._derive()

    def _keep(self, place: Place, cell: Cell) -> None:
        with self._lock:
            self._cells[place] = cell

    def execute(
        self, on_step: Callable[[Step], None] | None = None, out: Path | None = None, table: Path | None = None
    ) -> dict[Place, Image.Image | str]:
        """Run all cells, keep their pictures and numbers and the record. Returns `cells`.

        Args:
            on_step: called at every step of every cell.
            out: a file for the picture, written after the first cell, every 30 seconds and at the end; None for
                grid.png in the folder. A file that is there is replaced.
            table: a file for the numbers as CSV, written likewise; None for grid.csv in the folder.

        Raises:
            SuperDiffError: if not a single cell could be made, or a file cannot be written.
        """
        self.state = "running"
        saved = -math.inf
        try:
            self._resolve()
            self._begin_record(out, table)
            for _ in self.results(on_step):
                self._save_cells()
                if time.monotonic() - saved >= CHECKPOINT_SECONDS:
                    self._save_files()
                    saved = time.monotonic()
            self._conclude()
        except BaseException as error:
            self.state = "failed"
            self.message = explain(error, self.recipe, "the studio's log")
            if isinstance(error, Exception) and not isinstance(error, SuperDiffError):
                raise SuperDiffError(self.message) from error
            raise
        finally:
            self._ended = self._ended or time.monotonic()
            if self._output is not None:
                self._output.release()
            self.finished.set()
        return self.cells

    def _begin_record(self, out: Path | None, table: Path | None) -> None:
        """Find out before the first cell whether the record can be kept; old files at `out` and `table` go."""
        if self.folder is not None:
            output = OutputFolder(self.folder)
            output.begin(f"grid {self.id}", self.id)
            output.write("recipe.json", self.recipe.to_json().encode)
            self._output = output
            self._save_cells()
        for asked, name, make in ((out, "grid.png", self.png), (table, "grid.csv", self.csv)):
            if asked is not None:
                self._files[output_file(asked)] = make
            elif self.folder is not None:
                self._files[self.folder / name] = make

    def csv(self) -> bytes:
        """The numbers of all cells so far, as CSV (`grid_file.grid_csv`)."""
        return grid_csv(self.x, self.y, self.settled)

    def _save_cells(self) -> None:
        """Write what the cells are, as they stand; what goes wrong is tried again with the next."""
        if self._output is not None:
            self._output.write(GRID, lambda: grid_json(self.x, self.y, self.settled, self.origin))

    def _save_files(self) -> list[str]:
        """Write the picture and the table as they stand; gives the names of those that could not be written."""
        unsaved = []
        for path, make in self._files.items():
            try:
                write_whole(path, make())
            except Exception as error:
                self._problem = explain(error, self.recipe, "the studio's log")
                log.warning("grid %s: %s", self.id, self._problem, exc_info=not isinstance(error, SuperDiffError))
                unsaved.append(path.name)
        return unsaved

    def _conclude(self) -> None:
        """Settle the state and complete the record; it is there even if no cell could be made."""
        failures = self.failures
        whole = len(self.settled) == self.size
        fruitless = whole and len(failures) == self.size
        reason = next((text for place, text in failures.items() if place in self.recipes), "") if fruitless else ""
        self._outcome = "failed" if fruitless else "done" if whole else "cancelled", reason
        self._settle()
        if self.message:
            raise SuperDiffError(self.message) if fruitless else OutputError(self.message)

    def _settle(self) -> None:
        """The files, the log and, last, the status: a grid whose files are not all there is not done."""
        cells, (state, message) = self.settled, self._outcome
        self._unsaved = [] if len(self.failures) == len(cells) else self._save_files()
        if self._unsaved and state != "failed":
            state, message = "failed", f"{self._problem} The grid is kept in memory."
        if self._output is not None:
            self._save_cells()
            problems = [(place, cell.problem) for place, cell in cells.items() if cell.problem]
            lines = [f"cell in row {row}, column {column} (from 0): {text}" for (row, column), text in problems]
            status = {
                "id": self.id,
                "state": state,
                "message": message,
                "cells": self.done,
                "of": self.size,
                "seconds": round(self.seconds, 3),
                "notes": self.notes,
            }
            logged = visible("\n".join([f"grid {self.id}", *lines, *self.notes, ""])).encode()
            self._output.forget("run.log", "status.json")
            self._output.try_again()
            if not self._output.write("run.log", lambda: logged):
                self._output.make_room()
            self._output.write("status.json", lambda: (json.dumps(status, indent=2) + "\n").encode())
            self._unsaved += self._output.unsaved
            if self._output.unsaved and state != "failed":
                state, message = "failed", f"{self._output.problem} The grid is kept in memory."
            self._output.release()
        self.state, self.message = state, message

    @property
    def unsaved(self) -> list[str]:
        """As every work's."""
        return list(self._unsaved)

    def save_again(self) -> bool:
        """As every work's."""
        if self.unsaved:
            self._settle()
        return not self.unsaved

    def interrupt(self) -> None:
        """As every work's; what loads is the cell's run."""
        self.cancel()
        current = self._current
        if current is not None:
            current.interrupt()

    def cancel(self) -> None:
        """Ask to stop: within one step; finished cells stay, the one at work is dropped."""
        super().cancel()
        current = self._current
        if current is not None:
            current.cancel()

    @property
    def current(self) -> Run | None:
        """The run of the cell at work."""
        return self._current

    @property
    def fraction(self) -> float:
        """The share of all cells' steps that are done, 0 to 1."""
        settled, current = self.cells, self._current
        work = {place: recipe.levels.steps + 1 for place, recipe in self.recipes.items()}
        done = sum(steps for place, steps in work.items() if place in settled)
        if current is not None and not current.finished.is_set():
            done += len(current.trace)
        return min(done / sum(work.values()), 1.0)

    @property
    def eta(self) -> float | None:
        """Seconds still to go, by the pace so far; None before there is a pace."""
        fraction = self.fraction
        if fraction == 0 or self._ended is not None:
            return None
        return self.seconds * (1 / fraction - 1)
