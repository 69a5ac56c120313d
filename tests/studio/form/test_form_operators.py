"""The form, headings, documents and grids of an operator that nothing but its own class knows of."""

import json
from typing import Annotated, Literal

import pytest
from pydantic import Field
from studio_page import open_link

from superdiff_engine import compose
from superdiff_engine.domains.checked import make_recipe, recipe_from_link
from superdiff_engine.errors import RecipeError
from superdiff_engine.recipes import operators
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.recipes.parameters import Chosen, Number, PerExpert, Varied
from superdiff_engine.runs import axes, fields
from superdiff_engine.runs.run import Run


class ToyRecipe(operators.OperatorRecipe):
    """OR by another name, with a parameter of every kind."""

    title = "Toy"
    line = "A line about toys."
    formula = r"\kappa = 42"
    parameters = (
        Number(field="power", name="power", title="Power P", noun="power", words="P = {}", step=0.25, help="How much.",
               varied=Varied("power P", "1, 2", "W")),
        Number(field="depth", name="depth", title="Depth", noun="depth", words="depth {}", step=1.0, detail=True),
        PerExpert(field="tilt", name="tilt", title="Tilt", noun="tilt", words="tilt {}", step=0.5),
        Chosen(field="first", name="leader", title="Who leads", words="led by {}"),
    )  # fmt: skip
    aims_at = "one"

    name: Literal["toy"] = "toy"
    power: float = Field(1.5, ge=0.5, le=4)
    depth: float = Field(3.0, ge=2, le=9)
    tilt: list[Annotated[float, Field(ge=-5, le=5)]] | None = None
    first: int = Field(0, ge=0)

    def build(self, names):
        return compose.Or(self.power, self.tilt)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(operators.OPERATORS, "toy", ToyRecipe)
    Recipe.model_rebuild(force=True)
    monkeypatch.setattr(fields, "PARAMETERS", fields.of_operators())
    yield
    monkeypatch.undo()
    Recipe.model_rebuild(force=True)
    with pytest.raises(RecipeError):
        make_recipe(RECIPE)


TWO = [{"model": "ring"}, {"model": "grid"}]
RECIPE = {
    "domain": "plane",
    "experts": TWO,
    "operator": {"name": "toy", "power": 2, "depth": 4, "tilt": [0.5, 1], "first": 1},
    "levels": {"steps": 2},
    "batch": 4,
}


def number(app, key):
    return next(found for found in app.number_input if found.key == key)


def test_a_new_operator_is_in_the_form(toy, tmp_path, monkeypatch):
    app = open_link(RECIPE, tmp_path, monkeypatch).run()
    assert not app.exception and not app.error, [error.value for error in app.error]
    assert "A line about toys. $\\kappa = 42$" in [caption.value for caption in app.caption]
    first, second = app.session_state["experts"]
    power, depth, tilt = number(app, "f.power"), number(app, "f.depth"), number(app, f"f.tilt.{second}")
    assert (power.label, power.value, power.min, power.max, power.step) == ("Power P", 2.0, 0.5, 4.0, 0.25)
    assert power.help == "How much." and (depth.value, depth.min, depth.max) == (4.0, 2.0, 9.0)
    assert tilt.value == 1.0 and "Tilt 2" in tilt.label
    inside = {found.key for expander in app.expander if expander.label == "Sampling" for found in expander.number_input}
    assert "f.depth" in inside and "f.power" not in inside
    leader = next(found for found in app.selectbox if found.key == "f.leader")
    assert leader.label == "Who leads" and leader.value == second

    power.set_value(3.0)
    depth.set_value(5.0)
    number(app, f"f.tilt.{first}").set_value(2.5)
    leader.set_value(first)
    app.run()
    (tab,) = [found for found in app.get("bidi_component") if "tab-script" in found.proto.id]
    recipe = recipe_from_link(json.loads(tab.proto.json)["query"].removeprefix("recipe="))
    assert recipe.operator == ToyRecipe(power=3, depth=5, tilt=[2.5, 1], first=0)
    # Another operator has its own fields, and the toy's values are there when it is chosen again.
    app.session_state["f.operator"] = "or"
    app.run()
    assert not any(found.key == "f.power" for found in app.number_input)
    app.session_state["f.operator"] = "toy"
    app.run()
    assert not app.exception and number(app, "f.power").value == 3.0


def test_a_new_operator_is_in_documents_headings_grids_and_comparisons(toy):
    recipe = make_recipe(RECIPE)
    assert recipe_from_link(recipe.to_link()) == recipe
    assert recipe.operator.words() == ["Toy", "P = 2", "depth 4", "tilt 0.5, 1", "led by 2"]
    assert make_recipe(RECIPE | {"operator": {"name": "toy"}}).operator.words() == ["Toy"]
    run = Run(recipe)
    run.execute()
    assert run.state == "done"
    for wrong, words in (
        ({"power": 5}, "power"),
        ({"tilt": [1.0]}, "tilt needs 2"),
        ({"first": 2}, "first 2 names no"),
    ):
        with pytest.raises(RecipeError, match=words):
            make_recipe(RECIPE | {"operator": {"name": "toy"} | wrong})
    assert axes.varied(recipe) == ["formula", "power"] and axes.parameter("power").label == "power P (W)"
    assert axes.with_value(recipe, "power", 3).operator == ToyRecipe(power=3, depth=4, tilt=[0.5, 1], first=1)
    assert ToyRecipe.like(operators.OrRecipe(bias=[1, 2]), 2) == ToyRecipe()


def test_every_operator_keeps_a_bias_and_nothing_else_when_another_is_chosen():
    bias = [0.0, 1.5]
    for kind in operators.OPERATORS.values():
        made = kind.like(operators.OrRecipe(temperature=3, bias=bias), 2)
        expected = {"bias": bias} if "bias" in kind.model_fields else {}
        if kind is operators.FixedRecipe:
            expected = {"weights": [0.5, 0.5]}
        if kind is operators.FormulaRecipe:
            expected["text"] = "1 and not 2"
        assert made == kind(**expected) or kind is operators.OrRecipe
        # It stands in a recipe, and says itself.
        assert make_recipe({"domain": "plane", "experts": TWO, "operator": made.model_dump()}).operator == made
        assert made.words()[0] == kind.title


def test_a_mistyped_parameter_is_found():
    """Each names a field of its operator's recipe, and each field has its words."""
    for kind in operators.OPERATORS.values():
        assert {parameter.field for parameter in kind.parameters} == set(kind.model_fields) - {"name"}
