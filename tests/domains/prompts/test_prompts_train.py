"""Training of the emoji model: exact rearrangements, fair draws, and a tiny run that plain diffusers can read."""

import json
import shutil
from dataclasses import fields

import numpy as np
import pytest
import torch
from training_device import NOT_FOR_TRAINING, run_without, same_draws, step_on_meta, trained

from superdiff_engine.domains.prompts import train
from superdiff_engine.domains.prompts.emoji import (
    autoencoder,
    captions,
    concepts,
    denoiser,
    networks,
    rendering,
    saving,
    sets,
    stage,
    training_data,
)
from superdiff_engine.errors import ModelError
from superdiff_engine.training import packs, training
from superdiff_engine.training.task import TrainingPlan
from superdiff_engine.training.trainer import train as run_training

CONCEPTS = tuple(
    concepts.Concept(code, (name,), ("tag", "other"), "animal")
    for code, name in (("1f408", "cat"), ("1f415", "dog"), ("1f5fa", "world map"))
)


@pytest.fixture(scope="module")
def pictures():
    """Three concepts in four styles; the last style lacks the second concept."""
    masters = np.random.default_rng(0).integers(0, 256, (4, 3, 192, 192, 3), dtype=np.uint8)
    present = np.ones((4, 3), bool)
    present[3, 1] = False
    return rendering.EmojiPictures(CONCEPTS, sets.STYLES, masters, present)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    captions.save_tokenizer([text for one in CONCEPTS for text in captions.training_captions(one, "flat")], folder)
    return captions.load_tokenizer(folder)


def tiny_vae():
    torch.manual_seed(0)
    return networks.autoencoder(widths=(8, 8, 8, 8)).eval()


def tiny_network(tokenizer):
    torch.manual_seed(0)
    return networks.TextToLatent(networks.text_encoder(tokenizer, layers=1), networks.unet((16, 32, 32)))


def moved(masters, mirrored, seed=0):
    moves = torch.rand(len(masters), 3, generator=torch.Generator().manual_seed(seed))
    return training_data.augment(masters, moves, mirrored)


def test_augmentation_moves_by_at_most_six_pixels_and_keeps_white_white():
    masters = torch.full((64, 3, 192, 192), 255, dtype=torch.uint8)
    masters[:, :, 84:108, 84:108] = 0  # a black square of 16 x 16 pixels in the middle
    shown = moved(masters, torch.zeros(64, dtype=torch.bool))
    assert shown.shape == (64, 3, 128, 128) and shown.min() >= -1 and shown.max() <= 1
    dark = (1 - shown[:, 0]) / 2
    area = dark.sum((1, 2))
    axis = torch.arange(128) - 63.5
    offset = torch.stack([(dark.sum(2) * axis).sum(1), (dark.sum(1) * axis).sum(1)]) / area
    assert offset.abs().max() < 6.4 and offset.abs().max() > 4
    assert area.min() > 0.88**2 * 256 and area.max() < 1.06**2 * 256
    assert torch.allclose(shown[:, :, 0], torch.ones(1))


def test_mirrored_pictures_are_mirror_images():
    masters = torch.randint(0, 256, (4, 3, 192, 192), dtype=torch.uint8)
    nowhere = torch.tensor([[0.3, 0.5, 0.5]]).expand(4, 3)  # scaled, not shifted
    plain, swapped = (training_data.augment(masters, nowhere, torch.full((4,), mirrored)) for mirrored in (False, True))
    assert torch.allclose(plain, swapped.flip(3), atol=1e-4)


def test_pictures_are_reduced_as_pillow_reduces_them():
    masters = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, 24, 24, 3), dtype=np.uint8))
    smooth = rendering.Image.fromarray(masters[0].numpy()).resize((192, 192), rendering.Image.Resampling.BICUBIC)
    small = training_data.unmoved(torch.from_numpy(np.array(smooth)).permute(2, 0, 1)[None], 64)
    expected = np.asarray(smooth.resize((64, 64), rendering.Image.Resampling.BICUBIC), np.float32)
    assert np.abs((small[0].permute(1, 2, 0).numpy() + 1) * 127.5 - expected).max() < 2


def test_only_pictures_without_letters_are_mirrored(pictures):
    table = training_data.PictureTable.of(pictures)
    assert len(table.masters) == 11
    assert torch.equal(table.mirrors, table.concept != 2)
    assert np.array_equal(table.masters[4].permute(1, 2, 0).numpy(), pictures.masters[1, 1])


