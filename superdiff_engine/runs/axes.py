"""Axes of a grid: which parameters of a recipe can be varied, and values for them, also as people write them.

    axis = parse_axis("temperature=0,1,10")
    [with_value(recipe, axis.name, value) for value in axis.values]

What a recipe has is asked of it: a parameter of operators is there for those whose recipe has its field.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from ..domains import get_domain
from ..domains.checked import make_recipe
from ..errors import RecipeError
from ..recipes.document import Recipe
from ..recipes.operators import OPERATORS, all_parameters
from ..recipes.parameters import Parameter as OperatorParameter
from ..recipes.parameters import PerExpert, Varied

MOST_VALUES = 12

#: A recipe as a dictionary, as its JSON.
Document = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """What an axis can vary.

    Attributes:
        title: for people.
        unit: of its values, "" for none.
        suggested: values to begin with, as a user would write them.
        get: its value in a recipe's document.
        put: writes a value into a recipe's document.
        field: of operators, where it is theirs; "" where every recipe has the parameter.
        needless: why it makes no difference in a recipe that has it, in half a sentence, or "".
        whole: whether its values are whole numbers.
    """

    title: str
    unit: str
    suggested: str
    get: Callable[[Document], float]
    put: Callable[[Document, float], None]
    field: str = ""
    needless: Callable[[Recipe], str] = lambda recipe: ""
    whole: bool = False

    @property
    def label(self) -> str:
        """The title with the unit, for an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def value(self, recipe: Recipe) -> float:
        """What it is in a recipe that has it."""
        return self.get(recipe.model_dump())


def _alone(recipe: Recipe) -> str:
    return "one expert alone has no others to be preferred to" if len(recipe.experts) < 2 else ""


def _no_pair(recipe: Recipe) -> str:
    count = len(recipe.experts)
    return f"it leaves the rest to one other expert, and there are {count} experts" if count != 2 else ""


def _unguided(recipe: Recipe) -> str:
    domain = get_domain(recipe.domain)
    return "" if domain.guided else f"only prompts are guided, and {domain.title} has none"


def _uncorrected(recipe: Recipe) -> str:
    return "" if recipe.correction is not None else "the recipe has no correction"


def _of_operators() -> dict[str, Parameter]:
    """What the operators say that a grid can vary."""
    return {told.name: _of_operator(told, told.varied) for _, told in all_parameters() if told.varied is not None}


def _of_operator(told: OperatorParameter, axis: Varied) -> Parameter:
    field = told.field

    def each(document: Document) -> list[float]:
        return document["operator"][field] or [0.0] * len(document["experts"])

    def first(document: Document) -> float:
        return each(document)[0]

    def put_first(document: Document, value: float) -> None:
        document["operator"][field] = [value, *each(document)[1:]]

    def put_share(document: Document, value: float) -> None:
        document["operator"][field] = [value, 1 - value]

    if not isinstance(told, PerExpert):
        return Parameter(
            axis.title,
            axis.unit,
            axis.suggested,
            lambda document: document["operator"][field],
            lambda document, value: document["operator"].update({field: value}),
            field=field,
        )
    put, needless = (put_share, _no_pair) if told.shares else (put_first, _alone)
    return Parameter(axis.title, axis.unit, axis.suggested, first, put, field=field, needless=needless)


#: By the names that axes have in text, in the order in which they are offered.
PARAMETERS: dict[str, Parameter] = {
    **_of_operators(),
    "guidance": Parameter(
        "guidance w",
        "",
        "1, 4, 8",
        lambda document: (document["guidance"] or {"weight": 1.0})["weight"],
        lambda document, value: document.update(guidance=(document["guidance"] or {}) | {"weight": value}),
        needless=_unguided,
    ),
    "particles": Parameter(
        "particles a group",
        "",
        "2, 4, 8",
        lambda document: document["correction"]["particles"] or document["batch"],
        lambda document, value: document["correction"].update(particles=value),
        needless=_uncorrected,
        whole=True,
    ),
    "threshold": Parameter(
        "threshold of resampling",
        "share of the particles",
        "0, 0.5, 1",
        lambda document: document["correction"]["threshold"],
        lambda document, value: document["correction"].update(threshold=value),
        needless=_uncorrected,
    ),
    "steps": Parameter(
        "steps",
        "",
        "10, 20, 50",
        lambda document: document["levels"]["steps"],
        lambda document, value: document["levels"].update(steps=value),
        whole=True,
    ),
    "seed": Parameter(
        "seed",
        "",
        "0:4",
        lambda document: document["seed"],
        lambda document, value: document.update(seed=value),
        whole=True,
    ),
}


