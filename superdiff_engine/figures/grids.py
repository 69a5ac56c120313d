"""What was measured in the cells of a grid on paper: a heat map with values and errors, or lines with error bars."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from ..domains.colours import EXPERT_COLOURS
from ..measured import SHARE, Figure
from ..runs.cells import Grid
from ..system.visible_text import visible
from .charts import Sheet
from .paper import INK, families, head, legend, new_figure, wrapped, write

__all__ = ["grid_sheet"]

#: Inches of a cell, and what is left for labels.
_CELL = (1.15, 0.62)
#: Letters in a line of a value along an axis, and its lines.
_LETTERS, _LINES = 16, 3
_FAILED = {"light": "#e3e6e8", "dark": "#39444c"}


def grid_sheet(grid: Grid, name: str, theme: str, lines: bool = False) -> Sheet:
    """One figure of every cell of a grid.

    Args:
        grid: with its axes and cells.
        name: of the figure, one of `grid.figures`.
        theme: "light" or "dark".
        lines: over the numbers of the axis across, a line a row, with standard errors; else colours, with the values
            and errors in the cells, and a cross in those that have no result.
    """
    told = grid.figures[name]
    title = f"{told.title[:1].upper()}{told.title[1:]}"

    def draw() -> Drawing:
        return _lines(grid, told, title, theme) if lines else _colours(grid, told, title, theme)

    return Sheet(title, grid.recipe, theme, draw)


def _colours(grid: Grid, told: Figure, title: str, theme: str) -> Drawing:
    rows, columns = 1 if grid.y is None else len(grid.y.values), len(grid.x.values)
    values = np.full((rows, columns), np.nan)
    for place in grid.settled:
        values[place] = _value(grid, place, told)[0]
    figure = new_figure(max(7.0, 2.6 + _CELL[0] * columns), max(3.6, 2.0 + _CELL[1] * rows))
    plot = figure.subplots()
    plot.grid(False)
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    mesh = plot.pcolormesh(*edges, np.ma.masked_invalid(values), cmap="viridis", edgecolors=INK[theme].ground)
    plot.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    for (row, column), cell in sorted(grid.settled.items()):
        if cell.failed:
            plot.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=_FAILED[theme]))
        found = cell.figures.get(told.name)
        words = "×" if cell.failed else "" if found is None else found.text().replace(" ± ", "\n± ")
        shade = mesh.to_rgba(values[row, column]) if np.isfinite(values[row, column]) else None
        colour = (
            INK[theme].text if shade is None else "#111111" if np.dot(shade[:3], (0.3, 0.59, 0.11)) > 0.5 else "white"
        )
        write(plot.text(column, row, "", ha="center", va="center", fontsize=8, color=colour), words)
    _marks(plot, grid)
    head(figure, title, grid.title)
    if np.isfinite(values).any():
        bar = figure.colorbar(mesh, ax=plot, fraction=0.05)
        write(bar.ax.yaxis.label, told.shown_unit or "value")
    return figure


def _marks(plot: Axes, grid: Grid) -> None:
    """The axes' names and values."""
    write(plot.xaxis.label, grid.x.label)
    texts = _short(grid.x.texts)
    plot.set_xticks(range(len(texts)), texts)
    _in_their_fonts(plot.get_xticklabels())
    texts = [] if grid.y is None else _short(grid.y.texts)
    plot.set_yticks(range(len(texts)), texts)
    _in_their_fonts(plot.get_yticklabels())
    if grid.y is not None:
        write(plot.yaxis.label, grid.y.label)


def _in_their_fonts(marks: Sequence[Text]) -> None:
    for mark in marks:
        mark.set_fontfamily(families(mark.get_text()))


def _short(texts: Sequence[str]) -> list[str]:
    """Values along an axis, in a few short lines each."""
    return [visible("\n".join(wrapped(text, _LETTERS, _LINES)), keep="\n") for text in texts]


def _lines(grid: Grid, told: Figure, title: str, theme: str) -> Drawing:
    numbers = [float(value) for value in grid.x.values]
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    figure = new_figure(7, 5)
    plot = figure.subplots()
    colours, drawn = EXPERT_COLOURS[theme], []
    rows = [""] if grid.y is None else grid.y.texts
    for row in range(len(rows)):
        measured = [_value(grid, (row, column), told) for column in order]
        style = "-" if row < len(colours) else "--"
        (line, *_) = plot.errorbar(
            [numbers[column] for column in order],
            [value for value, _ in measured],
            yerr=[error for _, error in measured],
            fmt=f"o{style}",
            color=colours[row % len(colours)],
            capsize=3,
            markersize=5,
        )
        line.set_gid(f"row-{row}")
        drawn.append(line)
    write(plot.xaxis.label, grid.x.label)
    unit = f" ({told.shown_unit})" if told.shown_unit else ""
    write(plot.yaxis.label, "\n".join(wrapped(f"{told.title}{unit}", 48, 3)))
    head(figure, title, grid.title)
    if grid.y is not None:
        legend(figure, drawn, [f"{grid.y.label} {text}" for text in rows])
    return figure


def _value(grid: Grid, place: tuple[int, int], told: Figure) -> tuple[float, float]:
    """The figure of a cell in its shown unit, and its error; NaN and 0 where there is none."""
    cell = grid.settled.get(place)
    found = None if cell is None else cell.figures.get(told.name)
    if found is None:
        return math.nan, 0.0
    scale = 100.0 if found.unit == SHARE else 1.0
    return scale * found.value, scale * (found.error or 0.0)
