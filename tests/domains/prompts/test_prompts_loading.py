"""Folders that are not what they should be: one sentence each, and nothing in them is executed."""

import json
import pickle
import re
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import tiny_text_pipelines as tiny
import torch
from diffusers import StableDiffusionPipeline
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.prompts.loading import PipelineOptions, find_folder
from superdiff_engine.domains.prompts.pipeline import load_text_to_image
from superdiff_engine.errors import ModelError, RecipeError
from superdiff_engine.runs.run import Run

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(pipelines, tmp_path):
    """A copy of the tiny Stable Diffusion that a test may spoil."""
    return shutil.copytree(pipelines("sd"), tmp_path / "mine")


def fails(folder, match, **options):
    with pytest.raises(ModelError, match=match) as caught:
        load_text_to_image(folder, **options)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_folder_that_is_no_pipeline(copy, tmp_path):
    (tmp_path / "empty").mkdir()
    fails(tmp_path / "empty", "no diffusers pipeline")
    (copy / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    fails(copy, "is a FluxPipeline; choose one of StableDiffusionPipeline")
    (copy / "model_index.json").write_text("{")
    fails(copy, "not valid JSON")


def test_pickles_are_refused_without_being_opened(copy):
    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('executed')",))

    (copy / WEIGHTS).unlink()
    (copy / "unet/diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    fails(copy, "pickles, which can hold code")


def test_weights_that_are_damaged_or_do_not_fit(copy):
    path = copy / WEIGHTS
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    fails(copy, "damaged or was cut off")
    path.write_bytes(whole)
    tensors = load_file(path)
    name = next(iter(tensors))
    save_file(tensors | {name: torch.zeros(3)}, path)
    fails(copy, "do not fit its config.json")
    del tensors[name]
    save_file(tensors, path)
    fails(copy, "do not fit its config.json")
    path.unlink()
    fails(copy, "are missing")


def test_a_lost_shard_is_noticed(copy):
    pipe = StableDiffusionPipeline.from_pretrained(copy)
    for path in copy.rglob("*.safetensors"):
        path.unlink()
    pipe.save_pretrained(copy, max_shard_size="60KB")
    load_text_to_image(copy)
    shards = sorted((copy / "unet").glob("*.safetensors"))
    assert len(shards) > 2
    shards[1].unlink()
    fails(copy, "do not fit its config.json")


def test_a_tokenizer_without_its_vocabulary(copy):
    """Transformers would make one that knows no word, and every prompt would mean the same."""
    for path in (copy / "tokenizer").iterdir():
        path.unlink()
    fails(copy, "has no vocabulary")


def test_parts_of_different_models(copy):
    encoder = copy / "text_encoder"
    shutil.rmtree(encoder)
    tiny.text_encoder(CLIPTextModel, 48).save_pretrained(encoder)
    fails(copy, "give vectors of widths 48, its unet takes 32")
    shutil.rmtree(encoder)
    config = tiny.text_encoder(CLIPTextModel).config
    config.vocab_size, config.bos_token_id, config.eos_token_id, config.pad_token_id = 20, 1, 2, 2
    CLIPTextModel(config).save_pretrained(encoder)
    fails(copy, "tokenizer of mine has 58 tokens, its text_encoder knows 20")


def test_code_beside_the_weights_is_never_run(copy):
    """Files named as the libraries are, which diffusers' own loader takes for custom components."""
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        for name in ("diffusers", "transformers"):
            (copy / part / f"{name}.py").write_text("raise SystemExit('executed')")
    assert load_text_to_image(copy).title == "mine"


def test_compiling_that_fails_says_so(copy, monkeypatch):
    def failing(self, *args, **more):
        raise torch._dynamo.exc.TorchDynamoException("no C++ compiler\nmany more lines")

    model = load_text_to_image(copy)
    monkeypatch.setattr(model.pipe.unet, "forward", failing)
    with pytest.raises(ModelError, match=r"torch.compile failed on mine \(no C\+\+ compiler\); switch compiling off"):
        model.expert("a").score(torch.ones(1, 4, 8, 8), 1.0)


def test_parts_of_other_kinds(copy):
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps(index | {"unet": ["my_module", "MyUNet"]}))
    fails(copy, "lists MyUNet as its unet")
    (copy / "model_index.json").write_text(json.dumps(index))
    scheduler = copy / "scheduler/scheduler_config.json"
    scheduler.write_text(json.dumps(json.loads(scheduler.read_text()) | {"prediction_type": "magic"}))
    fails(copy, "prediction_type 'magic'")


def test_what_the_folder_says_of_itself(copy):
    (copy / "superdiff.json").write_text('{"latent_rgb": [[1, 2], [3, 4], [5, 6]]}')
    fails(copy, "latent_rgb .* 3 rows of 5 numbers")
    rows = [[0, 0, 0, 0, -1], [0.5, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    (copy / "superdiff.json").write_text(json.dumps({"title": "Mine", "latent_rgb": rows}))
    model = load_text_to_image(copy)
    assert model.title == "Mine"
    picture = model.preview(torch.ones(1, 4, 8, 8))
    assert picture.shape == (1, 8, 8, 3)
    assert picture[0, 0, 0].tolist() == [0, 191, 255]


def test_options_that_this_machine_does_not_have(copy):
    if not torch.cuda.is_available():
        fails(copy, "offload", options=PipelineOptions(cpu_offload=True))
    model = load_text_to_image(copy, options=PipelineOptions(vae_slicing=True, vae_tiling=True, attention_slicing=True))
    assert model.pipe.vae.use_slicing and model.pipe.vae.use_tiling


def test_a_hub_that_cannot_be_reached():
    with pytest.raises(ModelError, match="could not be reached for 'somebody/something'"):
        find_folder("hub/somebody/something")


def test_a_hub_out_of_reach_is_asked_once(monkeypatch):
    asked = []

    def refuse(url):
        asked.append(url)
        raise Dropped("no route")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *args: pytest.fail("asked again, with retries"))
    with pytest.raises(ModelError, match="could not be reached for 'somebody/something'"):
        find_folder("hub/somebody/something")
    assert asked == ["https://huggingface.co/somebody/something/resolve/main/model_index.json"]


class Dropped(HfHubHTTPError.__bases__[0]):
    """What the hub's HTTP client raises when a connection is lost."""


@pytest.mark.parametrize(
    ("index", "listing", "match"),
    [
        (LocalEntryNotFoundError("offline"), None, "could not be reached"),
        (Dropped("timed out"), None, "could not be reached"),
        (EntryNotFoundError("404"), None, "has no model_index.json"),
        (HFValidationError("bad name"), None, "no public repository 'somebody/something'"),
        (None, Dropped("timed out"), "could not be reached"),
    ],
)
def test_what_a_hub_can_answer(pipelines, monkeypatch, index, listing, match):
    def answer(error, value=None):
        def function(*args, **more):
            if error is not None:
                raise error
            return value

        return function

    folder = pipelines("sd")
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", answer(None))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", answer(index, str(folder / "model_index.json")))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", answer(listing))
    with pytest.raises(ModelError, match=match):
        find_folder("hub/somebody/something")


@pytest.fixture
def local(copy, monkeypatch):
    monkeypatch.setenv("SUPERDIFF_MODELS", str(copy.parent))
    return "local/mine"


def recipe(model, **change):
    document = {
        "domain": "prompts",
        "experts": [{"model": model, "prompt": "a cat"}, {"model": model, "prompt": "a dog"}],
        "operator": {"name": "and"},
        "levels": {"steps": 4},
        "batch": 3,
        "guidance": {"weight": 3},
    }
    return make_recipe(document | change)


def test_a_run_from_a_recipe_to_pictures(local):
    """The domain's parts together: one title a prompt, decoded pictures, and what the user should know."""
    run = Run(recipe(local))
    result = run.execute()
    assert run.titles == ["a cat", "a dog"]
    assert result.decoded.pictures.shape == (3, 16, 16, 3)
    assert run.notes == []
    long = Run(recipe(local, experts=[{"model": local, "prompt": "abcdefghijklmnopqrst"}]))
    long.execute()
    assert any("does not see" in note for note in long.notes)


def test_the_size_is_the_recipes(local):
    result = Run(recipe(local, pipeline={"height": 32, "width": 24})).execute()
    assert result.decoded.pictures.shape == (3, 32, 24, 3)
    with pytest.raises(ModelError, match="multiples of 2 pixels"):
        Run(recipe(local, pipeline={"height": 33, "width": 24})).execute()


def test_guidance_of_one_is_no_guidance(local):
    plain, unguided = (Run(recipe(local, guidance=given)).execute() for given in (None, {"weight": 1}))
    assert (plain.samples["x"] == unguided.samples["x"]).all()


def test_recipes_that_make_no_sense():
    model = "hub/somebody/something"
    with pytest.raises(RecipeError, match="Expert 2 has no prompt"):
        recipe(model, experts=[{"model": model, "prompt": "a"}, {"model": model, "prompt": " "}])
    with pytest.raises(RecipeError, match="share one model"):
        recipe(model, experts=[{"model": model, "prompt": "a"}, {"model": "hub/other/one", "prompt": "b"}])


def test_text_pipelines_are_not_offered_as_picture_models(local):
    assert "local/mine" in [info.id for info in get_domain("prompts").models()]
    assert "local/mine" not in [info.id for info in get_domain("pictures").models()]


def test_the_documented_lines_for_prompts_run(pipelines):
    """As written, but for the model's folder and the device."""
    page = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    block = next(text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "load_text_to_image" in text)
    call = 'load_text_to_image(Path("stable-diffusion-v1-5"), device="cuda", dtype="float16")'
    assert call in block
    names = {"folder": pipelines("sd")}
    exec(block.replace(call, "load_text_to_image(folder)").replace('device="cuda"', 'device="cpu"'), names)
    assert names["pictures"].shape == (4, 16, 16, 3)
