"""Training of the garments' models: their steps, their pack, and a training from it where little else is installed."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_pictures_data import write_idx
from training_device import NOT_FOR_TRAINING, run_without, same_draws, step_on_meta, trained

from superdiff_engine.domains.pictures import data, train
from superdiff_engine.domains.pictures.classifier import ClassifierTask
from superdiff_engine.errors import ModelError
from superdiff_engine.training.packs import LARGEST, write_pack


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Fashion-MNIST of 400 training and 200 test pictures of noise."""
    made, generator = tmp_path_factory.mktemp("idx"), np.random.default_rng(0)
    for prefix, count in (("train", 400), ("t10k", 200)):
        write_idx(made / f"{prefix}-images-idx3-ubyte.gz", generator.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        write_idx(made / f"{prefix}-labels-idx1-ubyte.gz", (np.arange(count) % 10).astype(np.uint8))
    return made


@pytest.fixture(scope="module")
def pack(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "garments.pack"
    assert train.TRAININGS["garments_a"].write_pack(path, folder) == path
    return path


def test_steps_read_nothing_back_and_the_cpu_decides_them(folder):
    training = data.load_splits(folder)["train"]
    for task in (train.GarmentTask.create("garments_b", training), ClassifierTask.create(training)):
        task.batch = 4
        assert same_draws(task)
        names = {name for name, _ in task.network.named_parameters()}
        assert step_on_meta(task, task.draw(torch.Generator().manual_seed(0))) == names
        assert same_draws(task)


def test_an_expert_is_given_its_own_classes(folder):
    training = data.load_splits(folder)["train"]
    task = train.GarmentTask.create("garments_b", training)
    expected = training.pictures[training.classes >= 5]
    assert torch.equal(torch.nn.functional.pixel_shuffle(task.pictures, 2), expected)


def test_the_classifier_sees_crops_a_third_of_them_mirrored(folder):
    """Index tensors take the same pixels as slices and a flip do."""
    training = data.load_splits(folder)["train"]
    task = ClassifierTask.create(training)
    task.batch, shown = 3, []
    task.network = lambda pictures: (shown.append(pictures), torch.zeros(3, 10))
    mirrored, corners = 0, set()
    for seed in range(90):
        drawn = task.draw(torch.Generator().manual_seed(seed))
        task.loss(drawn)
        top, left = int(drawn["rows"].min()), int(drawn["columns"].min())
        expected = task.pictures[drawn["chosen"]][:, :, top : top + 28, left : left + 28]
        flipped = bool(drawn["columns"][0] > drawn["columns"][1])
        assert torch.equal(shown.pop(), expected.flip(3) if flipped else expected)
        mirrored += flipped
        corners.add((top, left))
    assert 20 <= mirrored <= 40
    assert corners == {(top, left) for top in range(3) for left in range(3)}


def test_a_pack_holds_what_the_files_do(folder, pack):
    of_folder, of_pack = data.load_splits(folder), data.load_splits(pack)
    assert of_pack.keys() == of_folder.keys() == {"train", "test"}
    for split, pictures in of_folder.items():
        assert torch.equal(of_pack[split].pictures, pictures.pictures)
        assert torch.equal(of_pack[split].classes, pictures.classes)
    assert pack.stat().st_size < 600 * 28 * 28 * 1.05 < LARGEST


def test_a_bad_pack_is_one_sentence(pack, tmp_path):
    content = pack.read_bytes()
    (tmp_path / "short.pack").write_bytes(content[: len(content) // 2])
    write_pack(tmp_path / "other.pack", "molecules", {"x": np.zeros(3)})
    write_pack(tmp_path / "poor.pack", "garments", {"train_pictures": np.zeros((2, 28, 28), np.uint8)})
    few = {name: np.zeros((3, 28, 28), np.uint8) for name in ("train_pictures", "test_pictures")}
    few |= {name: np.zeros(2, np.uint8) for name in ("train_classes", "test_classes")}
    write_pack(tmp_path / "odd.pack", "garments", few)
    lacks = "lacks pictures or classes"
    sentences = {"short": "was cut off", "other": "holds the data of 'molecules'", "poor": lacks, "odd": lacks}
    for name, sentence in sentences.items():
        with pytest.raises(ModelError, match=sentence) as caught:
            trained(train.TRAININGS, "garments_a", minutes=0.1, data=tmp_path / f"{name}.pack", out=tmp_path)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="apt-get install dataset-fashion-mnist"):
        train.TRAININGS["garments_a"].write_pack(tmp_path / "none.pack", tmp_path)


def test_a_pack_is_all_that_a_training_needs(pack, tmp_path):
    code = f"""
        from pathlib import Path
        from superdiff_engine.domains.pictures.train import TRAININGS
        from superdiff_engine.training.training import Options
        asked = Options(minutes=1e-6, data=Path({str(pack)!r}), out=Path({str(tmp_path)!r}), batch=8)
        for name in ("garments_a", "garment_classifier"):
            print(TRAININGS[name].train(asked))
    """
    assert str(tmp_path / "garment_classifier") in run_without(NOT_FOR_TRAINING, code, tmp_path)
    stored = json.loads((tmp_path / "garment_classifier" / "config.json").read_text())
    assert stored["training"]["batch"] == 8 and stored["training"]["steps"] >= 1
    assert set(stored["real_pictures"]) == {"all ten classes", "classes 0 to 4 only", "classes 5 to 9 only"}
    assert json.loads((tmp_path / "garments_a" / "superdiff.json").read_text())["training"]["batch"] == 8
    weights = load_file(tmp_path / "garments_a" / "unet" / "diffusion_pytorch_model.safetensors")
    assert weights["conv_in.weight"].shape == (64, 4, 3, 3)
