"""A sixth domain is one folder of the engine and one file of the studio's views, and touches nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import studio
import superdiff_engine

#: Points on a line, whose experts are exact Gaussians.
DOMAIN = '''
"""The domain "line": Gaussians in one dimension."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...arrays import Decoded, Preview
from ...domain import Domain, Export, ModelInfo, Shown, ALL
from ...result import Result
from ...geometry import Euclidean
from ...recipes.document import Expert, Levels, Recipe
from ...recipes.operators import OrRecipe
from ...sampling import Step
from ..plane import GaussianMixture

MEANS = {"left": -2.0, "right": 2.0}


@dataclass(frozen=True, eq=False)
class Places(Preview):
    """Positions [n] on the line."""

    positions: np.ndarray


class Line(Domain[Places, Decoded]):
    name = "line"
    title = "Line"
    order = 60
    level_unit = "line units"
    levels = (0.02, 20.0)
    dtypes = ("float32",)
    preview_type = Places

    def listing(self) -> Iterator[ModelInfo]:
        for name, mean in MEANS.items():
            yield ModelInfo(name, name.capitalize(), f"a Gaussian around {mean:g}", "exact")

    def examples(self) -> dict[str, Recipe]:
        experts = [Expert(model=name) for name in MEANS]
        return {"OR: both sides": Recipe(domain="line", experts=experts, operator=OrRecipe(), levels=Levels(steps=40))}

    def check(self, recipe: Recipe) -> None:
        """Nothing beyond what every recipe is checked for."""

    def dimensions(self, size: int | None) -> float:
        return 1

    def load(self, expert: Expert, device: str, dtype: str) -> GaussianMixture:
        return GaussianMixture([[MEANS[expert.model]]], [0.04], title=expert.model.capitalize())

    def space(self, experts: Sequence[GaussianMixture]) -> Euclidean:
        return experts[0].space

    def preview(self, step: Step, experts: Sequence[GaussianMixture], most: int) -> Places:
        return Places(step.samples[:most, 0].cpu().numpy())

    def preview_png(self, result: Result) -> bytes | None:
        return None

    def exports(self, result: Result, shown: Shown = ALL) -> list[Export]:
        return [Export("line.txt", "Places (text)", "text/plain", lambda: b"places")]


DOMAIN = Line()
'''

VIEW = '''
"""Points on a line."""

import streamlit as st

from . import View


class LineView(View):
    def draw_preview(self, frame, names, key, size, recipe):
        st.markdown(f"{len(frame.preview.positions)} places on the line")

    def draw_samples(self, job, result):
        left = int((result.samples["x"][:, 0] < 0).sum())
        st.markdown(f"On the left are {left} of {len(result.samples['x'])}.")


VIEW = LineView()
'''

SCRIPT = """
import json, sys
from pathlib import Path
import superdiff_engine, studio
from streamlit.testing.v1 import AppTest
from studio import session
from superdiff_engine.domains import domains
from superdiff_engine.recipe import load_recipe
from superdiff_engine.runs.run import Run

here = Path(sys.argv[1])
assert str(here) in superdiff_engine.__file__ and str(here) in studio.__file__
assert list(domains())[-1] == "line", list(domains())

# A recipe from a file, a run with its record.
experts = [{"model": "left"}, {"model": "right"}]
(here / "line.json").write_text(json.dumps({"domain": "line", "experts": experts, "seed": 3}))
run = Run(load_recipe(here / "line.json"), here / "record")
found = run.execute()
places = found.samples["x"][:, 0]
assert run.state == "done" and abs(abs(places) - 2).max() < 1.2 and 16 < (places < 0).sum() < 48

# The form offers it; the page runs it, and shows it through its view.
app = AppTest.from_file(str(Path(studio.__file__).parent / "app.py"), default_timeout=90)
app.query_params["recipe"] = found.recipe.to_link()
app.run()
assert not app.exception and app.session_state["f.domain"] == "line"
next(button for button in app.button if button.key.startswith("run~")).click()
app.run()
(job,) = session.registry()._jobs.values()
assert job.run.finished.wait(60)
app.run()
words = " ".join(element.value for element in app.markdown)
assert not app.exception and not app.error, (app.exception, app.error)
assert f"On the left are {(places < 0).sum()} of 64." in words, words
print("seen")
"""


@pytest.fixture
def house(tmp_path):
    """Both packages in a place of their own, with a sixth domain and its view."""
    for package in (superdiff_engine, studio):
        source = Path(package.__file__).parent
        shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__", "assets"))
    folder = tmp_path / "superdiff_engine" / "domains" / "line"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Points on a line."""\n')
    (folder / "domain.py").write_text(DOMAIN)
    (tmp_path / "studio" / "views" / "line.py").write_text(VIEW)
    return tmp_path


def test_a_sixth_domain_goes_from_recipe_to_result_page(house):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(house), os.environ.get("PYTHONPATH", "")]),
        "SUPERDIFF_LIBRARY": str(house / "runs"),
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-c", SCRIPT, str(house)]
    done = subprocess.run(command, env=environment, cwd=house, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-1] == "seen"
    listed = [sys.executable, "-m", "superdiff_engine.cli", "models"]
    done = subprocess.run(listed, env=environment, cwd=house, capture_output=True, text=True, timeout=300)
    assert "around -2" in done.stdout and "around 2" in done.stdout
