"""SDF as strangers write it: every record is read as RDKit reads it, or named; drawings; missing hydrogens."""

import itertools
import random
import re
import types

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDepictor, rdDistGeom

from superdiff_engine.domains.checked import make_recipe, parse_recipe
from superdiff_engine.domains.molecules import reading
from superdiff_engine.domains.molecules.arrays import Structures
from superdiff_engine.domains.molecules.atoms import ELEMENTS, pair_indices
from superdiff_engine.domains.molecules.checks import checked_molecules
from superdiff_engine.domains.molecules.files import MOST_READ, read_sdf
from superdiff_engine.domains.molecules.reading import ReadMolecules, read_plain
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.runs.estimation import Estimation
from superdiff_engine.system.sandbox import Limits, read_apart

READER = "superdiff_engine.domains.molecules.reading:read_plain"


def embedded(smiles):
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(molecule, randomSeed=7) == 0
    return molecule


def drawn(smiles, hydrogens=True):
    molecule = Chem.MolFromSmiles(smiles)
    molecule = Chem.AddHs(molecule) if hydrogens else molecule
    rdDepictor.Compute2DCoords(molecule)
    return molecule


def sdf(*molecules, extended=False):
    return "".join(Chem.MolToMolBlock(one, forceV3000=extended) + "$$$$\n" for one in molecules)


ETHANOL, PYRIDINE = embedded("CCO"), embedded("c1ccncc1")
ONE, TWO = sdf(ETHANOL), sdf(ETHANOL, PYRIDINE)


def atom_lines(change):
    """ONE with each line of an atom changed."""
    return "".join((change(line) if len(line) > 60 else line) + "\n" for line in ONE.splitlines())


def check(read, row, molecule):
    """A row of what was read against RDKit's own molecule: elements, places, Kekule bonds."""
    count = molecule.GetNumAtoms()
    known = Chem.Mol(molecule)
    Chem.Kekulize(known, clearAromaticFlags=True)
    assert read.atoms[row] == count
    assert [ELEMENTS[kind] for kind in read.elements[row][:count]] == [atom.GetSymbol() for atom in known.GetAtoms()]
    places = known.GetConformer().GetPositions()
    np.testing.assert_allclose(read.positions[row][:count], places - places.mean(0), atol=2e-4)
    orders = np.zeros((29, 29))
    for bond in known.GetBonds():
        orders[tuple(sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())))] = bond.GetBondTypeAsDouble()
    np.testing.assert_array_equal(read.bonds[row], orders[pair_indices()])


WHOLE = {
    "as RDKit writes it": TWO,
    "blank lines at the end": TWO + "\n\n \n",
    "Ctrl+Z at the end": TWO + "\x1a",
    "no last $$$$": TWO[: -len("$$$$\n")],
    "no $$$$ at all": TWO.replace("$$$$\n", ""),
    "no $$$$ but data items": TWO.replace("$$$$\n", "> <x>\n1\n\n"),
    "no M END": TWO.replace("M  END\n", ""),
    "no M END but data items": TWO.replace("M  END\n", "> <x>\n1\n\n"),
    "neither $$$$ nor M END": TWO.replace("M  END\n", "").replace("$$$$\n", ""),
    "Windows line ends": TWO.replace("\n", "\r\n"),
    "old Macintosh line ends": TWO.replace("\n", "\r"),
    "extended": sdf(ETHANOL, PYRIDINE, extended=True),
    "extended, no ends": re.sub(r"M  V30 END CTAB\nM  END\n", "", sdf(ETHANOL, PYRIDINE, extended=True)),
    "blank lines at the beginning": "\n\n" + TWO,
    "no title line": TWO[TWO.index("\n") + 1 :],
    "data items in Latin-1": TWO.replace("$$$$", "> <Name é>\nMüller\n\n$$$$").encode("latin-1"),
    "data items in Greek": TWO.replace("$$$$", "> <Name>\nμ\n\n$$$$").encode("iso8859-7"),
    "UTF-8 with a mark": b"\xef\xbb\xbf" + TWO.encode(),
    "UTF-16": TWO.encode("utf-16"),
    "a title of any bytes": b"\xfc\xfe\xfd title" + TWO.encode(),
    "a thousand data items": TWO.replace("$$$$", "".join(f"> <f{k}>\n{k}\n\n" for k in range(1000)) + "$$$$"),
}


