"""The heading of a run says all of its recipe that matters; the line above it says what was edited since."""

import pytest

from studio import session
from studio.stage.heading import experts_in_words, one_model
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.wording import spelled
from tests.studio_page import finish, open_link, press, words

BASE = {"domain": "plane", "experts": [{"model": "ring"}, {"model": "grid"}], "levels": {"steps": 3}, "batch": 4}


def widget(app, key):
    kinds = ("number_input", "selectbox", "toggle", "button_group", "text_input")
    return next(found for kind in kinds for found in app.get(kind) if found.key == key)


def edited(app):
    """The line about what was edited; "" without one."""
    return next((one.value for one in app.markdown if one.value.startswith(":small[")), "").replace("\\", "")


@pytest.fixture
def app(tmp_path, monkeypatch):
    """A tab with a short run of the plane."""
    app = open_link(BASE | {"seed": 5}, tmp_path / "runs", monkeypatch)
    app.run()
    press(app, "run")
    finish(app)
    return app


def test_what_was_edited_is_said_and_taken_back(app):
    assert not edited(app)
    widget(app, "f.steps").set_value(7)
    widget(app, "f.seed").set_value("6")
    app.run()
    assert edited(app) == ":small[The form was edited since this run: steps 3 → 7, seed 5 → 6]"
    press(app, "edited-back")
    assert not edited(app) and app.session_state["f.steps"] == 3 and app.session_state["f.seed"] == "5"

    # A seed that the next run rolls anyway is no edit.
    widget(app, "f.lock").set_value(False)
    widget(app, "f.seed").set_value("6")
    app.run()
    assert not edited(app)

    # What cannot be run differs in any case, and what is wrong is said beside Run.
    widget(app, "f.seed").set_value("-1")
    app.run()
    assert edited(app) == ":small[The form was edited since this run.]"

    widget(app, "f.domain").set_value("pictures")
    app.run()
    assert edited(app) == ":small[The form is at Pictures; this run is of Plane.]"
    press(app, "edited-back")
    assert not edited(app) and app.session_state["f.domain"] == "plane"


def test_a_long_list_of_edits_is_cut_and_whole_in_the_tooltip(app):
    for key, value in (("f.steps", 9), ("f.batch", 8), ("f.highest", 9.0), ("f.rho", 3.0), ("f.spacing", "log")):
        app.session_state[key] = value
    app.session_state["f.seed"], app.session_state["f.operator"] = "8", "average"
    app.run()
    line = edited(app)
    assert "operator OR → Average, steps 3 → 9, samples 4 → 8, seed 5 → 8, highest level s" in line
    assert line.endswith("and 1 more]")
    (whole,) = [one.help for one in app.markdown if one.value.startswith(":small[The form")]
    assert "rho" not in whole and whole.replace("\\", "").endswith("spacing of levels Karras → even in log s")


def test_the_heading_names_all_that_matters(app):
    (job,) = session.registry()._jobs.values()
    said = words(app).replace("\\", "")
    for part in ("Plane: OR, T = 1", "3 of 3 steps", "4 samples", "seed 5", "levels s = 20 to 0.02, Karras"):
        assert part in said, part
    assert "Ancestral (SDE)" in said and "log q: Trapezoidal Itô" in said and "1 Ring" in said
    # All settings, each in words.
    for name, value in (("expert 2", "Grid"), ("noise scale", "1"), ("bias", "0, 0 nats"), ("device", "auto")):
        assert f"| {name} | {value} |" in said
    assert job.recipe.to_json().strip() in [one.value.strip() for one in app.code]


def test_experts_of_two_models_are_told_apart_and_long_prompts_are_whole_somewhere():
    """A run of two models with a prompt each, as the page would say it."""
    long = "a *very* " * 30
    experts = [{"model": "molecules", "prompt": "high TPSA"}, {"model": "molecules", "prompt": "low logP"}]
    one = make_recipe(
        {"domain": "molecules", "experts": experts, "guidance": {"weight": 3, "negative_prompt": "low QED"}}
    )
    assert one_model(one) == "QM9" and experts_in_words(one, ["high TPSA", "low logP"]) == ["high TPSA", "low logP"]
    hub = [{"model": "hub/a/b", "prompt": long}, {"model": "hub/c/d", "prompt": "a cat"}]
    two = Recipe.model_validate({"domain": "prompts", "experts": hub})
    assert one_model(two) == ""
    assert experts_in_words(two, [long, "a cat"]) == [f"{long} (hub/a/b)", "a cat (hub/c/d)"]
    assert experts_in_words(two, [long, "a cat"], 9) == ["a *very*… (hub/a/b)", "a cat (hub/c/d)"]
    assert spelled(two)["experts.1.prompt"].value == f"'{long}'"


def test_a_run_that_another_put_into_the_bin_says_so_and_is_put_back(app):
    library, (job,) = session.registry().library, session.registry()._jobs.values()
    library.refresh()
    library.delete([job.id])
    app.run()
    assert "In the library's bin" in words(app) and not any(one.key == f"star-{job.id}" for one in app.button)
    press(app, f"put-back-{job.id}")
    assert not app.error and job.run.folder.is_dir() and "bin" not in words(app)
    library.delete([job.id])
    library.empty_bin()
    app.run()
    assert not app.error and "Not in the library" in words(app)
