"""A recipe in words: whatever field of it differs from the defaults is named, fields that are added later too."""

import typing
from types import UnionType

import pytest
from pydantic import BaseModel

from superdiff_engine.domains import domains
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.recipes.operators import OPERATORS, OperatorRecipe
from superdiff_engine.runs.wording import changes, differences, spelled, usual_recipe

PLANE = {"experts": [{"model": "ring"}, {"model": "grid"}]}
MOLECULES = {
    "domain": "molecules",
    "experts": [{"model": "molecules", "prompt": "high TPSA"}, {"model": "molecules", "prompt": "high fraction sp3"}],
}
PROMPTS = {"domain": "prompts", "experts": [{"model": "hub/a/b", "prompt": prompt} for prompt in ("a cat", "a dog")]}
PINNED = {"domain": "prompts", "experts": [one | {"revision": "ab" * 20} for one in PROMPTS["experts"]]}
AWAY = {"guidance": {"weight": 8, "negative_prompt": "low QED"}}
PROTEINS = {"domain": "proteins", "experts": [{"model": "proteins_alpha"}, {"model": "proteins_beta"}]}
MIXTURE = {"means": [[0, 0], [1, 1], [2, 2]], "variances": [1, 1, 1]}
MINE = {"experts": [{"model": "custom", "mixture": MIXTURE}]}

#: For every field of a recipe, by its place: what another value looks like in a recipe, and what must be said of it.
CORRECTED = {"operator": {"name": "average"}, "batch": 8}
OTHER = {
    "version": None,  # there is only one
    "domain": None,  # the page that shows the recipe says it
    "experts.model": (PROMPTS, "hub/a/b"),
    "experts.revision": (PINNED, "revision " + "ab" * 20),
    "experts.prompt": None,  # the experts' titles
    "experts.mixture.means": (MINE, "3 modes"),
    "experts.mixture.variances": (MINE, "3 modes"),
    "experts.mixture.masses": (MINE, "3 modes"),
    "operator.name": ({"operator": {"name": "average"}}, "Average"),
    "operator.temperature": ({"operator": {"name": "or", "temperature": 2.5000001}}, "T = 2.5000001"),
    "operator.bias": ({"operator": {"name": "or", "bias": [0, 1.1]}}, "bias 0, 1.1"),
    "operator.ridge": ({"operator": {"name": "and", "ridge": 0}}, "ridge 0"),
    "operator.lowest": ({"operator": {"name": "and", "lowest": 1.5}}, "down to s = 1.5"),
    "operator.text": ({"operator": {"name": "formula", "text": "1 but not[0.5] 2"}}, "1 but not[0.5] 2"),
    "operator.weights": ({"operator": {"name": "fixed", "weights": [0.25, 0.75]}}, "0.25 : 0.75"),
    "operator.index": ({"operator": {"name": "single", "index": 1}}, "expert 2"),
    "levels.steps": ({"levels": {"steps": 77}}, "77 steps"),
    "levels.spacing": ({"levels": {"spacing": "log"}}, "even in log s"),
    "levels.highest": ({"levels": {"highest": 12}}, "highest level s = 12"),
    "levels.lowest": ({"levels": {"lowest": 1e-9}}, "lowest level s = 1e-09"),
    "levels.rho": ({"levels": {"rho": 3}}, "rho 3"),
    "solver": ({"solver": "ode_heun", "estimator": "hutchinson"}, "Heun"),
    "estimator": ({"solver": "euler", "estimator": "hutchinson"}, "Hutchinson"),
    "noise_scale": (PROTEINS | {"noise_scale": 1.0}, "noise scale 1"),
    "batch": ({"batch": 9}, "9 samples"),
    "seed": ({"seed": 2**63 - 1}, str(2**63 - 1)),
    "device": ({"device": "cpu"}, "device cpu"),
    "cuda_graphs": ({"cuda_graphs": True}, "CUDA graphs"),
    "draws": ({"draws": "device"}, "random numbers from the device"),
    "guidance.weight": (MOLECULES | {"guidance": {"weight": 3.25}}, "guidance 3.25"),
    "guidance.negative_prompt": (MOLECULES | AWAY, "away from 'low QED'"),
    "guidance.lowest": (MOLECULES | {"guidance": {"weight": 8, "lowest": 0.5}}, "guidance from s = 0.5"),
    "guidance.highest": (MOLECULES | {"guidance": {"weight": 8, "highest": 5}}, "guidance up to s = 5"),
    "correction.particles": (CORRECTED | {"correction": {"particles": 4}}, "4 particles a group"),
    "correction.threshold": (CORRECTED | {"correction": {"threshold": 0.25}}, "below 25%"),
    "correction.lowest": (CORRECTED | {"correction": {"lowest": 0.5}}, "down to s = 0.5"),
    "correction.highest": (CORRECTED | {"correction": {"highest": 5}}, "from s = 5"),
    "dtype": (MOLECULES | {"dtype": "bfloat16"}, "bfloat16"),
    "pipeline.height": (PROMPTS | {"pipeline": {"height": 64, "width": 128}}, "height 64 pixels"),
    "pipeline.width": (PROMPTS | {"pipeline": {"height": 64, "width": 128}}, "width 128 pixels"),
    "pipeline.vae_slicing": (PROMPTS | {"pipeline": {"vae_slicing": True}}, "one picture at a time"),
    "pipeline.vae_tiling": (PROMPTS | {"pipeline": {"vae_tiling": True}}, "in tiles"),
    "pipeline.attention_slicing": (PROMPTS | {"pipeline": {"attention_slicing": True}}, "in slices"),
    "pipeline.cpu_offload": (PROMPTS | {"pipeline": {"cpu_offload": True}}, "offload"),
    "pipeline.compile": (PROMPTS | {"pipeline": {"compile": True}}, "compile"),
    "atoms": (MOLECULES | {"atoms": 12}, "12 atoms"),
    "residues": (PROTEINS | {"residues": None}, "residues as in the models' data"),
    "per_component": (MOLECULES | {"per_component": True}, "weights by component"),
}  # fmt: skip