@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE.keys())
def test_every_record_is_read_as_rdkit_reads_it(content):
    read = read_sdf(content if isinstance(content, bytes) else content.encode("latin-1"))
    assert read.numbers == (1, 2) and read.unplaced == ("", "") and read.notes == ()
    check(read, 0, ETHANOL)
    check(read, 1, PYRIDINE)


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line[:34],
        lambda line: line[:39],
        lambda line: line[:42] + "   " + line[45:],  # no count of hydrogens
        lambda line: line[:48] + "999" + line[51:],  # a valence that no atom has
        lambda line: line[:42] + "\xe9\xff " + line[45:],
    ],
    ids=["coordinates and symbol only", "to the charge", "no hydrogen count", "valence 999", "bytes above 127"],
)
def test_fields_of_atoms_that_are_for_queries_play_no_part(change):
    read = read_sdf(atom_lines(change).encode("latin-1"))
    assert read.notes == ()
    check(read, 0, ETHANOL)


BAD = {
    "an element": (ONE.replace(" O ", " Au"), "atoms that the models do not know"),
    "a charge": (ONE.replace("M  END", "M  CHG  1   1   1\nM  END"), "uncharged"),
    "empty": ("$$$$\n", "is empty"),
    "cut off": (ONE[:300] + "\n$$$$\n", "cut off after"),
    "text": ("What is this?\n$$$$\n", "not in the SDF format"),
    "coordinates": (atom_lines(lambda line: "*" * 10 + line[10:]), "no places"),
    "infinite": (atom_lines(lambda line: "       inf" + line[10:]), "no places"),
    "far": (atom_lines(lambda line: " 9999.0000" + line[10:]), "no places"),
    "a charge of letters": (atom_lines(lambda line: line[:36] + " é " + line[39:]), "Cannot convert"),
    "a bond to nowhere": (ONE.replace("  1  2  1  0", "  1 77  1  0"), "is damaged"),
    "query bonds": (ONE.replace("  1  2  1  0", "  1  2  8  0"), "single, double or triple"),
    "too large": (sdf(embedded("CCCCCCCCCCC")), "35 atoms"),
    "999 atoms": ("\n\n\n999999  0     0  0            999 V2000\n$$$$\n", "999 atoms"),
    "1e308": (re.sub(r"(V30 1 C )\S+", r"\g<1>1e308", sdf(ETHANOL, extended=True)), "no places"),
    "fewer than it says": (sdf(ETHANOL, extended=True).replace("COUNTS 9", "COUNTS 8"), "it says 8 atoms"),
}


@pytest.mark.parametrize(("record", "words"), BAD.values(), ids=BAD.keys())
def test_a_record_that_cannot_be_read_is_named_and_the_others_keep_their_numbers(record, words):
    read = read_sdf((ONE + record + sdf(PYRIDINE)).encode("latin-1"))
    assert read.numbers == (1, 3) and read.atoms.tolist() == [9, 11]
    check(read, 1, PYRIDINE)
    (note,) = read.notes
    assert "Molecule 2 is left out" in note and words in note and note.endswith(".") and "\n" not in note
    with pytest.raises(SuperDiffError, match=words):
        read_sdf((record * 2).encode("latin-1"))


def flat(smiles):
    """A planar molecule in three dimensions, turned into the plane z = 0."""
    molecule = embedded(smiles)
    places = molecule.GetConformer().GetPositions()
    axes = np.linalg.svd(places - places.mean(0))[2]
    for index, place in enumerate((places - places.mean(0)) @ axes.T):
        molecule.GetConformer().SetAtomPosition(index, [float(place[0]), float(place[1]), 0.0])
    return molecule


