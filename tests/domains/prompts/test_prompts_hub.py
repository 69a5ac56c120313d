"""Pipelines of a hub, fetched from one on this machine: which files, how far it is, how it is stopped."""

import shutil
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from huggingface_hub import constants

sys.path.append(str(Path(__file__).parents[2]))
from fake_hub import REVISION, FakeHub

from superdiff_engine.domains import hub as hub_module
from superdiff_engine.domains.pictures.model import load_expert
from superdiff_engine.domains.prompts.loading import find_folder
from superdiff_engine.domains.prompts.pipeline import load_text_to_image
from superdiff_engine.downloads import watching
from superdiff_engine.errors import ModelError
from superdiff_engine.recipe import make_recipe
from superdiff_engine.run import Run

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
