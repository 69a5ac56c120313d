"""The picture of a grid: cells side by side on white, with the axes' names and values above and to the left."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .axes import Axis

#: The longest side of a cell's picture, in pixels: smaller ones are enlarged by a whole factor, larger ones shrunk.
CELL = 160

#: (row, column) of a cell.
Place = tuple[int, int]


def compose_grid(
    cells: Mapping[Place, Image.Image | str], x: Axis, y: Axis | None = None, title: str = ""
) -> Image.Image:
    """Cells side by side on white, with the axes' names and values above and to the left.

    Args:
        cells: pictures by (row, column); text in place of a picture is written into an empty cell, and a cell that is
            not there stays empty.
        x: the axis across.
        y: the axis down, None for a single row.
        title: written above.

    Returns:
        An RGB picture. Every cell is drawn unchanged but for its size: enlarged by a whole factor, or shrunk, to a
        longest side of at most 160 pixels.
    """
    return _Sheet(cells, x, y, title).draw()


class _Sheet:
    """Where everything goes on the picture, and the drawing of it."""

    GAP, MARGIN, LINE, WIDEST_TITLE = 6, 14, 22, 340
    INK, EMPTY, EDGE, PALE = "#1a1a1a", "#f1f1f1", "#d4d4d4", "#5a5a5a"

    def __init__(self, cells: Mapping[Place, Image.Image | str], x: Axis, y: Axis | None, title: str) -> None:
        self.cells = {place: fit(cell) if isinstance(cell, Image.Image) else cell for place, cell in cells.items()}
        self.x, self.y = x, y
        self.font, self.small, self.bold = (ImageFont.load_default(size) for size in (15, 11, 16))
        pictures = [cell for cell in self.cells.values() if isinstance(cell, Image.Image)]
        self.width = max((picture.width for picture in pictures), default=CELL)
        self.height = max((picture.height for picture in pictures), default=CELL)
        rows = [""] if y is None else y.texts
        # A long value (a seed of many digits) widens its column rather than run into the next.
        self.pitch = max([self.width, *(math.ceil(self.font.getlength(text)) for text in x.texts)]) + self.GAP
        self.left = self.MARGIN
        if y is not None:
            self.left += self.LINE + math.ceil(max(self.font.getlength(text) for text in rows)) + 10
        inner = max(self.left + len(x.texts) * self.pitch, self.WIDEST_TITLE)
        self.title = _wrap(title, self.bold, inner - self.MARGIN, 4)
        self.top = self.MARGIN + self.LINE * (len(self.title) + 2) + (8 if self.title else 0)
        size = (inner + self.MARGIN, self.top + len(rows) * (self.height + self.GAP) + self.MARGIN)
        self.image = Image.new("RGB", size, "white")
        self.pen = ImageDraw.Draw(self.image)

    def draw(self) -> Image.Image:
        for number, line in enumerate(self.title):
            self.pen.text((self.MARGIN, self.MARGIN + number * self.LINE), line, self.INK, self.bold)
        self._across()
        if self.y is not None:
            self._down(self.y)
        for row in range(1 if self.y is None else len(self.y.texts)):
            for column in range(len(self.x.texts)):
                self._cell(row, column)
        return self.image

    def _corner(self, row: int, column: int) -> tuple[int, int]:
        left = self.left + column * self.pitch + (self.pitch - self.GAP - self.width) // 2
        return left, self.top + row * (self.height + self.GAP)

    def _across(self) -> None:
        middle = self.left + (len(self.x.texts) * self.pitch - self.GAP) / 2
        middle = max(middle, self.MARGIN + self.bold.getlength(self.x.label) / 2)
        self.pen.text((middle, self.top - 1.5 * self.LINE), self.x.label, self.INK, self.bold, "mm")
        for column, text in enumerate(self.x.texts):
            left, top = self._corner(0, column)
            self.pen.text((left + self.width / 2, top - 0.5 * self.LINE), text, self.INK, self.font, "mm")

    def _down(self, y: Axis) -> None:
        for row, text in enumerate(y.texts):
            top = self._corner(row, 0)[1]
            self.pen.text((self.left - 10, top + self.height / 2), text, self.INK, self.font, "rm")
        length = math.ceil(self.bold.getlength(y.label)) + 2
        label = Image.new("RGB", (length, self.LINE), "white")
        ImageDraw.Draw(label).text((length / 2, self.LINE / 2), y.label, self.INK, self.bold, "mm")
        upright = label.rotate(90, expand=True)
        spare = self.image.height - self.top - self.MARGIN - upright.height
        self.image.paste(upright, (self.MARGIN - 6, max(self.top + spare // 2, 0)))

    def _cell(self, row: int, column: int) -> None:
        left, top = self._corner(row, column)
        cell = self.cells.get((row, column), "")
        # Around the cell, not on it: white pictures on white need an edge.
        self.pen.rectangle((left - 1, top - 1, left + self.width, top + self.height), outline=self.EDGE)
        if isinstance(cell, Image.Image):
            offset = ((self.width - cell.width) // 2, (self.height - cell.height) // 2)
            self.image.paste(cell, (left + offset[0], top + offset[1]))
            return
        self.pen.rectangle((left, top, left + self.width - 1, top + self.height - 1), self.EMPTY)
        lines = _wrap(cell, self.small, self.width - 10, (self.height - 8) // 14)
        self.pen.multiline_text((left + 5, top + 5), "\n".join(lines), self.PALE, self.small)


def fit(picture: Image.Image) -> Image.Image:
    """The picture at the size of a cell; one that has it already is not scaled again."""
    longest = max(picture.size)
    if longest > CELL:
        width, height = (max(1, round(side * CELL / longest)) for side in picture.size)
        return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    factor = CELL // longest
    if factor == 1:
        return picture.convert("RGB")
    return picture.convert("RGB").resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def _wrap(text: str, font: Any, width: float, most: int) -> list[str]:
    # Pillow's own font has the characters of ASCII; accents are dropped, and other writing is shown as question marks.
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    columns = max(8, int(width / font.getlength("o")))
    return textwrap.wrap(bare.encode("ascii", "replace").decode(), columns, max_lines=max(1, most), placeholder=" ...")