@pytest.mark.parametrize("smiles", ["c1ccccc1", "O", "C#N", "C#C", "C=C", "C=O", "c1ccncc1", "NC=O", "N=N"])
def test_flat_molecules_are_told_from_drawings(smiles):
    read = read_sdf(sdf(flat(smiles), drawn(smiles)).encode())
    assert read.unplaced == ("", "it is a flat drawing")


def test_a_drawing_of_an_arene_that_is_said_to_be_in_three_dimensions_is_one():
    drawing, molecule = drawn("c1ccncc1", hydrogens=False), Chem.RemoveHs(flat("c1ccncc1"))
    for one in (drawing, molecule):
        one.GetConformer().Set3D(True)
    assert read_sdf(sdf(molecule, drawing).encode()).unplaced == ("", "it is a flat drawing")


def turned(molecule):
    """The same, in another plane, and said to be in three dimensions."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    conformer = molecule.GetConformer()
    for index, place in enumerate(conformer.GetPositions() @ turn):
        conformer.SetAtomPosition(index, [float(value) for value in place])
    conformer.Set3D(True)
    return molecule


def collapsed(atoms):
    molecule = Chem.Mol(ETHANOL)
    for index in atoms:
        molecule.GetConformer().SetAtomPosition(index, [1.0, 2.0, 3.0])
    return molecule


def test_a_molecule_without_geometry_is_not_scored(assets):
    recipe = make_recipe({"domain": "molecules", "experts": [{"model": "molecules"}, {"model": "molecules_rings"}]})
    cases = {
        "it is a flat drawing": [drawn("CCO"), turned(drawn("CCO")), drawn("c1ccccc1", hydrogens=False)],
        "all atoms are in one place": [collapsed(range(9))],
        "two atoms are in one place": [collapsed([2, 5])],
    }
    for words, molecules in cases.items():
        for molecule in molecules:
            given = read_sdf(sdf(molecule).encode())
            assert given.unplaced == (words,) and "not scored" in given.notes[0]
            with pytest.raises(SuperDiffError, match="Molecule 1 has no 3D coordinates, so it is not scored"):
                Estimation(recipe, given, steps=2, paths=1).execute()
    # Among others, the others have the values that they have alone.
    mixed = Estimation(recipe, read_sdf(sdf(drawn("CCO"), ETHANOL).encode()), steps=4, paths=2).execute()
    alone = Estimation(recipe, read_sdf(ONE.encode()), steps=4, paths=2).execute()
    assert mixed.mean.shape == (2, 2) and mixed.paths.shape == (2, 2, 2)
    assert mixed.mean[:, 0].isnan().all() and mixed.paths[..., 0].isnan().all()
    np.testing.assert_allclose(mixed.mean[:, 1], alone.mean[:, 0])


def test_missing_hydrogens_are_said_and_added_by_rdkit():
    benzene, methane = embedded("c1ccccc1"), embedded("C")
    bare = sdf(Chem.RemoveHs(benzene))
    given = read_sdf(bare.encode())
    assert given.lacking == (6,) and "6 hydrogens missing" in given.notes[0]
    judged = checked_molecules(Structures(given.elements, given.positions, given.bonds, given.atoms))
    assert judged.reason.tolist() == ["C with 3 bonds, no hydrogens"]
    read = read_sdf((bare + sdf(Chem.RemoveHs(methane), drawn("CCCCO", hydrogens=False))).encode(), add_hydrogens=True)
    assert read.lacking == (0, 0, 10) and read.atoms.tolist() == [12, 5, 5] and read.numbers == (1, 2, 3)
    assert "Molecules 1 and 2: RDKit added 10 hydrogens" in " ".join(read.notes)
    assert "Molecule 3 is left without hydrogens" in " ".join(read.notes)
    judged = checked_molecules(Structures(read.elements, read.positions, read.bonds, read.atoms))
    assert judged.smiles.tolist()[:2] == ["c1ccccc1", "C"]
    # Where RDKit itself puts them on the same heavy atoms.
    check(read, 0, Chem.AddHs(Chem.RemoveHs(benzene), addCoords=True))
    with pytest.raises(SuperDiffError, match=r"1 atom; .* lacks 4 hydrogens, which can be added"):
        read_sdf(sdf(Chem.RemoveHs(methane)).encode())
    large = read_sdf(sdf(Chem.RemoveHs(embedded("CCCCCCCCCCC"))).encode(), add_hydrogens=True)
    assert large.atoms.tolist() == [11] and "more than 29 atoms" in large.notes[0]


def cage(atoms, rng):
    """An aromatic carbon cage: a random graph with three bonds at every atom."""
    while True:
        ends = [atom for atom in range(atoms) for _ in range(3)]
        rng.shuffle(ends)
        pairs = {tuple(sorted(pair)) for pair in zip(ends[::2], ends[1::2], strict=True)}
        if len(pairs) == 3 * atoms // 2 and all(first != second for first, second in pairs):
            break
    lines = ["", "", "", f"{atoms:3d}{len(pairs):3d}  0  0  0  0  0  0  0  0999 V2000"]
    lines += [f"{k % 5:10.4f}{k // 5:10.4f}{k % 3:10.4f} C   0  0" for k in range(atoms)]
    return "\n".join([*lines, *(f"{a + 1:3d}{b + 1:3d}  4  0" for a, b in pairs), "M  END", "$$$$", ""])


def test_what_stands_below_thousands_of_blank_lines_is_a_record_too():
    assert read_sdf((TWO + "\n" * 10_000).encode()).notes == ()
    (note,) = read_sdf((TWO + "\n" * 10_000 + "x").encode()).notes
    assert note.startswith("Molecule 3 is left out")


def test_records_that_the_time_does_not_reach_are_named(monkeypatch):
    rng = random.Random(0)
    content = "".join(cage(28, rng) for _ in range(30)).encode()
    read = read_apart(READER, content, Limits(seconds=60))
    left = sum(len(re.findall(r"\d+", note.partition(" left out")[0])) for note in read["notes"] if "left out" in note)
    assert len(read["numbers"]) + left == 30 and len(read["numbers"]) > 20
    clock = itertools.count()
    monkeypatch.setattr(reading, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    some = read_sdf(ONE.encode() * 9, seconds=5)
    assert some.numbers == (1, 2, 3, 4, 5)
    (note,) = some.notes
    assert note.startswith("Molecules 6, 7, 8 and 9 are left out: each was not reached within 5 seconds;")


def test_a_molecule_with_hundreds_of_thousands_of_data_items_is_read():
    items = "".join(f"> <f{k}>\n{k}\n\n" for k in range(300_000))
    recipe = make_recipe({"domain": "molecules", "experts": [{"model": "molecules"}]}).to_json().replace("\n", " ")
    content = ONE.replace("$$$$", f"{items}> <superdiff_recipe>\n{recipe}\n\n$$$$") + ONE
    read = ReadMolecules.from_plain(read_apart(READER, content.encode()))
    assert read.numbers == (1, 2) and parse_recipe(read.recipe) == parse_recipe(recipe)
    check(read, 0, ETHANOL)


def test_what_another_process_says_is_checked():
    plain = read_plain(TWO.encode())
    check(ReadMolecules.from_plain(plain), 1, PYRIDINE)
    for change in (
        {"atoms": [9, 200]},
        {"atoms": []},
        {"positions": [[1e30] * 87] * 2},
        {"positions": [[float("nan")] * 87] * 2},
        {"elements": [[7] * 29] * 2},
        {"bonds": [[9] * 406] * 2},
        {"numbers": [1]},
        {"notes": None},
        {"unplaced": "ab" * 400},
    ):
        with pytest.raises(SuperDiffError, match="could not be read"):
            ReadMolecules.from_plain(plain | change)
    with pytest.raises(SuperDiffError, match=f"more than {MOST_READ}"):
        read_sdf(ONE.encode() * (MOST_READ + 1))
