"""PDB and mmCIF as strangers write them: what is read, against Gemmi's own reading, and what is left out."""

import gemmi
import numpy as np
import pytest
import torch
from tiny_proteins import whole_helix

from superdiff_engine.domains.proteins import files
from superdiff_engine.domains.proteins.checks import checked_proteins
from superdiff_engine.domains.proteins.files import mmcif, pdb, read_protein
from superdiff_engine.domains.proteins.reading import ReadProtein, read_plain
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.system.sandbox import Limits, read_apart

READER = "superdiff_engine.domains.proteins.reading:read_plain"
CHAIN = whole_helix(40)
PDB, CIF = pdb([CHAIN]), mmcif(CHAIN)
#: Columns of mmCIF's table of atoms, and its rows.
NAMES = [line.partition(".")[2] for line in CIF.splitlines() if line.startswith("_atom_site.")]
ROWS = [line.split() for line in CIF.splitlines() if line.startswith("ATOM")]


def atom_lines(change, text=PDB):
    """A PDB file with each line of an atom changed."""
    return "".join((change(line) if line.startswith("ATOM") else line) + "\n" for line in text.splitlines())


def number(line):
    return int(line[22:26])


def cif_of(*names):
    """An mmCIF file with these columns only."""
    rows = [" ".join(row[NAMES.index(name)] if name != "label_seq_id" else row[16] for name in names) for row in ROWS]
    return "data_x\nloop_\n" + "".join(f"_atom_site.{name}\n" for name in names) + "\n".join(rows) + "\n"


def gemmi_backbone(text):
    """What Gemmi reads of the first chain's atoms N, CA, C and O."""
    structure = gemmi.read_pdb_string(text.upper())
    return np.array([[residue[name][0].pos.tolist() for name in files.ATOMS] for residue in structure[0][0]])


ODD = {
    "as written here": PDB,
    "no END": PDB.replace("END\n", ""),
    "Windows line ends": PDB.replace("\n", "\r\n"),
    "no column of elements": atom_lines(lambda line: line[:66]),
    "nothing behind the coordinates": atom_lines(lambda line: line[:54]),
    "lower-case letters": atom_lines(str.lower),
    "negative numbers": atom_lines(lambda line: f"{line[:22]}{number(line) - 20:4d}{line[26:]}"),
    "insertion codes": atom_lines(
        lambda line: f"{line[:22]}{(number(line) + 1) // 2:4d}{' A'[number(line) % 2 == 0]}{line[27:]}"
    ),
    "hybrid-36": atom_lines(lambda line: f"{line[:6]}A{line[7:22]}A{number(line):03d}{line[26:]}"),
    "charges that are none": atom_lines(lambda line: line[:78].ljust(78) + "9?"),
    "HETATM": atom_lines(lambda line: "HETATM" + line[6:]),
    "a chain without a name": atom_lines(lambda line: line[:21] + " " + line[22:]),
    "two chains": PDB.replace("END\n", "") + pdb([CHAIN + 50]).replace("GLY A", "GLY B"),
    "two models": pdb([CHAIN, CHAIN + 1]),
    "records that are odd": "HEADER x\nCRYST1 none\nSEQRES\nHELIX\nREMARK é\n" + PDB,
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_odd_pdb_files_are_read_as_gemmi_reads_them(text):
    read = read_protein(text.encode())
    # Without what Gemmi refuses, though no backbone depends on it.
    known = gemmi_backbone("\n".join(line[:78] for line in text.splitlines() if not line.startswith("CRYST1")))
    assert np.abs(read.backbone - known).max() < 1e-5 and np.abs(read.backbone - CHAIN).max() < 1e-3
    assert read.sequence == "G" * 40


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line[:17] + "\xe9\xc4\xff" + line[20:],
        lambda line: line[:21] + "\xb5" + line[22:],
        lambda line: line[:72] + "\xe9\xff\x80" + line[75:],
        lambda line: line[:72] + "\0\0\0" + line[75:],
    ],
    ids=["residue", "chain", "segment", "zeros"],
)
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_bytes_above_127_move_no_column(change, encoding):
    read = read_protein(atom_lines(change).encode(encoding))
    assert np.abs(read.backbone - CHAIN).max() < 1e-3


