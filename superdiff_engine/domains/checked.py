"""Recipes that are right for their domain: read from JSON, a file or a link, and checked before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..domain import Domain
from ..errors import ArgumentError, FieldError, NewerError, RecipeError, SuperDiffError
from ..recipes.document import Recipe, Surroundings
from ..recipes.links import text_of_link
from ..recipes.sentences import sentence_of
from ..system.files import read_bounded
from ..system.sandbox import LARGEST_RECIPE
from . import domain_of_model, domains, get_domain
from .sources import written_local


def parse_recipe(text: str | bytes) -> Recipe:
    """Read a recipe from JSON.

    Raises:
        RecipeError: with one sentence that names the field and what is wrong.
    """
    return make_recipe(_document(text))


def recorded_recipe(text: str | bytes) -> Recipe:
    """The recipe of a run that was made once: its models need not be there any more.

    Raises:
        RecipeError: as `parse_recipe` does.
        NewerError: for a document of a later version.
    """
    document = _document(text)
    version = document.get("version", 1)
    if isinstance(version, int) and version > 1:
        raise NewerError(
            f"This recipe is of version {version}, which a later SuperDiff Studio wrote; this one reads version 1. "
            "Install a newer one to open it."
        )
    return _validated(document)


def _document(text: str | bytes) -> dict[str, Any]:
    """The JSON object in a recipe's text; raises RecipeError."""
    if len(text) > LARGEST_RECIPE:
        raise RecipeError(
            f"This recipe is larger than {LARGEST_RECIPE // 1024} KiB; a recipe is a small JSON document."
        )
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise RecipeError("This is not a recipe: it is not valid JSON.") from None
    if not isinstance(document, dict):
        raise RecipeError("This is not a recipe: the JSON document must be an object with a domain and experts.")
    return document


def make_recipe(document: dict[str, Any]) -> Recipe:
    """Validate a recipe given as a dictionary; raises RecipeError as `parse_recipe` does, FieldError for one field's
    value where no other field matters.
    """
    recipe = _validated(document)
    check_recipe(recipe)
    return recipe


def _validated(document: dict[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate(document, context=Surroundings(list(domains()), written_local))
    except ValidationError as error:
        # What a validator of ours says may be about several fields.
        own = error.errors(include_url=False, include_input=False)[0]["type"] == "value_error"
        raise (RecipeError if own else FieldError)(sentence_of(error)) from None
    except RecursionError:
        raise RecipeError("This is not a recipe: it is nested too deeply.") from None


def load_recipe(path: Path) -> Recipe:
    """Read a recipe from a JSON file or a pipe; raises RecipeError."""
    try:
        text = read_bounded(path, LARGEST_RECIPE)
    except SuperDiffError as error:
        raise RecipeError(f"The recipe {error}") from None
    return parse_recipe(text)


def recipe_from_link(link: str) -> Recipe:
    """Read what `Recipe.to_link` wrote; raises RecipeError on anything else."""
    return parse_recipe(text_of_link(link))


def check_recipe(recipe: Recipe) -> None:
    """Raise RecipeError where a recipe asks for what its domain, or no model of it, has."""
    for expert in recipe.experts:
        owner = domain_of_model(expert.model, recipe.domain)
        if owner is None:
            raise RecipeError(f"There is no model called '{expert.model}'; 'superdiff models' lists what there is.")
        if owner != recipe.domain:
            raise RecipeError(
                f"All experts of a recipe come from one domain: '{expert.model}' belongs to {owner}, "
                f"this recipe is for {recipe.domain}."
            )
    domain = get_domain(recipe.domain)
    prompted = any(expert.prompt is not None for expert in recipe.experts)
    # A domain with prompts but without pipelines says so in `check`.
    lacking = domain.wording is None and (prompted or recipe.pipeline)
    if lacking or (recipe.guidance and not domain.guided):
        raise RecipeError(f"Prompts, guidance and pipeline settings need a model of text; {domain.title} has none.")
    for field in ("atoms", "residues"):
        if getattr(recipe, field) is not None and (domain.size is None or domain.size.field != field):
            raise RecipeError(f"Samples of the domain {domain.title} have no number of {field}; remove '{field}'.")
    if recipe.per_component and len(domain.components) < 2:
        raise RecipeError(f"Samples of the domain {domain.title} have one component; remove 'per_component'.")
    if recipe.dtype not in domain.dtypes:
        raise RecipeError(
            f"The domain {domain.title} computes in {' or '.join(domain.dtypes)}, not in {recipe.dtype}; choose "
            f"{domain.dtypes[0]}."
        )
    domain.check(recipe)
    _check_sampling(recipe, domain)


def _check_sampling(recipe: Recipe, domain: Domain) -> None:
    """What the loop would refuse, before anything is loaded."""
    try:
        domain.check_estimator(recipe)
        domain.check_grid(recipe)
    except ArgumentError as error:
        raise RecipeError(str(error)) from None
