"""Recipes: round trips, and one clear sentence for everything that is wrong."""

import base64
import json
import zlib

import numpy as np
import pytest

from faults.ledger import check_sentence
from superdiff_engine.domains import domains
from superdiff_engine.domains.checked import load_recipe, make_recipe, parse_recipe, recipe_from_link
from superdiff_engine.errors import RecipeError
from superdiff_engine.runs.run import Run
from superdiff_engine.system.sandbox import LARGEST_RECIPE

GOOD = {"domain": "plane", "experts": [{"model": "overlap_a"}, {"model": "overlap_b"}]}


def test_json_and_link_round_trip():
    for domain in domains().values():
        for recipe in domain.examples().values():
            assert parse_recipe(recipe.to_json()) == recipe
            assert recipe_from_link(recipe.to_link()) == recipe


def test_a_mixture_of_the_user_round_trips():
    mixture = {"means": [[0.0, 1.0], [2.0, -1.0]], "variances": [0.1, 0.2], "masses": [1.0, 3.0]}
    recipe = make_recipe({"domain": "plane", "experts": [{"model": "custom", "mixture": mixture}]})
    assert recipe_from_link(recipe.to_link()) == recipe


BAD = {
    "unknown field": (GOOD | {"sedd": 3}, "'sedd'"),
    "negative temperature": (GOOD | {"operator": {"name": "or", "temperature": -1}}, "temperature"),
    "no experts": (GOOD | {"experts": []}, "no experts"),
    "experts missing": ({"domain": "plane"}, "lacks 'experts'"),
    "weights do not sum to 1": (GOOD | {"operator": {"name": "fixed", "weights": [0.5, 0.6]}}, "sum to 1"),
    "bias of the wrong length": (GOOD | {"operator": {"name": "or", "bias": [0.0]}}, "bias needs 2"),
    "single out of range": (GOOD | {"operator": {"name": "single", "index": 2}}, "no expert"),
    "mixed domains": (GOOD | {"experts": [{"model": "overlap_a"}, {"model": "garments_a"}]}, "one domain"),
    "unknown model": (GOOD | {"experts": [{"model": "nonesuch"}]}, "'nonesuch'"),
    "a path as a model": (GOOD | {"experts": [{"model": "../../etc/passwd"}]}, "model"),
    "an absolute path": (GOOD | {"experts": [{"model": "/etc/passwd"}]}, "model"),
    "unknown operator": (GOOD | {"operator": {"name": "xor"}}, "operator"),
    "unknown domain": (GOOD | {"domain": "music"}, "domain"),
    "ode with ito": (GOOD | {"solver": "ode", "estimator": "ito"}, "hutchinson"),
    "too many steps": (GOOD | {"levels": {"steps": 10**9}}, "levels.steps"),
    "levels upside down": (GOOD | {"levels": {"lowest": 5, "highest": 1}}, "below highest"),
    "batch of nothing": (GOOD | {"batch": 0}, "batch"),
    "huge batch": (GOOD | {"batch": 10**9}, "batch"),
    "seed not a number": (GOOD | {"seed": "a"}, "seed"),
    "custom without mixture": (GOOD | {"experts": [{"model": "custom"}]}, "mixture"),
    "mixture with a hole": (
        GOOD | {"experts": [{"model": "custom", "mixture": {"means": [[0, 0]], "variances": []}}]},
        "variances needs 1",
    ),
    "guidance without prompts": (GOOD | {"guidance": {"weight": 4}}, "guidance"),
    "a prompt in the plane": (GOOD | {"experts": [{"model": "ring", "prompt": "a cat"}]}, "Prompts"),
    "a prompt with control characters": (GOOD | {"experts": [{"model": "ring", "prompt": "a\x00cat"}]}, "prompt"),
    "guidance upside down": (GOOD | {"guidance": {"lowest": 5, "highest": 1}}, "below highest"),
    "half a size": (GOOD | {"pipeline": {"height": 64}}, "height and width"),
    "markup": (GOOD | {"experts": [{"model": "<script>alert(1)</script>"}]}, "model"),
    "scaled noise without noise": (GOOD | {"solver": "ode", "estimator": "exact", "noise_scale": 0.5}, "noise_scale"),
    "scaled noise unknown to the estimator": (GOOD | {"estimator": "ito", "noise_scale": 0.5}, "full noise"),
    "a number in the place of an object": (GOOD | {"levels": 3}, "'levels': it must be an object, in braces"),
    "a text in the place of a number": (GOOD | {"noise_scale": "much"}, "'noise_scale': it must be a number"),
    "half a sample": (GOOD | {"batch": 2.5}, "'batch': it must be a whole number"),
    "a name that cannot be printed": (GOOD | {"\x1b[31m\u202e" + "a" * 200: 1}, "does not exist"),
    "an operator without a name": (GOOD | {"operator": {}}, "'operator': it must have a name"),
    "levels that collapse": (GOOD | {"levels": {"lowest": 1, "highest": 1.0000000000000002}}, "further apart"),
    "levels too close for 10,000 steps": (
        GOOD | {"levels": {"lowest": 1, "highest": 1.000000000001, "steps": 10_000}},
        "fewer steps",
    ),
    "the same, even in log s": (
        GOOD | {"levels": {"lowest": 1, "highest": 1.000000000001, "steps": 10_000, "spacing": "log"}},
        "fewer steps",
    ),
    "a level whose square underflows": (GOOD | {"levels": {"lowest": 1e-162}}, "levels.lowest"),
    "a highest level below the models' own lowest": (GOOD | {"levels": {"highest": 0.01}}, "0.02 and 20"),
    "a dtype that nothing is computed in": (GOOD | {"dtype": "float16"}, "choose float32"),
    "too little noise": (GOOD | {"noise_scale": 0.01}, "noise_scale"),
}


