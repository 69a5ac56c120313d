"""What `sampling.sample` is asked for, checked: every name and default in its place resolved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .compose import Operator
from .correction import Correction, check_correctable
from .density import ESTIMATORS, Estimator, check_estimator, get_estimator
from .errors import ArgumentError
from .formula import Formula
from .geometry import Product
from .noise import check_levels
from .score import Guidance, ScoreModel
from .solvers import Solver

#: Where random numbers can be drawn.
DRAWS = ("cpu", "device")


@dataclass(frozen=True)
class Arguments:
    """What `sample` was asked for, with every name and default in its place resolved; attributes as documented there.

    Attributes:
        levels: the grid of each component, all of one length.
        estimator: None where log-densities are not followed.
    """

    experts: tuple[ScoreModel, ...]
    operator: Operator
    space: Product
    levels: dict[str, list[float]]
    batch: int
    seed: int
    estimator: Estimator | None
    solver: Solver
    guidance: Guidance | None
    per_component: bool
    noise_scale: float
    correction: Correction | None
    device: str
    dtype: torch.dtype
    draws: str
    ahead: int

    def check(self) -> None:
        """Raise ArgumentError where they do not fit together."""
        if self.batch < 1:
            raise ArgumentError(f"batch must be at least 1, got {self.batch}.")
        if not 0 < self.noise_scale <= 1:
            raise ArgumentError(f"noise_scale must be above 0 and at most 1, got {self.noise_scale}.")
        if not self.solver.allows(self.noise_scale):
            raise ArgumentError(f"The solver '{self.solver.name}' has no noise; leave noise_scale at 1.")
        if self.estimator is not None:
            # In their order, in which a complaint names them.
            allowed = list(dict.fromkeys([*ESTIMATORS.values(), self.estimator]))
            check_estimator(self.estimator, self.solver, self.noise_scale, self.space.most_dimensions(), allowed)
        if self.estimator is None and self.operator.needs_density:
            raise ArgumentError(f"{type(self.operator).__name__} needs log-densities; choose an estimator.")
        if self.per_component and self.operator.whole_samples:
            raise ArgumentError(self.operator.whole_samples)
        if self.draws not in DRAWS:
            raise ArgumentError(f"draws must be one of {', '.join(DRAWS)}, got '{self.draws}'.")
        if self.ahead < 0:
            raise ArgumentError(f"ahead must not be negative, got {self.ahead}.")
        if self.correction is not None:
            self._check_correction(self.correction)

    @property
    def drawn_on(self) -> str:
        """The device on which random numbers are drawn."""
        return self.device if self.draws == "device" else "cpu"

    def _check_correction(self, correction: Correction) -> None:
        correction.check(self.batch)
        check_correctable(self.operator, self.solver, self.noise_scale)
        if len({self.guidance_at(index) for index in range(self.steps)}) > 1:
            raise ArgumentError(
                "A correction needs guidance of the same weight at all levels; leave its lowest and highest level open."
            )
        size = correction.size(self.batch)
        for geometry in self.space.components.values():
            if not geometry.alike(size):
                raise ArgumentError(
                    f"The {size} particles of a group must be of one size (one mask), or their densities cannot be "
                    "compared."
                )

    def guidance_at(self, index: int) -> float:
        """The weight of guidance in the step that begins at `index`, by the first component's level; 1 for none."""
        return 1.0 if self.guidance is None else self.guidance.at(self.first_level(index))

    @cached_property
    def target(self) -> Formula | None:
        """The formula that the samples are to follow; None where the operator has none."""
        return self.operator.target(len(self.experts))

    @cached_property
    def total_weight(self) -> float:
        """What the weights of all scores of the mix sum to, guidance's reference included."""
        if self.target is None or self.target.total == 1:
            return 1.0
        w = self.guidance_at(0)
        return w * self.target.total + 1 - w

    def start_level(self, s: float) -> float:
        """The level of the prior that is the target where the level is s: the densities to the power A."""
        return s if self.total_weight == 1 else s / math.sqrt(self.total_weight)

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return len(next(iter(self.levels.values()))) - 1

    def level(self, index: int) -> dict[str, float]:
        """The level of each component where step `index` begins."""
        return {name: grid[index] for name, grid in self.levels.items()}

    def first_level(self, index: int) -> float:
        """That of the first component, which steps and messages name."""
        return next(iter(self.levels.values()))[index]

    def ends(self, index: int) -> dict[str, tuple[float, float]]:
        """(s, s') of a step, in each component."""
        return {name: (grid[index], grid[index + 1]) for name, grid in self.levels.items()}


def estimator_of(asked: str | Estimator) -> Estimator | None:
    """The estimator that is asked for by its name or is given; None for "none". Raises ArgumentError."""
    if isinstance(asked, Estimator):
        return asked
    return None if asked == "none" else get_estimator(asked)


def level_grids(levels: Tensor | dict[str, Tensor], names: list[str]) -> dict[str, list[float]]:
    """The grid of each component, highest level first; raises ArgumentError where they do not fit together."""
    given = levels if isinstance(levels, dict) else dict.fromkeys(names, levels)
    if set(given) != set(names):
        raise ArgumentError(f"levels must be given for {', '.join(names)}; got {', '.join(given)}.")
    grids = {name: [float(value) for value in given[name]] for name in names}
    if len({len(grid) for grid in grids.values()}) != 1:
        raise ArgumentError("Every component needs a grid of the same number of levels.")
    for grid in grids.values():
        check_levels(grid)
    return grids
