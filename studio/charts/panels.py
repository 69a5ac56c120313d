"""Panels of a formula's page in the plane: densities as contour lines and shading, samples as dots; to look at only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from superdiff_engine.domains.colours import rgb
from superdiff_engine.domains.plane.contours import DEPTHS, contour_segments, joined_lines

from .palette import GUIDE, NEUTRAL, TARGET

#: What a panel's tool bar offers: nothing.
CONFIG = {"displayModeBar": False, "staticPlot": True}


def panel_figure(
    extent: np.ndarray,
    theme: str,
    target: np.ndarray | None = None,
    shaded: bool = False,
    experts: Sequence[np.ndarray] = (),
    colours: Sequence[str] = (),
    equal: bool = False,
    samples: np.ndarray | None = None,
    height: int = 350,
) -> go.Figure:
    """One panel.

    Args:
        extent: x0, x1, y0, y1 of the grids, and of the panel.
        theme: "light" or "dark".
        target: log-density of the exact target on a grid, in nats; row 0 is the lowest y.
        shaded: whether the target's density is shaded, too.
        experts: log-densities of experts, likewise.
        colours: of these.
        equal: whether the lines on which the first two experts are equally likely are drawn.
        samples: positions, [n, 2].
        height: in pixels.
    """
    figure = go.Figure()
    x0, x1, y0, y1 = (float(value) for value in extent)
    if target is not None and shaded:
        red, green, blue = rgb(TARGET[theme])
        rows, columns = target.shape
        figure.add_heatmap(
            x=np.linspace(x0, x1, columns),
            y=np.linspace(y0, y1, rows),
            z=np.exp(target - target.max()),
            colorscale=[[0, f"rgba({red},{green},{blue},0)"], [1, f"rgba({red},{green},{blue},0.55)"]],
            showscale=False,
            zsmooth="best",
        )
    for grid, colour in zip(experts, colours, strict=True):
        _line(figure, _segments(grid, extent), colour, 1.6)
    if equal:
        segments = contour_segments(experts[0] - experts[1], extent, np.zeros(1))
        # Far out, where both may have only their background, rounding draws the line.
        near = np.abs(segments).max((1, 2)) < 0.88 * x1
        _line(figure, segments[near], GUIDE[theme], 1.6)
    if samples is not None:
        figure.add_scatter(
            x=samples[:, 0],
            y=samples[:, 1],
            mode="markers",
            marker={"size": 3.5, "color": NEUTRAL[theme], "opacity": 0.45},
        )
    if target is not None:
        _line(figure, _segments(target, extent), TARGET[theme], 2)
    figure.update_layout(
        height=height, margin={"l": 4, "r": 4, "t": 4, "b": 4}, showlegend=False, plot_bgcolor="rgba(0,0,0,0)"
    )
    ticks = {"dtick": 1, "zeroline": False, "ticks": ""}
    figure.update_xaxes(title_text="x", range=[x0, x1], constrain="domain", **ticks)
    figure.update_yaxes(title_text="y", range=[y0, y1], scaleanchor="x", constrain="domain", **ticks)
    return figure


def thumbnail_svg(
    extent: np.ndarray,
    theme: str,
    target: np.ndarray | None,
    experts: Sequence[np.ndarray],
    colours: Sequence[str],
    size: int = 96,
) -> str:
    """A small picture of the same: the experts' lines, thin, and the target's over them; none for no target.

    Args:
        extent: x0, x1, y0, y1 of the grids, and of the picture.
        theme: "light" or "dark".
        target: log-density of the exact target on a grid, in nats.
        experts: log-densities of experts, likewise.
        colours: of these.
        size: in pixels, each way.
    """
    x0, x1, y0, y1 = (float(value) for value in extent)
    drawn = [(grid, colour, 0.8) for grid, colour in zip(experts, colours, strict=True)]
    if target is not None:
        drawn.append((target, TARGET[theme], 1.6))
    paths = []
    for grid, colour, width in drawn:
        lines = (joined_lines(_segments(grid, extent)) - [x0, y1]) * [size / (x1 - x0), size / (y0 - y1)]
        moves = np.roll(np.isnan(lines[:, 0]), 1)
        path = "".join(
            f"{'M' if move else 'L'}{x:.1f} {y:.1f}"
            for move, (x, y) in zip(moves, lines, strict=True)
            if np.isfinite(x)
        )
        paths.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 {size} {size}">'
    return f"{head}{''.join(paths)}</svg>"


def _segments(log_density: np.ndarray, extent: np.ndarray) -> np.ndarray:
    return contour_segments(log_density, extent, log_density.max() - np.array(DEPTHS))


def _line(figure: go.Figure, segments: np.ndarray, colour: str, width: float) -> None:
    lines = joined_lines(segments)
    figure.add_scatter(x=lines[:, 0], y=lines[:, 1], mode="lines", line={"color": colour, "width": width})
