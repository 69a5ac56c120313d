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

from .judging import verdicts_of

CELL = 220
#: How many molecules a grid shows at most.
SHOWN = 64


def depict(molecule: Any, note: str = "", width: int = CELL, height: int = CELL, dark: bool = False) -> bytes:
    """A PNG of a molecule without its hydrogens where it can be read so, else with all its atoms as they are.

    Args:
        molecule: of a `Verdict`.
        note: a line below it.
        width: in pixels.
        height: in pixels.
        dark: for a dark page.
    """
    drawer = rdMolDraw2D.MolDraw2DCairo(width, height)
    options: Any = drawer.drawOptions()
    if dark:
        rdMolDraw2D.SetDarkMode(drawer)
    options.clearBackground = False
    options.legendFontSize = 14
    options.padding = 0.08
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, flat(molecule), legend=note, kekulize=False)
    drawer.FinishDrawing()
    return drawer.GetDrawingText()


def flat(molecule: Any) -> Any:
    """A copy in two dimensions; without hydrogens unless RDKit cannot tell what it is."""
    copy = Chem.Mol(molecule)
    try:
        copy = Chem.RemoveHs(copy)
    except (Chem.MolSanitizeException, ValueError):
        copy.UpdatePropertyCache(strict=False)
    rdDepictor.Compute2DCoords(copy)
    return copy


def grid(arrays: dict[str, np.ndarray], most: int = SHOWN) -> Image.Image:
    """The first molecules of a result side by side on white, each with its number, and why if it is not valid."""
    verdicts = verdicts_of(arrays, range(min(most, len(arrays["atoms"]))))
    columns = max(1, math.ceil(math.sqrt(len(verdicts))))
    sheet = Image.new("RGB", (columns * CELL, math.ceil(len(verdicts) / columns) * CELL), "white")
    for index, verdict in enumerate(verdicts):
        note = str(index) if verdict.valid else f"{index}: {verdict.reason}"[:34]
        cell = Image.open(io.BytesIO(depict(verdict.molecule, note))).convert("RGBA")
        sheet.paste(cell, ((index % columns) * CELL, (index // columns) * CELL), cell)
    return sheet
