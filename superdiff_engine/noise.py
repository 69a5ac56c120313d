r"""Noise levels: the forward processes of trained models, and one scale that they all share.

A model is trained on

    x_t = alpha_t x_0 + sigma_t eps,        eps ~ N(0, I).

Dividing by alpha_t gives the *canonical coordinates* in which everything in this engine happens:

    y = x_t / alpha_t = x_0 + s eps,        s = sigma_t / alpha_t   (the noise level).

In y every Gaussian path (VP, VE, EDM, flow matching) is the same variance-exploding process without a drift,
so a schedule has only three things to say: the model's own time at a level, alpha at a level, and the range of
levels that it was trained on. sigma at a level is always s * alpha.

References: Song et al. 2021 (arXiv 2011.13456) for VP and VE, Karras et al. 2022 (arXiv 2206.00364) for s and the
grid, Lipman et al. 2023 (arXiv 2210.02747) for flow matching.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .errors import ArgumentError


class Schedule(ABC):
    """A forward process x_t = alpha_t x_0 + sigma_t eps, addressed by its canonical level s = sigma_t / alpha_t."""

    #: The least and the greatest level that a model on this schedule was trained on.
    lowest: float
    highest: float

    @abstractmethod
    def alpha(self, level: Tensor) -> Tensor:
        """The signal's factor alpha at `level`; same shape as `level`."""

    @abstractmethod
    def time(self, level: Tensor) -> Tensor:
        """The model's own time (its conditioning input) at `level`; same shape as `level`."""

    @abstractmethod
    def level(self, time: Tensor) -> Tensor:
        """The canonical level at the model's own `time`: the inverse of `time(level)`."""

    def sigma(self, level: Tensor) -> Tensor:
        """The noise's factor sigma = level * alpha."""
        return level * self.alpha(level)


class DiscreteVP(Schedule):
    """Variance preserving with a table of steps: alpha^2 = alphas_cumprod[t], sigma^2 = 1 - alpha^2.

    This is DDPM's process (Ho et al. 2020, arXiv 2006.11239). Levels between two steps map to a fractional time,
    linear in log s. A terminal step without any signal (alphas_cumprod = 0, "zero terminal SNR") lies at an
    infinite level: it is left out, so the noisiest level is the last finite one.

    Args:
        alphas_cumprod: decreasing values in [0, 1), one for each of the model's steps 0, 1, 2, ...

    Raises:
        ValueError: if the values do not strictly decrease within [0, 1).
    """

    def __init__(self, alphas_cumprod: Tensor | Sequence[float]) -> None:
        table = torch.as_tensor(alphas_cumprod, dtype=torch.float64).detach().cpu()
        table = table[table > 0]
        if table.ndim != 1 or len(table) < 2 or bool((table >= 1).any()) or bool((table.diff() >= 0).any()):
            raise ValueError(
                "alphas_cumprod must be a list of at least two values that decrease and lie within (0, 1)."
            )
        self.log_levels = 0.5 * (torch.log1p(-table) - torch.log(table))
        self.lowest = float(self.log_levels[0].exp())
        self.highest = float(self.log_levels[-1].exp())

    @classmethod
    def linear(cls, steps: int = 1000, start: float = 1e-4, end: float = 0.02) -> DiscreteVP:
        """DDPM's betas, linear from `start` to `end`."""
        return cls.from_betas(torch.linspace(start, end, steps, dtype=torch.float64))

    @classmethod
    def scaled_linear(cls, steps: int = 1000, start: float = 0.00085, end: float = 0.012) -> DiscreteVP:
        """Stable Diffusion's betas, linear in their square root (Rombach et al. 2022, arXiv 2112.10752)."""
        return cls.from_betas(torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2)

    @classmethod
    def cosine(cls, steps: int = 1000, offset: float = 0.008, largest_beta: float = 0.999) -> DiscreteVP:
        """The squared-cosine schedule (Nichol and Dhariwal 2021, arXiv 2102.09672)."""
        time = torch.arange(steps + 1, dtype=torch.float64) / steps
        signal = torch.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2
        return cls.from_betas((1 - signal[1:] / signal[:-1]).clamp(max=largest_beta))

    @classmethod
    def from_betas(cls, betas: Tensor) -> DiscreteVP:
        """From the variance that each step adds."""
        return cls(torch.cumprod(1 - betas.double(), dim=0))

    def alpha(self, level: Tensor) -> Tensor:
        return torch.rsqrt(1 + level.square())

    def time(self, level: Tensor) -> Tensor:
        log_level = level.detach().double().cpu().log()
        right = torch.searchsorted(self.log_levels, log_level).clamp(1, len(self.log_levels) - 1)
        left = right - 1
        span = self.log_levels[right] - self.log_levels[left]
        fraction = ((log_level - self.log_levels[left]) / span).clamp(0, 1)
        return (left + fraction).to(level)

    def level(self, time: Tensor) -> Tensor:
        position = time.detach().double().cpu().clamp(0, len(self.log_levels) - 1)
        left = position.floor().long().clamp(max=len(self.log_levels) - 2)
        fraction = position - left
        return torch.lerp(self.log_levels[left], self.log_levels[left + 1], fraction).exp().to(time)


