"""A grid that has ended: its picture, what was measured in its cells, and the cells' runs to open and to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.axes import Axis
from superdiff_engine.runs.cells import Grid
from superdiff_engine.runs.grid_file import grid_csv
from superdiff_engine.runs.grid_picture import Place

from .. import session
from ..charts import finished as figures
from ..charts.heat import has_lines, heat_figure, lines_figure, place_of
from ..charts.palette import theme_name
from ..charts.scale import draw_plotly
from ..guard import callback, plain, show_sentence
from ..words import STATES, other_than_usual, run_title
from .chart_files import draw_chart_files
from .progress import seconds_text

if TYPE_CHECKING:
    from superdiff_engine.figures.charts import Sheet

#: Cells that are compared at once.
MOST_CHOSEN = 6
#: Reasons of failed cells that are written out.
_MOST_SENTENCES = 2
_MAP, _LINES = "Heat map", "Lines"


def draw_picture(grid: Grid) -> None:
    """The cells' pictures, as they stand."""
    axes = " and ".join(axis.label for axis in grid.axes)
    # The same bytes as at the last look unless a cell was added: the browser has them already, and nothing flickers.
    st.image(
        grid.png(),
        width="content",
        output_format="PNG",
        alt=f"A grid over {axes}, {grid.done} of {grid.size} cells settled",
    )


def draw_cells(grid: Grid, shown: str) -> None:
    """All of a grid that has ended; `shown` is the id of the run that stands above it."""
    draw_picture(grid)
    st.caption(_caption(grid.recipe, grid))
    for note in grid.notes:
        st.caption(f":material/info: {plain(note)}")
    if not grid.message:
        sentences = list(dict.fromkeys(grid.failures.values()))
        for sentence in sentences[:_MOST_SENTENCES]:
            show_sentence(sentence)
        if len(sentences) > _MOST_SENTENCES:
            st.caption("Other cells have no result for other reasons, which the heat map says where a cross is.")
    if grid.figures:
        _figures(grid, shown)
    _runs(grid, shown)
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Grid (PNG)",
            data=grid.png,
            file_name=f"{grid.id}-grid.png",
            mime="image/png",
            key=f"download-{grid.id}",
            on_click="ignore",
            icon=":material/download:",
            help="With labelled axes; the recipe and the axes are inside, and the form can load them again",
        )
        st.download_button(
            "Numbers (CSV)",
            data=lambda: grid_csv(grid.x, grid.y, grid.settled),
            file_name=f"{grid.id}-grid.csv",
            mime="text/csv",
            key=f"download-numbers-{grid.id}",
            on_click="ignore",
            icon=":material/download:",
            help="A row a cell: the axes' values, all that was measured with its errors, and the id of its run",
        )


def _caption(recipe: Recipe, grid: Grid) -> str:
    axes = [f"across: {_axis_text(grid.x)}"]
    if grid.y is not None:
        axes.append(f"down: {_axis_text(grid.y)}")
    made = grid.done - len(grid.failures)
    ended = f"{STATES[grid.state]}: {made} of {grid.size} cells in {seconds_text(grid.seconds)}"
    seed = "" if any(axis.name == "seed" for axis in grid.axes) else f"seed {recipe.seed}"
    experts = ", ".join(expert.prompt or expert.model for expert in recipe.experts)
    return plain(
        " · ".join(part for part in (ended, run_title(recipe), experts, *axes, seed, *other_than_usual(recipe)) if part)
    )


def _axis_text(axis: Axis) -> str:
    return f"{axis.label} {', '.join(axis.texts)}"


