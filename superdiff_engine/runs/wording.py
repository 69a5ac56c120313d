"""Recipes in words: what in a recipe is not its domain's default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..density import get_estimator
from ..domains import get_domain
from ..recipes.document import CorrectionRecipe, GuidanceRecipe, PipelineRecipe, Recipe
from ..recipes.parameters import short_number
from ..solvers import get_solver

#: Ways of a text-to-image pipeline to save memory or time, by their names in recipes.
SAVINGS: dict[str, str] = {
    "vae_slicing": "decode one picture at a time",
    "vae_tiling": "decode in tiles",
    "attention_slicing": "attention in slices",
    "cpu_offload": "CPU offload (needs CUDA)",
    "compile": "torch.compile (slow first step)",
}

DEFAULT_CORRECTION = CorrectionRecipe()
#: No value of a recipe: what the usual one has not, however open the recipe leaves it.
_NOWHERE = object()


def usual_recipe(domain: str) -> Recipe | None:
    """The recipe that a domain begins with, which has its defaults; None where the domain has no model."""
    return next(iter(get_domain(domain).examples().values()), None)


def differences(recipe: Recipe) -> dict[str, str]:
    """What a recipe has that its domain's usual recipe has not, in words, by its place in the recipe.

    The operator says itself by its `words`; experts are named by their titles, so that only what these do not say
    stands here: a model that prompts are of, the modes of a mixture.
    """
    usual = usual_recipe(recipe.domain)
    mine, theirs = _facts(recipe), {} if usual is None else _facts(usual)
    found: dict[str, str] = {}
    for place, value in mine.items():
        if usual is None or value != theirs.get(place, _NOWHERE):
            said = _WORDS.get(place, lambda value, recipe, place=place: f"{place} {value}")(value, recipe)
            found |= {place: said} if said else {}
    return found


def _facts(recipe: Recipe) -> dict[str, Any]:
    """The fields of a recipe by their places, the operator's apart; what is left out has its default."""
    document = recipe.model_copy(
        update={
            "guidance": recipe.guidance or GuidanceRecipe(weight=1.0),
            "pipeline": recipe.pipeline or PipelineRecipe(),
        }
    ).model_dump(exclude={"operator", "experts", "version", "domain"})
    facts: dict[str, Any] = {}
    for name, value in document.items():
        facts |= (
            {f"{name}.{inner}": part for inner, part in value.items()} if isinstance(value, dict) else {name: value}
        )
    # One model is usual whatever the number of its prompts.
    facts["experts.model"] = sorted({expert.model for expert in recipe.experts if expert.prompt})
    facts["experts.revision"] = sorted({expert.revision for expert in recipe.experts if expert.revision})
    facts["experts.mixture"] = [expert.mixture for expert in recipe.experts if expert.mixture is not None]
    return facts


def _size(value: int | None, recipe: Recipe) -> str:
    size = get_domain(recipe.domain).size
    if size is None:
        return ""
    return f"{size.field} {size.open}" if value is None else f"{value} {size.field}"


def _level(words: str) -> Callable[[Any, Recipe], str]:
    return lambda value, recipe: f"{words} {'as the models have it' if value is None else f's = {short_number(value)}'}"


def _side(words: str) -> Callable[[Any, Recipe], str]:
    return lambda value, recipe: f"{words} of the model" if value is None else f"{words} {value} pixels"


def _saving(words: str) -> Callable[[Any, Recipe], str]:
    return lambda value, recipe: words if value else f"not: {words}"


#: What is said of the value at each place of a recipe, given the recipe; nothing where the heading says it anyway.
_WORDS: dict[str, Callable[[Any, Recipe], str]] = {
    "experts.model": lambda models, recipe: f"model {', '.join(models)}" if models else "",
    "experts.revision": lambda found, recipe: f"revision {', '.join(found)}" if found else "",
    "experts.mixture": lambda mixtures, recipe: (
        f"mixtures of {' and '.join(str(len(mixture.means)) for mixture in mixtures)} modes" if mixtures else ""
    ),
    "levels.steps": lambda value, recipe: f"{value} steps",
    "levels.spacing": lambda value, recipe: "levels even in log s" if value == "log" else "Karras' levels",
    "levels.highest": _level("highest level"),
    "levels.lowest": _level("lowest level"),
    "levels.rho": lambda value, recipe: f"rho {short_number(value)}",
    "solver": lambda value, recipe: get_solver(value).title,
    "estimator": lambda value, recipe: f"log q: {get_estimator(value).title}",
    "noise_scale": lambda value, recipe: f"noise scale {short_number(value)}",
    "batch": lambda value, recipe: f"{value} samples",
    "seed": lambda value, recipe: f"seed {value}",
    "device": lambda value, recipe: f"device {value}",
    "dtype": lambda value, recipe: value,
    "guidance.weight": lambda value, recipe: "no guidance" if value == 1 else f"guidance {short_number(value)}",
    "guidance.negative_prompt": lambda value, recipe: f"led away from '{value}'" if value else "led away from nothing",
    "guidance.highest": _level("guidance up to"),
    "guidance.lowest": _level("guidance from"),
    "correction": lambda value, recipe: "not corrected",
    "correction.particles": lambda value, recipe: (
        f"corrected to the exact target, {'all samples one group' if value is None else f'{value} particles a group'}"
    ),
    "correction.threshold": lambda value, recipe: (
        "" if value == DEFAULT_CORRECTION.threshold else f"resampled below {value:.0%} of the particles"
    ),
    "correction.lowest": lambda value, recipe: "" if value is None else f"resampled down to s = {short_number(value)}",
    "correction.highest": lambda value, recipe: "" if value is None else f"resampled from s = {short_number(value)}",
    "pipeline.height": _side("height"),
    "pipeline.width": _side("width"),
    **{f"pipeline.{name}": _saving(words) for name, words in SAVINGS.items()},
    "atoms": _size,
    "residues": _size,
    "per_component": lambda value, recipe: "weights by component" if value else "one weight for all components",
}
