"""Molecules of the user's own, from an SDF."""

from __future__ import annotations

from typing import Any

import numpy as np

from superdiff_engine.domains.molecules.reading import LARGEST_SDF, ReadMolecules
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.system.reading import as_text

from ..charts.viewer import draw_viewer
from ..stage.given import Kind, Option
from .molecules import scene


def _take(found: dict[str, Any]) -> tuple[ReadMolecules, dict[str, np.ndarray]]:
    """Molecules and RDKit's verdicts on them, which the process that read the file has made."""
    given = ReadMolecules.from_plain(found)
    try:
        verdicts = {
            "valid": np.array([bool(valid) for valid in found["valid"]], bool),
            "smiles": np.array([as_text(text) for text in found["smiles"]], np.str_),
            "reason": np.array([as_text(text) for text in found["reason"]], np.str_),
        }
    except (KeyError, TypeError):
        verdicts = {}
    if [len(column) for column in verdicts.values()] != [len(given.atoms)] * 3:
        raise SuperDiffError("This file could not be read: it is no SDF of molecules that the models know.")
    arrays = {name: getattr(given, name) for name in ("elements", "positions", "bonds", "atoms")}
    return given, arrays | verdicts | {"numbers": np.array(given.numbers)}


def _columns(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "molecule": arrays["numbers"],
        "SMILES, or why not valid": np.where(arrays["valid"], arrays["smiles"], arrays["reason"]),
        "atoms": arrays["atoms"],
    }


def _draw(arrays: dict[str, np.ndarray], index: int, name: str) -> None:
    alt = f"Molecule {arrays['numbers'][index]} of the file in three dimensions"
    draw_viewer([scene(arrays, [index])], "own-3d", name, alt, height=300)


OWN = Kind(
    domain="molecules",
    title="Molecules of your own",
    label="An SDF (H, C, N, O, F; 3 to 29 atoms a molecule, hydrogens included)",
    types=["sdf", "mol", "sd"],
    one="molecule",
    reader="superdiff_engine.domains.molecules.reading:read_plain",
    take=_take,
    columns=_columns,
    draw=_draw,
    megabytes=LARGEST_SDF // 2**20,
    option=Option(
        "add_hydrogens",
        "Add missing hydrogens",
        "RDKit adds them to molecules that lack some and have 3D coordinates; the models know only whole molecules",
    ),
)
