"""The page without a browser: form, run, results, and what it says when something is wrong."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from studio_page import button

import studio
from studio import session
from studio.job import Job
from studio.stage import stage
from studio.words import operator_summary
from superdiff_engine.domains.checked import make_recipe

APP = Path(studio.__file__).parent / "app.py"


@pytest.fixture
def app(tmp_path, monkeypatch):
    """The page as a new tab on a new server sees it."""
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path / "runs"))
    session.registry.clear()
    return AppTest.from_file(str(APP), default_timeout=60)


def field(app, key):
    return next(
        found for kind in ("number_input", "text_input", "selectbox") for found in app.get(kind) if found.key == key
    )


def words(app):
    return " ".join(element.value for kind in ("markdown", "error", "info", "caption") for element in app.get(kind))


def run_to_the_end(app):
    button(app, "run").click()
    app.run()
    for job in session.registry()._jobs.values():
        assert job.run.finished.wait(60)
    app.run()


def small(app, steps=4, batch=8):
    app.run()
    field(app, "f.steps").set_value(steps)
    field(app, "f.batch").set_value(batch)
    app.run()


def test_a_run_that_ends_while_the_page_is_drawn_leaves_no_grey_button(app, monkeypatch):
    """The form is drawn before the stage: what ended between the two would be at work in one and ended in the other."""
    small(app, steps=10_000, batch=2)
    draw, drawn = stage.draw_stage, []

    def end_first():
        drawn.append(None)
        for job in session.registry()._jobs.values():
            if not job.finished:
                job.run.cancel()
                assert job.run.finished.wait(60)
        draw()

    monkeypatch.setattr(stage, "draw_stage", end_first)
    button(app, "run").click()
    app.run()
    assert len(drawn) == 2 and "Cancelled" in words(app)
    assert not button(app, "run").disabled


def test_the_page_opens_with_an_example(app):
    app.run()
    assert not app.exception
    assert not app.error
    assert not button(app, "run").disabled


def test_from_the_form_to_results(app):
    small(app)
    run_to_the_end(app)
    assert not app.exception
    assert not app.error
    assert "Finished" in words(app)
    assert app.session_state["shown"]


def test_every_operator_runs(app):
    small(app)
    for name in ("or", "and", "average", "fixed", "single", "coin_flip"):
        app.session_state["f.operator"] = name
        app.run()
        assert not app.error, name
        run_to_the_end(app)
        assert not app.exception, name
        assert "Finished" in words(app), name


def test_experts_are_added_moved_and_removed(app):
    small(app)
    first, second = app.session_state["experts"]
    button(app, "add-expert").click()
    app.run()
    third = app.session_state["experts"][2]
    button(app, f"up-{third}").click()
    app.run()
    assert app.session_state["experts"] == [first, third, second]
    button(app, f"remove-{first}").click()
    app.run()
    assert app.session_state["experts"] == [third, second]
    run_to_the_end(app)
    assert "Finished" in words(app)


def test_an_ode_offers_only_the_estimators_that_fit(app):
    small(app)
    field(app, "f.solver").select("ode")
    app.run()
    assert field(app, "f.estimator").value == "hutchinson"
    assert not app.error


def test_an_estimator_that_fits_no_more_does_not_stay_selected(app):
    """The exact trace of molecules of 16 atoms is offered, of 17 not, and of pictures never; nor is float16 kept."""
    open_recipe(app, {"domain": "molecules", "experts": [{"model": "molecules", "prompt": ""}], "atoms": 16})
    options = field(app, "f.estimator").options
    assert any("Exact" in option for option in options)
    field(app, "f.estimator").select("exact")
    app.run()
    field(app, "f.size").set_value(17)
    app.run()
    assert field(app, "f.estimator").value == "trapezoid" and not app.error
    assert not any("Exact" in option for option in field(app, "f.estimator").options)
    open_recipe(app, {"domain": "pictures", "experts": [{"model": "garments_a"}], "dtype": "float16"})
    assert field(app, "f.dtype").value == "float16"
    assert not any("Exact" in option for option in field(app, "f.estimator").options)
    open_recipe(app, {"domain": "plane", "experts": [{"model": "ring"}]})
    assert field(app, "f.dtype").value == "float32" and not app.error


def open_recipe(app, document):
    """Open a recipe's link in the page, as a new tab does."""
    app.query_params["recipe"] = make_recipe({"operator": {"name": "single"}} | document).to_link()
    app.session_state["started"] = False
    app.run()
    assert not app.exception and not app.error


