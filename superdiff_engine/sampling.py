r"""The loop: all experts walk down one shared noise path, and the operator weighs them at every level.

In canonical coordinates a step from level s to s' < s is

    y' = y + mix + noise,      mix = g sum_i kappa_i S_i

with the gain g and the noise of `solvers`. A noise scale below 1 multiplies that noise, as models of proteins are often
sampled (FrameDiff, arXiv 2302.02277): the samples stay nearer to the peaks of the density. The estimator is told the
variance that the noise then has.

The order within a step: scores at y; the estimator closes the last increment with them; the noise is drawn; the
operator weighs, knowing that very noise; the sample moves. One network evaluation an expert and step; Heun's correction
takes one more, of scores alone.

What a run goes on with is finite: `_Loop` looks at samples, scores and log-densities at every level, and ends the run
with one sentence (`errors.StepError`) where they are not. What was yielded before is kept by whoever asked for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .compose import CoinFlip, Operator, Prediction, Single
from .density import DEFAULT_ESTIMATOR, End, Segment, check_estimator, get_estimator
from .errors import ArgumentError, DensityError, ScoreError, StepError
from .geometry import Geometry, Parts, Product, State
from .noise import check_levels
from .score import Guidance, ScoreModel, evaluate
from .solvers import DEFAULT_SOLVER, Start, get_solver


@dataclass(frozen=True)
class Step:
    """What the loop yields at one level.

    Attributes:
        index: 0 at the highest level, the number of steps at the lowest.
        level: the noise level s (the first component's, where they differ).
        samples: y, [batch, ...] or a dictionary of components.
        denoised: the weighted denoised mean sum_i kappa_i D_i, like `samples`.
        log_density: log q_i(y), [experts, batch], nats, float64, canonical coordinates.
        weights: kappa, [experts, batch], float64; sums to 1 over the experts (a mean over components that weigh
            apart).
        component_log_density: the parts of `log_density` by component.
        component_weights: the weights by component.
    """

    index: int
    level: float
    samples: State
    denoised: State
    log_density: Tensor
    weights: Tensor
    component_log_density: dict[str, Tensor]
    component_weights: dict[str, Tensor]


def sample(
    experts: Sequence[ScoreModel],
    operator: Operator,
    levels: Tensor | dict[str, Tensor],
    *,
    batch: int,
    seed: int = 0,
    estimator: str = DEFAULT_ESTIMATOR,
    solver: str = DEFAULT_SOLVER,
    space: Geometry | Product | None = None,
    guidance: Guidance | None = None,
    per_component: bool = False,
    noise_scale: float = 1.0,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
) -> Iterator[Step]:
    """Sample a composition of experts; yields one `Step` a level, the highest first.

    Args:
        experts: score models of one space.
        operator: how to weigh them.
        levels: decreasing noise levels [steps + 1], or such a grid for each component of a product (`check_levels`).
        batch: how many samples.
        seed: of the run's one generator.
        estimator: "ito", "trapezoid", "hutchinson" or "exact"; "none" for operators that need no log-density.
        solver: "euler", "ancestral", "ode" or "ode_heun".
        space: where samples live; None for the first expert's own.
        guidance: classifier-free guidance of the mix.
        per_component: let each component of a product have weights of its own.
        noise_scale: multiplies the noise of an SDE's steps, above 0 and at most 1.
        device: of the samples; the experts' networks must be there.
        dtype: of the samples; None for the first expert's own, or float32.

    Raises:
        ArgumentError: (a ValueError) if the arguments do not fit together.
        ScoreError: when an expert's score is not finite; it names expert, step and level.
        DensityError: when a log-density is not finite; likewise.
        StepError: when the samples are not finite, or the weights explode (AND with ridge 0 where experts agree).
    """
    loop = _Loop(
        experts,
        operator,
        levels,
        batch,
        seed,
        estimator,
        solver,
        space,
        guidance,
        per_component,
        noise_scale,
        device,
        dtype,
    )
    return loop.steps()


def side_generator(seed: int) -> torch.Generator:
    """The generator of the operator's and the probes' draws in a run of this seed.

    It is apart from the noise's: whichever operator or estimator is chosen, the same seed gives the same noise path.
    """
    return torch.Generator().manual_seed((seed + 0x5D1F) % 2**63)


class _Loop:
    """One run's state; `steps` reads like the derivation above."""

    def __init__(
        self,
        experts: Sequence[ScoreModel],
        operator: Operator,
        levels: Tensor | dict[str, Tensor],
        batch: int,
        seed: int,
        estimator: str,
        solver: str,
        space: Geometry | Product | None,
        guidance: Guidance | None,
        per_component: bool,
        noise_scale: float,
        device: str,
        dtype: torch.dtype | None,
    ) -> None:
        if not experts:
            raise ArgumentError("There are no experts; give at least one.")
        if batch < 1:
            raise ArgumentError(f"batch must be at least 1, got {batch}.")
        self.experts, self.operator, self.batch, self.guidance = list(experts), operator, batch, guidance
        self.space = Product.of(experts[0].space if space is None else space)
        self.names = list(self.space.components)
        self.levels = level_grids(levels, self.names)
        self.solver = get_solver(solver)
        if not 0 < noise_scale <= 1:
            raise ArgumentError(f"noise_scale must be above 0 and at most 1, got {noise_scale}.")
        if not self.solver.allows(noise_scale):
            raise ArgumentError(f"The solver '{solver}' has no noise; leave noise_scale at 1.")
        self.noise_scale = noise_scale
        self.estimator = None if estimator == "none" else get_estimator(estimator)
        if self.estimator is not None:
            check_estimator(self.estimator, self.solver, noise_scale, self.space.most_dimensions())
        if self.estimator is None and operator.needs_density:
            raise ArgumentError(f"{type(operator).__name__} needs log-densities; choose an estimator.")
        if per_component and isinstance(operator, CoinFlip):
            raise ArgumentError("A coin flip chooses an expert for the whole sample; it has no weights by component.")
        self.per_component, self.device = per_component, device
        self.dtype = getattr(experts[0], "dtype", torch.float32) if dtype is None else dtype
        self.generator = torch.Generator().manual_seed(seed)
        self.side = side_generator(seed)
        operator.start(len(self.experts), batch, self.side)
        # Without densities, an expert that never weighs in need not be evaluated.
        alone = operator.index if self.estimator is None and isinstance(operator, Single) else None
        self.active = list(range(len(self.experts))) if alone is None else [alone]

    def steps(self) -> Iterator[Step]:
        steps = len(self.levels[self.names[0]]) - 1
        y = {
            name: geometry.prior(self.batch, self.levels[name][0], self.generator, self.dtype, self.device)
            for name, geometry in self.space.components.items()
        }
        log_density = {
            name: geometry.log_prior(y[name], self.levels[name][0]).cpu().repeat(len(self.experts), 1)
            * (self.estimator is not None)
            for name, geometry in self.space.components.items()
        }
        segments: dict[str, Segment] = {}
        weights: dict[str, Tensor] = {}
        for index in range(steps + 1):
            ends, reference = self._scores(y, index)
            if self.estimator is not None:
                for name, segment in segments.items():
                    geometry = self.space.components[name]
                    ends[name] = self.estimator.observe(geometry, segment, ends[name])
                    log_density[name] = (
                        log_density[name] + self.estimator.increment(geometry, segment, ends[name]).cpu()
                    )
            self._check_densities(log_density, index)
            last = index == steps
            plan = {} if last else {name: self._plan(name, index) for name in self.names}
            predictions = {} if last else self._predict(plan, ends, reference, index)
            weights = self._weigh(log_density, predictions, weights, last, index)
            mixed = {name: self._mix(name, ends[name].scores, reference, weights[name], index) for name in self.names}
            yield self._step(index, y, mixed, log_density, weights)
            if last:
                return
            mix = self.solver.step(self._start(y, mixed, weights, index))
            for name, (_, noise) in plan.items():
                h, variance = self._variance_step(name, index), self._noise_variance(name, index)
                segments[name] = Segment(h, variance, mix[name], noise, ends[name])
            y = self._move(y, segments)

    def _start(self, y: Parts, mixed: Parts, weights: Parts, index: int) -> Start:
        def score_at_end(reached: Parts) -> Parts:
            # The log-densities are followed along the step that is taken, so this point needs no divergence.
            ends, reference = self._scores(reached, index + 1, divergences_too=False)
            return {
                name: self._mix(name, ends[name].scores, reference, weights[name], index + 1) for name in self.names
            }

        levels = {name: (grid[index], grid[index + 1]) for name, grid in self.levels.items()}
        return Start(self.space, levels, y, mixed, score_at_end)

    def _variance_step(self, name: str, index: int) -> float:
        s, lower = self.levels[name][index : index + 2]
        return s * s - lower * lower

    def _plan(self, name: str, index: int) -> tuple[float, Tensor | None]:
        """The coming step's gain g, and its noise."""
        gain = self.solver.gain(*self.levels[name][index : index + 2])
        if not self.solver.noisy:
            return gain, None
        draw = self.space.components[name].noise(self.batch, self.generator, self.dtype, self.device)
        return gain, math.sqrt(self._noise_variance(name, index)) * draw

    def _noise_variance(self, name: str, index: int) -> float:
        return self.solver.noise_variance(*self.levels[name][index : index + 2]) * self.noise_scale**2

    def _level(self, index: int) -> float | dict[str, float]:
        values = {name: self.levels[name][index] for name in self.names}
        return values[""] if self.names == [""] else values

    @torch.no_grad()
    def _scores(
        self, y: dict[str, Tensor], index: int, divergences_too: bool = True
    ) -> tuple[dict[str, End], dict[str, Tensor] | None]:
        """The experts' scores (with divergences, where the estimator wants them), and that of guidance's reference."""
        if not all(bool(part.isfinite().all()) for part in y.values()):
            raise StepError(
                "The samples are no longer finite",
                "try more steps, or weights, biases and guidance that are smaller",
                index,
                self.levels[self.names[0]][index],
            )
        level, packed = self._level(index), self.space.pack(y)
        active = [self.experts[position] for position in self.active]
        reference = None if self.guidance is None else self.guidance.reference
        found = None
        if self.estimator is not None and divergences_too:
            found = self.estimator.divergences(active, self.space, packed, level, self.side)
        if found is None:
            scores, divergences = evaluate([*active, *([reference] if reference else [])], packed, level), None
        else:
            scores, divergences = found
            scores = [*scores, *(evaluate([reference], packed, level) if reference else [])]
        trees = [self.space.unpack(score) for score in scores]
        for position, tree in enumerate(trees):
            if not all(bool(tree[name].isfinite().all()) for name in self.names):
                culprit = self.active[position] if position < len(active) else len(self.experts)
                title = (self.experts[culprit] if position < len(active) else reference).title  # type: ignore[union-attr]
                raise ScoreError(culprit, title, index, self.levels[self.names[0]][index])
        ends = {}
        for name in self.names:
            geometry = self.space.components[name]
            tangents = [geometry.project(tree[name]) for tree in trees[: len(active)]]
            squares = torch.stack([geometry.inner(tangent, tangent) for tangent in tangents])
            ends[name] = End(tangents, squares, None if divergences is None else divergences[name])
        unconditional = None
        if reference is not None:
            unconditional = {name: self.space.components[name].project(trees[-1][name]) for name in self.names}
        return ends, unconditional

    def _predict(
        self,
        plan: dict[str, tuple[float, Tensor | None]],
        ends: dict[str, End],
        reference: dict[str, Tensor] | None,
        index: int,
    ) -> dict[str, Prediction]:
        """How the coming step will change the log-densities, by component; empty if the operator does not ask.

        The plain Ito change, or the chain rule's without noise: <mix + noise, S_i> - h/2 (|S_i|^2 [+ div S_i]).
        """
        if not self.operator.needs_prediction:
            return {}
        predictions = {}
        for name, (gain, noise) in plan.items():
            geometry, end, h = self.space.components[name], ends[name], self._variance_step(name, index)
            guidance = 1.0 if self.guidance is None else self.guidance.at(self.levels[name][index])
            scores = end.scores
            slope = torch.stack([torch.stack([geometry.inner(a, b) for b in scores]) for a in scores])
            constant = -0.5 * h * end.squares
            if not self.solver.noisy and end.divergences is not None:
                constant = constant - 0.5 * h * end.divergences
            fixed = noise
            if reference is not None:
                pull = gain * (1 - guidance) * reference[name]
                fixed = pull if noise is None else noise + pull
            if fixed is not None:
                constant = constant + torch.stack([geometry.inner(fixed, score) for score in scores])
            level = self.levels[name][index]
            predictions[name] = Prediction(constant.cpu(), (gain * guidance * slope).cpu(), level)
        return predictions

    def _weigh(
        self,
        log_density: dict[str, Tensor],
        predictions: dict[str, Prediction],
        previous: dict[str, Tensor],
        last: bool,
        index: int,
    ) -> dict[str, Tensor]:
        if last and self.operator.needs_prediction and previous:
            return previous  # no step is left to steer
        if self.per_component:
            weights = {name: self.operator.weights(log_density[name], predictions.get(name)) for name in self.names}
        else:
            joint = None
            if predictions:
                joint = Prediction(
                    torch.stack([p.constant for p in predictions.values()]).sum(0),
                    torch.stack([p.slope for p in predictions.values()]).sum(0),
                    max(p.level for p in predictions.values()),
                )
            common = self.operator.weights(_total(log_density), joint)
            weights = dict.fromkeys(self.names, common)
        if not all(self.operator.sound(value) for value in weights.values()):
            raise StepError(
                f"The weights of {len(self.experts)} experts explode",
                self.operator.advice,
                index,
                self.levels[self.names[0]][index],
            )
        return weights

    def _check_densities(self, log_density: dict[str, Tensor], index: int) -> None:
        for value in log_density.values():
            wrong = (~value.isfinite()).any(1).nonzero()
            if len(wrong):
                expert = int(wrong[0])
                raise DensityError(expert, self.experts[expert].title, index, self.levels[self.names[0]][index])

    def _mix(
        self,
        name: str,
        scores: list[Tensor],
        reference: dict[str, Tensor] | None,
        weights: Tensor,
        index: int,
    ) -> Tensor:
        """sum_i kappa_i S_i, guided."""
        shape = (self.batch,) + (1,) * (scores[0].ndim - 1)
        chosen = weights[self.active].to(scores[0])
        mixed = torch.stack([weight.view(shape) * score for weight, score in zip(chosen, scores, strict=True)]).sum(0)
        if self.guidance is None or reference is None:
            return mixed
        return torch.lerp(reference[name], mixed, self.guidance.at(self.levels[name][index]))

    def _move(self, y: dict[str, Tensor], segments: dict[str, Segment]) -> dict[str, Tensor]:
        moved = {}
        for name, segment in segments.items():
            displacement = segment.mix if segment.noise is None else segment.mix + segment.noise
            moved[name] = self.space.components[name].move(y[name], displacement)
        return moved

    def _step(
        self,
        index: int,
        y: dict[str, Tensor],
        mixed: dict[str, Tensor],
        log_density: dict[str, Tensor],
        weights: dict[str, Tensor],
    ) -> Step:
        denoised = {
            name: geometry.move(y[name], self.levels[name][index] ** 2 * mixed[name])
            for name, geometry in self.space.components.items()
        }
        return Step(
            index=index,
            level=self.levels[self.names[0]][index],
            samples=self.space.pack(y),
            denoised=self.space.pack(denoised),
            log_density=_total(log_density),
            weights=torch.stack(list(weights.values())).mean(0) if self.per_component else weights[self.names[0]],
            component_log_density=dict(log_density),
            component_weights=dict(weights),
        )


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


def _total(parts: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(parts.values())).sum(0)
