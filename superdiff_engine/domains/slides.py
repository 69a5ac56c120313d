"""Samples side by side for a slide: how many have room, how large each is, and what each counts for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..domain import SlidePicture
from ..result import Result

#: Pixels between two cells.
GAP = 8
#: By how much smaller cells may be, or fewer, so that their rows are full.
_RAGGED = 0.8
#: Height of a line below a cell, and of its letters, in pixels.
LINE, LETTERS = 30, 20
#: What is written on a light and on a dark slide, and what a slide's ground is.
INK, GROUND = ("#1d2a33", "#dfe7ec"), ("#ffffff", "#10171c")


@dataclass(frozen=True)
class Cells:
    """Equal cells on a slide.

    Attributes:
        count: how many there are.
        columns: in a row.
        width: of a cell, in pixels.
        height: likewise.
    """

    count: int
    columns: int
    width: int
    height: int

    @property
    def rows(self) -> int:
        """Rows of cells, the last of which may have fewer."""
        return -(-self.count // self.columns)


def cells_for(count: int, width: int, height: int, least: int, aspect: float = 1.0, below: int = 0) -> Cells:
    """The largest cells for `count` samples; for fewer where they would be narrower than `least`.

    Args:
        count: samples that are there.
        width: of the picture, in pixels.
        height: likewise.
        least: pixels that a cell is wide, where one alone has the room.
        aspect: width of a cell's picture over its height.
        below: pixels of a line below each.
    """

    def best(shown: int) -> Cells:
        found = []
        for columns in range(1, shown + 1):
            rows = -(-shown // columns)
            across = (width - GAP * (columns - 1)) / columns
            down = (height - GAP * (rows - 1)) / rows - below
            side = min(across, down * aspect)
            # Full rows look better than somewhat larger cells.
            found.append((side * (1 if shown % columns == 0 else _RAGGED), side, columns))
        _, side, columns = max(found)
        return Cells(shown, columns, max(1, int(side)), max(1, int(side / aspect)) + below)

    most = min(count, max(1, 2 * width * height // (least * least)))
    tried = [best(shown) for shown in range(1, most + 1)]
    room = [one for one in tried if one.width >= least] or tried[:1]
    full = [one for one in room if one.count % one.columns == 0 and one.count >= _RAGGED * room[-1].count]
    return room[-1] if room[-1].count == count or not full else full[-1]


def side_by_side(
    result: Result, cells: Cells, draw: Callable[[int, int, int], Image.Image], dark: bool, below: int = 0
) -> SlidePicture:
    """The first samples of a result side by side, each over what it counts for where the run was corrected.

    Args:
        result: of a run.
        cells: that they have.
        draw: sample number, width, height -> its picture, at most of that size, RGB or RGBA.
        dark: whether the slide is.
        below: pixels of the line below each, as `cells_for` was told.
    """
    sheet = in_cells(cells, draw, dark, below)
    pen, high, shares = ImageDraw.Draw(sheet), cells.height - below, result.shares
    if shares is not None and below:
        for place in range(cells.count):
            left, top = _corner(cells, place)
            middle = (left + cells.width / 2, top + high + below / 2)
            pen.text(middle, share_text(float(shares[place])), INK[dark], ImageFont.load_default(LETTERS), "mm")
    return SlidePicture(sheet, shown_note(result, cells.count))


def in_cells(cells: Cells, draw: Callable[[int, int, int], Image.Image], dark: bool, below: int = 0) -> Image.Image:
    """Samples side by side; arguments as of `side_by_side`."""
    columns, rows = cells.columns, cells.rows
    size = (columns * cells.width + GAP * (columns - 1), rows * cells.height + GAP * (rows - 1))
    sheet = Image.new("RGB", size, GROUND[dark])
    high = cells.height - below
    for place in range(cells.count):
        left, top = _corner(cells, place)
        picture = draw(place, cells.width, high)
        corner = (left + (cells.width - picture.width) // 2, top + (high - picture.height) // 2)
        sheet.paste(picture, corner, picture if picture.mode == "RGBA" else None)
    return sheet


def _corner(cells: Cells, place: int) -> tuple[int, int]:
    """The left and the upper end of a cell, in pixels."""
    row, column = divmod(place, cells.columns)
    return column * (cells.width + GAP), row * (cells.height + GAP)


def line_below(result: Result) -> int:
    """Pixels of the line below each sample, which says what it counts for where the run was corrected."""
    return 0 if result.shares is None else LINE


def share_text(share: float) -> str:
    """A share in per cent: "12.5 %", "<1 %"."""
    return "<1 %" if 0 < share < 0.005 else f"{100 * share:.3g} %"


def shown_note(result: Result, shown: int) -> str:
    """How many of the samples are shown, and what the numbers below them are; empty where that goes without saying."""
    count = result.log_density.shape[1]
    parts = [words for words in [first_of(shown, count)] if words]
    if result.shares is not None:
        groups = count // result.recipe.group
        whole = "its run" if groups == 1 else f"its group of {result.recipe.group}"
        parts.append(f"Below each what it counts for in {whole}")
    return ". ".join(parts)


def first_of(shown: int, count: int) -> str:
    """Which of the samples are shown; empty where all are."""
    return f"The first {shown} of {count} samples" if shown < count else ""


def enlarged(picture: np.ndarray, width: int, height: int) -> Image.Image:
    """A picture, uint8 [H, W] or [H, W, 3], as large as the cell allows, its pixels kept where they are few."""
    image = Image.fromarray(picture).convert("RGB")
    factor = min(width / image.width, height / image.height)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    if factor >= 3:
        # Squares, with the edge between two of them smoothed where it falls within a pixel.
        whole = math.ceil(factor)
        image = image.resize((image.width * whole, image.height * whole), Image.Resampling.NEAREST)
        return image.resize(size, Image.Resampling.BOX)
    return image.resize(size, Image.Resampling.LANCZOS)