def test_less_noise_reaches_the_run_and_leaves_out_what_assumes_all_of_it(app):
    small(app)
    field(app, "f.estimator").select("ito")
    app.run()
    field(app, "f.noise_scale").set_value(0.5)
    app.run()
    assert field(app, "f.estimator").value == "trapezoid" and not app.error
    run_to_the_end(app)
    (job,) = session.registry()._jobs.values()
    assert job.run.recipe.noise_scale == 0.5
    field(app, "f.solver").select("ode")  # which has no noise to scale
    app.run()
    assert not app.error and not button(app, "run").disabled


def test_weights_that_do_not_sum_to_one_are_one_sentence(app):
    small(app)
    app.session_state["f.operator"] = "fixed"
    app.run()
    slot = app.session_state["experts"][0]
    field(app, f"f.weight.{slot}").set_value(0.9)
    app.run()
    assert len(app.error) == 1
    assert "sum to 1" in app.error[0].value.replace("\\", "")
    assert button(app, "run").disabled


def test_a_seed_that_is_no_number_is_one_sentence(app):
    small(app)
    field(app, "f.seed").set_value("<b>dice</b>")
    app.run()
    assert len(app.error) == 1
    assert button(app, "run").disabled


def test_a_link_fills_the_form(app):
    experts = [{"model": "ring"}, {"model": "custom", "mixture": {"means": [[1, 2]], "variances": [0.5]}}]
    recipe = make_recipe({"domain": "plane", "experts": experts, "seed": 12345678901234567, "levels": {"steps": 3}})
    app.query_params["recipe"] = recipe.to_link()
    app.run()
    assert not app.exception
    assert not app.error
    assert app.session_state["f.seed"] == "12345678901234567"
    run_to_the_end(app)
    (job,) = session.registry()._jobs.values()
    assert (
        job.recipe.experts
        == make_recipe(
            {
                "domain": "plane",
                "experts": [experts[0], {"model": "custom", "mixture": experts[1]["mixture"] | {"masses": [1]}}],
            }
        ).experts
    )


def test_the_level_that_and_holds_down_to_reaches_the_run(app):
    """Told by a link, then changed by hand; its title says it."""
    recipe = make_recipe(
        {
            "domain": "plane",
            "experts": [{"model": "rows_upper"}, {"model": "rows_lower"}],
            "operator": {"name": "and", "lowest": 1.5},
            "levels": {"steps": 4},
            "batch": 8,
        }
    )
    app.query_params["recipe"] = recipe.to_link()
    app.run()
    assert field(app, "f.holds").value == 1.5
    field(app, "f.holds").set_value(2.5)
    run_to_the_end(app)
    (job,) = session.registry()._jobs.values()
    assert job.recipe.operator.lowest == 2.5 and "down to s = 2.5" in operator_summary(job.recipe.operator)


@pytest.mark.parametrize(
    "query", [{"recipe": "<script>"}, {"recipe": "A" * 100_000}, {"run": "../../etc"}, {"run": ",,x"}]
)
def test_a_bad_link_is_one_sentence_and_the_page_works(app, query):
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    assert len(app.error) == 1
    assert not button(app, "run").disabled


def test_a_run_that_cannot_be_written_says_so(app, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path / "file"))
    session.registry.clear()
    small(app)
    run_to_the_end(app)
    assert not app.exception
    assert len(app.error) == 1
    assert "cannot be written" in app.error[0].value


