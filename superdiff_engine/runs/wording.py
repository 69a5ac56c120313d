"""Recipes in words: what in a recipe is not its domain's default, all that it says, and how two of them differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..density import get_estimator
from ..domain import Domain
from ..domains import get_domain
from ..recipes.document import (
    DRAWN_ON,
    SPACINGS,
    CorrectionRecipe,
    Expert,
    GuidanceRecipe,
    Levels,
    Mixture,
    PipelineRecipe,
    Recipe,
)
from ..recipes.parameters import Chosen, Number, Parameter, PerExpert, short_number
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
#: What is said of a recipe without one.
NO_CORRECTION = "none"
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
    theirs = {} if usual is None else _facts(usual)
    mine = _facts(recipe).items()
    return _phrased({place: value for place, value in mine if value != theirs.get(place, _NOWHERE)}, recipe)


def phrases(recipe: Recipe, *places: str) -> dict[str, str]:
    """The values at these places of a recipe in words, as `differences` says them; what says nothing is left out."""
    facts = _facts(recipe)
    return _phrased({place: facts[place] for place in places if place in facts}, recipe)


def _phrased(facts: dict[str, Any], recipe: Recipe) -> dict[str, str]:
    said = {
        place: _WORDS.get(place, lambda value, recipe, place=place: f"{place} {value}")(value, recipe)
        for place, value in facts.items()
    }
    return {place: words for place, words in said.items() if words}


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
    "levels.spacing": lambda value, recipe: "Karras' levels" if value == "karras" else f"levels {SPACINGS[value]}",
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
    "cuda_graphs": lambda value, recipe: "CUDA graphs" if value else "no CUDA graphs",
    "draws": lambda value, recipe: f"random numbers {DRAWN_ON[value]}",
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


@dataclass(frozen=True)
class Said:
    """A field of a recipe in words: what it is called, its value with its unit, and whether that is so by itself."""

    name: str
    value: str
    usual: bool = False


@dataclass(frozen=True)
class Change:
    """A field in which one recipe differs from another; None where a recipe has no such field (an expert more, say).

    place: the field's place in the recipe, as `spelled` names it.
    """

    place: str
    name: str
    before: str | None
    after: str | None

    def words(self, most: int | None = None) -> str:
        """For instance "steps 50 → 100"; values of more than `most` letters are cut."""
        before, after = (None if value is None else shortened(value, most) for value in (self.before, self.after))
        if before is None:
            return f"with {self.name} {after}"
        if after is None:
            return f"without {self.name} {before}"
        # What was cut to the same letters differs behind them.
        return f"{self.name} changed" if before == after else f"{self.name} {before} → {after}"


def shortened(text: str, most: int | None) -> str:
    """A text, cut to so many letters; None: all of it."""
    return text if most is None or len(text) <= most else f"{text[: most - 1].rstrip()}…"


def spelled(recipe: Recipe) -> dict[str, Said]:
    """All that a recipe says, in words, by its place in it ("levels.steps", "experts.1.prompt": experts count from 1).

    What has no effect on the samples is left out, such as the rho of levels that are even in log s.
    """
    domain, solver = get_domain(recipe.domain), get_solver(recipe.solver)
    guidance, pipeline = recipe.guidance or GuidanceRecipe(weight=1.0), recipe.pipeline or PipelineRecipe()
    levels, correction = recipe.levels, recipe.correction
    found = {"domain": Said("domain", domain.title)}
    titles = {info.id: info.title for info in domain.models()}
    for number, expert in enumerate(recipe.experts, start=1):
        found |= _expert(number, expert, titles, domain)
    found |= _operator(recipe)
    found["levels.steps"] = Said("steps", str(levels.steps))
    found["batch"] = Said("samples", str(recipe.batch))
    found["seed"] = Said("seed", str(recipe.seed))
    found["solver"] = Said("solver", solver.title)
    if solver.noisy:
        found["noise_scale"] = Said("noise scale", short_number(recipe.noise_scale), recipe.noise_scale == 1)
    found["estimator"] = Said("log-density estimator", get_estimator(recipe.estimator).title)
    found["levels.highest"] = Said("highest level s", *_open(levels.highest, "the models' own"))
    found["levels.lowest"] = Said("lowest level s", *_open(levels.lowest, "the models' own"))
    found["levels.spacing"] = Said("spacing of levels", SPACINGS[levels.spacing])
    if levels.spacing == "karras":
        found["levels.rho"] = Said("rho", short_number(levels.rho), levels.rho == Levels().rho)
    if domain.guided:
        guided = guidance.weight != 1
        found["guidance.weight"] = Said("guidance w", short_number(guidance.weight) if guided else "1 (none)")
        if guided:
            away = _prompt(guidance.negative_prompt, domain)
            found["guidance.negative_prompt"] = Said("led away from", away or "nothing", not away)
            found["guidance.highest"] = Said("guidance up to level s", *_open(guidance.highest, "the highest"))
            found["guidance.lowest"] = Said("guidance from level s", *_open(guidance.lowest, "the lowest"))
    found["correction.particles"] = Said("correction", _correction(correction))
    if correction is not None:
        share, usual = correction.threshold, DEFAULT_CORRECTION.threshold
        found["correction.threshold"] = Said("resampled below", f"{100 * share:g} % of the particles", share == usual)
        found["correction.highest"] = Said("resampled from level s", *_open(correction.highest, "the highest"))
        found["correction.lowest"] = Said("resampled down to level s", *_open(correction.lowest, "the lowest"))
    if domain.pipelines:
        for side in ("height", "width"):
            value = getattr(pipeline, side)
            found[f"pipeline.{side}"] = Said(side, "the model's own" if value is None else f"{value} pixels")
        found |= {
            f"pipeline.{name}": Said(words, "yes" if getattr(pipeline, name) else "no")
            for name, words in SAVINGS.items()
        }
    if domain.size is not None:
        value = getattr(recipe, domain.size.field)
        found[domain.size.field] = Said(domain.size.field, domain.size.open if value is None else str(value))
    found["device"] = Said("device", recipe.device)
    found["dtype"] = Said("precision", recipe.dtype)
    found["draws"] = Said("random numbers", DRAWN_ON[recipe.draws])
    found["cuda_graphs"] = Said("CUDA graphs", "yes" if recipe.cuda_graphs else "no")
    if len(domain.components) > 1:
        found["per_component"] = Said("weights by component", "yes" if recipe.per_component else "no")
    return found


def changes(before: Recipe, after: Recipe) -> list[Change]:
    """Field by field, what changed from one recipe to another; empty where both ask for the same samples.

    A revision that one of them leaves open is no change: a run fills it in.
    """
    if before.domain != after.domain:
        titles = [get_domain(recipe.domain).title for recipe in (before, after)]
        return [Change("domain", "domain", *titles)]
    old, new = spelled(before), spelled(after)
    found: list[Change] = []
    for place in [*new, *(place for place in old if place not in new)]:
        group, _, field = place.rpartition(".")
        mine, theirs = old.get(place), new.get(place)
        if mine == theirs or (field == "revision" and (mine is None or theirs is None)):
            continue
        if mine is not None and theirs is not None and mine.usual and theirs.usual:
            continue  # no biases, of two experts or of three
        if mine is None or theirs is None:
            said = mine or theirs
            # Another operator, no guidance, no correction: said once, at the head of its fields.
            if said is not None and (mine is None or group.startswith("experts")) and not said.usual:
                found.append(Change(place, said.name, mine.value if mine else None, theirs.value if theirs else None))
        else:
            found.append(Change(place, mine.name, mine.value, theirs.value))
    return found


def _expert(number: int, expert: Expert, titles: dict[str, str], domain: Domain[Any, Any]) -> dict[str, Said]:
    found = {"model": Said(f"expert {number}", titles.get(expert.model, expert.model))}
    if expert.prompt is not None:
        found["prompt"] = Said(f"prompt {number}", _prompt(expert.prompt, domain) or "none")
    if expert.revision is not None:
        found["revision"] = Said(f"revision of expert {number}", expert.revision)
    if expert.mixture is not None:
        found["mixture"] = Said(f"modes of expert {number}", _modes(expert.mixture))
    return {f"experts.{number}.{field}": said for field, said in found.items()}


def _modes(mixture: Mixture) -> str:
    """Every mode of a mixture: its mean, its variance and its mass."""
    masses = mixture.masses or [1.0] * len(mixture.means)
    modes = [
        f"({', '.join(map(short_number, mean))}) variance {short_number(variance)} mass {short_number(mass)}"
        for mean, variance, mass in zip(mixture.means, mixture.variances, masses, strict=True)
    ]
    return f"{len(modes)}: {'; '.join(modes)}"


def _operator(recipe: Recipe) -> dict[str, Said]:
    operator = recipe.operator
    found = {"operator.name": Said("operator", operator.title)}
    by_field: dict[str, Parameter] = {parameter.field: parameter for parameter in operator.parameters}
    for field, described in type(operator).model_fields.items():
        parameter, value = by_field.get(field), getattr(operator, field)
        if field == "name":
            continue
        unit = "" if parameter is None or parameter.varied is None else parameter.varied.unit
        usual = parameter is not None and not parameter.always and value == described.default
        if isinstance(parameter, PerExpert):
            usual = parameter.effective(value) is None
            values = [0.0] * len(recipe.experts) if usual else value
            name, words = parameter.noun, parameter.between.join(map(short_number, values))
        elif isinstance(parameter, Number):
            name, words = parameter.noun, short_number(value)
        elif isinstance(parameter, Chosen):
            name, words = parameter.title, str(value + 1)
        else:
            name, words = field if parameter is None else parameter.title, str(value)
        found[f"operator.{field}"] = Said(_lower(name), f"{words} {unit}".rstrip(), usual)
    return found


def _correction(correction: CorrectionRecipe | None) -> str:
    if correction is None:
        return NO_CORRECTION
    return "all samples one group" if correction.particles is None else f"{correction.particles} particles a group"


def _open(value: float | None, left: str) -> tuple[str, bool]:
    return (left, True) if value is None else (short_number(value), False)


def _prompt(text: str, domain: Domain[Any, Any]) -> str:
    """A prompt in quotation marks, "" for an empty one; one of chosen terms has a space after each comma."""
    if domain.wording is not None and domain.wording.chosen:
        text = ", ".join(part.strip() for part in text.split(",") if part.strip())
    return f"'{text}'" if text else ""


def _lower(title: str) -> str:
    """A title in the middle of a sentence; what is written in capitals stays so."""
    return title if title[:2].isupper() else f"{title[:1].lower()}{title[1:]}"
