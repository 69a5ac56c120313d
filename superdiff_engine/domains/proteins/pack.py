"""What trainings learn of proteins, read from the structure database or from a pack: N, CA and C, helix and strand.

A pack holds every training chain of 40 to 256 residues, positions in hundredths of an Angstrom as the database has
them, so that nothing is rounded: the step from each atom to the next, x, y and z and the three kinds of atoms each in a
row. One serves every protein model, with longer chains or without.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...training.packs import is_pack, read_pack, write_pack
from .data import HELIX, LONGEST, STRAND, Chains, load_training_chains
from .frames import MOST_RESIDUES

KIND = "proteins"


@dataclass(frozen=True)
class Backbones:
    """Chains without what no training reads.

    Attributes:
        atoms: float32 [residues, 3, 3], N, CA, C in Angstrom, one chain after another.
        residues: int64 [chains].
        helix, strand: float64 [chains], the shares of the residues in them.
    """

    atoms: np.ndarray
    residues: np.ndarray
    helix: np.ndarray
    strand: np.ndarray

    @classmethod
    def of(cls, chains: Chains) -> Backbones:
        """Of chains that stand one after another, as `Chains.take` leaves them."""
        return cls(
            np.ascontiguousarray(chains.backbone[:, :3]), chains.residues, chains.shares(HELIX), chains.shares(STRAND)
        )

    def __len__(self) -> int:
        return len(self.residues)

    @property
    def first(self) -> np.ndarray:
        """Where each chain begins, int64 [chains]."""
        return np.cumsum(self.residues) - self.residues

    def take(self, chosen: np.ndarray) -> Backbones:
        """Some of the chains, by a mask."""
        rows = np.repeat(chosen, self.residues)
        return Backbones(self.atoms[rows], self.residues[chosen], self.helix[chosen], self.strand[chosen])


def load_training_data(data: Path | None, longest: int = MOST_RESIDUES) -> Backbones:
    """The training chains of up to `longest` residues.

    Args:
        data: a pack, or a folder with structure_db.dat; None for where Debian puts it.
        longest: MOST_RESIDUES to LONGEST.

    Raises:
        ModelError: for a file that is no pack of proteins.
        FileNotFoundError: when the source is not there.
    """
    if data is not None and is_pack(data):
        known = unpacked(read_pack(data, KIND))
        return known.take(known.residues <= longest)
    return Backbones.of(load_training_chains(None if data is None else data / "structure_db.dat", longest))


def save_pack(path: Path, data: Path | None = None) -> Path:
    """Write a pack of all training chains; raises OutputError when it cannot be written."""
    return write_pack(path, KIND, packed(load_training_data(data, LONGEST)))


def packed(chains: Backbones) -> dict[str, np.ndarray]:
    """The arrays of a pack; differences wrap around in 16 bits, and so do their sums."""
    points = np.round(100 * chains.atoms).astype(np.uint16).reshape(-1, 3)
    steps = np.diff(points, axis=0, prepend=np.zeros((1, 3), np.uint16))
    return {
        "residues": chains.residues.astype(np.uint16),
        "steps": steps.reshape(-1, 3, 3).transpose(1, 2, 0),
        "helix": np.round(chains.helix * chains.residues).astype(np.uint16),
        "strand": np.round(chains.strand * chains.residues).astype(np.uint16),
    }


def unpacked(arrays: dict[str, np.ndarray]) -> Backbones:
    """What `packed` was given, to the last bit."""
    residues = arrays["residues"].astype(np.int64)
    steps = arrays["steps"].transpose(2, 0, 1).reshape(-1, 3)
    points = np.cumsum(steps, axis=0, dtype=np.uint16).reshape(-1, 3, 3)
    return Backbones(points.astype(np.float32) / 100, residues, arrays["helix"] / residues, arrays["strand"] / residues)