def test_a_cancelled_run_shows_what_it_made(app):
    small(app, steps=10_000)
    button(app, "run").click()
    app.run()
    (job,) = session.registry()._jobs.values()
    while len(job.run.trace) < 5:
        time.sleep(0.02)
    app.run()
    button(app, f"cancel-{job.id}").click()
    app.run()
    assert job.run.finished.wait(60)
    app.run()
    assert not app.exception
    assert "Cancelled at step" in words(app)


def test_every_view_of_the_results_draws(app):
    small(app)
    run_to_the_end(app)
    for view in ("Replay", "Curves", "Table", "Samples"):
        app.session_state["view"] = view
        app.run()
        assert not app.exception, view
        assert not app.error, view


def test_the_same_run_with_another_operator_stands_beside(app):
    small(app)
    run_to_the_end(app)
    button(app, "run-beside").click()
    app.run()
    jobs = list(session.registry()._jobs.values())
    assert all(job.run.finished.wait(60) for job in jobs)
    app.run()
    assert not app.exception
    assert len(jobs) == 2
    assert jobs[0].recipe.operator.name != jobs[1].recipe.operator.name
    assert jobs[0].recipe.model_copy(update={"operator": jobs[1].recipe.operator}) == jobs[1].recipe


def test_the_guide_opens(app):
    app.switch_page("screens/guide.py")
    app.run()
    assert not app.exception
    assert not app.error


def test_a_loaded_recipe_can_leave_the_forms_seed():
    """Everything of the recipe comes into the form, but for the seed where the user wants to keep theirs."""

    def script():
        import streamlit as st

        from studio.form import state as form_state
        from superdiff_engine.domains.checked import make_recipe

        form_state.ensure()
        st.session_state["f.seed"] = "77"
        other = {"domain": "plane", "experts": [{"model": "ring"}, {"model": "grid"}], "seed": 5, "batch": 9}
        form_state.load(make_recipe(other), keep_seed=True)
        kept = form_state.recipe_now()
        form_state.load(make_recipe(other))
        st.json({"kept": kept.model_dump(), "taken": form_state.recipe_now().model_dump()})

    app = AppTest.from_function(script, default_timeout=60).run()
    assert not app.exception
    found = json.loads(app.json[0].value)
    assert (found["kept"]["seed"], found["taken"]["seed"]) == (77, 5)
    assert found["kept"] | {"seed": 5} == found["taken"]
    assert [expert["model"] for expert in found["kept"]["experts"]] == ["ring", "grid"] and found["kept"]["batch"] == 9


def test_a_runs_log_densities_are_checked_by_a_button(app):
    """Among its curves; what it finds is there in another tab, too."""
    small(app, steps=100, batch=32)
    run_to_the_end(app)
    next(found for found in app.segmented_control if found.key == "view").set_value("Curves")
    app.run()
    check = next(found for found in app.button if str(found.key).startswith("check-densities-"))
    assert check.label == "Check these log-densities" and "It takes about" in words(app)
    check.click()
    app.run()
    for job in session.registry()._jobs.values():
        assert job.run.finished.wait(120)
    app.run()
    assert not app.exception and not app.error
    table = next(frame.value for frame in app.dataframe if "rank corr." in frame.value)
    assert list(table["log q of"]) == ["1 Upper pair", "2 Left pair", "1 − 2"] and set(table["samples"]) == {32}
    assert "Differences between experts are known to ±" in words(app)
    each = next(frame.value for frame in app.dataframe if "± of the difference" in frame.value)
    assert sum("at s = 0.02, nats, afresh" in name for name in each) == 2
    (run,) = [job for job in session.registry()._jobs.values() if isinstance(job, Job)]
    gap = each["log q₁ − log q₂ afresh"] - np.subtract(*run.run.result.log_density)
    assert table["bias, nats"].iloc[2].startswith(f"{-gap.mean():.2f} ± ".replace("-", "−")) and abs(gap.mean()) < 1
    other = AppTest.from_file(str(APP), default_timeout=60)
    other.query_params["run"] = run.id
    other.run()
    next(found for found in other.segmented_control if found.key == "view").set_value("Curves")
    other.run()
    assert any("rank corr." in frame.value for frame in other.dataframe) and not other.exception
