import json
import os

import pytest
import torch
from diffusers import DDIMScheduler
from safetensors.torch import load_file, save_file
from tiny_pipelines import tiny_unet

from superdiff_engine import ModelError, Single, sample
from superdiff_engine.domains import embedded
from superdiff_engine.domains.pictures import model
from superdiff_engine.domains.pictures.model import WEIGHTS, list_models, load_expert, owns
from superdiff_engine.domains.pictures.saving import save_expert, write_card
from superdiff_engine.tables.table import Row, Table, Value


@pytest.mark.parametrize("kind", ["DDPM", "DDIM"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_deterministic_sampling_is_diffusers_ddim(save, prediction, kind):
    """In canonical coordinates DDIM (eta = 0) is the Euler ODE, so every step agrees to float32 rounding."""
    save("tiny", prediction, kind)
    expert = load_expert("local/tiny")
    theirs = DDIMScheduler(prediction_type=prediction, clip_sample=False)
    theirs.set_timesteps(20)
    times = theirs.timesteps
    levels = expert.schedule.level(times.double())
    ours = list(sample([expert], Single(0), levels, batch=3, seed=0, estimator="none", solver="ode"))
    x = ours[0].samples * theirs.alphas_cumprod[times[0]].sqrt()
    with torch.no_grad():
        for time, step in zip(times, ours, strict=True):
            alpha = theirs.alphas_cumprod[time].sqrt()
            scale = float(x.abs().max())
            assert torch.allclose(step.samples * alpha, x, atol=2e-4 * scale, rtol=0)
            out = expert.network.unet(x, time).sample
            x = theirs.step(out, time, x).prev_sample
    assert torch.allclose(ours[-1].denoised, x, atol=2e-4 * float(x.abs().max()), rtol=0)


def test_reads_rgb_old_layout_and_settings(save):
    folder = save("rgb", channels=3)
    for part in ("unet", "scheduler"):  # as google/ddpm-cifar10-32 is laid out
        for file in (folder / part).iterdir():
            file.rename(folder / file.name)
        (folder / part).rmdir()
    (folder / "superdiff.json").write_text(json.dumps({"title": "Tiny RGB", "description": "noise"}))
    expert = load_expert("local/rgb")
    assert expert.title == "Tiny RGB"
    assert expert.space.tangent_shape == (3, 8, 8)
    listed = {info.id: info for info in list_models()}
    assert listed["local/rgb"].description == "noise"
    assert listed["local/rgb"].source == "local"


def test_reads_attention_weights_under_their_old_names(save):
    folder = save()
    expected = load_expert("local/tiny").score(torch.ones(1, 1, 8, 8), 1.0)
    path = folder / "unet" / WEIGHTS
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = load_file(path)
    for new, name in old.items():
        state = {key.replace(f".{new}.", f".{name}."): value for key, value in state.items()}
    save_file(state, path)
    assert torch.equal(load_expert("local/tiny").score(torch.ones(1, 1, 8, 8), 1.0), expected)


def test_models_stay_in_memory_until_their_file_changes(save):
    folder = save()
    first = load_expert("local/tiny")
    assert load_expert("local/tiny") is first
    assert load_expert("local/tiny", dtype="bfloat16") is not first
    path = folder / "unet" / WEIGHTS
    save_file({name: value + 0.1 for name, value in load_file(path).items()}, path)
    assert load_expert("local/tiny") is not first


def test_a_file_of_the_same_size_and_time_in_its_place_is_noticed(save):
    """And a network in memory does not hang on the file that it was read from."""
    folder = save()
    first, y = load_expert("local/tiny"), torch.ones(1, 1, 8, 8)
    before, path = first.score(y, 1.0), folder / "unet" / WEIGHTS
    stat = path.stat()
    with open(path, "r+b") as file:
        file.seek(-4000, 2)
        file.write(b"\0" * 4000)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert torch.equal(first.score(y, 1.0), before)
    assert not torch.equal(load_expert("local/tiny").score(y, 1.0), before)


def test_another_schedule_is_noticed(save):
    folder = save()
    first = load_expert("local/tiny")
    change_json("scheduler/scheduler_config.json", beta_end=0.01)(folder)
    assert load_expert("local/tiny").schedule.highest < first.schedule.highest


@pytest.mark.parametrize("variant", ["fp16", "bf16", "ema", "non_ema"])
def test_the_only_variant_is_used(save, variant):
    """Plain weights come first; where there are none, what there is, in one file or several."""
    folder, y = save(), torch.ones(1, 1, 8, 8)
    expected = load_expert("local/tiny").score(y, 1.0)
    path = folder / "unet" / WEIGHTS
    spoiled = {name: value * 0 for name, value in load_file(path).items()}
    other = folder / "unet" / f"diffusion_pytorch_model.{variant}.safetensors"
    save_file(spoiled, other, {"format": "pt"})
    assert torch.equal(load_expert("local/tiny").score(y, 1.0), expected)
    path.replace(other)
    found = load_expert("local/tiny")
    assert torch.equal(found.score(y, 1.0), expected)
    (said,) = found.notes or [""]
    assert said == (f"tiny has weights of the variant '{variant}' only; these are used." if "ema" in variant else "")
    other.unlink()
    found.network.unet.save_pretrained(folder / "unet", variant=variant, max_shard_size="20KB")
    assert len(list((folder / "unet").glob("*.safetensors"))) > 1
    assert torch.equal(load_expert("local/tiny").score(y, 1.0), expected)


def test_half_weights_in_several_files_at_the_top(save):
    """An old repository's layout."""
    folder = save()
    unet = load_expert("local/tiny").network.unet.half()
    for name in ("unet", "scheduler"):
        for file in (folder / name).iterdir():
            file.rename(folder / file.name)
        (folder / name).rmdir()
    (folder / WEIGHTS).unlink()
    unet.save_pretrained(folder, variant="fp16", max_shard_size="20KB")
    state = load_expert("local/tiny").network.unet.state_dict()
    assert all(torch.equal(state[name], value.float()) for name, value in unet.state_dict().items())


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.05), ("float16", 0.01)])
def test_half_precision_networks_return_float32_scores(save, dtype, tolerance):
    save()
    y = torch.randn(2, 1, 8, 8)
    score = load_expert("local/tiny", dtype=dtype).score(y, 1.0)
    assert score.dtype == torch.float32
    assert torch.allclose(score, load_expert("local/tiny").score(y, 1.0), atol=tolerance)


