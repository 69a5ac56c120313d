"""Molecules as one file: what a training reads from a pack is what it reads from QM9, and it needs nothing else."""

import numpy as np
import pytest
from test_molecules_model import sized_molecules
from training_device import NOT_FOR_TRAINING, run_without, trained

from superdiff_engine.domains.molecules import data, model, pack, train
from superdiff_engine.domains.molecules.properties import Vocabulary
from superdiff_engine.domains.molecules.reference import load_reference
from superdiff_engine.errors import ModelError
from superdiff_engine.training.packs import write_pack


@pytest.fixture
def source(monkeypatch):
    """Sixty molecules in the place of QM9, ten of them for tests."""
    known = sized_molecules(list(range(3, 30)) + [17] * 33)
    monkeypatch.setattr(data, "TEST", 10)
    monkeypatch.setattr(pack, "load_qm9", lambda folder, report: known)
    return known


def test_a_pack_holds_what_its_source_does(source, tmp_path):
    path = train.TRAININGS["molecules_rings"].write_pack(tmp_path / "all.pack")
    read, there = pack.load_training_data(path), pack.load_training_data(None)
    assert len(read.molecules) == 50
    for name in ("elements", "bonds", "atoms", "properties"):
        kept, expected = getattr(read.molecules, name), getattr(there.molecules, name)
        assert kept.dtype == expected.dtype and (kept == expected).all()
    one, other = read.molecules.positions, there.molecules.positions
    assert one.dtype == np.float32 and np.abs(one - other).max() <= 0.001 and not one[other == 0].any()
    assert np.abs(one.sum(1)).max() < 1e-5
    for name, value in vars(there.reference).items():
        kept = getattr(read.reference, name)
        assert kept.dtype == value.dtype and np.array_equal(kept, value)
    quartiles = [Vocabulary.quartiles(found.molecules.properties) for found in (read, there)]
    assert quartiles[0] == quartiles[1]


def test_one_pack_trains_every_model_without_the_libraries_that_read_qm9(source, tmp_path):
    path = train.TRAININGS["molecules"].write_pack(tmp_path / "all.pack")
    said = run_without(
        NOT_FOR_TRAINING,
        f"""
        from pathlib import Path
        try:
            import rdkit
        except ImportError:
            print("no rdkit")
        from superdiff_engine.domains.molecules import train
        train.NETWORK = {{"width": 16, "pair": 8, "layers": 1, "heads": 2}}
        for one in train.TRAININGS.values():
            asked = one.options(minutes=0.01, data=Path({str(path)!r}), out=Path({str(tmp_path)!r}), batch=4)
            print(one.train(asked))
        """,
        tmp_path / "home",
    )
    assert said.split("\n")[:4] == ["no rdkit", *(str(tmp_path / name) for name in train.TRAININGS)]
    settings = model.load_settings(tmp_path / "molecules_rings")
    assert settings.training.batch == 4 and settings.training.steps > 0
    assert sum(model.load_settings(tmp_path / "molecules").sizes.values()) == 50
    assert model.load_model(tmp_path / "molecules_chains").network.settings["width"] == 16
    training, _ = source.split()
    assert load_reference(tmp_path / "molecules").novel(training.smiles).sum() == 0
    assert (tmp_path / "home" / ".cache" / "superdiff" / "checkpoints" / "molecules.ckpt").is_file()


def test_packs_that_cannot_be_learned_from_are_one_sentence(source, tmp_path):
    other = write_pack(tmp_path / "other.pack", "proteins", {"numbers": np.arange(3)})
    with pytest.raises(ModelError, match=r"holds the data of 'proteins', and this model learns from those of 'molecu"):
        trained(train.TRAININGS, "molecules", minutes=0.01, data=other, out=tmp_path)
    whole = train.TRAININGS["molecules"].write_pack(tmp_path / "all.pack").read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 10):
        (tmp_path / "cut.pack").write_bytes(whole[:length])
        with pytest.raises(ModelError, match="is no pack of training data, or was cut off") as caught:
            trained(train.TRAININGS, "molecules_rings", minutes=0.01, data=tmp_path / "cut.pack", out=tmp_path)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "molecules").exists()
