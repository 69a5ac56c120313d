"""The form shows a recipe exactly, or says which value it cannot show."""

import json
import math

import pytest
from studio_page import open_link

from studio.form import to_widgets
from studio.form.to_recipe import document
from studio.form.to_widgets import unshown, widget_values
from superdiff_engine.domains import domains
from superdiff_engine.domains.checked import make_recipe

TWO = [{"model": "ring"}, {"model": "grid"}]
MIXTURE = {"means": [[0.123456789012, -9.99999999], [1 / 3, 2.0]], "variances": [1e-4, 0.1 + 0.2]}
CUSTOM = [{"model": "custom", "mixture": MIXTURE | {"masses": [1e-300, 1e6]}}, {"model": "custom", "mixture": MIXTURE}]
MOLECULES = [{"model": "molecules", "prompt": "high logP"}, {"model": "molecules", "prompt": "high TPSA"}]
PROMPT = [{"model": "hub/a/b", "prompt": "  two  blanks, and :material/delete: "}]
#: Recipes that are hard to show, each by what is hard about it.
HARD = {
    "a level of 1e-9": {"levels": {"lowest": 1e-9, "highest": 1.0000000001}},
    "levels at the ends": {"levels": {"lowest": 1e-6, "highest": 1e6, "rho": 1.0000000000000002, "steps": 10_000}},
    "many digits": {"operator": {"name": "or", "temperature": math.pi, "bias": [1 / 3, -1e4]}},
    "ridge and level": {"operator": {"name": "and", "ridge": 1e-12, "lowest": 123456.789012, "bias": [0.0, 0.0]}},
    "thirds": {"operator": {"name": "fixed", "weights": [1 / 3, 2 / 3]}},
    "far weights": {"operator": {"name": "fixed", "weights": [100.0, -99.0]}},
    "a long seed": {"seed": 2**63 - 1},
    "many samples": {"batch": 16_384, "noise_scale": 0.1000000001},
    "an ODE": {"solver": "ode_heun", "estimator": "exact", "levels": {"spacing": "log"}},
    "mixtures": {"experts": CUSTOM},
    "molecules": {"domain": "molecules", "experts": MOLECULES, "atoms": 29, "per_component": True,
                  "guidance": {"weight": 99.999999, "negative_prompt": "low QED", "lowest": 1e-5}},
    "prompts": {"domain": "prompts", "experts": PROMPT, "dtype": "bfloat16",
                "guidance": {"weight": 1.0, "negative_prompt": "x"},
                "pipeline": {"height": 8, "width": 4095, "vae_tiling": True}},
    "corrected": {"operator": {"name": "formula", "text": "1 but not[0.5] 2", "bias": [0.25, -1 / 3]}, "batch": 60,
                  "correction": {"particles": 12, "threshold": 1 / 3, "lowest": 1e-9, "highest": 1e6}},
    "corrected, all in one group": {"batch": 7, "correction": {"threshold": 0.0}},
    "proteins": {"domain": "proteins", "experts": [{"model": "proteins"}], "residues": 256},
}  # fmt: skip


def recipe_of(**changes):
    return make_recipe({"domain": "plane", "experts": TWO, "levels": {"steps": 3}} | changes)


class Held(dict):
    """The session of a page, for whoever reads it as a dictionary."""

    def __init__(self, session):
        super().__init__()
        self.session = session

    def __getitem__(self, key):
        return self.session[key]

    def get(self, key, default=None):
        return self.session[key] if key in self.session else default  # noqa: SIM401


def same(one, other):
    """Whether two recipes are one run: in JSON, where what is left open is left out."""

    def bare(recipe):
        found = json.loads(recipe.to_json())
        for expert in found["experts"]:
            if "mixture" in expert:
                expert["mixture"].setdefault("masses", [1.0] * len(expert["mixture"]["means"]))
        if not any(found["operator"].get("bias", [])):
            found["operator"].pop("bias", None)
        return found

    return bare(one) == bare(other)


@pytest.mark.parametrize("name", HARD)
def test_the_form_shows_a_recipe_to_the_last_digit(name, tmp_path, monkeypatch):
    """Through the widgets of the page: the recipe that Run would run is the link's."""
    recipe = recipe_of(**HARD[name])
    app = open_link(json.loads(recipe.to_json()), tmp_path, monkeypatch)
    app.run()
    assert not app.exception and not app.error, [error.value for error in app.error]
    assert same(make_recipe(document(Held(app.session_state))), recipe)


def test_every_example_is_shown_as_it_is():
    for domain in domains().values():
        for recipe in domain.examples().values():
            assert unshown(recipe, widget_values(recipe, 0)) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("f.lowest", 1e7), ["lowest level", "1e+07", "1e+06"]),
        (("f.steps", 0), ["steps", "0", "10000"]),
        (("f.estimator", "hutchinson"), []),
        (("f.ridge", 0.5), ["operator.ridge", "1.0", "0.5"]),
        (("f.seed", "8"), ["seed", "7", "8"]),
    ],
)
def test_a_value_that_a_widget_would_change_is_named(change, words):
    """As if a field rounded, cut off or dropped what it is given."""
    recipe = recipe_of(operator={"name": "and"}, seed=7, levels={"lowest": 0.5, "steps": 3})
    assert unshown(recipe, widget_values(recipe, 0)) == ""
    sentence = unshown(recipe, widget_values(recipe, 0) | dict([change]))
    assert sentence.startswith("The form cannot show this recipe as it is")
    assert all(word in sentence for word in words)


def test_a_recipe_that_the_form_would_change_leaves_it_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(to_widgets, "SAVINGS", {})  # as a form without these switches
    link = json.loads(recipe_of(**HARD["prompts"]).to_json())
    app = open_link(link, tmp_path, monkeypatch)
    app.run()
    (error,) = app.error
    assert "vae\\_tiling" in error.value and "True" in error.value
    assert app.session_state["f.domain"] == "plane"
