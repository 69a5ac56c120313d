r"""Log-density estimators: how much log q_i changes along one step from (y, s) to (y', s').

With h = s^2 - s'^2, the step y' - y = mix + noise (noise of variance V in each dimension: h for Euler-Maruyama, less
for other solvers and where it is scaled down, none for the ODE), and scores S, S' at the two ends:

    ito         <y' - y, S> - h/2 |S|^2                                    arXiv 2412.17762, Theorem 1 / eq. 13, in y
    trapezoid   <noise, S> + 1/2 <mix, S + S'> - h/2 L(|S|^2, |S'|^2)      its drift part, by a rule of both ends
                + 1/4 (V - h) (P + P'),  P' = <noise, S' - S> / V          where the noise's variance is not h
    hutchinson, exact
                1/2 <y' - y, S + S'> - h/4 (|S|^2 + |S'|^2 + div S + div S')        along the ODE
                1/2 <y' - y, S + S'> - h/2 L(|S|^2, |S'|^2)
                                     - h/4 (div S + div S') + V/4 (div S - div S')  with noise

L(a, b) = (a - b) / (ln a - ln b) is the logarithmic mean: the mean of |S|^2 over the step is that for a Gaussian
expert, whose |S|^2 goes as 1 / (v + s^2), where the arithmetic mean is far too large over a large step (in 784
dimensions and 25 steps, 1300 nats against 500).

Ito's formula has the term (V - h) / 2 div S, which vanishes where V = h. P' estimates div S' with the noise that was
drawn as Hutchinson's probe: by Stein's lemma its mean is div S' itself, at the step's end and level, however large the
step. P is that of the step before (the first step has its own alone). With P' instead of the mean of both, log q is
too large by (1 - V/h) d/4 sum (h / s^2)^2: 45 nats in 100 dimensions, 50 steps and a noise scale of 0.3. For the same
reason 1/2 <noise, S + S'> holds V/2 div S' where the step has V/4 (div S + div S'), which the last term of the chain
rule mends: without it 26 nats are missing in 100 dimensions and 100 steps (docs/log_density.md).

The first two need no derivative of the network: under the SDE the divergence cancels in Ito's formula. The third is
the ordinary chain rule along the path (d log q / d s^2 = (div S + |S|^2) / 2), true for any path, with the divergence
from a Rademacher probe or as the full trace (Prop. 5 there; Hutchinson 1989).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .errors import ArgumentError
from .geometry import Geometry, Level, Parts, Product, State
from .score import ScoreModel
from .solvers import Solver
from .transfers import home


@dataclass(frozen=True)
class End:
    """One end of a step, in one component: the experts' scores, and their divergences where the estimator wants them.

    Attributes:
        scores: a tangent for each expert, [experts, batch, ...].
        wide: the same in float64, made once: every inner product of the step is taken with it.
        squares: |S_i|^2, [experts, batch], float64.
        divergences: div S_i or an estimate of it, [experts, batch], float64, or None.
    """

    scores: Tensor
    wide: Tensor
    squares: Tensor
    divergences: Tensor | None = None

    @classmethod
    def of(cls, geometry: Geometry, scores: Tensor, divergences: Tensor | None = None) -> End:
        """Of the experts' projected scores, [experts, batch, ...]."""
        wide = geometry.wide(scores)
        return cls(scores, wide, geometry.inner(wide, wide), divergences)

    def inner(self, geometry: Geometry) -> Tensor:
        """<S_i, S_j>, [experts, experts, batch], float64."""
        return torch.stack([geometry.inner(one, self.wide) for one in self.wide])

    def taken(self, rows: Tensor) -> End:
        """The same for the samples `rows`, int64 [batch] on the CPU."""
        here = rows.to(self.scores.device)
        home = rows.to(self.wide.device)
        return End(
            self.scores[:, here],
            self.wide[:, home],
            self.squares[:, home],
            None if self.divergences is None else self.divergences[:, home],
        )


