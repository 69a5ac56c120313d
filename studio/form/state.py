"""The recipe form's memory: widgets' values in the session under "f.*", and the way between them and a recipe.

Experts come and go, so each has a number of its own (`Slot`), and its widgets' keys carry that number.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from typing import Any

import pandas as pd
import streamlit as st

from superdiff_engine.domains import Domain, get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import RecipeError
from superdiff_engine.noise import LOWEST_LEVEL
from superdiff_engine.recipes.document import MOST_EXPERTS, Expert, GuidanceRecipe, PipelineRecipe, Recipe
from superdiff_engine.recipes.operators import SingleRecipe
from superdiff_engine.solvers import SOLVERS

from ..words import SAVINGS

#: What a new mixture of one's own starts as.
NEW_MODES = {"x": [-1.5, 1.5], "y": [0.0, 0.0], "variance": [0.16, 0.16], "mass": [1.0, 1.0]}

#: The lowest level or mass that is more than nothing.
ABOVE_ZERO = math.ulp(0.0)
#: What the fields of numbers are called and take, by their keys (those of experts without the number of the slot).
LIMITS: dict[str, tuple[str, float, float]] = {
    "f.temperature": ("a temperature", 0.0, 1e6),
    "f.ridge": ("a ridge", 0.0, 1e6),
    "f.holds": ("a level that AND holds down to", 0.0, 1e6),
    "f.bias": ("a bias", -1e4, 1e4),
    "f.weight": ("a weight", -100.0, 100.0),
    "f.steps": ("a number of steps", 1, 10_000),
    "f.batch": ("a number of samples", 1, 16_384),
    "f.noise_scale": ("a noise scale", 0.1, 1.0),
    "f.highest": ("a highest level", LOWEST_LEVEL, 1e6),
    "f.lowest": ("a lowest level", LOWEST_LEVEL, 1e6),
    "f.rho": ("a rho", 1.0, 100.0),
    "f.guidance": ("a guidance", 0.0, 100.0),
    "f.guide_highest": ("a highest level of guidance", 0.0, 1e6),
    "f.guide_lowest": ("a lowest level of guidance", 0.0, 1e6),
    "f.height": ("a height", 8, 4096),
    "f.width": ("a width", 8, 4096),
}

#: Seeds that are rolled stay short enough to be read out.
_LARGEST_ROLL = 10**6


def state() -> Any:
    """The session's state; a function so that what is the form's is easy to find."""
    return st.session_state


def ensure() -> None:
    """Open with the first example of the first domain, once a session."""
    if "experts" not in state():
        open_domain("plane")


def open_domain(name: str) -> None:
    """Put a domain's first example into the form, or its first model where no example has all of its models."""
    domain = get_domain(name)
    for title, recipe in domain.examples().items():
        load(recipe, example=title)
        return
    there = domain.models()
    prompt = "" if domain.prompted else None
    load(Recipe(domain=domain.name, experts=[Expert(model=there[0].id, prompt=prompt)], operator=SingleRecipe(index=0)))


def load(recipe: Recipe, example: str | None = None, keep_seed: bool = False) -> None:
    """Put a recipe into the form. Call it before the form's widgets are drawn, or in a callback.

    Args:
        recipe: to put in.
        example: its title, if it is one of the examples.
        keep_seed: leave the form's own seed as it is.

    Raises:
        RecipeError: one sentence, when the form cannot show the recipe as it is; the form stays as it was then.
    """
    keep = state()
    values = _values(recipe, int(keep.get("slots", 0)))
    problem = unshown(recipe, values)
    if problem:
        raise RecipeError(problem)
    if keep_seed:
        values["f.seed"] = keep.get("f.seed", "0")
    values |= {"f.example": example, "form-of": recipe.domain, "example-values": None}
    values["example-turn"] = keep.get("example-turn", 0) + 1
    for name, value in values.items():
        keep[name] = value
    keep.setdefault("f.lock", True)
    keep.setdefault("f.save", True)


