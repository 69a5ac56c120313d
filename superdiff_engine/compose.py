r"""Operators: from log-densities to weights kappa.

For a step whose noise is drawn already, the change of expert i's log-density is known before the step is taken, and
it is linear in the weights (design of the loop: `sampling`):

    p_i(kappa) = c_i + sum_j G_ij kappa_j                                       `Prediction`

An operator sees the log-densities so far and this prediction, and answers with weights [experts, batch]. Most are a
formula of the log-densities (`formula`): its gradient is their weights, and their samples have an exact target. The
paper's AND is a control, and has none. Reference: Skreta et al. 2025 (arXiv 2412.17762), Prop. 3 and 4 (OR), Prop. 6
and eq. 18 (AND).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import ArgumentError
from .formula import Either, ExpertTerm, Formula, WeightedSum
from .geometry import finite
from .transfers import constant, sent

#: The largest weight of AND. A network in float32 knows its score to about 1e-6 of it, and this makes it 2% of the
#: drift. Without a ridge, exact mixtures whose system is not singular stay below 500 (tests/test_sampling.py).
MOST_WEIGHT = 2.0**14


@dataclass(frozen=True)
class Prediction:
    """The change of the log-densities that the coming step will make, as a linear function of the weights.

    Attributes:
        constant: c, [experts, batch], nats, float64.
        slope: G, [experts, experts, batch], nats, float64; symmetric and positive semi-definite in its first two.
        level: s, where the step begins (the highest, where components walk levels of their own).
    """

    constant: Tensor
    slope: Tensor
    level: float = math.inf

    @classmethod
    def joint(cls, parts: Sequence[Prediction]) -> Prediction:
        """Of the whole sample, from those of its components."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            torch.stack([part.constant for part in parts]).sum(0),
            torch.stack([part.slope for part in parts]).sum(0),
            max(part.level for part in parts),
        )

    def at(self, weights: Tensor) -> Tensor:
        """p(kappa), [experts, batch], nats."""
        return self.constant + torch.einsum("ijb,jb->ib", self.slope, weights.to(self.slope))


class Operator(ABC):
    """Turns log-densities into weights. `needs_prediction` tells the loop whether to work out the prediction."""

    needs_prediction = False
    #: Whether the weights depend on the log-densities at all.
    needs_density = False
    #: Why the components of a sample may not have weights of their own, in a sentence; "" where they may.
    whole_samples = ""
    #: What to change where the weights are not `sound`.
    advice = "try other weights, biases or experts"
    #: Why there is no `target`, in a sentence; "" where there is one.
    no_target = "This operator has no exact target; choose one that is a formula."

    def target(self, experts: int) -> Formula | None:
        """The formula of so many experts' log-densities that its samples are to follow; None where it is none.

        Raises:
            ArgumentError: if the operator's parameters do not fit the number of experts.
        """
        return None

    def weighing(self, experts: int) -> Sequence[int]:
        """The positions of those of so many experts that can have a weight other than 0 in this run."""
        return range(experts)

    def sound(self, weights: Tensor) -> bool:
        """Whether a run can go on with these weights, [experts, batch] on the CPU."""
        return bool(finite(weights).all())

    def start(self, experts: int, batch: int, generator: torch.Generator) -> None:  # noqa: B027
        """Called once before the first step; checks the parameters and draws what is drawn once a run.

        Raises:
            ArgumentError: if the operator's parameters do not fit the number of experts.
        """

    @abstractmethod
    def weights(self, log_density: Tensor, prediction: Prediction | None) -> Tensor:
        """kappa, [experts, batch], from log q [experts, batch] in nats (float64).

        They sum to 1 over the experts, or to the total weight of the `target`.
        """


class Formulated(Operator):
    """An operator that is a formula: its weights are the formula's gradient."""

    no_target = ""

    @abstractmethod
    def target(self, experts: int) -> Formula:
        """As every operator's; this one has one."""

    def start(self, experts: int, batch: int, generator: torch.Generator) -> None:
        self.target(experts).check(experts)

    def weights(self, log_density: Tensor, prediction: Prediction | None) -> Tensor:
        return self.target(len(log_density)).at(log_density).gradient


class Composed(Formulated):
    """Any formula.

    Args:
        formula: of the experts' log-densities.
    """

    def __init__(self, formula: Formula) -> None:
        self.formula = formula
        self.needs_density = not formula.linear

    def weighing(self, experts: int) -> Sequence[int]:
        return sorted(self.formula.experts)

    def target(self, experts: int) -> Formula:
        return self.formula


class Or(Formulated):
    """Sample the mixture of the experts: kappa = softmax(T log q + l) (arXiv 2412.17762, Prop. 3 and 4).

    Args:
        temperature: the inverse temperature T on log q alone; 1 gives the mixture, large values the densest expert.
        bias: the log-odds l of each expert, in nats; None for even odds.
    """

    needs_density = True

    def __init__(self, temperature: float = 1.0, bias: Sequence[float] | None = None) -> None:
        if temperature < 0:
            raise ArgumentError(f"OR's temperature must not be negative, got {temperature}.")
        self.temperature, self.bias = temperature, bias

    def target(self, experts: int) -> Formula:
        _check_length("bias", self.bias, experts)
        return Either(_each(experts), self.temperature, None if self.bias is None else tuple(self.bias))