@pytest.mark.parametrize(
    "text",
    [
        CIF,
        CIF.replace("\n", "\r\n"),
        CIF.replace("data_", "DATA_").replace("loop_", "LOOP_"),
        "# a comment\n\n" + CIF,
        "data_other\n_x.y 1\n" + CIF,
        CIF.replace(" GLY ", " 'GLY' "),
        cif_of(*[name for name in NAMES if "auth" not in name]),
        cif_of(
            "id", "label_atom_id", "label_comp_id", "label_asym_id", "label_seq_id", "Cartn_x", "Cartn_y", "Cartn_z"
        ),
        cif_of("id", "label_atom_id", "label_comp_id", "auth_asym_id", "auth_seq_id", "Cartn_x", "Cartn_y", "Cartn_z"),
    ],
    ids=["whole", "Windows", "capitals", "comment", "second block", "quoted", "label ids", "few columns", "auth ids"],
)
def test_odd_mmcif_files_are_read(text):
    read = read_protein(text.encode())
    assert np.abs(read.backbone - CHAIN).max() < 1e-3 and read.sequence == "G" * 40 and read.notes == ()


def test_modified_residues_are_taken_by_their_backbone():
    names = {3: "MSE", 4: "SEP", 5: "XYZ", 6: "ALA"}
    text = atom_lines(
        lambda line: (
            ("HETATM" if number(line) in (3, 4, 5) else "ATOM  ")
            + line[6:17]
            + names.get(number(line), "GLY")
            + line[20:]
        )
    )
    read = read_protein(text.encode())
    known = "".join(
        (gemmi.find_tabulated_residue(names.get(index, "GLY")).one_letter_code or "X").upper().replace(" ", "X")
        for index in range(1, 41)
    )
    assert read.sequence == known == "GGMSXA" + "G" * 34 and "standard twenty" in " ".join(read.notes)


def test_of_alternate_locations_the_highest_occupancy_is_taken():
    shifted = {"A": (0.3, 0.4), "B": (0.5, 0.0), "C": (0.2, 0.8)}

    def twice(line):
        if number(line) != 7:
            return line
        places = [float(line[start : start + 8]) for start in (30, 38, 46)]
        return "\n".join(
            f"{line[:16]}{label}{line[17:30]}{places[0] + shift / 10:8.3f}{line[38:54]}{occupancy:6.2f}{line[60:]}"
            for label, (occupancy, shift) in shifted.items()
        )

    for text in (atom_lines(twice), gemmi.read_pdb_string(atom_lines(twice)).make_mmcif_document().as_string()):
        read = read_protein(text.encode())
        # B, which is where the chain was before.
        assert np.abs(read.backbone - CHAIN).max() < 1e-3
        assert "highest occupancy" in " ".join(read.notes)
    # Two residues in one place: the one with the higher occupancy, whichever comes first.
    lines = [line for line in PDB.splitlines() if line.startswith("ATOM")]
    here = [line for line in lines if number(line) == 7]
    for first, second in ((0.6, 0.4), (0.4, 0.6)):
        both = [f"{one[:16]}A{'SER'}{one[20:54]}{first:6.2f}{one[60:]}" for one in here]
        both += [f"{one[:16]}B{'THR'}{one[20:54]}{second:6.2f}{one[60:]}" for one in here]
        where = lines.index(here[0])
        text = "\n".join([*lines[:where], *both, *lines[where + len(here) :], "END\n"])
        assert read_protein(text.encode()).sequence[6] == ("S" if first > second else "T")


NOWHERE = [
    "     nan     nan     nan",
    "*" * 24,
    "       ?       ?       ?",
    "     inf   0.000   0.000",
    " " * 24,
    "99999999" * 3,
]


@pytest.mark.parametrize("places", NOWHERE)
def test_coordinates_that_are_no_numbers_leave_their_residue_out(places):
    for missing, stretch in ((11, "12 to 40"), (1, ""), (40, "")):
        text = atom_lines(
            lambda line, at=missing: (
                line[:30] + places + line[54:] if (number(line), line[12:16]) == (at, " CA ") else line
            )
        )
        read = read_protein(text.encode())
        assert np.isfinite(read.backbone).all()
        kept = slice(missing, 40) if missing < 40 else slice(0, 39)
        assert np.abs(read.backbone - CHAIN[kept]).max() < 1e-3
        assert "1 residues without a whole backbone are left out." in read.notes
        assert (f"residues {stretch}, is taken" in " ".join(read.notes)) == bool(stretch)


@pytest.mark.parametrize("value", ["nan", "?", ".", "inf", "-inf", "1e308", "-1e5", "abc", "''"])
def test_mmcif_coordinates_likewise(value):
    row = "\n" + " ".join(ROWS[41])
    assert ROWS[41][3] == "CA" and row in CIF
    changed = [*ROWS[41][:11], value, *ROWS[41][12:]]
    read = read_protein(CIF.replace(row, "\n" + " ".join(changed)).encode())
    assert np.abs(read.backbone - CHAIN[11:]).max() < 1e-3
    assert "1 residues without a whole backbone are left out." in read.notes


