"""What trainings learn of QM9, read from its source or from a pack, which lacks nothing but the SMILES.

A pack holds the training molecules' atoms and pairs one after another, without padding, positions in thousandths of an
Angstrom, and the reference as it is. One serves every molecule model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...training.packs import is_pack, read_pack, write_pack
from .atoms import MOST_ATOMS, PROPERTY_NAMES, pair_indices
from .data import Molecules, load_qm9
from .reference import Reference

KIND = "molecules"
#: Of an Angstrom, in which a pack holds positions.
STEPS = 1000


@dataclass(frozen=True)
class TrainingData:
    """All training molecules, of which each model takes its own, and what is kept beside the model of all."""

    molecules: Molecules
    reference: Reference

    @classmethod
    def of(cls, everything: Molecules) -> TrainingData:
        """From all that was read."""
        training, test = everything.split()
        return cls(training, Reference.of(everything, training, test))


def load_training_data(data: Path | None, report: Callable[[str], None] = lambda line: None) -> TrainingData:
    """What there is to learn from.

    Args:
        data: a pack, or a folder with the wheel of qm9pack; None for DATA_FOLDER.
        report: takes a line now and then.

    Raises:
        ModelError: for a file that is no pack of molecules.
        FileNotFoundError: when the source is not there.
    """
    if data is not None and is_pack(data):
        return unpacked(read_pack(data, KIND))
    return TrainingData.of(load_qm9(data, report))


def save_pack(path: Path, data: TrainingData) -> Path:
    """Write a pack; raises OutputError when it cannot be written."""
    return write_pack(path, KIND, packed(data))


def packed(data: TrainingData) -> dict[str, np.ndarray]:
    """The arrays of a pack: of the molecules one after another, and those of the reference."""
    molecules = data.molecules
    atoms, pairs = _there(molecules.atoms)
    return {
        "atoms": molecules.atoms,
        "elements": molecules.elements[atoms],
        "positions": np.round(STEPS * molecules.positions[atoms]).astype(np.int16).T,
        "bonds": molecules.bonds[pairs],
        # A property after another: numbers of one kind compress better side by side.
        "properties": molecules.properties.T,
    } | {f"reference_{name}": value for name, value in vars(data.reference).items()}


def unpacked(arrays: dict[str, np.ndarray]) -> TrainingData:
    """What `packed` was given, positions rounded and the SMILES empty."""
    atoms, pairs = _there(arrays["atoms"])
    count = len(atoms)
    elements, bonds = np.zeros((count, MOST_ATOMS), np.uint8), np.zeros((count, pairs.shape[1]), np.uint8)
    positions = np.zeros((count, MOST_ATOMS, 3), np.float32)
    elements[atoms], bonds[pairs] = arrays["elements"], arrays["bonds"]
    positions[atoms] = arrays["positions"].T / np.float32(STEPS)
    # Rounded one by one, the positions' mean is not quite zero.
    means = positions.sum(1, keepdims=True) / arrays["atoms"][:, None, None].astype(np.float32)
    positions = (positions - means) * atoms[:, :, None]
    properties = np.ascontiguousarray(arrays["properties"].T).reshape(count, len(PROPERTY_NAMES))
    molecules = Molecules(elements, positions, bonds, arrays["atoms"], properties, np.zeros(count, "U1"))
    kept = {name.removeprefix("reference_"): value for name, value in arrays.items() if name.startswith("reference_")}
    return TrainingData(molecules, Reference(**kept))


def _there(atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bool: which atoms [molecules, 29] and which pairs [molecules, 406] molecules with so many atoms have."""
    first, second = pair_indices()
    mask = np.arange(MOST_ATOMS) < atoms[:, None]
    return mask, mask[:, first] & mask[:, second]
