"""Chains of ProMod3's structure database: reading, gaps, the split."""

import struct

import numpy as np
import pytest

from superdiff_engine.domains.proteins import data, train


def write_database(path, chains):
    """A file of the database's layout; chains: (PDB id, sequence, DSSP, backbone [n, 4, 3] in Angstrom)."""
    content = bytearray(data._HEADER) + struct.pack("<Q", len(chains))
    offset = 0
    for name, sequence, _, _ in chains:
        content += struct.pack("<I", len(name)) + name.encode() + struct.pack("<I", 1) + b"A"
        content += struct.pack("<IHH", offset, len(sequence), 1) + bytes(12)
        offset += len(sequence)

    def array(rows):
        return struct.pack("<Q", offset) + rows

    content += array(b"".join(sequence.encode() for _, sequence, _, _ in chains))
    content += array(b"".join(np.round(100 * points).astype("<u2").tobytes() for *_, points in chains))
    for size in (4, 2, 2):
        content += array(bytes(size * offset))
    content += array(b"".join(dssp.encode() for _, _, dssp, _ in chains))
    path.write_bytes(bytes(content) + b"more that is not read")
    return path


def backbone(residues, seed, gap=False):
    """A zigzag whose peptide bonds are 1.33 Angstrom long; with a gap, one of them is not."""
    rng = np.random.default_rng(seed)
    points = np.zeros((residues, 4, 3))
    points[:, 0, 0] = 3.8 * np.arange(residues)
    points[:, 1, 0], points[:, 2, 0] = points[:, 0, 0] + 1.2, points[:, 0, 0] + 3.8 - 1.33
    points[:, 3] = points[:, 2] + (0, 1.23, 0)
    if gap:
        points[residues // 2 :, :, 0] += 4
    return points + 10 + rng.uniform(0, 5, 3)


def word(residues, seed):
    return "".join(np.random.default_rng(seed).choice(list("ACDEFGHIKLMNPQRSTVWY"), residues))


def test_chains_are_read_and_gaps_left_out(tmp_path):
    path = write_database(
        tmp_path / "structure_db.dat",
        [
            ("1AAA", word(45, 0), "H" * 30 + "C" * 15, backbone(45, 0)),
            ("1BBB", word(50, 1), "E" * 25 + "C" * 25, backbone(50, 1, gap=True)),
            ("1CCC", word(30, 2), "C" * 30, backbone(30, 2)),
            ("1DDD", word(60, 3), "C" * 30 + "B" * 3 + "E" * 27, backbone(60, 3)),
        ],
    )
    chains = data.load_chains(path)
    assert chains.names == ("1AAA_A", "1DDD_A") and chains.residues.tolist() == [45, 60]
    assert np.abs(chains.backbone[chains.rows(1)] - backbone(60, 3)).max() <= 0.0051
    assert chains.sequence[chains.rows(1)].tobytes().decode() == word(60, 3)
    assert chains.shares(data.HELIX).tolist() == pytest.approx([30 / 45, 0])
    assert chains.shares(data.STRAND).tolist() == pytest.approx([0, 0.5])
    assert train.belongs("proteins_alpha", chains.shares(data.HELIX), chains.shares(data.STRAND)).tolist() == [
        True,
        False,
    ]
    assert train.belongs("proteins_beta", chains.shares(data.HELIX), chains.shares(data.STRAND)).tolist() == [
        False,
        True,
    ]


def test_globular_chains_are_compact_and_half_in_order():
    """An even ball of radius R has a radius of gyration of sqrt(3/5) R, whatever the order of its points."""
    rng = np.random.default_rng(0)
    residues, order = 100, ("H" * 50 + "C" * 50, "H" * 30 + "E" * 30 + "C" * 40, "H" * 49 + "C" * 51)
    ball = rng.normal(size=(residues, 3))
    ball *= (rng.uniform(size=(residues, 1)) ** (1 / 3)) / np.linalg.norm(ball, axis=1, keepdims=True)
    limit = 2.7 * residues**0.38
    kept = []
    for wide in (0.9, 1.1):
        for letters in order:
            points = (ball * wide * limit / np.sqrt(3 / 5)).astype(np.float32)[:, None].repeat(4, 1)
            sequence, dssp = (np.frombuffer(text.encode(), "S1") for text in ("A" * residues, letters))
            one = data.Chains(points, sequence, dssp, np.array([0]), np.array([residues]), ("1AAA_A",))
            kept.append(len(one.globular()))
    assert kept == [1, 1, 0, 0, 0, 0]


def test_test_chains_are_of_other_entries_and_other_sequences(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "TEST", 8)
    twin = word(40, 100)  # two entries of one sequence: one of them may not judge the other
    chains = data.load_chains(
        write_database(
            tmp_path / "structure_db.dat",
            [
                (f"1A{index:02d}", twin if index < 14 else word(40, index), "C" * 40, backbone(40, index))
                for index in range(30)
            ],
        )
    )
    training, test = chains.split()
    assert len(training) + 8 >= 30 and 0 < len(test) < 8
    assert not {name[:4] for name in training.names} & {name[:4] for name in test.names}
    assert data.shared_words(test, training).max() <= 0.1
    assert data.shared_words(chains.take([0]), chains.take([1]))[0] == 1


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="apt-get install promod3-data"):
        data.load_chains(tmp_path / "nothing.dat")
    (tmp_path / "foreign.dat").write_bytes(b"x" * 200)
    with pytest.raises(ValueError, match="not ProMod3's structure database"):
        data.load_chains(tmp_path / "foreign.dat")
