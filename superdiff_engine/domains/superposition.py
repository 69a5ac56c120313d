"""How far apart two shapes are, wherever they stand and however they are turned.

Without torch, so that the sandbox that reads files is quick to start.
"""

from __future__ import annotations

import numpy as np


def superposed_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Root-mean-square distance of matched points [points, 3] after the best rotation and shift (Kabsch 1976).

    In the unit of the points; no reflection: a shape and its mirror image stay apart.
    """
    a, b = first - first.mean(0), second - second.mean(0)
    left, values, right = np.linalg.svd(a.T @ b)
    if np.linalg.det(left @ right) < 0:
        values[-1] *= -1
    square = (a**2).sum() + (b**2).sum() - 2 * values.sum()
    return float(np.sqrt(max(square, 0.0) / len(first)))
