"""The form's fields that hold one value of a recipe each: the key of the widget, its place in the recipe, its bounds.

What experts have, and the parameters of operators (`parameters`), have keys of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from superdiff_engine.recipes.bounds import bounds_of
from superdiff_engine.recipes.document import Recipe


@dataclass(frozen=True)
class Field:
    """A widget's key, the place of its value in a recipe, and what a number there is called (with its article)."""

    key: str
    place: tuple[str, ...]
    noun: str = ""

    def of(self, recipe: Recipe) -> Any:
        """Its value in a recipe that has all parts on the way to it."""
        value: Any = recipe
        for name in self.place:
            value = getattr(value, name)
        return value


SAMPLING = (
    Field("f.steps", ("levels", "steps"), "a number of steps"),
    Field("f.batch", ("batch",), "a number of samples"),
    Field("f.solver", ("solver",)),
    Field("f.noise_scale", ("noise_scale",), "a noise scale"),
    Field("f.estimator", ("estimator",)),
    Field("f.highest", ("levels", "highest"), "a highest level"),
    Field("f.lowest", ("levels", "lowest"), "a lowest level"),
    Field("f.spacing", ("levels", "spacing")),
    Field("f.rho", ("levels", "rho"), "a rho"),
    Field("f.device", ("device",)),
    Field("f.dtype", ("dtype",)),
    Field("f.draws", ("draws",)),
    Field("f.cuda_graphs", ("cuda_graphs",)),
)
GUIDANCE = (
    Field("f.guidance", ("guidance", "weight"), "a guidance"),
    Field("f.guide_highest", ("guidance", "highest"), "a highest level of guidance"),
    Field("f.guide_lowest", ("guidance", "lowest"), "a lowest level of guidance"),
)
CORRECTION = (
    Field("f.particles", ("correction", "particles")),
    Field("f.threshold", ("correction", "threshold"), "a threshold of resampling"),
    Field("f.correct_highest", ("correction", "highest"), "a highest level of resampling"),
    Field("f.correct_lowest", ("correction", "lowest"), "a lowest level of resampling"),
)
PIPELINE = (
    Field("f.height", ("pipeline", "height"), "a height"),
    Field("f.width", ("pipeline", "width"), "a width"),
)

#: All of them.
EVERY = (*SAMPLING, *GUIDANCE, *CORRECTION, *PIPELINE)

_BOUNDS = {field.key: bounds_of(Recipe, *field.place) for field in EVERY if field.noun}


def limits(key: str) -> dict[str, Any]:
    """The bounds of a field, as its widget takes them."""
    least, most = _BOUNDS[key]
    return {"min_value": least, "max_value": most}


def bounded() -> list[tuple[str, str, float, float]]:
    """(key, noun with its article, least, most) of every field of numbers."""
    return [(field.key, field.noun, *_BOUNDS[field.key]) for field in EVERY if field.noun]
