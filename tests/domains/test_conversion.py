"""Models of others become folders of this project's layout, or it is said by a sentence why not."""

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from official_layout import TINY_FRAMEDIFF, framediff_checkpoint, framediff_state
from safetensors.torch import load_file
from typer.testing import CliRunner

from superdiff_engine.cli import app as cli
from superdiff_engine.domains import conversion as conversion_module
from superdiff_engine.domains import conversion_of, model_notices
from superdiff_engine.domains.conversion import Conversion, Taken, Wanted, plain_configuration, write_weights
from superdiff_engine.domains.proteins.se3 import framediff_names
from superdiff_engine.domains.proteins.se3.framediff import FrameDiffNetwork
from superdiff_engine.domains.sources import find_folder, local_model, local_models, local_pipelines
from superdiff_engine.errors import ModelError, OutputError, SuperDiffError
from superdiff_engine.system.options import option


def run(*words):
    """`superdiff WORDS`: what it printed, and the error it ended with."""
    found = CliRunner().invoke(cli.app, [str(word) for word in words])
    return " ".join(found.output.split()), found.exception


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "best_weights.pth"
    framediff_checkpoint(path)
    return path


def test_a_checkpoint_becomes_a_folder_that_loads_strictly(tmp_path, checkpoint):
    out = tmp_path / "models" / "framediff"
    said, error = run("convert", "framediff", checkpoint, "--out", out)
    assert error is None, said
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    config = json.loads((out / "config.json").read_text())
    state = framediff_state(TINY_FRAMEDIFF)
    assert config["kind"] == "framediff" and config["licence"] == "MIT"
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert config["source"] == [
        {"file": "best_weights.pth", "sha256": digest, "bytes": checkpoint.stat().st_size},
    ]
    weights = load_file(out / "model.safetensors")
    network = FrameDiffNetwork(**config["network"])
    network.load_state_dict(weights, strict=True)
    for name, value in weights.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, state[framediff_names.NAMES.theirs(name)])
    left_out = " ".join(config["left_out"])
    assert all(word in left_out for word in ("6 tensors", "linear_3", "optimizer", "MB", "conf", "epoch (it says 26)"))
    card = (out / "README.md").read_text()
    assert digest in card and "https://github.com/jasonkyuyim/se3_diffusion" in card and "| Licence | MIT" in card
    for words in (digest, "tensors", "Left out: optimizer", "Licence: MIT", "local/framediff"):
        assert words in said