class And(Operator):
    r"""Keep all experts' log-densities equal, up to offsets (arXiv 2412.17762, Prop. 6 and eq. 18).

    With kappa = 1/M + c, sum c = 0, the gap built up so far g_i = (log q_i - l_i) - mean is fed back and the
    system is solved with a ridge:

        (G + lam I) c = -(g + p(1/M) - mean),         G centred on both sides.

    Where the experts differ (G >> lam) the gap closes in this one step, as in the paper; where they agree the
    paper's system is singular and its weights explode, while these stay near 1/M. A run whose weights pass MOST_WEIGHT
    stops: they stretch the linear prediction far beyond the step that it is right for.

    Args:
        bias: the offsets l, in nats: log q_i - l_i is what is held equal; None for none.
        ridge: lam in nats; 0 gives the paper's exact system.
        lowest: the level s below which the weights are even, as average's are: there the log-densities go their own
            ways. 0 holds them equal to the end, as in the paper.
    """

    needs_density = True
    needs_prediction = True
    no_target = "The paper's AND steers to equal log-densities, which is no density; the formula '1 and 2' has one."

    def sound(self, weights: Tensor) -> bool:
        """Also whether they are at most MOST_WEIGHT: beyond it the predicted gap of 0 says nothing of the true one."""
        return weights.abs().max().item() <= MOST_WEIGHT  # false of what is no number

    def __init__(self, bias: Sequence[float] | None = None, ridge: float = 1.0, lowest: float = 0.0) -> None:
        if ridge < 0:
            raise ArgumentError(f"AND's ridge must not be negative, got {ridge}.")
        if lowest < 0:
            raise ArgumentError(f"AND's lowest level must not be negative, got {lowest}.")
        self.bias, self.ridge, self.lowest = bias, ridge, lowest
        self.advice = f"the experts agree there, so give AND a ridge above {ridge:g} (1 nat is the default)"

    def start(self, experts: int, batch: int, generator: torch.Generator) -> None:
        _check_length("bias", self.bias, experts)

    def weights(self, log_density: Tensor, prediction: Prediction | None) -> Tensor:
        if prediction is None:
            raise ArgumentError("AND steers with the prediction of the coming step, which is missing.")
        experts, _ = log_density.shape
        even = torch.full_like(log_density, 1 / experts)
        if experts == 1 or prediction.level < self.lowest:
            return even
        target = _centred(log_density - _column(self.bias, log_density)) + _centred(prediction.at(even))
        slope = _centred(_centred(prediction.slope), dim=1).permute(2, 0, 1)
        # Centred slopes are singular along the all-ones direction for every lam. Filling it leaves the answer alone,
        # as the right-hand side has no part along it; with lam = 0 a singular rest shows as weights that explode.
        scale = slope.diagonal(dim1=1, dim2=2).mean(1) + self.ridge
        system = (
            slope
            + self.ridge * torch.eye(experts, dtype=slope.dtype, device=slope.device)
            + scale[:, None, None] / experts
        )
        change, _ = torch.linalg.solve_ex(system, -target.T)
        return even + _centred(change.T)


class Average(Formulated):
    """Equal weights: the mean of the scores, which is the score of the geometric mean of the densities."""

    def target(self, experts: int) -> Formula:
        return WeightedSum(_each(experts), (1 / experts,) * experts)


class Fixed(Formulated):
    """The same weights at every step; they must sum to 1 (they may be negative).

    Args:
        weights: one for each expert.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        if abs(sum(weights) - 1) > 1e-6:
            raise ArgumentError(f"Fixed weights must sum to 1, these sum to {sum(weights):.6g}.")
        self.values = weights

    def target(self, experts: int) -> Formula:
        _check_length("weights", self.values, experts)
        return WeightedSum(_each(experts), tuple(self.values))


class Single(Formulated):
    """One expert alone; the others are only watched.

    Args:
        index: its position, 0 for the first.
    """

    def __init__(self, index: int) -> None:
        self.index = index

    def target(self, experts: int) -> Formula:
        if not 0 <= self.index < experts:
            raise ArgumentError(f"There is no expert {self.index}: there are {experts}, and 0 is the first.")
        return ExpertTerm(self.index)

    def weighing(self, experts: int) -> Sequence[int]:
        return [self.index]


class CoinFlip(Operator):
    """One expert a sample, drawn once with odds exp(bias): what OR at T = 1 must be as good as.

    Args:
        bias: the log-odds of each expert, in nats; None for even odds.
    """

    whole_samples = "A coin flip chooses an expert for the whole sample; it has no weights by component."
    no_target = "A coin flip samples one expert at a time, which is right as it is: there is nothing to correct."

    def __init__(self, bias: Sequence[float] | None = None) -> None:
        self.bias = bias
        self._chosen: Tensor | None = None

    def start(self, experts: int, batch: int, generator: torch.Generator) -> None:
        _check_length("bias", self.bias, experts)
        odds = torch.softmax(torch.tensor(self.bias or [0.0] * experts, dtype=torch.float64), 0)
        self._chosen = torch.multinomial(odds.to(generator.device), batch, replacement=True, generator=generator)

    def weights(self, log_density: Tensor, prediction: Prediction | None) -> Tensor:
        if self._chosen is None:
            raise ArgumentError("CoinFlip.start must be called before its weights are asked for.")
        self._chosen = sent(self._chosen, log_density.device)
        return torch.zeros_like(log_density).scatter_(0, self._chosen[None], 1)


def _check_length(name: str, values: Sequence[float] | None, experts: int) -> None:
    if values is not None and len(values) != experts:
        raise ArgumentError(f"{name} needs {experts} values, one an expert, got {len(values)}.")


def _each(experts: int) -> tuple[Formula, ...]:
    return tuple(ExpertTerm(index) for index in range(experts))


def _column(values: Sequence[float] | None, like: Tensor) -> Tensor:
    if values is None:
        return like.new_zeros(len(like), 1)
    return constant(tuple(values), like.dtype, like.device)[:, None]


def _centred(values: Tensor, dim: int = 0) -> Tensor:
    return values - values.mean(dim, keepdim=True)
