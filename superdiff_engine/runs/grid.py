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

import io
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from PIL import Image

from ..domain import Result
from ..domains import get_domain
from ..domains.checked import make_recipe
from ..domains.picture_files import recipe_chunk
from ..errors import FieldError, OutputError, RecipeError, SuperDiffError
from ..recipes.document import Recipe
from ..sampling import Step
from ..system.files import write_whole
from ..system.visible_text import visible
from .axes import Axis, changed_document, parameter, varied, with_values
from .failures import explain
from .folder import OutputFolder, output_file
from .grid_picture import Place, compose_grid, fit
from .record import CHECKPOINT_SECONDS
from .run import Run
from .values import Value
from .work import State, Work

log = logging.getLogger("superdiff.sweep")

#: The text chunk of a PNG in which the axes are kept, as JSON.
GRID_CHUNK = "superdiff_grid"


class Sweep(Work):
    """A run for every cell of a grid, one after the other; `execute` does the work, the rest may be read by any thread.

    A cell that fails keeps its sentence in place of a picture, and the others go on.

    Args:
        recipe: what all cells have in common.
        x: across; y: down, None for a single row.
        batch: samples a cell; None for 1 where a sample is a picture (one group of a correction's particles, of which a
            cell shows one that is drawn by what they count for), and the recipe's number elsewhere.
        folder: where to keep the record: recipe.json, grid.json, grid.png, run.log, status.json; None for nowhere.

    Raises:
        RecipeError: one sentence, if an axis does not fit the recipe.
    """

    def __init__(
        self, recipe: Recipe, x: Axis, y: Axis | None = None, batch: int | None = None, folder: Path | None = None
    ) -> None:
        if y is not None and x.name == y.name:
            raise RecipeError(f"Both axes vary '{x.name}'; choose two different parameters.")
        self.axes = [x] if y is None else [x, y]
        regrouped = any(parameter(axis.name).groups for axis in self.axes)
        if batch is None and get_domain(recipe.domain).sample_is_picture and not regrouped:
            batch = recipe.group
        super().__init__(recipe if batch is None else make_recipe(recipe.model_dump() | {"batch": batch}), folder)
        self.x, self.y = x, y
        self.recipes, self._unfit = self._derive()
        self.title = grid_title(self.recipe, x, y)
        self._lock = threading.Lock()
        self._cells: dict[Place, Image.Image | str] = {}
        self._drawn: tuple[int, bytes] | None = None
        self._current: Run | None = None
        self._output: OutputFolder | None = None
        self._picture: Path | None = None
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
        for row in range(1 if self.y is None else len(self.y.values)):
            for column in range(len(self.x.values)):
                try:
                    recipes[row, column] = with_values(self.recipe, self.values_at((row, column)))
                except FieldError:
                    raise
                except RecipeError as error:
                    unfit[row, column] = str(error)
        if not recipes:
            raise RecipeError(next(iter(unfit.values())))
        return recipes, unfit

    def values_at(self, place: Place) -> dict[str, Value]:
        """What the axes are in a cell, by their names; x first."""
        row, column = place
        return {self.x.name: self.x.values[column]} | ({} if self.y is None else {self.y.name: self.y.values[row]})

    @property
    def unfit(self) -> dict[Place, str]:
        """Why cells cannot be run, in a sentence each."""
        return dict(self._unfit)

    @property
    def size(self) -> int:
        """How many cells there are, with those that cannot be run."""
        return len(self.recipes) + len(self._unfit)

    def results(self, on_step: Callable[[Step], None] | None = None) -> Iterator[tuple[int, int, Result]]:
        """Run the cells, row by row, and yield (row, column, result) of each that ends; failures are passed over.

        Args:
            on_step: called at every step of every cell.
        """
        self._started = time.monotonic()
        for place, problem in self._unfit.items():
            self._keep(place, problem)
        for (row, column), recipe in self.recipes.items():
            run = self._current = Run(recipe, previews=False)
            # Looked at after `_current` is set: whoever cancels sets the event first and looks for a run then.
            if self._cancel.is_set():
                break
            try:
                result = run.execute(on_step)
            except SuperDiffError as error:
                self._keep((row, column), str(error))
                continue
            if result is None or not result.complete:
                break  # cancelled on the way
            self._keep((row, column), _picture(result, run.notes))
            yield row, column, result
        self._current, self._ended = None, time.monotonic()

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

    def _keep(self, place: Place, cell: Image.Image | str) -> None:
        with self._lock:
            self._cells[place] = cell

    def execute(
        self, on_step: Callable[[Step], None] | None = None, out: Path | None = None
    ) -> dict[Place, Image.Image | str]:
        """Run all cells, keep their pictures and the record. Returns `cells`.

        Args:
            on_step: called at every step of every cell.
            out: a file for the picture, written after the first cell, every 30 seconds and at the end; None for
                grid.png in the folder. A file that is there is replaced.

        Raises:
            SuperDiffError: if not a single cell could be made, or a file cannot be written.
        """
        self.state = "running"
        saved = -math.inf
        try:
            self._resolve()
            self._begin_record(out)
            for _ in self.results(on_step):
                if time.monotonic() - saved >= CHECKPOINT_SECONDS:
                    self._save_picture()
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
            self.finished.set()
        return self.cells

    def _begin_record(self, out: Path | None) -> None:
        """Find out before the first cell whether the record can be kept; an old picture at `out` goes."""
        if self.folder is not None:
            output = OutputFolder(self.folder)
            output.begin(f"grid {self.id}", self.id)
            output.write("recipe.json", self.recipe.to_json().encode)
            output.write("grid.json", lambda: (self._axes() + "\n").encode())
            self._output = output
        if out is not None:
            self._picture = output_file(out)
        elif self.folder is not None:
            self._picture = self.folder / "grid.png"

    def _save_picture(self) -> bool:
        """Write the picture as it stands; says whether it is there. What goes wrong is tried again with the next."""
        if self._picture is None:
            return True
        try:
            write_whole(self._picture, self.png())
        except Exception as error:
            self._problem = explain(error, self.recipe, "the studio's log")
            log.warning("grid %s: %s", self.id, self._problem, exc_info=not isinstance(error, SuperDiffError))
            return False
        return True

    def _conclude(self) -> None:
        """Settle the state and complete the record; it is there even if no cell could be made."""
        failures = self.failures
        whole = len(self.cells) == self.size
        fruitless = whole and len(failures) == self.size
        reason = next((text for place, text in failures.items() if place in self.recipes), "") if fruitless else ""
        self._outcome = "failed" if fruitless else "done" if whole else "cancelled", reason
        self._settle()
        if self.message:
            raise SuperDiffError(self.message) if fruitless else OutputError(self.message)

    def _settle(self) -> None:
        """The picture, the log and, last, the status: a grid whose files are not all there is not done."""
        failures, (state, message) = self.failures, self._outcome
        pictured = len(failures) == len(self.cells) or self._save_picture()
        self._unsaved = [] if pictured or self._picture is None else [self._picture.name]
        if not pictured and state != "failed":
            state, message = "failed", f"{self._problem} The grid is kept in memory."
        if self._output is not None:
            lines = [f"cell in row {row}, column {column} (from 0): {text}" for (row, column), text in failures.items()]
            status = {"id": self.id, "state": state, "message": message, "cells": self.done, "of": self.size}
            logged = visible("\n".join([f"grid {self.id}", *lines, ""])).encode()
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
    def cells(self) -> dict[Place, Image.Image | str]:
        """What there is so far: a picture, or the sentence of a cell that failed."""
        with self._lock:
            return dict(self._cells)

    @property
    def failures(self) -> dict[Place, str]:
        """The sentences of the cells that failed."""
        return {place: cell for place, cell in self.cells.items() if isinstance(cell, str)}

    @property
    def done(self) -> int:
        """How many cells are settled, made or failed."""
        return len(self._cells)

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

    def png(self) -> bytes:
        """The grid as it stands: a PNG with the recipe and the axes inside. Drawn once for every new cell."""
        cells = self.cells
        if self._drawn is None or self._drawn[0] != len(cells):
            self._drawn = len(cells), self._draw(cells)
        return self._drawn[1]

    def _draw(self, cells: dict[Place, Image.Image | str]) -> bytes:
        info = recipe_chunk(self.recipe)
        info.add_itxt(GRID_CHUNK, self._axes())
        buffer = io.BytesIO()
        # Level 1 of compression: quick enough to be drawn while other cells are made.
        compose_grid(cells, self.x, self.y, self.title).save(buffer, "PNG", pnginfo=info, compress_level=1)
        return buffer.getvalue()

    def _axes(self) -> str:
        return json.dumps({"x": self.x.model_dump(), "y": None if self.y is None else self.y.model_dump()})


