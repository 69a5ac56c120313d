"""A run that is corrected to its exact target: its particles from level to level (the mathematics: `correction`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .arguments import Arguments
from .correction import Correction, Particles, Reference, bend_missed, rate
from .density import End
from .errors import ArgumentError, StepError
from .formula import Formula, Value
from .geometry import Geometry, Parts, total
from .solvers import variance_step


@dataclass(frozen=True)
class Scores:
    """What was said of the samples at one level: by the experts, and by guidance's reference where there is one."""

    ends: dict[str, End]
    reference: dict[str, Tensor | None]


@dataclass(frozen=True)
class Place:
    """Where a run stands at one level: samples and log-densities by component, and what was said of them."""

    y: Parts
    scores: Scores
    log_density: Parts

    def taken(self, rows: Tensor) -> Place:
        """Of the samples `rows`, int64 [batch] on the CPU."""

        def of(value: Tensor | None) -> Tensor | None:
            return None if value is None else value[rows.to(value.device)]

        return Place(
            {name: value[rows.to(value.device)] for name, value in self.y.items()},
            Scores(
                {name: end.taken(rows) for name, end in self.scores.ends.items()},
                {name: of(value) for name, value in self.scores.reference.items()},
            ),
            {name: value[:, rows] for name, value in self.log_density.items()},
        )


@dataclass(frozen=True)
class _Begun:
    """Where a step begins, by component: the rate of log w, the formula, the log-densities."""

    rates: Parts
    values: dict[str, Value]
    log_density: Parts

    def taken(self, rows: Tensor) -> _Begun:
        """Of the samples `rows`, int64 [batch]."""
        return _Begun(
            {name: value[rows] for name, value in self.rates.items()},
            {name: value.taken(rows) for name, value in self.values.items()},
            {name: value[:, rows] for name, value in self.log_density.items()},
        )


class Corrected:
    """The particles of one run.

    Args:
        arguments: of the run.
        correction: how it is corrected.
        active: the positions of the experts that are evaluated.

    Attributes:
        effective: the effective sample size of each group at this level, before resampling, [groups], in particles.
        parents: the place that each particle had before it was resampled at this level, [batch]; None where none was.
        missed: what log w lacks where steps are too long (`correction.bend_missed`), [batch], nats.
    """

    def __init__(self, arguments: Arguments, correction: Correction, active: list[int]) -> None:
        if arguments.target is None:
            raise ArgumentError(arguments.operator.no_target)
        self._run, self._correction, self._active = arguments, correction, active
        self._target: Formula = arguments.target
        self._particles: Particles | None = None
        self._begun = _Begun({}, {}, {})
        self.missed = torch.zeros(arguments.batch, dtype=torch.float64)
        self.effective = torch.zeros(0, dtype=torch.float64)
        self.parents: Tensor | None = None

    @property
    def log_weights(self) -> Tensor | None:
        """Log w of each particle, [batch], nats; None before the first level."""
        return None if self._particles is None else self._particles.log_weights

    @property
    def weights(self) -> Parts:
        """Kappa of each component here, [experts, batch]: the formula's gradient, which is known already."""
        return {name: value.gradient for name, value in self._begun.values.items()}

    def arrive(self, place: Place, index: int) -> Place:
        """Take the change of log w of the step that led here, and resample where that is due.

        Returns:
            Where the run goes on from.

        Raises:
            StepError: when a weight is not finite.
        """
        run, values = self._run, self._values(place.log_density)
        rates = run.space.map(self._rate, run.level(index), values, place.scores.ends, place.scores.reference)
        if self._particles is None:
            generator = torch.Generator().manual_seed((run.seed + 0x3C0D) % 2**63)
            self._particles = Particles(self._correction, self._first(place, values), generator)
        else:
            steps = {name: 0.5 * variance_step(*ends) for name, ends in run.ends(index - 1).items()}
            before = self._begun.rates
            self._particles.gain(total({name: steps[name] * (before[name] + rates[name]) for name in rates}))
            self.missed = self.missed + self._bend_missed(values, place.log_density)
        self._begun = _Begun(rates, values, place.log_density)
        if not bool(self._particles.log_weights.isfinite().all()):
            raise StepError(
                "The particles' weights are no longer finite",
                "try more steps, or a formula with smaller weights and strengths",
                index,
                run.first_level(index),
            )
        self.effective = self._particles.effective
        # At the end the weights say what copies would.
        self.parents = None if index == run.steps else self._particles.resample(run.first_level(index))
        if self.parents is None:
            return place
        self._begun, self.missed = self._begun.taken(self.parents), self.missed[self.parents]
        return place.taken(self.parents)

    def _values(self, log_density: Parts) -> dict[str, Value]:
        """The formula at the log-densities of each component, or at their sums."""
        if self._run.per_component:
            return {name: self._target.at(value) for name, value in log_density.items()}
        return dict.fromkeys(log_density, self._target.at(total(log_density)))

    def _rate(self, geometry: Geometry, s: float, value: Value, end: End, reference: Tensor | None) -> Tensor:
        active = self._active
        chosen = Value(
            value.value,
            value.gradient[active],
            None if value.hessian is None else value.hessian[active][:, active],
        )
        guide = None
        if reference is not None and self._run.guidance is not None:
            inner = geometry.inner(reference, end.wide).cpu()
            guide = Reference(self._run.guidance.at(s), geometry.inner(reference, reference).cpu(), inner)
        return rate(chosen, end.inner(geometry).cpu(), guide)

    def _first(self, place: Place, values: dict[str, Value]) -> Tensor:
        """Log w at the start: the target's density there over that of the prior which was drawn, [batch]."""
        run = self._run

        def log_prior(geometry: Geometry, y: Tensor, s: float) -> Tensor:
            return geometry.log_prior(y, s).cpu()

        level = run.level(0)
        drawn = {name: run.start_level(s) for name, s in level.items()}
        prior = total(run.space.map(log_prior, place.y, level))
        target = list(values.values()) if run.per_component else [next(iter(values.values()))]
        log_target = torch.stack([value.value for value in target]).sum(0)
        if run.estimator is None:  # the formula is linear then, and each log-density is the prior's
            log_target = self._target.total * prior
        w = run.guidance_at(0)
        return w * log_target + (1 - w) * prior - total(run.space.map(log_prior, place.y, drawn))

    def _bend_missed(self, values: dict[str, Value], log_density: Parts) -> Tensor:
        before = self._begun
        changes = {name: log_density[name] - before.log_density[name] for name in log_density}
        if self._run.per_component:
            return total({name: bend_missed(before.values[name], changes[name], values[name]) for name in values})
        first = next(iter(values))
        return bend_missed(before.values[first], total(changes), values[first])