@dataclass(frozen=True)
class Segment:
    """A step that was taken, in one component: h, the noise's variance, the parts of the displacement, its start."""

    variance_step: float
    noise_variance: float
    mix: Tensor
    noise: Tensor | None
    start: End

    @property
    def displacement(self) -> Tensor:
        """How far the step goes, mix + noise."""
        return self.mix if self.noise is None else self.mix + self.noise


class Estimator(ABC):
    """Estimates the change of every expert's log-density along one step."""

    #: In recipes.
    name: str
    #: For people.
    title: str
    #: Whether it is right along an SDE's steps only, and then only where the noise is not scaled down.
    needs_noise, needs_full_noise = True, False
    #: The largest sample that it is for, in dimensions.
    most_dimensions: float = math.inf

    def obstacle(self, solver: Solver, noise_scale: float, dimensions: float) -> str:
        """Why it cannot follow a run, without a full stop; "" where it can. Arguments as of `fitting_estimators`."""
        if self.needs_noise and not solver.noisy:
            return f"The estimator '{self.name}' needs the noise of an SDE, and the solver '{solver.name}' has none"
        if self.needs_full_noise and noise_scale < 1:
            return f"The estimator '{self.name}' assumes the full noise, and the noise scale is {noise_scale:g}"
        if dimensions > self.most_dimensions:
            what = f"may have {dimensions:g}" if math.isfinite(dimensions) else "of these models have more"
            return (
                f"The estimator '{self.name}' takes a backward pass for every dimension, so it is for samples of at "
                f"most {self.most_dimensions:g} dimensions, and samples {what}"
            )
        return ""

    def caution(self, solver: Solver) -> str:
        """What to know of its numbers along a solver's steps, in sentences; "" where there is nothing to say."""
        return ""

    def divergences(
        self, experts: Sequence[ScoreModel], space: Product, y: State, level: Level, generator: torch.Generator
    ) -> tuple[list[State], Parts] | None:
        """Scores and divergences by component, where this estimator needs them; None where it does not."""
        return None

    def begin(self, prior: Tensor, end: End) -> Tensor:
        """Log q_i where the run begins, [experts, batch], nats, float64: the prior's [batch], the same for all."""
        return prior.repeat(len(end.squares), 1)

    def observe(self, geometry: Geometry, segment: Segment, end: End) -> End:
        """The end of a step that was taken, with what this estimator learned from the step about it."""
        return end

    @abstractmethod
    def increment(self, geometry: Geometry, segment: Segment, end: End) -> Tensor:
        """Log q_i(y') - log q_i(y), [experts, batch], nats, float64, where `end` was observed."""


class Ito(Estimator):
    """The paper's Ito density estimator."""

    name, title = "ito", "Itô (the paper's, free)"
    needs_full_noise = True

    def caution(self, solver: Solver) -> str:
        """It takes the noise's variance to be the step's."""
        if not solver.noisy or solver.adds_what_it_removes():
            return ""
        return (
            f"The {solver.name} solver adds less noise than its step removes: the Itô estimator's absolute "
            "log-densities are biased at few steps, their differences are not. The trapezoidal estimator accounts for "
            "it."
        )

    def increment(self, geometry: Geometry, segment: Segment, end: End) -> Tensor:
        start, move = segment.start, segment.displacement
        return geometry.inner(move, start.wide) - 0.5 * segment.variance_step * start.squares


