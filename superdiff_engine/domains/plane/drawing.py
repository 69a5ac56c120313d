"""The plane as a picture: what the page shows of it, with the same colours, axes and contour lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..colours import NEUTRAL, TARGET, expert_colours, owners, rgb
from .contours import density_lines

#: Pixels: the square of the plane, the room around it, a line of the legend.
SIDE, LEFT, TOP, BELOW, LINE = 512, 40, 10, 34, 20
#: Height of the letters that these are for, in pixels.
LETTERS = 12
#: Drawn larger, then reduced: smooth lines.
LARGER = 2
#: What is said where the sizes of dots differ.
AREA_NOTE = "The area of a dot is what its sample counts for."


@dataclass(frozen=True)
class Ink:
    """Colours of the ground, of axes and letters, and of the grid."""

    ground: str
    text: str
    grid: str


INK = {"light": Ink("#ffffff", "#3c4650", "#e4e8eb"), "dark": Ink("#10171c", "#c3ced5", "#26323a")}


def draw_plane(
    positions: np.ndarray,
    weights: np.ndarray,
    contours: np.ndarray,
    extent: np.ndarray,
    names: Sequence[str],
    counts: np.ndarray | None = None,
    target: np.ndarray | None = None,
    side: int = SIDE,
    letters: int = LETTERS,
    theme: str = "light",
    reach: np.ndarray | None = None,
) -> Image.Image:
    """Samples over the contour lines of every expert.

    Args:
        positions: x and y of the samples, [n, 2].
        weights: of the experts for every sample, [experts, n]; who has nearly all of it gives the colour.
        contours: log-densities on a grid, [experts, rows, columns]; row 0 is the lowest y.
        extent: x0, x1, y0, y1 of the grid, and of the picture unless `reach` says another.
        names: of the experts, for a legend below; none for none, where there is one elsewhere.
        counts: what each sample counts for beside the others, 1 on average, [n]: the area of its dot; None for all the
            same.
        target: log-density of the exact target on the grid, likewise; None draws none.
        side: of the square of the plane, in pixels.
        letters: height of the letters, in pixels.
        theme: "light" or "dark".
        reach: x0, x1, y0, y1 of the picture, where it shows more than the grid.
    """
    colours = expert_colours(len(contours), theme)
    ink = INK[theme]
    plane = Image.new("RGB", (side * LARGER, side * LARGER), ink.ground)
    pen = ImageDraw.Draw(plane, "RGBA")
    x0, x1, y0, y1 = (float(value) for value in (extent if reach is None else reach))
    scale = np.array([side * LARGER / (x1 - x0), -side * LARGER / (y1 - y0)])
    unit = LARGER * side / SIDE  # what is drawn grows with the plane

    def pixels(places: np.ndarray) -> np.ndarray:
        return (places - [x0, y1]) * scale

    apart = max(1.0, (x1 - x0) // 8)
    ticks = np.arange(np.ceil(x0 / apart), np.floor(x1 / apart) + 1) * apart
    for tick in ticks:
        for start, end in (((tick, y0), (tick, y1)), ((x0, tick), (x1, tick))):
            pen.line([tuple(point) for point in pixels(np.array([start, end]))], fill=ink.grid, width=LARGER)
    widths = [3, *[2] * len(colours)]  # the first broader, as everywhere
    drawn = list(zip(contours, colours, widths, strict=False))
    if target is not None:  # below the experts' lines, which it often follows
        drawn.insert(0, (target, _between(TARGET[theme], ink.ground, 0.55), 6))
    for grid, colour, width in drawn:
        lines = pixels(density_lines(grid, extent)).reshape(-1, 3, 2)[:, :2]  # two ends and a gap each
        for first, second in lines:
            pen.line([tuple(first), tuple(second)], fill=colour, width=round(width * unit))
    shades = [*colours, NEUTRAL[theme]]
    radii = np.full(len(positions), 2.5) if counts is None else 2.5 * np.sqrt(counts)
    for (x, y), owner, size in zip(pixels(positions), owners(weights), radii.tolist(), strict=True):
        if np.isfinite([x, y]).all():
            radius = size * unit
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*rgb(shades[owner]), 166))
    plane = plane.resize((side, side), Image.Resampling.LANCZOS)
    note = AREA_NOTE if counts is not None and names else ""
    return _framed(plane, ticks, (x0, x1, y0, y1), list(zip(names, colours, strict=False)), note, letters, ink)


def _between(first: str, second: str, share: float) -> str:
    """A colour on the way from one "#rrggbb" to another, `share` of the second."""
    parts = [round(one + share * (other - one)) for one, other in zip(rgb(first), rgb(second), strict=True)]
    return "#" + "".join(f"{part:02x}" for part in parts)


def _framed(
    plane: Image.Image,
    ticks: np.ndarray,
    extent: tuple[float, float, float, float],
    legend: Sequence[tuple[str, str]],
    note: str,
    letters: int,
    ink: Ink,
) -> Image.Image:
    """The plane with its axes, and below it a line for each expert, and a note if there is one."""
    x0, x1, y0, y1 = extent
    side, lines = plane.width, len(legend) + bool(note)
    left, top, below, line = (round(pixels * letters / LETTERS) for pixels in (LEFT, TOP, BELOW, LINE))
    sheet = Image.new("RGB", (left + side + top, top + side + below + line * lines), ink.ground)
    sheet.paste(plane, (left, top))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(letters)
    pen.rectangle((left, top, left + side, top + side), outline=ink.text)
    for tick in ticks:
        across, down = left + (tick - x0) / (x1 - x0) * side, top + (y1 - tick) / (y1 - y0) * side
        pen.text((across, top + side + 4), f"{tick:g}", ink.text, font, "ma")
        pen.text((left - 5, down), f"{tick:g}", ink.text, font, "rm")
    pen.text((left + side / 2, top + side + round(1.5 * letters)), "x", ink.text, font, "ma")
    pen.text((round(letters * 5 / 6), top + side / 2), "y", ink.text, font, "mm")
    for row, (name, colour) in enumerate(legend):
        middle = top + side + below + line * row + line // 2
        pen.line((left, middle, left + 20, middle), fill=colour, width=4)
        # Pillow's own font knows no other letters.
        pen.text((left + 28, middle), name.encode("ascii", "replace").decode()[:70], ink.text, font, "lm")
    if note:
        pen.text((left, top + side + below + line * len(legend) + line // 2), note, ink.text, font, "lm")
    return sheet
