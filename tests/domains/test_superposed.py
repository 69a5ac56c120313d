"""Samples laid onto each other, against tmtools, RDKit's own alignment and motions that are known."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolAlign
from scipy.spatial.transform import Rotation
from tiny_proteins import whole_helix

from superdiff_engine.domains.molecules import superposed as molecules
from superdiff_engine.domains.proteins import superposed as proteins
from superdiff_engine.domains.superposition import superpose, tm_of_residues, tm_scale
from superdiff_engine.errors import SuperDiffError


def walk(residues, seed):
    """A chain of CA 3.8 Angstrom apart that turns at random."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(residues, 3)).cumsum(0) + np.array([2.0, 0, 0])
    return (3.8 * steps / np.linalg.norm(steps, axis=1, keepdims=True)).cumsum(0)


def backbone(alpha):
    return alpha[:, None] + np.array([[-1.2, 0.8, 0], [0, 0, 0], [1.2, 0.8, 0], [1.2, 2.0, 0]])


def turned(points, seed=0):
    rotation = Rotation.random(random_state=seed).as_matrix()
    return points @ rotation.T + np.array([3.0, -20.0, 7.0])


def test_a_motion_is_found_again():
    points = walk(30, 0)
    assert np.allclose(superpose(turned(points), points).of(turned(points)), points)
    theirs, _ = Rotation.align_vectors(points - points.mean(0), walk(30, 1) - walk(30, 1).mean(0))
    assert np.allclose(superpose(walk(30, 1), points).rotation, theirs.as_matrix())
    flat = points * np.array([1, 1, 0])
    assert np.linalg.det(superpose(-flat, flat).rotation) == pytest.approx(1)


def test_a_turned_part_keeps_its_share_of_the_tm_score():
    """Half of a chain that is bent away: the score is that of the half that lies still, at least."""
    chain = walk(80, 3)
    bent = chain.copy()
    bent[50:] = turned(chain[50:])
    score, motion = tm_of_residues(bent, chain)
    assert 50 / 80 <= score < 0.75 and np.abs(motion.of(bent) - chain)[:50].max() < 0.5
    assert tm_of_residues(turned(chain), chain)[0] == pytest.approx(1)
    assert tm_scale(15) == 0.5 and tm_scale(100) == pytest.approx(1.24 * 85 ** (1 / 3) - 1.8)
    with pytest.raises(ValueError, match="one length"):
        tm_of_residues(chain[:-1], chain)


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_tm_scores_are_those_of_tmtools(noise):
    pytest.importorskip("tmtools")
    chain = walk(70, 5)
    moved = backbone(turned(chain + noise * np.random.default_rng(2).normal(size=chain.shape)))
    by_place, one_by_one = (proteins.lay(moved, backbone(chain), way) for way in (True, False))
    assert (by_place.method, one_by_one.method) == (proteins.BY_PLACE, proteins.ONE_BY_ONE)
    assert one_by_one.score == pytest.approx(by_place.score, abs=0.01) and one_by_one.matched == 70
    for laid in (by_place, one_by_one):
        distances = np.linalg.norm(laid.backbone[:, 1] - chain, axis=1)
        # Both name the distance after their own motion, of the residues that they matched.
        assert laid.distance <= np.sqrt(np.square(distances).mean()) + 1e-6
        assert (1 / (1 + (distances / tm_scale(70)) ** 2)).mean() == pytest.approx(laid.score, abs=0.01)


def test_chains_of_different_lengths():
    pytest.importorskip("tmtools")
    part = proteins.lay(turned(whole_helix(30)), whole_helix(60))
    assert part.matched == 30 and part.distance < 0.1 and part.score == pytest.approx(0.5, abs=0.02)
    with pytest.raises(SuperDiffError, match="30 and 60 residues"):
        proteins.lay(whole_helix(30), whole_helix(60), by_place=False)


def embedded(smiles, seed=1):
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(molecule, randomSeed=seed)
    return molecules.heavy_atoms(molecule)


def test_molecules_lie_on_each_other_as_rdkit_lays_them():
    first, second = embedded("CCC(O)C(C)C#N", 1), embedded("CCC(O)C(C)C#N", 7)
    laid = molecules.lay(first, second)
    assert len(laid.pairs) == first.GetNumAtoms()
    assert laid.distance == pytest.approx(rdMolAlign.GetBestRMS(Chem.Mol(first), second), abs=1e-4)
    there = second.GetConformer().GetPositions()
    mine, other = (list(column) for column in zip(*laid.pairs, strict=True))
    apart = np.square(laid.positions[mine] - there[other]).sum(1)
    assert np.sqrt(apart.mean()) == pytest.approx(laid.distance)


def test_two_hands_are_mirror_images():
    one = embedded("C[C@H](N)C(=O)O")
    other = Chem.Mol(one)
    other.GetConformer().SetPositions(one.GetConformer().GetPositions() * np.array([1.0, 1.0, -1.0]))
    laid = molecules.lay(other, one)
    assert laid.distance > 0.3 and laid.mirrored < 1e-3


def test_a_pattern_says_which_atoms_and_what_cannot_be_is_a_sentence():
    amide, acid = embedded("CCC(=O)NC"), embedded("C1CC1CC(=O)O")
    laid = molecules.lay(amide, acid, molecules.parse_pattern("CC=O"))
    assert len(laid.pairs) == 3 and laid.distance < 0.2
    symbols = [(amide.GetAtomWithIdx(a).GetSymbol(), acid.GetAtomWithIdx(b).GetSymbol()) for a, b in laid.pairs]
    assert symbols == [("C", "C"), ("C", "C"), ("O", "O")]
    assert len(molecules.lay(amide, acid).pairs) >= 3
    for text, said in (
        ("C(", "is no SMARTS"),
        ("CC", "three atoms"),
        ("C" * 300, "is no SMARTS"),
        ("", "is no SMARTS"),
    ):
        with pytest.raises(SuperDiffError, match=said):
            molecules.parse_pattern(text)
    with pytest.raises(SuperDiffError, match="not in both"):
        molecules.lay(amide, acid, molecules.parse_pattern("c1ccccc1"))
    with pytest.raises(SuperDiffError, match="share no part"):
        molecules.lay(embedded("C#N"), embedded("CCO"))
