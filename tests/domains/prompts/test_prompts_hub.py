"""Pipelines of a hub, fetched from one on this machine: which files, how far it is, how it is stopped."""

import json
import shutil
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

sys.path.append(str(Path(__file__).parents[2]))
from fake_hub import REVISION, FakeHub

from superdiff_engine.domains import hub as hub_module
from superdiff_engine.domains.checked import load_recipe, make_recipe
from superdiff_engine.domains.hub import fetch_index
from superdiff_engine.domains.pictures.model import load_expert
from superdiff_engine.domains.prompts.loading import find_folder
from superdiff_engine.domains.prompts.pipeline import load_text_to_image
from superdiff_engine.errors import ModelError, RecipeError
from superdiff_engine.runs.axes import make_axis
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.run import Run
from superdiff_engine.system.downloads import watching

MODEL = "hub/somebody/something"
UNET = "unet/diffusion_pytorch_model.safetensors"

#: What real repositories hold besides what is needed.
BESIDES = (
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/diffusion_pytorch_model.bin",
    "safety_checker/model.safetensors",
    "v1-5-pruned.safetensors",
)


@pytest.fixture
def hub(pipelines, tmp_path, monkeypatch):
    """The tiny Stable Diffusion with BESIDES, and an empty cache."""
    folder = shutil.copytree(pipelines("sd"), tmp_path / "repository")
    weights = (folder / UNET).read_bytes()
    for name in BESIDES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(weights)
    served = FakeHub("somebody/something", folder)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", served.url)
    template = served.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 14)
    yield served
    served.close()


def recipe(model):
    experts = [{"model": model, "prompt": "a cat"}, {"model": model, "prompt": "a dog"}]
    return make_recipe({"domain": "prompts", "experts": experts, "operator": {"name": "and"}, "levels": {"steps": 3}})


def test_only_what_the_pipeline_needs_is_fetched(hub, pipelines):
    folder = find_folder(MODEL)
    plain = pipelines("sd")
    needed = {str(path.relative_to(plain)) for path in plain.rglob("*") if path.is_file()}
    fetched = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert fetched == set(hub.sent) == needed - {"README.md"}
    ours, original = load_text_to_image(folder).pipe.unet.state_dict(), load_text_to_image(plain).pipe.unet.state_dict()
    assert all((ours[name] == value).all() for name, value in original.items())


def test_what_was_fetched_once_is_there_without_the_hub(hub):
    folder = find_folder(MODEL)
    hub.sent.clear()
    assert find_folder(MODEL) == folder and hub.sent == []
    hub.close()
    assert find_folder(MODEL) == folder


def test_float16_weights_where_there_are_no_others(hub):
    (hub.folder / UNET).unlink()
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in {
        str(path.relative_to(find_folder(MODEL))) for path in find_folder(MODEL).rglob("*")
    }


def test_weights_in_several_files(hub):
    whole = hub.folder / UNET
    for number in (1, 2):
        shutil.copy(whole, hub.folder / f"unet/diffusion_pytorch_model-0000{number}-of-00002.safetensors")
        shutil.copy(whole, hub.folder / f"unet/diffusion_pytorch_model.fp16-0000{number}-of-00002.safetensors")
    whole.unlink()
    names = {path.name for path in (find_folder(MODEL) / "unet").iterdir()}
    assert names == {
        "config.json",
        *(f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)),
    }


def test_without_safetensors_no_weights_are_fetched(hub):
    for path in (hub.folder / "unet").glob("*.safetensors"):
        path.unlink()
    with pytest.raises(ModelError, match=r"lacks safetensors for some of its parts \(unet\)"):
        find_folder(MODEL)
    assert hub.sent == ["model_index.json"]


def test_a_repository_that_is_not_there(hub):
    for load in (find_folder, load_expert):
        with pytest.raises(ModelError, match="no public repository 'somebody/nothing'"):
            load("hub/somebody/nothing")


