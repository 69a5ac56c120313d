"""What curves show of a trace: log-densities, their difference, weights; and how each is called on an axis."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..trace import Curves

#: What a legend calls the exact target's contour lines.
TARGET_NAME = "exact target"
#: Marks of resampling up to which they are lines, beyond which ticks.
MOST_LINES = 40
#: What they and the lines of the effective sample size are called in legends.
RESAMPLED_NAME, MEDIAN, SIZE, THRESHOLD = "resampled", "median of the groups", "effective sample size", "threshold"
EFFECTIVE_TITLE = "Effective sample size"
EFFECTIVE_UNIT = "% of a group"

#: How many single samples are drawn behind the mean of a finished run.
THIN_CURVES = 16

Against = Literal["level", "step"]
Quantity = Literal["value", "difference", "weights"]
TITLES: dict[Quantity, str] = {
    "value": "Log-density of each expert at each step's level",
    "difference": "Difference to the experts' mean",
    "weights": "Weights κ",
}
UNITS: dict[Quantity, str] = {"value": "log q, nats", "difference": "log q − mean, nats", "weights": "κ"}


#: What curves can show: a quantity of the experts, or the effective sample size of a corrected run.
Shown = Quantity | Literal["effective"]


def title_of(shown: Shown, component: str | None = None, sample: int | None = None) -> str:
    """The title of a chart of curves."""
    title = EFFECTIVE_TITLE if shown == "effective" else TITLES[shown]
    part = "" if component is None else f" ({component})"
    return f"{title}{part}{'' if sample is None else f', sample {sample}'}"


def select(curves: Curves, quantity: Quantity, component: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Means [k, experts] and single samples' values [k, experts, samples] of a quantity.

    Args:
        curves: of a trace.
        quantity: which.
        component: the part of the log-density and the weights that belong to it, of which no single samples are kept;
            None for all.
    """
    if component is not None:
        # Of older records only the weights of all components together are known.
        known = curves.component_weights.get(component, curves.mean_weights)
        part = known if quantity == "weights" else curves.components[component]
        shown = part - part.mean(1, keepdims=True) if quantity == "difference" else part
        return shown, np.zeros((*part.shape, 0), np.float32)
    if quantity == "weights":
        # A weighted mean of equal weights is theirs but for rounding, which no axis shall show.
        return curves.mean_weights.round(12), curves.weights
    if quantity == "value":
        return curves.mean_log_density, curves.log_density
    mean = curves.mean_log_density
    return (
        mean - mean.mean(1, keepdims=True),
        curves.log_density - curves.log_density.mean(1, keepdims=True),
    )


def mark_height(count: int) -> float:
    """How high marks of resampling stand, as a share of the chart: so many would hide the curves."""
    return 1.0 if count <= MOST_LINES else 0.07
