"""The colours, the same on the page and in files: after Okabe and Ito (2008), so that all eyes can tell them apart."""

from __future__ import annotations

import numpy as np

#: Of the experts, by theme, in their order. The studio's `.streamlit/config.toml` holds the same lists.
EXPERT_COLOURS = {
    "light": ["#0072b2", "#d55e00", "#009e73", "#b8578f", "#c98a00", "#56b4e9", "#6b7280", "#7a5c1e"],
    "dark": ["#4aa3df", "#f0803c", "#2bbf94", "#e09ac4", "#f2b233", "#9bd4f5", "#a3acb5", "#d8c074"],
}
#: Of runs beside each other, by theme, in their order: none of the first experts'.
RUN_COLOURS = {
    "light": ["#5f3dc4", "#d6336c", "#0b8a9b", "#6b8e00", "#343a40", "#a0661a"],
    "dark": ["#9b86f5", "#ff7aa8", "#4fd0df", "#b5d64a", "#dfe6ea", "#d9a86a"],
}
#: Samples that no single expert owns.
NEUTRAL = {"light": "#2f3b44", "dark": "#e6ebef"}
#: The exact target's contour lines.
TARGET = {"light": "#6a1fb5", "dark": "#cba6ff"}
#: The diagonal in "estimated against exact", and other lines that only guide the eye.
GUIDE = {"light": "#8a97a1", "dark": "#74828d"}
#: Where particles were resampled, and the threshold below which they are.
RESAMPLED = {"light": "#7a4fbf", "dark": "#b79bf0"}
#: Of secondary structures (helix, strand, neither): not those of the first experts.
STRUCTURE_COLOURS = {"H": "#a8448c", "E": "#d69600", "-": "#969696"}
#: From this share of all weight on a sample takes its expert's colour.
OWNED = 0.75


def expert_colours(count: int, theme: str) -> list[str]:
    """Colours "#rrggbb" of the first `count` experts in the theme "light" or "dark"; after the last the first again."""
    colours = EXPERT_COLOURS[theme]
    return [colours[index % len(colours)] for index in range(count)]


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of a colour "#rrggbb"."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def owners(weights: np.ndarray) -> np.ndarray:
    """For each sample the expert that has nearly all the weight, or -1 where they share it; weights [experts, n]."""
    first = weights.argmax(0)
    # Weights of a product sum to more than 1.
    owned = weights.max(0) >= OWNED * weights.sum(0)
    # With a single expert there is nothing to tell apart.
    return np.where(owned & (len(weights) > 1), first, -1)
