"""Molecules in three dimensions, for scripts that draw atoms: numbers and element symbols."""

from __future__ import annotations

import numpy as np

from ...domain import Solid
from .arrays import DecodedMolecules
from .atoms import ELEMENTS, PAIRS, pair_indices

#: Angstrom from the origin at most: what 3Dmol's camera survives.
FARTHEST = 1e4


def solid(molecules: DecodedMolecules, row: int, geometry: str) -> Solid:
    """One molecule; `geometry` says what its positions are, such as "as sampled"."""
    count, (first, second) = int(molecules.atoms[row]), pair_indices()
    orders = molecules.bonds[row][:PAIRS]
    bonds = [
        [int(first[pair]), int(second[pair]), int(orders[pair])]
        for pair in np.flatnonzero(orders)
        if second[pair] < count
    ]
    known = np.nan_to_num(molecules.positions[row][:count], nan=0.0, posinf=FARTHEST, neginf=-FARTHEST)
    frame = {
        "elements": [ELEMENTS[int(element)] for element in molecules.elements[row][:count]],
        "positions": np.round(known.clip(-FARTHEST, FARTHEST).astype(float), 3).tolist(),
        "bonds": bonds,
    }
    valid = bool(molecules.valid[row])
    said = str(molecules.smiles[row]) if valid else f"not valid: {molecules.reason[row]}"
    return Solid(f"Molecule {row}", f"{said}; geometry {geometry}", frame)
