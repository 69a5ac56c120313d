"""The switch "Correct to the exact target": where it can be used, what it asks for, and what runs are compared with."""

from itertools import product

import pytest
from studio_page import open_link

from studio.form.correction import choices, groups_sentence
from studio.form.to_recipe import ALL, document, uncorrectable
from studio.form.to_widgets import widget_values
from studio.stage.compare import variants, with_operator
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import RecipeError
from superdiff_engine.recipes.operators import OPERATORS, OrRecipe
from superdiff_engine.runs.axes import parse_axis, varied, with_value
from superdiff_engine.runs.grid import Sweep, grid_title

EXPERTS = [{"model": "overlap_a"}, {"model": "overlap_b"}]
RECIPE = {
    "domain": "plane",
    "experts": EXPERTS,
    "operator": {"name": "formula", "text": "1 and not 2"},
    "levels": {"steps": 3},
    "batch": 64,
    "correction": {"particles": 8, "threshold": 0.25, "lowest": 0.5},
}


def of_key(app, kind, key):
    return [found for found in app.get(kind) if found.key == key]


def choose(app, operator):
    app.session_state["f.operator"] = operator
    app.run()


def test_less_noise_than_all_cannot_be_corrected():
    values = {"f.operator": "or", "f.solver": "ancestral", "f.noise_scale": 1.0}
    assert uncorrectable(values) == ""
    assert "the noise scale is 0.7: set it to 1" in uncorrectable(values | {"f.noise_scale": 0.7})
    assert "needs a solver with noise" in uncorrectable(values | {"f.noise_scale": 0.7, "f.solver": "ode"})


def test_the_switch_is_there_where_there_is_a_target_and_noise(tmp_path, monkeypatch):
    app = open_link(RECIPE, tmp_path, monkeypatch).run()
    (toggle,) = of_key(app, "toggle", "f.corrected")
    assert toggle.value and not toggle.disabled and not app.error
    captions = " ".join(caption.value for caption in app.caption)
    assert "8 groups of 8 particles" in captions
    for operator in ("and", "coin_flip"):
        choose(app, operator)
        (toggle,) = of_key(app, "toggle", "uncorrectable")
        assert toggle.disabled and not toggle.value and not app.error
        assert any(caption.value.startswith("Not corrected.") for caption in app.caption)
    choose(app, "or")
    (solver,) = of_key(app, "selectbox", "f.solver")
    solver.set_value("ode")
    app.run()
    assert of_key(app, "toggle", "uncorrectable") and not app.error
    # Back where it can be used, it is as it was.
    of_key(app, "selectbox", "f.solver")[0].set_value("euler")
    choose(app, "formula")
    assert of_key(app, "toggle", "f.corrected")[0].value
    assert of_key(app, "selectbox", "f.particles")[0].value == 8
    # Samples that no longer make groups: one sentence, and nothing is lost.
    of_key(app, "number_input", "f.batch")[0].set_value(60)
    app.run()
    (error,) = app.error
    assert "60" in error.value and "8" in error.value
    assert of_key(app, "selectbox", "f.particles")[0].value == 8
    of_key(app, "selectbox", "f.particles")[0].set_value(12)
    app.run()
    assert not app.error and not app.exception


def test_whatever_the_form_holds_is_a_recipe_or_a_sentence():
    begun = widget_values(make_recipe(RECIPE), 0)
    for operator, solver, batch, particles, threshold, noise in product(
        OPERATORS, ("euler", "ode"), (1, 7, 64), (ALL, 2, 7), (0.0, 1.0), (0.5, 1.0)
    ):
        values = begun | {
            "f.operator": operator,
            "f.solver": solver,
            "f.estimator": "trapezoid" if solver == "euler" else "hutchinson",
            "f.batch": batch,
            "f.particles": particles,
            "f.threshold": threshold,
            "f.noise_scale": noise,
        }
        try:
            recipe = make_recipe(document(values))
        except RecipeError as error:
            assert str(error).endswith(".") and "\n" not in str(error)
            assert solver == "euler" and (batch % (particles or batch) or batch == 1) and noise == 1
            continue
        correctable = solver == "euler" and noise == 1 and not OPERATORS[operator].no_target
        assert (recipe.correction is not None) == correctable


def test_an_operator_s_recipe_says_of_its_target_what_the_operator_says():
    for kind in OPERATORS.values():
        assert kind.no_target == kind.like(OrRecipe(), 2).build(["a", "b"]).no_target


@pytest.mark.parametrize("batch", [1, 2, 7, 60, 1024])
def test_the_particles_to_choose_divide_the_samples(batch):
    for number in choices(batch, ALL):
        assert number == ALL or (1 < number < batch and batch % number == 0)
        assert str(batch) in groups_sentence(batch, number)
    assert 5 in choices(batch, 5)


def test_operators_without_a_target_are_compared_without_the_correction():
    recipe = make_recipe(RECIPE)
    for name, kind in OPERATORS.items():
        other = with_operator(recipe, kind.like(recipe.operator, 2))
        assert (other.correction is None) == bool(kind.no_target), name
    first, *others = variants(recipe)
    assert first == make_recipe({**RECIPE, "correction": None})
    assert [other.operator.name for other in others] == ["and", "or", "average", "single", "single"]
    assert [other.correction is None for other in others] == [True, False, False, False, False]
    bare = make_recipe({**RECIPE, "correction": None})
    assert all(other.correction is None for other in variants(bare)) and len(variants(bare)) == len(others)


def test_particles_and_threshold_are_axes_of_corrected_recipes():
    recipe = make_recipe(RECIPE)
    assert {"particles", "threshold"} <= {*varied(recipe)}
    assert with_value(recipe, "particles", 16).correction.particles == 16
    assert with_value(recipe, "threshold", 0.75).correction.threshold == 0.75
    with pytest.raises(RecipeError, match="particles"):
        with_value(recipe, "particles", 7)
    bare = make_recipe({**RECIPE, "correction": None})
    assert not {"particles", "threshold"} & {*varied(bare)}
    with pytest.raises(RecipeError, match="no correction"):
        with_value(bare, "threshold", 0.5)
    assert "1 and not 2" in grid_title(recipe, parse_axis("particles=2,4"))


def test_a_cell_of_pictures_is_one_group():
    experts = [{"model": "molecules", "prompt": "high TPSA"}, {"model": "molecules", "prompt": "aromatic ring"}]
    recipe = make_recipe({**RECIPE, "domain": "molecules", "experts": experts, "batch": 16})
    assert Sweep(recipe, parse_axis("seed=0,1")).recipe.batch == 8
    assert {cell.batch for cell in Sweep(recipe, parse_axis("particles=2,4")).recipes.values()} == {16}
