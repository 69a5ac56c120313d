"""Direct play with a domain: a recipe small enough to be sampled while somebody drags its experts about.

A domain whose experts can be drawn says so by `Domain.playing`; the studio's playground asks it and no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from .recipes.document import Mixture, Recipe


@dataclass(frozen=True, eq=False)
class Played:
    """A small run, whole: what is drawn of it.

    Samples travel with their particles: where a run was corrected, every row is a final sample's own past.

    Attributes:
        index: the steps that were kept, increasing, [moments].
        level: the noise level s of each, [moments].
        positions: y of the samples in canonical coordinates, float32 [moments, n, 2], plane units.
        owners: the expert that has nearly all of a sample's weight, -1 where they share it, int8 [moments, n].
        log_density: the mean of log q_i over the samples, as estimated on the way, [moments, experts], nats.
        exact: the experts' own, likewise.
        weights: the mean of kappa_i over the samples, [moments, experts].
        counts: what a final sample counts for, in samples, [n]; None where all count the same.
        target: log-density of the exact target, up to a constant, on a grid over the window at the last level, rows
            upwards, [cells, cells], nats; None where the operator has none, or a single expert is its own.
        reach: half the width of that window, plane units.
        distance: total variation of the samples from the exact target, and what as many exact samples have on average,
            0 to 1 each; None without a target.
        untold: why there is no exact target, in a sentence; "" where there is one.
        problem: why the run broke off, in a sentence; "" where it reached its end.
    """

    index: np.ndarray
    level: np.ndarray
    positions: np.ndarray
    owners: np.ndarray
    log_density: np.ndarray
    exact: np.ndarray
    weights: np.ndarray
    counts: np.ndarray | None
    target: np.ndarray | None
    reach: float
    distance: tuple[float, float] | None
    untold: str
    problem: str


class Playing(Protocol):
    """What direct play asks of a domain."""

    @property
    def domain(self) -> str:
        """The domain's name, for recipes."""

    def begin(self) -> Recipe:
        """What play begins with; its experts are drawn."""

    def ready(self) -> dict[str, Mixture]:
        """Ready mixtures to begin an expert with, by title."""

    def drawn(self, recipe: Recipe) -> Recipe:
        """The recipe with every expert's mixture in it, to be drawn upon; raises RecipeError for another domain's."""

    def play(self, recipe: Recipe, moments: int, most: float) -> Played:
        """Sample the recipe now, in this thread.

        Args:
            recipe: what to do; its experts are drawn.
            moments: how many steps to keep at most; the first and the last are among them.
            most: seconds that it may take; then it is given up.

        Raises:
            RecipeError: where it is given up, or breaks off at its first step.
        """

    def fit(self, points: np.ndarray, most: int) -> Mixture:
        """The mixture of at most so many modes that points [n, 2] are most likely drawn from; raises RecipeError."""