def test_an_old_folder_stays_unless_it_is_replaced(tmp_path, checkpoint):
    out = tmp_path / "framediff"
    conversion = conversion_of("framediff")
    out.mkdir()
    conversion.convert([checkpoint], out)  # an empty folder is as good as none
    before = (out / "config.json").read_bytes()
    with pytest.raises(OutputError, match=r"there already; .*--force"):
        conversion.convert([checkpoint], out)
    (out / "note.txt").write_text("mine")
    conversion.convert([checkpoint], out, force=True)
    assert (out / "note.txt").read_text() == "mine" and (out / "config.json").read_bytes() == before
    other = tmp_path / "photos"
    other.mkdir()
    (other / "one.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match="no converted model"):
        conversion.convert([checkpoint], other, force=True)
    with pytest.raises(OutputError, match="is no folder"):
        conversion.convert([checkpoint], checkpoint)
    assert sorted(path.name for path in other.iterdir()) == ["one.png"]


def test_what_does_not_fit_is_named(tmp_path):
    path, out = tmp_path / "bad.pth", tmp_path / "out"
    state = framediff_state(TINY_FRAMEDIFF)
    name = "score_model.trunk.ipa_0.linear_q.weight"
    wrong = {
        "missing.*score_model.trunk.ipa_0.linear_q.weight": {key: value for key, value in state.items() if key != name},
        "surplus.*score_model.strange": state | {"score_model.strange": torch.ones(2)},
        "linear_b.weight is 3 x 3 instead": state | {"score_model.trunk.ipa_1.linear_b.weight": torch.ones(3, 3)},
        "no finite numbers.*attention.query.weight": state | {name: state[name] * float("nan")},
    }
    for words, model in wrong.items():
        framediff_checkpoint(path, model=model)
        with pytest.raises(ModelError, match=words):
            conversion_of("framediff").convert([path], out)
    torch.save({"ema": state}, path)
    with pytest.raises(ModelError, match="no 'model', but ema"):
        conversion_of("framediff").convert([path], out)
    framediff_checkpoint(path, conf={"diffuser": {"r3": {"max_b": 10.0}}})
    with pytest.raises(ModelError, match=r"diffuser\.r3\.max_b = 10\.0, not 20\.0"):
        conversion_of("framediff").convert([path], out)
    framediff_checkpoint(path, conf={"model": {"ipa": {"seq_tfmr_num_heads": "many"}}})
    with pytest.raises(ModelError, match="settings in the checkpoint"):
        conversion_of("framediff").convert([path], out)
    assert not out.exists()


def test_settings_that_yaml_left_as_text_or_that_lack(tmp_path):
    path = tmp_path / "old.pth"
    framediff_checkpoint(path, conf={"model": {"embed": {"min_bin": "1e-5"}, "ipa": None}})
    conversion_of("framediff").convert([path], tmp_path / "text")
    assert json.loads((tmp_path / "text" / "config.json").read_text())["network"]["nearest"] == 1e-5
    torch.save({"model": framediff_state(TINY_FRAMEDIFF)}, path)
    made = conversion_of("framediff").convert([path], tmp_path / "bare")
    assert any("published ones are taken" in line for line in made.left_out)


def test_wrong_words_on_the_command_line(tmp_path, checkpoint):
    for words, match in (
        (("convert", "edm", checkpoint), "no conversion of 'edm'; there are .*framediff"),
        (("convert", "framediff", checkpoint), "--out FOLDER"),
        (
            ("convert", "framediff", checkpoint, checkpoint, "--out", tmp_path / "x"),
            "from one file .* 2 files are given",
        ),
        (
            ("convert", "framediff", tmp_path / "no.pth", "--out", tmp_path / "x"),
            "no file .*no.pth; name its checkpoint",
        ),
    ):
        error = run(*words)[1]
        assert isinstance(error, SuperDiffError) and re.search(match, str(error)), error


@dataclass(frozen=True)
class Asked:
    words: Path | None = field(default=None, metadata=option("the list of words"))


class Pair(Conversion):
    """A model of two files and an option."""

    name, title, description = "pair", "Pair", "Two networks"
    licence, home, cite = "MIT", "https://example.org/pair", "a paper"
    files = (Wanted("its first network", "one.pt"), Wanted("its second network", "two.pt"))
    options = Asked

    def take(self, files, options):
        weights = {f"{file.stem}/model.safetensors": {"w": torch.ones(2, 3).half()} for file in files}
        return Taken({"width": 2}, weights, {"words.txt": b"a\nb\n"}, {"text/large.bin": options.words}, ["nothing |"])


def test_several_files_options_and_copies(tmp_path):
    files = [tmp_path / "one.pt", tmp_path / "two.pt"]
    for file in [*files, tmp_path / "large.bin"]:
        file.write_bytes(os.urandom(100))
    told = []
    out = tmp_path / "out"
    made = Pair().convert(files, out, Asked(tmp_path / "large.bin"), report=lambda *what: told.append(what))
    assert [one.file for one in made.sources] == ["one.pt", "two.pt", "large.bin"]
    assert (out / "text" / "large.bin").read_bytes() == (tmp_path / "large.bin").read_bytes()
    assert (out / "words.txt").read_text() == "a\nb\n" and made.parameters == 12
    assert load_file(out / "two" / "model.safetensors")["w"].dtype == torch.float32
    assert {("reading one.pt", 100, 100), ("copying large.bin", 100, 100)} <= set(told)
    with pytest.raises(
        ModelError, match=r"from 2 files .*one.pt.* and .*two.pt.* no files are given; name them in this"
    ):
        Pair().convert([], tmp_path / "other")


def test_a_folder_that_was_begun_goes_with_what_broke_it(tmp_path, monkeypatch):
    files = [tmp_path / "one.pt", tmp_path / "two.pt"]
    for file in files:
        file.write_bytes(b"x")
    with pytest.raises(ModelError, match=r"no file .*gone\.bin"):
        Pair().convert(files, tmp_path / "out", Asked(tmp_path / "gone.bin"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion_module, "write_whole", full)
    with pytest.raises(OutputError, match="No space left"):
        Pair().convert(files, tmp_path / "out", Asked(files[0]))
    assert not (tmp_path / "out").exists()


def test_weights_are_safetensors_of_any_kind(tmp_path):
    tensors = {
        "a": torch.arange(6).view(2, 3),
        "b": torch.randn(3).double(),
        "c": torch.tensor(True),
        "ü": torch.ones(0),
    }
    write_weights(tmp_path / "w.safetensors", tensors)
    found = load_file(tmp_path / "w.safetensors")
    assert list(map(str, sorted(found))) == sorted(tensors)
    assert all(torch.equal(found[name], tensors[name].float() if name == "b" else tensors[name]) for name in tensors)


def test_settings_without_end_are_refused():
    part = {"a": 1}
    for _ in range(40):
        part = {"one": part, "two": part}
    with pytest.raises(ModelError, match="endless"):
        plain_configuration(part)


# -- Folders of the user's -------------------------------------------------------------------------------------------


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERDIFF_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def converted(folder, text='{"kind": "framediff", "title": "FrameDiff", "description": "Backbones"}'):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(text)
    return folder


def test_converted_folders_are_found_beside_pipelines(models, tmp_path, monkeypatch):
    converted(models / "framediff")
    converted(models / "my best one")
    (models / "pipe").mkdir()
    (models / "pipe" / "model_index.json").write_text('{"_class_name": "DDPMPipeline"}')
    (models / "pipe" / "config.json").write_text('{"kind": "framediff"}')
    converted(models / "bert", '{"model_type": "bert"}')
    found = {local.title: local for local in local_models()}
    assert set(found) == {"FrameDiff", "FrameDiff (my best one)"}
    assert [local.title for local in local_pipelines()] == ["pipe"]
    local = local_model("local/framediff", ("framediff",))
    assert local.folder == models / "framediff" and local.info.description == "Backbones"
    assert local.info.source == "local" and local_model("local/framediff", ("ldmol",)) is None
    with pytest.raises(ModelError, match="converted model"):
        find_folder("local/framediff", lambda *_: Path())
    monkeypatch.setenv("SUPERDIFF_MODELS", str(models / "framediff"))
    assert [local.id for local in local_models()] == ["local/framediff"]
    converted(tmp_path / "more" / "framediff")
    monkeypatch.setenv("SUPERDIFF_MODELS", os.pathsep.join([str(models), str(tmp_path / "more")]))
    assert len([notice for notice in model_notices() if "has its name" in notice]) == 1


def test_what_of_converted_folders_is_not_used_is_said(models):
    converted(models / "odd", '{"kind": "no-such-kind"}')
    converted(models / "broken", '{"kind": ')
    notices = model_notices()
    assert len([notice for notice in notices if "'odd'" in notice and "no-such-kind" in notice]) == 1
    assert len([notice for notice in notices if "broken/config.json is not valid JSON; convert or copy" in notice]) == 1
    assert len(notices) == 2