def _values(recipe: Recipe, slots: int) -> dict[str, Any]:
    """What the form's widgets hold to show a recipe; `slots` experts were numbered before."""
    keep: dict[str, Any] = {"f.domain": recipe.domain, "experts": [], "slots": slots + len(recipe.experts)}
    for position, expert in enumerate(recipe.experts):
        slot = slots + position + 1
        keep["experts"].append(slot)
        keep[f"f.model.{slot}"] = expert.model
        keep[f"f.revision.{slot}"] = expert.revision and (expert.model, expert.revision)
        keep[f"f.prompt.{slot}"], keep[f"f.terms.{slot}"] = expert.prompt or "", terms_of(expert.prompt)
        bias = getattr(recipe.operator, "bias", None)
        weights = getattr(recipe.operator, "weights", None)
        keep[f"f.bias.{slot}"] = float(bias[position]) if bias else 0.0
        keep[f"f.weight.{slot}"] = float(weights[position]) if weights else 1 / len(recipe.experts)
        if expert.mixture is not None:
            mixture = expert.mixture
            keep[f"modes.{slot}"] = pd.DataFrame(
                {
                    "x": [float(mean[0]) for mean in mixture.means],
                    "y": [float(mean[1]) for mean in mixture.means],
                    "variance": [float(value) for value in mixture.variances],
                    "mass": [float(value) for value in mixture.masses or [1.0] * len(mixture.means)],
                }
            )
    guidance, pipeline = recipe.guidance or GuidanceRecipe(weight=1.0), recipe.pipeline or PipelineRecipe()
    keep["f.text_model"] = recipe.experts[0].model
    keep["f.guidance"], keep["f.negative"] = float(guidance.weight), guidance.negative_prompt
    keep["f.away"] = terms_of(guidance.negative_prompt)
    keep["f.guide_lowest"], keep["f.guide_highest"] = guidance.lowest, guidance.highest
    keep["f.height"], keep["f.width"] = pipeline.height, pipeline.width
    size = get_domain(recipe.domain).size
    keep["f.size"] = None if size is None else getattr(recipe, size.field)
    keep["f.savings"] = [name for name in SAVINGS if getattr(pipeline, name)]
    operator = recipe.operator
    keep["f.operator"] = operator.name
    keep["f.temperature"] = float(getattr(operator, "temperature", 1.0))
    keep["f.ridge"] = float(getattr(operator, "ridge", 1.0))
    keep["f.holds"] = float(getattr(operator, "lowest", 0.0))
    keep["f.single"] = keep["experts"][getattr(operator, "index", 0)]
    keep["f.steps"], keep["f.spacing"] = recipe.levels.steps, recipe.levels.spacing
    keep["f.highest"], keep["f.lowest"], keep["f.rho"] = recipe.levels.highest, recipe.levels.lowest, recipe.levels.rho
    keep["f.solver"], keep["f.estimator"] = recipe.solver, recipe.estimator
    keep["f.noise_scale"] = float(recipe.noise_scale)
    keep["f.batch"], keep["f.seed"] = recipe.batch, str(recipe.seed)
    keep["f.device"], keep["f.dtype"], keep["f.apart"] = recipe.device, recipe.dtype, recipe.per_component
    return keep


def unshown(recipe: Recipe, values: Any) -> str:
    """Why these values of widgets are not the recipe, in a sentence; empty where they are.

    What a widget bounds counts, and what the form settles by itself (an estimator that fits the solver).
    """
    for key, (title, least, most) in LIMITS.items():
        for name, value in values.items():
            if (name == key or name.startswith(f"{key}.")) and value is not None and not least <= value <= most:
                return _unshowable(f"{title} of {value:g}, and the form's field takes {least:g} to {most:g}")
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
    document = recipe.model_dump()
    own = get_domain(recipe.domain).own_models
    for expert in document["experts"]:
        if expert["mixture"] is not None and expert["mixture"]["masses"] is None:
            expert["mixture"]["masses"] = [1.0] * len(expert["mixture"]["means"])
        if own:
            expert["prompt"] = ", ".join(_parts(expert["prompt"]))
    if document["operator"].get("bias") is not None and not any(document["operator"]["bias"]):
        document["operator"]["bias"] = None
    if document["guidance"] is not None and own:
        document["guidance"]["negative_prompt"] = ", ".join(_parts(document["guidance"]["negative_prompt"]))
    if document["guidance"] is not None and document["guidance"]["weight"] == 1:
        document["guidance"] = None
    if recipe.pipeline == PipelineRecipe():
        document["pipeline"] = None
    return dict(_leaves(document, ""))


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{place}.{name}".strip("."))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value, start=1):
            yield from _leaves(inner, f"{place}.{number}")
    elif value is not None:
        yield place, value


