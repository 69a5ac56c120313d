"""A recipe walked: the one place that unpacks a recipe into the arguments of `sampling.sample`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from .domain import Domain, Prepared
from .recipes.document import Recipe
from .sampling import Step, sample
from .score import ScoreModel


def levels_of(recipe: Recipe, domain: Domain[Any, Any], experts: Sequence[ScoreModel]) -> Tensor:
    """[steps + 1] levels, decreasing, float64: the recipe's grid, with the experts' own range where it is left open.

    Raises:
        RecipeError: where an end that the recipe gives does not fit the experts' range, or they lack the time in which
            it is to be even.
    """
    noising = domain.noising(recipe)
    if noising is None:
        return recipe.levels.grid(domain.level_range(experts))
    return recipe.levels.grid((noising.lowest, noising.highest), noising.schedule)


def walk(
    recipe: Recipe, domain: Domain[Any, Any], prepared: Prepared, device: str = "cpu", densities: bool = True
) -> Iterator[Step]:
    """The steps of a run of the recipe, the highest level first.

    Args:
        recipe: what to do.
        domain: the recipe's.
        prepared: what `domain.prepare` made of the recipe, on `device`.
        device: of the samples.
        densities: whether log-densities are followed where the operator does not need them.

    Raises:
        ArgumentError, StepError: as `sampling.sample`.
    """
    operator = recipe.operator.build(recipe.names)
    return sample(
        prepared.experts,
        operator,
        domain.component_levels(levels_of(recipe, domain, prepared.experts), prepared.experts),
        batch=recipe.batch,
        seed=recipe.seed,
        estimator=recipe.estimator if densities or operator.needs_density else "none",
        solver=recipe.solver,
        space=domain.space(prepared.experts),
        guidance=prepared.guidance,
        per_component=recipe.per_component,
        noise_scale=recipe.noise_scale,
        correction=None if recipe.correction is None else recipe.correction.build(),
        device=device,
        draws=recipe.draws,
    )
