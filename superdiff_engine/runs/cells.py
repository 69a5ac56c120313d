"""The cells of a grid: which run each was, its picture, and what was measured in it; the grid as it stands."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from ..domains import get_domain
from ..domains.picture_files import recipe_chunk
from ..errors import RecipeError
from ..measured import SHARE, Figure
from ..recipes.document import Recipe
from ..result import Result
from .axes import Axis, changed_document, parameter, varied
from .grid_picture import Place, compose_grid, fit
from .values import Value
from .work import Work

log = logging.getLogger("superdiff.sweep")

#: The text chunk of a PNG in which the axes are kept, as JSON.
GRID_CHUNK = "superdiff_grid"


@dataclass(frozen=True)
class Cell:
    """What became of a cell that is settled.

    Attributes:
        picture: of its samples; None where there is none, or where it is not in memory.
        problem: why its run failed or cannot be, or else why it has no picture, in a sentence; "" for nothing.
        failed: whether it has no result.
        figures: what was measured in it, by name.
        run: the id of its run, whose record is kept; "" where none is.
    """

    picture: Image.Image | None = None
    problem: str = ""
    failed: bool = False
    figures: Mapping[str, Figure] = field(default_factory=dict)
    run: str = ""


def cell_figures(result: Result[Any]) -> dict[str, Figure]:
    """What is measured in a cell: its domain's figures, then those of log-densities and weights, and the time it took.

    Experts go by their numbers, since an axis may change their prompts or models from cell to cell.
    """
    found: list[Figure] = []
    try:
        found += get_domain(result.recipe.domain).measured(result)
    except Exception:  # costs these figures
        log.warning("a cell's figures", exc_info=True)
    sampled, several = result.sampled, len(result.log_density) > 1
    if several:
        gap, error = sampled.mean(result.log_density.max(0) - result.log_density.min(0))
        title = (
            "gap between the experts' log q"
            if len(result.log_density) == 2
            else "gap of the largest log q to the least"
        )
        found.append(Figure(name="gap", title=title, value=gap, error=error, unit="nats"))
    for place, values in enumerate(result.log_density, start=1):
        mean, error = sampled.mean(values)
        title = f"log q of expert {place}"
        found.append(Figure(name=f"log_density {place}", title=title, value=mean, error=error, unit="nats"))
    for place, values in enumerate(result.weights if several else [], start=1):
        mean, error = sampled.mean(values)
        found.append(Figure(name=f"kappa {place}", title=f"weight κ of expert {place}", value=mean, error=error))
    if result.importance is not None:
        size, title = sampled.effective() / sampled.count, "effective sample size, of all samples"
        found.append(Figure(name="effective_size", title=title, value=size, unit=SHARE, better="higher"))
    found.append(Figure(name="seconds", title="time of the run", value=result.seconds, unit="s", better="lower"))
    return {figure.name: figure for figure in found}


def all_figures(cells: Iterable[Cell]) -> dict[str, Figure]:
    """Every figure that some cell has, as the first that has it says it."""
    found: dict[str, Figure] = {}
    for cell in cells:
        for name, figure in cell.figures.items():
            found.setdefault(name, figure)
    return found


def made_cell(result: Result[Any], notes: list[str], run: str) -> Cell:
    """The cell of a run that has a result; `notes` are that run's, `run` its id where its record is kept, or ""."""
    picture = cell_picture(result, notes)
    shown, said = (None, picture) if isinstance(picture, str) else (picture, "")
    return Cell(shown, said, figures=cell_figures(result), run=run)


