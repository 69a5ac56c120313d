r"""The exact targets of formulas over Gaussian mixtures, and what runs are measured by beside them.

In the plane by quadrature. In more dimensions by importance sampling from a mixture that bounds the target: with
modes a_i of one expert and b_j of another,

    (sum_i a_i)^p (sum_j b_j)^r  <=  c sum_ij a_i^p b_j^r,      p, r > 0,

and each a_i^p b_j^r is a Gaussian again, whose mass is known. For p = r = 1 both sides are the same.

Weighted Gaussians stay Gaussian under a linear formula: `weighted_variance` follows one coordinate through every step
without drawing anything, so that what a solver's steps make of the correction is known to the digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import torch
from torch import Tensor

from ...density import End, Estimator, Segment
from ...formula import Formula
from ...geometry import Geometry, Level, Parts, Product, State, whole
from ...score import ScoreModel
from ...solvers import Solver, variance_step
from ..experts import of_kind
from .mixture import GaussianMixture

#: The histogram's square in the plane, half its width, its cells each way, and the points of the quadrature in each
#: of them, each way.
WINDOW, CELLS, POINTS = 5.0, 25, 8
#: The square in which all mass lies, half its width, and the points of the quadrature over it, each way.
HALF_WIDTH, FINE = 12.0, 400
#: Of pieces: the smallest region with this share of the mass is what may be connected.
MOST_MASS = 0.95
#: In more dimensions: bins of a marginal, their ends, draws of importance sampling, and how many at once.
BINS, REACH, DRAWS, AT_ONCE = 25, 4.0, 1_000_000, 100_000


class KnownDensity(Estimator):
    """Log q as Gaussian mixtures know it, in the place of an estimate.

    What it takes along of each level, where others have a divergence, is log q itself: it travels with a particle.
    """

    name, title = "known", "Exact log-density (Gaussian mixtures only)"
    needs_noise = False

    def divergences(
        self, experts: Sequence[ScoreModel], space: Product, y: State, level: Level, generator: torch.Generator
    ) -> tuple[list[State], Parts]:
        """Scores, and log q [experts, batch] in nats; raises TypeError where an expert is no mixture."""
        (name,), point = space.components, whole(y)
        s = level[name] if isinstance(level, dict) else level
        mixtures = of_kind(experts, GaussianMixture)
        scores: list[State] = [mixture.score(point, s) for mixture in mixtures]
        return scores, {name: torch.stack([mixture.log_density(point, s) for mixture in mixtures]).double()}

    def begin(self, prior: Tensor, end: End) -> Tensor:
        return _known(end)

    def increment(self, geometry: Geometry, segment: Segment, end: End) -> Tensor:
        return _known(end) - _known(segment.start)


def _known(end: End) -> Tensor:
    if end.divergences is None:
        raise TypeError("the scores of a level without its log-densities")
    return end.divergences


@dataclass(frozen=True)
class PlaneTarget:
    """The target of a formula over mixtures in the plane, at one level.

    Args:
        experts: mixtures in two dimensions.
        formula: of their log-densities.
        level: s.
    """

    experts: Sequence[GaussianMixture]
    formula: Formula
    level: float

    def _log_target(self, points: Tensor) -> Tensor:
        return self.formula.at(torch.stack([one.log_density(points, self.level) for one in self.experts])).value

    @cached_property
    def _fine(self) -> Tensor:
        """The target at the middles of a grid over all its mass, [FINE^2]."""
        axis = _middles(-HALF_WIDTH, HALF_WIDTH, FINE)
        return self._log_target(torch.cartesian_prod(axis, axis))

    @cached_property
    def log_normaliser(self) -> float:
        """Log of the integral of exp f, nats."""
        return float(self._fine.logsumexp(0)) + 2 * math.log(2 * HALF_WIDTH / FINE)

    @cached_property
    def masses(self) -> Tensor:
        """The mass of each cell and, last, of all that lies outside, [CELLS^2 + 1], float64; sums to 1."""
        axis = _middles(-WINDOW, WINDOW, CELLS * POINTS)
        area = (2 * WINDOW / (CELLS * POINTS)) ** 2
        density = (self._log_target(torch.cartesian_prod(axis, axis)) - self.log_normaliser).exp() * area
        inside = density.view(CELLS, POINTS, CELLS, POINTS).sum((1, 3)).flatten()
        return torch.cat([inside, (1 - inside.sum()).clamp_min(0)[None]])

    @cached_property
    def pieces(self) -> int:
        """Of how many pieces the smallest region with MOST_MASS of the mass is; 1 where the target is connected."""
        masses = torch.softmax(self._fine, 0)
        order = masses.argsort(descending=True)
        count = int((masses[order].cumsum(0) < MOST_MASS).sum()) + 1
        region = torch.zeros(FINE * FINE, dtype=torch.bool)
        region[order[:count]] = True
        return _pieces(region.view(FINE, FINE))


def histogram(points: Tensor, weights: Tensor) -> Tensor:
    """The weight of points [n, 2] in each cell of the plane's square and outside, [CELLS^2 + 1], float64."""
    places = ((points.double() + WINDOW) / (2 * WINDOW) * CELLS).floor().long()
    inside = ((places >= 0) & (places < CELLS)).all(1)
    cells = torch.where(inside, places[:, 0] * CELLS + places[:, 1], CELLS * CELLS)
    return torch.zeros(CELLS * CELLS + 1, dtype=torch.float64).index_add_(0, cells, weights.double())


