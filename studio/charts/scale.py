"""How large what is drawn is: as usual, or for the back of a room while the tab presents (static/tab.js says so).

The page's own letters grow by the style's `--studio-scale`; charts are drawn on the server's word, so it is told the
window and the factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from .live import squares
from .palette import theme_name

__all__ = ["Screen", "draw_echarts", "draw_plotly", "enlarge_figure", "enlarged", "note_screen", "presented"]

#: Letters of a chart, a little more than ECharts has of itself, and words of a legend before they are cut; in pixels.
_LETTERS, _LEGEND = 13, 120
#: More room for the numbers of an axis, in pixels at scale 1.
_DIGITS = 14
#: Opacity below which nothing survives a projector.
_FAINTEST = 0.5
_INK = {"light": "#14202a", "dark": "#f2f6f8"}
#: A finished figure grows up to this share of the window's height, so that its title and it are in sight at once.
_TALLEST = 0.75
#: Of a window, in pixels; and how often larger anything may be.
_SMALLEST, _LARGEST, _MOST = 200, 16_000, 6.0


@dataclass(frozen=True)
class Screen:
    """The window of a tab that presents.

    Attributes:
        width: in pixels.
        height: likewise.
        scale: how much larger letters, lines and dots are than usual.
    """

    width: int
    height: int
    scale: float


def note_screen(told: Any) -> None:
    """Take in what the tab's script says: [width, height, scale], or nothing while it does not present."""
    screen = None
    numbers = isinstance(told, list) and len(told) == 3 and all(isinstance(one, int | float) for one in told)
    if numbers and all(math.isfinite(one) for one in told):
        width, height = (int(min(max(one, _SMALLEST), _LARGEST)) for one in told[:2])
        screen = Screen(width, height, float(min(max(told[2], 1.0), _MOST)))
    st.session_state["screen"] = screen


def presented() -> Screen | None:
    """The window of this tab while it presents; None while it does not."""
    found: Screen | None = st.session_state.get("screen")
    return found


def draw_echarts(option: dict[str, Any], key: str, height: int, alt: str) -> None:
    """An ECharts chart, as it is or enlarged for a room."""
    screen = presented()
    shown = option if screen is None else enlarged(option, height, screen.scale, theme_name())
    st.echarts_chart(shown, key=key, height=height, alt=alt)


def draw_plotly(figure: go.Figure, **how: Any) -> None:
    """A finished figure, as it is or enlarged for a room; `how` is for st.plotly_chart."""
    screen = presented()
    if screen is not None:
        enlarge_figure(figure, screen, theme_name())
    st.plotly_chart(figure, **how)


def enlarge_figure(figure: go.Figure, screen: Screen, theme: str) -> None:
    """Make a figure's letters, lines and dots larger where they are, and itself taller as far as the window allows.

    Args:
        figure: of plotly, as charts.finished makes them.
        screen: what it is shown on.
        theme: "light" or "dark".
    """
    letters = {"size": round(_LETTERS * screen.scale), "color": _INK[theme]}
    figure.update_layout(font=letters, legend_font=letters, hoverlabel_font_size=letters["size"])
    figure.update_xaxes(tickfont=letters, title_font=letters, nticks=6)
    figure.update_yaxes(tickfont=letters, title_font=letters, nticks=6)
    figure.update_annotations(font_size=letters["size"])
    height = figure.layout.height
    if height:
        figure.layout.height = max(height, round(min(height * screen.scale, _TALLEST * screen.height)))

    for trace in figure.data:
        for path in ("line.width", "marker.size"):
            if path in trace and trace[path] is not None:  # not all kinds of traces have lines or dots
                trace[path] = np.multiply(trace[path], screen.scale)


def enlarged(option: dict[str, Any], height: int, factor: float, theme: str) -> dict[str, Any]:
    """The same chart with larger letters, thicker lines and larger dots, in colours that a projector does not swallow.

    Args:
        option: of ECharts, as charts.live makes them.
        height: of the chart, in pixels.
        factor: see `Screen`.
        theme: "light" or "dark".
    """
    letters = {"fontSize": round(_LETTERS * factor), "color": _INK[theme]}

    def axis(one: dict[str, Any]) -> dict[str, Any]:
        gap = {"nameGap": round(one["nameGap"] * factor)} if "nameGap" in one else {}
        line = one.get("axisLine", {}) | {"lineStyle": {"color": _INK[theme], "width": factor}}
        # Larger numbers need more room each.
        return one | gap | {"axisLabel": letters, "nameTextStyle": letters, "axisLine": line, "splitNumber": 4}

    def axes(found: Any) -> Any:
        return [axis(one) for one in found] if isinstance(found, list) else axis(found)

    def seen(style: dict[str, Any]) -> dict[str, Any]:
        width = {"width": style["width"] * factor} if "width" in style else {}
        return style | width | {"opacity": max(style.get("opacity", 1.0), _FAINTEST)}

    def series(one: dict[str, Any]) -> dict[str, Any]:
        found = {name: seen(one[name]) for name in ("lineStyle", "itemStyle") if name in one}
        size = {"symbolSize": one["symbolSize"] * factor} if "symbolSize" in one else {}
        return one | found | size

    grid = {name: round(side * factor) if isinstance(side, int) else side for name, side in option["grid"].items()}
    made = option | {"grid": grid, "series": [series(one) for one in option["series"]]}
    made |= {name: axes(option[name]) for name in ("xAxis", "yAxis")}
    if "media" not in option:  # numbers of many digits beside the title of their axis
        grid["left"] = round(grid["left"] + _DIGITS * factor)
        for one in made["yAxis"] if isinstance(made["yAxis"], list) else [made["yAxis"]]:
            if "nameGap" in one:
                one["nameGap"] = round(one["nameGap"] + _DIGITS * factor)
    if "legend" in option:
        made["legend"] = option["legend"] | {
            "textStyle": letters | {"width": _LEGEND * factor, "overflow": "truncate"},
            "itemWidth": round(option["legend"]["itemWidth"] * factor),
            "itemHeight": round(option["legend"]["itemHeight"] * factor),
        }
    if "media" in option:
        made["media"] = squares(height, factor)
    return made
