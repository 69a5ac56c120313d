"""The colours in the theme that the browser shows now."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from superdiff_engine.domains import colours
from superdiff_engine.domains.colours import EXPERT_COLOURS, GUIDE, NEUTRAL, RESAMPLED, RUN_COLOURS, TARGET

__all__ = [
    "EXPERT_COLOURS",
    "GROUND",
    "GUIDE",
    "NEUTRAL",
    "PICKED",
    "RESAMPLED",
    "TARGET",
    "dot",
    "expert_colours",
    "hex_colour",
    "run_colours",
    "theme_name",
]

#: What drawings on a page stand on.
GROUND = {"light": "#ffffff", "dark": "#1a242b"}
#: The frame of the picture that was picked.
PICKED = "#e8590c"


def theme_name() -> str:
    """The theme that the browser shows now: "light" or "dark"."""
    return "dark" if st.context.theme.type == "dark" else "light"


def expert_colours(count: int) -> list[str]:
    """Colours of the first `count` experts in the theme of now."""
    return colours.expert_colours(count, theme_name())


def run_colours(count: int) -> list[str]:
    """Colours of the first `count` of runs beside each other in the theme of now."""
    return RUN_COLOURS[theme_name()][:count]


def dot(index: int) -> str:
    """A dot in the colour of expert `index`, for Markdown."""
    return f':color[●]{{foreground="{expert_colours(index + 1)[index]}"}}'


def hex_colour(parts: Sequence[int]) -> str:
    """Red, green and blue from 0 to 255 as "#rrggbb"."""
    return "#" + "".join(f"{part:02x}" for part in parts)
