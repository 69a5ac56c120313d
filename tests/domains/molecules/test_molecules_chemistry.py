"""Reading QM9, RDKit's verdicts, and the terms of prompts, against RDKit's own bond perception and embedding."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem, rdDetermineBonds

from superdiff_engine.domains.chemistry import relax
from superdiff_engine.domains.molecules import atoms, chemistry, data
from superdiff_engine.domains.molecules.properties import Vocabulary
from superdiff_engine.errors import RecipeError

#: Four rows of QM9 (through qm9pack 1.0.3): SMILES, elements, positions.
ROWS = [
    (
        "CCO",
        "['C','C','O','H','H','H','H','H','H']",
        "[[-0.0086050396,1.5020382883,-0.0068121748],[0.0109931006,-0.0176487687,-0.013770355],[0.6808884095,-0.4404180314,"
        "-1.1931320987],[1.0115333417,1.896620303,-0.0192015475],[-0.5315986204,1.8807610923,-0.8897465868],[-0.5167457158,"
        "1.876117708,0.8871073864],[0.5237712083,-0.3891229547,0.8882408183],[-1.0202754406,-0.4050726108,0.0169067033],"
        "[0.6952957263,-1.4017956761,-1.2014849452]]",
    ),
    (
        "C1CC1",
        "['C','C','C','H','H','H','H','H','H']",
        "[[-0.0119327974,1.5143319798,0.010316996],[1.3029911772,0.7788656204,-0.0061784231],[0.0086717414,0.0076704221,"
        "0.0020103247],[-0.3054146435,2.0170211723,0.9253323893],[-0.3227549828,2.0268015645,-0.8934783865],[1.8849339609,"
        "0.7914501983,-0.9211939346],[1.9022663059,0.7816539079,0.8976637317],[-0.2708804319,-0.5128912474,0.9113747374],"
        "[-0.2882198296,-0.503104088,-0.9074082449]]",
    ),
    (
        "CC(N)=O",
        "['C','C','N','O','H','H','H','H','H']",
        "[[0.0067988926,1.4996973638,-0.025670302],[-0.0274038512,-0.0175205065,-0.148948112],[1.1782666695,-0.6332429807,"
        "0.0569172062],[-1.0372196495,-0.6398064871,-0.4072757187],[0.9139028028,1.9292375546,-0.4610006733],[-0.8708089634,"
        "1.9112418589,-0.5234517551],[-0.0282612356,1.7851727063,1.0314912515],[1.9840513879,-0.1317586134,0.3867490606],"
        "[1.1904942069,-1.639195626,0.1000620928]]",
    ),
    (
        "FC(F)(F)F",
        "['F','C','F','F','F']",
        "[[0.0010921821,0.0735451051,0.0024996288],[-0.0168887554,1.3947684349,0.009692655],[1.2227713731,1.8522134169,"
        "0.0003138912],[-0.6559701536,1.8325027456,-1.0609125843],[-0.6354026161,1.8208575876,1.0969063093]]",
    ),
]


def arrays(smiles, seed=1):
    """Elements, positions and Kekule bonds of RDKit's own 3D embedding of a SMILES."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(molecule, randomSeed=seed) == 0
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    elements = np.array([atoms.ELEMENTS.index(atom.GetSymbol()) for atom in molecule.GetAtoms()])
    bonds = np.zeros((len(elements), len(elements)), int)
    for bond in molecule.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        bonds[i, j] = bonds[j, i] = int(bond.GetBondTypeAsDouble())
    return elements, molecule.GetConformer().GetPositions(), bonds


def matrix(row):
    """(elements, positions, bonds) of a row that `read_molecule` returned, without padding."""
    elements, positions, bonds, count, _, _ = row
    full = np.zeros((atoms.MOST_ATOMS, atoms.MOST_ATOMS), int)
    full[atoms.pair_indices()] = bonds
    n = int(count)
    return elements[:n], positions[:n], (full + full.T)[:n, :n]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_bonds_read_from_qm9_are_those_that_rdkit_finds_in_the_geometry(row):
    elements, positions, bonds = matrix(data.read_molecule(*row))
    bare = chemistry.build_molecule(elements, positions, np.zeros_like(bonds))
    rdDetermineBonds.DetermineBonds(bare, charge=0)
    Chem.Kekulize(bare, clearAromaticFlags=True)
    found = np.zeros_like(bonds)
    for bond in bare.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        found[i, j] = found[j, i] = int(bond.GetBondTypeAsDouble())
    assert (bonds == found).all()
    assert np.abs(positions.mean(0)).max() < 1e-5


def test_what_does_not_fit_its_smiles_is_left_out():
    smiles, elements, positions = ROWS[0]
    assert data.read_molecule("OCC", elements, positions) is None  # other order
    assert data.read_molecule("CC=O", elements, positions) is None  # other hydrogens
    assert data.read_molecule(smiles, elements, positions.replace("1.5020382883", "4.5020382883")) is None
    assert (
        data.read_molecule("[NH3+]CC([O-])=O", "['N','C','C','O','O']", "[[0.,0,0],[1,0,0],[2,0,0],[3,0,0],[3,1,0]]")
        is None
    )


