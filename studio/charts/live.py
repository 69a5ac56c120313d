"""Live charts: ECharts options made from snapshots of a trace.

They update in place (the same canvas from the first tick to the last), so they carry no animation, and all data go
as one table a chart, which Streamlit sends in binary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from superdiff_engine.domains.colours import owners
from superdiff_engine.domains.plane.arrays import PlanePreview
from superdiff_engine.domains.plane.contours import density_lines
from superdiff_engine.figures.quantities import (
    EFFECTIVE_TITLE,
    EFFECTIVE_UNIT,
    MEDIAN,
    MOST_LINES,
    RESAMPLED_NAME,
    SIZE,
    TARGET_NAME,
    THRESHOLD,
    TITLES,
    UNITS,
    Quantity,
    mark_height,
    select,
)
from superdiff_engine.trace import Curves

from .palette import GUIDE, NEUTRAL, RESAMPLED, TARGET

__all__ = [
    "EFFECTIVE_TITLE",
    "EFFECTIVE_UNIT",
    "LIVE_POINTS",
    "MEDIAN",
    "MOST_LINES",
    "RESAMPLED_NAME",
    "SIZE",
    "TARGET_NAME",
    "THRESHOLD",
    "TITLES",
    "UNITS",
    "Quantity",
    "agreement_option",
    "at_level",
    "curve_option",
    "effective_option",
    "mark_height",
    "pair_error",
    "plane_option",
    "select",
    "squares",
]

#: Rows of a live curve.
LIVE_POINTS = 300
#: How many samples' own curves are drawn behind the mean.
THIN_CURVES = 8
#: Rows of each of them.
THIN_POINTS = 100
#: Samples in the live "estimated against exact".
COMPARED = 160


def at_level(level: float, name: str = "") -> str:
    """What a log-density is called that stands at a noise level, of an expert where one is named."""
    return f"log q{f' of {name}' if name else ''} at s = {level:.3g}, nats"


def curve_option(
    curves: Curves,
    quantity: Quantity,
    names: Sequence[str],
    colours: Sequence[str],
    steps: int,
    thin: bool,
    component: str | None = None,
    theme: str = "light",
) -> dict[str, Any]:
    """Curves over the steps, one colour an expert: the mean bold, single samples thin; marks where particles were
    resampled.
    """
    means, singles = select(curves, quantity, component)
    thin = thin and singles.shape[2] > 0
    table: dict[str, np.ndarray] = {"step": curves.index}
    tables, series = [], []
    if thin:
        rows = np.unique(np.linspace(0, len(curves.index) - 1, THIN_POINTS).astype(int))
        for expert, colour in enumerate(colours):
            # One series for all of an expert's thin curves, with gaps between them: three times as quick to draw.
            values = singles[rows, expert, :THIN_CURVES].T
            gap = np.full((len(values), 1), np.nan)
            step = np.tile(np.append(curves.index[rows], np.nan), len(values))
            tables.append({"source": _table(step=step, value=np.concatenate([values, gap], axis=1).ravel())})
            line = _line("value", colour, 1.0, 0.3) | {"datasetIndex": len(tables), "silent": True, "z": 1}
            series.append(line | {"tooltip": {"show": False}})
    for order, (name, colour, values) in enumerate(zip(names, colours, means.T, strict=True)):
        # The first expert's line is broader, so that lines on top of each other show both colours.
        table[name] = values
        series.append(_line(name, colour, 4.2 if order == 0 else 2.2, 1.0) | {"name": name, "z": 3})
    option = _frame() | {
        "legend": _legend(names, "roundRect", 14, 4),
        "tooltip": {"trigger": "axis"},
        "dataset": [{"source": _table(**table)}, *tables],
        "xAxis": _axis("step", minimum=0, maximum=steps, gap=24),
        "yAxis": _axis(UNITS[quantity], gap=46) | {"scale": True},
        "series": series,
    }
    return _marked(option, curves, theme)


def effective_option(curves: Curves, particles: int, threshold: float, steps: int, theme: str) -> dict[str, Any]:
    """The effective sample size over the steps in % of a group: the median bold, single groups thin; the threshold.

    Args:
        curves: of a corrected run.
        particles: of a group.
        threshold: the share of a group below which it is resampled.
        steps: of the run.
        theme: "light" or "dark".
    """
    share = 100 * curves.effective / particles
    table: dict[str, np.ndarray] = {"step": curves.index, MEDIAN: np.median(share, 1)}
    tables, series = [], []
    if share.shape[1] > 1:
        values = share[:, :THIN_CURVES].T
        gap = np.full((len(values), 1), np.nan)
        step = np.tile(np.append(curves.index, np.nan), len(values))
        tables.append({"source": _table(step=step, value=np.concatenate([values, gap], axis=1).ravel())})
        line = _line("value", NEUTRAL[theme], 1.0, 0.4) | {"datasetIndex": 1, "silent": True, "z": 1}
        series.append(line | {"tooltip": {"show": False}})
    name = MEDIAN if share.shape[1] > 1 else SIZE
    series.append(_line(MEDIAN, NEUTRAL[theme], 2.6, 1.0) | {"name": name, "z": 3})
    ends = np.array([0.0, steps])
    tables.append({"source": _table(step=ends, value=np.full(2, 100 * threshold))})
    line = _line("value", RESAMPLED[theme], 1.4, 1.0) | {"datasetIndex": len(tables), "silent": True, "z": 2}
    line["lineStyle"]["type"] = "dashed"
    series.append(line | {"name": THRESHOLD, "tooltip": {"show": False}})
    option = _frame() | {
        "legend": _legend([name, THRESHOLD], "roundRect", 14, 4),
        "tooltip": {"trigger": "axis"},
        "dataset": [{"source": _table(**table)}, *tables],
        "xAxis": _axis("step", minimum=0, maximum=steps, gap=24),
        "yAxis": _axis(EFFECTIVE_UNIT, gap=46, minimum=0, maximum=100),
        "series": series,
    }
    return _marked(option, curves, theme)


def _marked(option: dict[str, Any], curves: Curves, theme: str) -> dict[str, Any]:
    """A chart over the steps with thin upright lines where particles were resampled; as it was where none were."""
    marks = curves.marks.astype(float)
    if not len(marks):
        return option
    # On an axis of their own, 0 to 1 from bottom to top, whatever the curves' range; many marks are ticks at its foot.
    top = mark_height(len(marks))
    step = np.stack([marks, marks, np.full_like(marks, np.nan)], 1).ravel()
    height = np.tile([0.0, top, np.nan], len(marks))
    dataset = [*option["dataset"], {"source": _table(step=step, mark=height)}]
    line = _line("mark", RESAMPLED[theme], 1.0, 0.55) | {"datasetIndex": len(dataset) - 1, "yAxisIndex": 1, "z": 0}
    legend = option["legend"] | {"data": [*option["legend"]["data"], RESAMPLED_NAME]}
    unseen = {"type": "value", "min": 0, "max": 1, "show": False}
    return option | {
        "dataset": dataset,
        "legend": legend,
        "yAxis": [option["yAxis"], unseen],
        "series": [*option["series"], line | {"name": RESAMPLED_NAME, "silent": True, "tooltip": {"show": False}}],
    }


def plane_option(
    preview: PlanePreview,
    names: Sequence[str],
    colours: Sequence[str],
    theme: str,
    height: int,
    target: np.ndarray | None = None,
) -> dict[str, Any]:
    """The plane: contour lines of every expert at the level of now, and the samples over them.

    A unit is as long across as up, however wide the chart is; `height` is the chart's, in pixels. `target`: the
    log-density of the exact target on the same grid, in nats, whose lines are drawn over the experts'.
    """
    extent = preview.extent
    tables, series = [], []
    for order, (name, colour, grid) in enumerate(zip(names, colours, preview.contours, strict=True)):
        lines = density_lines(grid, extent)
        tables.append({"source": _table(x=lines[:, 0], y=lines[:, 1])})
        line = _line("y", colour, 2.8 if order == 0 else 1.4, 0.9) | {"encode": {"x": "x", "y": "y"}, "z": 3}
        line |= {"name": name, "datasetIndex": len(tables) - 1, "silent": True, "tooltip": {"show": False}}
        series.append(line)
    if target is not None:
        lines = density_lines(target, extent)
        tables.append({"source": _table(x=lines[:, 0], y=lines[:, 1])})
        line = _line("y", TARGET[theme], 2.0, 1.0) | {"encode": {"x": "x", "y": "y"}, "z": 4}
        line |= {"name": TARGET_NAME, "datasetIndex": len(tables) - 1, "silent": True, "tooltip": {"show": False}}
        series.append(line)
        names = [*names, TARGET_NAME]
    owner = owners(preview.weights)
    for expert in range(-1, len(colours)):
        points = preview.positions[owner == expert]
        colour = NEUTRAL[theme] if expert < 0 else colours[expert]
        tables.append({"source": _table(x=points[:, 0], y=points[:, 1])})
        series.append(_dots(colour, 4, 0.6) | {"datasetIndex": len(tables) - 1, "encode": {"x": "x", "y": "y"}, "z": 2})
    x0, x1, y0, y1 = (float(value) for value in extent)
    return _frame() | {
        "legend": _legend(names, "roundRect", 14, 4),
        "dataset": tables,
        "xAxis": _axis("x", minimum=x0, maximum=x1, gap=24),
        "yAxis": _axis("y", minimum=y0, maximum=y1, gap=28),
        "series": series,
        "media": squares(height),
    }


def agreement_option(
    estimated: np.ndarray, exact: np.ndarray, names: Sequence[str], colours: Sequence[str], theme: str
) -> dict[str, Any]:
    """Estimated against exact log-density of the samples now, [experts, n]; on the diagonal they agree."""
    tables, series = [], []
    estimated, exact = estimated[:, :COMPARED], exact[:, :COMPARED]
    low = float(min(estimated.min(), exact.min()))
    high = float(max(estimated.max(), exact.max()))
    ends = np.array([low, high])
    for name, colour, x, y in zip(names, colours, estimated, exact, strict=True):
        tables.append({"source": _table(estimated=x, exact=y)})
        dots = _dots(colour, 4, 0.5) | {"name": name, "datasetIndex": len(tables) - 1}
        series.append(dots | {"encode": {"x": "estimated", "y": "exact"}})
    diagonal = _line("exact", GUIDE[theme], 1.2, 1.0) | {"datasetIndex": len(tables), "silent": True, "z": 4}
    series.append(diagonal | {"encode": {"x": "estimated", "y": "exact"}, "tooltip": {"show": False}})
    tables.append({"source": _table(estimated=ends, exact=ends)})
    return _frame() | {
        "legend": _legend(names, "circle", 8, 8),
        "dataset": tables,
        "xAxis": _axis("estimated log q, nats", gap=24) | {"scale": True},
        "yAxis": _axis("exact log q, nats", gap=46) | {"scale": True},
        "series": series,
    }


def pair_error(log_density: np.ndarray, exact: np.ndarray) -> float | None:
    """Mean error of the estimated log q_1 - log q_2 in nats; None for a single expert."""
    if len(exact) < 2:
        return None
    return float(np.abs((log_density[0] - log_density[1]) - (exact[0] - exact[1])).mean())


def _table(**columns: np.ndarray) -> pa.Table:
    # Arrow at once: a pandas table on the way costs five times as much. NaN becomes null, a gap in a line.
    return pa.table(
        {name: pa.array(np.asarray(values, np.float32), from_pandas=True) for name, values in columns.items()}
    )


#: Room around the grid of a chart, in pixels.
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 14, 30, 44


def _frame() -> dict[str, Any]:
    room = {"left": _LEFT, "right": _RIGHT, "top": _TOP, "bottom": _BOTTOM}
    return {"animation": False, "grid": room | {"outerBoundsMode": "none"}}


def squares(height: int, factor: float = 1.0) -> list[dict[str, Any]]:
    """For every width of a chart the largest square grid in it, to a few pixels: ECharts locks no proportions.

    Args:
        height: of the chart, in pixels.
        factor: by which the room around the grid is larger than usual.
    """
    most, step, beside = height - round(factor * (_TOP + _BOTTOM)), 8, round(factor * (_LEFT + _RIGHT))
    rules = []
    for side in [*range(most % step + step * 8, most, step), most]:
        widths = {"minWidth": side + beside}
        if side < most:
            widths["maxWidth"] = side + beside + step - 1
        rules.append({"query": widths, "option": {"grid": {"width": side, "height": side}}})
    return rules


def _legend(names: Sequence[str], icon: str, width: int, height: int) -> dict[str, Any]:
    # Not to be clicked: an update would forget the click.
    return {
        "data": list(names),
        "selectedMode": False,
        "icon": icon,
        # One line, whatever the names: what does not fit is paged through, and no name covers the chart.
        "type": "scroll",
        "textStyle": {"width": 120, "overflow": "truncate"},
        "itemWidth": width,
        "itemHeight": height,
        "top": 0,
    }


def _axis(name: str, gap: int, minimum: float | None = None, maximum: float | None = None) -> dict[str, Any]:
    axis: dict[str, Any] = {
        "type": "value",
        "name": name,
        "nameLocation": "middle",
        "nameGap": gap,
        "axisLine": {"onZero": False},
        "splitLine": {"lineStyle": {"opacity": 0.35}},
    }
    if minimum is not None:
        axis |= {"min": minimum, "max": maximum}
    return axis


def _line(column: str, colour: str, width: float, opacity: float) -> dict[str, Any]:
    return {
        "type": "line",
        "encode": {"x": "step", "y": column},
        "showSymbol": False,
        "color": colour,
        "lineStyle": {"color": colour, "width": width, "opacity": opacity, "cap": "round"},
    }


def _dots(colour: str, size: int, opacity: float) -> dict[str, Any]:
    return {
        "type": "scatter",
        "symbolSize": size,
        "itemStyle": {"color": colour, "opacity": opacity},
        "color": colour,
        "silent": True,
        "tooltip": {"show": False},
    }
