"""Finished figures: plotly, to be zoomed, hovered and saved. The level axis runs from noise to data."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from superdiff_engine.domains.colours import owners
from superdiff_engine.domains.plane.arrays import PlanePreview
from superdiff_engine.domains.plane.contours import DEPTHS, density_lines
from superdiff_engine.figures.quantities import THIN_CURVES
from superdiff_engine.trace import Curves

from .live import (
    EFFECTIVE_UNIT,
    MEDIAN,
    RESAMPLED_NAME,
    SIZE,
    TARGET_NAME,
    THRESHOLD,
    UNITS,
    Quantity,
    mark_height,
    select,
)
from .mosaic import grid_shape, mosaic_png
from .palette import GUIDE, NEUTRAL, PICKED, RESAMPLED, TARGET

#: What a gallery's column is about wide, in pixels.
_GALLERY_WIDTH = 470

#: Letters of a name in a legend.
_LONGEST_LABEL = 28

#: Diameters of weighted dots in pixels, the smallest and the largest.
DOTS = (1.2, 24.0)
#: Pictures of a group that a row of a gallery has room for.
WIDEST_GROUP = 8

#: Samples up to which their points are large.
FEW = 100
#: Of points that stand for pairs of experts, by the second of the two.
SYMBOLS = ("circle", "circle", "diamond", "square", "cross", "triangle-up", "star", "x")

_CONFIG: dict[str, Any] = {
    "displaylogo": False,
    # Its own picture would have no title: `stage.chart_files` makes the files.
    "modeBarButtonsToRemove": ["toImage", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
}


def config() -> dict[str, Any]:
    """What every figure's tool bar offers."""
    return dict(_CONFIG)


def curve_figure(
    curves: Curves,
    quantity: Quantity,
    names: Sequence[str],
    colours: Sequence[str],
    against: str,
    sample: int | None = None,
    height: int = 320,
    component: str | None = None,
    theme: str = "light",
) -> go.Figure:
    """A view of the trace against the level s or the step, with marks where particles were resampled.

    Args:
        curves: what to draw.
        quantity: which.
        names: of the experts.
        colours: of the experts.
        against: "level" or "step".
        sample: draw this sample alone, in place of the mean and the others behind it.
        height: in pixels.
        component: the part of the log-density to draw; None for their sum.
        theme: "light" or "dark".
    """
    means, singles = select(curves, quantity, component)
    x = curves.level if against == "level" else curves.index.astype(float)
    figure = go.Figure()
    for expert, (name, colour) in enumerate(zip(names, colours, strict=True)):
        if sample is None and singles.shape[2]:
            _thin(figure, x, singles[:, expert].astype(float), colour, 0.25, legendgroup=str(expert))
    for expert, (name, colour) in enumerate(zip(names, colours, strict=True)):
        figure.add_scatter(
            x=x,
            y=means[:, expert] if sample is None else singles[:, expert, sample],
            mode="lines",
            name=label_of(name),
            line={"color": colour, "width": 4.2 if expert == 0 else 2.2},
            legendgroup=str(expert),
            hovertemplate="%{y:.4g}<extra>" + as_typed(name) + "</extra>",
        )
    lay_out(figure, height, UNITS[quantity])
    over(figure, x, against)
    _mark(figure, curves, against, theme)
    return figure


def effective_figure(
    curves: Curves, particles: int, threshold: float, against: str, theme: str, height: int = 320
) -> go.Figure:
    """The effective sample size of a corrected run in % of a group: the median bold, single groups thin; the threshold.

    Args:
        curves: of the run.
        particles: of a group.
        threshold: the share of a group below which it is resampled.
        against: "level" or "step".
        theme: "light" or "dark".
        height: in pixels.
    """
    share = 100 * curves.effective / particles
    x = curves.level if against == "level" else curves.index.astype(float)
    figure, colour = go.Figure(), NEUTRAL[theme]
    several = share.shape[1] > 1
    if several:
        _thin(figure, x, share, colour, 0.4)
    median = np.median(share, 1)
    figure.add_scatter(
        x=x,
        y=median,
        mode="lines",
        name=MEDIAN if several else SIZE,
        line={"color": colour, "width": 2.6},
        customdata=median * particles / 100,
        hovertemplate=f"%{{y:.0f}} %, %{{customdata:.1f}} of {particles} particles<extra></extra>",
    )
    figure.add_scatter(
        x=x[[0, -1]],
        y=np.full(2, 100 * threshold),
        mode="lines",
        name=THRESHOLD,
        line={"color": RESAMPLED[theme], "width": 1.4, "dash": "dash"},
        hoverinfo="skip",
    )
    lay_out(figure, height, EFFECTIVE_UNIT)
    figure.update_yaxes(range=[0, 104])
    over(figure, x, against)
    _mark(figure, curves, against, theme)
    return figure


