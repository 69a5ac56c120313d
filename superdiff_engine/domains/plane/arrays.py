"""What the plane hands to its view."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        noise: float32 [n, 2], that of the coming step, in the view too; [0, 2] where no step comes or the solver
            has none.
    """

    positions: np.ndarray
    log_density: np.ndarray
    exact: np.ndarray
    weights: np.ndarray
    contours: np.ndarray
    extent: np.ndarray
    noise: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
