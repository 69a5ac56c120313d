"""One colour for each expert, the same in every chart: after Okabe and Ito, so that all eyes can tell them apart."""

from __future__ import annotations

import streamlit as st

#: By theme, in the order of the experts. `.streamlit/config.toml` holds the same lists.
EXPERT_COLOURS = {
    "light": ["#0072b2", "#d55e00", "#009e73", "#b8578f", "#c98a00", "#56b4e9", "#6b7280", "#7a5c1e"],
    "dark": ["#4aa3df", "#f0803c", "#2bbf94", "#e09ac4", "#f2b233", "#9bd4f5", "#a3acb5", "#d8c074"],
}
#: Samples that no single expert owns.
NEUTRAL = {"light": "#2f3b44", "dark": "#e6ebef"}
#: The diagonal in "estimated against exact", and other lines that only guide the eye.
GUIDE = {"light": "#8a97a1", "dark": "#74828d"}
#: The frame of the picture that was picked.
PICKED = "#e8590c"


def theme_name() -> str:
    """The theme that the browser shows now: "light" or "dark"."""
    return "dark" if st.context.theme.type == "dark" else "light"


def expert_colours(count: int) -> list[str]:
    """Colours of the first `count` experts in the theme of now."""
    colours = EXPERT_COLOURS[theme_name()]
    return [colours[index % len(colours)] for index in range(count)]


def dot(index: int) -> str:
    """A dot in the colour of expert `index`, for Markdown."""
    return f':color[●]{{foreground="{expert_colours(index + 1)[index]}"}}'
