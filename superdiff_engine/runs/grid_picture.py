"""The picture of a grid: cells side by side on white, with the axes' names and values above and to the left."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
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
    #: Of a value along an axis, a prompt say: pixels that one beside a row may be wide, and lines that one may have.
    BESIDE, LINES = 220, 4
    INK, EMPTY, EDGE, PALE = "#1a1a1a", "#f1f1f1", "#d4d4d4", "#5a5a5a"

    def __init__(self, cells: Mapping[Place, Image.Image | str], x: Axis, y: Axis | None, title: str) -> None:
        self.cells = {place: fit(cell) if isinstance(cell, Image.Image) else cell for place, cell in cells.items()}
        self.x, self.y = x, y
        self.font, self.small, self.bold = (_font(size) for size in (14, 10, 15))
        pictures = [cell for cell in self.cells.values() if isinstance(cell, Image.Image)]
        self.width = max((picture.width for picture in pictures), default=CELL)
        self.height = max((picture.height for picture in pictures), default=CELL)
        rows = [[""]] if y is None else [_wrap(text, self.font, self.BESIDE, self.LINES) for text in y.texts]
        self.rows, self.columns = rows, [_wrap(text, self.font, self.width, self.LINES) for text in x.texts]
        # A long word (a seed of many digits) widens its column rather than run into the next.
        self.pitch = max(self.width, self._longest(self.columns)) + self.GAP
        self.left = self.MARGIN
        if y is not None:
            self.left += self.LINE + self._longest(rows) + 10
        inner = max(self.left + len(x.texts) * self.pitch, self.WIDEST_TITLE)
        self.title = _wrap(title, self.bold, inner - self.MARGIN, 4)
        self.deep = max(len(lines) for lines in self.columns)
        self.top = self.MARGIN + self.LINE * (len(self.title) + 1 + self.deep) + (8 if self.title else 0)
        self.height = max(self.height, self.LINE * max(len(lines) for lines in rows))
        size = (inner + self.MARGIN, self.top + len(rows) * (self.height + self.GAP) + self.MARGIN)
        self.image = Image.new("RGB", size, "white")
        self.pen = ImageDraw.Draw(self.image)

    def _longest(self, texts: list[list[str]]) -> int:
        return math.ceil(max(self.font.getlength(line) for lines in texts for line in lines))

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
        label = drawable(self.x.label)
        middle = max(middle, self.MARGIN + self.bold.getlength(label) / 2)
        self.pen.text((middle, self.top - (self.deep + 0.5) * self.LINE), label, self.INK, self.bold, "mm")
        for column, lines in enumerate(self.columns):
            left, top = self._corner(0, column)
            for above, line in enumerate(reversed(lines)):
                place = left + self.width / 2, top - (above + 0.5) * self.LINE
                self.pen.text(place, line, self.INK, self.font, "mm")

    def _down(self, y: Axis) -> None:
        for row, lines in enumerate(self.rows):
            top = self._corner(row, 0)[1] + (self.height - self.LINE * (len(lines) - 1)) / 2
            for below, line in enumerate(lines):
                self.pen.text((self.left - 10, top + below * self.LINE), line, self.INK, self.font, "rm")
        title = drawable(y.label)
        length = math.ceil(self.bold.getlength(title)) + 2
        label = Image.new("RGB", (length, self.LINE), "white")
        ImageDraw.Draw(label).text((length / 2, self.LINE / 2), title, self.INK, self.bold, "mm")
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


def _font_file() -> Path | None:
    """DejaVu Sans, which comes with matplotlib and has the letters of most alphabets."""
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return path if path.is_file() else None


@cache
def _font(size: int) -> Any:
    path = _font_file()
    return ImageFont.load_default(size) if path is None else ImageFont.truetype(str(path), size)


@cache
def _letters() -> frozenset[int]:
    """The characters that the font has, beyond those of ASCII."""
    path = _font_file()
    if path is None:
        return frozenset()
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(path)).get_charmap())


def drawable(text: str) -> str:
    """A text as the font can write it, on one line: other characters become question marks."""
    line = " ".join(unicodedata.normalize("NFC", text).split())
    return line if line.isascii() else "".join(c if c.isascii() or ord(c) in _letters() else "?" for c in line)


def _wrap(text: str, font: Any, width: float, most: int) -> list[str]:
    """The text in lines of about this width in pixels, `most` of them; a word of up to 32 letters stays whole."""
    columns = max(8, int(width / font.getlength("o")))
    short = " ".join(word if len(word) <= 32 else f"{word[:31]}…" for word in drawable(text).split())
    lines = textwrap.wrap(short, columns, max_lines=max(1, most), placeholder=" ...", break_long_words=False)
    return lines or [""]