def grid_title(recipe: Recipe, x: Axis, y: Axis | None = None) -> str:
    """What all cells have in common, in a line: the operator, the experts, and the parameters that no axis varies."""
    axes = [x] if y is None else [x, y]
    documents = [recipe.model_dump()]
    for axis in axes:
        for value in axis.values:
            with suppress(RecipeError):
                documents.append(changed_document(recipe, {axis.name: value}))
    names = [[expert["prompt"] or expert["model"] for expert in document["experts"]] for document in documents]
    experts = ", ".join(each[0] if len(set(each)) == 1 else "…" for each in zip(*names, strict=True))
    held = [
        f"{parameter(name).title} = {parameter(name).kind.label(parameter(name).value(recipe))}"
        for name in varied(recipe)
        if parameter(name).stated and name not in {axis.name for axis in axes}
    ]
    words = [recipe.operator.name.replace("_", " ").upper(), *recipe.operator.composed]
    same = all(document["operator"]["name"] == recipe.operator.name for document in documents)
    texts = {
        tuple(str(value) for value in document["operator"].values() if isinstance(value, str)) for document in documents
    }
    return "; ".join([f"{' '.join(words)} of {experts}" if same and len(texts) == 1 else experts, *held])


def _picture(result: Result, notes: list[str]) -> Image.Image | str:
    """A result as a picture, or the sentence that says why it has none."""
    try:
        domain = get_domain(result.recipe.domain)
        if domain.sample_is_picture and result.importance is not None and result.decoded is not None:
            return fit(Image.open(io.BytesIO(domain.picture_png(result, int(result.one_a_group()[0])))))
        png = domain.preview_png(result)
        if png is not None:
            return fit(Image.open(io.BytesIO(png)))
    except Exception as error:  # costs this cell
        log.warning("a cell's picture", exc_info=True)
        return f"The picture of this cell could not be made ({type(error).__name__}: {error})."
    return notes[-1] if notes else "The samples of this cell have no picture."