def _thin(figure: go.Figure, x: np.ndarray, values: np.ndarray, colour: str, opacity: float, **asked: Any) -> None:
    """Add the first columns of values [k, n] as thin lines: one trace for all, in which each ends in a gap."""
    values = values[:, :THIN_CURVES]
    gap = np.full((1, values.shape[1]), np.nan)
    figure.add_scatter(
        x=np.tile(np.append(x, np.nan), values.shape[1]),
        y=np.concatenate([values, gap]).T.ravel(),
        mode="lines",
        line={"color": colour, "width": 0.7},
        opacity=opacity,
        hoverinfo="skip",
        showlegend=False,
        **asked,
    )


def _mark(figure: go.Figure, curves: Curves, against: str, theme: str) -> None:
    """Add thin upright lines where particles were resampled, if any were."""
    marks = curves.mark_levels if against == "level" else curves.marks.astype(float)
    if not len(marks):
        return
    gap = np.full_like(marks, np.nan)
    figure.add_scatter(
        x=np.stack([marks, marks, gap], 1).ravel(),
        y=np.tile([0.0, mark_height(len(marks)), np.nan], len(marks)),
        mode="lines",
        name=RESAMPLED_NAME,
        line={"color": RESAMPLED[theme], "width": 1},
        opacity=0.55,
        hoverinfo="skip",
        # From bottom to top whatever the curves' range.
        yaxis="y2",
    )
    figure.update_layout(yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True})


def over(figure: go.Figure, x: np.ndarray, against: str) -> None:
    """The axis across: the level, from noise to data, or the step."""
    figure.update_layout(hovermode="x unified")
    if against == "level":
        # A run that was cut short spans less than a decade or two: label 2 and 5 as well there.
        wide = len(x) and x.max() > 300 * x.min()
        figure.update_xaxes(
            type="log", autorange="reversed", title_text="level s (noise → data)", dtick=1 if wide else "D2"
        )
    else:
        figure.update_xaxes(title_text="step")


