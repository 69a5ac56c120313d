"""Molecules of the user's own, from an SDF."""

from __future__ import annotations

import numpy as np

from superdiff_engine.domains.molecules.files import ReadMolecules, read_sdf
from superdiff_engine.domains.molecules.judging import judge_molecules
from superdiff_engine.domains.molecules.model import Decoded

from .molecules import scene
from .own import Kind
from .viewer import draw_viewer


def _judge(given: ReadMolecules) -> dict[str, np.ndarray]:
    return judge_molecules(Decoded(given.elements, given.positions, given.bonds, given.atoms))


def _columns(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "molecule": np.arange(len(arrays["atoms"])),
        "SMILES, or why not valid": np.where(arrays["valid"], arrays["smiles"], arrays["reason"]),
        "atoms": arrays["atoms"],
    }


def _draw(arrays: dict[str, np.ndarray], index: int, name: str) -> None:
    alt = f"Molecule {index} of the file in three dimensions"
    draw_viewer([scene(arrays, [index])], "own-3d", name, alt, height=300)


OWN = Kind(
    domain="molecules",
    title="Molecules of your own",
    label="An SDF with all hydrogens (H, C, N, O, F; 3 to 29 atoms a molecule)",
    types=["sdf", "mol", "sd"],
    one="molecule",
    read=read_sdf,
    judge=_judge,
    columns=_columns,
    draw=_draw,
)
