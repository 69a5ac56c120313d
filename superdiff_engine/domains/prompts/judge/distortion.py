"""Designs moved, recoloured, blurred and roughened well beyond what a designer would do."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ....training.task import Draws
from .classifier import LOOKED


def distortion(mirrored: Tensor, generator: torch.Generator) -> Draws:
    """What `distort` leaves to chance for as many pictures as `mirrored`, bool [batch], says which ones to mirror.

    Rotations to 15 degrees, scales 0.75 to 1.1 (each axis 8% more or less), shifts to 6 pixels; hue turned by up to 30
    degrees, saturation 0 to 1.5, contrast 0.7 to 1.2, with white kept white up to a faint tint; half of the batches at
    a lower resolution; noise of up to 0.08.

    Returns:
        "places" [batch, 2, 3], "colours" [batch, 3, 3], "tint" [batch, 3, 1, 1], "blur" [64, 64], which every row and
        every column of pixels is multiplied by, and "noise" [batch, 3, 64, 64].
    """
    count = len(mirrored)
    places, colours = _places(mirrored, generator), _recolouring(count, generator)
    tint = 0.12 * torch.rand(count, 3, 1, 1, generator=generator).square()
    blur = torch.eye(LOOKED)
    if torch.rand((), generator=generator) < 0.5:
        blur = lower_resolution(int(torch.randint(24, LOOKED, (), generator=generator)))
    deviation = 0.08 * torch.rand(count, 1, 1, 1, generator=generator)
    noise = deviation * torch.randn(count, 3, LOOKED, LOOKED, generator=generator)
    return {"places": places, "colours": colours, "tint": tint, "blur": blur, "noise": noise}


def distort(pictures: Tensor, drawn: Draws) -> Tensor:
    """Pictures [batch, 3, 64, 64] in [-1, 1], on white, moved, recoloured, blurred and roughened by a `distortion`."""
    moved = _moved(pictures, drawn["places"])
    ink = torch.einsum("bij,bjhw->bihw", drawn["colours"], 1 - moved)
    coloured = 1 - ink - drawn["tint"]
    blurred = drawn["blur"] @ coloured @ drawn["blur"].T
    return (blurred + drawn["noise"]).clamp(-1, 1)


def lower_resolution(side: int) -> Tensor:
    """[64, 64]: what a reduction to `side` pixels and the enlargement back make of a row, both bilinear.

    One matrix and not two `interpolate`, because a step on a GPU has the same shapes whatever the side.
    """
    pixels = torch.eye(LOOKED).view(1, 1, LOOKED, LOOKED)
    small = functional.interpolate(pixels, size=(side, LOOKED), mode="bilinear", antialias=True)
    return functional.interpolate(small, size=(LOOKED, LOOKED), mode="bilinear")[0, 0]


def _places(mirrored: Tensor, generator: torch.Generator) -> Tensor:
    """Where each pixel comes from: affine maps [batch, 2, 3] of coordinates from -1 to 1."""
    count = len(mirrored)
    draws = torch.rand(count, 6, generator=generator) * 2 - 1
    angle = draws[:, 0] * math.radians(15)
    scale = 1 / (0.925 + 0.175 * draws[:, 1])
    across, down = scale * (1 + 0.08 * draws[:, 2]), scale * (1 + 0.08 * draws[:, 3])
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = angle.cos() * across, -angle.sin() * across
    theta[:, 1, 0], theta[:, 1, 1] = angle.sin() * down, angle.cos() * down
    theta[:, :, 2] = draws[:, 4:] * (6 / (LOOKED / 2))
    theta[mirrored, 0] *= -1
    return theta


def _moved(pictures: Tensor, places: Tensor) -> Tensor:
    grid = functional.affine_grid(places, list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _recolouring(count: int, generator: torch.Generator) -> Tensor:
    """[count, 3, 3]: a turn of the hue about the grey axis u = (1, 1, 1) / sqrt(3), saturation, contrast."""
    draws = torch.rand(count, 3, generator=generator)
    angle, saturation, contrast = (draws[:, 0] - 0.5) * math.radians(60), 1.5 * draws[:, 1], 0.7 + 0.5 * draws[:, 2]
    grey = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    # Rodrigues' formula, without its part along u.
    turned = angle.cos().view(-1, 1, 1) * (torch.eye(3) - grey) + angle.sin().view(-1, 1, 1) * cross
    return contrast.view(-1, 1, 1) * (grey + saturation.view(-1, 1, 1) * turned)
