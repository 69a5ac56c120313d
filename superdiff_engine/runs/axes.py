"""Axes of a grid: a parameter of a recipe and the values it takes, also as people write them.

    axis = parse_axis("temperature=0,1,10")
    [with_value(recipe, axis.name, value) for value in axis.values]

Numbers and names stand between commas ("operator=or,and"), whole numbers also as Python's range ("seed=0:4"). Texts
stand between bars, since commas belong to them ("prompt 1=a lion|a cat, asleep"). What can be varied is in `fields`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from ..domains.checked import make_recipe
from ..errors import RecipeError, quoted
from ..recipes.document import Recipe
from . import fields
from .fields import Document, Parameter
from .values import MOST_VALUES, Value

_NUMBERED = re.compile(r"(.+?)(?: of expert)? ([1-9][0-9]*)")


def parameter(name: str) -> Parameter:
    """The parameter of this name; raises RecipeError where there is none."""
    if name not in fields.PARAMETERS:
        raise RecipeError(f"There is no parameter '{quoted(name)}' to vary, there are {', '.join(_names())}.")
    return fields.PARAMETERS[name]


def _names() -> list[str]:
    """All names, those that go by experts once."""
    return list(dict.fromkeys(re.sub(r" [1-9][0-9]*$", " N", name) for name in fields.PARAMETERS))


def usual_name(text: str) -> str:
    """The name in `PARAMETERS` that a text means: "bias of expert 1" is "bias", "bias of expert 2" is "bias 2"."""
    name = " ".join(text.split())
    numbered = _NUMBERED.fullmatch(name)
    if numbered is None:
        return name
    plain = f"{numbered[1]} {numbered[2]}"
    return numbered[1] if numbered[2] == "1" and plain not in fields.PARAMETERS else plain


class Axis(BaseModel):
    """A parameter's name (see `fields.PARAMETERS`) and the 1 to 12 different values that it takes."""

    # Strict, and integers kept as such: a seed of 18 digits is no float.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, strict=True)

    name: str
    values: list[Value]

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            parameter(name)
        except RecipeError as error:
            raise ValueError(str(error).removesuffix(".")) from None
        return name

    @field_validator("values")
    @classmethod
    def _some(cls, values: list[Value], info: ValidationInfo) -> list[Value]:
        if not 1 <= len(values) <= MOST_VALUES:
            raise ValueError(f"an axis takes 1 to {MOST_VALUES} values, got {len(values)}")
        if "name" in info.data:
            kind = parameter(info.data["name"]).kind
            try:
                values = [kind.check(value) for value in values]
            except ValueError as error:
                raise ValueError(f"it takes {error}") from None
        if len(set(values)) < len(values):
            raise ValueError("a value stands in it twice")
        return values

    @property
    def label(self) -> str:
        """What the axis is called in a picture."""
        return parameter(self.name).label

    @property
    def texts(self) -> list[str]:
        """The values as written along the axis."""
        return [parameter(self.name).kind.label(value) for value in self.values]


def make_axis(name: str, values: list[Value]) -> Axis:
    """An axis, or RecipeError with one sentence that says what is wrong with it."""
    try:
        return Axis(name=usual_name(name), values=values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise RecipeError(f"The axis '{quoted(name)}' is wrong: {message[0].lower() + message[1:]}.") from None


def parse_axis(text: str) -> Axis:
    """An axis from "temperature=0,1,10", "seed=0:4", "operator=or,and", "prompt 1=a lion|a cat"; raises RecipeError."""
    name, equals, values = text.partition("=")
    if not equals:
        raise RecipeError(f"'{quoted(text)}' is no axis; write a parameter and its values, such as temperature=0,1,10.")
    name = usual_name(name)
    return make_axis(name, parameter(name).kind.read(values))


def varied(recipe: Recipe) -> list[str]:
    """The names of the parameters that make a difference in this recipe."""
    document = recipe.model_dump()
    return [name for name, one in fields.PARAMETERS.items() if not one.obstacle(document)]


def with_value(recipe: Recipe, name: str, value: Value) -> Recipe:
    """The recipe with one parameter changed.

    Raises:
        RecipeError: if the recipe has no such parameter, or the value does not fit it; FieldError if it fits none.
    """
    return with_values(recipe, {name: value})


def with_values(recipe: Recipe, values: Mapping[str, Value]) -> Recipe:
    """The recipe with several parameters changed, checked once all of them are; raises as `with_value`.

    What others depend on is set first: an operator is there before its temperature is.
    """
    return make_recipe(changed_document(recipe, values))


def changed_document(recipe: Recipe, values: Mapping[str, Value]) -> Document:
    """The document of `with_values`, before it is checked."""
    document = recipe.model_dump()
    for name in _in_order(values):
        obstacle = parameter(name).obstacle(document)
        if obstacle:
            raise RecipeError(f"The axis '{name}' does not fit this recipe: {obstacle}.")
        parameter(name).put(document, values[name])
    for name, value in values.items():
        if parameter(name).get(document) != value:
            raise RecipeError(f"The axes {' and '.join(map(repr, values))} do not go together: one undoes the other.")
    return document


def _in_order(names: Iterable[str]) -> list[str]:
    order = list(fields.PARAMETERS)
    return sorted(names, key=lambda name: (not parameter(name).early, order.index(name)))
