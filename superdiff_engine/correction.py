r"""The exact target by weighted particles: Feynman-Kac correction and resampling.

The mix of scores sum_i kappa_i S_i is the score of the formula's target p at every level, but a path that follows it
arrives with another density, unless the formula is OR at T = 1. What is missing is a weight w of each path,

    d log w = h/2 ( |sum_i kappa_i S_i|^2 - sum_i kappa_i |S_i|^2 + sum_ij f_ij <S_i, S_j> ),

with f's gradient kappa and Hessian f_ij (`formula`), h the variance that a step removes. It follows from
d log q_i = -h/2 (div S_i + |S_i|^2) at a fixed point and from the Fokker-Planck equation of the path with drift
h sum_i kappa_i S_i and noise of variance h; all divergences cancel, so it costs inner products of scores that are there
already. The rate is averaged over both ends of the step.

A step of `ancestral` has noise of a variance V < h. What V lacks is what the drift's own discretisation adds, not a
noise scale: for a point mass the step is exact with it. So the same weights belong to it, and with both ends' rates a
power of a point mass is right to third order in h / s^2 a step, where `euler` is to second (docs/logic.md).
A noise scale below 1 is another matter: the path is then colder than any target, and its correction would need
divergences. It is refused, as is a path without noise, where copies of a particle would stay copies.

Paths of a *group* of particles compete: when their effective sample size (sum w)^2 / sum w^2 falls below a share of the
group they are drawn again, systematically, in proportion to w, and what belongs to a particle travels with it. Each
group is a run of its own, so a batch can hold several independent ones.

References: Skreta et al. 2025 (Feynman-Kac correctors, arXiv 2503.02819), whose sums are the case f_ij = 0; Del Moral,
Doucet and Jasra 2006 (sequential Monte Carlo samplers); Kitagawa 1996 (systematic resampling).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .compose import Operator
from .errors import ArgumentError
from .formula import Value
from .solvers import Solver

#: Nats by which log weights may be off before a run says so: half a nat changes what a sample counts for by 65%.
MOST_MISSED = 0.5


@dataclass(frozen=True)
class Correction:
    """How to correct a run to its operator's exact target.

    Attributes:
        particles: of a group; None takes the whole batch for one group.
        threshold: the share of a group's particles, 0 to 1, below which its effective sample size has it resampled;
            0 never resamples, 1 does at every step.
        lowest: the level s below which nothing is resampled: copies made there hardly part again.
        highest: the level s above which nothing is resampled.
    """

    particles: int | None = None
    threshold: float = 0.5
    lowest: float = 0.0
    highest: float = math.inf

    def check(self, batch: int) -> None:
        """Raise ArgumentError where it does not fit a batch of so many particles."""
        if not 0 <= self.threshold <= 1:
            raise ArgumentError(f"The correction's threshold must be from 0 to 1, got {self.threshold:g}.")
        if not 0 <= self.lowest < self.highest:
            raise ArgumentError(
                f"The correction's lowest level ({self.lowest:g}) must lie below its highest ({self.highest:g})."
            )
        size = self.size(batch)
        if size < 2:
            raise ArgumentError("A correction needs groups of at least two particles.")
        if batch % size:
            raise ArgumentError(
                f"A batch of {batch} cannot be parted into groups of {size} particles; choose a multiple of {size}."
            )

    def size(self, batch: int) -> int:
        """Particles of a group."""
        return batch if self.particles is None else self.particles


def check_correctable(operator: Operator, solver: Solver, noise_scale: float) -> None:
    """Raise ArgumentError, which says what to do, where a run cannot be corrected to an exact target."""
    if operator.no_target:
        raise ArgumentError(operator.no_target)
    if not solver.noisy:
        raise ArgumentError(
            f"A correction needs a solver with noise, or copies of a particle stay copies; '{solver.name}' has none: "
            "choose 'ancestral' or 'euler'."
        )
    if noise_scale < 1:
        raise ArgumentError(
            f"A correction needs the full noise, and the noise scale is {noise_scale:g}; set it to 1, and sharpen the "
            "target with a weight above 1, as in 1.5*(1 and 2)."
        )


def rate(value: Value, inner: Tensor, reference: Reference | None = None) -> Tensor:
    """D log w / d(h): |sum kappa S|^2 - sum kappa |S|^2 + sum f_ij <S_i, S_j>, halved; [batch], nats, float64.

    Args:
        value: the formula at the particles' log-densities.
        inner: <S_i, S_j>, [experts, experts, batch], float64.
        reference: of guidance, whose target is q_0^(1 - w) p^w.
    """
    kappa = value.gradient
    curved = kappa[:, None] * kappa[None]
    if reference is None:
        if value.hessian is not None:
            curved = curved + value.hessian
        return 0.5 * ((curved * inner).sum((0, 1)) - (kappa * inner.diagonal(dim1=0, dim2=1).T).sum(0))
    w = reference.weight
    curved = w * w * curved
    if value.hessian is not None:
        curved = curved + w * value.hessian
    squares = w * (kappa * inner.diagonal(dim1=0, dim2=1).T).sum(0) + (1 - w) * reference.square
    mixed = (1 - w) ** 2 * reference.square + 2 * w * (1 - w) * (kappa * reference.inner).sum(0)
    return 0.5 * ((curved * inner).sum((0, 1)) + mixed - squares)


@dataclass(frozen=True)
class Reference:
    """Guidance's part in the rate: its weight w, |S_0|^2 [batch] and <S_0, S_i> [experts, batch], float64."""

    weight: float
    square: Tensor
    inner: Tensor