def test_a_disk_that_is_too_small(hub, monkeypatch):
    monkeypatch.setattr(hub_module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10_000))
    with pytest.raises(ModelError, match=r"needs 0\.0 GB on the disk of .*cache, where 0\.0 GB are free"):
        find_folder(MODEL)


def test_every_watcher_hears_of_every_byte(hub):
    seen, outer = [], []
    with watching(outer.append), watching(lambda download: seen.append((download.done, download.total))):
        folder = find_folder(MODEL)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    size -= (folder / "model_index.json").stat().st_size  # fetched before, to see whether the rest is worth it
    assert seen[0] == (0, size) and seen[-1] == (size, size)
    assert seen == sorted(seen) and len(seen) > 20 and len(outer) == len(seen)
    seen.clear()
    find_folder(MODEL)
    assert seen == []


def test_a_run_shows_its_download_and_stops_it(hub, pipelines, monkeypatch):
    """Cancelled half-way, it says so, keeps what was whole, and the next run goes on from there."""
    hub.gate.clear()
    run = Run(recipe(MODEL))
    worker = threading.Thread(target=run.execute)
    worker.start()
    snapshot = Path(constants.HF_HUB_CACHE) / "models--somebody--something" / "snapshots" / REVISION
    while run.download is None or len(list(snapshot.rglob("*.json"))) < 4:
        assert worker.is_alive()
        time.sleep(0.01)
    download = run.download
    assert run.state == "loading" and download.name == "somebody/something"
    assert 0 < download.fraction < 1 and download.eta > 0
    run.cancel()
    hub.gate.set()
    worker.join()
    assert run.state == "cancelled" and run.result is None and run.download is None
    assert run.message.startswith("The download of 'somebody/something' was stopped at ")
    kept = {str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file()}
    hub.sent.clear()
    again = Run(recipe(MODEL)).execute()
    assert len(kept) >= 4 and not kept & set(hub.sent)
    monkeypatch.setenv("SUPERDIFF_MODELS", str(hub.folder.parent))
    assert np.array_equal(again.samples["x"], Run(recipe("local/repository")).execute().samples["x"])


SECOND = "f" * 40


def publish_another(hub, folder):
    """A second commit, whose U-Net has other weights."""
    newer = shutil.copytree(hub.folder, folder)
    path = newer / UNET
    save_file({name: value * 1.5 for name, value in load_file(path).items()}, path, {"format": "pt"})
    hub.publish(SECOND, newer)


def document(**more):
    return recipe(MODEL).model_dump() | {"experts": [{"model": MODEL, "prompt": "a cat", **more}]}


def test_a_run_keeps_the_revision_that_it_took(hub, tmp_path):
    """All files are of one commit, and the record names it: its recipe gives the same samples after another one."""
    run = Run(make_recipe(document()), tmp_path / "run")
    first = run.execute()
    # Only which commit is the newest is asked of the branch.
    assert {revision for revision, name in hub.asked if name != "model_index.json"} == {REVISION}
    stored = load_recipe(tmp_path / "run" / "recipe.json")
    assert stored == run.recipe == first.recipe and [expert.revision for expert in stored.experts] == [REVISION]
    publish_another(hub, tmp_path / "newer")
    again, other = Run(stored).execute(), Run(make_recipe(document())).execute()
    assert np.array_equal(again.samples["x"], first.samples["x"])
    assert other.recipe.experts[0].revision == SECOND and not np.array_equal(other.samples["x"], first.samples["x"])
    hub.close()
    assert np.array_equal(Run(stored).execute().samples["x"], first.samples["x"])


def test_an_older_revision_can_be_asked_for(hub, tmp_path):
    publish_another(hub, tmp_path / "newer")
    assert find_folder(MODEL, REVISION).name == REVISION
    assert {revision for revision, _ in hub.asked} == {REVISION}
    assert find_folder(MODEL).name == SECOND


def test_a_revision_that_is_not_there(hub):
    with pytest.raises(ModelError, match=f"'somebody/something' has no revision {SECOND}; remove it from the recipe"):
        Run(make_recipe(document(revision=SECOND))).execute()


