"""What a molecule model is compared with: QM9's molecules by hash, some of its test molecules, quantiles of properties.

It is kept beside the model, so that novelty, normalised properties and the ranking by log-density need no download.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ...errors import ModelError
from ...system.file_cache import file_cached
from ...system.files import write_whole
from .atoms import PROPERTY_NAMES
from .data import Molecules

FILE = "reference.safetensors"
#: Test molecules that are kept, and quantiles of each property.
KEPT, QUANTILES = 512, 201


@dataclass(frozen=True)
class Reference:
    """Facts about QM9.

    Attributes:
        known: int64, hashes of the canonical SMILES of all its molecules, sorted.
        quantiles: float32 [properties, 201] of the training molecules.
        elements, positions, bonds, atoms: of test molecules, as `data.Molecules` holds them.
    """

    known: np.ndarray
    quantiles: np.ndarray
    elements: np.ndarray
    positions: np.ndarray
    bonds: np.ndarray
    atoms: np.ndarray

    @classmethod
    def of(cls, everything: Molecules, training: Molecules, test: Molecules, kept: int = KEPT) -> Reference:
        """From QM9 and its split."""
        some = test.take(np.linspace(0, len(test) - 1, min(kept, len(test))).astype(int))
        steps = np.linspace(0, 1, QUANTILES)
        quantiles = np.quantile(training.properties, steps, axis=0).T.astype(np.float32)
        known = np.unique(smiles_hashes(everything.smiles))
        return cls(known, quantiles, some.elements, some.positions, some.bonds, some.atoms)

    def novel(self, smiles: Sequence[str] | np.ndarray) -> np.ndarray:
        """Bool [n]: which SMILES are not among QM9's."""
        return ~np.isin(smiles_hashes(smiles), self.known)

    def rank(self, name: str, values: np.ndarray) -> np.ndarray:
        """Share of the training molecules below each value of a property, 0 to 1 (ties count half)."""
        table = self.quantiles[PROPERTY_NAMES.index(name)]
        below, up_to = (np.searchsorted(table, values, side) for side in ("left", "right"))
        return 0.5 * (below + up_to) / len(table)

    def save(self, folder: Path) -> None:
        """Write it beside a model."""
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in vars(self).items()}
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FILE, save(tensors))


def smiles_hashes(smiles: Sequence[str] | np.ndarray) -> np.ndarray:
    """int64 [n]: the first eight bytes of each SMILES' SHA-256."""
    digests = b"".join(hashlib.sha256(str(text).encode()).digest()[:8] for text in smiles)
    return np.frombuffer(digests, np.int64)


@file_cached(2, FILE)
def load_reference(folder: Path) -> Reference:
    """The reference beside a model; raises ModelError."""
    try:
        stored = load_file(folder / FILE)
        return Reference(**{name: value.clone().numpy() for name, value in stored.items()})
    except (OSError, SafetensorError, TypeError) as error:
        raise ModelError(f"{folder / FILE} is missing or damaged ({error}); install SuperDiff Studio again.") from None
