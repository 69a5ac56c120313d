"""Axes: what they vary in a recipe, how they are written, and what is said of wrong ones."""

import numpy as np
import pytest
from plane_recipes import PAIR, changed, plane

from superdiff_engine.domains import domains
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import FieldError, RecipeError
from superdiff_engine.recipes.operators import OPERATORS
from superdiff_engine.runs.axes import Axis, make_axis, parse_axis, varied, with_value, with_values
from superdiff_engine.runs.fields import PARAMETERS
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.values import Numbers, Texts


@pytest.mark.parametrize(
    ("axis", "operator", "path", "values"),
    [
        ("temperature=0,2.5", {"name": "or"}, "operator.temperature", [0, 2.5]),
        ("bias=-2,1", {"name": "or", "bias": [0.5, 1.1]}, "operator.bias", [[-2, 1.1], [1, 1.1]]),
        ("bias=-2,1", {"name": "and"}, "operator.bias", [[-2, 0], [1, 0]]),
        ("ridge=0,3", {"name": "and"}, "operator.ridge", [0, 3]),
        ("bias 2=-2,1", {"name": "or", "bias": [0.5, 1.1]}, "operator.bias", [[0.5, -2], [0.5, 1]]),
        ("bias of expert 2=3", {"name": "coin_flip"}, "operator.bias", [[0, 3]]),
        ("bias of expert 1=3", {"name": "coin_flip"}, "operator.bias", [[3, 0]]),
        ("holds=0.5", {"name": "and"}, "operator.lowest", [0.5]),
        ("formula=1 and not 2|2*1", {"name": "formula", "text": "1 or 2"}, "operator.text", ["1 and not 2", "2*1"]),
        ("single=2", {"name": "single"}, "operator.index", [1]),
        ("weight=0.25,2", {"name": "fixed", "weights": [0.5, 0.5]}, "operator.weights", [[0.25, 0.75], [2, -1]]),
        ("weight 2=0.25", {"name": "fixed", "weights": [0.5, 0.5]}, "operator.weights", [[0.75, 0.25]]),
        ("model 2=ring,grid", {"name": "or"}, "experts", [[PAIR[0], {"model": name}] for name in ("ring", "grid")]),
        ("solver=euler", {"name": "or"}, "solver", ["euler"]),
        ("estimator=ito,hutchinson", {"name": "or"}, "estimator", ["ito", "hutchinson"]),
        ("noise scale=0.5", {"name": "or"}, "noise_scale", [0.5]),
        ("highest=10,5", {"name": "or"}, "levels.highest", [10, 5]),
        ("lowest=0.1", {"name": "or"}, "levels.lowest", [0.1]),
        ("rho=3", {"name": "or"}, "levels.rho", [3]),
        ("spacing=log", {"name": "or"}, "levels.spacing", ["log"]),
        ("samples=4,9", {"name": "or"}, "batch", [4, 9]),
        ("steps=2,4", {"name": "average"}, "levels.steps", [2, 4]),
        ("seed=7,9223372036854775807", {"name": "average"}, "seed", [7, 2**63 - 1]),
    ],
)
def test_a_cells_recipe_is_the_base_but_for_the_axis(axis, operator, path, values):
    base = plane(operator=operator)
    grid = Sweep(base, parse_axis(axis))
    for column, value in enumerate(values):
        found = changed(base.model_dump(exclude_none=True), grid.recipes[0, column].model_dump(exclude_none=True))
        assert found == {path: value}


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
    found = Numbers().read(text)
    assert found == values and [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize("text", ["", "1,,2", "a", "nan", "inf", "1:a", "4:0", "0:4:0", "1:2:3:4", "0:1000000000000"])
def test_values_that_are_none_are_one_sentence(text):
    with pytest.raises(RecipeError) as raised:
        Numbers().read(text)
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
        ("bias 3=1", {}, "the recipe has 2 experts"),
        ("prompt 1=a", {}, "have no prompts"),
        ("model=ring", {}, "name the expert"),
        ("model 1=nothing", {}, "no model called 'nothing'"),
        ("operator=nor", {}, "there is no 'nor'"),
        ("solver=", {}, "names only"),
        ("steps=own", {}, "'own' is no number"),
        ("estimator=exactly", {}, "there is no 'exactly'"),
        ("noise scale=0.5", {"solver": "ode", "estimator": "hutchinson"}, "has no noise"),
        ("rho=3", {"levels": {"spacing": "log", "steps": 3}}, "only Karras' levels"),
        ("formula=1 or 3", {}, "3"),
        ("dtype=float16", {}, "computes in float32 only"),
        ("components=on", {}, "one component"),
        ("atoms=4", {}, "no number of atoms"),
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
    common = ["formula", "model 1", "model 2", "operator", "solver", "estimator", "noise scale", "correction", "steps"]
    common += ["spacing", "rho", "highest", "lowest", "samples", "seed"]
    assert varied(plane()) == ["temperature", "bias", "bias 2", *common]
    assert varied(plane(operator={"name": "and"})) == ["bias", "bias 2", "ridge", "holds", *common]
    fixed = [*common[:1], "weight", "weight 2", *common[1:]]
    assert varied(plane(operator={"name": "fixed", "weights": [1, 0]})) == fixed
    ode = varied(plane(solver="ode", estimator="hutchinson", levels={"steps": 3, "spacing": "log"}))
    assert not {"noise scale", "rho", "particles", "guidance", "prompt 1", "bias 3"} & {*ode}


EXAMPLES = {name: next(iter(domain.examples().values())) for name, domain in domains().items() if not domain.absent}
CORRECTED = plane(correction={"particles": 4})


@pytest.mark.parametrize(
    ("domain", "name"), [(domain, name) for domain, one in EXAMPLES.items() for name in varied(one)]
)
def test_what_is_suggested_can_be_entered_and_is_read_back(domain, name):
    recipe, told = EXAMPLES[domain], PARAMETERS[name]
    values = list(told.suggest(recipe))
    if not told.options(recipe):
        assert told.kind.read_entered(told.kind.entered(values)) == values
    axis = make_axis(name, values)
    assert Axis.model_validate_json(axis.model_dump_json()) == axis and len(set(axis.texts)) == len(values)
    made = 0
    for value in axis.values:
        try:
            cell = with_value(recipe, name, value)
        except FieldError:
            raise
        except RecipeError:  # a correction of AND, say
            continue
        made += 1
        assert told.value(cell) == value
    assert made


def test_prompts_have_commas_and_stand_between_bars():
    experts = [{"model": "molecules", "prompt": ""}, {"model": "molecules", "prompt": "high TPSA"}]
    recipe = make_recipe({"domain": "molecules", "experts": experts, "operator": {"name": "and"}, "batch": 4})
    grid = Sweep(recipe, parse_axis("prompt 1=high logP, aromatic ring|no fluorine|"), parse_axis("atoms=9,own"))
    assert [cell.experts[0].prompt for cell in grid.recipes.values()] == [
        "high logP, aromatic ring",
        "no fluorine",
        "",
    ] * 2
    assert [cell.atoms for cell in grid.recipes.values()] == [9] * 3 + [None] * 3
    assert grid.x.texts == ["high logP, aromatic ring", "no fluorine", "(empty)"]
    assert "…, high TPSA" in grid.title
    entered = Texts().read_entered("high logP, aromatic ring\n\n  a|b \n(empty)")
    assert entered == ["high logP, aromatic ring", "a|b", ""]


def test_another_operator_keeps_what_it_shares_and_loses_a_correction_without_a_target():
    base = plane(operator={"name": "or", "bias": [0, 2]}, correction={"particles": 4})
    grid = Sweep(base, parse_axis("operator=or,and,fixed,coin_flip,single,formula"))
    made = list(grid.recipes.values())
    assert made[0] == base and [one.operator.name for one in made] == grid.x.values
    assert [one.correction is None for one in made] == [False, True, False, True, False, False]
    for one in made:
        expected = base.model_copy(update={"operator": one.operator, "correction": one.correction})
        assert one == expected and one.operator == OPERATORS[one.operator.name].like(base.operator, 2)
    assert "OR" not in grid.title and grid.x.texts[:2] == ["OR", "AND"]


def test_a_formula_makes_any_operator_one():
    grid = Sweep(plane(operator={"name": "and", "bias": [1, 0]}), parse_axis("formula=1 or 2|1 xor 2"))
    assert [one.operator.words() for one in grid.recipes.values()] == [
        ["Formula", text, "bias 1, 0"] for text in ("1 or 2", "1 xor 2")
    ]


def test_shares_keep_their_proportions():
    base = plane(experts=[*PAIR, {"model": "ring"}], operator={"name": "fixed", "weights": [0.2, 0.6, 0.2]})
    (cell,) = Sweep(base, parse_axis("weight 3=0.6")).recipes.values()
    np.testing.assert_allclose(cell.operator.weights, [0.1, 0.3, 0.6])
    alone = plane(experts=[*PAIR, {"model": "ring"}], operator={"name": "fixed", "weights": [1, 0, 0]})
    np.testing.assert_allclose(with_value(alone, "weight", 0.5).operator.weights, [0.5, 0.25, 0.25])


def test_what_does_not_go_together_costs_its_cell():
    grid = Sweep(plane(), parse_axis("solver=euler,ode"), parse_axis("estimator=trapezoid,hutchinson"))
    assert [*grid.recipes] == [(0, 0), (1, 0), (1, 1)] and grid.size == 4
    assert "choose 'hutchinson'" in grid.unfit[0, 1]
    # Both are set before either is checked.
    ode = grid.recipes[1, 1]
    assert (ode.solver, ode.estimator) == ("ode", "hutchinson")
    grid = Sweep(plane(), parse_axis("operator=or,and"), parse_axis("temperature=0,1"))
    assert [*grid.unfit] == [(0, 1), (1, 1)] and "only 'or' has a temperature" in grid.unfit[0, 1]
    assert [cell.operator.temperature for cell in grid.recipes.values()] == [0, 1]
    grid = Sweep(plane(), parse_axis("operator=or,and"), parse_axis("correction=off,on"))
    assert [*grid.unfit] == [(1, 1)] and "AND" in grid.unfit[1, 1]
    with pytest.raises(RecipeError, match="one undoes the other"):
        Sweep(plane(), parse_axis("operator=or,average"), parse_axis("formula=1 or 2"))
    with pytest.raises(RecipeError, match="choose"):
        Sweep(plane(), parse_axis("solver=ode,ode_heun"))


@pytest.mark.parametrize(
    ("axis", "path", "values"),
    [
        ("correction=off,on", "correction", [None, {"particles": 4, "threshold": 0.5}]),
        ("particles=2,all", "correction.particles", [2, None]),
        ("threshold=0,1", "correction.threshold", [0, 1]),
        ("resampled down to=1", "correction.lowest", [1]),
        ("resampled from=own,9", "correction.highest", [None, 9]),
    ],
)
def test_axes_of_a_correction(axis, path, values):
    grid = Sweep(CORRECTED, parse_axis(axis))
    for column, value in enumerate(values):
        cell = grid.recipes[0, column]
        assert changed(CORRECTED.model_dump(), cell.model_dump()) in ({path: value}, {})
        part, _, name = path.partition(".")
        held = cell.model_dump()[part]
        assert (held[name] if name else cell.model_dump(exclude_none=True).get(part)) == value


def test_switches_and_parts_that_a_recipe_leaves_out():
    prompts = {"domain": "prompts", "experts": [{"model": "hub/a/b", "prompt": "a cat"}], "operator": {"name": "and"}}
    recipe = make_recipe(prompts)
    assert with_value(recipe, "pixels", 64).pipeline.height == with_value(recipe, "pixels", 64).pipeline.width == 64
    assert with_value(recipe, "vae_tiling", "on").pipeline.vae_tiling and with_value(recipe, "model", "hub/c/d")
    guided = with_value(recipe, "negative prompt", "blurry").guidance
    assert (guided.weight, guided.negative_prompt) == (1, "blurry")
    assert with_values(recipe, {"guidance from": 1, "guidance to": 9}).guidance.highest == 9
    assert with_value(CORRECTED, "correction", "off").correction is None
