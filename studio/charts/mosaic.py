"""Small pictures side by side in one PNG, for the live view and for choosing one of the results."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

#: How many pictures a grid shows.
SHOWN = 64


def grid_shape(count: int) -> tuple[int, int]:
    """(columns, rows) of a grid of about square shape for `count` pictures."""
    columns = max(1, math.ceil(math.sqrt(count)))
    return columns, math.ceil(count / columns)


def mosaic_png(pictures: np.ndarray, cell: int = 56, columns: int | None = None) -> bytes:
    """Pictures uint8 [n, H, W] or [n, H, W, 3] as a grid.

    Args:
        pictures: what to show.
        cell: width in pixels that each is enlarged to, by a whole factor.
        columns: of the grid; None for about square shape.
    """
    count, height, width = pictures.shape[:3]
    columns = columns or grid_shape(count)[0]
    rows = math.ceil(count / columns)
    factor = max(1, cell // width)
    border = 2
    tall, wide = height * factor + 2 * border, width * factor + 2 * border
    colour = np.repeat(pictures[..., None], 3, axis=-1) if pictures.ndim == 3 else pictures
    # Transparent gaps, so that the grid looks right on a light and on a dark page.
    sheet = np.zeros((rows * tall, columns * wide, 4), np.uint8)
    for index in range(count):
        top, left = (index // columns) * tall, (index % columns) * wide
        inside = sheet[top + border : top + tall - border, left + border : left + wide - border]
        inside[..., :3] = colour[index].repeat(factor, axis=0).repeat(factor, axis=1)
        inside[..., 3] = 255
    buffer = io.BytesIO()
    # Speed counts here more than size: the file is drawn several times a second.
    Image.fromarray(sheet).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
