"""From a recipe to the form's widgets, and whether these show it as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from superdiff_engine.domains import get_domain
from superdiff_engine.recipes.document import CorrectionRecipe, GuidanceRecipe, PipelineRecipe, Recipe
from superdiff_engine.recipes.parameters import PerExpert
from superdiff_engine.runs.wording import SAVINGS

from . import fields, parameters
from .mixture import table_of
from .to_recipe import ALL, Values, document, estimators


def widget_values(recipe: Recipe, slots: int) -> dict[str, Any]:
    """What the form's widgets hold to show a recipe; `slots` experts were numbered before."""
    count = len(recipe.experts)
    numbered = list(range(slots + 1, slots + 1 + count))
    values: dict[str, Any] = {"f.domain": recipe.domain, "experts": numbered, "slots": slots + count}
    for slot, expert in zip(numbered, recipe.experts, strict=True):
        values[f"f.model.{slot}"] = expert.model
        values[f"f.revision.{slot}"] = expert.revision and (expert.model, expert.revision)
        values[f"f.prompt.{slot}"], values[f"f.terms.{slot}"] = expert.prompt or "", terms_of(expert.prompt)
        if expert.mixture is not None:
            values[f"modes.{slot}"] = table_of(expert.mixture)
    values["f.text_model"] = recipe.experts[0].model
    values["f.operator"] = recipe.operator.name
    values |= parameters.widget_values(recipe, numbered)

    # What a recipe leaves out has the values that make no difference.
    guidance, pipeline = recipe.guidance or GuidanceRecipe(weight=1.0), recipe.pipeline or PipelineRecipe()
    correction = recipe.correction or CorrectionRecipe()
    whole = recipe.model_copy(update={"guidance": guidance, "correction": correction, "pipeline": pipeline})
    for field in fields.EVERY:
        values[field.key] = field.of(whole)
    values["f.corrected"], values["f.particles"] = recipe.correction is not None, correction.particles or ALL
    values["f.negative"], values["f.away"] = guidance.negative_prompt, terms_of(guidance.negative_prompt)
    values["f.savings"] = [name for name in SAVINGS if getattr(pipeline, name)]
    size = get_domain(recipe.domain).size
    values["f.size"] = None if size is None else getattr(recipe, size.field)
    values["f.seed"], values["f.apart"] = str(recipe.seed), recipe.per_component
    return values


def terms_of(prompt: str | None) -> list[str]:
    """The parts of a prompt between its commas, each once."""
    return list(dict.fromkeys(_parts(prompt)))


def unshown(recipe: Recipe, values: Values) -> str:
    """Why these values of widgets are not the recipe, in a sentence; empty where they are.

    What a widget bounds counts, and what the form settles by itself (an estimator that fits the solver).
    """
    for key, noun, least, most in (*parameters.bounded(), *fields.bounded()):
        for name, value in values.items():
            if (name == key or name.startswith(f"{key}.")) and value is not None and not least <= value <= most:
                return _unshowable(f"{noun} of {value:g}, and the form's field takes {least:g} to {most:g}")
    if values["f.estimator"] not in (fitting := estimators(values)):
        return _unshowable(f"the estimator '{values['f.estimator']}', where the form offers {', '.join(fitting)}")
    # What only the domain finds wrong (an empty prompt) is not the form's doing, and is said below it.
    asked, made = _meaning(recipe), _meaning(Recipe.model_validate(document(values)))
    for place in sorted({*asked, *made}):
        if asked.get(place) != made.get(place):
            return _unshowable(f"'{place}' as {asked.get(place)!r}, which the form would change to {made.get(place)!r}")
    return ""


def _unshowable(what: str) -> str:
    return (
        f"The form cannot show this recipe as it is: it has {what}. Run it with 'superdiff sample', or change it there."
    )


def _meaning(recipe: Recipe) -> dict[str, Any]:
    """All that a recipe says by its place in it, such as "levels.lowest"; what makes no difference is left out."""
    found = recipe.model_dump()
    wording = get_domain(recipe.domain).wording
    chosen = wording is not None and wording.chosen
    for expert in found["experts"]:
        if expert["mixture"] is not None and expert["mixture"]["masses"] is None:
            expert["mixture"]["masses"] = [1.0] * len(expert["mixture"]["means"])
        if chosen:
            expert["prompt"] = ", ".join(_parts(expert["prompt"]))
    for parameter in recipe.operator.parameters:
        if isinstance(parameter, PerExpert):
            found["operator"][parameter.field] = parameter.effective(found["operator"][parameter.field])
    if found["guidance"] is not None and chosen:
        found["guidance"]["negative_prompt"] = ", ".join(_parts(found["guidance"]["negative_prompt"]))
    if found["guidance"] is not None and found["guidance"]["weight"] == 1:
        found["guidance"] = None
    if recipe.pipeline == PipelineRecipe():
        found["pipeline"] = None
    return dict(_leaves(found, ""))


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{place}.{name}".strip("."))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value, start=1):
            yield from _leaves(inner, f"{place}.{number}")
    elif value is not None:
        yield place, value


def _parts(prompt: str | None) -> list[str]:
    return [part.strip() for part in (prompt or "").split(",") if part.strip()]