class Trapezoid(Estimator):
    """The Ito estimator with its drift part from both ends of the step; at no further network evaluation."""

    name, title = "trapezoid", "Trapezoidal Itô (accurate, free)"

    def observe(self, geometry: Geometry, segment: Segment, end: End) -> End:
        """Where the noise's variance is not the step's, the divergence at the end, with the noise as its probe."""
        if segment.noise is None or segment.noise_variance == segment.variance_step:
            return end
        noise = geometry.wide(segment.noise)
        change = geometry.inner(noise, end.wide) - geometry.inner(noise, segment.start.wide)
        return replace(end, divergences=change / segment.noise_variance)

    def increment(self, geometry: Geometry, segment: Segment, end: End) -> Tensor:
        start = segment.start
        mix = geometry.wide(segment.mix)
        drift = 0.5 * (geometry.inner(mix, start.wide) + geometry.inner(mix, end.wide))
        change = drift - 0.5 * segment.variance_step * logarithmic_mean(start.squares, end.squares)
        if segment.noise is None:
            return change
        change = change + geometry.inner(segment.noise, start.wide)
        if end.divergences is None:
            return change
        before = end.divergences if start.divergences is None else start.divergences
        return change + 0.25 * (segment.noise_variance - segment.variance_step) * (before + end.divergences)


class ChainRule(Estimator):
    """The chain rule with a divergence, along the ODE or the SDE."""

    needs_noise = False

    def divergences(
        self, experts: Sequence[ScoreModel], space: Product, y: State, level: Level, generator: torch.Generator
    ) -> tuple[list[State], Parts]:
        """Raises ArgumentError where a score cannot be differentiated."""
        state = space.unpack(y)
        probes = list(self._probes(space, state, generator))
        scores: list[State] = []
        divergences: dict[str, list[Tensor]] = {name: [] for name in state}
        for number, expert in enumerate(experts, start=1):
            score, divergence = _divergence(expert, number, space, state, level, probes)
            scores.append(score)
            for name, value in divergence.items():
                divergences[name].append(value)
        return scores, {name: torch.stack(values) for name, values in divergences.items()}

    @abstractmethod
    def _probes(self, space: Product, state: Parts, generator: torch.Generator) -> Iterator[Parts]:
        """Tangents whose quadratic forms add up to the trace, or to an estimate of it."""

    def increment(self, geometry: Geometry, segment: Segment, end: End) -> Tensor:
        start, move = segment.start, geometry.wide(segment.displacement)
        if start.divergences is None or end.divergences is None:
            raise ArgumentError("This estimator needs the divergences of the scores at both ends of the step.")
        along = 0.5 * (geometry.inner(move, start.wide) + geometry.inner(move, end.wide))
        divergences = 0.5 * (start.divergences + end.divergences)
        if segment.noise is None:
            # Along the ODE squares and divergences all but cancel, which a rule of its own for one of them would undo.
            return along - 0.5 * segment.variance_step * (0.5 * (start.squares + end.squares) + divergences)
        squares = logarithmic_mean(start.squares, end.squares)
        missing = 0.25 * segment.noise_variance * (start.divergences - end.divergences)
        return along - 0.5 * segment.variance_step * (squares + divergences) + missing


class Hutchinson(ChainRule):
    """The divergence from one Rademacher probe a level: one backward pass."""

    name, title = "hutchinson", "Hutchinson (one random probe)"

    def _probes(self, space: Product, state: Parts, generator: torch.Generator) -> Iterator[Parts]:
        yield {
            name: geometry.probe(len(state[name]), generator, state[name].dtype, str(state[name].device))
            for name, geometry in space.components.items()
        }


class Exact(ChainRule):
    """The divergence as the full trace: one backward pass a dimension."""

    name, title = "exact", "Exact trace (slow, small samples only)"
    most_dimensions = 256

    def _probes(self, space: Product, state: Parts, generator: torch.Generator) -> Iterator[Parts]:
        for name, geometry in space.components.items():
            for tangent in geometry.basis(len(state[name]), state[name].dtype, str(state[name].device)):
                yield {name: tangent}


#: The most accurate first that an SDE, or an ODE, allows.
ESTIMATORS: dict[str, Estimator] = {
    estimator.name: estimator for estimator in (Trapezoid(), Ito(), Hutchinson(), Exact())
}
DEFAULT_ESTIMATOR = Trapezoid.name


