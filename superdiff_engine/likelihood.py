r"""Estimated log-densities of samples that are given, such as a molecule from a file.

A given point is noised from the lowest level to the highest, and the path is walked back on paper: the forward
process, seen from its end, is a reverse process that ends in the point, so the Ito estimator (`density`) gives every
expert's log-density along it. With y' = y + v, v of variance h = s'^2 - s^2, and scores S at (y, s), S' at (y', s'),

    log q_s(y) - log q_s'(y')  =  -<v, S'> - h/2 L(|S|^2, |S'|^2)

(L is the logarithmic mean, as in `density`). S' is taken where the noise has arrived, so the divergence comes with it
and no derivative of a network is needed. What remains are errors of the first and second order in the steps. The same
path in steps twice and four times as long, whose scores are known already, cancels both (Richardson): with the sums
F_1, F_2 and F_4, it is (8 F_1 - 6 F_2 + F_4) / 3. Its mean over noise is the log-density; its spread over paths says
how well it is known. Without the second order, 100 steps left an error of 7 nats in the difference of two experts in
400 dimensions, as large as the spread of four paths and not seen in it (docs/log_density.md).

Experts with a memory (`score.Remembering`) have none here: the density is that of their network without it.

Reference: arXiv 2412.17762, Theorem 1, with the time reversal of the forward process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .arguments import level_grids
from .density import End, Segment, Trapezoid
from .errors import ArgumentError, SuperDiffError
from .geometry import Geometry, Parts, Product, State, total
from .score import Remembering, ScoreModel, scores_of

#: How many steps each sum takes at once, with its part in the result.
_SPANS = {1: 8 / 3, 2: -6 / 3, 4: 1 / 3}


@dataclass(frozen=True)
class Likelihoods:
    """Estimated log-densities in nats, float64.

    Attributes:
        mean: [experts, points].
        error: standard error of the mean over the paths, [experts, points]; NaN for a single path. Twice the error
            holds the truth as often as Student's t with paths - 1 degrees has it: 86 times of 100 for four paths.
        paths: of each path, [paths, experts, points]; all experts see the same noise, so that differences between them
            are known better than each by itself.
    """

    mean: Tensor
    error: Tensor
    paths: Tensor


@torch.no_grad()
def estimate_log_density(
    experts: Sequence[ScoreModel],
    points: State,
    levels: Tensor | dict[str, Tensor],
    paths: int = 4,
    seed: int = 0,
    space: Geometry | Product | None = None,
    report: Callable[[float], None] = lambda share: None,
) -> Likelihoods:
    """The log-density of each expert at given points, at the lowest level.

    Args:
        experts: score models.
        points: [points, ...], or a dictionary of such for a product of spaces.
        levels: decreasing from noise to the level of the points, in a multiple of four steps; or such a grid for each
            component. The points are taken as they are, as samples at the lowest level.
        paths: of noise, for every point.
        seed: of the noise.
        space: where points live; None for the first expert's own.
        report: called after every step with the share that is done, 0 to 1; what it raises ends the work.

    Raises:
        ArgumentError: (a ValueError) for a number of steps that is no multiple of four, or no path.
        SuperDiffError: where a score is not finite.
    """
    product = Product.of(experts[0].space if space is None else space)
    grids = level_grids(levels, list(product.components))
    steps = len(next(iter(grids.values()))) - 1
    if steps % max(_SPANS):
        raise ArgumentError(f"The number of steps must be a multiple of {max(_SPANS)}, got {steps}.")
    if paths < 1:
        raise ArgumentError(f"paths must be at least 1, got {paths}.")
    for expert in experts:
        if isinstance(expert, Remembering):
            expert.forget()
    noising = _Paths(experts, product, {name: grid[::-1] for name, grid in grids.items()})
    generator = torch.Generator().manual_seed(seed)
    estimates = []
    for path in range(paths):

        def report_path(share: float, before: int = path) -> None:
            report((before + share) / paths)

        estimates.append(noising.estimate(points, generator, report_path))
    values = torch.stack(estimates)
    error = values.std(0) / math.sqrt(paths) if paths > 1 else torch.full_like(values[0], float("nan"))
    return Likelihoods(values.mean(0), error, values)


class _Paths:
    """Noise paths of given experts over ascending levels of each component."""

    def __init__(self, experts: Sequence[ScoreModel], space: Product, levels: dict[str, list[float]]) -> None:
        self.experts, self.space, self.levels = experts, space, levels
        self.steps = len(next(iter(levels.values()))) - 1
        self.estimator = Trapezoid()

    def estimate(self, points: State, generator: torch.Generator, report: Callable[[float], None]) -> Tensor:
        """One path's estimate, [experts, points]."""

        def draw(geometry: Geometry, y: Tensor, variance: float) -> Tensor:
            return math.sqrt(variance) * geometry.noise(len(y), generator, y.dtype, str(y.device))

        y = {name: value.clone() for name, value in self.space.unpack(points).items()}
        here = self._ends(y, 0)
        last = dict.fromkeys(_SPANS, here)
        noises: dict[int, list[Parts]] = {span: [] for span in _SPANS}
        change = torch.zeros((), dtype=torch.float64)
        for step in range(1, self.steps + 1):
            noise = self.space.map(draw, y, self._variances(step - 1, step))
            y = self.space.move(y, noise)
            here = self._ends(y, step)
            for span, part in _SPANS.items():
                noises[span].append(noise)
                if step % span == 0:
                    summed = {name: torch.stack([one[name] for one in noises[span]]).sum(0) for name in noise}
                    change = change + part * self._change(here, last[span], summed, step - span, step)
                    last[span], noises[span] = here, []
            report(step / self.steps)
        return change + total(self.space.map(_log_prior, y, self._level(self.steps)))

    def _level(self, step: int) -> dict[str, float]:
        return {name: grid[step] for name, grid in self.levels.items()}

    def _variances(self, lower: int, upper: int) -> dict[str, float]:
        return {name: grid[upper] ** 2 - grid[lower] ** 2 for name, grid in self.levels.items()}

    def _ends(self, y: Parts, step: int) -> dict[str, End]:
        level = self._level(step)
        scores = scores_of(self.experts, self.space.pack(y), self.space.pack_level(level))

        def end(geometry: Geometry, *scores: Tensor) -> End:
            tangents = geometry.project(torch.stack(scores))
            if not bool(tangents.isfinite().all()):
                first = next(iter(level.values()))
                raise SuperDiffError(
                    f"An expert's score is not finite at level {first:.4g}: these samples are too far off."
                )
            return End.of(geometry, tangents)

        return self.space.map(end, *(self.space.unpack(score) for score in scores))

    def _change(self, start: dict[str, End], end: dict[str, End], noise: Parts, lower: int, upper: int) -> Tensor:
        """Log q at `end` less that at `start`, [experts, points], along -noise."""

        def change(geometry: Geometry, start: End, end: End, noise: Tensor, variance: float) -> Tensor:
            segment = Segment(variance, variance, torch.zeros_like(noise), -noise, start)
            return self.estimator.increment(geometry, segment, end).cpu()

        return total(self.space.map(change, start, end, noise, self._variances(lower, upper)))


def _log_prior(geometry: Geometry, y: Tensor, level: float) -> Tensor:
    return geometry.log_prior(y, level).cpu()