def _figures(grid: Grid, shown: str) -> None:
    known = grid.figures
    key = f"grid-figure-{grid.id}"
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox(
            "Measured in each cell",
            list(known),
            index=list(known).index(grid.usual_figure),
            format_func=lambda one: known[one].title,
            key=key,
            width=460,
        )
        form = _MAP
        if has_lines(grid):
            form = st.segmented_control(
                "Shown as",
                [_MAP, _LINES],
                default=_LINES if grid.y is None else _MAP,
                required=True,
                key=f"grid-form-{grid.id}",
                label_visibility="collapsed",
            )
    draw = heat_figure if form == _MAP else lines_figure
    chart = f"grid-chart-{grid.id}-{form}-{name}"
    draw_plotly(
        draw(grid, name, theme_name(), shown),
        key=chart,
        config=figures.config(),
        on_select=callback(lambda: _choose(grid, chart)),
        selection_mode="points",
        alt=f"{known[name].title} over {' and '.join(axis.label for axis in grid.axes)}",
    )
    _files(grid, name, form == _LINES)
    with st.expander("All numbers", icon=":material/table:", key=f"grid-numbers-{grid.id}"):
        st.dataframe(_table(grid), hide_index=True, alt="What was measured in each cell")


def _files(grid: Grid, name: str, lines: bool) -> None:
    """The chart to keep, as SVG and PNG."""
    theme = theme_name()

    def sheet() -> Sheet:
        from superdiff_engine.figures.grids import grid_sheet  # not before it is asked for: it takes a second

        return grid_sheet(grid, name, theme, lines)

    draw_chart_files(grid, "chart", grid.figures[name].title, sheet)


def _table(grid: Grid) -> pd.DataFrame:
    known, rows = grid.figures, []
    for (row, column), cell in sorted(grid.settled.items()):
        values: dict[str, Any] = {} if grid.y is None else {grid.y.label: grid.y.texts[row]}
        values[grid.x.label] = grid.x.texts[column]
        for name, told in known.items():
            found = cell.figures.get(name)
            title = f"{told.title} ({told.shown_unit})" if told.shown_unit else told.title
            values[title] = "" if found is None else found.text()
        rows.append(values)
    return pd.DataFrame(rows)


def _kept(grid: Grid) -> dict[str, Place]:
    """The places of the cells whose runs are in the library, by these runs' ids."""
    folder = session.registry().folder
    runs = {cell.run: place for place, cell in sorted(grid.settled.items()) if cell.run}
    return {} if folder is None else {run: place for run, place in runs.items() if (folder / run).is_dir()}


def _choose(grid: Grid, chart: str) -> None:
    """Take the points that are selected in the chart for the cells to open (a callback)."""
    points = st.session_state[chart].selection.points
    places = dict.fromkeys(place_of(point) for point in points)
    runs = {place: run for run, place in _kept(grid).items()}
    st.session_state[f"grid-chosen-{grid.id}"] = [runs[place] for place in places if place in runs][:MOST_CHOSEN]


def _runs(grid: Grid, shown: str) -> None:
    """The choice of cells whose runs to open."""
    kept = _kept(grid)
    if not kept:
        st.caption(
            "The cells of this grid are not kept as runs: keeping was off, there was no room, or they were deleted."
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen: list[str] = st.multiselect(
            "Cells to open",
            list(kept),
            format_func=lambda run: grid.words_at(kept[run]),
            max_selections=MOST_CHOSEN,
            key=f"grid-chosen-{grid.id}",
            placeholder="Choose here, or press cells above",
            help=f"Every cell is a run of its own, with its replay, curves and files. With Shift several cells are "
            f"chosen in the chart; up to {MOST_CHOSEN} are compared.",
        )
        st.button(
            "Open" if len(chosen) < 2 else f"Compare {len(chosen)}",
            icon=":material/open_in_full:" if len(chosen) < 2 else ":material/compare:",
            key=f"grid-open-{grid.id}",
            on_click=callback(_open),
            args=(chosen,),
            disabled=not chosen or chosen == [shown],
            help="Show these runs in place of the one above",
        )


def _open(runs: list[str]) -> None:
    """Show the runs of cells (a callback); raises SuperDiffError where one is gone."""
    for run in runs:
        session.registry().recall(run)
    session.show(runs)
