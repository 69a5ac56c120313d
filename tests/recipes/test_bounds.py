"""The bounds that are read from documents are those that documents are held to."""

import math

import pytest
from pydantic import ValidationError

from superdiff_engine.recipes.bounds import bounds_of
from superdiff_engine.recipes.document import GuidanceRecipe, Levels, PipelineRecipe, Recipe
from superdiff_engine.recipes.operators import AndRecipe, CoinFlipRecipe, OrRecipe

MINE = {"domain": "plane", "experts": [{"model": "ring"}]}


@pytest.mark.parametrize(
    ("document", "field", "make"),
    [
        (OrRecipe, "temperature", lambda value: OrRecipe(temperature=value)),
        (OrRecipe, "bias", lambda value: OrRecipe(bias=[0.0, value])),
        (CoinFlipRecipe, "bias", lambda value: CoinFlipRecipe(bias=[value])),
        (AndRecipe, "lowest", lambda value: AndRecipe(lowest=value)),
        (Levels, "steps", lambda value: Levels(steps=value)),
        (Levels, "highest", lambda value: Levels(highest=value)),
        (GuidanceRecipe, "weight", lambda value: GuidanceRecipe(weight=value)),
        (PipelineRecipe, "height", lambda value: PipelineRecipe(height=value, width=64)),
        (Recipe, "batch", lambda value: Recipe(**MINE, batch=value)),
        (Recipe, "noise_scale", lambda value: Recipe(**MINE, noise_scale=value)),
    ],
)
def test_a_document_takes_its_bounds_and_nothing_beyond(document, field, make):
    least, most = bounds_of(document, field)
    whole = isinstance(least, int)
    below, above = (
        (least - 1, most + 1) if whole else (math.nextafter(least, -math.inf), math.nextafter(most, math.inf))
    )
    for value in (least, most):
        make(value)
    for value in (below, above):
        with pytest.raises(ValidationError):
            make(value)


def test_bounds_deep_in_a_recipe_and_where_there_are_none():
    assert bounds_of(Recipe, "levels", "steps") == bounds_of(Levels, "steps") == (1, 10_000)
    assert bounds_of(Recipe, "guidance", "weight") == bounds_of(GuidanceRecipe, "weight")
    assert all(isinstance(bound, int) for bound in bounds_of(Recipe, "pipeline", "width"))
    for nothing in ("solver", "nonesuch"):
        with pytest.raises(KeyError):
            bounds_of(Recipe, nothing)
