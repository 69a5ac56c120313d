"""Molecules as chemists draw them: flat depictions by RDKit, one or many in a picture."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from PIL import Image
from rdkit import Chem
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from .arrays import Structures
from .checks import verdicts_of

CELL = 220
#: How many molecules a grid shows at most.
SHOWN = 64


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
        molecule: of a `Verdict`.
        note: a line below it.
        width: in pixels.
        height: in pixels.
        dark: for a dark page.
        bond: the length of a bond in pixels, where the molecule has room for it; None: as large as it has room.
    """
    try:
        return _drawn(flat(molecule), note, width, height, dark, bond)
    except (RuntimeError, ValueError):  # RDKit gives up on some tangles; the others of a sheet are drawn
        mark = Chem.MolFromSmiles("*")
        mark.GetAtomWithIdx(0).SetProp("_displayLabel", "?")
        return _drawn(mark, note, width, height, dark, bond)


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


def grid(molecules: Structures, most: int = SHOWN, shares: np.ndarray | None = None) -> Image.Image:
    """The first molecules of a result side by side on white, each with its number, and why if it is not valid.

    Args:
        molecules: of a result.
        most: that are drawn.
        shares: what each counts for within its group, written beside its number; None where all count the same.
    """
    verdicts = verdicts_of(molecules, range(min(most, len(molecules.atoms))))
    columns = max(1, math.ceil(math.sqrt(len(verdicts))))
    sheet = Image.new("RGB", (columns * CELL, math.ceil(len(verdicts) / columns) * CELL), "white")
    for index, verdict in enumerate(verdicts):
        number = str(index) if shares is None else f"{index} ({shares[index]:.0%} of group)"
        note = number if verdict.valid else f"{number}: {verdict.reason}"[:34]
        cell = Image.open(io.BytesIO(depict(verdict.molecule, note))).convert("RGBA")
        sheet.paste(cell, ((index % columns) * CELL, (index // columns) * CELL), cell)
    return sheet
