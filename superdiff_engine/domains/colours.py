"""One colour for each expert, the same on the page and in files: after Okabe and Ito, so that all eyes can tell them
apart.
"""

from __future__ import annotations

import numpy as np

#: By theme, in the order of the experts. The studio's `.streamlit/config.toml` holds the same lists.
EXPERT_COLOURS = {
    "light": ["#0072b2", "#d55e00", "#009e73", "#b8578f", "#c98a00", "#56b4e9", "#6b7280", "#7a5c1e"],
    "dark": ["#4aa3df", "#f0803c", "#2bbf94", "#e09ac4", "#f2b233", "#9bd4f5", "#a3acb5", "#d8c074"],
}
#: Samples that no single expert owns.
NEUTRAL = {"light": "#2f3b44", "dark": "#e6ebef"}
#: From this weight on a sample takes its expert's colour.
OWNED = 0.75


def owners(weights: np.ndarray) -> np.ndarray:
    """For each sample the expert that has nearly all the weight, or -1 where they share it; weights [experts, n]."""
    first = weights.argmax(0)
    owned = weights.max(0) >= OWNED
    # With a single expert there is nothing to tell apart.
    return np.where(owned & (len(weights) > 1), first, -1)
