r"""What moves samples of the plane, exactly: the experts' scores, their mix and the noise, at any point and level.

A step from level s to s' takes y to y' = y + g sum_i kappa_i S_i + noise (`sampling`, with the gain g of `solvers`).
Here all of it is worked out again from what a preview keeps. A score is given as the way to its expert's denoised mean,

    s^2 S_i = D_i - y,

which stays as large as the plane at all levels; g / s^2 of it is what that expert alone would add in the coming step
(Heun's step takes the mean of two such).
Everything is in the variance-preserving view (`domain.to_view`): vectors like the positions times 1 / sqrt(1 + s^2), so
that an arrow drawn from a sample by the same factor ends where the denoised mean is in that view.

At points that are no samples the weights are those of the operator's formula at the exact log-densities, kappa = grad f
(log q), so that the mix is the score of the composed density itself. An operator without a formula has none there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ...formula import Formula
from ...recipes.document import Recipe
from ...solvers import get_solver
from ...walk import levels_of
from ..experts import of_kind
from .arrays import PlanePreview
from .distance import log_target, target_of
from .domain import DOMAIN, GRID, to_view
from .mixture import GaussianMixture

__all__ = ["Field", "Moment", "Pulls", "composed_score", "scores_at"]

#: Points of the lattice, each way; with an odd number one lies in the middle.
LATTICE = 17


def scores_at(experts: Sequence[GaussianMixture], y: Tensor, level: float) -> Tensor:
    """Grad log q_i at y [n, 2] in canonical coordinates: [experts, n, 2], exact."""
    return torch.stack([expert.score(y, level) for expert in experts])


def mixed(scores: Tensor, weights: Tensor) -> Tensor:
    """sum_i kappa_i S_i, [n, 2], of scores [experts, n, 2] and weights [experts, n]."""
    return torch.einsum("in,inc->nc", weights.to(scores), scores)


def composed_score(formula: Formula, experts: Sequence[GaussianMixture], y: Tensor, level: float) -> Tensor:
    """Grad f(log q_1, log q_2, ...) at y [n, 2] in canonical coordinates: [n, 2], exact."""
    log_density = torch.stack([expert.log_density(y, level) for expert in experts])
    return mixed(scores_at(experts, y, level), formula.at(log_density).gradient)


@dataclass(frozen=True)
class Pulls:
    """Where points are drawn to at a moment, in the view, plane units.

    Attributes:
        positions: of the points, [n, 2].
        experts: s^2 S_i, from a point to the denoised mean of each expert, [experts, n, 2].
        mix: s^2 sum_i kappa_i S_i, [n, 2]; None where the weights are not known.
    """

    positions: np.ndarray
    experts: np.ndarray
    mix: np.ndarray | None


@dataclass(frozen=True)
class Moment:
    """A moment of a run with all that moves its samples.

    Attributes:
        samples: their pulls, with the weights that they had then.
        noise: of the coming step, [n, 2], in the view, plane units; None where there is none, or it was not kept.
        lattice: the pulls at the points of the lattice, row after row from the lowest.
        share: g / s^2, of the pulls the share that the coming step takes; of the last moment that of the step before.
        contours: log q_i on a grid, [experts, cells, cells], nats; row 0 is the lowest y.
        target: log p of the composed density on the grid, up to a constant; None where the operator has no formula.
    """

    samples: Pulls
    noise: np.ndarray | None
    lattice: Pulls
    share: float
    contours: np.ndarray
    target: np.ndarray | None


class Field:
    """The vectors and densities of a recipe's experts on a square of the view.

    Args:
        recipe: of the plane.
        half_width: half the width of the square, plane units.
        cells: of the grid of densities, each way.

    Attributes:
        extent: x0, x1, y0, y1 of the square.
        formula: what the samples are to follow; None where the operator is none.
        shares: g / s^2 of the step that begins at each level, [steps + 1]; at the last level that of the step before.
        total: its total weight A: the denoised mean of the composed density is y + s^2 / A sum_i kappa_i S_i.
    """

    def __init__(self, recipe: Recipe, half_width: float, cells: int = GRID) -> None:
        self.experts = of_kind([DOMAIN.load(one, "cpu", recipe.dtype) for one in recipe.experts], GaussianMixture)
        self.formula = target_of(recipe)
        self.total = 1.0 if self.formula is None else self.formula.total
        self.extent = np.array([-half_width, half_width, -half_width, half_width])
        levels = levels_of(recipe, DOMAIN, self.experts).tolist()
        solver = get_solver(recipe.solver)
        shares = [solver.gain(s, lower) / s**2 for s, lower in pairwise(levels)]
        self.shares = [*shares, shares[-1]]
        self._lattice = _grid(half_width, LATTICE)
        self._cells, self._grid = cells, _grid(half_width, cells)

    def densities(self, level: float, preview: PlanePreview | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """(log q of the experts, log p of the composed density or None) on the grid at a level, as in `Moment`.

        Args:
            level: s.
            preview: of that level, whose own grids are taken where they are the same ones.
        """
        shape = (len(self.experts), self._cells, self._cells)
        if preview is not None and preview.contours.shape == shape and np.array_equal(preview.extent, self.extent):
            grids = preview.contours
        else:
            places = self._grid / to_view(level)
            grids = torch.stack([one.log_density(places, level) for one in self.experts]).view(shape).numpy()
        return grids, None if self.formula is None else log_target(self.formula, grids)

    def moment(self, preview: PlanePreview, index: int, level: float) -> Moment:
        """All that moves the samples of a preview.

        Args:
            preview: of a run of the recipe.
            index: of its step, 0 at the highest level.
            level: s, at which it was taken.
        """
        places = self._lattice / to_view(level)
        mix = None if self.formula is None else composed_score(self.formula, self.experts, places, level)
        lattice = _pulls(self._lattice, scores_at(self.experts, places, level), mix, level)
        positions = torch.from_numpy(preview.positions).double()
        scores = scores_at(self.experts, positions / to_view(level), level)
        weights = torch.from_numpy(preview.weights)
        contours, target = self.densities(level, preview)
        return Moment(
            samples=_pulls(positions, scores, mixed(scores, weights), level),
            noise=preview.noise if len(preview.noise) else None,
            lattice=lattice,
            share=self.shares[index],
            contours=contours,
            target=target,
        )


def _pulls(positions: Tensor, scores: Tensor, mix: Tensor | None, level: float) -> Pulls:
    scale = level**2 * to_view(level)
    return Pulls(positions.numpy(), (scale * scores).numpy(), None if mix is None else (scale * mix).numpy())


def _grid(half_width: float, count: int) -> Tensor:
    """The points of a square grid, [count^2, 2], row after row from the lowest y."""
    axis = torch.linspace(-half_width, half_width, count, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis).flip(1)
