"""A cheap look at latents: one linear map to colours, in the place of the VAE's decoder.

Two kinds of maps are known, as rows of numbers with the bias last:

    3 rows of C + 1                a latent is one pixel: known for Stable Diffusion's VAEs
    3 b^2 rows of 9 C + 2 C + 1    a latent, its eight neighbours, and every channel's mean and deviation over the
                                   picture give a block of b x b pixels: fitted for the embedded model

The second kind is for autoencoders that normalise over the whole picture (GroupNorm), as the embedded model's does: a
latent alone does not say a colour there, and white came out as peach.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class LatentMap:
    """A linear map from latents to colours.

    Attributes:
        weight: [3 b^2, C + 1] or [3 b^2, 11 C + 1], float32; see the module.
        channels: C.
    """

    weight: Tensor
    channels: int

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]], channels: int) -> LatentMap:
        """The map of rows of numbers.

        Raises:
            ValueError: when their numbers do not fit latents of `channels` channels.
        """
        plain, wide = channels + 1, 11 * channels + 1
        side = math.isqrt(len(rows) // 3)
        columns = {len(row) for row in rows}
        if (len(rows) == 3 and columns == {plain}) or (len(rows) == 3 * side * side > 0 and columns == {wide}):
            return cls(torch.tensor(rows, dtype=torch.float32), channels)
        raise ValueError(f"3 rows of {plain} numbers, or 3 b^2 rows of {wide}")

    @property
    def block(self) -> int:
        """Pixels b a side that come from one latent."""
        return math.isqrt(len(self.weight) // 3)

    def __call__(self, latents: Tensor) -> Tensor:
        """Pictures [n, 3, b h, b w], about [-1, 1], of latents [n, C, h, w]."""
        weight = self.weight.to(latents.device)
        inputs = latents.float() if weight.shape[1] == self.channels + 1 else surroundings(latents.float())
        colours = torch.einsum("rc,nchw->nrhw", weight[:, :-1], inputs) + weight[:, -1, None, None]
        return functional.pixel_shuffle(colours, self.block)


def surroundings(latents: Tensor) -> Tensor:
    """What a block of pixels is read from, [n, 11 C, h, w]: 3 x 3 latents, then mean and deviation over the picture.

    Args:
        latents: float [n, C, h, w].
    """
    count, channels, height, width = latents.shape
    near = functional.unfold(functional.pad(latents, (1, 1, 1, 1), mode="replicate"), 3)
    whole = torch.cat([latents.mean((2, 3)), latents.std((2, 3))], 1)[:, :, None, None]
    return torch.cat([near.view(count, 9 * channels, height, width), whole.expand(-1, -1, height, width)], 1)


def fit_preview(latents: Tensor, pictures: Tensor) -> list[list[float]]:
    """The rows of the map from latents to their own blocks of pixels, by least squares.

    Args:
        latents: [count, channels, h, w].
        pictures: [count, 3, b h, b w] in [-1, 1].

    Returns:
        [3 b^2][11 channels + 1].
    """
    block = pictures.shape[2] // latents.shape[2]
    inputs = surroundings(latents.float()).double().permute(0, 2, 3, 1).flatten(0, 2)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=torch.float64)], 1)
    targets = functional.pixel_unshuffle(pictures.double(), block).permute(0, 2, 3, 1).flatten(0, 2)
    # The normal equations: there are millions of latents and 45 unknowns a colour.
    found = torch.linalg.solve(inputs.T @ inputs + 1e-6 * torch.eye(inputs.shape[1]).double(), inputs.T @ targets)
    return [[round(number, 5) for number in row] for row in found.T.tolist()]