def test_edge_loss_ignores_brightness_and_sees_edges():
    picture = torch.rand(2, 3, 16, 16)
    assert autoencoder.edge_loss(picture, picture + 0.3) == pytest.approx(0, abs=1e-6)
    step = torch.zeros(1, 1, 4, 4)
    step[..., 2:] = 1  # one edge: 1 of 3 columns of differences at full size, 1 of 1 at half size
    assert autoencoder.edge_loss(step, torch.zeros_like(step), scales=2) == pytest.approx((1 / 3 + 1) / 4)


def test_folded_normalisation_keeps_pictures_and_standardises_latents():
    vae = tiny_vae()
    data = torch.rand(8, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        before = vae.encode(data).latent_dist
        decoded, spread = vae.decode(before.mean).sample, before.std
        mean, deviation = before.mean.mean((0, 2, 3)), before.mean.std((0, 2, 3))
        autoencoder.normalise_latents(vae, mean, deviation)
        after = vae.encode(data).latent_dist
    assert torch.allclose(after.mean.mean((0, 2, 3)), torch.zeros(8), atol=1e-4)
    assert torch.allclose(after.mean.std((0, 2, 3)), torch.ones(8), atol=1e-4)
    assert torch.allclose(after.std * deviation.view(1, -1, 1, 1), spread, rtol=1e-3)
    with torch.no_grad():
        assert torch.allclose(vae.decode(after.mean).sample, decoded, atol=1e-4)


def test_psnr_of_a_known_error():
    class Shifting:
        def encode(self, x):
            return type("Output", (), {"latent_dist": type("Gaussian", (), {"mean": x})})

        def decode(self, x):
            return type("Output", (), {"sample": x + 0.02})

    assert autoencoder.psnr(Shifting(), torch.zeros(2, 3, 64, 64)) == pytest.approx(40.0, abs=1e-3)


def emoji_task(pictures, tokenizer, network=None, batch=8):
    """The U-Net's task with latents that say which picture they are of."""
    table = training_data.PictureTable.of(pictures)
    latents = torch.arange(11.0).view(1, 11, 1, 1, 1).expand(2, 11, 8, 16, 16).half()
    captions_of = training_data.CaptionTable.of(CONCEPTS, sets.STYLES, tokenizer)
    return denoiser.EmojiTask(
        torch.nn.Identity() if network is None else network,
        latents,
        training_data.picture_rows(table, 4, 3),
        training_data.caption_pool(captions_of, each=16),
        captions_of.empty.long(),
        batch,
    )


def test_batches_are_fair_and_captions_fit_the_pictures(pictures, tokenizer):
    table, task = training_data.PictureTable.of(pictures), emoji_task(pictures, tokenizer, batch=4000)
    data, tokens = task.batch_of(task.draw(torch.Generator().manual_seed(0)))
    row = data[:, 0, 0, 0].long()
    share = torch.bincount(row, minlength=11) / len(row)
    assert torch.allclose(share, torch.full((11,), 1 / 11), atol=0.02)
    empty = (tokens == task.empty).all(1)
    assert empty.float().mean() == pytest.approx(0.1, abs=0.02)
    for index in torch.nonzero(~empty)[:200, 0].tolist():
        text = tokenizer.decode(tokens[index], skip_special_tokens=True)
        concept, style = CONCEPTS[table.concept[row[index]]], sets.STYLES[table.style[row[index]]]
        fitting = [
            tokenizer.decode(tokenizer(one).input_ids, skip_special_tokens=True)
            for one in captions.training_captions(concept, style)
        ]
        assert text in fitting


def test_a_pool_of_captions_names_the_style_in_its_second_half(tokenizer):
    table = training_data.CaptionTable.of(CONCEPTS, sets.STYLES, tokenizer)
    pool = training_data.caption_pool(table, each=40)
    assert pool.shape == (4, 3, 40, 32) and torch.equal(pool, training_data.caption_pool(table, each=40))
    known = captions.training_captions(CONCEPTS[1], "noto")
    for part, named in ((pool[0, 1, :20], False), (pool[0, 1, 20:], True)):
        fitting = captions.token_ids(tokenizer, [text for text in known if ("noto" in text) == named])
        assert all((row.long() == fitting).all(1).any() for row in part)


def tasks(pictures, tokenizer):
    """Every training of the emoji model, as small as it can be."""
    network = tiny_network(tokenizer)
    table = training_data.PictureTable.of(pictures)
    means = torch.randn(5, 3, 6)
    pool = training_data.caption_pool(training_data.CaptionTable.of(CONCEPTS, sets.STYLES, tokenizer), each=4)
    return {
        "autoencoder": autoencoder.VaeTask(tiny_vae(), table, table.masters, 2),
        "decoder": autoencoder.DecoderTask(tiny_vae(), table, table.masters, 2),
        "text": denoiser.TextTask(networks.Grounding(network.text, 6), pool, means, 3),
        "emoji": emoji_task(pictures, tokenizer, tiny_network(tokenizer), 2),
    }


@pytest.mark.parametrize("name", ["autoencoder", "decoder", "text", "emoji"])
def test_a_step_stays_on_its_device_and_draws_the_same_everywhere(name, pictures, tokenizer):
    task = tasks(pictures, tokenizer)[name]
    assert same_draws(task)
    learning = step_on_meta(task, task.draw(torch.Generator().manual_seed(0)))
    if name == "decoder":
        assert learning and all(one.startswith(("decoder.", "post_quant_conv.")) for one in learning)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["autoencoder", "decoder", "text", "emoji"])
