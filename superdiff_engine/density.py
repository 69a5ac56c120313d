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

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .geometry import Geometry, Product, State
from .score import ScoreModel

#: The full trace costs one backward pass a dimension.
MOST_EXACT_DIMENSIONS = 256


@dataclass(frozen=True)
class End:
    """One end of a step, in one component: each expert's score, and its divergence where the estimator wants it.

    Attributes:
        scores: one tangent an expert, each [batch, ...].
        squares: |S_i|^2, [experts, batch], float64.
        divergences: div S_i or an estimate of it, [experts, batch], float64, or None.
    """

    scores: list[Tensor]
    squares: Tensor
    divergences: Tensor | None = None


@dataclass(frozen=True)
class Segment:
    """A step that was taken, in one component: h, the noise's variance, the parts of the displacement, its start."""

    variance_step: float
    noise_variance: float
    mix: Tensor
    noise: Tensor | None
    start: End


class Estimator(ABC):
    """Estimates the change of every expert's log-density along one step."""

    #: Whether it is right without noise, along the ODE.
    along_ode = False

    def divergences(
        self, experts: Sequence[ScoreModel], space: Product, y: State, level: object, generator: torch.Generator
    ) -> tuple[list[State], dict[str, Tensor]] | None:
        """Scores and divergences by component, where this estimator needs them; None where it does not."""
        return None

    def observe(self, geometry: Geometry, segment: Segment, end: End) -> End:
        """The end of a step that was taken, with what this estimator learned from the step about it."""
        return end

    @abstractmethod
    def increment(self, geometry: Geometry, segment: Segment, end: End) -> Tensor:
        """Log q_i(y') - log q_i(y), [experts, batch], nats, float64, where `end` was observed."""


class Ito(Estimator):
    """The paper's Ito density estimator."""

    def increment(self, geometry: Geometry, segment: Segment, end: End) -> Tensor:
        start, move = segment.start, _displacement(segment)
        return _inner(geometry, move, start.scores) - 0.5 * segment.variance_step * start.squares


class Trapezoid(Estimator):
    """The Ito estimator with its drift part from both ends of the step; at no further network evaluation."""

    def observe(self, geometry: Geometry, segment: Segment, end: End) -> End:
        """Where the noise's variance is not the step's, the divergence at the end, with the noise as its probe."""
        if segment.noise is None or segment.noise_variance == segment.variance_step:
            return end
        change = _inner(geometry, segment.noise, end.scores) - _inner(geometry, segment.noise, segment.start.scores)
        return replace(end, divergences=change / segment.noise_variance)

    def increment(self, geometry: Geometry, segment: Segment, end: End) -> Tensor:
        start = segment.start
        drift = 0.5 * (_inner(geometry, segment.mix, start.scores) + _inner(geometry, segment.mix, end.scores))
        change = drift - 0.5 * segment.variance_step * logarithmic_mean(start.squares, end.squares)
        if segment.noise is None:
            return change
        change = change + _inner(geometry, segment.noise, start.scores)
        if end.divergences is None:
            return change
        before = end.divergences if start.divergences is None else start.divergences
        return change + 0.25 * (segment.noise_variance - segment.variance_step) * (before + end.divergences)