def test_a_commit_during_the_download_does_not_mix_two(hub, tmp_path):
    folder = fetch_index("somebody/something")
    (tmp_path / "other").mkdir()
    hub.publish(SECOND, tmp_path / "other")  # empty: any file asked of it would be missing
    assert find_folder(MODEL, folder.name) == folder and (folder / UNET).is_file()


@pytest.mark.parametrize("revision", ["main", "F" * 40, "f" * 39, "f" * 41, "g" * 40, "", "../" + "f" * 37])
def test_revisions_are_commits(revision):
    with pytest.raises(RecipeError, match="40 hexadecimal digits"):
        make_recipe(document(revision=revision))


def test_what_a_revision_belongs_to():
    with pytest.raises(RecipeError, match=r"only a model of a hub \(hub/OWNER/NAME\) has a revision"):
        make_recipe({"domain": "prompts", "experts": [{"model": "emoji", "prompt": "a", "revision": SECOND}]})
    experts = [{"model": MODEL, "prompt": "a", "revision": one} for one in (SECOND, REVISION)]
    with pytest.raises(RecipeError, match="share one model and its revision"):
        make_recipe({"domain": "prompts", "experts": experts})
    assert "revision" not in make_recipe(document()).to_json()


def test_a_grid_is_of_one_revision(hub, tmp_path):
    sweep = Sweep(make_recipe(document()), make_axis("seed", [0, 1]), folder=tmp_path / "grid")
    sweep.execute(lambda step: publish_another(hub, tmp_path / "newer") if not hub.older else None)
    assert not sweep.failures and {revision for revision, name in hub.asked if name == UNET} == {REVISION}
    assert load_recipe(tmp_path / "grid" / "recipe.json").experts[0].revision == REVISION


@pytest.fixture
def pictures(hub, tmp_path):
    """The hub with an unconditional model."""
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=8, in_channels=3, out_channels=3, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    hub.folder = tmp_path / "pictures"
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(hub.folder)
    return hub


@pytest.mark.parametrize("old", [False, True])
def test_of_a_picture_model_only_what_is_needed_is_fetched(pictures, old):
    """Also where all is at the top, as in google/ddpm-cifar10-32."""
    folder, place = pictures.folder, "unet/"
    if old:
        place = ""
        for part in ("unet", "scheduler"):
            for file in (folder / part).iterdir():
                file.rename(folder / file.name)
            (folder / part).rmdir()
    weights = f"{place}diffusion_pytorch_model"
    for ending in ("fp16.safetensors", "ema.safetensors", "bin", "onnx", "msgpack"):
        shutil.copy(folder / f"{weights}.safetensors", folder / f"{weights}.{ending}")
    for name in ("README.md", "train.json", "logs.safetensors", "pipeline.py"):
        (folder / name).write_text("{}")
    run = Run(make_recipe({"domain": "pictures", "experts": [{"model": MODEL}], "levels": {"steps": 2}, "batch": 2}))
    run.execute()
    scheduler = "scheduler_config.json" if old else "scheduler/scheduler_config.json"
    assert {*pictures.sent} == {"model_index.json", scheduler, f"{place}config.json", f"{weights}.safetensors"}
    assert run.recipe.experts[0].revision == REVISION and run.titles == ["something"]


def test_a_text_model_is_not_fetched_as_a_picture_model(hub):
    with pytest.raises(ModelError, match="somebody/something is no unconditional picture model"):
        load_expert(MODEL)
    assert hub.sent == ["model_index.json"]


def test_a_pipeline_with_code_of_its_own_is_fetched_without_it(hub):
    """As superdiff/superdiff-sd-v1-4 is published."""
    path = hub.folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"_class_name": ["pipeline", "SuperDiffPipeline"]}))
    for name in ("pipeline.py", "unet/my_unet.py"):
        (hub.folder / name).write_text("raise SystemExit('executed')")
    folder = find_folder(MODEL)
    assert load_text_to_image(folder).title == "somebody/something"
    assert not list(folder.rglob("*.py")) and not [name for name in hub.sent if name.endswith(".py")]
