"""Tiny molecule models, with random weights, and known molecules."""

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from superdiff_engine.domains.molecules import model
from superdiff_engine.domains.molecules.arrays import Structures
from superdiff_engine.domains.molecules.atoms import ELEMENTS, PROPERTY_NAMES, pair_indices
from superdiff_engine.domains.molecules.chemistry import BOND_TYPES
from superdiff_engine.domains.molecules.network import MoleculeNetwork
from superdiff_engine.domains.molecules.properties import Vocabulary

QUARTILES = {"logp": (-0.5, 1.0), "tpsa": (20.0, 50.0), "qed": (0.4, 0.5), "sa": (3.0, 5.0), "fsp3": (0.4, 0.9)}


def save_tiny(folder, title, seed):
    torch.manual_seed(seed)
    network = MoleculeNetwork(Vocabulary.of(QUARTILES).sizes, width=32, pair=8, layers=1, heads=2)
    for value in network.parameters():
        value.data += 0.1 * torch.randn_like(value)
    settings = model.MoleculeSettings(
        title=title, description="for tests", network=network.settings, quartiles=QUARTILES, sizes={5: 1, 9: 3, 17: 2}
    )
    model.save_model(folder, network.eval(), settings)


def known_molecules(smiles):
    """Molecules with RDKit's own geometries."""
    orders = {kind: order for order, kind in BOND_TYPES.items()}
    columns = {"elements": [], "positions": [], "bonds": [], "atoms": []}
    for text in smiles:
        molecule = Chem.AddHs(Chem.MolFromSmiles(text))
        rdDistGeom.EmbedMolecule(molecule, randomSeed=1)
        Chem.Kekulize(molecule, clearAromaticFlags=True)
        count = molecule.GetNumAtoms()
        elements, positions = np.zeros(29, np.uint8), np.zeros((29, 3), np.float32)
        elements[:count] = [ELEMENTS.index(atom.GetSymbol()) for atom in molecule.GetAtoms()]
        positions[:count] = molecule.GetConformer().GetPositions()
        bonds = np.zeros((29, 29), np.uint8)
        for bond in molecule.GetBonds():
            first, second = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
            bonds[first, second] = orders[bond.GetBondType()]
        columns["elements"].append(elements)
        columns["positions"].append(positions)
        columns["bonds"].append(bonds[pair_indices()])
        columns["atoms"].append(count)
    return Structures(
        np.stack(columns["elements"]),
        np.stack(columns["positions"]),
        np.stack(columns["bonds"]),
        np.array(columns["atoms"], np.uint8),
    )


def column(name):
    """Where a property stands in arrays of properties."""
    return PROPERTY_NAMES.index(name)