def get_estimator(name: str) -> Estimator:
    """The estimator called `name`; raises ArgumentError."""
    if name not in ESTIMATORS:
        raise ArgumentError(f"estimator must be one of {', '.join(ESTIMATORS)}, got '{name}'.")
    return ESTIMATORS[name]


def fitting_estimators(
    solver: Solver, noise_scale: float, dimensions: float, allowed: Collection[Estimator] = ESTIMATORS.values()
) -> list[Estimator]:
    """The estimators that can follow a run, the most accurate first.

    Args:
        solver: of the run.
        noise_scale: what its noise is multiplied by.
        dimensions: of its largest sample.
        allowed: the estimators that its experts allow.
    """
    return [estimator for estimator in allowed if not estimator.obstacle(solver, noise_scale, dimensions)]


def check_estimator(
    estimator: Estimator,
    solver: Solver,
    noise_scale: float,
    dimensions: float,
    allowed: Collection[Estimator] = ESTIMATORS.values(),
) -> None:
    """Raise ArgumentError, which says what to choose, where an estimator is not in `fitting_estimators`."""
    if estimator in allowed:
        obstacle = estimator.obstacle(solver, noise_scale, dimensions)
    else:
        obstacle = f"The estimator '{estimator.name}' is not for these models"
    if obstacle:
        others = fitting_estimators(solver, noise_scale, dimensions, allowed)
        raise ArgumentError(f"{obstacle}; choose {' or '.join(repr(other.name) for other in others)}.")


def logarithmic_mean(first: Tensor, second: Tensor) -> Tensor:
    """(a - b) / (ln a - ln b) of two non-negative tensors, element by element; a where they are equal."""
    ratio = (first / second).log()
    near = ratio.abs() < 1e-4  # there the arithmetic mean differs by less than 1e-9 of it
    mean = (first - second) / torch.where(near, torch.ones_like(ratio), ratio)
    # Zero scores (a masked sample, a symmetric point) have the mean 0 with anything.
    return torch.where(near | ~ratio.isfinite(), 0.5 * (first + second) * near, mean)


def _divergence(
    expert: ScoreModel,
    number: int,
    space: Product,
    state: Parts,
    level: Level,
    probes: list[Parts],
) -> tuple[State, Parts]:
    # Derivatives along tangents: u -> S(move(y, u)) at u = 0, which is the plain Jacobian in Euclidean space.
    with torch.enable_grad():
        tangents = {
            name: torch.zeros(
                (len(state[name]), *geometry.tangent_shape), dtype=state[name].dtype, device=state[name].device
            ).requires_grad_()
            for name, geometry in space.components.items()
        }
        moved = {name: space.components[name].move(state[name].detach(), tangents[name]) for name in state}
        scores = space.unpack(expert.score(space.pack(moved), level))
        if not any(score.requires_grad for score in scores.values()):
            # It was computed without gradients: a divergence of 0 would be wrong.
            raise ArgumentError(
                f"The score of expert {number} ({expert.title}) cannot be differentiated, so it has no divergence; "
                "choose a solver with noise and the estimator 'trapezoid'."
            )
        totals = {
            name: torch.zeros(len(value), dtype=torch.float64, device=home(value.device))
            for name, value in state.items()
        }
        for probe in probes:
            parts = [(scores[name] * value).sum() for name, value in probe.items() if scores[name].requires_grad]
            if not parts:
                continue  # a component whose score is the same everywhere
            names = list(probe)
            gradients = torch.autograd.grad(
                torch.stack(parts).sum(), [tangents[name] for name in names], retain_graph=True, allow_unused=True
            )
            for name, gradient in zip(names, gradients, strict=True):
                if gradient is not None:
                    totals[name] = totals[name] + space.components[name].inner(gradient.detach(), probe[name])
    return space.pack({name: value.detach() for name, value in scores.items()}), totals