class Grid(Work):
    """Cells over one or two axes, as many as are settled by now; may be read by any thread.

    Attributes:
        x: across.
        y: down; None for a single row.
        origin: the id of the run that it was asked for under; "" for none.
        id: of a grid that waited elsewhere; "" for a new one.
        notes: what the user should know of it, in sentences.
    """

    def __init__(
        self, recipe: Recipe, x: Axis, y: Axis | None, folder: Path | None, origin: str = "", id: str = ""
    ) -> None:
        super().__init__(recipe, folder, id)
        self.x, self.y, self.origin = x, y, origin
        self.notes: list[str] = []
        self.title = grid_title(recipe, x, y)
        self._lock = threading.Lock()
        self._cells: dict[Place, Cell] = {}
        self._drawn: tuple[int, bytes] | None = None

    @property
    def axes(self) -> list[Axis]:
        """The axis across and, where there is one, the axis down."""
        return [self.x] if self.y is None else [self.x, self.y]

    @property
    def places(self) -> list[Place]:
        """The places of all cells, (row, column) from 0, row by row."""
        rows = 1 if self.y is None else len(self.y.values)
        return [(row, column) for row in range(rows) for column in range(len(self.x.values))]

    @property
    def size(self) -> int:
        """How many cells there are, with those that cannot be run."""
        return len(self.places)

    def values_at(self, place: Place) -> dict[str, Value]:
        """What the axes are in a cell, by their names; x first."""
        row, column = place
        return {self.x.name: self.x.values[column]} | ({} if self.y is None else {self.y.name: self.y.values[row]})

    def words_at(self, place: Place) -> str:
        """The same in words: "temperature T = 10, seed = 3"."""
        row, column = place
        labels = [(self.x, self.x.texts[column])] + ([] if self.y is None else [(self.y, self.y.texts[row])])
        return ", ".join(f"{parameter(axis.name).title} = {text}" for axis, text in labels)

    @property
    def settled(self) -> dict[Place, Cell]:
        """The cells so far, by place."""
        with self._lock:
            return dict(self._cells)

    @property
    def cells(self) -> dict[Place, Image.Image | str]:
        """The same as a picture each, or the sentence that says why there is none."""
        return {place: cell.problem if cell.picture is None else cell.picture for place, cell in self.settled.items()}

    @property
    def failures(self) -> dict[Place, str]:
        """The sentences of the cells that have no result."""
        return {place: cell.problem for place, cell in self.settled.items() if cell.failed}

    @property
    def done(self) -> int:
        """How many cells are settled, made or failed."""
        return len(self._cells)

    @property
    def figures(self) -> dict[str, Figure]:
        """Every figure that some cell has, by name, as the first that has it says it."""
        return all_figures(self.settled.values())

    @property
    def usual_figure(self) -> str:
        """The name of the figure to begin with; "" where nothing was measured."""
        figures = self.figures
        return next((name for name, one in figures.items() if one.main), next(iter(figures), ""))

    def png(self) -> bytes:
        """The grid as it stands: a PNG with the recipe and the axes inside. Drawn once for every new cell."""
        cells = self.cells
        if self._drawn is None or self._drawn[0] != len(cells):
            self._drawn = len(cells), self._draw(cells)
        return self._drawn[1]

    def _draw(self, cells: Mapping[Place, Image.Image | str]) -> bytes:
        info = recipe_chunk(self.recipe)
        info.add_itxt(GRID_CHUNK, json.dumps(axes_document(self.x, self.y)))
        buffer = io.BytesIO()
        # Level 1 of compression: quick enough to be drawn while other cells are made.
        compose_grid(cells, self.x, self.y, self.title).save(buffer, "PNG", pnginfo=info, compress_level=1)
        return buffer.getvalue()


def axes_document(x: Axis, y: Axis | None) -> dict[str, Any]:
    """The axes, as a grid's picture and its record hold them."""
    return {"x": x.model_dump(), "y": None if y is None else y.model_dump()}


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
    held = []
    for name in varied(recipe):
        told = parameter(name)
        value = told.value(recipe)
        if told.stated and value != told.usual and name not in {axis.name for axis in axes}:
            held.append(f"{told.title} = {told.kind.label(value)}")
    words = [recipe.operator.name.replace("_", " ").upper(), *recipe.operator.composed]
    same = all(document["operator"]["name"] == recipe.operator.name for document in documents)
    texts = {
        tuple(str(value) for value in document["operator"].values() if isinstance(value, str)) for document in documents
    }
    return "; ".join([f"{' '.join(words)} of {experts}" if same and len(texts) == 1 else experts, *held])


def cell_picture(result: Result[Any], notes: list[str]) -> Image.Image | str:
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
