"""grid.json: the axes of a grid, and what its cells are, so that it comes back; the same numbers as CSV.

It holds the axes, the titles and units of all figures, and of each settled cell its place, the id of its run, the
sentence of one that failed, and the figures' values and errors. It may be damaged or forged, and is checked as a whole.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import RecordError
from ..measured import Figure
from .axes import Axis
from .cells import Cell, all_figures, axes_document
from .grid_picture import Place
from .values import MOST_VALUES
from .work import is_id

#: The file of a grid's record that says what its cells are.
GRID = "grid.json"
#: Bytes of it that are read: 144 cells of a hundred figures each have less.
MOST_BYTES = 16 * 1024**2
_MOST_FIGURES = 1000


class _Told(BaseModel):
    """Part of a document that a later version may add to."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False, frozen=True)


class _Measured(_Told):
    """What a figure is."""

    name: str = Field(max_length=4000)
    title: str = Field(max_length=4000)
    unit: str = Field("", max_length=40)
    better: str = Field("", max_length=10)
    main: bool = False


_Number = Annotated[list[float | None], Field(min_length=2, max_length=2)]


class _Settled(_Told):
    """A cell: its place from 0, and of each figure the value and its error."""

    row: int = Field(ge=0, lt=MOST_VALUES)
    column: int = Field(ge=0, lt=MOST_VALUES)
    run: str = Field("", max_length=100)
    failed: bool = False
    problem: str = Field("", max_length=20_000)
    figures: dict[str, _Number] = Field(default_factory=dict, max_length=_MOST_FIGURES)


class GridDocument(_Told):
    """What grid.json says; older ones have axes alone."""

    x: Axis
    y: Axis | None = None
    origin: str = Field("", max_length=100)
    figures: list[_Measured] = Field(default_factory=list, max_length=_MOST_FIGURES)
    cells: list[_Settled] = Field(default_factory=list, max_length=MOST_VALUES**2)

    @model_validator(mode="after")
    def _fits(self) -> GridDocument:
        rows, columns = 1 if self.y is None else len(self.y.values), len(self.x.values)
        places = [(cell.row, cell.column) for cell in self.cells]
        if len(set(places)) < len(places) or any(row >= rows or column >= columns for row, column in places):
            raise ValueError("a cell that the axes do not have")
        known = {figure.name for figure in self.figures}
        if len(known) < len(self.figures) or any(not known.issuperset(cell.figures) for cell in self.cells):
            raise ValueError("a figure that nobody explains")
        if any(run and not is_id(run) for run in [self.origin, *(cell.run for cell in self.cells)]):
            raise ValueError("an id that is none")
        return self

    def settled(self) -> dict[Place, Cell]:
        """The cells by their places."""
        told = {figure.name: figure for figure in self.figures}

        def figures(cell: _Settled) -> dict[str, Figure]:
            return {
                name: Figure(
                    name=name,
                    title=told[name].title,
                    unit=told[name].unit,
                    better=told[name].better,
                    main=told[name].main,
                    value=math.nan if value is None else value,
                    error=error,
                )
                for name, (value, error) in cell.figures.items()
            }

        return {
            (cell.row, cell.column): Cell(None, cell.problem, cell.failed, figures(cell), cell.run)
            for cell in self.cells
        }


def grid_json(x: Axis, y: Axis | None, cells: Mapping[Place, Cell], origin: str) -> bytes:
    """grid.json: the axes, what was measured, the cells; `origin` is the id of the run that it was asked for under."""
    figures = [
        {"name": one.name, "title": one.title, "unit": one.unit, "better": one.better, "main": one.main}
        for one in all_figures(cells.values()).values()
    ]
    settled = [
        {
            "row": row,
            "column": column,
            "run": cell.run,
            "failed": cell.failed,
            "problem": cell.problem,
            "figures": {name: [_finite(one.value), _finite(one.error)] for name, one in cell.figures.items()},
        }
        for (row, column), cell in sorted(cells.items())
    ]
    document = axes_document(x, y) | {"origin": origin, "figures": figures, "cells": settled}
    return (json.dumps(document, allow_nan=False) + "\n").encode()


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def read_grid_json(text: bytes, where: str) -> GridDocument:
    """What `grid_json` wrote, or an older version of it; raises RecordError, whose sentence names the grid `where`."""
    try:
        if len(text) > MOST_BYTES:
            raise ValueError("too long")
        return GridDocument.model_validate(json.loads(text))
    except (ValueError, ValidationError, RecursionError, OverflowError):
        raise RecordError(f"{GRID} of the grid {where} is damaged.") from None


def grid_csv(x: Axis, y: Axis | None, cells: Mapping[Place, Cell]) -> bytes:
    """A row a cell that is settled: its place from 0, the axes' values, each figure with its error, its run's id."""
    figures = all_figures(cells.values())
    heads = [f"{name} ({one.unit})" if one.unit else name for name, one in figures.items()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    axes = ([] if y is None else [y.name]) + [x.name]
    columns = [head for one in heads for head in (one, f"error of {one}")]
    writer.writerow(["row_from_0", "column_from_0", *axes, *columns, "run", "problem"])
    for (row, column), cell in sorted(cells.items()):
        values: list[Any] = ([] if y is None else [y.values[row]]) + [x.values[column]]
        for name in figures:
            one = cell.figures.get(name)
            values += ["", ""] if one is None else [_written(one.value), _written(one.error)]
        writer.writerow([row, column, *values, cell.run, cell.problem])
    return text.getvalue().encode()


def _written(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.9g}"
