"""Molecules in three dimensions, out of their SMILES alone: for whoever asks, since a model of text has no geometry.

Distance geometry with torsions as crystals have them (ETKDG version 3: Wang et al. 2020, doi
10.1021/acs.jcim.0c00025), then MMFF94 (Halgren 1996). The same SMILES gives the same geometry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from ..chemistry import Relaxation, relax
from .checks import molecule_of

__all__ = ["Built", "build"]

_SEED, _SECONDS = 2024, 10


@dataclass(frozen=True)
class Built:
    """A molecule with a geometry.

    Attributes:
        molecule: with its hydrogens and one conformer.
        relaxation: what MMFF94 did; None where it lacks a type for an atom, and the geometry is as embedded.
    """

    molecule: Chem.Mol
    relaxation: Relaxation | None

    @property
    def elements(self) -> list[str]:
        """The symbols of the atoms."""
        return [atom.GetSymbol() for atom in self.molecule.GetAtoms()]

    @property
    def positions(self) -> np.ndarray:
        """Of the atoms, Angstrom, [atoms, 3]."""
        return np.asarray(self.molecule.GetConformer().GetPositions())

    @property
    def bonds(self) -> list[tuple[int, int, int]]:
        """(first atom, second atom, order), Kekule form."""
        kekule = Chem.Mol(self.molecule)
        Chem.Kekulize(kekule, clearAromaticFlags=True)
        return [
            (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), max(1, round(bond.GetBondTypeAsDouble())))
            for bond in kekule.GetBonds()
        ]

    def frame(self) -> dict[str, Any]:
        """What scripts that draw atoms are told of it (`domain.Solid`)."""
        places = np.round(self.positions, 3).tolist()
        return {"elements": self.elements, "positions": places, "bonds": [list(bond) for bond in self.bonds]}

    @property
    def said(self) -> str:
        """What its geometry is, for the end of a sentence."""
        if self.relaxation is None:
            return "embedded by ETKDG; MMFF94 has no parameters for one of its atoms"
        return "embedded by ETKDG, relaxed with MMFF94"


@lru_cache(maxsize=256)
def build(smiles: str) -> Built | None:
    """The geometry of a canonical SMILES; None where none was found within ten seconds."""
    whole = Chem.AddHs(molecule_of(smiles))
    settings: Any = rdDistGeom.ETKDGv3()
    settings.randomSeed, settings.timeout = _SEED, _SECONDS
    try:
        if rdDistGeom.EmbedMolecule(whole, settings) < 0:
            settings.useRandomCoords = True
            if rdDistGeom.EmbedMolecule(whole, settings) < 0:
                return None
        found = relax(whole)
    except (RuntimeError, ValueError):  # atoms of which RDKit knows no radius
        return None
    if found is not None:
        conformer = whole.GetConformer()
        for atom, place in enumerate(found.positions):
            conformer.SetAtomPosition(atom, place.tolist())
    return Built(whole, found)
