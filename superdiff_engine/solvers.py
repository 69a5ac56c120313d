r"""Solvers: how a step is taken.

In canonical coordinates a step from level s to s' < s, with h = s^2 - s'^2, is

y' = y + mix + noise,      mix = g sum_i kappa_i S_i

solver      g           variance of the noise
euler       h           h                   Euler-Maruyama (arXiv 2412.17762, eq. 2)
ancestral   h           h s'^2 / s^2        DDPM's posterior variance (arXiv 2006.11239)
ode         s (s - s')  0                   DDIM (arXiv 2010.02502): exact where the denoised mean stands still
ode_heun    s (s - s')  0                   with Heun's correction (arXiv 2206.00364, Algorithm 1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .errors import ArgumentError


@dataclass(frozen=True)
class Solver:
    """A way to take a step.

    Attributes:
        name: in recipes.
        noisy: whether its steps have noise: an SDE's have, an ODE's have not.
        corrects: whether the step is taken again with the mean of the slopes at both ends.
        share: the noise's variance over the variance h that the step removes, of (s, s').
    """

    name: str
    noisy: bool
    corrects: bool = False
    share: Callable[[float, float], float] = lambda s, lower: 0.0

    def gain(self, s: float, lower: float) -> float:
        """The factor g of the mixed score."""
        return s * s - lower * lower if self.noisy else s * (s - lower)


SOLVERS: dict[str, Solver] = {
    solver.name: solver
    for solver in (
        Solver("euler", noisy=True, share=lambda s, lower: 1.0),
        Solver("ancestral", noisy=True, share=lambda s, lower: lower**2 / s**2),
        Solver("ode", noisy=False),
        Solver("ode_heun", noisy=False, corrects=True),
    )
}
#: docs/benchmarks_solvers.md: at 100 steps its samples have the right shares of an OR, Euler-Maruyama's are biased.
DEFAULT_SOLVER = "ancestral"


def get_solver(name: str) -> Solver:
    """The solver called `name`; raises ArgumentError."""
    if name not in SOLVERS:
        raise ArgumentError(f"solver must be one of {', '.join(SOLVERS)}, got '{name}'.")
    return SOLVERS[name]
