"""What RDKit measures of a molecule, and how MMFF94 relaxes one: for all domains whose samples are molecules."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from rdkit import Chem, RDConfig, RDLogger
from rdkit.Chem import QED, Crippen, Descriptors, rdForceFieldHelpers, rdMolDescriptors

from .superposition import superposed_distance

__all__ = ["MEASURES", "Relaxation", "relax"]

#: RDKit's own reports of what it cannot sanitise: here they are counted and shown, not printed.
RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]


@cache
def _synthetic_accessibility() -> Callable[[Chem.Mol], float]:
    """SA_Score (Ertl and Schuffenhauer 2009), from RDKit's Contrib folder."""
    folder = str(Path(RDConfig.RDContribDir) / "SA_Score")
    if folder not in sys.path:
        sys.path.append(folder)
    import sascorer

    return sascorer.calculateScore


def _element_count(symbol: str) -> Callable[[Chem.Mol], float]:
    return lambda molecule: sum(atom.GetSymbol() == symbol for atom in molecule.GetAtoms())


#: How RDKit measures a `properties.Property`, by its name, of a sanitised molecule without its hydrogens.
MEASURES: dict[str, Callable[[Chem.Mol], float]] = {
    "logp": Crippen.MolLogP,  # type: ignore[attr-defined]
    "tpsa": rdMolDescriptors.CalcTPSA,
    "qed": QED.qed,
    "sa": lambda molecule: _synthetic_accessibility()(molecule),
    "fsp3": rdMolDescriptors.CalcFractionCSP3,
    "rings": rdMolDescriptors.CalcNumRings,
    "aromatic": rdMolDescriptors.CalcNumAromaticRings,
    "donors": rdMolDescriptors.CalcNumHBD,
    "acceptors": rdMolDescriptors.CalcNumHBA,
    "nitrogen": _element_count("N"),
    "oxygen": _element_count("O"),
    "fluorine": _element_count("F"),
    "weight": Descriptors.MolWt,  # type: ignore[attr-defined]
    "heavy": rdMolDescriptors.CalcNumHeavyAtoms,
    "rotatable": rdMolDescriptors.CalcNumRotatableBonds,
}


@dataclass(frozen=True)
class Relaxation:
    """A molecule before and after MMFF94.

    Attributes:
        positions: relaxed, Angstrom, [atoms, 3].
        energy: strain, kcal/mol: MMFF energy before less after.
        rmsd: of the heavy and hydrogen atoms, best superposed, Angstrom.
        converged: whether the minimiser said so.
    """

    positions: np.ndarray
    energy: float
    rmsd: float
    converged: bool


def relax(molecule: Chem.Mol, steps: int = 500) -> Relaxation | None:
    """MMFF94 relaxation (Halgren 1996) of a sanitised molecule with all its hydrogens; None where MMFF lacks a type."""
    moved = Chem.Mol(molecule)
    settings = rdForceFieldHelpers.MMFFGetMoleculeProperties(moved)
    if settings is None:
        return None
    field = rdForceFieldHelpers.MMFFGetMoleculeForceField(moved, settings)
    if field is None:
        return None
    before = field.CalcEnergy()
    missing = field.Minimize(maxIts=steps)
    after = field.CalcEnergy()
    positions = moved.GetConformer().GetPositions()
    return Relaxation(
        positions, before - after, superposed_distance(molecule.GetConformer().GetPositions(), positions), not missing
    )