class VE(Schedule):
    """Variance exploding: alpha = 1, sigma = s; the model's time is s itself (Song et al. 2021, Karras et al. 2022)."""

    def __init__(self, lowest: float = 0.002, highest: float = 80.0) -> None:
        if not 0 < lowest < highest:
            raise ValueError(f"VE levels need 0 < lowest < highest, got {lowest} and {highest}.")
        self.lowest, self.highest = lowest, highest

    def alpha(self, level: Tensor) -> Tensor:
        return torch.ones_like(level)

    def time(self, level: Tensor) -> Tensor:
        return level

    def level(self, time: Tensor) -> Tensor:
        return time


class Flow(Schedule):
    """Rectified flow: x_t = (1 - t) x_0 + t eps (arXiv 2209.03003, 2210.02747).

    s = t / (1 - t) grows without bound as t -> 1, where alpha = 0. The noisiest level is a choice here (`highest`,
    default t = 0.999): nothing divides by zero, and a prior of that level is pure noise for all practical purposes.

    Args:
        times: what the model's time runs to at pure noise (1 for t itself, 1000 for diffusers' flow schedulers).
    """

    def __init__(self, lowest: float = 1e-3, highest: float = 999.0, times: float = 1.0) -> None:
        if not 0 < lowest < highest or not math.isfinite(highest):
            raise ValueError(f"Flow levels need 0 < lowest < highest < infinity, got {lowest} and {highest}.")
        self.lowest, self.highest, self.times = lowest, highest, times

    def alpha(self, level: Tensor) -> Tensor:
        return 1 / (1 + level)

    def time(self, level: Tensor) -> Tensor:
        return self.times * level / (1 + level)

    def level(self, time: Tensor) -> Tensor:
        return time / (self.times - time)


def _alike(levels: Tensor) -> Tensor:
    return levels


@dataclass(frozen=True)
class Noising:
    """How a family of models is noised: experts of one run have the same.

    Attributes:
        lowest: the least level that they were trained on.
        highest: the greatest.
        schedule: their own time, in which levels may be even; None where they have none.
        components: the grid of each component of a product, by their names, for a grid of levels; where all have one,
            that grid.
    """

    lowest: float
    highest: float
    schedule: Schedule | None = None
    components: Callable[[Tensor], Tensor | dict[str, Tensor]] = _alike


def karras_levels(steps: int, highest: float = 80.0, lowest: float = 0.02, rho: float = 7.0) -> Tensor:
    """`steps + 1` levels from `highest` down to `lowest`, even in s^(1/rho) (Karras et al. 2022, eq. 5).

    Returns:
        [steps + 1], float64, in units of the data.
    """
    _check_grid(steps, highest, lowest)
    return torch.linspace(highest ** (1 / rho), lowest ** (1 / rho), steps + 1, dtype=torch.float64) ** rho


def log_levels(steps: int, highest: float = 80.0, lowest: float = 0.02) -> Tensor:
    """`steps + 1` levels from `highest` down to `lowest`, even in log s; float64."""
    _check_grid(steps, highest, lowest)
    return torch.linspace(math.log(highest), math.log(lowest), steps + 1, dtype=torch.float64).exp()


def time_levels(steps: int, schedule: Schedule, highest: float | None = None, lowest: float | None = None) -> Tensor:
    """`steps + 1` levels, even in the time of `schedule` (what the paper's Euler-Maruyama walks); float64."""
    highest = schedule.highest if highest is None else highest
    lowest = schedule.lowest if lowest is None else lowest
    _check_grid(steps, highest, lowest)
    ends = schedule.time(torch.tensor([highest, lowest], dtype=torch.float64))
    levels = schedule.level(torch.linspace(float(ends[0]), float(ends[1]), steps + 1, dtype=torch.float64))
    levels[0], levels[-1] = highest, lowest
    return levels


#: The lowest level there is. Samples are float32: far below their rounding (1e-7) a level has no meaning, and its
#: square, by which scores are divided, must not underflow there either.
LOWEST_LEVEL = 1e-12


def check_levels(grid: Sequence[float]) -> None:
    """Raise ArgumentError, with what to change, unless noise levels strictly decrease and are told apart by a run."""
    if len(grid) < 2:
        raise ArgumentError("A grid needs at least two levels.")
    if not all(0.99 * LOWEST_LEVEL < s < math.inf for s in grid):  # a grid's ends are rounded
        raise ArgumentError(
            f"Noise levels must be finite, and at least {LOWEST_LEVEL:g}; choose a higher lowest level."
        )
    if any(s * s - lower * lower <= 0 for s, lower in pairwise(grid)):
        raise ArgumentError(
            f"Noise levels must be strictly decreasing, and {len(grid) - 1} steps from {grid[0]:.17g} to "
            f"{grid[-1]:.17g} are not; choose levels further apart, or fewer steps."
        )


def _check_grid(steps: int, highest: float, lowest: float) -> None:
    if steps < 1:
        raise ArgumentError(f"A grid needs at least 1 step, got {steps}.")
    if not 0 < lowest < highest or not math.isfinite(highest):
        raise ArgumentError(f"A grid of levels needs 0 < lowest < highest, got lowest {lowest} and highest {highest}.")
