import numpy as np
import pytest
import torch
from tiny_pipelines import tiny_unet

from superdiff_engine import CoinFlip, Single, SuperDiffError, sample
from superdiff_engine.domains import embedded
from superdiff_engine.domains.pictures import evaluate as module
from superdiff_engine.domains.pictures.evaluate import EVALUATION, Settings, read_row
from superdiff_engine.domains.pictures.model import TrainingFacts, load_expert
from superdiff_engine.domains.pictures.saving import save_expert
from superdiff_engine.domains.pictures.train import TRAININGS
from superdiff_engine.noise import karras_levels
from superdiff_engine.tables.chunks import coin_flips
from superdiff_engine.tables.table import read_table
from superdiff_engine.training.training import Options


@pytest.mark.parametrize("solver", ["ancestral", "ode"])
def test_a_coin_flip_is_picked_from_the_experts_alone(save, solver):
    """Same seed, same noise: each sample of a coin flip is, to the bit, what its own expert alone makes of it."""
    save("first")
    save("second", "v_prediction")
    experts = [load_expert("local/first"), load_expert("local/second")]

    def run(operator):
        levels = karras_levels(6, 20.0, 0.05)
        *_, last = sample(experts, operator, levels, batch=16, seed=3, estimator="none", solver=solver)
        return last

    flipped, first, second = run(CoinFlip()), run(Single(0)), run(Single(1))
    heads = flipped.weights[0].bool()[:, None, None, None]
    assert 0 < int(heads.sum()) < 16
    assert torch.allclose(flipped.denoised, torch.where(heads, first.denoised, second.denoised), atol=1e-6)


def test_coins_are_fair_and_repeatable():
    coins = coin_flips(4000, seed=5)
    assert np.array_equal(coins, coin_flips(4000, seed=5))
    assert abs(coins.mean() - 0.5) < 0.03


@pytest.fixture
def tiny_house(tmp_path, monkeypatch):
    """Two tiny experts of 28 x 28 pictures where the embedded ones would be, and the real classifier beside them."""
    facts = TrainingFacts(minutes=1, steps=1, batch=1, loss=1.0, hardware="test")
    for seed, name in enumerate(("garments_a", "garments_b")):
        unet = tiny_unet(4, sample_size=14)
        with torch.no_grad():
            for value in unet.parameters():
                value.mul_(1 + 0.1 * seed)
        save_expert(name, unet, facts, tmp_path / name)
    (tmp_path / "garment_classifier").symlink_to(module.assets_folder() / "garment_classifier")
    for place in (module, embedded):
        monkeypatch.setattr(place, "assets_folder", lambda: tmp_path)
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    return tmp_path


def test_an_interrupted_evaluation_goes_on(tiny_house, monkeypatch):
    out, lines = tiny_house / "tables" / "pictures.json", []
    rows = ["coin_flip/sde", "or/sde", "and/ode"]
    settings = Settings(samples=12, steps=2, batch=8, dtype="float32")
    EVALUATION.run(settings, rows[:1], out, lines.append, workers=1)
    assert [row.name for row in read_table(out).rows] == ["a/sde", "b/sde", "coin_flip/sde"]
    made = []
    make_chunk = module.make_chunk

    def counted(row, chunk, given):
        if made and row == "or/sde":
            raise KeyboardInterrupt
        made.append((row, chunk))
        make_chunk(row, chunk, given)

    monkeypatch.setattr(module, "make_chunk", counted)
    with pytest.raises(KeyboardInterrupt):
        EVALUATION.run(settings, rows, out, lines.append, workers=1)
    assert made == [("or/sde", 0)]  # the first row was there, the second got half way
    monkeypatch.setattr(module, "make_chunk", make_chunk)
    assert EVALUATION.run(settings, rows, out, lines.append, workers=1) == [out]
    table = read_table(out)
    assert [row.name for row in table.rows] == ["a/sde", "b/sde", "coin_flip/sde", "or/sde", "and/ode"]
    for row in table.rows:
        assert set(row.values) == {"fashion_fid", "fashion_is", "class_share"}
        assert row.samples == 12
    assert any("or/sde: 2 of 2 chunks" in line for line in lines)
    pictures, seconds = read_row("or/sde", settings)
    assert pictures.shape == (16, 28, 28)
    assert seconds > 0


def test_an_unknown_row_gives_one_sentence(tmp_path):
    with pytest.raises(SuperDiffError, match="no row 'xor/sde'"):
        EVALUATION.run(Settings(), ["xor/sde"], tmp_path / "x.json")


def test_training_without_data_says_how_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="apt-get install dataset-fashion-mnist"):
        TRAININGS["garments_a"].train(Options(minutes=0.1, data=tmp_path))
