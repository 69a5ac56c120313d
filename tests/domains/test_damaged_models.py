"""One damaged model costs that model and says so; its domain, the other domains and the form go on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from studio_page import button

import studio
from studio import session
from superdiff_engine.domains import domains, get_domain
from superdiff_engine.system import assets

REAL = assets.assets_folder()
SETTINGS = {
    "molecules_rings": ("molecules", "config.json"),
    "proteins_alpha": ("proteins", "config.json"),
    "garments_a": ("pictures", "superdiff.json"),
    "emoji": ("prompts", "superdiff.json"),
}
DAMAGES = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "no text": lambda path: path.write_bytes(bytes(range(256))),
    "of another kind": lambda path: path.write_text('{"title": 7, "vocabulary": [], "lengths": "x"}'),
    "nested too deep": lambda path: path.write_text("[" * 200_000),
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """All embedded models, in a folder where they may be damaged."""
    for model in REAL.iterdir():
        if model.is_dir():
            (tmp_path / "assets" / model.name).mkdir(parents=True)
            for part in model.iterdir():
                place = tmp_path / "assets" / model.name / part.name
                if part.name in ("config.json", "superdiff.json"):
                    place.write_bytes(part.read_bytes())
                else:
                    place.symlink_to(part)
    monkeypatch.setattr(assets, "__file__", str(tmp_path / "superdiff_engine" / "assets.py"))
    return tmp_path / "assets"


def listed():
    return {info.id for domain in domains().values() for info in domain.models()}


WHOLE = listed()


@pytest.mark.parametrize("model", SETTINGS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_left_out_with_one_sentence(installed, damage, model):
    name, file = SETTINGS[model]
    DAMAGES[damage](installed / model / file)
    assert listed() == WHOLE - {model}
    (sentence,) = get_domain(name).left_out()
    assert model in sentence and "\n" not in sentence
    for other in domains().values():
        assert other.name == name or not other.left_out()
        for recipe in other.examples().values():
            other.check(recipe)


@pytest.mark.parametrize("file", ["model_index.json", "superdiff.json"])
def test_a_damaged_folder_of_the_users_is_left_out_with_one_sentence(tmp_path, monkeypatch, file):
    for name in ("broken", "whole"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model_index.json").write_text('{"_class_name": "DDPMPipeline"}')
    (tmp_path / "broken" / file).write_text("{")
    monkeypatch.setenv("SUPERDIFF_MODELS", str(tmp_path))
    assert "local/whole" in listed() and "local/broken" not in listed()
    said = [sentence for domain in domains().values() for sentence in domain.left_out()]
    assert len(said) == 1 and str(tmp_path / "broken" / file) in said[0]


def test_the_form_offers_all_domains_beside_damaged_models(installed, tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path / "runs"))
    session.registry.clear()
    damaged = ("molecules", "molecules_rings", "proteins")  # so that no example of molecules is left
    for model in damaged:
        (installed / model / "config.json").write_text("{")
    app = AppTest.from_file(str(Path(studio.__file__).parent / "app.py"), default_timeout=60).run()
    assert not app.exception and not app.error
    offered = next(found for found in app.get("button_group") if found.key == "f.domain")
    assert len(offered.options) == len(domains())
    said = " ".join(caption.value.replace("\\", "") for caption in app.caption)
    for model in damaged:
        assert said.count(f"{installed / model} is damaged") == 1
    offered.set_value("molecules").run()
    assert not app.exception and not app.error
    (slot,) = app.session_state["experts"]
    assert app.session_state[f"f.model.{slot}"] == "molecules_chains"
    assert not button(app, "run").disabled


def test_the_command_line_says_what_it_leaves_out(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model_index.json").write_text("[")
    command = [sys.executable, "-m", "superdiff_engine.cli.app", "models"]
    environment = os.environ | {"SUPERDIFF_MODELS": str(tmp_path), "COLUMNS": "400"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert result.returncode == 0 and result.stdout.count(f"{tmp_path / 'broken'}") == 1
    assert "molecules_rings" in result.stdout
