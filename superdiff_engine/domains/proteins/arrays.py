"""What the domain hands to its view, its files and its tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...arrays import Decoded, Preview


@dataclass(frozen=True, eq=False)
class ProteinPreview(Preview):
    """Backbones on their way; positions are those of `settling`.

    Attributes:
        backbone: float32 [n, longest, 4, 3], N, CA, C and O in Angstrom, zero beyond a chain's end.
        residues: int64 [n], how many residues each has.
    """

    backbone: np.ndarray
    residues: np.ndarray


@dataclass(frozen=True, eq=False)
class DecodedProteins(Decoded):
    """Finished backbones and what is measured of each (`checks`).

    Attributes:
        bonds_ok: float64 [n], the share of successive CA that are 3.8 +- 0.2 Angstrom apart.
        clashes: float64 [n], the share of pairs of CA, neighbours apart, closer than 3.6 Angstrom.
        helix: float64 [n], the share of residues in helices.
        strand: float64 [n], the share of residues in strands.
        radius: float64 [n], radius of gyration of the CA, Angstrom.
        backbone: float32 [n, longest, 4, 3], N, CA, C and O in Angstrom, zero beyond a chain's end.
        residues: int64 [n], how many residues each has.
        structure: "S1" [n, longest], a letter of `checks.LETTERS` for each residue, empty beyond a chain's end.
    """

    bonds_ok: np.ndarray
    clashes: np.ndarray
    helix: np.ndarray
    strand: np.ndarray
    radius: np.ndarray
    backbone: np.ndarray
    residues: np.ndarray
    structure: np.ndarray

    def chain(self, row: int) -> tuple[np.ndarray, str]:
        """(backbone [residues, 4, 3], its secondary structure, a letter a residue) of one sample."""
        length = int(self.residues[row])
        return self.backbone[row, :length], self.structure[row, :length].tobytes().decode()