def test_a_gpu_finds_the_same_first_loss(name, pictures, tokenizer):
    task = tasks(pictures, tokenizer)[name]
    drawn = task.draw(torch.Generator().manual_seed(0))
    found = []
    for device in ("cpu", "cuda"):
        task.to(device)
        found.append(float(task.loss({key: value.to(device) for key, value in drawn.items()})))
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_every_caption_of_a_style_and_concept_is_drawn(tokenizer):
    table = training_data.CaptionTable.of(CONCEPTS, sets.STYLES, tokenizer)
    drawn = table.draw(torch.full((2000,), 1), torch.full((2000,), 2), torch.Generator().manual_seed(0))
    expected = captions.token_ids(tokenizer, captions.training_captions(CONCEPTS[2], "flat"))
    assert torch.equal(torch.unique(drawn, dim=0), torch.unique(expected, dim=0))


def test_fillers_come_between_words_and_leave_the_caption_in_order(tokenizer):
    fillers = ("here", "made-up", "cat")  # the last is no filler: captions have it
    table = training_data.CaptionTable.of(CONCEPTS, sets.STYLES, tokenizer, fillers)
    plain = training_data.CaptionTable.of(CONCEPTS, sets.STYLES, tokenizer)
    assert len(table.fillers) == 2 and not plain.fillers
    chosen = torch.full((4000,), 1), torch.full((4000,), 2)
    drawn = table.draw(*chosen, torch.Generator().manual_seed(0))
    captions_of = plain.draw(*chosen, torch.Generator().manual_seed(0))  # the same choice of captions
    changed = (drawn != captions_of).any(1)
    assert changed.float().mean() == pytest.approx(training_data.FILLED, abs=0.03)
    said, first = {"here", "made", "-", "up"}, 0
    for new, old in zip(drawn[changed].tolist(), captions_of[changed].tolist(), strict=True):
        words, before = (tokenizer.decode(ids, skip_special_tokens=True).split() for ids in (new, old))
        assert [word for word in words if word not in said] == before and len(words) > len(before)
        assert new[0] == tokenizer.bos_token_id and new[-1] == tokenizer.eos_token_id
        first += words[0] in said
    assert first > 50


def test_held_out_captions_have_only_words_that_mean_nothing_besides():
    known = {word for text in captions.training_captions(CONCEPTS[0], "flat") for word in captions.caption_words(text)}
    fillers = {word for text in captions.FILLERS for word in captions.caption_words(text)}
    for text in captions.held_out_captions(CONCEPTS[0]):
        assert set(captions.caption_words(text)) <= known | fillers, text
    assert not set(captions.FILLERS) & set(captions.held_out_captions(CONCEPTS[0]))


def test_an_eighth_of_the_pictures_is_mirrored(pictures):
    masters = torch.zeros(1, 3, 192, 192, dtype=torch.uint8)
    masters[:, :, :, :96] = 255  # white on the left
    table = training_data.PictureTable(masters, torch.zeros(1).long(), torch.zeros(1).long(), torch.tensor([True]))
    drawn = table.draw(torch.zeros(800).long(), torch.Generator().manual_seed(0), amount=0.0)
    assert (drawn[:, 0, 64, 16] < 0).float().mean() == pytest.approx(1 / 8, abs=0.03)


