"""Molecules as balls and sticks, seen from one side: for moments at which their geometry is all that they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from ..colours import rgb
from .arrays import Structures
from .atoms import ELEMENTS, pair_indices
from .checks import square_bonds

#: Colours of the elements after Jmol, on a light and on a dark ground, and radii of their balls in Angstrom.
COLOURS = {"H": "#e8e8e8", "C": "#6b6b6b", "N": "#3050f8", "O": "#e8190d", "F": "#53b02f"}
RADII = {"H": 0.26, "C": 0.40, "N": 0.40, "O": 0.38, "F": 0.36}
#: Width of a single bond and distance of the lines of a multiple one, Angstrom; drawn larger, then reduced.
BOND, APART, LARGER = 0.14, 0.22, 3
#: Angstrom around the atoms that stay free, and the least half width of a picture.
MARGIN, LEAST = 0.9, 2.2


@dataclass(frozen=True)
class Viewpoint:
    """How a molecule is looked at: the same for all moments of it.

    Attributes:
        axes: what is across, up and depth, [3, 3], right-handed.
        middle: of the picture, [3], Angstrom.
        extent: from the middle to the picture's edge, Angstrom.
    """

    axes: np.ndarray
    middle: np.ndarray
    extent: float


def viewpoint(positions: np.ndarray) -> Viewpoint:
    """From where atoms [n, 3] in Angstrom are seen best: the longest extent is across, the shortest is depth."""
    known = np.nan_to_num(np.asarray(positions, np.float64))
    middle = known.mean(0)
    _, _, axes = np.linalg.svd(known - middle, full_matrices=True)
    axes[2] *= np.sign(np.linalg.det(axes))  # a mirror image would be another molecule
    seen = (known - middle) @ axes.T
    return Viewpoint(axes, middle, max(float(np.abs(seen[:, :2]).max()) + MARGIN, LEAST))


def draw_balls(molecules: Structures, row: int, view: Viewpoint, side: int, dark: bool = False) -> Image.Image:
    """An RGBA picture of one molecule on a clear ground, `side` pixels wide and high."""
    count = int(molecules.atoms[row])
    positions = np.nan_to_num(np.asarray(molecules.positions[row][:count], np.float64))
    seen = (positions - view.middle) @ view.axes.T
    scale = side * LARGER / (2 * view.extent)
    symbols = [ELEMENTS[int(element)] for element in molecules.elements[row][:count]]
    orders = square_bonds(molecules.bonds[row], count)
    first, second = (ends[(orders[pair_indices(count)] > 0)] for ends in pair_indices(count))
    picture = Image.new("RGBA", (side * LARGER, side * LARGER))
    pen = ImageDraw.Draw(picture)
    places = side * LARGER / 2 + scale * seen[:, :2] * [1, -1]
    reach = max(float(np.ptp(seen[:, 2])), 1e-6)
    ground = (16, 23, 28) if dark else (255, 255, 255)

    def shade(colour: tuple[int, ...], depth: float) -> tuple[int, ...]:
        """A colour as it looks at this depth: the farther, the more of the ground."""
        far = 0.45 * (seen[:, 2].max() - depth) / reach
        return tuple(round(part + far * (back - part)) for part, back in zip(colour, ground, strict=True))

    # What is far comes first; a bond stands behind the nearer of its atoms.
    things = [(float(seen[atom, 2]), 1, int(atom), -1) for atom in range(count)]
    things += [(float(min(seen[i, 2], seen[j, 2])), 0, int(i), int(j)) for i, j in zip(first, second, strict=True)]
    stick = (150, 160, 168) if dark else (120, 128, 134)
    edge = (205, 214, 220) if dark else (70, 78, 84)
    for depth, ball, one, other in sorted(things):
        if not ball:
            _stick(pen, places[one], places[other], int(orders[one, other]), scale, shade(stick, depth))
            continue
        x, y = places[one]
        radius = RADII[symbols[one]] * scale
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(box, shade(rgb(COLOURS[symbols[one]]), depth), shade(edge, depth), LARGER)
        if radius > 4 * LARGER:  # a light from the upper left
            x, y, glint = x - 0.35 * radius, y - 0.35 * radius, 0.22 * radius
            bright = tuple(round(part + 0.7 * (255 - part)) for part in rgb(COLOURS[symbols[one]]))
            pen.ellipse((x - glint, y - glint, x + glint, y + glint), shade(bright, depth))
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def _stick(
    pen: ImageDraw.ImageDraw,
    start: np.ndarray,
    end: np.ndarray,
    order: int,
    scale: float,
    colour: tuple[int, ...],
) -> None:
    along = end - start
    aside = np.array([-along[1], along[0]]) / max(float(np.linalg.norm(along)), 1e-6) * APART * scale
    width = max(1, round(BOND * scale * (1 if order == 1 else 0.75)))
    for line in range(order):
        shift = aside * (line - (order - 1) / 2)
        ends = [tuple(start + shift), tuple(end + shift)]
        pen.line(ends, fill=colour, width=width)
