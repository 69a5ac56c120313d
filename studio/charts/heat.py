"""What was measured in the cells of a grid, as a heat map and as lines with errors: plotly, whose cells are pressed."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from superdiff_engine.domains.colours import EXPERT_COLOURS
from superdiff_engine.measured import SHARE, Figure
from superdiff_engine.runs.cells import Cell, Grid
from superdiff_engine.runs.grid_picture import Place
from superdiff_engine.runs.values import number_text

from .finished import as_typed
from .palette import NEUTRAL, PICKED

#: Letters of a value along an axis, in a line and in all.
_LINE, _LONGEST = 18, 54
#: Columns up to which a cell has room for its value and its error.
_ROOMY, _NARROW = 6, 9
_ROW, _EDGES = 56, 130
_FAILED = {"light": "#e3e6e8", "dark": "#39444c"}


def heat_figure(grid: Grid, name: str, theme: str, shown: str = "") -> go.Figure:
    """One figure of every cell by colour, with its value and, where there is room, its error; failed ones have a cross.

    Args:
        grid: with its axes and cells.
        name: of the figure.
        theme: "light" or "dark".
        shown: the id of the run whose cell has a frame; "" for none.
    """
    told, cells = grid.figures[name], grid.settled
    rows, columns = 1 if grid.y is None else len(grid.y.values), len(grid.x.values)
    values = [[_value(cells.get((row, column)), name) for column in range(columns)] for row in range(rows)]
    figure = go.Figure()
    figure.add_heatmap(
        z=values,
        text=[[_written(cells.get((row, column)), name, columns) for column in range(columns)] for row in range(rows)],
        texttemplate="%{text}",
        colorscale="Viridis",
        colorbar={"title": {"text": as_typed(told.shown_unit or "value"), "side": "right"}, "thickness": 14},
        hoverinfo="skip",
        xgap=2,
        ygap=2,
    )
    places = grid.places
    figure.add_scatter(
        x=[column for _, column in places],
        y=[row for row, _ in places],
        mode="markers+text",
        # Heat maps cannot be pressed: these can, and are not seen.
        marker={"symbol": "square", "size": 40, "color": NEUTRAL[theme], "opacity": 0},
        selected={"marker": {"opacity": 0.35, "color": PICKED}},
        unselected={"marker": {"opacity": 0}},
        text=["\u00d7" if place in cells and cells[place].failed else "" for place in places],
        textfont={"size": 22, "color": NEUTRAL[theme]},
        hovertext=[_hover(grid, cells, place, told) for place in places],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(
        height=_EDGES + _ROW * max(rows, 2),
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
        dragmode=False,
        hovermode="closest",
        hoverdistance=-1,
        plot_bgcolor="rgba(0,0,0,0)",
    )
    for (row, column), cell in cells.items():
        edges = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
        if shown and cell.run == shown:
            figure.add_shape(type="rect", line={"color": PICKED, "width": 3}, **edges)
        elif cell.failed:
            figure.add_shape(type="rect", layer="below", fillcolor=_FAILED[theme], line={"width": 0}, **edges)
    marks = {"tickmode": "array", "showgrid": False, "zeroline": False, "fixedrange": True}
    figure.update_xaxes(
        title_text=as_typed(grid.x.label),
        tickvals=list(range(columns)),
        ticktext=[_mark(text) for text in grid.x.texts],
        range=[-0.5, columns - 0.5],
        **marks,
    )
    figure.update_yaxes(
        title_text="" if grid.y is None else as_typed(grid.y.label),
        tickvals=list(range(rows)),
        ticktext=[""] if grid.y is None else [_mark(text) for text in grid.y.texts],
        range=[rows - 0.5, -0.5],
        **marks,
    )
    return figure


def has_lines(grid: Grid) -> bool:
    """Whether the axis across is of numbers, so that a figure can be a line over it."""
    return all(not isinstance(value, str) for value in grid.x.values)


def lines_figure(grid: Grid, name: str, theme: str, shown: str = "") -> go.Figure:
    """One figure over the numbers of the axis across, a line a row, with its standard errors; see `heat_figure`."""
    told, cells = grid.figures[name], grid.settled
    colours = EXPERT_COLOURS[theme]
    figure = go.Figure()
    for row, label in enumerate([""] if grid.y is None else grid.y.texts):
        places: list[Place] = [(row, column) for column in range(len(grid.x.values))]
        order = sorted(places, key=lambda place: float(grid.x.values[place[1]]))
        colour = colours[row % len(colours)]
        figure.add_scatter(
            x=[grid.x.values[column] for _, column in order],
            y=[_value(cells.get(place), name) for place in order],
            error_y={
                "type": "data",
                "array": [_error(cells.get(place), name) for place in order],
                "thickness": 1.4,
                "width": 4,
            },
            customdata=[list(place) for place in order],
            mode="lines+markers",
            name=_mark(label),
            line={"color": colour, "width": 2, "dash": "solid" if row < len(colours) else "dash"},
            marker={"size": [13 if shown and _run(cells.get(place)) == shown else 9 for place in order]},
            hovertext=[_hover(grid, cells, place, told) for place in order],
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=grid.y is not None,
        )
    figure.update_layout(
        height=360,
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
        hovermode="closest",
        legend={"title": {"text": "" if grid.y is None else as_typed(grid.y.label)}},
    )
    figure.update_xaxes(title_text=as_typed(grid.x.label))
    title = f"{told.title} ({told.shown_unit})" if told.shown_unit else told.title
    figure.update_yaxes(title_text="<br>".join(map(as_typed, textwrap.wrap(title, 44))))
    return figure


def place_of(point: Mapping[str, Any]) -> Place:
    """The cell that a selected point of either figure is: (row, column) from 0."""
    if point.get("customdata"):
        row, column = point["customdata"]
        return int(row), int(column)
    return round(float(point["y"])), round(float(point["x"]))


def _run(cell: Cell | None) -> str:
    return "" if cell is None else cell.run


def _scale(figure: Figure) -> float:
    return 100.0 if figure.unit == SHARE else 1.0


def _value(cell: Cell | None, name: str) -> float | None:
    figure = None if cell is None else cell.figures.get(name)
    return None if figure is None or not math.isfinite(figure.value) else _scale(figure) * figure.value


def _error(cell: Cell | None, name: str) -> float | None:
    figure = None if cell is None else cell.figures.get(name)
    return None if figure is None or figure.error is None else _scale(figure) * figure.error


def _written(cell: Cell | None, name: str, columns: int) -> str:
    """Value and error in a cell, as far as there is room."""
    figure = None if cell is None else cell.figures.get(name)
    if figure is None:
        return ""
    value, _, error = figure.text().partition(" ± ")
    if columns > _NARROW:
        value = number_text(float(f"{_scale(figure) * figure.value:.3g}")) if math.isfinite(figure.value) else value
    return f"{value}<br>± {error}" if error and columns <= _ROOMY else value


def _hover(grid: Grid, cells: Mapping[Place, Cell], place: Place, told: Figure) -> str:
    lines = textwrap.wrap(grid.words_at(place), 60)
    cell = cells.get(place)
    figure = None if cell is None else cell.figures.get(told.name)
    if figure is not None:
        lines += textwrap.wrap(f"{told.title}: {figure.text()} {told.shown_unit}", 60)
    if cell is None:
        lines.append("not made")
    elif cell.problem:
        lines += textwrap.wrap(cell.problem, 60)
    elif figure is None:
        lines.append("not measured here")
    if cell is not None and cell.run:
        lines.append("press to choose its run")
    return "<br>".join(map(as_typed, lines))


def _mark(text: str) -> str:
    """A value along an axis, in a few short lines."""
    short = textwrap.wrap(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…", _LINE)
    return "<br>".join(map(as_typed, short))
