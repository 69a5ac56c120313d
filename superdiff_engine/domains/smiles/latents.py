"""A molecule's latents as a heat map: what LDMol denoises, before anything is written.

A row a channel, a column a token of the molecule; black below 0, white above, mid grey at 0: no colour, as colours are
the experts'. It shows when the noise goes and which tokens are settled, and costs next to nothing, where writing the
SMILES would cost about as much as a step.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..slides import GROUND, INK, cells_for, in_cells

__all__ = ["AXES", "REACH", "draw_latents", "maps", "packed", "sheet"]

#: Latents from -REACH to REACH have a grey of their own; they come out of a standard normal.
REACH = 3.0
#: What is drawn, for those who read it below the picture.
AXES = (
    "Each map is one molecule's latents, its tokens across and their channels down: black is −3 and less, mid grey 0, "
    "white 3 and more."
)
#: Pixels of the margins left of a map and below it, of its letters, and the width from which on it has them.
_LEFT, _BOTTOM, _LETTERS, _ROOMY = 34, 22, 14, 200


def packed(latents: Tensor) -> np.ndarray:
    """Latents [n, tokens, channels] as uint8: 128 is 0; what is not a number is 0 too."""
    scaled = latents.detach().float().nan_to_num(0).div(REACH).clamp(-1, 1).mul(127).add(128).round()
    return np.asarray(scaled.to(torch.uint8).cpu().numpy())


def maps(latents: np.ndarray) -> np.ndarray:
    """The greys of `packed` latents [n, tokens, channels], as pictures: uint8 [n, channels, tokens]."""
    return np.ascontiguousarray(latents.transpose(0, 2, 1))


def draw_latents(latents: np.ndarray, width: int, height: int, dark: bool = False, scale: int = 1) -> Image.Image:
    """One molecule's `packed` latents [tokens, channels] in so many pixels, with its axes where these have room.

    Args:
        latents: uint8.
        width: in pixels.
        height: likewise.
        dark: whether what it stands on is.
        scale: of the letters: pixels of this picture for each that is seen.
    """
    found = Image.fromarray(maps(latents[None])[0])
    if width < _ROOMY * scale:
        return found.resize((width, height), Image.Resampling.BOX).convert("RGB")
    tokens, channels = latents.shape
    picture = Image.new("RGB", (width, height), GROUND[dark])
    left, top, right, bottom = _LEFT * scale, 6 * scale, width - 4 * scale, height - _BOTTOM * scale
    picture.paste(found.resize((right - left, bottom - top), Image.Resampling.NEAREST), (left, top))
    pen, font, ink = ImageDraw.Draw(picture), ImageFont.load_default(_LETTERS * scale), INK[dark]
    pen.rectangle((left, top, right - 1, bottom - 1), outline=ink)
    gap = 4 * scale
    for text, place, anchor in (
        ("1", (left, bottom + gap), "lt"),
        (str(tokens), (right, bottom + gap), "rt"),
        ("latent token", ((left + right) // 2, bottom + gap), "mt"),
        ("1", (left - gap, top), "rt"),
        (str(channels), (left - gap, bottom), "rb"),
    ):
        pen.text(place, text, ink, font, anchor)
    high, wide = (_LETTERS + 4) * scale, 64 * scale
    if bottom - top > wide + 2 * high:
        aside = Image.new("RGB", (wide, high), GROUND[dark])
        ImageDraw.Draw(aside).text((wide // 2, high // 2), "channel", ink, font, "mm")
        picture.paste(aside.rotate(90, expand=True), (left - gap - high, (top + bottom - wide) // 2))
    return picture


def sheet(
    latents: np.ndarray, width: int, height: int, dark: bool = False, least: int = _ROOMY, scale: int = 1
) -> Image.Image:
    """As many molecules' maps side by side as fit, of `packed` latents [n, tokens, channels]; see `draw_latents`."""
    _, tokens, channels = latents.shape
    cells = cells_for(len(latents), width, height, least * scale, tokens / channels)
    return in_cells(cells, lambda row, wide, high: draw_latents(latents[row], wide, high, dark, scale), dark)
