"""The studio's page for prompts: form, run, results, and the strip beside, on a tiny pipeline of the user's own."""

import os

import pytest
from studio_page import button, finish, open_link, press, words

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import recipe_from_link

MODEL = "local/sd"


@pytest.fixture
def app(pipelines, tmp_path, monkeypatch):
    """A tab that has opened the link of a recipe."""
    monkeypatch.setenv("SUPERDIFF_MODELS", str(pipelines("sd").parent))
    recipe = {
        "domain": "prompts",
        "experts": [{"model": MODEL, "prompt": "a cat"}, {"model": MODEL, "prompt": "<b>a dog</b> abcdefgh"}],
        "operator": {"name": "and"},
        "levels": {"steps": 3},
        "batch": 2,
        "guidance": {"weight": 3, "negative_prompt": "blurry", "highest": 5.0},
        "pipeline": {"height": 16, "width": 24, "vae_slicing": True},
    }
    return open_link(recipe, tmp_path / "runs", monkeypatch)


def test_examples_use_a_pipeline_that_is_there(app, monkeypatch, tmp_path):
    monkeypatch.setattr("superdiff_engine.domains.embedded.assets_folder", lambda: tmp_path)
    used = {expert.model for recipe in get_domain("prompts").examples().values() for expert in recipe.experts}
    assert used == {MODEL}


def test_from_a_link_to_pictures_and_the_strip_beside(app):
    app.run()
    assert not app.exception and not app.error
    press(app, "run")
    (run,) = finish(app)
    # Everything went from the link through the form into the run.
    assert [expert.prompt for expert in run.recipe.experts] == ["a cat", "<b>a dog</b> abcdefgh"]
    assert run.recipe.guidance.negative_prompt == "blurry" and run.recipe.guidance.highest == 5.0
    assert run.recipe.pipeline.vae_slicing and run.result.decoded.pictures.shape == (2, 16, 24, 3)
    # What was typed is shown as typed; what the model could not read is said.
    shown = words(app)
    assert "<b>a dog" not in shown and r"\<b\>a dog" in shown
    assert "does not see" in shown

    press(app, "run-all-beside")
    runs = finish(app)
    assert [run.recipe.operator.name for run in runs] == ["and", "or", "average", "average", "single", "single"]
    joint = runs[3].recipe
    assert [expert.prompt for expert in joint.experts] == ["a cat and <b>a dog</b> abcdefgh"]
    assert {run.recipe.seed for run in runs} == {0}


def test_a_prompt_that_is_missing_gives_one_sentence_and_no_run(app):
    app.run()
    slot = app.session_state["experts"][1]
    next(found for found in app.text_input if found.key == f"f.prompt.{slot}").set_value(" ")
    app.run()
    assert ["Expert 2 has no prompt" in error.value for error in app.error] == [True]
    assert button(app, "run").disabled


@pytest.fixture
def pinned(pipelines, tmp_path, monkeypatch):
    """A tab that has opened the link of a recipe with a revision."""
    monkeypatch.setenv("SUPERDIFF_MODELS", os.pathsep.join([str(pipelines("sd").parent), "/nowhere"]))
    experts = [{"model": "hub/a/b", "prompt": text, "revision": "0123456789" * 4} for text in ("a cat", "a dog")]
    app = open_link({"domain": "prompts", "experts": experts, "operator": {"name": "and"}}, tmp_path, monkeypatch)
    app.run()
    assert not app.exception and not app.error
    return app


def revisions(app):
    """Those of the recipe that the form is."""
    return [expert.revision for expert in recipe_from_link(app.session_state["form-query"]["recipe"]).experts]


def test_the_form_keeps_a_revision_until_another_model_is_chosen(pinned):
    assert revisions(pinned) == ["0123456789" * 4] * 2 and "revision 012345678901" in words(pinned)
    press(pinned, "add-expert")
    added = pinned.session_state["experts"][2]
    next(found for found in pinned.text_input if found.key == f"f.prompt.{added}").set_value("a bird")
    pinned.run()
    assert revisions(pinned) == ["0123456789" * 4] * 3
    pinned.session_state["f.text_model"] = MODEL  # as the widget sets it
    pinned.run()
    assert not pinned.exception and revisions(pinned) == [None] * 3 and "revision 0123" not in words(pinned)
    # It does not come back with the model.
    assert not any(pinned.session_state[f"f.revision.{slot}"] for slot in pinned.session_state["experts"])


def test_the_form_takes_the_newest_revision_when_asked(pinned):
    press(pinned, "newest-revision")
    assert revisions(pinned) == [None] * 2 and "revision 0123" not in words(pinned)


def test_a_folder_that_is_not_there_is_said_once(pinned):
    said = [element.value for kind in ("caption", "markdown", "info") for element in pinned.get(kind)]
    assert len([text for text in said if "nowhere" in text]) == 1