class ChainRule(Estimator):
    """The chain rule with a divergence, along the ODE or the SDE.

    Args:
        exact: the full trace instead of one Rademacher probe a step.
    """

    along_ode = True

    def __init__(self, exact: bool) -> None:
        self.exact = exact

    def divergences(
        self, experts: Sequence[ScoreModel], space: Product, y: State, level: object, generator: torch.Generator
    ) -> tuple[list[State], dict[str, Tensor]]:
        state = space.unpack(y)
        batch = len(next(iter(state.values())))
        probes = list(self._probes(space, state, batch, generator))
        scores: list[State] = []
        found: dict[str, list[Tensor]] = {name: [] for name in state}
        for expert in experts:
            score, divergence = _divergence(expert, space, state, level, probes)
            scores.append(score)
            for name, value in divergence.items():
                found[name].append(value)
        return scores, {name: torch.stack(values) for name, values in found.items()}

    def _probes(self, space: Product, state: dict[str, Tensor], batch: int, generator: torch.Generator):  # noqa: ANN202
        if not self.exact:
            yield {
                name: geometry.probe(batch, generator, state[name].dtype, str(state[name].device))
                for name, geometry in space.components.items()
            }
            return
        sizes = {name: torch.Size(geometry.tangent_shape).numel() for name, geometry in space.components.items()}
        if sum(sizes.values()) > MOST_EXACT_DIMENSIONS:
            raise ValueError(
                f"The exact trace is for at most {MOST_EXACT_DIMENSIONS} dimensions, these samples have "
                f"{sum(sizes.values())}; choose 'hutchinson'."
            )
        for name, geometry in space.components.items():
            for index in range(sizes[name]):
                basis = state[name].new_zeros((batch, sizes[name]))
                basis[:, index] = 1
                # Projected basis vectors: their quadratic forms add up to the trace within the space.
                yield {name: geometry.project(basis.unflatten(1, geometry.tangent_shape))}

    def increment(self, geometry: Geometry, segment: Segment, end: End) -> Tensor:
        start, move = segment.start, _displacement(segment)
        if start.divergences is None or end.divergences is None:
            raise ValueError("This estimator needs the divergences of the scores at both ends of the step.")
        along = 0.5 * (_inner(geometry, move, start.scores) + _inner(geometry, move, end.scores))
        divergences = 0.5 * (start.divergences + end.divergences)
        if segment.noise is None:
            # Along the ODE squares and divergences all but cancel, which a rule of its own for one of them would undo.
            return along - 0.5 * segment.variance_step * (0.5 * (start.squares + end.squares) + divergences)
        squares = logarithmic_mean(start.squares, end.squares)
        missing = 0.25 * segment.noise_variance * (start.divergences - end.divergences)
        return along - 0.5 * segment.variance_step * (squares + divergences) + missing


def make_estimator(name: str) -> Estimator:
    """The estimator called "ito", "trapezoid", "hutchinson" or "exact"; raises ValueError for another name."""
    makers = {
        "ito": Ito,
        "trapezoid": Trapezoid,
        "hutchinson": lambda: ChainRule(exact=False),
        "exact": lambda: ChainRule(exact=True),
    }
    if name not in makers:
        raise ValueError(f"estimator must be one of {', '.join(makers)}, got '{name}'.")
    return makers[name]()


def logarithmic_mean(first: Tensor, second: Tensor) -> Tensor:
    """(a - b) / (ln a - ln b) of two non-negative tensors, element by element; a where they are equal."""
    ratio = (first / second).log()
    near = ratio.abs() < 1e-4  # there the arithmetic mean differs by less than 1e-9 of it
    mean = (first - second) / torch.where(near, torch.ones_like(ratio), ratio)
    # Zero scores (a masked sample, a symmetric point) have the mean 0 with anything.
    return torch.where(near | ~ratio.isfinite(), 0.5 * (first + second) * near, mean)


def _displacement(segment: Segment) -> Tensor:
    return segment.mix if segment.noise is None else segment.mix + segment.noise


def _inner(geometry: Geometry, tangent: Tensor, scores: list[Tensor]) -> Tensor:
    return torch.stack([geometry.inner(tangent, score) for score in scores])


def _divergence(
    expert: ScoreModel, space: Product, state: dict[str, Tensor], level: object, probes: list[dict[str, Tensor]]
) -> tuple[State, dict[str, Tensor]]:
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
        totals = {name: torch.zeros(len(value), dtype=torch.float64) for name, value in state.items()}
        for number, probe in enumerate(probes):
            along = torch.stack([(scores[name] * value).sum() for name, value in probe.items()]).sum()
            names = list(probe)
            gradients = torch.autograd.grad(
                along, [tangents[name] for name in names], retain_graph=number + 1 < len(probes), allow_unused=True
            )
            for name, gradient in zip(names, gradients, strict=True):
                if gradient is not None:
                    totals[name] = totals[name].to(_home(gradient)) + space.components[name].inner(
                        gradient.detach(), probe[name]
                    )
    return space.pack({name: value.detach() for name, value in scores.items()}), totals


def _home(tensor: Tensor) -> torch.device:
    """Where float64 sums of this tensor live."""
    return torch.device("cpu") if tensor.device.type == "mps" else tensor.device