def _middles(low: float, high: float, count: int) -> Tensor:
    edges = torch.linspace(low, high, count + 1, dtype=torch.float64)
    return 0.5 * (edges[1:] + edges[:-1])


def _pieces(region: Tensor) -> int:
    """How many connected pieces a region [rows, columns] has, over edges and corners."""
    labels = torch.arange(1, region.numel() + 1, dtype=torch.float64).view_as(region) * region
    while True:  # the largest number of each piece spreads over it
        grown = torch.nn.functional.max_pool2d(labels[None], 3, 1, 1)[0] * region
        if torch.equal(grown, labels):
            return len(labels.unique()) - 1
        labels = grown


@dataclass(frozen=True)
class Marginals:
    """What is known of a target in d dimensions whose modes lie along the first axis, and which is alike in all others.

    Attributes:
        first: masses of the BINS along the first axis, from -REACH to REACH, [BINS], float64; all mass beyond an end
            counts to its last bin.
        others: the same along each other axis.
        log_normaliser: of exp f, nats.
        error: total variation of two halves of the draws, halved: about what `first` is known to.
    """

    first: Tensor
    others: Tensor
    log_normaliser: float
    error: float


def marginals(
    experts: Sequence[GaussianMixture],
    formula: Formula,
    level: float,
    proposal: GaussianMixture,
    log_mass: float,
    draws: int = DRAWS,
) -> Marginals:
    """The marginals of a formula's target by importance sampling.

    Args:
        experts: mixtures of one dimension.
        formula: of their log-densities.
        level: s.
        proposal: what is drawn from, at level 0; of about the target's shape.
        log_mass: that of `proposal`, for the log-normaliser.
        draws: how many.
    """
    parts, normalisers = [], []
    for seed in range(max(2, draws // AT_ONCE)):
        points = proposal.sample(min(AT_ONCE, draws // 2), seed)
        log_target = formula.at(torch.stack([one.log_density(points, level) for one in experts])).value
        log_weights = log_target - proposal.log_density(points, 0.0) - log_mass
        normalisers.append(float(log_weights.logsumexp(0)) - math.log(len(points)))
        parts.append(binned(points, log_weights.exp()))
    whole_run, half = torch.stack(parts), len(parts) // 2
    total = whole_run.sum(0)
    halves = [(part[0] / part[0].sum()) for part in (whole_run[:half].sum(0), whole_run[half:].sum(0))]
    return Marginals(
        first=total[0] / total[0].sum(),
        others=total[1:].sum(0) / total[1:].sum(),
        log_normaliser=log_mass + torch.tensor(normalisers).logsumexp(0).item() - math.log(len(normalisers)),
        error=0.25 * float((halves[0] - halves[1]).abs().sum()),
    )


def binned(points: Tensor, weights: Tensor) -> Tensor:
    """The weight of points [n, d] in the bins of each axis, [d, BINS], float64."""
    places = ((points + REACH) / (2 * REACH) * BINS).floor().long().clamp(0, BINS - 1)
    bins = torch.zeros(points.shape[1], BINS, dtype=torch.float64)
    return bins.scatter_add_(1, places.T, weights.double().expand(points.shape[1], -1))


def powers(
    experts: Sequence[GaussianMixture], exponents: Sequence[float], level: float, paired: bool = False
) -> tuple[GaussianMixture, float]:
    """The sum over modes of the product of the experts' modes to some powers: a mixture, and the log of its mass.

    Args:
        experts: mixtures.
        exponents: one an expert.
        level: s at which the modes are taken.
        paired: whether only the first modes go together, the second ones, and so on, instead of each with each.
    """
    places = [range(len(one.means)) for one in experts]
    means, variances, log_masses = [], [], []
    for modes in zip(*places, strict=True) if paired else product(*places):
        mu = torch.stack([one.means[mode] for one, mode in zip(experts, modes, strict=True)])
        v = torch.stack([one.variances[mode] + level**2 for one, mode in zip(experts, modes, strict=True)])
        log_share = torch.stack([one.log_masses[mode] for one, mode in zip(experts, modes, strict=True)])
        a, d = torch.tensor(exponents, dtype=torch.float64), mu.shape[1]
        precision = (a / v).sum()
        mean = ((a / v)[:, None] * mu).sum(0) / precision
        log_mass = (a * (log_share - 0.5 * d * (2 * math.pi * v).log())).sum()
        log_mass = log_mass - 0.5 * ((a / v * mu.square().sum(1)).sum() - precision * mean.square().sum())
        means.append(mean)
        variances.append(1 / precision)
        log_masses.append(log_mass + 0.5 * d * (2 * math.pi / precision).log())
    stacked = torch.stack(log_masses)
    return GaussianMixture(torch.stack(means), torch.stack(variances), torch.softmax(stacked, 0)), float(
        stacked.logsumexp(0)
    )


def joined(experts: Sequence[GaussianMixture], level: float) -> tuple[GaussianMixture, float]:
    """The sum of mixtures, and the log of its mass."""
    return (
        GaussianMixture(
            torch.cat([one.means for one in experts]),
            torch.cat([one.variances for one in experts]) + level**2,
            torch.cat([one.log_masses for one in experts]).exp(),
        ),
        math.log(len(experts)),
    )


#: Of experts and a level, what importance sampling draws from and the log of its mass.
Proposal = Callable[[Sequence[GaussianMixture], float], tuple[GaussianMixture, float]]


def total_variation(found: Tensor, exact: Tensor) -> float:
    """Half the sum of the absolute differences of two lists of masses."""
    return 0.5 * float((found - exact).abs().sum())


def floor(masses: Tensor, samples: int, draws: int = 20) -> tuple[float, float]:
    """Total variation that so many exact samples show: its mean over `draws` draws, and that mean's standard error."""
    generator = torch.Generator().manual_seed(0)
    shares = masses / masses.sum()
    found = []
    for _ in range(draws):
        drawn = torch.multinomial(shares, samples, replacement=True, generator=generator)
        found.append(total_variation(torch.bincount(drawn, minlength=len(shares)) / samples, shares))
    spread = torch.tensor(found, dtype=torch.float64)
    return float(spread.mean()), float(spread.std()) / math.sqrt(draws)


def weighted_variance(
    variances: Sequence[float], weights: Sequence[float], levels: Sequence[float], solver: Solver
) -> float | None:
    """The variance of one coordinate at the end of a corrected run of Gaussian experts and a linear formula.

    Args:
        variances: v_i of the experts N(0, v_i).
        weights: a_i, of a positive sum.
        levels: of the run, the highest first.
        solver: which takes the steps; one with noise.

    Returns:
        The variance; None where the weights grow so fast that there is none.
    """

    def pull(s: float) -> float:
        return math.fsum(a / (v + s * s) for a, v in zip(weights, variances, strict=True))

    def growth(s: float) -> float:
        """Twice the rate of log w over y^2."""
        return pull(s) ** 2 - math.fsum(a / (v + s * s) ** 2 for a, v in zip(weights, variances, strict=True))

    variance = levels[0] ** 2 / math.fsum(weights)
    for s, lower in pairwise(levels):
        half = 0.5 * variance_step(s, lower)
        precision = 1 / variance - half * growth(s)
        if precision <= 0:
            return None
        variance = (1 - solver.gain(s, lower) * pull(s)) ** 2 / precision + solver.noise_variance(s, lower)
        precision = 1 / variance - half * growth(lower)
        if precision <= 0:
            return None
        variance = 1 / precision
    return variance
