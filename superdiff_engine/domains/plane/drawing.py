"""The plane as a picture: what the page shows of it, with the same colours, axes and contour lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..colours import NEUTRAL, expert_colours, owners, rgb
from .contours import density_lines

#: Pixels: the square of the plane, the room around it, a line of the legend.
SIDE, LEFT, TOP, BELOW, LINE = 512, 40, 10, 34, 20
#: Drawn larger, then reduced: smooth lines.
LARGER = 2
_INK, _GRID = "#3c4650", "#e4e8eb"


def draw_plane(
    positions: np.ndarray,
    weights: np.ndarray,
    contours: np.ndarray,
    extent: np.ndarray,
    names: Sequence[str],
    counts: np.ndarray | None = None,
) -> Image.Image:
    """Samples over the contour lines of every expert, on white.

    Args:
        positions: x and y of the samples, [n, 2].
        weights: of the experts for every sample, [experts, n]; who has nearly all of it gives the colour.
        contours: log-densities on a grid, [experts, rows, columns]; row 0 is the lowest y.
        extent: x0, x1, y0, y1 of the grid, and of the picture.
        names: of the experts.
        counts: what each sample counts for beside the others, 1 on average, [n]: the area of its dot; None for all the
            same.
    """
    colours = expert_colours(len(names), "light")
    plane = Image.new("RGB", (SIDE * LARGER, SIDE * LARGER), "white")
    pen = ImageDraw.Draw(plane, "RGBA")
    x0, x1, y0, y1 = (float(value) for value in extent)
    scale = np.array([SIDE * LARGER / (x1 - x0), -SIDE * LARGER / (y1 - y0)])

    def pixels(places: np.ndarray) -> np.ndarray:
        return (places - [x0, y1]) * scale

    apart = max(1.0, (x1 - x0) // 8)
    ticks = np.arange(np.ceil(x0 / apart), np.floor(x1 / apart) + 1) * apart
    for tick in ticks:
        for start, end in (((tick, y0), (tick, y1)), ((x0, tick), (x1, tick))):
            pen.line([tuple(point) for point in pixels(np.array([start, end]))], fill=_GRID, width=LARGER)
    for order, (grid, colour) in enumerate(zip(contours, colours, strict=True)):
        lines = pixels(density_lines(grid, extent)).reshape(-1, 3, 2)[:, :2]  # two ends and a gap each
        for first, second in lines:
            pen.line([tuple(first), tuple(second)], fill=colour, width=(3 if order == 0 else 2) * LARGER)
    shades = [*colours, NEUTRAL["light"]]
    radii = np.full(len(positions), 2.5) if counts is None else 2.5 * np.sqrt(counts)
    for (x, y), owner, size in zip(pixels(positions), owners(weights), radii.tolist(), strict=True):
        if np.isfinite([x, y]).all():
            radius = size * LARGER
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*rgb(shades[owner]), 166))
    plane = plane.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    note = "" if counts is None else "The area of a dot is what its sample counts for."
    return _framed(plane, ticks, (x0, x1, y0, y1), names, colours, note)


def _framed(
    plane: Image.Image,
    ticks: np.ndarray,
    extent: tuple[float, float, float, float],
    names: Sequence[str],
    colours: Sequence[str],
    note: str,
) -> Image.Image:
    """The plane with its axes, and below it a line for each expert, and a note if there is one."""
    x0, x1, y0, y1 = extent
    lines = len(names) + bool(note)
    sheet = Image.new("RGB", (LEFT + SIDE + TOP, TOP + SIDE + BELOW + LINE * lines), "white")
    sheet.paste(plane, (LEFT, TOP))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    pen.rectangle((LEFT, TOP, LEFT + SIDE, TOP + SIDE), outline=_INK)
    for tick in ticks:
        across, down = LEFT + (tick - x0) / (x1 - x0) * SIDE, TOP + (y1 - tick) / (y1 - y0) * SIDE
        pen.text((across, TOP + SIDE + 4), f"{tick:g}", _INK, font, "ma")
        pen.text((LEFT - 5, down), f"{tick:g}", _INK, font, "rm")
    pen.text((LEFT + SIDE / 2, TOP + SIDE + 18), "x", _INK, font, "ma")
    pen.text((10, TOP + SIDE / 2), "y", _INK, font, "mm")
    for row, (name, colour) in enumerate(zip(names, colours, strict=True)):
        middle = TOP + SIDE + BELOW + LINE * row + LINE // 2
        pen.line((LEFT, middle, LEFT + 20, middle), fill=colour, width=4)
        # Pillow's own font knows no other letters.
        pen.text((LEFT + 28, middle), name.encode("ascii", "replace").decode()[:70], _INK, font, "lm")
    if note:
        pen.text((LEFT, TOP + SIDE + BELOW + LINE * len(names) + LINE // 2), note, _INK, font, "lm")
    return sheet