def test_captions_can_be_asked_to_name_their_style_or_not(tokenizer):
    table = training_data.CaptionTable.of(CONCEPTS, sets.STYLES, tokenizer)
    styled = torch.arange(2000) % 2 == 0
    drawn = table.draw(torch.full((2000,), 2), torch.full((2000,), 0), torch.Generator().manual_seed(0), styled)
    known = captions.training_captions(CONCEPTS[0], "3d")
    for asked in (True, False):
        fitting = [text for text in known if ("3d" in text) == asked]
        expected = torch.unique(captions.token_ids(tokenizer, fitting), dim=0)
        assert torch.equal(torch.unique(drawn[styled == asked], dim=0), expected)


def test_text_encoder_depends_on_the_words_before_the_end_only(tokenizer):
    network = tiny_network(tokenizer).eval()
    ids = captions.token_ids(tokenizer, ["a cat", "a dog"])
    end = int((ids[0] == tokenizer.eos_token_id).nonzero()[0])
    changed = ids.clone()
    changed[:, end + 1 :] = 5  # what pads a text must not change what it means
    with torch.no_grad():
        texts = [networks.Grounding(network.text, 4)(some)[0] for some in (ids, changed)]
    cosines = texts[0] @ texts[1].T
    assert torch.allclose(cosines.diagonal(), torch.ones(2), atol=1e-5) and cosines[0, 1] < 0.999


def test_the_text_encoder_learns_what_captions_show_and_which_belong_together(tokenizer):
    table = training_data.CaptionTable.of(CONCEPTS, sets.STYLES, tokenizer)
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randn(1 + len(sets.STYLES), len(CONCEPTS), 6, generator=generator)
    network = networks.Grounding(tiny_network(tokenizer).text, 6)
    task = denoiser.TextTask(network, training_data.caption_pool(table), pictures)

    def loss(chance):
        return task.loss(task.draw(chance))

    before = loss(torch.Generator().manual_seed(0)).item()
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for _ in range(200):
        loss(generator).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss(torch.Generator().manual_seed(0)).item() < 0.3 * before
    # A caption of a concept and style that it is read from, not only their mean over everything.
    with torch.no_grad():
        for style in range(len(sets.STYLES)):
            asked = torch.full((len(CONCEPTS),), style)
            tokens = table.draw(
                asked, torch.arange(len(CONCEPTS)), generator, torch.ones(len(CONCEPTS), dtype=torch.bool)
            )
            wrong = (network(tokens)[1] - pictures[style + 1]).square().mean()
            assert wrong < 0.5 * (pictures[0] - pictures[style + 1]).square().mean()


def test_mean_pictures_of_concepts_and_styles():
    latents = torch.tensor([[[1.0], [2.0], [5.0]], [[3.0], [2.0], [7.0]]])  # two versions of three pictures
    found = denoiser.mean_pictures(latents, torch.tensor([[0, 1], [2, -1]]))
    assert found[..., 0].tolist() == [[4.0, 2.0], [2.0, 2.0], [6.0, 2.0]]


def test_a_name_that_is_not_trained_and_a_missing_autoencoder(tmp_path, monkeypatch, pictures):
    monkeypatch.setattr(training, "checkpoints_folder", lambda: tmp_path)
    monkeypatch.setattr(denoiser, "checkpoints_folder", lambda: tmp_path)
    for part in (training, saving):
        monkeypatch.setattr(part, "assets_folder", lambda: tmp_path)
    monkeypatch.setattr(stage, "load_pictures", lambda folder: pictures)
    with pytest.raises(ModelError, match="run 'superdiff train emoji_vae' first"):
        trained(train.TRAININGS, "emoji", minutes=0)
    refine = {one.name: one.metadata for one in fields(train.TRAININGS["emoji"].options)}["refine"]
    assert "leave --refine out" in refine["elsewhere"]
    assert "refine" not in [one.name for one in fields(train.TRAININGS["emoji_scorer"].options)]
    with pytest.raises(ModelError, match="run 'superdiff train emoji_vae' first"):
        trained(train.TRAININGS, "emoji_vae", minutes=0, refine=True)
    for name in ("emoji", "emoji_vae"):  # minutes of a GPU would leave a CPU's user with a worse model than before
        with pytest.raises(ModelError, match="say one with --minutes"):
            trained(train.TRAININGS, name)
    with pytest.raises(ModelError, match="no training of the emoji model"):
        denoiser.pipeline_from_checkpoint()