def document(keep: Any = None) -> dict[str, Any]:
    """What the form says, as a recipe's dictionary (not yet validated); `keep` is the widgets' values, the session's if
    left out.
    """
    keep = state() if keep is None else keep
    slots = keep["experts"]
    domain = get_domain(keep["f.domain"])
    experts: list[dict[str, Any]] = []
    for slot in slots:
        expert: dict[str, Any] = {"model": keep.get(f"f.model.{slot}") or ""}
        if domain.own_models:
            expert["prompt"] = ", ".join(keep[f"f.terms.{slot}"])
        elif domain.prompted:
            expert = {"model": keep["f.text_model"] or "", "prompt": keep.get(f"f.prompt.{slot}") or ""}
        expert["revision"] = _revision(keep, slot, expert["model"])
        if expert["model"] == "custom":
            expert["mixture"] = _mixture(keep.get(f"modes.{slot}"))
        experts.append(expert)
    name = keep["f.operator"]
    operator: dict[str, Any] = {"name": name}
    if name in ("or", "and", "coin_flip"):
        biases = [keep[f"f.bias.{slot}"] for slot in slots]
        operator["bias"] = biases if any(biases) else None
    if name == "or":
        operator["temperature"] = keep["f.temperature"]
    if name == "and":
        operator["ridge"], operator["lowest"] = keep["f.ridge"], keep["f.holds"]
    if name == "fixed":
        operator["weights"] = [keep[f"f.weight.{slot}"] for slot in slots]
    if name == "single":
        operator["index"] = slots.index(keep["f.single"]) if keep["f.single"] in slots else 0
    extra = _prompting(domain, keep) if domain.prompted else {}
    if domain.size is not None:
        extra[domain.size.field] = keep["f.size"]
    return extra | {
        "domain": keep["f.domain"],
        "experts": experts,
        "operator": operator,
        "levels": {
            "steps": keep["f.steps"],
            "spacing": keep["f.spacing"],
            "highest": keep["f.highest"],
            "lowest": keep["f.lowest"],
            "rho": keep["f.rho"],
        },
        "solver": keep["f.solver"],
        "estimator": keep["f.estimator"],
        "noise_scale": noise_scale(keep),
        "batch": keep["f.batch"],
        "seed": keep["f.seed"].strip(),
        "device": keep["f.device"],
        "dtype": keep["f.dtype"],
        "per_component": keep["f.apart"] and len(domain.components) > 1 and name != "coin_flip",
    }


def terms_of(prompt: str | None) -> list[str]:
    """The parts of a prompt between its commas, each once."""
    return list(dict.fromkeys(_parts(prompt)))


def _parts(prompt: str | None) -> list[str]:
    return [part.strip() for part in (prompt or "").split(",") if part.strip()]


def _prompting(domain: Domain, keep: Any) -> dict[str, Any]:
    """Guidance and pipeline settings, where experts are prompts."""
    savings = dict.fromkeys(keep["f.savings"], True)
    size = {"height": keep["f.height"], "width": keep["f.width"]}
    negative = ", ".join(keep["f.away"]) if domain.own_models else keep["f.negative"] or ""
    guided = keep["f.guidance"] != 1 or negative
    guidance = {
        "weight": keep["f.guidance"],
        "negative_prompt": negative,
        "lowest": keep["f.guide_lowest"],
        "highest": keep["f.guide_highest"],
    }
    if domain.own_models:
        return {"guidance": guidance if guided else None}
    return {
        "guidance": guidance if guided else None,
        "pipeline": savings | size if savings or any(size.values()) else None,
    }


def recipe_now() -> Recipe:
    """The recipe that the form describes; raises RecipeError with one sentence."""
    return make_recipe(document())


