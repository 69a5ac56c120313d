"""Small pictures side by side in one PNG, for the live view and for choosing one of the results."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

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


#: The longest side of a moment's pictures side by side, in pixels.
_LONGEST_SIDE = 1024


@dataclass(frozen=True)
class MomentPictures:
    """How the pictures of a moment are sent: all in one, without gaps, at their own size unless that is too large.

    Attributes:
        width: of one of them, in pixels.
        height: of one of them.
        kind: "PNG", which keeps every pixel, or "WEBP", which does not.
    """

    width: int
    height: int
    kind: str = "PNG"

    def address(self, pictures: np.ndarray) -> str:
        """Pictures uint8 [n, H, W] or [n, H, W, 3] as a data URL."""
        columns, rows = grid_shape(len(pictures))
        sheet = Image.new("L" if pictures.ndim == 3 else "RGB", (columns * self.width, rows * self.height))
        for index, picture in enumerate(pictures):
            one = Image.fromarray(picture)
            if one.size != (self.width, self.height):
                one = one.resize((self.width, self.height), Image.Resampling.BOX)
            sheet.paste(one, (index % columns * self.width, index // columns * self.height))
        buffer = io.BytesIO()
        if self.kind == "PNG":
            sheet.save(buffer, "PNG", compress_level=6)
        else:
            sheet.save(buffer, self.kind, quality=88, method=2)
        return f"data:image/{self.kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def moment_pictures(pictures: np.ndarray, room: int) -> MomentPictures:
    """How to send moments of pictures like these, uint8 [n, H, W] or [n, H, W, 3], in about `room` bytes each."""
    count, height, width = pictures.shape[:3]
    columns, rows = grid_shape(count)
    share = min(1.0, _LONGEST_SIDE / max(columns * width, rows * height))
    small = MomentPictures(max(1, int(width * share)), max(1, int(height * share)))
    return small if len(small.address(pictures)) <= room else MomentPictures(small.width, small.height, "WEBP")