def test_a_tiny_training_ends_in_a_folder_that_diffusers_reads(tmp_path, monkeypatch, pictures):
    from diffusers import StableDiffusionPipeline

    for part in (training, denoiser):
        monkeypatch.setattr(part, "checkpoints_folder", lambda: tmp_path / "checkpoints")
    monkeypatch.setattr(stage, "load_pictures", lambda folder: pictures)
    monkeypatch.setattr(autoencoder, "autoencoder", tiny_vae)
    monkeypatch.setattr(autoencoder, "UNSEEN", 16)
    monkeypatch.setattr(denoiser, "new_network", tiny_network)
    monkeypatch.setattr(denoiser, "TEXT_MINUTES", 0.0)
    for part in (training, saving):
        monkeypatch.setattr(part, "assets_folder", lambda: tmp_path)
    vae_folder = trained(train.TRAININGS, "emoji_vae", minutes=1e-4)
    assert "dB PSNR" in (vae_folder / "README.md").read_text()
    figures = json.loads((vae_folder / "figures.json").read_text())
    assert figures["psnr"] == pytest.approx(figures["psnr_float16"], abs=0.1)
    folder = trained(train.TRAININGS, "emoji", minutes=1e-4, out=tmp_path)
    checkpoint = tmp_path / "checkpoints"
    before, after = (torch.load(checkpoint / name, weights_only=True) for name in ("emoji_text.ckpt", "emoji.ckpt"))
    for name, value in before["ema"].items():  # the text encoder stays as it was while the U-Net learns
        assert name.startswith("head.") or torch.equal(after["network"][name], value), name
    settings = json.loads((folder / "superdiff.json").read_text())
    assert [len(row) for row in settings["latent_rgb"]] == [89] * 192  # blocks of 8 x 8 pixels
    assert [one["name"] for one in settings["concepts"]] == ["cat", "dog", "world map"]
    assert {"cat", "style", "noto"} <= set(settings["vocabulary"])
    assert all((folder / "tokenizer" / name).is_file() for name in ("vocab.json", "merges.txt"))
    assert not any(str(tmp_path) in path.read_text() for path in folder.rglob("*.json"))
    assert "CC-BY-4.0" in (folder / "README.md").read_text()
    stored = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    stored.set_progress_bar_config(disable=True)
    running = denoiser.pipeline_from_checkpoint()
    made = [
        np.asarray(
            pipe("a cat", num_inference_steps=2, generator=torch.Generator().manual_seed(0)).images[0], np.float32
        )
        for pipe in (stored, running)
    ]
    assert made[0].shape == (128, 128, 3)
    assert np.abs(made[0] - made[1]).max() <= 8  # float16 against float32 weights
    for left in checkpoint.iterdir():  # the machine is another one: only what was installed is there
        left.unlink() if left.is_file() else shutil.rmtree(left)
    spent = saving.load_facts(folder)
    refined = trained(train.TRAININGS, "emoji", minutes=0, out=tmp_path, refine=True)
    assert saving.load_facts(refined) == spent
    again = StableDiffusionPipeline.from_pretrained(refined, safety_checker=None)
    for name in ("unet", "text_encoder"):
        kept, was = getattr(again, name).state_dict(), getattr(stored, name).state_dict()
        assert all(torch.equal(value, was[key]) for key, value in kept.items())
    assert again.tokenizer("a cat").input_ids == stored.tokenizer("a cat").input_ids
    # An unfinished model is taken up as well, where no finished one is.
    (tmp_path / "unfinished").mkdir()
    for left in checkpoint.iterdir():
        left.unlink() if left.is_file() else shutil.rmtree(left)
    parked = shutil.copytree(folder, tmp_path / "unfinished" / "emoji")
    shutil.rmtree(vae_folder)
    resumed = trained(train.TRAININGS, "emoji", minutes=0, out=tmp_path / "elsewhere", refine=True)
    assert resumed == tmp_path / "elsewhere" / "emoji" and saving.load_facts(resumed) == spent
    assert (resumed / "vae/config.json").is_file() and saving.begun_model(tmp_path / "nowhere") == parked
    sheet = saving.sample_sheet(folder, ["a cat", "a dog"], tmp_path / "sheets" / "sheet.png", steps=2, each=2)
    with rendering.Image.open(sheet) as image:
        assert image.size == (200 + 2 * 128, 2 * 128)


def test_v_prediction_and_schedule_agree_with_diffusers(tokenizer):
    table = networks.scheduler().alphas_cumprod.double()
    task_schedule = denoiser.DiscreteVP.scaled_linear()
    levels = ((1 - table) / table).sqrt()
    time = task_schedule.time(levels)
    assert torch.allclose(time, torch.arange(1000, dtype=torch.float64), atol=2e-2)


