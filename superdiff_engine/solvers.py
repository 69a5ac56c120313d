r"""Solvers: how a step is taken.

In canonical coordinates a step from level s to s' < s, with h = s^2 - s'^2 and the mixed score
S = sum_i kappa_i S_i, is

    y' = y + mix + noise,      mix = g S,      noise of variance V in each dimension

    solver      g           V
    euler       h           h
    ancestral   h           h s'^2 / s^2
    ode         s (s - s')  0
    ode_heun    s (s - s')  0              and corrected once

g and V are known before the step is taken, so that an operator can foresee what it will do to the log-densities
(`compose.Prediction`); only Heun's correction comes after.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from .errors import ArgumentError
from .geometry import Parts, Product


@dataclass(frozen=True)
class Start:
    """What a step begins with.

    Attributes:
        space: where samples live.
        levels: (s, s') of each component.
        y: the samples.
        score: S at (y, s), the experts' mix, a tangent in each component.
        score_at_end: S at (y', s') for any y', by the weights of the step's beginning; asks the experts.
    """

    space: Product
    levels: dict[str, tuple[float, float]]
    y: Parts
    score: Parts
    score_at_end: Callable[[Parts], Parts]


class Solver(ABC):
    """A way to take a step. Its `step` is Euler's, mix = g S; a solver gives g and V, or a step of its own."""

    #: In recipes.
    name: str
    #: For people.
    title: str
    #: Whether its steps have noise: an SDE's have, an ODE's have not.
    noisy: bool

    @abstractmethod
    def gain(self, s: float, lower: float) -> float:
        """The factor g of a step from s to s' = `lower`."""

    @abstractmethod
    def noise_variance(self, s: float, lower: float) -> float:
        """The noise's variance V of a step from s to s' = `lower` where it is not scaled down."""

    def step(self, start: Start) -> Parts:
        """The mix of the step that is taken, a tangent in each component."""
        return {name: self.gain(*start.levels[name]) * score for name, score in start.score.items()}

    def adds_what_it_removes(self) -> bool:
        """Whether V is h: the noise that a step adds has the variance that the step removes."""
        return self.noise_variance(2.0, 1.0) == variance_step(2.0, 1.0)

    def allows(self, noise_scale: float) -> bool:
        """Whether its noise can be multiplied by `noise_scale`."""
        return self.noisy or noise_scale == 1


class Euler(Solver):
    """Euler-Maruyama: y' = y + h S + sqrt(h) z (arXiv 2412.17762, eq. 2)."""

    name, title = "euler", "Euler-Maruyama (SDE)"
    noisy = True

    def gain(self, s: float, lower: float) -> float:
        return variance_step(s, lower)

    def noise_variance(self, s: float, lower: float) -> float:
        return variance_step(s, lower)


class Ancestral(Solver):
    """DDPM's step, with the variance of its posterior: y' = y + h S + sqrt(h) s'/s z (arXiv 2006.11239, eq. 7)."""

    name, title = "ancestral", "Ancestral (SDE)"
    noisy = True

    def gain(self, s: float, lower: float) -> float:
        return variance_step(s, lower)

    def noise_variance(self, s: float, lower: float) -> float:
        return variance_step(s, lower) * (lower**2 / s**2)


class Ode(Solver):
    """DDIM's step: y' = y + s (s - s') S, exact where the denoised mean stands still (arXiv 2010.02502)."""

    name, title = "ode", "Euler (ODE, no noise)"
    noisy = False

    def gain(self, s: float, lower: float) -> float:
        return s * (s - lower)

    def noise_variance(self, s: float, lower: float) -> float:
        return 0.0


class Heun(Ode):
    """Heun's step: y' = y + (s - s') (s S + s' S') / 2, S' where DDIM's step leads (arXiv 2206.00364, Algorithm 1).

    The weights stay those of the step's beginning. It asks every expert once more, for the score alone.
    """

    name, title = "ode_heun", "Heun (ODE, no noise)"

    def step(self, start: Start) -> Parts:
        reached = start.space.move(start.y, super().step(start))
        after = start.score_at_end(reached)
        return {
            name: 0.5 * (s - lower) * (s * start.score[name] + lower * after[name])
            for name, (s, lower) in start.levels.items()
        }


def variance_step(s: float, lower: float) -> float:
    """h, the variance that a step from s to s' = `lower` removes."""
    return s * s - lower * lower


SOLVERS: dict[str, Solver] = {solver.name: solver for solver in (Euler(), Ancestral(), Ode(), Heun())}
#: docs/benchmarks_solvers.md: at 100 steps its samples have the right shares of an OR, Euler-Maruyama's are biased.
DEFAULT_SOLVER = Ancestral.name


def get_solver(name: str) -> Solver:
    """The solver called `name`; raises ArgumentError."""
    if name not in SOLVERS:
        raise ArgumentError(f"solver must be one of {', '.join(SOLVERS)}, got '{name}'.")
    return SOLVERS[name]
