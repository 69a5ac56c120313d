"""Backbones as flat drawings: a tube seen along the chain's thinnest direction, coloured by secondary structure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from ..colours import STRUCTURE_COLOURS, rgb
from .arrays import DecodedProteins

CELL = 220
#: How many proteins a grid shows at most; points of the curve between two residues; drawn larger, then reduced.
SHOWN, POINTS, LARGER = 36, 6, 3
#: Width of the tube in Angstrom, by secondary structure.
WIDTHS = {"H": 2.4, "E": 2.4, "-": 1.0}
#: What the colours are, in words.
STRUCTURE_NOTE = "Helices purple, strands amber"
#: How far behind a piece its edge stands, Angstrom.
BEHIND = 3.0


@dataclass(frozen=True)
class Viewpoint:
    """How a chain is looked at: the same for all moments of it.

    Attributes:
        axes: what is across, up and depth, [3, 3], right-handed.
        middle: of the picture along them, [3], Angstrom.
        extent: from the middle to the picture's edge, about, Angstrom.
    """

    axes: np.ndarray
    middle: np.ndarray
    extent: float


def viewpoint(alpha: np.ndarray) -> Viewpoint:
    """From where CA [residues, 3] in Angstrom are seen best: the longest extent is across, the shortest is depth."""
    axes = _axes(alpha)
    seen = (alpha - alpha.mean(0)) @ axes.T
    middle = (seen.max(0) + seen.min(0)) / 2
    return Viewpoint(axes, alpha.mean(0) @ axes.T + middle, max(float(np.abs(seen - middle)[:, :2].max()), 1.0))


def depict(
    backbone: np.ndarray, structure: str, side: int = CELL, dark: bool = False, view: Viewpoint | None = None
) -> Image.Image:
    """An RGBA picture of one chain on a clear ground.

    Args:
        backbone: N, CA, C, O [residues, 4, 3] in Angstrom.
        structure: a letter of "HE-" for each residue.
        side: in pixels.
        dark: for a dark page.
        view: from where it is seen; None: from where it is seen best.
    """
    alpha = np.asarray(backbone, np.float64)[:, 1]
    if not np.isfinite(alpha).all():
        return Image.new("RGBA", (side, side))
    seen = project(alpha) if view is None else alpha @ view.axes.T - view.middle
    curve = smooth(seen)
    letters = [structure[min(len(structure) - 1, round(index / POINTS))] for index in range(len(curve))]
    if view is None:
        curve[:, :2] -= (curve[:, :2].max(0) + curve[:, :2].min(0)) / 2
    extent = max(float(np.abs(curve[:, :2]).max()), 1.0) if view is None else view.extent
    scale = 0.44 * side * LARGER / extent
    picture = Image.new("RGBA", (side * LARGER, side * LARGER))
    draw = ImageDraw.Draw(picture)
    edge = (20, 22, 28, 255) if dark else (255, 255, 255, 255)
    depth = curve[:, 2]
    near = (depth - depth.min()) / max(float(np.ptp(depth)), 1e-6)
    centre = side * LARGER / 2
    middle = (depth[1:] + depth[:-1]) / 2
    # What is far comes first. A piece's edge stands behind it, so that it parts crossings and not neighbours.
    strokes = sorted(
        [(z, index, False) for index, z in enumerate(middle)]
        + [(z - BEHIND, index, True) for index, z in enumerate(middle)]
    )
    for _, index, is_edge in strokes:
        ends = [tuple(centre + scale * point[:2]) for point in curve[index : index + 2]]
        width = max(1, round(scale * WIDTHS[letters[index]]))
        shade = 0.55 + 0.45 * near[index]
        ground = 40 if dark else 255
        colour = tuple(round(ground + (part - ground) * shade) for part in rgb(STRUCTURE_COLOURS[letters[index]]))
        _stroke(draw, ends, width + 2 * LARGER if is_edge else width, edge if is_edge else (*colour, 255))
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def _stroke(draw: ImageDraw.ImageDraw, ends: list[tuple[float, ...]], width: int, colour: tuple[int, ...]) -> None:
    draw.line([(x, y) for x, y in ends], fill=colour, width=width)
    for x, y in ends:
        draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=colour)


def project(alpha: np.ndarray) -> np.ndarray:
    """CA [residues, 3], turned so that the longest extent is across and the shortest is depth; right-handed."""
    return (alpha - alpha.mean(0)) @ _axes(alpha).T


def _axes(alpha: np.ndarray) -> np.ndarray:
    _, _, axes = np.linalg.svd(alpha - alpha.mean(0), full_matrices=False)
    axes[2] *= np.sign(np.linalg.det(axes))  # a mirror image would be another protein
    return axes


def smooth(points: np.ndarray) -> np.ndarray:
    """A Catmull-Rom curve through points [n, 3], POINTS to each piece."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.arange(POINTS)[:, None] / POINTS
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    pieces = [
        0.5 * (2 * b[k] + (c[k] - a[k]) * t + (2 * a[k] - 5 * b[k] + 4 * c[k] - d[k]) * t**2
               + (3 * b[k] - a[k] - 3 * c[k] + d[k]) * t**3)
        for k in range(len(b))
    ]  # fmt: skip
    return np.concatenate([*pieces, points[-1:]])


def grid(proteins: DecodedProteins, most: int = SHOWN, shares: np.ndarray | None = None) -> Image.Image:
    """The first proteins of a result side by side on white, each with its number, from 0 as its file has it.

    Args:
        proteins: of a result.
        most: that are drawn.
        shares: what each counts for within its group, written beside its number; None where all count the same.
    """
    count = min(most, len(proteins.residues))
    columns = max(1, math.ceil(math.sqrt(count)))
    sheet = Image.new("RGB", (columns * CELL, math.ceil(count / columns) * CELL), "white")
    draw = ImageDraw.Draw(sheet)
    for index in range(count):
        cell = depict(*proteins.chain(index))
        place = ((index % columns) * CELL, (index // columns) * CELL)
        sheet.paste(cell, place, cell)
        note = str(index) if shares is None else f"{index} ({shares[index]:.0%} of group)"
        draw.text((place[0] + 6, place[1] + 4), note, fill="black")
    return sheet