class Axis(BaseModel):
    """A parameter's name (see `PARAMETERS`) and the 1 to 12 different values that it takes."""

    # Strict, and integers kept as such: a seed of 18 digits is no float.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, strict=True)

    name: str
    values: list[int | float]

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PARAMETERS:
            raise ValueError(f"there is no parameter '{name}' to vary, there are {', '.join(PARAMETERS)}")
        return name

    @field_validator("values")
    @classmethod
    def _some(cls, values: list[int | float]) -> list[int | float]:
        if not 1 <= len(values) <= MOST_VALUES:
            raise ValueError(f"an axis takes 1 to {MOST_VALUES} values, got {len(values)}")
        if len(set(values)) < len(values):
            raise ValueError("a value stands in it twice")
        return values

    @property
    def label(self) -> str:
        """What the axis is called in a picture."""
        return PARAMETERS[self.name].label

    @property
    def texts(self) -> list[str]:
        """The values as written along the axis."""
        return [number_text(value) for value in self.values]


def number_text(value: float) -> str:
    """A value as it is written along an axis: whole numbers with all digits, others with six."""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def make_axis(name: str, values: list[int | float]) -> Axis:
    """An axis, or RecipeError with one sentence that says what is wrong with it."""
    try:
        axis = Axis(name=name, values=values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise RecipeError(f"The axis '{name}' is wrong: {message[0].lower() + message[1:]}.") from None
    if PARAMETERS[name].whole:
        for value in values:
            if value != int(value):
                raise RecipeError(f"The axis '{name}' takes whole numbers only, not {value:g}.")
        axis = Axis(name=name, values=[int(value) for value in values])
    return axis


def parse_axis(text: str) -> Axis:
    """An axis from "temperature=0,1,10" or "seed=0:4"; raises RecipeError."""
    name, equals, values = text.partition("=")
    if not equals:
        raise RecipeError(f"'{text}' is no axis; write a parameter and its values, such as temperature=0,1,10.")
    return make_axis(name.strip(), parse_values(values))


def parse_values(text: str) -> list[int | float]:
    """Numbers from text: "0, 1, 10", or whole numbers as Python's range, "0:4" for 0, 1, 2, 3 ("10:50:10" with a step).

    Raises:
        RecipeError: with one sentence.
    """
    values: list[int | float] = []
    for part in text.split(","):
        values += _range(part) if ":" in part else [_value(part)]
    if len(values) > MOST_VALUES:
        raise RecipeError(f"An axis takes 1 to {MOST_VALUES} values, '{text.strip()}' has {len(values)}.")
    return values


def _range(part: str) -> range:
    try:
        numbers = range(*(int(end) for end in part.split(":")))
        if len(numbers):
            return numbers if len(numbers) <= MOST_VALUES else numbers[: MOST_VALUES + 1]
    except (ValueError, TypeError, OverflowError):
        pass
    raise RecipeError(f"'{part.strip()}' is no range; write whole numbers such as 0:4, which is 0, 1, 2, 3.")


def _value(part: str) -> int | float:
    for kind in (int, float):
        try:
            number = kind(part)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    raise RecipeError(f"'{part.strip()}' is no number; write values such as 0, 1, 10 or 0:4.")


def varied(recipe: Recipe) -> list[str]:
    """The names of the parameters that make a difference in this recipe."""
    return [name for name in PARAMETERS if not _obstacle(name, recipe)]


def with_value(recipe: Recipe, name: str, value: float) -> Recipe:
    """The recipe with one parameter changed.

    Raises:
        RecipeError: if the recipe has no such parameter, or the value is out of its bounds.
    """
    obstacle = _obstacle(name, recipe)
    if obstacle:
        raise RecipeError(f"The axis '{name}' does not fit this recipe: {obstacle}.")
    document = recipe.model_dump()
    PARAMETERS[name].put(document, value)
    return make_recipe(document)


def _obstacle(name: str, recipe: Recipe) -> str:
    parameter, operator = PARAMETERS[name], recipe.operator
    if parameter.field and parameter.field not in type(operator).model_fields:
        return f"its operator is '{operator.name}', only {_operators_with(parameter.field)} has a {name}"
    return parameter.needless(recipe)


def _operators_with(field: str) -> str:
    """The operators whose recipes have this field: "'or' or 'and'"."""
    return " or ".join(f"'{name}'" for name, operator in OPERATORS.items() if field in operator.model_fields)