def add_expert() -> None:
    """One more expert: the first model that is not in the list yet, or another prompt of the last one's."""
    keep = state()
    if len(keep["experts"]) >= MOST_EXPERTS:
        return
    domain = get_domain(keep["f.domain"])
    taken = {keep.get(f"f.model.{slot}") for slot in keep["experts"]}
    models = [info.id for info in domain.models()]
    if domain.own_models:
        models, taken = [keep[f"f.model.{keep['experts'][-1]}"]], set()
    slot = _new_slot()
    keep["experts"] = [*keep["experts"], slot]
    keep[f"f.model.{slot}"] = next((model for model in models if model not in taken), models[0] if models else "")
    if domain.prompted and not domain.own_models:  # another prompt of the same model, so of its revision
        keep[f"f.revision.{slot}"] = keep.get(f"f.revision.{keep['experts'][0]}")
    keep[f"f.prompt.{slot}"], keep[f"f.terms.{slot}"] = "", []
    keep[f"f.bias.{slot}"], keep[f"f.weight.{slot}"] = 0.0, 0.0


def remove_expert(slot: int) -> None:
    """Take an expert out of the list."""
    state()["experts"] = [other for other in state()["experts"] if other != slot]


def move_expert(slot: int, by: int) -> None:
    """Move an expert up (by = -1) or down (by = 1)."""
    slots = list(state()["experts"])
    place = slots.index(slot)
    target = place + by
    if 0 <= target < len(slots):
        slots[place], slots[target] = slots[target], slots[place]
        state()["experts"] = slots


def even_weights() -> None:
    """Set all fixed weights to one over the number of experts."""
    slots = state()["experts"]
    for slot in slots:
        state()[f"f.weight.{slot}"] = 1 / len(slots)


def roll_seed() -> None:
    """A new random seed."""
    state()["f.seed"] = str(secrets.randbelow(_LARGEST_ROLL))


def _revision(keep: Any, slot: int, model: str) -> str | None:
    """The revision that came with an expert's model; forgotten once another model is chosen."""
    known, revision = keep.get(f"f.revision.{slot}") or (model, None)
    if known != model:
        keep[f"f.revision.{slot}"] = revision = None
    return revision


def revisions() -> dict[str, str]:
    """The models of the form's experts that stand at a revision of a hub, with it."""
    return {expert["model"]: expert["revision"] for expert in document()["experts"] if expert["revision"]}


def forget_revisions() -> None:
    """Take the newest revision of every model."""
    for slot in state()["experts"]:
        state()[f"f.revision.{slot}"] = None


def noise_scale(keep: Any = None) -> float:
    """Of the noise; 1 for a solver that has none, whatever was chosen for another."""
    keep = state() if keep is None else keep
    return float(keep["f.noise_scale"]) if SOLVERS[keep["f.solver"]].noisy else 1.0


def estimators(keep: Any = None) -> list[str]:
    """Those that the domain allows with this solver, noise scale and size of samples."""
    keep = state() if keep is None else keep
    return get_domain(keep["f.domain"]).estimators_for(keep["f.solver"], noise_scale(keep), keep["f.size"])


def settle() -> None:
    """Keep the estimator and the precision if they fit, else take the first that do."""
    dtypes = get_domain(state()["f.domain"]).dtypes
    for field, fitting in (("f.estimator", estimators()), ("f.dtype", dtypes)):
        if state()[field] not in fitting:
            state()[field] = fitting[0]


def limits(key: str) -> dict[str, Any]:
    """The bounds of a field, as its widget takes them."""
    _, least, most = LIMITS[key]
    return {"min_value": least, "max_value": most}


def _new_slot() -> int:
    state()["slots"] = state().get("slots", 0) + 1
    return int(state()["slots"])


def _mixture(table: pd.DataFrame | None) -> dict[str, Any]:
    modes = (pd.DataFrame(NEW_MODES) if table is None else table).dropna(how="all")
    # A cell that is still empty while a row is being typed counts as its default.
    modes = modes.fillna({"x": 0.0, "y": 0.0, "variance": 0.16, "mass": 1.0})
    return {
        "means": modes[["x", "y"]].astype(float).values.tolist(),
        "variances": modes["variance"].astype(float).tolist(),
        "masses": modes["mass"].astype(float).tolist(),
    }