def test_owns_ids_and_no_paths():
    for good in ("garments_a", "garments_b", "garments_ab", "local/mine", "hub/google/ddpm-cifar10-32"):
        assert owns(good)
    for bad in ("rows_upper", "local/../x", "local/", "hub/x", "hub/a/b/c", "/etc", "local/a/b", "garments_a/x"):
        assert not owns(bad)


def test_an_unknown_folder_is_named(models_folder):
    with pytest.raises(ModelError, match=r"no pipeline folder called 'nothing'.*SUPERDIFF_MODELS"):
        load_expert("local/nothing")


def test_a_hub_out_of_reach_gives_one_sentence():
    with pytest.raises(ModelError, match="could not be reached for 'nobody/nothing'"):
        load_expert("hub/nobody/nothing")  # conftest.py sets HF_HUB_OFFLINE


def test_a_missing_embedded_model_gives_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(embedded, "assets_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match="garments_a is missing; install SuperDiff Studio again"):
        load_expert("garments_a")


def without_weights(folder):
    (folder / "unet" / WEIGHTS).unlink()


def pickled_weights_only(folder):
    (folder / "unet" / WEIGHTS).rename(folder / "unet" / "diffusion_pytorch_model.bin")


def truncated(folder):
    path = folder / "unet" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


def emptied(folder):
    (folder / "unet" / WEIGHTS).write_bytes(b"")


def wrong_shape(folder):
    path = folder / "unet" / WEIGHTS
    state = load_file(path)
    save_file({**state, "conv_in.weight": torch.zeros(8, 3, 3, 3)}, path)


def missing_tensor(folder):
    path = folder / "unet" / WEIGHTS
    state = load_file(path)
    del state["conv_out.bias"]
    save_file(state, path)


def change_json(name, **changes):
    def change(folder):
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def not_json(folder):
    (folder / "unet" / "config.json").write_text("{")


def no_scheduler(folder):
    (folder / "scheduler" / "scheduler_config.json").unlink()


def bad_settings(folder):
    (folder / "superdiff.json").write_text('{"pixel_unshuffle": "many"}')


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (without_weights, "unet are missing; copy the model again, with its weights as safetensors"),
        (pickled_weights_only, "unet are pickles, which can hold code; get the model's safetensors instead"),
        (truncated, "safetensors is damaged or was cut off; copy the model again"),
        (emptied, "safetensors is damaged or was cut off"),
        (wrong_shape, "unet of tiny do not fit its config.json"),
        (missing_tensor, "unet of tiny do not fit its config.json"),
        (not_json, "config.json is not valid JSON"),
        (no_scheduler, "scheduler_config.json is missing"),
        (bad_settings, "superdiff.json is wrong at 'pixel_unshuffle'"),
        (change_json("scheduler/scheduler_config.json", prediction_type="score"), "has prediction_type 'score'"),
        (change_json("scheduler/scheduler_config.json", _class_name="EulerDiscreteScheduler"), "names EulerDiscrete"),
        (change_json("scheduler/scheduler_config.json", beta_schedule="odd"), "no usable noise schedule"),
        (change_json("model_index.json", vae=["diffusers", "AutoencoderKL"]), "no unconditional picture model"),
        (change_json("unet/config.json", num_class_embeds=10), "class labels"),
        (change_json("unet/config.json", down_block_types=["Odd", "Odd"]), "no UNet2DModel that can be built"),
    ],
)
def test_bad_files_give_one_sentence_that_names_the_file(save, damage, sentence):
    folder = save()
    damage(folder)
    with pytest.raises(ModelError, match=sentence) as caught:
        load_expert("local/tiny")
    assert "tiny" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_latents_are_no_pictures(save):
    save("latents", channels=4)
    with pytest.raises(ModelError, match="grey or RGB pictures"):
        load_expert("local/latents")


