"""What the loop yields, and what of it is still on its way from a device that works by itself.

Whether a step was right is known when its numbers are there: a check names what is to be finite and what to say where
it is not, and is answered at once, or with the step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .errors import StepError
from .geometry import State
from .transfers import Reading


@dataclass(frozen=True)
class Step:
    """What the loop yields at one level.

    Attributes:
        index: 0 at the highest level, the number of steps at the lowest.
        level: the noise level s (the first component's, where they differ).
        samples: y, [batch, ...] or a dictionary of components.
        denoised: the weighted denoised mean sum_i kappa_i D_i, like `samples`.
        log_density: log q_i(y), [experts, batch], nats, float64, canonical coordinates.
        weights: kappa, [experts, batch], float64; sums over the experts to 1, or to the formula's total weight (a mean
            over components that weigh apart).
        component_log_density: the parts of `log_density` by component.
        component_weights: the weights by component.
        log_importance: log w of each particle, [batch], nats, float64, after resampling; None without a correction.
        effective: the effective sample size of each group, [groups], in particles, before resampling; None likewise.
        parents: the place that each particle had before it was resampled at this level, int64 [batch]; None where
            nothing was.
        missed: what log w lacks where steps are too long for the formula's bends (`correction.bend_missed`), [batch],
            nats; None without a correction.
        noise: that of the coming step, a tangent like `samples`; None where no step comes or the solver has none.
    """

    index: int
    level: float
    samples: State
    denoised: State
    log_density: Tensor
    weights: Tensor
    component_log_density: dict[str, Tensor]
    component_weights: dict[str, Tensor]
    log_importance: Tensor | None = None
    effective: Tensor | None = None
    parents: Tensor | None = None
    missed: Tensor | None = None
    noise: State | None = None


@dataclass(frozen=True)
class Check:
    """Something that must hold: bool [n], and the error of the first place where it does not."""

    fine: Tensor
    problem: Callable[[int], StepError]

    def answer(self, fine: Tensor) -> None:
        """Raise the problem's StepError unless all of bool [n], on the CPU, is true."""
        if not bool(fine.all()):
            raise self.problem(int((~fine).nonzero()[0]))


class Checks:
    """The checks of a run, in the order in which they were met.

    Args:
        late: whether they wait until they are taken; else each is answered where it is met.
    """

    def __init__(self, late: bool) -> None:
        self.late = late
        self._waiting: list[Check] = []

    def expect(self, fine: Tensor, problem: Callable[[int], StepError]) -> None:
        """That all of bool [n] is true; `problem` makes an error of the first place where it is not.

        Raises:
            StepError: that, where nothing is late.
        """
        check = Check(fine, problem)
        if self.late:
            self._waiting.append(check)
        else:
            check.answer(fine)

    def taken(self) -> list[Check]:
        """Those that wait, which wait here no longer."""
        taken, self._waiting = self._waiting, []
        return taken

    def settle(self) -> None:
        """Answer those that wait now; raises StepError."""
        for check in self.taken():
            check.answer(check.fine.cpu())


class Underway:
    """A step that was begun, whose numbers may still be on their way.

    Args:
        step: its samples stay where they are; log-densities and weights come to the CPU.
        checks: to be answered before it is shown to anybody.
        home: where its float64 numbers are.
    """

    def __init__(self, step: Step, checks: Sequence[Check], home: torch.device) -> None:
        self._step, self._checks = step, checks
        self._reading: Reading | None = None
        self._asked: dict[int, Tensor] = {}
        if checks or home.type != "cpu":
            numbers = [step.log_density, step.weights, *_parts_of(step)]
            self._asked = {id(one): one for one in [*numbers, *(check.fine for check in checks)]}
            self._reading = Reading(list(self._asked.values()))

    def arrive(self) -> Step:
        """The step; waits until it is there. Raises StepError where a check says so."""
        if self._reading is None:
            return self._step
        found = dict(zip(self._asked, self._reading.values(), strict=True))
        for check in self._checks:
            check.answer(found[id(check.fine)])
        step = self._step
        return replace(
            step,
            log_density=found[id(step.log_density)],
            weights=found[id(step.weights)],
            component_log_density={name: found[id(one)] for name, one in step.component_log_density.items()},
            component_weights={name: found[id(one)] for name, one in step.component_weights.items()},
        )


def _parts_of(step: Step) -> list[Tensor]:
    return [*step.component_log_density.values(), *step.component_weights.values()]
