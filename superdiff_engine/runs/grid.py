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
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..domains import get_domain
from ..domains.checked import make_recipe
from ..errors import FieldError, OutputError, RecipeError, SuperDiffError
from ..recipes.document import Recipe
from ..result import Result
from ..system.files import write_whole
from ..system.interrupts import Interrupted
from ..system.visible_text import visible
from ..system.workplaces.choice import Opens, in_this_process
from ..system.workplaces.here import Here
from ..system.workplaces.workplace import Task, Workplace
from .axes import Axis, parameter, with_values
from .cell_run import CellAsked, CellMade, CellNews, make_cell
from .cells import GRID_CHUNK, Cell, Grid, grid_title
from .failures import explain
from .folder import OutputFolder, output_file
from .grid_file import GRID, grid_csv, grid_json
from .grid_picture import Place
from .record import CHECKPOINT_SECONDS
from .unfinished import Unfinished
from .work import State

__all__ = ["GRID_CHUNK", "Sweep", "grid_title"]

log = logging.getLogger("superdiff.sweep")


class Sweep(Grid):
    """A run for every cell of a grid, wherever that is: `execute` does it, and the rest may be read by any thread.

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
        opens: where the cells are run; one after the other in this process unless it says otherwise.

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
        opens: Opens = in_this_process,
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
        self._opens = opens
        self._unfinished: Unfinished | None = None
        self._workplace: Workplace | None = None
        self._at_work: dict[Place, CellNews] = {}
        #: Of all steps, the share that was there when the first cell began.
        self._share = 0.0
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

    def results(self, on_step: Callable[[CellNews], None] | None = None) -> Iterator[tuple[int, int, Result]]:
        """Run the cells, row by row, and yield (row, column, result) of each that ends; failures are passed over.

        Args:
            on_step: called at every step of every cell; of cells that are run elsewhere, at some of them.
        """
        with self._opened() as workplace:
            for place, result in self._made(workplace, on_step):
                if result is not None:
                    yield *place, result

    @contextmanager
    def _opened(self) -> Iterator[Workplace]:
        """Where the cells are run, as long as the block lasts."""
        state, self.state = self.state, "loading"
        try:
            workplace = self._opens(self._cancel.is_set)
        except Interrupted:
            if not self._cancel.is_set():
                raise
            workplace = Here()
        self.state = state
        try:
            with workplace:
                self._workplace = workplace
                # Looked at after `_workplace` is set: whoever cancels sets the event first and looks for it then.
                if self._cancel.is_set():
                    workplace.cancel()
                yield workplace
        finally:
            self._workplace = None

    def _made(
        self, workplace: Workplace, on_step: Callable[[CellNews], None] | None, whole: bool = True
    ) -> Iterator[tuple[Place, Result[Any] | None]]:
        """Have the cells run and settle each that ends; gives their places and, if `whole`, their results."""
        self._started = time.monotonic()
        for place, problem in self._unfit.items():
            self._keep(place, Cell(problem=problem, failed=True))
        self._share = self.fraction
        threads = torch.get_num_threads()
        futures: dict[Future[Any], Place] = {}
        for place, recipe in self.recipes.items():
            if place in self.settled:
                continue
            asked = CellAsked(recipe.to_json(), self.id, self.kept_in, not workplace.shares_disk, whole)
            task = Task(make_cell, (asked,), threads, get_domain(recipe.domain).threads or threads, recipe.device)
            futures[workplace.start(task, partial(self._hear, place, on_step))] = place
        for future in workplace.as_completed(futures):
            place = futures[future]
            try:
                made = None if future.cancelled() else future.result()
            except SuperDiffError as error:
                made = CellMade(Cell(problem=str(error), failed=True))
            with self._lock:
                self._at_work.pop(place, None)
            if made is not None and made.cell is not None:
                self._keep(place, self._recorded(made, made.cell))
                yield place, made.result
        self._ended = time.monotonic()

    def _hear(self, place: Place, on_step: Callable[[CellNews], None] | None, news: CellNews) -> None:
        """Take a cell's news; of cells that are run elsewhere, in another thread."""
        with self._lock:
            self._at_work[place] = news
        if on_step is not None and news.index >= 0:
            on_step(news)

    def _recorded(self, made: CellMade, cell: Cell) -> Cell:
        """The cell, with the record of its run, if it was made elsewhere, written here."""
        unkept = made.unkept
        if made.files and self.kept_in is not None:
            folder = self.kept_in / cell.run
            try:
                folder.mkdir(parents=True, exist_ok=True)
                for name, content in made.files.items():
                    write_whole(folder / name, content)
            except (OSError, OutputError) as error:
                unkept, cell = str(error), replace(cell, run="")
                shutil.rmtree(folder, ignore_errors=True)
        if unkept:
            sentence = f"Not every cell's run could be kept: {unkept}"
            if not self.notes:
                self.notes.append(sentence)
            log.warning("grid %s: %s", self.id, sentence)
        return cell

    def go_on(self, unfinished: Unfinished) -> bool:
        """Keep there what is finished until all is, and take up what was kept there; says whether anything was.

        It is called before `execute`, whose files then replace those of before.
        """
        self._unfinished = unfinished
        if unfinished.recipe is None:
            return False
        self.id, self.recipe = unfinished.id, unfinished.recipe
        if self.folder is not None:
            self.folder = self.folder.parent / self.id
        self.recipes, self._unfit = self._derive()
        with self._lock:
            self._cells.update(unfinished.read(self.recipes))
        return True

    def _resolve(self) -> None:
        """Decide once for all cells what the recipe leaves open of its models; if that fails, every cell says why."""
        decided = self._unfinished is not None and self._unfinished.recipe is not None  # when it was begun
        if decided or self._cancel.is_set():
            self.state = "running"
            return
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
        self, on_step: Callable[[CellNews], None] | None = None, out: Path | None = None, table: Path | None = None
    ) -> dict[Place, Image.Image | str]:
        """Run all cells, keep their pictures and numbers and the record. Returns `cells`.

        Args:
            on_step: as for `results`.
            out: a file for the picture, written after the first cell, every 30 seconds and at the end; None for
                grid.png in the folder. A file that is there is replaced.
            table: a file for the numbers as CSV, written likewise; None for grid.csv in the folder.

        Raises:
            SuperDiffError: if not a single cell could be made, or a file cannot be written.
        """
        self.state = "running"
        saved = -math.inf
        try:
            with self._opened() as workplace:
                self._resolve()
                self._begin_record(out, table)
                for _ in self._made(workplace, on_step, whole=False):
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
            if self._unfinished is not None:
                made = any(not cell.failed for cell in self.settled.values())
                self._unfinished.close(finished=self.state == "done" or not made)
            self.finished.set()
        return self.cells

    def _begin_record(self, out: Path | None, table: Path | None) -> None:
        """Find out before the first cell whether the record can be kept; old files at `out` and `table` go."""
        if self.folder is not None:
            again = self._unfinished is not None and bool(self._unfinished.id)
            output = OutputFolder(self.folder, replace=again)
            output.begin(f"grid {self.id}", self.id)
            output.write("recipe.json", self.recipe.to_json().encode)
            self._output = output
            self._save_cells()
        for asked, name, make in ((out, "grid.png", self.png), (table, "grid.csv", self.csv)):
            if asked is not None:
                self._files[output_file(asked)] = make
            elif self.folder is not None:
                self._files[self.folder / name] = make
        if self._unfinished is not None:
            self._unfinished.begin(self.id, self.recipe)

    def csv(self) -> bytes:
        """The numbers of all cells so far, as CSV (`grid_file.grid_csv`)."""
        return grid_csv(self.x, self.y, self.settled)

    def _save_cells(self) -> None:
        """Write what the cells are, as they stand; what goes wrong is tried again with the next."""
        if self._unfinished is not None:
            self._unfinished.keep(self.settled)
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
        """As every work's; what loads is a cell's run, or a workplace that begins."""
        self.cancel()
        if self._workplace is not None:
            self._workplace.interrupt()
        elif self.state == "loading":
            raise Interrupted

    def cancel(self) -> None:
        """Ask to stop: within one step; finished cells stay, those at work are dropped."""
        super().cancel()
        workplace = self._workplace
        if workplace is not None:
            workplace.cancel()

    @property
    def at_work(self) -> dict[Place, CellNews]:
        """The cells at work, and how far each is."""
        with self._lock:
            return dict(self._at_work)

    @property
    def fraction(self) -> float:
        """The share of all cells' steps that are done, 0 to 1."""
        settled = self.settled
        work = {place: recipe.levels.steps + 1 for place, recipe in self.recipes.items()}
        done = sum(steps for place, steps in work.items() if place in settled)
        done += sum(news.index + 1 for place, news in self.at_work.items() if place not in settled)
        return min(done / sum(work.values()), 1.0)

    @property
    def eta(self) -> float | None:
        """Seconds still to go, by the pace so far; None before there is a pace."""
        fraction = self.fraction
        if fraction <= self._share or self._ended is not None:
            return None
        return self.seconds * (1 - fraction) / (fraction - self._share)
