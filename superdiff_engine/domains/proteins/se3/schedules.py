r"""How FrameDiff and Proteus are noised: translations and rotations each in their own way, at a time t that they share.

    translations    x_t = alpha_t x_0 + sigma_t eps,  alpha_t^2 = exp(-B(t)),  B(t) = b_0 t + (b_1 - b_0) t^2 / 2
    rotations       R_t = R_0 exp(r_t eps) as Brownian motion,  r_t = log(t e^{r_1} + (1 - t) e^{r_0})

with b from 0.1 to 20 and r from 0.1 to 1.5. In canonical coordinates positions stand at

    s^2 = exp(B(t)) - 1        and so        t = 2 B / (b_0 + sqrt(b_0^2 + 2 (b_1 - b_0) B)),  B = log(1 + s^2)

and that level s names the place of a run: r is told by it through t. At t = 1, s = 152 and r = 1.5; at t = 0.01, where
both were trained to, s = 0.045 and r = 0.13; at t = 0.002, where the paper composes them to, s = 0.015 and r = 0.11.

Reference: Yim et al. 2023 (FrameDiff, arXiv 2302.02277), Sections 4 and 5; the same in Proteus (Wang et al. 2024).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....noise import Noising, Schedule

#: b of the translations and r of the rotations, at t = 0 and t = 1.
LEAST_RATE, GREATEST_RATE = 0.1, 20.0
LEAST_TURN, GREATEST_TURN = 0.1, 1.5
#: Where training ended, and where the paper's composition ends (arXiv 2412.17762).
TRAINED_TO, COMPOSED_TO = 0.01, 0.002


class LinearVP(Schedule):
    """Variance preserving in continuous time, with a rate b that grows linearly (Song et al. 2021, arXiv 2011.13456).

    Args:
        least: b at t = 0, positive.
        greatest: b at t = 1, larger.
        earliest: the time of the lowest level, in (0, 1).
    """

    def __init__(
        self, least: float = LEAST_RATE, greatest: float = GREATEST_RATE, earliest: float = TRAINED_TO
    ) -> None:
        if not (0 < least < greatest and 0 < earliest < 1):
            raise ValueError(f"A linear rate needs 0 < least < greatest, got {least} and {greatest}.")
        self.least, self.growth = least, greatest - least
        self.lowest, self.highest = self.level(torch.tensor([earliest, 1.0], dtype=torch.float64)).tolist()

    def alpha(self, level: Tensor) -> Tensor:
        return torch.rsqrt(1 + level.square())

    def level(self, time: Tensor) -> Tensor:
        return torch.expm1(self.least * time + self.growth * time.square() / 2).sqrt()

    def time(self, level: Tensor) -> Tensor:
        total = torch.log1p(level.square())  # B
        return 2 * total / (self.least + (self.least**2 + 2 * self.growth * total).sqrt())


#: Of translations, in units of 10 Angstrom.
TRANSLATIONS = LinearVP()


def rotation_level(level: Tensor) -> Tensor:
    """R in radians where positions stand at levels s; the shape of `level`."""
    time = TRANSLATIONS.time(level.double())
    return (time * math.exp(GREATEST_TURN) + (1 - time) * math.exp(LEAST_TURN)).log().to(level)


def component_levels(levels: Tensor) -> dict[str, Tensor]:
    """The grids of positions and rotations, for a grid of levels s."""
    return {"positions": levels, "rotations": rotation_level(levels)}


#: How both models are noised.
NOISING = Noising(TRANSLATIONS.lowest, TRANSLATIONS.highest, TRANSLATIONS, component_levels)