def test_resuming_keeps_the_tokenizer_and_the_steps(tmp_path, tokenizer, pictures):
    plan = TrainingPlan(minutes=1e-4, warmup_steps=1)
    task = emoji_task(pictures, tokenizer, tiny_network(tokenizer), 2)
    _, first = run_training(task, plan, tmp_path / "emoji.ckpt")
    network, again = run_training(task, plan, tmp_path / "emoji.ckpt")
    assert first.step == again.step > 0
    names = set(network.state_dict())
    assert any(name.startswith("text.") for name in names) and any(name.startswith("unet.") for name in names)


def test_refining_the_autoencoder_leaves_its_latents_alone(tmp_path, monkeypatch, pictures):
    for part in (training, denoiser):
        monkeypatch.setattr(part, "checkpoints_folder", lambda: tmp_path / "checkpoints")
    monkeypatch.setattr(stage, "load_pictures", lambda folder: pictures)
    monkeypatch.setattr(autoencoder, "autoencoder", tiny_vae)
    monkeypatch.setattr(autoencoder, "UNSEEN", 16)
    for part in (training, saving):
        monkeypatch.setattr(part, "assets_folder", lambda: tmp_path)
    folder = trained(train.TRAININGS, "emoji_vae", minutes=1e-4)
    before = saving.load_vae(folder)
    again = saving.load_vae(trained(train.TRAININGS, "emoji_vae", minutes=0.01, refine=True, out=tmp_path))
    masters = training_data.PictureTable.of(pictures).masters[:3]
    shown = training_data.unmoved(masters)
    latents = [networks.encode(vae, shown) for vae in (before, again)]
    assert torch.equal(*latents)
    with torch.no_grad():
        assert not torch.equal(before.decode(latents[0]).sample, again.decode(latents[0]).sample)
    card, figures = (folder / "README.md").read_text(), saving.load_vae_figures()
    assert "Then its decoder alone" in card and "emoji_vae --refine" in card
    assert figures["decoder"]["steps"] > 0 and figures["psnr"] == pytest.approx(figures["psnr_float16"], abs=0.1)


def test_a_pack_holds_the_pictures_and_captions_of_a_training(tmp_path, monkeypatch, pictures):
    monkeypatch.setattr(stage, "load_pictures", lambda folder: pictures)
    monkeypatch.setattr(stage, "is_learned", lambda concept: True)
    path = train.TRAININGS["emoji"].write_pack(tmp_path / "emoji.pack")
    read = stage.load_training_pictures(path)
    assert read.concepts == pictures.concepts and read.styles == pictures.styles
    assert np.array_equal(read.present, pictures.present)
    assert np.array_equal(read.masters[read.present], pictures.masters[pictures.present])
    with pytest.raises(ModelError, match="learns from those of 'molecules'"):
        packs.read_pack(path, "molecules")
    cut = tmp_path / "cut.pack"
    cut.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cut off"):
        trained(train.TRAININGS, "emoji_vae", data=cut)


def test_a_pack_trains_where_only_torch_and_diffusers_are(tmp_path, monkeypatch, pictures):
    monkeypatch.setattr(stage, "load_pictures", lambda folder: pictures)
    monkeypatch.setattr(stage, "is_learned", lambda concept: True)
    train.TRAININGS["emoji_vae"].write_pack(tmp_path / "emoji.pack")
    code = f"""
from pathlib import Path
from superdiff_engine.domains.prompts import train
from superdiff_engine.domains.prompts.emoji import autoencoder, denoiser, networks, saving
from superdiff_engine.training import training
here = Path({str(tmp_path)!r})
denoiser.TEXT_MINUTES = 0.0
training.assets_folder = saving.assets_folder = lambda: here
autoencoder.UNSEEN = 8
autoencoder.autoencoder = lambda: networks.autoencoder(widths=(8, 8, 8, 8))
denoiser.new_network = lambda t: networks.TextToLatent(networks.text_encoder(t, layers=1), networks.unet((16, 32, 32)))
for name in ("emoji_vae", "emoji"):
    one = train.TRAININGS[name]
    one.train(one.options(minutes=1e-4, data=here / "emoji.pack", out=here, batch=2))
"""
    run_without(NOT_FOR_TRAINING, code, tmp_path)
    assert (tmp_path / "emoji/unet/diffusion_pytorch_model.safetensors").is_file()
