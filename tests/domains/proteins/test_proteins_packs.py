"""Chains as one file: a training reads from a pack what it reads from the database, and needs nothing else."""

import numpy as np
import pytest
from test_proteins_data import word, write_database
from tiny_proteins import whole_helix
from training_device import NOT_FOR_TRAINING, run_without, trained

from superdiff_engine.domains.proteins import data, model, pack, train
from superdiff_engine.errors import ModelError
from superdiff_engine.training.packs import write_pack

#: Seeds of the sequences of short chains, a PDB entry each.
SHORT = range(10)


def row(entry, sequence):
    """A chain of the database: a helix somewhere, whose last tenth DSSP calls a coil."""
    residues = len(sequence)
    return entry, sequence, "H" * (residues - residues // 10) + "C" * (residues // 10), whole_helix(residues) + 300


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a database of ten short chains, two of them for tests, and of longer ones of all sorts."""
    monkeypatch.setattr(data, "TEST", 2)
    monkeypatch.setattr(data, "WIDEST", 100.0)
    short = [row(f"1A{seed:02d}", word(40 + 9 * seed, seed)) for seed in SHORT]
    write_database(tmp_path / "structure_db.dat", short)
    training, test = data.load_chains(tmp_path / "structure_db.dat").globular().split()
    assert len(training) == 8 and len(test) == 2
    held, known = (
        next((entry, sequence) for entry, sequence, *_ in short if f"{entry}_A" in chains.names)
        for chains in (test, training)
    )
    longer = [
        row(held[0], word(140, 20)),  # of a test chain's entry
        row("2AAA", word(60, 21) + held[1] + word(60, 22)),  # with a test chain inside
        row("2BBB", word(40, 23) + known[1] + word(60, 24)),  # with a training chain inside
        row("2CCC", word(256, 25)),
        row("2DDD", word(257, 26)),
    ]
    write_database(tmp_path / "structure_db.dat", longer[:2] + short + longer[2:])
    return tmp_path


def test_longer_chains_stay_away_from_the_tests(folder):
    path = folder / "structure_db.dat"
    training, test = data.load_chains(path).globular().split()
    whole, more = data.load_training_chains(path), data.load_training_chains(path, data.LONGEST)
    assert whole.names == training.names and (whole.backbone == training.backbone).all()
    assert more.names == (*training.names, "2BBB_A", "2CCC_A")
    assert (more.take(range(len(training))).sequence == training.sequence).all()
    assert data.given_words(more, test).max() <= data.MOST_SHARED
    everything = data.load_chains(path, most=data.LONGEST)
    given = dict(zip(everything.names, data.given_words(everything, test), strict=True))
    assert given["2AAA_A"] == 1 and given["2CCC_A"] < 0.1


def test_a_pack_holds_what_its_source_does_to_the_last_bit(folder):
    path = train.TRAININGS["proteins_beta"].write_pack(folder / "all.pack", folder)
    for longest, count in ((data.MOST_RESIDUES, 8), (data.LONGEST, 10)):
        read, there = pack.load_training_data(path, longest), pack.load_training_data(folder, longest)
        assert len(read) == count
        for name in ("atoms", "residues", "helix", "strand", "first"):
            kept, expected = getattr(read, name), getattr(there, name)
            assert kept.dtype == expected.dtype and np.array_equal(kept, expected), name
        chains = data.load_training_chains(folder / "structure_db.dat", longest)
        assert np.array_equal(read.atoms, chains.backbone[:, :3]) and np.array_equal(read.first, chains.first)
        assert np.array_equal(read.helix, chains.shares(data.HELIX))


def test_one_pack_trains_models_without_the_libraries_that_show_proteins(folder):
    path = train.TRAININGS["proteins"].write_pack(folder / "all.pack", folder)
    said = run_without(
        NOT_FOR_TRAINING,
        f"""
        from functools import partial
        from pathlib import Path
        from superdiff_engine.domains.proteins import train
        train.ProteinNetwork = partial(train.ProteinNetwork, width=16, pair=8, layers=1, heads=2, points=2)
        path, folder = Path({str(path)!r}), Path({str(folder)!r})
        asked = partial(train.ProteinOptions, minutes=0.01, data=path, out=folder)
        print(train.TRAININGS["proteins"].train(asked(batch=2, crops=True)))
        print(train.TRAININGS["proteins_alpha"].train(asked(batch=3)))
        """,
        folder / "home",
    )
    assert said.split() == [str(folder / "proteins"), str(folder / "proteins_alpha")]
    cropped, whole = (model.load_settings(folder / name) for name in ("proteins", "proteins_alpha"))
    assert sum(cropped.lengths.values()) == 10 and cropped.cropped == 2 and max(cropped.lengths) <= 128
    assert sum(whole.lengths.values()) == 8 and whole.cropped == 0 and whole.began_with == "proteins"
    assert cropped.training.steps > 0 and (cropped.training.batch, whole.training.batch) == (2, 3)
    assert "from the PDB, 2 of them windows at random of longer ones |" in (folder / "proteins/README.md").read_text()
    assert "residues from the PDB |" in (folder / "proteins_alpha/README.md").read_text()


def test_packs_that_cannot_be_learned_from_are_one_sentence(folder):
    other = write_pack(folder / "other.pack", "molecules", {"numbers": np.arange(3)})
    with pytest.raises(
        ModelError, match=r"holds the data of 'molecules', and this model learns from those of 'proteins"
    ):
        trained(train.TRAININGS, "proteins", minutes=0.01, data=other, out=folder)
    whole = train.TRAININGS["proteins"].write_pack(folder / "all.pack", folder).read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 10):
        (folder / "cut.pack").write_bytes(whole[:length])
        with pytest.raises(ModelError, match="is no pack of training data, or was cut off") as caught:
            trained(train.TRAININGS, "proteins", minutes=0.01, data=folder / "cut.pack", out=folder)
        assert "\n" not in str(caught.value)
    assert not (folder / "proteins").exists()
