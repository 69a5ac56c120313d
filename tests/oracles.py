"""Experts whose densities are known in closed form, beside the engine's own Gaussian mixtures."""

import math

import torch

from superdiff_engine import SO3, Centred, DiscreteVP, Product
from superdiff_engine.domains.plane import GaussianMixture
from superdiff_engine.rotations import igso3_log_density, igso3_score, logarithm


def overlapping():
    """The two pairs of modes that share one (design bars for AND)."""
    return (
        GaussianMixture([[-1.5, 1.5], [1.5, 1.5]], [0.16, 0.16], title="upper"),
        GaussianMixture([[-1.5, -1.5], [-1.5, 1.5]], [0.16, 0.16], title="left"),
    )


def separate():
    """Two mixtures whose modes do not overlap."""
    return (
        GaussianMixture([[-3.0, 2.0], [3.0, 2.0]], [0.1, 0.1], title="upper"),
        GaussianMixture([[-3.0, -2.0], [3.0, -2.0]], [0.1, 0.1], title="lower"),
    )


def in_64_dimensions():
    """Two mixtures of 6 modes, means drawn N(0, I), variance 0.05."""
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(2, 6, 64, generator=generator, dtype=torch.float64)
    return GaussianMixture(draw[0], [0.05] * 6), GaussianMixture(draw[1], [0.05] * 6)


class RotationMixture:
    """A mixture of isotropic Gaussians on SO(3), one rotation a sample."""

    dtype = torch.float64

    def __init__(self, centres, variance, title="rotations"):
        self.centres, self.variance, self.title = centres, variance, title  # centres [modes, 3, 3]
        self.space = SO3()

    def _relative(self, y, level):
        relative = self.centres.transpose(-1, -2)[:, None] @ y  # [modes, batch, 3, 3]
        angle = logarithm(relative).norm(dim=-1)
        return relative, igso3_log_density(angle, self.variance + level**2)

    def log_density(self, y, level):
        return torch.logsumexp(self._relative(y, level)[1], 0) - math.log(len(self.centres))

    def score(self, y, level):
        relative, parts = self._relative(y, level)
        scores = igso3_score(relative, self.variance + level**2)
        return (torch.softmax(parts, 0)[..., None] * scores).sum(0)


class CentredGaussian:
    """Points around fixed places, N(place, v) each, seen in the subspace of zero centre of mass."""

    dtype = torch.float64

    def __init__(self, places, variance, mask=None, title="points"):
        self.space = Centred(places.shape, mask)
        self.places, self.variance, self.title = self.space.project(places.double()), variance, title

    def score(self, y, level):
        return self.space.project(self.places - y) / (self.variance + level**2)

    def log_density(self, y, level):
        total = self.variance + level**2
        square = self.space.inner(self.space.project(y - self.places), self.space.project(y - self.places))
        return -0.5 * (square / total + self.space.dimensions(len(y)) * math.log(2 * math.pi * total))


class Pair:
    """Two independent experts side by side, as one expert on the product of their spaces."""

    dtype = torch.float64

    def __init__(self, title="pair", **parts):
        self.parts, self.title = parts, title
        self.space = Product({name: part.space for name, part in parts.items()})

    def score(self, y, level):
        return {name: part.score(y[name], level[name]) for name, part in self.parts.items()}


def brute_force_trace(score, space, y, level, batch, step=1e-5):
    """The trace by component and sample, from central differences along every basis tangent, [batch] each."""
    found = {}
    for name, geometry in space.components.items():
        size = math.prod(geometry.tangent_shape)
        total = torch.zeros(batch, dtype=torch.float64)
        for index in range(size):
            basis = torch.zeros(batch, size, dtype=y[name].dtype)
            basis[:, index] = 1
            along = geometry.project(basis.unflatten(1, geometry.tangent_shape))
            if not along.any():
                continue
            ends = [score(y | {name: geometry.move(y[name], sign * step * along)}, level)[name] for sign in (1, -1)]
            total += ((ends[0] - ends[1]) * along).flatten(1).sum(1) / (2 * step)
        found[name] = total
    return found


def last(steps):
    """The last step of a run."""
    step = None
    for step in steps:
        pass
    return step


SCHEDULES = {
    "linear": DiscreteVP.linear(),
    "scaled_linear": DiscreteVP.scaled_linear(),
    "cosine": DiscreteVP.cosine(),
}
