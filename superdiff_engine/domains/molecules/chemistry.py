"""What RDKit says of a molecule: the molecule itself from atoms and bonds, validity, stereochemistry, properties.

A molecule here is three arrays: elements [atoms] (indices into ELEMENTS), positions [atoms, 3] in Angstrom, bonds
[atoms, atoms] (0 to 3, symmetric, Kekule form). *Valid* means: RDKit sanitises it, it is one fragment, and no atom is
charged or a radical; all of that from the arrays alone, since hydrogens are atoms like others and none is added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdCIPLabeler

from ..chemistry import MEASURES
from .atoms import ELEMENTS, PROPERTY_NAMES, VALENCES

BOND_TYPES = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}


def build_molecule(elements: np.ndarray, positions: np.ndarray, bonds: np.ndarray) -> Chem.Mol:
    """An RDKit molecule with one conformer, not sanitised; hydrogens are atoms, and no others are implied.

    Args:
        elements: indices into ELEMENTS, [atoms].
        positions: Angstrom, [atoms, 3].
        bonds: orders 0 to 3, [atoms, atoms]; the upper triangle counts.
    """
    molecule = Chem.RWMol()
    for element in elements:
        atom = Chem.Atom(ELEMENTS[int(element)])
        atom.SetNoImplicit(True)
        molecule.AddAtom(atom)
    for first, second in zip(*np.nonzero(np.triu(bonds, 1)), strict=True):
        molecule.AddBond(int(first), int(second), BOND_TYPES[int(bonds[first, second])])
    conformer = Chem.Conformer(len(elements))
    for index, position in enumerate(positions):
        conformer.SetAtomPosition(index, [float(value) for value in position])
    molecule.AddConformer(conformer)
    return molecule.GetMol()


@dataclass(frozen=True)
class Verdict:
    """A molecule as RDKit sees it.

    Attributes:
        molecule: sanitised where that is possible, else as built; a valid one with its stereochemistry.
        smiles: canonical, without hydrogens and without stereochemistry; "" where it is not valid.
        valid: sanitised, one fragment, no charge, no radical.
        reason: why it is not valid, in a few words; "" where it is.
    """

    molecule: Chem.Mol
    smiles: str
    valid: bool
    reason: str


def verdict_on(elements: np.ndarray, positions: np.ndarray, bonds: np.ndarray) -> Verdict:
    """Whether arrays as `build_molecule` takes them are a valid molecule."""
    built = build_molecule(elements, positions, bonds)
    off = valence_errors(elements, bonds)
    if off.any():
        first = int(np.nonzero(off)[0][0])
        order = int(np.triu(bonds, 1)[first].sum() + np.triu(bonds, 1)[:, first].sum())
        symbol = ELEMENTS[int(elements[first])]
        # Many files leave all hydrogens out: then that is the reason.
        bare = ", no hydrogens" if order < VALENCES[int(elements[first])] and 0 not in elements else ""
        return Verdict(built, "", False, f"{symbol} with {order} bond{'' if order == 1 else 's'}{bare}")
    molecule = Chem.Mol(built)
    try:
        Chem.SanitizeMol(molecule)
    except (Chem.MolSanitizeException, ValueError) as error:
        return Verdict(built, "", False, str(error).splitlines()[0])
    if len(Chem.GetMolFrags(molecule)) > 1:
        return Verdict(molecule, "", False, f"{len(Chem.GetMolFrags(molecule))} fragments")
    smiles = Chem.MolToSmiles(Chem.RemoveHs(molecule), isomericSmiles=False)
    Chem.AssignStereochemistryFrom3D(molecule)
    return Verdict(molecule, smiles, True, "")


@dataclass(frozen=True)
class Stereo:
    """The stereochemistry of a molecule as its geometry has it.

    Attributes:
        smiles: canonical, without hydrogens, with stereochemistry.
        centres: (number of the atom from 0, its label) of every tetrahedral centre: "R" or "S", "r" or "s" where it
            depends on others, "?" where the geometry is too flat to tell.
        bonds: (numbers of the two atoms from 0, "E" or "Z", "?" likewise) of every double bond that can be either.
    """

    smiles: str
    centres: tuple[tuple[int, str], ...]
    bonds: tuple[tuple[int, int, str], ...]


def stereo_of(molecule: Chem.Mol) -> Stereo:
    """What RDKit perceives of the geometry of a valid molecule, of a `Verdict`; labels by the rules of Cahn, Ingold and
    Prelog (new algorithm: Hanson et al. 2018, doi 10.1021/acs.jcim.8b00324).

    Nitrogen inverts quickly, so it counts as a centre only where a bridge holds it.
    """
    found = Chem.Mol(molecule)
    Chem.AssignStereochemistryFrom3D(found)
    rdCIPLabeler.AssignCIPLabels(found)
    centres, bonds = [], []
    for one in Chem.FindPotentialStereo(found, cleanIt=False):
        if one.type == Chem.StereoType.Atom_Tetrahedral:
            atom = found.GetAtomWithIdx(one.centeredOn)
            label = atom.GetProp("_CIPCode") if atom.HasProp("_CIPCode") else "?"
            if label != "?" or atom.GetSymbol() != "N":
                centres.append((one.centeredOn, label))
        elif one.type == Chem.StereoType.Bond_Double:
            bond = found.GetBondWithIdx(one.centeredOn)
            label = bond.GetProp("_CIPCode") if bond.HasProp("_CIPCode") else "?"
            bonds.append((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), label))
    return Stereo(Chem.MolToSmiles(Chem.RemoveHs(found)), tuple(centres), tuple(bonds))


def valence_errors(elements: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Bool [atoms]: whose bond orders do not sum to the element's valence. EDM's *stable* atoms are the others."""
    upper = np.triu(bonds, 1)
    return (upper.sum(0) + upper.sum(1)) != np.asarray(VALENCES)[elements]


def properties_of(molecule: Chem.Mol) -> dict[str, float]:
    """All PROPERTIES of a sanitised molecule, by name; hydrogens as atoms or implied give the same."""
    bare = Chem.RemoveHs(molecule)
    return {name: float(MEASURES[name](bare)) for name in PROPERTY_NAMES}
