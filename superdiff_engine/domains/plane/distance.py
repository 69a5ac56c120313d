r"""The exact target of a formula of mixtures: its density on a grid, and how far samples are from it.

With every log q_i known, log p = f(log q_1 .. log q_M) is known up to its normaliser, and in the plane that is a sum
over a grid. Total variation is taken over cells of a window: half the sum of |share of the samples - probability|. Even
exact samples have some, the *floor*, since the number X of them in a cell of probability p is binomial, with

    E|X - n p| = 2 m C(n, m) p^m (1 - p)^(n - m + 1),     m = floor(n p) + 1

(de Moivre 1730; Diaconis and Zabell 1991).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...formula import Formula
from ...recipes.document import Recipe
from .mixture import GaussianMixture

#: Cells of the window, each way.
CELLS = 25
#: Points of the quadrature in a cell, each way: at least, and at most.
_FEWEST, _MOST = 8, 32
#: Half the window's width: the first that leaves no more than `_OUTSIDE` of the target's mass out, of twice its width.
_HALF_WIDTHS, _OUTSIDE = (4.0, 8.0, 16.0, 32.0), 1e-3


@dataclass(frozen=True)
class Distance:
    """Total variation to the exact target, 0 to 1.

    Attributes:
        samples: of the samples.
        floor: what as many exact samples have on average.
    """

    samples: float
    floor: float


def target_of(recipe: Recipe) -> Formula | None:
    """The formula that the samples of a recipe are to follow; None where its operator has none."""
    return recipe.operator.build(recipe.names).target(len(recipe.experts))


def log_target(formula: Formula, log_density: np.ndarray) -> np.ndarray:
    """Log p on a grid, up to a constant.

    Args:
        formula: the target.
        log_density: log q of every expert on the grid, [experts, rows, columns], nats.

    Returns:
        [rows, columns], nats, float64.
    """
    experts, *shape = log_density.shape
    values = torch.from_numpy(np.asarray(log_density, np.float64).reshape(experts, -1))
    return formula.at(values).value.view(*shape).numpy()


def distance(
    formula: Formula,
    experts: Sequence[GaussianMixture],
    positions: np.ndarray,
    level: float,
    scale: float = 1.0,
    importance: np.ndarray | None = None,
) -> Distance:
    """How far samples are from the exact target.

    Args:
        formula: the target.
        experts: its mixtures.
        positions: of the samples, in canonical coordinates, [n, 2].
        level: the noise level s at which they stand.
        scale: from canonical coordinates to those of the window (`domain.to_view`).
        importance: what each sample counts for, [n], summing to 1; None where all count the same.
    """
    half_width, masses = cell_masses(formula, experts, level, scale)
    shares = np.full(len(positions), 1 / len(positions)) if importance is None else importance
    edges = np.linspace(-half_width, half_width, CELLS + 1)
    # Rows upwards, as the grids are.
    found, _, _ = np.histogram2d(positions[:, 1] * scale, positions[:, 0] * scale, bins=(edges, edges), weights=shares)
    outside = max(1 - found.sum(), 0.0)
    return Distance(float(0.5 * (np.abs(found - masses).sum() + outside)), floor(masses, len(positions)))


def cell_masses(
    formula: Formula, experts: Sequence[GaussianMixture], level: float, scale: float = 1.0
) -> tuple[float, np.ndarray]:
    """The target's probabilities of the window's cells, which sum to 1.

    Args:
        formula: the target.
        experts: its mixtures.
        level: the noise level s.
        scale: from canonical coordinates to those of the window.

    Returns:
        (half the window's width, probabilities [CELLS, CELLS], rows upwards).
    """
    narrowest = scale * math.sqrt(min(float(expert.variances.min()) for expert in experts) + level**2)
    narrowest /= math.sqrt(max(formula.total, 1.0))
    for half_width in _HALF_WIDTHS:
        points = math.ceil(2 * half_width / CELLS / (0.7 * narrowest))
        side = min(max(points, _FEWEST), _MOST)
        log_p = _on_grid(formula, experts, _middles(half_width, CELLS * side), level, scale)
        # Whether anything lies further out: twice as wide, with fewer points.
        axis = _middles(2 * half_width, 4 * CELLS)
        wide = _on_grid(formula, experts, axis, level, scale)
        around = np.exp(wide - wide.max())
        middle = np.abs(axis) < half_width
        if around[np.ix_(middle, middle)].sum() >= (1 - _OUTSIDE) * around.sum():
            break
    masses = np.exp(log_p - log_p.max())
    cells = masses.reshape(CELLS, side, CELLS, side).sum((1, 3))
    return half_width, cells / cells.sum()


def floor(masses: np.ndarray, count: int) -> float:
    """The mean total variation of `count` exact samples, over cells of these probabilities."""
    p = torch.from_numpy(np.clip(masses.ravel(), 0, 1))
    p = p[p > 0]
    m = (count * p).floor() + 1
    n = torch.tensor(float(count), dtype=p.dtype)
    # A cell that holds everything has no deviation.
    rest = (1 - p).clamp_min(torch.finfo(p.dtype).tiny)
    chosen = torch.lgamma(n + 1) - torch.lgamma(m + 1) - torch.lgamma((n - m).clamp_min(0) + 1)
    deviation = torch.exp(math.log(2) + m.log() + chosen + m * p.log() + (n - m + 1) * rest.log())
    return float(torch.where(m <= n, deviation, 0).sum() / (2 * count))


def _middles(half_width: float, count: int) -> np.ndarray:
    return ((np.arange(count) + 0.5) / count * 2 - 1) * half_width


def _on_grid(
    formula: Formula, experts: Sequence[GaussianMixture], axis: np.ndarray, level: float, scale: float
) -> np.ndarray:
    points = torch.from_numpy(axis / scale)
    grid = torch.cartesian_prod(points, points).flip(1)
    log_density = torch.stack([expert.log_density(grid, level) for expert in experts])
    return log_target(formula, log_density.view(len(experts), len(axis), len(axis)).numpy())