def bend_missed(before: Value, change: Tensor, here: Value) -> Tensor:
    """What a step's bend of the formula is beyond what its Hessian says, [batch], nats.

    The correction takes the formula to second order over a step. Where the log-densities change by much more than 1/T
    of a soft OR or AND, particles jump over its bend, and their weights do not know. The sum of this over a run is what
    a weight then lacks, for it has the mean of the same second order.

    Args:
        before: the formula where the step began.
        change: of the log-densities along the step, [experts, batch], nats.
        here: the formula where it ended.
    """
    bend = here.value - before.value - (before.gradient * change).sum(0)
    for end in (before, here):
        if end.hessian is not None:
            bend = bend - 0.25 * torch.einsum("ijb,ib,jb->b", end.hessian, change, change)
    return bend


def shortfall(log_weights: Tensor, missed: Tensor) -> str:
    """Whether the steps were too long for the formula's bends, in a sentence; "" where they were not.

    Args:
        log_weights: of the particles at the end, [batch].
        missed: the sums of `bend_missed`, [batch].
    """
    # Weights that are all alike, as OR's at T = 1, are right whatever the steps.
    spread = float(missed.std()) if len(missed) > 1 and float(log_weights.std()) > 0.01 else 0.0
    if spread < MOST_MISSED:
        return ""
    return (
        f"The steps are too long for this formula: the samples' log weights are off by about {spread:.2g} nats "
        "(standard deviation), so they do not lead to its exact target; choose more steps, or a smaller temperature, "
        "sharpness or strength."
    )


class Particles:
    """The weights of a run's particles, by group.

    Args:
        correction: how to correct.
        log_weights: at the start, [batch], nats, float64.
        generator: of the draws of resampling.

    Attributes:
        log_weights: log w, [batch], nats: their mean of exp over a group estimates the target's normaliser.
    """

    def __init__(self, correction: Correction, log_weights: Tensor, generator: torch.Generator) -> None:
        self.correction, self.log_weights, self._generator = correction, log_weights, generator
        self._size = correction.size(len(log_weights))

    @property
    def effective(self) -> Tensor:
        """The effective sample size of each group, in particles, [groups], float64."""
        shares = torch.softmax(self.log_weights.view(-1, self._size), 1)
        return 1 / shares.square().sum(1)

    def gain(self, change: Tensor) -> None:
        """Take a step's change of log w, [batch], nats."""
        self.log_weights = self.log_weights + change

    def resample(self, level: float) -> Tensor | None:
        """Draw the groups anew that need it at this level.

        Returns:
            Of each place the particle that it now holds, int64 [batch]; None where none was drawn. A particle that is
            drawn keeps its own place, and its further copies take the places of those that are not.
        """
        correction = self.correction
        if not correction.lowest <= level <= correction.highest:
            return None
        needy = self.effective < correction.threshold * self._size
        if not bool(needy.any()):
            return None
        grouped = self.log_weights.view(-1, self._size).clone()
        parents = torch.arange(len(self.log_weights)).view(-1, self._size)
        for group in needy.nonzero().flatten().tolist():
            shares = torch.softmax(grouped[group], 0)
            counts = systematic(shares, self._generator)
            parents[group] = group * self._size + _in_place(counts)
            grouped[group] = grouped[group].logsumexp(0) - math.log(self._size)
        self.log_weights = grouped.flatten()
        return parents.flatten()


def systematic(shares: Tensor, generator: torch.Generator) -> Tensor:
    """How often each particle is drawn, int64 [n], n in all: its expectation is n times its share (Kitagawa 1996)."""
    count = len(shares)
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    edges = (shares.double().cumsum(0) / shares.double().sum() * count - offset).ceil().clamp(0, count)
    edges[-1] = count  # whatever rounding made of it
    return torch.diff(edges, prepend=edges.new_zeros(1)).long()


def normalised(log_weights: Tensor, size: int | None = None) -> Tensor:
    """Final weights that sum to 1 over the batch, from log w [batch].

    Groups are runs of their own, of samples of one size each, and each counts as much as another: pooled by their
    normalisers, which differ by many nats where there are many dimensions, a batch would come down to one group.

    Args:
        log_weights: of the particles, nats.
        size: particles of a group; None for one group.
    """
    groups = log_weights.view(-1, len(log_weights) if size is None else size)
    return torch.softmax(groups, 1).flatten() / len(groups)


def _in_place(counts: Tensor) -> Tensor:
    """The particle at each place, [n]: those that are drawn stay, their further copies fill the other places."""
    parents = torch.arange(len(counts))
    copies = parents.repeat_interleave((counts - 1).clamp_min(0))
    parents[counts == 0] = copies
    return parents