def test_floats_may_end_in_a_dot():
    row = data.read_molecule("O", "['O','H','H']", "[[0.,0.,0.],[0.96,0.,0.],[-0.24,0.93,0.]]")
    assert row is not None and row[3] == 3 and row[1][:3].sum() == pytest.approx(0, abs=1e-6)


def test_missing_data_say_how_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"pip download qm9pack==1\.0\.3"):
        data.load_qm9(tmp_path)


@pytest.mark.parametrize("smiles", ["CCO", "c1cc[nH]c1", "C#CC=O", "Oc1cnoc1", "FC1CC1", "N#CC1CO1", "CC(N)=O"])
def test_a_molecule_of_rdkit_is_valid_and_keeps_its_smiles_and_properties(smiles):
    verdict = chemistry.verdict_on(*arrays(smiles))
    assert verdict.valid and verdict.smiles == Chem.CanonSmiles(smiles)
    flat = {one.name: chemistry.MEASURES[one.name](Chem.MolFromSmiles(smiles)) for one in atoms.PROPERTIES}
    assert chemistry.properties_of(verdict.molecule) == pytest.approx(flat)


def test_what_is_not_valid_says_why():
    elements, positions, bonds = arrays("CCO")
    more = bonds.copy()
    more[0, 1] = more[1, 0] = 2
    assert chemistry.verdict_on(elements, positions, more).reason == "C with 5 bonds"
    two = np.concatenate([elements, elements])
    apart = chemistry.verdict_on(two, np.concatenate([positions, positions + 9]), np.kron(np.eye(2, dtype=int), bonds))
    assert not apart.valid and apart.reason == "2 fragments" and apart.smiles == ""
    assert chemistry.valence_errors(elements, more).tolist() == [True, True] + [False] * 7


def test_relaxation_lowers_the_energy_to_what_rdkit_reaches_itself():
    elements, positions, bonds = arrays("CC(N)C=O")
    rng = np.random.default_rng(0)
    shaken = chemistry.verdict_on(elements, positions + rng.normal(0, 0.1, positions.shape), bonds).molecule
    found = relax(shaken)
    own = Chem.Mol(shaken)
    before = AllChem.MMFFGetMoleculeForceField(own, AllChem.MMFFGetMoleculeProperties(own)).CalcEnergy()
    AllChem.MMFFOptimizeMolecule(own, maxIters=500)
    after = AllChem.MMFFGetMoleculeForceField(own, AllChem.MMFFGetMoleculeProperties(own)).CalcEnergy()
    assert found.converged and found.energy == pytest.approx(before - after, rel=1e-3) and found.energy > 5
    assert 0.02 < found.rmsd < 1.0
    assert relax(shaken).energy == found.energy  # the molecule itself has not moved


def quartered():
    rng = np.random.default_rng(0)
    properties = rng.normal(size=(400, len(atoms.PROPERTIES))).astype(np.float32)
    return properties, Vocabulary.of(Vocabulary.quartiles(properties))


def test_high_and_low_are_quarters_and_every_class_is_what_its_term_says():
    properties, vocabulary = quartered()
    classes = vocabulary.classes(properties)
    for name in ("logp", "tpsa", "qed", "sa", "fsp3"):
        column = atoms.PROPERTY_NAMES.index(name)
        low, _ = vocabulary.of_property(name)
        assert (classes[:, column] == 1).sum() == 100 == (classes[:, column] == 2).sum()
        assert (low.holds(properties[:, column]) == (classes[:, column] == 1)).all()
        assert properties[classes[:, column] == 2, column].min() > properties[classes[:, column] == 1, column].max()
    assert [len(vocabulary.of_property(name)) + 1 for name in atoms.PROPERTY_NAMES] == vocabulary.sizes


def test_prompts_are_read_in_any_case_and_order():
    _, vocabulary = quartered()
    terms = vocabulary.parse(" Aromatic ring ,high  logp,, high logP")
    assert [term.text for term in terms] == ["aromatic ring", "high logP"]
    classes = vocabulary.encode(terms)
    assert classes[atoms.PROPERTY_NAMES.index("logp")] == 2
    assert sum(value > 0 for value in classes) == 2
    assert vocabulary.parse("") == [] and vocabulary.encode([]) == [0] * len(atoms.PROPERTIES)


def test_unknown_and_contradictory_prompts_are_one_sentence():
    _, vocabulary = quartered()
    with pytest.raises(RecipeError, match="'high lgP'; choose from 'high logP'"):
        vocabulary.parse("high logP, high lgP")
    with pytest.raises(RecipeError, match="'low logP' and 'high logP' contradict each other"):
        vocabulary.parse("low logP, high logP")