def models_in(annotation):
    """The models that a field's type is made of."""
    if annotation is OperatorRecipe:
        return list(OPERATORS.values())
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def places(model, before=""):
    """Every place of a recipe, such as "levels.steps"."""
    found = set()
    for name, field in model.model_fields.items():
        inner = models_in(field.annotation)
        found |= set().union(*(places(one, f"{before}{name}.") for one in inner)) if inner else {before + name}
    return found


def test_there_is_a_case_for_every_field():
    assert isinstance(int | None, UnionType)  # what `models_in` walks through
    assert places(Recipe) == set(OTHER), "a field of recipes has no case here, and perhaps no words"


@pytest.mark.parametrize("place", [place for place, case in OTHER.items() if case])
def test_whatever_differs_is_named(place):
    change, words = OTHER[place]
    recipe = make_recipe({"domain": "plane"} | PLANE | change)
    said = [*recipe.operator.words(), *differences(recipe).values()]
    assert any(words in one for one in said), said


def test_the_usual_recipe_needs_no_words():
    for name, domain in domains().items():
        usual = usual_recipe(name)
        assert usual == next(iter(domain.examples().values()), None)
        assert usual is None or differences(usual) == {}


def test_a_field_without_words_is_named_all_the_same(monkeypatch):
    from superdiff_engine.runs import wording

    monkeypatch.setattr(wording, "_WORDS", {})
    assert differences(make_recipe({"domain": "plane", "seed": 5} | PLANE))["seed"] == "seed 5"


@pytest.mark.parametrize("place", [place for place, case in OTHER.items() if case and not place.startswith("experts")])
def test_every_change_is_found_both_ways_and_only_it(place):
    change, _ = OTHER[place]
    kind = {key: change[key] for key in ("domain", "experts") if key in change}
    # What a document has by itself is no change.
    kind |= {"noise_scale": {"noise_scale": 0.7}, "residues": {"residues": 64}}.get(place, {})
    before, after = (make_recipe({"domain": "plane"} | PLANE | one) for one in (kind, change))
    found = {one.place.split(".")[0] for one in [*changes(before, after), *changes(after, before)]}
    # What a change needs beside it is one of its own.
    assert place.split(".")[0] in found and found <= change.keys()
    assert changes(before, before) == changes(after, after) == []
    assert all(said.name and said.value for said in spelled(after).values())


def test_changes_read_like_sentences_of_the_form():
    before = make_recipe({"domain": "plane"} | PLANE | {"operator": {"name": "or"}, "levels": {"steps": 50}, "seed": 7})
    mine = {"means": [[0, 0], [1, 1.5]], "variances": [1, 0.5]}
    after = make_recipe(
        {
            "domain": "plane",
            "experts": [{"model": "ring"}, {"model": "custom", "mixture": mine}, {"model": "grid"}],
            "operator": {"name": "and", "ridge": 2},
            "levels": {"steps": 100},
            "seed": 9,
        }
    )
    assert [one.words() for one in changes(before, after)] == [
        "expert 2 Grid → Your own mixture",
        "with modes of expert 2 2: (0, 0) variance 1 mass 1; (1, 1.5) variance 0.5 mass 1",
        "with expert 3 Grid",
        "operator OR → AND",
        "with ridge 2 nats",
        "steps 50 → 100",
        "seed 7 → 9",
    ]
    assert [one.words(20) for one in changes(after, before)][-1] == "without expert 3 Grid"
    assert "with modes of expert 2 2: (0, 0) variance…" in [one.words(20) for one in changes(before, after)]


def test_what_makes_no_difference_is_no_change():
    """Masses that are left out, a bias of zeros, spaces of a list of properties, a revision that a run filled in."""
    masses = {"experts": [{"model": "custom", "mixture": MIXTURE | {"masses": [1, 1, 1]}}]}
    for base, one, other in (
        ({"domain": "plane"}, MINE, masses),
        ({"domain": "plane"} | PLANE, {}, {"operator": {"name": "or", "bias": [0, 0]}}),
        (MOLECULES, {"guidance": {"weight": 2}}, {"guidance": {"weight": 2, "negative_prompt": " "}}),
        ({}, PROMPTS, PINNED),
        (PROMPTS, {}, {"pipeline": {}}),
        (MOLECULES, {}, {"guidance": {"weight": 1, "negative_prompt": "low QED"}}),
    ):
        assert changes(make_recipe(base | one), make_recipe(base | other)) == []
