"""Molecules as chemists draw them: flat depictions by RDKit, one or many in a picture."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from rdkit import Chem
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

__all__ = ["CELL", "depict", "flat", "on_white", "question_mark", "sheet"]

#: Pixels that a depiction is wide and high, where nothing else is asked for.
CELL = 220


def depict(
    molecule: Chem.Mol,
    note: str = "",
    width: int = CELL,
    height: int = CELL,
    dark: bool = False,
    bond: float | None = None,
) -> bytes:
    """A PNG of a molecule without its hydrogens where it can be read so, else with all its atoms as they are.

    Args:
        molecule: sanitised or not.
        note: a line below it.
        width: in pixels.
        height: in pixels.
        dark: for a dark page.
        bond: the length of a bond in pixels, where the molecule has room for it; None: as large as it has room.
    """
    try:
        return _drawn(flat(molecule), note, width, height, dark, bond)
    except (RuntimeError, ValueError):  # RDKit gives up on some tangles; the others of a sheet are drawn
        return _drawn(question_mark(), note, width, height, dark, bond)


def question_mark() -> Chem.Mol:
    """What stands where there is nothing to draw."""
    mark = Chem.MolFromSmiles("*")
    mark.GetAtomWithIdx(0).SetProp("_displayLabel", "?")
    return mark


def _drawn(molecule: Chem.Mol, note: str, width: int, height: int, dark: bool, bond: float | None) -> bytes:
    drawer = rdMolDraw2D.MolDraw2DCairo(width, height)
    options: Any = drawer.drawOptions()
    if dark:
        rdMolDraw2D.SetDarkMode(drawer)
    options.clearBackground = False
    options.legendFontSize = 14 if bond is None else 18
    if bond is not None:
        options.fixedBondLength = bond
    options.padding = 0.08
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule, legend=note, kekulize=False)
    drawer.FinishDrawing()
    return drawer.GetDrawingText()


def flat(molecule: Chem.Mol) -> Chem.Mol:
    """A copy in two dimensions; without hydrogens unless RDKit cannot tell what it is."""
    copy = Chem.Mol(molecule)
    try:
        copy = Chem.RemoveHs(copy)
    except (Chem.MolSanitizeException, ValueError):
        copy.UpdatePropertyCache(strict=False)
    rdDepictor.Compute2DCoords(copy)
    _part(copy)
    return copy


def _part(molecule: Chem.Mol) -> None:
    """Move atoms apart that a layout puts into one place, as it does with tangles: a bond needs a direction."""
    layout = molecule.GetConformer()
    places = layout.GetPositions()
    for index in range(1, len(places)):
        turn = 0
        while (np.linalg.norm(places[:index] - places[index], axis=1) < 1e-3).any():
            turn += 1
            places[index, :2] += 0.1 * turn * np.array([math.cos(2.4 * turn), math.sin(2.4 * turn)])
        if turn:
            layout.SetAtomPosition(index, places[index].tolist())


def sheet(drawn: Sequence[tuple[Chem.Mol, str]]) -> Image.Image:
    """Molecules side by side on white, each over its note."""
    columns = max(1, math.ceil(math.sqrt(len(drawn))))
    found = Image.new("RGB", (columns * CELL, max(1, math.ceil(len(drawn) / columns)) * CELL), "white")
    for index, (molecule, note) in enumerate(drawn):
        cell = Image.open(io.BytesIO(depict(molecule, note))).convert("RGBA")
        found.paste(cell, ((index % columns) * CELL, (index // columns) * CELL), cell)
    return found


def on_white(molecule: Chem.Mol, side: int = 600) -> Image.Image:
    """One molecule alone, without a note."""
    drawn = Image.open(io.BytesIO(depict(molecule, width=side, height=side))).convert("RGBA")
    white = Image.new("RGB", drawn.size, "white")
    white.paste(drawn, mask=drawn)
    return white