def test_saving_an_embedded_expert_and_reading_it_back(models_folder):
    unet = tiny_unet(4)
    facts = model.TrainingFacts(minutes=29, steps=4000, batch=64, loss=0.13, hardware="2 cores")
    folder = models_folder / "garments_a"
    save_expert("garments_a", unet, facts, folder)
    expert = load_expert("local/garments_a")
    assert expert.title == "Garments A"
    assert expert.space.tangent_shape == (1, 16, 16)
    assert expert.prediction == "v_prediction"
    x, time = torch.randn(2, 1, 16, 16), torch.tensor([10.0, 500.0])
    with torch.no_grad():
        exact = torch.nn.functional.pixel_shuffle(unet(torch.nn.functional.pixel_unshuffle(x, 2), time).sample, 2)
    assert torch.allclose(expert.network(x, time), exact, atol=5e-3)  # the file is float16
    assert load_file(folder / "unet" / WEIGHTS)["conv_in.weight"].dtype == torch.float16
    assert "Not measured yet" in (folder / "README.md").read_text()
    values = {"fashion_fid": Value(value=9.12, error=0.3), "fashion_is": Value(value=4.0, error=0.1)}
    table = Table(command="x", seeds=[0], steps=40, rows=[Row(name="a/sde", samples=2000, seconds=1, values=values)])
    write_card(folder, table)
    assert "| SDE | 2000 | 40 | 9.12 ± 0.30 | 4.00 ± 0.10 |" in (folder / "README.md").read_text()
