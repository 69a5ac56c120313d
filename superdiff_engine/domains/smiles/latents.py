"""A molecule's latents as a heat map: what LDMol denoises, before anything is written.

A row a channel, a column a token of the molecule; blue below 0, orange above, the ground at 0. It shows when the noise
goes and which tokens are settled, and costs next to nothing, where writing the SMILES would cost as much as a step.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..colours import rgb
from ..slides import GROUND, INK, Cells, cells_for, in_cells

__all__ = ["AXES", "REACH", "coloured", "draw_latents", "latent_cells", "packed"]

#: Latents from -REACH to REACH have a colour of their own; they come out of a standard normal.
REACH = 3.0
#: What is drawn, for those who read it below the picture.
AXES = (
    "Each map is one molecule's latents: across its tokens, down their channels; blue is below 0, orange above, full "
    "colour at ±3."
)
_BELOW, _ABOVE = "#0072b2", "#d55e00"
#: Pixels of a cell's margins (left, bottom) and of its letters, where the cell is as wide as this.
_LEFT, _BOTTOM, _LETTERS, _ROOMY = 34, 34, 13, 240


def packed(latents: Tensor) -> np.ndarray:
    """Latents [n, tokens, channels] as uint8: 128 is 0; what is not a number is 0 too."""
    scaled = latents.detach().float().nan_to_num(0).div(REACH).clamp(-1, 1).mul(127).add(128).round()
    return np.asarray(scaled.to(torch.uint8).cpu().numpy())


def coloured(latents: np.ndarray, dark: bool = False) -> np.ndarray:
    """The colours of `packed` latents [n, tokens, channels]: uint8 [n, channels, tokens, 3]."""
    value = (latents.transpose(0, 2, 1).astype(np.float32)[..., None] - 128) / 127
    ground, below, above = (np.array(rgb(colour), np.float32) for colour in (GROUND[dark], _BELOW, _ABOVE))
    ends = np.where(value < 0, below, above)
    return (ground + np.abs(value).clip(0, 1) * (ends - ground)).round().astype(np.uint8)


def draw_latents(latents: np.ndarray, width: int, height: int, dark: bool = False) -> Image.Image:
    """One molecule's `packed` latents [tokens, channels] in so many pixels, with its axes where these have room."""
    (colours,) = coloured(latents[None], dark)
    if width < _ROOMY:
        return Image.fromarray(colours).resize((width, height), Image.Resampling.BOX if width < 127 else 0)
    tokens, channels = latents.shape
    picture = Image.new("RGB", (width, height), GROUND[dark])
    inside = (width - _LEFT - 8, height - _BOTTOM - 6)
    picture.paste(Image.fromarray(colours).resize(inside, Image.Resampling.NEAREST), (_LEFT, 6))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(_LETTERS)
    ink, bottom, right = INK[dark], height - _BOTTOM, _LEFT + inside[0]
    pen.rectangle((_LEFT, 6, right - 1, bottom - 1), outline=ink)
    for text, place, anchor in (
        ("1", (_LEFT, bottom + 3), "lt"),
        (str(tokens), (right, bottom + 3), "rt"),
        ("latent token", ((_LEFT + right) // 2, bottom + 3), "mt"),
        ("1", (_LEFT - 4, 6), "rt"),
        (str(channels), (_LEFT - 4, bottom), "rb"),
    ):
        pen.text(place, text, ink, font, anchor)
    aside = Image.new("RGB", (inside[1], _LETTERS + 4), GROUND[dark])
    ImageDraw.Draw(aside).text((inside[1] // 2, 0), "channel", ink, font, "mt")
    room = aside.getbbox() and aside.crop((inside[1] // 2 - 30, 0, inside[1] // 2 + 30, _LETTERS + 4))
    if room and inside[1] > 110:
        picture.paste(room.rotate(90, expand=True), (_LEFT - _LETTERS - 10, 6 + inside[1] // 2 - 30))
    return picture


def latent_cells(count: int, width: int, height: int, least: int, tokens: int, channels: int) -> Cells:
    """Cells for so many molecules' maps, each about as wide to its height as it has tokens to channels."""
    return cells_for(count, width, height, least, tokens / channels)


def sheet(latents: np.ndarray, width: int, height: int, dark: bool = False, least: int = _ROOMY) -> Image.Image:
    """As many molecules' maps side by side as fit, of `packed` latents [n, tokens, channels]."""
    cells = latent_cells(len(latents), width, height, least, *latents.shape[1:])
    return in_cells(cells, lambda row, wide, high: draw_latents(latents[row], wide, high, dark), dark)
