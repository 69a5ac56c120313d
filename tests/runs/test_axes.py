"""Axes: what they vary in a recipe, how they are written, and what is said of wrong ones."""

import pytest
from plane_recipes import PAIR, changed, plane

from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import RecipeError
from superdiff_engine.runs.axes import make_axis, parse_axis, parse_values, varied
from superdiff_engine.runs.grid import Sweep


@pytest.mark.parametrize(
    ("axis", "operator", "path", "values"),
    [
        ("temperature=0,2.5", {"name": "or"}, "operator.temperature", [0, 2.5]),
        ("bias=-2,1", {"name": "or", "bias": [0.5, 1.1]}, "operator.bias", [[-2, 1.1], [1, 1.1]]),
        ("bias=-2,1", {"name": "and"}, "operator.bias", [[-2, 0], [1, 0]]),
        ("ridge=0,3", {"name": "and"}, "operator.ridge", [0, 3]),
        ("weight=0.25,2", {"name": "fixed", "weights": [0.5, 0.5]}, "operator.weights", [[0.25, 0.75], [2, -1]]),
        ("steps=2,4", {"name": "average"}, "levels.steps", [2, 4]),
        ("seed=7,9223372036854775807", {"name": "average"}, "seed", [7, 2**63 - 1]),
    ],
)
def test_a_cells_recipe_is_the_base_but_for_the_axis(axis, operator, path, values):
    base = plane(operator=operator)
    grid = Sweep(base, parse_axis(axis))
    for column, value in enumerate(values):
        assert changed(base.model_dump(), grid.recipes[0, column].model_dump()) == {path: value}


def test_guidance_is_changed_alone_and_added_where_there_is_none():
    prompts = {"domain": "prompts", "experts": [{"model": "hub/a/b", "prompt": "a cat"}], "operator": {"name": "and"}}
    guided = make_recipe(prompts | {"guidance": {"weight": 4, "negative_prompt": "blurry"}})
    derived = Sweep(guided, parse_axis("guidance=1.5"), batch=64).recipes[0, 0]
    assert changed(guided.model_dump(), derived.model_dump()) == {"guidance.weight": 1.5}
    assert Sweep(make_recipe(prompts), parse_axis("guidance=1.5")).recipes[0, 0].guidance.weight == 1.5


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0, 1, 10", [0, 1, 10]),
        ("0:4", [0, 1, 2, 3]),
        ("10:50:10", [10, 20, 30, 40]),
        ("-1.5,1e-3", [-1.5, 1e-3]),
        ("0:2, 7", [0, 1, 7]),
        ("9223372036854775807", [2**63 - 1]),
    ],
)
def test_values_are_read(text, values):
    found = parse_values(text)
    assert found == values and [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize("text", ["", "1,,2", "a", "nan", "inf", "1:a", "4:0", "0:4:0", "1:2:3:4", "0:1000000000000"])
def test_values_that_are_none_are_one_sentence(text):
    with pytest.raises(RecipeError) as raised:
        parse_values(text)
    assert str(raised.value).endswith(".") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("axis", "fields", "words"),
    [
        ("colour=1", {}, "no parameter 'colour'"),
        ("temperature", {}, "is no axis"),
        ("seed=1,1", {}, "stands in it twice"),
        ("seed=0.5", {}, "whole numbers"),
        ("steps=0", {}, "'levels.steps'"),
        ("temperature=-1", {}, "'operator.temperature'"),
        ("seed=9223372036854775808", {}, "'seed'"),
        ("temperature=1", {"operator": {"name": "and"}}, "only 'or' has a temperature"),
        ("ridge=1", {}, "only 'and' has a ridge"),
        ("guidance=2", {}, "only prompts are guided"),
        ("bias=1", {"experts": PAIR[:1]}, "one expert alone"),
        (
            "weight=0.5",
            {"experts": [*PAIR, {"model": "ring"}], "operator": {"name": "fixed", "weights": [1, 0, 0]}},
            "there are 3 experts",
        ),
    ],
)
def test_axes_that_do_not_fit_are_one_sentence(axis, fields, words):
    with pytest.raises(RecipeError, match=words) as raised:
        Sweep(plane(**fields), parse_axis(axis))
    assert str(raised.value).endswith(".") and "\n" not in str(raised.value)


def test_axes_hold_up_to_twelve_numbers():
    assert len(make_axis("seed", list(range(12))).values) == 12
    for values in ([], list(range(13)), [True], ["1"]):
        with pytest.raises(RecipeError):
            make_axis("seed", values)


def test_only_what_makes_a_difference_is_offered():
    assert varied(plane()) == ["temperature", "bias", "steps", "seed"]
    assert varied(plane(operator={"name": "and"})) == ["bias", "ridge", "steps", "seed"]
    assert varied(plane(operator={"name": "fixed", "weights": [1, 0]})) == ["weight", "steps", "seed"]