@pytest.mark.parametrize("case", BAD)
def test_each_mistake_is_one_sentence_that_names_it(case):
    document, word = BAD[case]
    with pytest.raises(RecipeError) as caught:
        make_recipe(document)
    sentence = str(caught.value)
    assert word in sentence
    check_sentence(sentence)


def test_levels_at_their_bounds_run():
    """As close together, as low and as high as recipes go, against the exact density at the end."""
    for levels in (
        {"lowest": 1e-12, "steps": 3},
        {"highest": 1e6, "lowest": 1e-12, "steps": 1},
        {"lowest": 1.0, "highest": 1.00000001, "steps": 2},
        {"highest": 1e6, "lowest": 999_999.0, "steps": 1},
    ):
        for solver, estimator in (("ancestral", "trapezoid"), ("euler", "ito"), ("ode_heun", "exact")):
            run = Run(make_recipe(GOOD | {"levels": levels, "solver": solver, "estimator": estimator, "batch": 3}))
            result = run.execute()
            assert run.state == "done" and np.isfinite(result.log_density).all(), (levels, solver)


def test_a_document_without_a_solver_gets_the_default_and_what_is_written_names_it():
    recipe = make_recipe(GOOD)
    assert recipe.solver == "ancestral"
    assert json.loads(recipe.to_json())["solver"] == "ancestral"
    stored = make_recipe(GOOD | {"solver": "euler"})
    assert recipe_from_link(stored.to_link()).solver == "euler"
    # Examples whose tables were measured with Euler-Maruyama say so.
    assert {example.solver for example in domains()["molecules"].examples().values()} <= {"euler"}


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", "null", '{"domain": NaN}', "[" * 50_000, "x" * (LARGEST_RECIPE + 1), b"\xff\xfe\x00"]
)
def test_text_that_is_no_recipe_is_refused(text):
    with pytest.raises(RecipeError):
        parse_recipe(text)


def test_hostile_links_are_refused():
    bomb = base64.urlsafe_b64encode(zlib.compress(b" " * 50_000_000, 9)).decode()
    good = make_recipe(GOOD).to_link()
    changed = good[:20] + ("B" if good[20] == "A" else "A") + good[21:]
    for link in ("", "%%%", "<script>", bomb, good[:-5], changed, "A" * 100_000):
        with pytest.raises(RecipeError):
            recipe_from_link(link)


def test_a_recipe_file_that_cannot_be_read(tmp_path):
    with pytest.raises(RecipeError, match="could not be read"):
        load_recipe(tmp_path / "none.json")
    (tmp_path / "large.json").write_text(json.dumps(GOOD) + " " * LARGEST_RECIPE)
    with pytest.raises(RecipeError, match="larger than"):
        load_recipe(tmp_path / "large.json")
