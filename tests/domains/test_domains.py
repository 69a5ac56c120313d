"""Domains are found by looking into the folder of domains, and offer themselves."""

import subprocess
import sys
from dataclasses import fields

import pytest
from typer.testing import CliRunner

from superdiff_engine import domains as registry
from superdiff_engine.cli.app import app
from superdiff_engine.errors import RecipeError, SuperDiffError
from superdiff_engine.tables.table import read_table

DOMAIN = """
from superdiff_engine.domains.plane import Plane

class Toy(Plane):
    name = "toy"
    order = 2

DOMAIN = Toy()
"""
EVALUATION = """
from dataclasses import dataclass, field
from superdiff_engine.system.options import option
from superdiff_engine.tables.evaluation import Evaluation, RowMaker
from superdiff_engine.tables.markdown import Column, Layout
from superdiff_engine.tables.table import Row, Table, Value

@dataclass(frozen=True)
class Settings:
    wheels: int = field(default=4, metadata=option("wheels", least=1, most=9))
    hidden: int = 3

class Rows(RowMaker):
    def __init__(self, settings, out):
        self.settings, self.out = settings, out
    def parts(self, row):
        return []
    def table(self, row):
        values = {"wheels": Value(value=self.settings.wheels)}
        return Table(command="", seeds=[], rows=[Row(name=row, samples=1, seconds=0, values=values)])
    def path(self, row):
        return self.out

class Toys(Evaluation):
    settings = Settings
    layouts = {"toy": Layout([Column("wheels", "wheels")])}
    rows = ("car", "cart")
    def begin(self, settings, asked, out, workers):
        return Rows(settings, out)

EVALUATION = Toys()
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A sixth domain, in a folder elsewhere; none of it stays."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "__init__.py").write_text("TRAINED = ('robot',)\n")
    (folder / "domain.py").write_text(DOMAIN)
    (folder / "evaluate.py").write_text(EVALUATION)
    (folder / "train.py").write_text("TRAININGS = {'robot': 'of the robot'}\n")
    monkeypatch.setattr(registry, "__path__", [*registry.__path__, str(tmp_path)])
    registry.domains.cache_clear()
    yield folder
    registry.domains.cache_clear()
    for name in [name for name in sys.modules if name.startswith("superdiff_engine.domains.toy")]:
        del sys.modules[name]
    vars(registry).pop("toy", None)


def test_domains_are_offered_in_their_order():
    assert list(registry.domains()) == ["plane", "pictures", "prompts", "molecules", "smiles", "proteins"]
    assert all(registry.get_domain(name) is domain for name, domain in registry.domains().items())
    with pytest.raises(RecipeError, match="There is no domain 'toys'; there are plane, pictures"):
        registry.get_domain("toys")


def test_a_domain_is_a_folder(toy, tmp_path):
    assert list(registry.domains()) == ["plane", "pictures", "prompts", "toy", "molecules", "smiles", "proteins"]
    assert registry.trainings()["robot"] == "toy" and registry.training_of("robot") == "of the robot"
    assert registry.layouts()["toy"].columns[0].title == "wheels"
    shown = CliRunner().invoke(app, ["evaluate", "toy", "--help"]).output
    assert "--wheels" in shown and "--hidden" not in shown
    out = tmp_path / "toy.json"
    said = CliRunner().invoke(app, ["evaluate", "toy", "--wheels", "6", "--row", "car", "--out", str(out)]).output
    assert "car: wheels 6.000; 0 s" in said and "toy.json" in said
    assert read_table(out).row("car").values["wheels"].value == 6
    assert CliRunner().invoke(app, ["evaluate", "toy", "--wheels", "10"]).exit_code == 2
    refused = CliRunner().invoke(app, ["evaluate", "pictures", "--wheels", "6"]).exception
    assert str(refused) == "--wheels is an option of toy; leave it out for 'pictures'."


def test_what_a_folder_offers_is_known_before_anything_large_is_imported():
    code = "import sys; from superdiff_engine import domains; print(domains.evaluations(), list(domains.trainings())); "
    code += "sys.exit('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0 and "'prompts'" in result.stdout and "'proteins_beta'" in result.stdout


def test_every_setting_has_a_default_and_a_help():
    for name in registry.evaluations():
        settings = registry.evaluation_of(name).settings
        settings()
        assert all(field.metadata["help"] for field in fields(settings) if field.metadata)
    with pytest.raises(SuperDiffError, match="choose plane, pictures, prompts, molecules, smiles or proteins"):
        registry.evaluation_of("nothing")
