r"""The loop: all experts walk down one shared noise path, and the operator weighs them at every level.

In canonical coordinates a step from level s to s' < s is

    y' = y + mix + noise,      mix = g sum_i kappa_i S_i

with the gain g and the noise of `solvers`. A noise scale below 1 multiplies that noise, as models of proteins are often
sampled (FrameDiff, arXiv 2302.02277): the samples stay nearer to the peaks of the density. The estimator is told the
variance that the noise then has.

The order within a step:

    S_i at (y, s)                                        the experts' scores; those with a memory remember (`score`)
    log q_i += increment of the step before              the estimator, which knows both its ends now
    log w += h/2 (rate of the step before + rate here)   where the run is corrected; then resampling, where it is due
    noise                                                drawn
    kappa = weights(log q, what the step will change)    the operator, which knows that very noise
    y' = y + mix + noise                                 the solver

One network evaluation an expert and step; Heun's correction takes one more, of scores alone. All of it happens in each
component of a product of spaces: what has a value in each (`Product.map`) is a dictionary by their names.

Where the weights sum to A instead of 1 (the product of two densities, q^beta), the target at the highest level is the
prior's density to the power A: the run starts with the variance s^2 / A, and the denoised mean is that of kappa / A.

What a run goes on with is finite: `_Loop` looks at samples, scores and log-densities at every level, and ends the run
with one sentence (`errors.StepError`) where they are not. What was yielded before is kept by whoever asked for it.

On a device that works by itself nothing within a step waits for it: the loop is some steps ahead (`AHEAD`) of what it
yields, and what it looks at, log-densities and weights arrive meanwhile (`underway`). A step is yielded once it has
been looked at. On the CPU nothing is late. A corrected run reads the particles' weights at every level, since
resampling depends on them, and is never ahead.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from .arguments import Arguments, estimator_of, level_grids
from .compose import Operator, Prediction
from .corrected import Corrected, Place, Scores
from .correction import Correction
from .density import DEFAULT_ESTIMATOR, End, Estimator, Segment
from .errors import ArgumentError, DensityError, ScoreError, StepError
from .geometry import Geometry, Parts, Product, finite, total
from .score import Guidance, Remembering, ScoreModel, scores_of
from .solvers import DEFAULT_SOLVER, Start, get_solver, variance_step
from .transfers import home
from .underway import Checks, Step, Underway

__all__ = ["AHEAD", "MOST_NATS", "Step", "sample", "side_generator"]

#: Log-densities beyond this, in nats, are those of samples that the steps fling further out each time.
MOST_NATS = 1e30
#: How many steps the loop is ahead of what it yields, on a device that works by itself: one that it works on, and one
#: that waits for it.
AHEAD = 2


def sample(
    experts: Sequence[ScoreModel],
    operator: Operator,
    levels: Tensor | dict[str, Tensor],
    *,
    batch: int,
    seed: int = 0,
    estimator: str | Estimator = DEFAULT_ESTIMATOR,
    solver: str = DEFAULT_SOLVER,
    space: Geometry | Product | None = None,
    guidance: Guidance | None = None,
    per_component: bool = False,
    noise_scale: float = 1.0,
    correction: Correction | None = None,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    draws: str = "cpu",
    ahead: int | None = None,
) -> Iterator[Step]:
    """Sample a composition of experts; yields one `Step` a level, the highest first.

    Args:
        experts: score models of one space.
        operator: how to weigh them.
        levels: decreasing noise levels [steps + 1], or such a grid for each component of a product (`check_levels`).
        batch: how many samples.
        seed: of the run's one generator.
        estimator: "ito", "trapezoid", "hutchinson" or "exact"; "none" for operators that need no log-density; or an
            estimator of one's own.
        solver: "euler", "ancestral", "ode" or "ode_heun".
        space: where samples live; None for the first expert's own.
        guidance: classifier-free guidance of the mix.
        per_component: let each component of a product have weights of its own.
        noise_scale: multiplies the noise of an SDE's steps, above 0 and at most 1.
        correction: to the exact target of the operator's formula, by weighted particles; None for none.
        device: of the samples; the experts' networks must be there.
        dtype: of the samples; None for the first expert's own, or float32.
        draws: where random numbers are drawn: "cpu", so that all devices have the same, or "device", which is quicker.
        ahead: how many steps the loop is ahead of what it yields; None for 0 on the CPU and `AHEAD` elsewhere. Samples
            are the same.

    Raises:
        ArgumentError: (a ValueError) if the arguments do not fit together.
        ScoreError: when an expert's score is not finite; it names expert, step and level.
        DensityError: when a log-density is not finite; likewise.
        StepError: when the samples or the particles' weights are not finite, or the experts' weights explode (AND with
            ridge 0 where experts agree).
    """
    if not experts:
        raise ArgumentError("There are no experts; give at least one.")
    product = Product.of(experts[0].space if space is None else space)
    arguments = Arguments(
        experts=tuple(experts),
        operator=operator,
        space=product,
        levels=level_grids(levels, list(product.components)),
        batch=batch,
        seed=seed,
        estimator=estimator_of(estimator),
        solver=get_solver(solver),
        guidance=guidance,
        per_component=per_component,
        noise_scale=noise_scale,
        correction=correction,
        device=device,
        # An expert of the user's own needs no more than a score and a space.
        dtype=getattr(experts[0], "dtype", torch.float32) if dtype is None else dtype,
        draws=draws,
        ahead=_ahead(device, correction) if ahead is None else ahead,
    )
    arguments.check()
    return _Loop(arguments).steps()


def _ahead(device: str, correction: Correction | None) -> int:
    return 0 if correction is not None or home(device).type == "cpu" else AHEAD


def side_generator(seed: int, device: str = "cpu") -> torch.Generator:
    """The generator of the operator's and the probes' draws in a run of this seed.

    It is apart from the noise's: whichever operator or estimator is chosen, the same seed gives the same noise path.
    """
    return torch.Generator(device).manual_seed((seed + 0x5D1F) % 2**63)


class _Loop:
    """One run's state; `steps` reads like the derivation above."""

    def __init__(self, arguments: Arguments) -> None:
        self.arguments, self.space = arguments, arguments.space
        self.operator, self.estimator, self.solver = arguments.operator, arguments.estimator, arguments.solver
        self.generator = torch.Generator(arguments.drawn_on).manual_seed(arguments.seed)
        self.side = side_generator(arguments.seed, arguments.drawn_on)
        #: Of log-densities and weights. Particles are resampled on the CPU.
        self.home = home("cpu" if arguments.correction is not None else arguments.device)
        self.checks = Checks(late=arguments.ahead > 0)
        count = len(arguments.experts)
        self.operator.start(count, arguments.batch, self.side)
        # Without densities, an expert that never weighs in need not be evaluated.
        self.active = list(range(count) if self.estimator is not None else self.operator.weighing(count))
        self.total = arguments.total_weight
        if not self.total > 0:
            raise ArgumentError(
                f"With this guidance the weights sum to {self.total:.4g}; they must sum to more than 0. Choose less "
                "guidance."
            )
        correction = arguments.correction
        self.corrected = None if correction is None else Corrected(arguments, correction, self.active)
        asked = [arguments.experts[position] for position in self.active]
        asked += [] if arguments.guidance is None else [arguments.guidance.reference]
        self.remembering = _with_memory(asked)

    def steps(self) -> Iterator[Step]:
        """The run, each step once it has been looked at."""
        walked, waiting = self._walk(), deque[Underway]()
        while True:
            try:
                one = next(walked, None)
            except Exception:
                # It may come of something that was not finite; of that the steps on their way tell first.
                yield from map(self._arrived, waiting)
                self.checks.settle()
                raise
            if one is None:
                break
            waiting.append(one)
            if len(waiting) > self.arguments.ahead:
                yield self._arrived(waiting.popleft())
        yield from map(self._arrived, waiting)

    def _walk(self) -> Iterator[Underway]:
        """The steps as they are begun."""
        y = self._prior()
        log_density: Parts = {}
        segments: dict[str, Segment] = {}
        weights: Parts = {}
        for expert in self.remembering:
            expert.forget()
        for index in range(self.arguments.steps + 1):
            scores = self._scores(y, index)
            for expert in self.remembering:
                expert.remember()
            if not segments:
                log_density = self._begin(y, scores)
            elif self.estimator is not None:
                scores, log_density = self._close(self.estimator, segments, scores, log_density)
            if not self.checks.late:
                self._check_densities(log_density, index)
            if self.corrected is not None:
                place = self.corrected.arrive(Place(y, scores, log_density), index)
                y, scores, log_density = place.y, place.scores, place.log_density
                if self.corrected.parents is not None:
                    for expert in self.remembering:
                        expert.reorder(self.corrected.parents)
            last = index == self.arguments.steps
            noise = {} if last else self._noise(index)
            if not (last and weights and self.operator.needs_prediction):  # else no step is left to steer
                weights = self._weights(log_density, self._predictions(scores, noise, index))
                if not self.checks.late:
                    self._check_weights(weights, index)
            mixed = self._mixed(scores, weights, index)
            yield Underway(self._step(index, y, mixed, log_density, weights, noise), self.checks.taken(), self.home)
            if last:
                return
            mix = self.solver.step(self._start(y, mixed, weights, index))
            segments = self.space.map(self._segment, self.arguments.ends(index), mix, noise, scores.ends)
            y = self.space.move(y, {name: segment.displacement for name, segment in segments.items()})

    def _arrived(self, one: Underway) -> Step:
        """A step, looked at; raises StepError."""
        step = one.arrive()
        if self.checks.late:
            self._check_densities(step.component_log_density, step.index)
            self._check_weights(step.component_weights, step.index)
        return step

    def _prior(self) -> Parts:
        """The samples at the highest level."""
        run = self.arguments

        def draw(geometry: Geometry, s: float) -> Tensor:
            return geometry.prior(run.batch, run.start_level(s), self.generator, run.dtype, run.device)

        return self.space.map(draw, run.level(0))

    def _begin(self, y: Parts, scores: Scores) -> Parts:
        """The log-densities where the run begins, by component."""
        estimator = self.estimator

        def begin(geometry: Geometry, y: Tensor, s: float, end: End) -> Tensor:
            if estimator is None:
                return torch.zeros(len(self.arguments.experts), len(y), dtype=torch.float64, device=self.home)
            return estimator.begin(geometry.log_prior(y, s), end).to(self.home)

        return self.space.map(begin, y, self.arguments.level(0), scores.ends)

    @torch.no_grad()
    def _scores(self, y: Parts, index: int, divergences_too: bool = True) -> Scores:
        """The experts' scores (with divergences, where the estimator wants them), and that of guidance's reference."""
        run, guidance = self.arguments, self.arguments.guidance
        self.checks.expect(_finite(y), partial(self._lost, index))
        level, packed = self.space.pack_level(run.level(index)), self.space.pack(y)
        active = [run.experts[position] for position in self.active]
        references = [] if guidance is None else [guidance.reference]
        differentiated = None
        if self.estimator is not None and divergences_too:
            differentiated = self.estimator.divergences(active, self.space, packed, level, self.side)
        if differentiated is None:
            scores, divergences = scores_of([*active, *references], packed, level), None
        else:
            scores, divergences = differentiated
            scores = [*scores, *scores_of(references, packed, level)]
        trees = [self.space.unpack(score) for score in scores]
        told, reference = trees[: len(active)], trees[len(active)] if references else None

        def end(geometry: Geometry, divergence: Tensor | None, *tangents: Tensor) -> End:
            return End.of(geometry, geometry.project(torch.stack(tangents)), divergence)

        none = dict.fromkeys(self.space.components)
        ends = self.space.map(end, none if divergences is None else divergences, *told)
        fine = torch.stack([finite(end.scores).flatten(1).all(1) for end in ends.values()]).all(0)
        self.checks.expect(fine, partial(self._lost_score, index))
        if reference is None:
            return Scores(ends, dict(none))
        self.checks.expect(_finite(reference), partial(self._lost_reference, index))
        return Scores(ends, dict(self.space.map(_projected, reference)))

    def _lost(self, index: int, _: int) -> StepError:
        return StepError(
            "The samples are no longer finite",
            "try more steps, or weights, biases and guidance that are smaller",
            index,
            self.arguments.first_level(index),
        )

    def _lost_score(self, index: int, place: int) -> ScoreError:
        position = self.active[place]
        return ScoreError(position, self.arguments.experts[position].title, index, self.arguments.first_level(index))

    def _lost_reference(self, index: int, _: int) -> ScoreError:
        run = self.arguments
        title = "" if run.guidance is None else run.guidance.reference.title
        return ScoreError(len(run.experts), title, index, run.first_level(index))

    def _close(
        self, estimator: Estimator, segments: dict[str, Segment], scores: Scores, log_density: Parts
    ) -> tuple[Scores, Parts]:
        """What the estimator makes of the step that led here: the scores as it has observed them, log q_i here."""
        ends = self.space.map(estimator.observe, segments, scores.ends)
        changes = self.space.map(estimator.increment, segments, ends)
        return replace(scores, ends=ends), {name: log_density[name] + changes[name].to(self.home) for name in changes}

    def _noise(self, index: int) -> dict[str, Tensor | None]:
        """The noise of the coming step, None where the solver has none."""
        run = self.arguments

        def draw(geometry: Geometry, ends: tuple[float, float]) -> Tensor | None:
            if not self.solver.noisy:
                return None
            unit = geometry.noise(run.batch, self.generator, run.dtype, run.device)
            return math.sqrt(self._noise_variance(ends)) * unit

        return self.space.map(draw, run.ends(index))

    def _noise_variance(self, ends: tuple[float, float]) -> float:
        return self.solver.noise_variance(*ends) * self.arguments.noise_scale**2

    def _predictions(self, scores: Scores, noise: dict[str, Tensor | None], index: int) -> dict[str, Prediction]:
        """How the coming step will change the log-densities; empty if the operator does not ask, or no step comes.

        The plain Ito change, or the chain rule's without noise: <mix + noise, S_i> - h/2 (|S_i|^2 [+ div S_i]), where
        guidance w makes of mix g (w sum_j kappa_j S_j + (1 - w) S_0).
        """
        if not (noise and self.operator.needs_prediction):
            return {}

        def predict(
            geometry: Geometry,
            ends: tuple[float, float],
            end: End,
            reference: Tensor | None,
            noise: Tensor | None,
        ) -> Prediction:
            gain, h, guidance = self.solver.gain(*ends), variance_step(*ends), self._guidance_at(ends[0])
            slope = end.inner(geometry)
            constant = -0.5 * h * end.squares
            if noise is None and end.divergences is not None:
                constant = constant - 0.5 * h * end.divergences
            fixed = noise
            if reference is not None:
                pull = gain * (1 - guidance) * reference
                fixed = pull if noise is None else noise + pull
            if fixed is not None:
                constant = constant + geometry.inner(fixed, end.wide)
            return Prediction(constant.to(self.home), (gain * guidance * slope).to(self.home), ends[0])

        return self.space.map(predict, self.arguments.ends(index), scores.ends, scores.reference, noise)

    def _guidance_at(self, s: float) -> float:
        return 1.0 if self.arguments.guidance is None else self.arguments.guidance.at(s)

    def _weights(self, log_density: Parts, predictions: dict[str, Prediction]) -> Parts:
        """The weights of each component, from its own log-densities or from their sums."""
        if self.corrected is not None:
            return self.corrected.weights
        if self.arguments.per_component:
            return {name: self.operator.weights(value, predictions.get(name)) for name, value in log_density.items()}
        joint = Prediction.joint(list(predictions.values())) if predictions else None
        return dict.fromkeys(log_density, self.operator.weights(total(log_density), joint))

    def _check_weights(self, weights: Parts, index: int) -> None:
        if not all(self.operator.sound(value) for value in {id(one): one for one in weights.values()}.values()):
            what = f"The weights of {len(self.arguments.experts)} experts explode"
            raise StepError(what, self.operator.advice, index, self.arguments.first_level(index))

    def _check_densities(self, log_density: Parts, index: int) -> None:
        for value in log_density.values():
            if value.abs().max().item() <= MOST_NATS:  # false of what is no number
                continue
            if bool((value.abs() > MOST_NATS).logical_and(value.isfinite()).any()):
                raise StepError(
                    "The steps are too large for the weights, and samples run away",
                    "try more steps, or smaller weights and strengths",
                    index,
                    self.arguments.first_level(index),
                )
            wrong = (~value.isfinite()).any(1).nonzero()
            if len(wrong):
                expert = int(wrong[0])
                title = self.arguments.experts[expert].title
                raise DensityError(expert, title, index, self.arguments.first_level(index))

    def _mixed(self, scores: Scores, weights: Parts, index: int) -> Parts:
        """sum_i kappa_i S_i, guided."""

        def mix(geometry: Geometry, s: float, end: End, reference: Tensor | None, weights: Tensor) -> Tensor:
            chosen = torch.stack([weights[position] for position in self.active]).to(end.scores)
            mixed = (torch.unflatten(chosen, 1, (-1, *[1] * (end.scores.ndim - 2))) * end.scores).sum(0)
            return mixed if reference is None else torch.lerp(reference, mixed, self._guidance_at(s))

        return self.space.map(mix, self.arguments.level(index), scores.ends, scores.reference, weights)

    def _start(self, y: Parts, mixed: Parts, weights: Parts, index: int) -> Start:
        def score_at_end(reached: Parts) -> Parts:
            # The log-densities are followed along the step that is taken, so this point needs no divergence.
            return self._mixed(self._scores(reached, index + 1, divergences_too=False), weights, index + 1)

        return Start(self.space, self.arguments.ends(index), y, mixed, score_at_end)

    def _segment(
        self, geometry: Geometry, ends: tuple[float, float], mix: Tensor, noise: Tensor | None, start: End
    ) -> Segment:
        return Segment(variance_step(*ends), self._noise_variance(ends), mix, noise, start)

    def _step(
        self,
        index: int,
        y: Parts,
        mixed: Parts,
        log_density: Parts,
        weights: Parts,
        noise: dict[str, Tensor | None],
    ) -> Step:
        def denoise(geometry: Geometry, s: float, y: Tensor, mixed: Tensor) -> Tensor:
            return geometry.move(y, s**2 * mixed if self.total == 1 else s**2 / self.total * mixed)

        apart = torch.stack(list(weights.values())).mean(0) if self.arguments.per_component else None
        drawn = {name: part for name, part in noise.items() if part is not None}
        return Step(
            index=index,
            level=self.arguments.first_level(index),
            samples=self.space.pack(y),
            denoised=self.space.pack(self.space.map(denoise, self.arguments.level(index), y, mixed)),
            log_density=total(log_density),
            weights=next(iter(weights.values())) if apart is None else apart,
            component_log_density=dict(log_density),
            component_weights=dict(weights),
            log_importance=None if self.corrected is None else self.corrected.log_weights,
            effective=None if self.corrected is None else self.corrected.effective,
            parents=None if self.corrected is None else self.corrected.parents,
            missed=None if self.corrected is None else self.corrected.missed,
            noise=self.space.pack(drawn) if drawn else None,
        )


def _with_memory(experts: Sequence[ScoreModel]) -> list[Remembering]:
    """Each once, though it may be several experts of a run."""
    return list({id(expert): expert for expert in experts if isinstance(expert, Remembering)}.values())


def _finite(parts: Parts) -> Tensor:
    """Bool [1], whether all of them are."""
    return torch.stack([finite(part).all() for part in parts.values()]).all(0, keepdim=True)


def _projected(geometry: Geometry, tangent: Tensor) -> Tensor:
    return geometry.project(tangent)
