"""Between the browser's sketch of experts and a recipe: widths are standard deviations there, variances here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from superdiff_engine.density import DEFAULT_ESTIMATOR
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import RecipeError
from superdiff_engine.recipes.bounds import bounds_of
from superdiff_engine.recipes.document import DRAWN, MOST_EXPERTS, Mixture, Recipe
from superdiff_engine.recipes.operators import OPERATORS, OperatorRecipe
from superdiff_engine.recipes.parameters import Chosen, Composition, Number, Parameter, PerExpert
from superdiff_engine.solvers import SOLVERS

#: The most that is sampled between two movements of a hand.
MOST_SAMPLES, MOST_STEPS = 2000, 300
#: Modes that a drawn area is fitted with at most.
MOST_FITTED = 8


def recipe_of(sketch: Mapping[str, Any], domain: str, base: Recipe | None = None) -> Recipe:
    """The recipe that a sketch says; raises RecipeError with one sentence.

    Args:
        sketch: as static/playground.js describes it.
        domain: that is played with.
        base: what a sketch does not say is as it is here, as far as it fits: the levels' ends and spacing, the scale of
            the noise, the estimator; None for the defaults.
    """
    try:
        operator = dict(sketch["operator"])
        document = {
            "domain": domain,
            "experts": [{"model": DRAWN, "mixture": _mixture(expert["modes"])} for expert in sketch["experts"]],
            "operator": {name: value for name, value in operator.items() if value is not None},
            "levels": ({} if base is None else base.levels.model_dump()) | {"steps": sketch["steps"]},
            "solver": sketch["solver"],
            **_following(sketch["solver"], bool(sketch["corrected"]), domain, base),
            "batch": sketch["samples"],
            "seed": sketch["seed"],
            "correction": {} if sketch["corrected"] else None,
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise RecipeError("This sketch cannot be read; reload the page.") from None
    recipe = make_recipe(document)
    if recipe.batch > MOST_SAMPLES or recipe.levels.steps > MOST_STEPS:
        raise RecipeError(
            f"The playground takes up to {MOST_SAMPLES} samples and {MOST_STEPS} steps; open larger runs in Compose."
        )
    return recipe


def _following(solver: str, corrected: bool, domain: str, base: Recipe | None) -> dict[str, Any]:
    """The scale of the noise and the estimator of `base` where they fit; else no scale, and the usual estimator or the
    best that fits.
    """
    scale, wanted = (1.0, DEFAULT_ESTIMATOR) if base is None else (base.noise_scale, base.estimator)
    if solver not in SOLVERS:
        return {"estimator": wanted}
    if corrected or not SOLVERS[solver].allows(scale):
        scale = 1.0
    fitting = get_domain(domain).estimators_for(solver, scale, None)
    found = next((name for name in (wanted, DEFAULT_ESTIMATOR, *fitting) if name in fitting), wanted)
    return {"noise_scale": scale, "estimator": found}


def _mixture(modes: list[dict[str, float]]) -> dict[str, Any]:
    return {
        "means": [[round(mode["x"], 4), round(mode["y"], 4)] for mode in modes],
        "variances": [round(mode["width"] ** 2, 8) for mode in modes],
        "masses": [round(mode["mass"], 6) for mode in modes],
    }


def sketch_of(recipe: Recipe) -> dict[str, Any]:
    """The sketch of a recipe whose experts are all drawn."""
    return {
        "experts": [{"modes": modes_of(expert.mixture)} for expert in recipe.experts if expert.mixture],
        "operator": recipe.operator.model_dump(),
        "steps": min(recipe.levels.steps, MOST_STEPS),
        "samples": min(recipe.batch, MOST_SAMPLES),
        "seed": recipe.seed,
        "solver": recipe.solver,
        "corrected": recipe.correction is not None,
    }


def modes_of(mixture: Mixture) -> list[dict[str, float]]:
    """The modes of a mixture as the browser holds them."""
    masses = mixture.masses or [1.0] * len(mixture.means)
    return [
        {"x": mean[0], "y": mean[1], "width": math.sqrt(variance), "mass": mass}
        for mean, variance, mass in zip(mixture.means, mixture.variances, masses, strict=True)
    ]


def offered() -> dict[str, Any]:
    """What there is to choose from: operators with their parameters, solvers, and the bounds of numbers."""
    coordinate, width = 10.0, bounds_of(Mixture, "variances")
    return {
        "operators": [_operator(operator) for operator in OPERATORS.values()],
        "solvers": [{"name": name, "title": solver.title, "noisy": solver.noisy} for name, solver in SOLVERS.items()],
        "most": {
            "experts": MOST_EXPERTS,
            "modes": 64,
            "samples": MOST_SAMPLES,
            "steps": MOST_STEPS,
            "coordinate": coordinate,
            "width": [math.sqrt(width[0]), math.sqrt(width[1])],
            "mass": [1e-6, 1e6],
        },
    }


def _operator(operator: type[OperatorRecipe]) -> dict[str, Any]:
    return {
        "name": operator.model_fields["name"].default,
        "title": operator.title,
        "line": operator.line,
        "target": not operator.no_target,
        "parameters": [_parameter(operator, parameter) for parameter in operator.parameters],
    }


def _parameter(operator: type[OperatorRecipe], parameter: Parameter) -> dict[str, Any]:
    found: dict[str, Any] = {"field": parameter.field, "title": parameter.title, "help": parameter.help}
    match parameter:
        case Number():
            least, most = bounds_of(operator, parameter.field)
            default = operator.model_fields[parameter.field].default
            return found | {"kind": "number", "least": least, "most": most, "step": parameter.step, "start": default}
        case PerExpert():
            least, most = bounds_of(operator, parameter.field)
            title = f"{parameter.noun.capitalize()} of expert"
            about = {"kind": "each", "least": least, "most": most, "step": parameter.step, "shares": parameter.shares}
            return found | about | {"title": title, "help": parameter.meaning or parameter.help}
        case Chosen():
            return found | {"kind": "expert", "start": 0}
        case Composition():
            return found | {"kind": "text", "start": parameter.start(2)}
    raise TypeError(f"The playground has no field for a parameter of the class {type(parameter).__name__}.")
