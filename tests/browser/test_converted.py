"""The paper's own models, converted from files in their authors' layout with drawn weights: sampled and looked at."""

import json
import os
from dataclasses import dataclass

import pytest
import tiny_ldmol
from conftest import ROOT, serving
from official_layout import framediff_checkpoint, proteus_checkpoint
from typer.testing import CliRunner

from superdiff_engine.cli.app import app as command
from superdiff_engine.domains import conversion_of
from superdiff_engine.domains.checked import make_recipe

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Case:
    """Experts of converted models, and what a run of them shows.

    Attributes:
        recipe: of a short run.
        titles: of the experts.
        seen: words on the page of a finished run.
        canvas: what is pressed before a canvas of 3D has to be there; "" where it is there at once.
        file: one of the files that the menu offers, and what is in it.
    """

    recipe: dict
    titles: tuple[str, str]
    seen: str
    canvas: str
    file: tuple[str, str]


CASES = {
    "ldmol": Case(
        {
            "domain": "smiles",
            "experts": [
                {"model": "local/ldmol", "prompt": "this molecule contains an amino group ."},
                {"model": "local/ldmol", "prompt": "this molecule is a carboxylic acid ."},
            ],
            "operator": {"name": "or"},
            "guidance": {"weight": 2.5},
            "levels": {"steps": 6},
            "solver": "ancestral",
            "batch": 8,
            "seed": 3,
        },
        ("this molecule contains an amino group .", "this molecule is a carboxylic acid ."),
        "of 8 are valid molecules",
        "Show in 3D",
        ("SMILES of the valid ones", "molecule_0000"),
    ),
    "proteins": Case(
        {
            "domain": "proteins",
            "experts": [{"model": "local/framediff"}, {"model": "local/proteus"}],
            "operator": {"name": "and"},
            "levels": {"steps": 4},
            "solver": "euler",
            "noise_scale": 0.1,
            "per_component": True,
            "residues": 30,
            "batch": 1,
            "seed": 3,
        },
        ("FrameDiff", "Proteus"),
        "Protein 0",
        "",
        ("Table (CSV)", "sample_from_0"),
    ),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The folder of the converted models, which SUPERDIFF_MODELS names meanwhile."""
    place = tmp_path_factory.mktemp("converted")
    tiny_ldmol.converted(place)
    for name, write in (("framediff", framediff_checkpoint), ("proteus", proteus_checkpoint)):
        write(place / "files" / f"{name}.pth", tiny=True)
        conversion_of(name).convert([place / "files" / f"{name}.pth"], place / "models" / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPERDIFF_MODELS", str(place / "models"))
        yield place / "models"


@pytest.fixture(scope="module")
def studio_of_converted(models, tmp_path_factory):
    with serving(ROOT / "studio" / "serve.py", tmp_path_factory.mktemp("converted-page")) as address:
        yield address


@pytest.mark.parametrize("name", CASES)
def test_converted_models_are_sampled_and_shown(name, models, context, studio_of_converted, tmp_path):
    case, recipe = CASES[name], make_recipe(CASES[name].recipe)
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    done = CliRunner().invoke(command, ["sample", str(tmp_path / "recipe.json"), "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "done"
    page = context.new_page()
    page.goto(f"{studio_of_converted}/?recipe={recipe.to_link()}")
    page.get_by_role("button", name="Run Shortcut").first.click()
    page.get_by_text("Finished ·").wait_for()
    for place, title in enumerate(case.titles, start=1):
        page.get_by_text(f"{place} {title}").first.wait_for()
    page.get_by_text(case.seen).first.wait_for()
    if case.canvas:
        page.get_by_text(case.canvas).click()
    page.locator("canvas").first.wait_for()
    page.get_by_role("button", name="Save").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name=case.file[0]).click()
    assert case.file[1] in download.value.path().read_text()
    for words in ("encountered an error", "Traceback", "Something unexpected"):
        assert not page.get_by_text(words).count()
    folder = os.environ.get("SUPERDIFF_SHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png")
    page.close()
