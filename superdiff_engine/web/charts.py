"""Curves of a run for plotly.js: what `figures.curves` draws on paper, to be zoomed and hovered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..domains.colours import NEUTRAL, RESAMPLED, expert_colours
from ..figures.paper import INK, LONGEST_NAME, shortened
from ..figures.quantities import EFFECTIVE_TITLE, EFFECTIVE_UNIT, TITLES, UNITS, Quantity, select
from ..figures.words import level_axis
from ..recipes.document import Recipe
from ..trace import Curves

__all__ = ["as_typed", "charts_of"]

#: Single samples behind the means, and digits of a number.
_THIN, _DIGITS = 12, 6


def as_typed(text: str) -> str:
    """`text` as plotly shows it as typed: it reads a little HTML, TeX, and in hovers places for numbers."""
    for letter, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("$", "&#36;"), ("%{", "%&#123;")):
        text = text.replace(letter, written)
    return text


def charts_of(curves: Curves, recipe: Recipe, titles: Sequence[str], theme: str = "light") -> list[dict[str, Any]]:
    """The charts of a run: each with a title, and data and layout as plotly.js takes them.

    Args:
        curves: of its trace.
        recipe: of it.
        titles: of its experts, shown as typed.
        theme: "light" or "dark".
    """
    several = len(titles) > 1
    quantities: list[Quantity] = ["value", *(["difference", "weights"] if several else [])]  # type: ignore[list-item]
    charts = [_chart(TITLES[one], UNITS[one], _lines(curves, one, titles, theme), recipe, theme) for one in quantities]
    if recipe.correction is not None and curves.effective.size:
        share = 100 * curves.effective / recipe.group
        line = _line(curves.level, np.median(share, 1), "median of the groups", NEUTRAL[theme], 2.2)
        below = _line(
            curves.level[[0, -1]], np.full(2, 100 * recipe.correction.threshold), "threshold", RESAMPLED[theme], 1.2
        )
        charts.append(_chart(EFFECTIVE_TITLE, EFFECTIVE_UNIT, [line, below], recipe, theme))
    return charts


def _lines(curves: Curves, quantity: Quantity, titles: Sequence[str], theme: str) -> list[dict[str, Any]]:
    means, singles = select(curves, quantity)
    names = [as_typed(f"{place} {title}") for place, title in enumerate(titles, start=1)]
    lines = []
    for expert, colour in enumerate(expert_colours(len(titles), theme)):
        few = singles[:, expert, :_THIN].astype(float)
        gap = np.full((1, few.shape[1]), np.nan)
        across = np.tile(np.append(curves.level, np.nan), few.shape[1])
        thin = _line(across, np.concatenate([few, gap]).T.ravel(), names[expert], colour, 0.7)
        lines.append(thin | {"opacity": 0.3, "hoverinfo": "skip", "showlegend": False, "legendgroup": str(expert)})
    for expert, colour in enumerate(expert_colours(len(titles), theme)):
        short = as_typed(shortened(f"{expert + 1} {titles[expert]}", LONGEST_NAME))
        bold = _line(curves.level, means[:, expert], short, colour, 4.0 if expert == 0 else 2.2)
        hover = "%{y:.4g}<extra>" + names[expert] + "</extra>"
        lines.append(bold | {"legendgroup": str(expert), "hovertemplate": hover})
    return lines


def _line(x: np.ndarray, y: np.ndarray, name: str, colour: str, width: float) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": _numbers(x),
        "y": _numbers(y),
        "name": name,
        "line": {"color": colour, "width": width},
    }


def _numbers(values: np.ndarray) -> list[float | None]:
    """Numbers as JSON has them: what is not finite is left empty."""
    return [float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None for value in np.asarray(values, float)]


def _chart(title: str, unit: str, data: list[dict[str, Any]], recipe: Recipe, theme: str) -> dict[str, Any]:
    ink = INK[theme]
    axis = {"gridcolor": ink.grid, "linecolor": ink.frame, "zeroline": False}
    layout = {
        "height": 370,
        "margin": {"l": 70, "r": 20, "t": 10, "b": 80},
        "paper_bgcolor": ink.ground,
        "plot_bgcolor": ink.ground,
        "font": {"color": ink.text, "size": 13},
        "hovermode": "x",
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        "xaxis": axis
        | {
            "type": "log",
            "autorange": "reversed",
            "dtick": "D2",
            "title": {"text": as_typed(level_axis(recipe)), "font": {"size": 13}},
        },
        "yaxis": axis | {"title": {"text": unit}},
    }
    return {"title": title, "data": data, "layout": layout}
