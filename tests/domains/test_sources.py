"""The user's own folders: whatever they are called, they can be named in a recipe, or it is said why not."""

import io
import json
import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from superdiff_engine.cli import app as cli
from superdiff_engine.cli import models as models_command
from superdiff_engine.domains import get_domain, model_notices
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.sources import folder_title, local_name, local_pipelines
from superdiff_engine.errors import RecipeError
from superdiff_engine.recipes.document import Expert
from superdiff_engine.system.terminal import Terminal

SD = {
    "_class_name": "StableDiffusionPipeline",
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
ODD = (
    "Realistic Vision V5.1",
    "café",
    "model [v1]",
    "日本語",
    "_hidden",
    "-",
    "a" * 200,
    "x:y",
    "a+b",
    "two  blanks",
    "50%",
    " ",
    "...",
    "model [v1] (pruned, a very long name of more than fifty letters)",
)


def pipeline(folder, index=SD):
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERDIFF_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.mark.parametrize("name", ODD)
def test_a_folder_of_any_name_has_an_id_that_recipes_take(models, name):
    pipeline(models / name)
    (info,) = [info for info in get_domain("prompts").models() if info.source == "local"]
    assert info.title == name and model_notices() == []
    assert Expert(model=info.id).model == info.id
    assert [local.folder for local in local_pipelines() if local.id == info.id] == [models / name]
    recipe = make_recipe(
        {"domain": "prompts", "experts": [{"model": info.id, "prompt": "a"}], "operator": {"name": "or"}}
    )
    assert recipe.experts[0].model == info.id


def test_ids_are_told_apart_and_stay():
    names = [*ODD, "Realistic Vision V5 1", "Realistic_Vision_V5.1", "realistic vision V5.1", "cafe", "model (v1)"]
    assert len({local_name(name) for name in names}) == len(names)
    assert local_name("Realistic Vision V5.1") == "Realistic-Vision-V5.1-0eb1ed22"
    assert local_name("sd-1.5_plain") == "sd-1.5_plain"
    assert local_name("caf\u00e9") == local_name("cafe\u0301")  # Linux and macOS write it differently


def test_a_name_that_cannot_be_shown(models):
    """Bytes that are no text and control characters reach no terminal."""
    made = [os.fsencode(models) + b"/\xff\xfemodel", os.fsencode(models) + b"/red\x1b[31m\nmodel"]
    for path in made:
        pipeline(Path(os.fsdecode(path)))
    infos = [info for info in get_domain("prompts").models() if info.source == "local"]
    assert len({info.id for info in infos}) == 2
    for info in infos:
        assert (info.title + info.description).isprintable() and Expert(model=info.id)


def test_the_variable_may_name_a_pipeline_itself(models, monkeypatch):
    pipeline(models / "good")
    pipeline(models / "with blanks")
    blanks = f"local/{local_name('with blanks')}"
    for named, ids in (("good", ["local/good"]), ("good/", ["local/good"]), ("with blanks", [blanks])):
        monkeypatch.setenv("SUPERDIFF_MODELS", f"{models}/{named}")
        assert [local.id for local in local_pipelines()] == ids and model_notices() == []
    monkeypatch.setenv("SUPERDIFF_MODELS", os.pathsep.join([str(models), str(models / "good")]))
    assert len(local_pipelines()) == 2 and model_notices() == []
    monkeypatch.setenv("HOME", str(models))
    monkeypatch.setenv("SUPERDIFF_MODELS", "~/good")
    assert [local.id for local in local_pipelines()] == ["local/good"]


def test_what_is_not_offered_is_said_once(models, tmp_path, monkeypatch):
    pipeline(models / "flux", {"_class_name": "FluxPipeline", "transformer": ["diffusers", "FluxTransformer2DModel"]})
    pipeline(models / "broken")
    (models / "broken" / "model_index.json").write_text("{")
    pipeline(models / "good")
    pipeline(tmp_path / "more" / "good")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    named = [models, tmp_path / "more", tmp_path / "absent", tmp_path / "absent", tmp_path / "file", tmp_path / "empty"]
    monkeypatch.setenv("SUPERDIFF_MODELS", os.pathsep.join(map(str, named)))
    notices = model_notices()
    for words in (
        "'flux' .* FluxPipeline, which no domain reads",
        "broken/model_index.json is not valid JSON",
        "'good' in .*more is left out: .*models/good has its name",
        "absent that SUPERDIFF_MODELS names is not there",
        "file that SUPERDIFF_MODELS names is not a folder",
        "empty that SUPERDIFF_MODELS names holds no pipeline",
    ):
        assert len([notice for notice in notices if re.search(words, notice)]) == 1, words
    assert len(notices) == 6
    monkeypatch.setenv("COLUMNS", "60")
    said = CliRunner().invoke(cli.app, ["models"]).output
    assert all(said.count(notice) == 1 for notice in notices)
    assert said.count("local/good") == 1


def test_the_listing_shows_brackets_and_whole_ids(models, monkeypatch):
    pipeline(models / "model [v1] (pruned, a very long name of more than fifty letters)")
    (local,) = local_pipelines()
    monkeypatch.setattr(models_command, "console", Terminal(width=100, file=io.StringIO()))
    CliRunner().invoke(cli.app, ["models"])
    said = models_command.console.file.getvalue()
    assert local.id in said and "[v1]" in said


@pytest.mark.parametrize("model", ["local/Realistic Vision V5.1", "Realistic Vision V5.1"])
def test_an_id_with_the_folders_real_name_is_put_right(models, model):
    pipeline(models / "Realistic Vision V5.1")
    with pytest.raises(RecipeError, match=r"your folder of this name is 'local/Realistic-Vision-V5\.1-0eb1ed22'"):
        make_recipe({"domain": "prompts", "experts": [{"model": model, "prompt": "a"}]})


@pytest.mark.parametrize("model", ["../x", "local/a b", "a/b/c/d", "", " ", "a\nb", "é" * 201, "local/[x]", 3, None])
def test_no_sentence_holds_a_regular_expression(model):
    with pytest.raises(RecipeError) as caught:
        make_recipe({"domain": "prompts", "experts": [{"model": model, "prompt": "a"}]})
    assert "[A-Za-z" not in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(RecipeError, match="control characters") as caught:
        make_recipe({"domain": "prompts", "experts": [{"model": "emoji", "prompt": "a\tb"}]})
    assert "\\x" not in str(caught.value)


def test_a_snapshot_of_the_hub_goes_by_its_repository(tmp_path):
    assert folder_title(tmp_path / "models--google--ddpm-cat-256" / "snapshots" / ("0" * 40)) == "google/ddpm-cat-256"
    assert folder_title(tmp_path / "mine") == "mine"
