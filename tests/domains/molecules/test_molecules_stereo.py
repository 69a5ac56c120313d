"""Stereochemistry out of geometries, against labels worked out by hand and against molecules of both hands."""

import numpy as np
import pytest
from rdkit import Chem
from tiny_molecules import known_molecules

from superdiff_engine.domains.molecules.checks import checked_molecules, verdicts_of
from superdiff_engine.domains.molecules.chemistry import stereo_of, verdict_on
from superdiff_engine.domains.molecules.files import stereo_smiles

H, C, OXYGEN, F = 0, 1, 3, 4
#: Corners of a tetrahedron around a centre at the origin, the last of them behind for one who looks from (-1, -1, -1).
CORNERS = np.array([[-1, -1, 1], [-1, 1, -1], [1, -1, -1], [1, 1, 1]]) / np.sqrt(3)


def bonded(count, *pairs):
    orders = np.zeros((count, count), int)
    for first, second, order in pairs:
        orders[first, second] = orders[second, first] = order
    return orders


def fluoroethanol(mirrored):
    """1-fluoroethanol, CH3-CHF-OH; the ranks are F > O > C > H, so its centre's label is worked out by hand."""
    f, o, c, h = CORNERS * np.array([[1.38], [1.4], [1.52], [1.09]])
    methyl = c + np.array([[0.6, -0.9, 0.1], [0.9, 0.2, -0.6], [-0.1, -0.6, -0.9]])
    places = np.array([[0, 0, 0], f, o, c, h, o + np.array([-0.9, 0.3, 0.1]), *methyl])
    if mirrored:
        places[:, 0] *= -1
    elements = np.array([C, F, OXYGEN, C, H, H, H, H, H])
    bonds = bonded(9, (0, 1, 1), (0, 2, 1), (0, 3, 1), (0, 4, 1), (2, 5, 1), (3, 6, 1), (3, 7, 1), (3, 8, 1))
    return elements, places, bonds


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_hand_of_a_centre_is_that_of_the_rules(mirrored):
    elements, places, bonds = fluoroethanol(mirrored)
    f, o, c = places[1:4]
    # The eye stands opposite of H. F, O, C turn against the clock (S) where their normal points towards it.
    turn = np.dot(-places[4], np.cross(o - f, c - f))
    expected = "S" if turn > 0 else "R"
    verdict = verdict_on(elements, places, bonds)
    assert verdict.valid and verdict.smiles == "CC(O)F"
    found = stereo_of(verdict.molecule)
    assert found.centres == ((0, expected),) and found.bonds == ()
    named = Chem.FindMolChiralCenters(Chem.MolFromSmiles(found.smiles), useLegacyImplementation=True)
    assert [label for _, label in named] == [expected]


@pytest.mark.parametrize("same_side", [False, True])
def test_the_side_of_a_double_bond_is_where_the_atoms_stand(same_side):
    side = 1 if same_side else -1
    places = np.array(
        [[0, 0, 0], [1.33, 0, 0], [-0.7, 1.1, 0], [2.03, side * 1.1, 0], [-0.6, -0.9, 0], [1.9, -0.9 * side, 0]]
    )
    elements = np.array([C, C, F, F, H, H])
    bonds = bonded(6, (0, 1, 2), (0, 2, 1), (1, 3, 1), (0, 4, 1), (1, 5, 1))
    verdict = verdict_on(elements, places, bonds)
    found = stereo_of(verdict.molecule)
    assert found.bonds == ((0, 1, "Z" if same_side else "E"),)
    assert found.smiles == Chem.CanonSmiles("F/C=C\\F" if same_side else "F/C=C/F") and verdict.smiles == "FC=CF"


def test_a_flat_centre_is_not_told():
    elements, places, bonds = fluoroethanol(False)
    places[:5, 2] = 0
    places[1:5, :2] = 1.4 * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    found = stereo_of(verdict_on(elements, places, bonds).molecule)
    assert found.centres == ((0, "?"),) and "@" not in found.smiles


def test_known_molecules_of_both_hands():
    """Amino acids, diols (one of them meso), an epoxide, an oxime; mirrored ones are the other hand."""
    both = {
        "C[C@H](N)C(=O)O": ("S", "R"), "N[C@@H](CO)C(=O)O": ("S", "R"), "C[C@H](O)[C@H](C)O": ("SS", "RR"),
        "C[C@H](O)[C@@H](C)O": ("SR", "RS"), "C[C@@H]1CO1": ("R", "S"), "C[C@H](O)C#N": ("S", "R"),
    }  # fmt: skip
    molecules = known_molecules(list(both))
    for turn in (0, 1):
        decoded = checked_molecules(molecules)
        verdicts = verdicts_of(decoded)
        for row, (text, labels) in enumerate(both.items()):
            found = stereo_of(verdicts[row].molecule)
            assert "".join(label for _, label in found.centres) == labels[turn], text
            swapped = text.replace("@@", "!").replace("@", "@@").replace("!", "@") if turn else text
            assert found.smiles == Chem.CanonSmiles(swapped)
            assert decoded.smiles[row] == Chem.MolToSmiles(Chem.MolFromSmiles(text), isomericSmiles=False)
        molecules.positions[:, :, 0] *= -1
    assert stereo_smiles(checked_molecules(molecules), [1]) == [Chem.CanonSmiles("N[C@@H](CO)C(=O)O")]