def plane_figure(
    preview: PlanePreview,
    names: Sequence[str],
    colours: Sequence[str],
    theme: str,
    picked: int | None = None,
    height: int = 460,
    traced: int | None = None,
    target: np.ndarray | None = None,
    counts: np.ndarray | None = None,
    rows: np.ndarray | None = None,
) -> go.Figure:
    """The samples over the contour lines of every expert; a click on a sample picks it.

    Args:
        preview: of the plane.
        names: of the experts.
        colours: of the experts.
        theme: "light" or "dark".
        picked: the sample that is ringed.
        height: in pixels.
        traced: of how many samples, the first ones, there are curves: only these can be clicked, and are outlined
            where others are shown; None: of all.
        target: log-density of the exact target on the preview's grid, in nats; None draws none.
        counts: what each sample counts for beside the others, 1 on average, [n]: the area of its dot. None: all alike.
        rows: the samples to draw, int; None: all.
    """
    figure = go.Figure()
    for order, (name, colour, grid) in enumerate(zip(names, colours, preview.contours, strict=True)):
        lines = density_lines(grid, preview.extent)
        figure.add_scatter(
            x=lines[:, 0],
            y=lines[:, 1],
            mode="lines",
            name=label_of(name),
            line={"color": colour, "width": 2.8 if order == 0 else 1.4},
            hoverinfo="skip",
        )
    if target is not None:
        lines = density_lines(target, preview.extent)
        figure.add_scatter(
            x=lines[:, 0],
            y=lines[:, 1],
            mode="lines",
            name=TARGET_NAME,
            line={"color": TARGET[theme], "width": 2},
            hoverinfo="skip",
        )
    point_colours = np.array([*colours, NEUTRAL[theme]])[owners(preview.weights)]
    known = np.arange(len(point_colours)) < (len(point_colours) if traced is None else traced)
    drawn = np.ones(len(known), bool) if rows is None else np.isin(np.arange(len(known)), rows)
    for chosen, clickable in ((np.nonzero(~known & drawn)[0], False), (np.nonzero(known & drawn)[0], True)):
        if not len(chosen):
            continue
        size: Any = 6 if clickable else 4
        if counts is not None:
            size = (size * np.sqrt(counts[chosen])).clip(*DOTS)
        outline = {"width": 1, "color": NEUTRAL[theme]} if clickable and not known.all() else {"width": 0}
        opacity = 0.65 if clickable else 0.35
        # What has no hover cannot be clicked either.
        hover: dict[str, Any] = {"hovertemplate": "sample %{customdata}: (%{x:.3f}, %{y:.3f})<extra></extra>"}
        figure.add_scatter(
            x=preview.positions[chosen, 0],
            y=preview.positions[chosen, 1],
            mode="markers",
            name="samples",
            customdata=chosen if clickable else None,
            marker={"size": size, "color": point_colours[chosen], "opacity": opacity, "line": outline},
            showlegend=False,
            selected={"marker": {"opacity": 0.9 if clickable else opacity}},
            unselected={"marker": {"opacity": opacity}},
            **(hover if clickable else {"hoverinfo": "skip"}),
        )
    if picked is not None:
        figure.add_scatter(
            x=preview.positions[[picked], 0],
            y=preview.positions[[picked], 1],
            mode="markers",
            marker={"size": 15, "symbol": "circle-open", "color": NEUTRAL[theme], "line": {"width": 2.5}},
            hoverinfo="skip",
            showlegend=False,
        )
    x0, x1, y0, y1 = (float(value) for value in preview.extent)
    lay_out(figure, height, "y")
    figure.update_xaxes(title_text="x", range=[x0, x1], constrain="domain")
    figure.update_yaxes(range=[y0, y1], scaleanchor="x", constrain="domain")
    return figure


