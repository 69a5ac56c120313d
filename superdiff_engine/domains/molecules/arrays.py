"""What the domain hands to its view, its files and its tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...arrays import Arrays, Decoded, Preview


@dataclass(frozen=True, eq=False)
class Structures(Arrays):
    """Molecules, a row each, of at most 29 atoms.

    Attributes:
        elements: uint8 [n, 29], indices of `atoms.ELEMENTS` (H, C, N, O, F).
        positions: float32 [n, 29, 3], Angstrom.
        bonds: uint8 [n, 406], orders of the pairs i < j (`atoms.pair_indices`), 0 for none.
        atoms: uint8 [n], how many atoms each has; what is beyond them is zero.
    """

    elements: np.ndarray
    positions: np.ndarray
    bonds: np.ndarray
    atoms: np.ndarray


@dataclass(frozen=True, eq=False)
class MoleculePreview(Structures, Preview):
    """Molecules on their way: elements and bonds of the denoised mean, positions of `settling`."""


@dataclass(frozen=True, eq=False)
class DecodedMolecules(Structures, Decoded):
    """Finished molecules with RDKit's verdict.

    Attributes:
        valid: bool [n].
        smiles: text [n], canonical; empty where a molecule is not valid.
        reason: text [n], why it is not valid; empty where it is.
        properties: float32 [n, properties] as `atoms.PROPERTY_NAMES`, NaN where a molecule is not valid.
    """

    valid: np.ndarray
    smiles: np.ndarray
    reason: np.ndarray
    properties: np.ndarray