def test_atoms_that_make_no_frame_leave_their_residue_out():
    ca = {number(line): line[30:54] for line in PDB.splitlines() if line[12:16] == " CA "}
    text = atom_lines(
        lambda line: line[:30] + ca[1] + line[54:] if (number(line), line[12:16]) == (1, " N  ") else line
    )
    read = read_protein(text.encode())
    assert len(read.backbone) == 39 and "1 residues without" in " ".join(read.notes)


def test_o_is_placed_in_the_plane_of_the_peptide_bond():
    bare = "".join(line + "\n" for line in PDB.splitlines() if line[12:16] != " O  ")
    read = read_protein(bare.encode())
    # The helix has its O by the frames' formula, which is in torch and knows nothing of files.
    assert np.abs(read.backbone - CHAIN).max() < 2e-2
    found, known = (checked_proteins(torch.from_numpy(one)[None], [40]) for one in (read.backbone, CHAIN))
    assert found.helix == known.helix > 0.9
    assert read.notes == ("40 residues have no O: it is put in the plane of the peptide bond.",)
    carbon, oxygen, alpha, following = (
        read.backbone[:-1, 2], read.backbone[:-1, 3], read.backbone[:-1, 1], read.backbone[1:, 0],
    )  # fmt: skip
    np.testing.assert_allclose(np.linalg.norm(oxygen - carbon, axis=1), 1.231, atol=1e-3)
    volume = np.einsum("ni,ni->n", oxygen - carbon, np.cross(alpha - carbon, following - carbon))
    assert np.abs(volume).max() < 1e-2
    # Only where it is missing, and an O by another name counts.
    some = "".join(
        line.replace(" O  ", " OT1", 1) + "\n"
        for line in PDB.splitlines()
        if not (line.startswith("ATOM") and number(line) == 9 and line[12:16] == " O  ")
    )
    assert read_protein(some.encode()).notes == ("1 residues have no O: it is put in the plane of the peptide bond.",)


def table(count, row):
    names = ["label_atom_id", "label_comp_id", "auth_asym_id", "auth_seq_id", "Cartn_x", "Cartn_y", "Cartn_z"]
    names += ["pdbx_PDB_model_num"]
    head = "data_x\nloop_\n" + "".join(f"_atom_site.{name}\n" for name in names)
    return (head + "\n".join(row(index) for index in range(count)) + "\n").encode()


HOSTILE = {
    "blocks": "".join(f"data_b{k}\n_a.b 1\n" for k in range(200_000)).encode(),
    "residues": table(50_000, lambda k: f"CA GLY A {k * 7919 % 50_000} {k % 97} {k % 89} 0 1"),
    "chains": table(30_000, lambda k: f"CA GLY C{k} 1 0 0 0 1"),
    "models": table(120_000, lambda k: f"CA GLY A 1 0 0 0 {k}"),
    "tags": ("data_x\n" + "".join(f"_a.b{k} 1\n" for k in range(200_000))).encode(),
    "blank lines": b"\n" * 5_000_000 + b"x",
    "comments": b"#\n" * 2_000_000,
    "an endless text": b"data_x\n_a.b\n;" + b"x" * 5_000_000,
    "atoms": atom_lines(lambda line: line).encode() * 60,
    "random bytes": np.random.default_rng(0).bytes(500_000),
    "ATOM and random bytes": b"ATOM  ".join([np.random.default_rng(1).bytes(100) for _ in range(500)]),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_end_in_a_sentence_within_the_bounds(content):
    # Were any of these quadratic, as Gemmi is in blocks and residues, it would be stopped with another sentence.
    try:
        read = ReadProtein.from_plain(read_apart(READER, content, Limits(seconds=60)))
    except SuperDiffError as error:
        assert "longer than" not in str(error) and "memory" not in str(error) and "\n" not in str(error)
    else:
        assert np.isfinite(read.backbone).all()


def test_what_another_process_says_is_checked():
    plain = read_plain(PDB.encode())
    assert np.array_equal(ReadProtein.from_plain(plain).backbone, read_protein(PDB.encode()).backbone)
    for change in (
        {"backbone": plain["backbone"][:5]},
        {"backbone": [[[1e9] * 3] * 4] * 40},
        {"backbone": [[[float("nan")] * 3] * 4] * 40},
        {"sequence": "<b>"},
        {"sequence": "<" * 40},
        {"notes": 3},
    ):
        with pytest.raises(SuperDiffError, match="could not be read"):
            ReadProtein.from_plain(plain | change)
