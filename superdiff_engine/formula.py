r"""Formulas: the log-density that the samples are to have, as a function of the experts' log-densities.

With l = (log q_1 .. log q_M), the target at every noise level is p with log p = f(l) + const:

    expert i                 l_i
    Either  (OR)             1/T logsumexp(T v + b)            T = 1: the mixture;  T -> inf: the largest
    Both    (soft AND)       -1/T logsumexp(-T v)              T -> inf: the smallest
    ButNot  (a but not b)    (1 + g) a - g b
    Xor                      logsumexp of (a but not b) and (b but not a)
    WeightedSum              sum_k a_k v_k                     the product, the geometric mean, q^beta

where v are the values of a node's parts, formulas again. Its gradient kappa_i = df/dl_i gives the weights of the
experts' scores, as grad log p = sum_i kappa_i S_i, and its Hessian f_ij the correction (`correction`). Both are worked
out beside the value, exactly, by the chain rule.

A formula is *homogeneous*: f(l + c) = f(l) + A c, with the total weight A, to which the weights sum. Log-densities of
networks are known up to such a shift only, so a formula whose parts do not share one is refused.

References: Skreta et al. 2025 (arXiv 2412.17762), Prop. 3 (OR); Du et al. 2023 (arXiv 2302.11552), products and
negation; Skreta et al. 2025 (arXiv 2503.02819), annealing and products with their correction.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import ArgumentError
from .transfers import constant

#: How far the total weights of parts may differ, by rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Value:
    """A formula at log-densities [experts, batch]; float64.

    Attributes:
        value: f, [batch], nats.
        gradient: kappa_i = df/dl_i, [experts, batch].
        hessian: f_ij, [experts, experts, batch], 1/nats; None stands for zero.
    """

    value: Tensor
    gradient: Tensor
    hessian: Tensor | None = None

    def taken(self, rows: Tensor) -> Value:
        """Of the samples `rows`, int64 [batch]."""
        hessian = None if self.hessian is None else self.hessian[:, :, rows]
        return Value(self.value[rows], self.gradient[:, rows], hessian)


@dataclass(frozen=True)
class Formula(ABC):
    """A node of an expression tree over log-densities."""

    @property
    @abstractmethod
    def parts(self) -> tuple[Formula, ...]:
        """The formulas that it joins; none for an expert."""

    @property
    @abstractmethod
    def total(self) -> float:
        """A, which the weights sum to."""

    @property
    def linear(self) -> bool:
        """Whether the weights are the same whatever the log-densities."""
        return False

    @property
    def experts(self) -> frozenset[int]:
        """The positions of the experts in it, 0 for the first."""
        return frozenset().union(*(part.experts for part in self.parts))

    @abstractmethod
    def at(self, log_density: Tensor) -> Value:
        """Value, gradient and Hessian at log q [experts, batch] in nats."""

    def check(self, experts: int) -> None:
        """Raise ArgumentError where it does not fit so many experts, or is no density."""
        if max(self.experts) >= experts:
            raise ArgumentError(f"The formula names expert {max(self.experts) + 1}, and there are {experts}.")
        if not self.total > _ROUNDING:
            raise ArgumentError(
                f"The formula's weights sum to {self.total:.4g}; they must sum to more than 0, or it is no density."
            )


@dataclass(frozen=True)
class ExpertTerm(Formula):
    """One expert's log-density.

    Args:
        index: its position, 0 for the first.
    """

    index: int

    @property
    def parts(self) -> tuple[Formula, ...]:
        return ()

    @property
    def total(self) -> float:
        return 1.0

    @property
    def linear(self) -> bool:
        return True

    @property
    def experts(self) -> frozenset[int]:
        return frozenset([self.index])

    def at(self, log_density: Tensor) -> Value:
        gradient = torch.zeros_like(log_density)
        gradient[self.index] = 1
        return Value(log_density[self.index], gradient)


@dataclass(frozen=True)
class _Soft(Formula):
    """Parts of one total weight, joined by a logsumexp."""

    of: tuple[Formula, ...]

    @property
    def parts(self) -> tuple[Formula, ...]:
        return self.of

    @property
    def total(self) -> float:
        return self.of[0].total


@dataclass(frozen=True)
class Either(_Soft):
    """OR: 1/T logsumexp(T v + b), whose weights are softmax(T v + b); with T = 0 their mean by softmax(b).

    Args:
        of: its parts, of one total weight.
        temperature: the inverse temperature T, in 1/nats.
        bias: the log-odds b of each part, in nats; None for even odds.
    """

    temperature: float = 1.0
    bias: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _check_parts("or", self.of)
        if self.temperature < 0:
            raise ArgumentError(f"OR's temperature must not be negative, got {self.temperature:g}.")

    def at(self, log_density: Tensor) -> Value:
        return _softened(self.of, self.temperature, self.bias, log_density)


@dataclass(frozen=True)
class Both(_Soft):
    """Soft AND: -1/T logsumexp(-T v): the less likely part has the more say.

    Args:
        of: its parts, of one total weight.
        sharpness: T, in 1/nats; above 0.
    """

    sharpness: float = 1.0

    def __post_init__(self) -> None:
        _check_parts("and", self.of)
        if not self.sharpness > 0:
            raise ArgumentError(f"The sharpness of 'and' must be above 0, got {self.sharpness:g}.")

    def at(self, log_density: Tensor) -> Value:
        return _softened(self.of, -self.sharpness, None, log_density)


@dataclass(frozen=True)
class ButNot(Formula):
    """A but not B: (1 + g) a - g b, the density of A times (A / B)^g.

    Args:
        kept: a.
        avoided: b.
        strength: g, without a unit; above 0.
    """

    kept: Formula
    avoided: Formula
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not self.strength > 0:
            raise ArgumentError(f"The strength of 'not' must be above 0, got {self.strength:g}.")

    @property
    def parts(self) -> tuple[Formula, ...]:
        return (self.kept, self.avoided)

    @property
    def total(self) -> float:
        return (1 + self.strength) * self.kept.total - self.strength * self.avoided.total

    @property
    def linear(self) -> bool:
        return self.kept.linear and self.avoided.linear

    def at(self, log_density: Tensor) -> Value:
        return _summed((1 + self.strength, -self.strength), self.parts, log_density)


@dataclass(frozen=True)
class Xor(Formula):
    """One of two and not the other: logsumexp of (a but not b) and (b but not a).

    Args:
        first: a.
        second: b.
        strength: g of both.
    """

    first: Formula
    second: Formula
    strength: float = 1.0

    def __post_init__(self) -> None:
        _check_parts("xor", self.parts)
        self.either()  # which checks the strength

    @property
    def parts(self) -> tuple[Formula, ...]:
        return (self.first, self.second)

    @property
    def total(self) -> float:
        return self.first.total

    def either(self) -> Either:
        """The same in terms of OR and NOT."""
        return Either((ButNot(self.first, self.second, self.strength), ButNot(self.second, self.first, self.strength)))

    def at(self, log_density: Tensor) -> Value:
        return self.either().at(log_density)


@dataclass(frozen=True)
class WeightedSum(Formula):
    """sum_k a_k v_k: with even weights the geometric mean, with all 1 the product, with one alone q^beta.

    Args:
        of: its parts.
        weights: a, one a part; they may be negative.
    """

    of: tuple[Formula, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.of or len(self.of) != len(self.weights):
            raise ArgumentError(f"A sum needs a weight for each part, got {len(self.weights)} for {len(self.of)}.")
        if not all(math.isfinite(weight) for weight in self.weights):
            raise ArgumentError("The weights of a sum must be finite.")

    @property
    def parts(self) -> tuple[Formula, ...]:
        return self.of

    @property
    def total(self) -> float:
        return math.fsum(weight * part.total for weight, part in zip(self.weights, self.of, strict=True))

    @property
    def linear(self) -> bool:
        return all(part.linear for part in self.of)

    def at(self, log_density: Tensor) -> Value:
        return _summed(self.weights, self.of, log_density)


@dataclass(frozen=True)
class Biased(Formula):
    """A formula of log-densities to which a bias is added first, one an expert.

    Args:
        of: the formula.
        bias: of each expert of the run, in nats.
    """

    of: Formula
    bias: tuple[float, ...]

    @property
    def parts(self) -> tuple[Formula, ...]:
        return (self.of,)

    @property
    def total(self) -> float:
        return self.of.total

    @property
    def linear(self) -> bool:
        return self.of.linear

    def check(self, experts: int) -> None:
        if len(self.bias) != experts:
            raise ArgumentError(f"bias needs {experts} values, one an expert, got {len(self.bias)}.")
        super().check(experts)

    def at(self, log_density: Tensor) -> Value:
        return self.of.at(log_density + constant(self.bias, log_density.dtype, log_density.device)[:, None])


def tempered(formula: Formula, temperature: float) -> Formula:
    """p^(1/T), a formula at the temperature T (no inverse: above 1 flatter, below 1 sharper); raises ArgumentError."""
    if not temperature > 0:
        raise ArgumentError(f"A temperature must be above 0, got {temperature:g}.")
    return WeightedSum((formula,), (1 / temperature,))


def _check_parts(name: str, parts: Sequence[Formula]) -> None:
    if not parts:
        raise ArgumentError(f"'{name}' needs parts.")
    totals = [part.total for part in parts]
    if max(totals) - min(totals) > _ROUNDING * max(map(abs, totals)):
        said = ", ".join(f"{total:.4g}" for total in totals)
        raise ArgumentError(
            f"The parts of '{name}' must have the same total weight, and theirs are {said}; scale them, as in "
            f"0.5*(1 + 2)."
        )


def _summed(weights: Sequence[float], parts: Sequence[Formula], log_density: Tensor) -> Value:
    values = [part.at(log_density) for part in parts]
    hessians = [
        weight * value.hessian for weight, value in zip(weights, values, strict=True) if value.hessian is not None
    ]

    def total(of: Callable[[Value], Tensor]) -> Tensor:
        return torch.stack([weight * of(value) for weight, value in zip(weights, values, strict=True)]).sum(0)

    return Value(
        total(lambda value: value.value),
        total(lambda value: value.gradient),
        torch.stack(hessians).sum(0) if hessians else None,
    )


def _softened(parts: Sequence[Formula], temperature: float, bias: Sequence[float] | None, log_density: Tensor) -> Value:
    """1/T logsumexp(T v + b), for T of either sign."""
    values = [part.at(log_density) for part in parts]
    stacked = torch.stack([value.value for value in values])  # [parts, batch]
    odds = constant((0.0,) * len(parts) if bias is None else tuple(bias), stacked.dtype, stacked.device)[:, None]
    logits = temperature * stacked + odds
    shares = torch.softmax(logits, 0)
    value = logits.logsumexp(0) / temperature if temperature else (shares * stacked).sum(0)
    gradients = torch.stack([value.gradient for value in values])  # [parts, experts, batch]
    gradient = torch.einsum("kb,kib->ib", shares, gradients)
    outer = torch.einsum("kb,kib,kjb->ijb", shares, gradients, gradients) - gradient[:, None] * gradient[None]
    hessian = temperature * outer
    for share, part in zip(shares, values, strict=True):
        if part.hessian is not None:
            hessian = hessian + share * part.hessian
    return Value(value, gradient, hessian)