def gallery_figure(
    pictures: np.ndarray,
    numbers: np.ndarray,
    picked: int | None,
    cell: int = 84,
    labels: Sequence[str] = (),
    group: int = 1,
    width: int = _GALLERY_WIDTH,
) -> go.Figure:
    """Pictures uint8 [n, H, W] or [n, H, W, 3] as a grid in which a click picks one.

    Args:
        pictures: what to show.
        numbers: of the samples they show, int [n].
        picked: the number of the one that is framed.
        cell: width of one picture in pixels, at least.
        labels: one for each picture, on its upper edge; left out: none.
        group: pictures that belong together and shall not be parted by a row's end, where a row has room for them.
        width: that the figure will about have on the page, in pixels.
    """
    count, height, across = pictures.shape[:3]
    columns, rows = grid_shape(count)
    if 1 < group <= WIDEST_GROUP and count > group:
        columns = group * max(1, round(columns / group))
        rows = -(-count // columns)
    index = np.arange(count)
    row, column = index // columns, index % columns
    figure = go.Figure()
    source = "data:image/png;base64," + base64.b64encode(mosaic_png(pictures, cell, columns)).decode()
    figure.add_layout_image(
        source=source, xref="x", yref="y", x=0, y=0, sizex=columns, sizey=rows, sizing="stretch", layer="below"
    )
    # Unseen points in the middle of the pictures, nearest of which a click takes.
    figure.add_scatter(
        x=column + 0.5,
        y=row + 0.5,
        mode="markers",
        customdata=numbers,
        marker={"size": 20, "opacity": 0},
        hovertemplate="sample %{customdata}<extra></extra>",
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        showlegend=False,
    )
    for where, label in enumerate(labels):
        figure.add_annotation(
            x=float(column[where]) + 0.5,
            y=float(row[where]) + 0.03,
            text=as_typed(label),
            yanchor="top",
            showarrow=False,
            font={"size": 11, "color": "#ffffff"},
            bgcolor="rgba(20, 28, 34, 0.72)",
            borderpad=1,
        )
    for place in np.nonzero(numbers == picked)[0]:
        x, y = int(column[place]), int(row[place])
        figure.add_shape(type="rect", x0=x, x1=x + 1, y0=y, y1=y + 1, line={"color": PICKED, "width": 4})
    figure.update_layout(
        height=round((width if count > 1 else min(width, 300)) * rows / columns * height / across),
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        hovermode="closest",
        hoverdistance=-1,
        dragmode=False,
        plot_bgcolor="rgba(0,0,0,0)",
    )
    hidden = {"visible": False, "fixedrange": True, "constrain": "domain"}
    figure.update_xaxes(range=[0, columns], **hidden)
    figure.update_yaxes(range=[rows, 0], scaleanchor="x", scaleratio=height / across, constraintoward="top", **hidden)
    return figure


def agreement_figure(
    estimated: np.ndarray,
    exact: np.ndarray,
    names: Sequence[str],
    colours: Sequence[str],
    theme: str,
    height: int = 320,
    axes: tuple[str, str] = ("estimated log q, nats", "exact log q, nats"),
    symbols: Sequence[str] | None = None,
) -> go.Figure:
    """One log-density of the samples against another, [experts, n], with the diagonal on which they agree.

    Args:
        estimated: across.
        exact: up.
        names: of the experts.
        colours: of the experts.
        theme: "light" or "dark".
        height: in pixels.
        axes: what each of the two is.
        symbols: of the experts; None for circles.
    """
    figure = go.Figure()
    across, up = (as_typed(axis.split(", ")[0]) for axis in axes)
    size = 4 if estimated.shape[1] > FEW else 7
    shapes = ["circle"] * len(names) if symbols is None else symbols
    for name, colour, symbol, x, y in zip(names, colours, shapes, estimated, exact, strict=True):
        figure.add_scatter(
            x=x,
            y=y,
            mode="markers",
            name=label_of(name),
            marker={"size": size, "color": colour, "opacity": 0.6, "symbol": symbol},
            hovertemplate=f"{across} %{{x:.3f}}, {up} %{{y:.3f}}<extra>{as_typed(name)}</extra>",
        )
    both = np.concatenate([estimated.ravel(), exact.ravel()])
    ends = [float(both.min()), float(both.max())]
    line = {"color": GUIDE[theme], "width": 1.2, "dash": "dash"}
    figure.add_scatter(x=ends, y=ends, mode="lines", line=line, showlegend=False, hoverinfo="skip")
    lay_out(figure, height, axes[1])
    figure.update_xaxes(title_text=axes[0])
    return figure


def contour_note(target: bool = False) -> str:
    """What the contour lines mean, in one sentence; `target`: also those of the exact target."""
    depths = ", ".join(f"{depth:g}" for depth in DEPTHS)
    also = " and the exact target's" if target else ""
    return f"Lines: each expert's exact density{also}, {depths} nats below its highest point."


def lay_out(figure: go.Figure, height: int, unit: str) -> None:
    """Height in pixels, margins, the legend below, and the title of the axis up."""
    figure.update_layout(
        height=height,
        # Room above for the tool bar alone: titles stand outside, and the legend is at the other end.
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "xanchor": "left"},
    )
    figure.update_yaxes(title_text=unit)


def as_typed(text: str) -> str:
    """`text` as plotly shows it as typed: it reads a little HTML, TeX, and in hovers places for numbers."""
    for letter, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("$", "&#36;"), ("%{", "%&#123;")):
        text = text.replace(letter, written)
    return text


def label_of(name: str) -> str:
    """A name where there is little room; the hover has it whole."""
    return as_typed(name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1].rstrip() + "…")
