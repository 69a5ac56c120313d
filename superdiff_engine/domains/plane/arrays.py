"""What the plane hands to its view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...arrays import Preview


@dataclass(frozen=True, eq=False)
class PlanePreview(Preview):
    """Samples over the experts' densities, at one level, in the variance-preserving view (`domain.to_view`).

    Attributes:
        positions: float32 [n, 2], plane units.
        log_density: [experts, n], as estimated on the way, in nats.
        exact: float64 [experts, n], the experts' own, in nats.
        weights: [experts, n]; they sum to 1 over the experts.
        contours: float32 [experts, cells, cells], exact log-densities in nats on a grid over the view, rows upwards.
        extent: [4], the view's left, right, lower and upper bound.
    """

    positions: np.ndarray
    log_density: np.ndarray
    exact: np.ndarray
    weights: np.ndarray
    contours: np.ndarray
    extent: np.ndarray
