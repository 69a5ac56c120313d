"""What an axis of a grid varies: a field of a recipe, where it stands, what to try, and when it changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..recipes.document import CorrectionRecipe, GuidanceRecipe, PipelineRecipe, Recipe
from .values import Choice, Kind, Numbers, Value

#: A recipe as a dictionary, as its JSON.
Document = dict[str, Any]

#: A level or a size that is left to the models.
OWN = "own"
SWITCH = Choice({"off": "off", "on": "on"})


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What an axis can vary.

    Attributes:
        title: for people.
        where: it stands in a recipe, with dots; experts count from 1.
        kind: of its values.
        get: its value in a recipe's document.
        put: writes a value into a recipe's document.
        suggest: values to begin with.
        unit: of its values, "" for none.
        options: of names, those that a recipe can choose from, with their titles.
        obstacle: why a recipe has no such field, or why it makes no difference there, in half a sentence; or "".
        early: whether others depend on it, so that it is set before them.
        groups: whether it decides how many samples are a group of particles.
        stated: whether a grid's title says it where no axis does.
        usual: a value that the title does not say all the same; None for none.
    """

    title: str
    where: str
    kind: Kind
    get: Callable[[Document], Value]
    put: Callable[[Document, Value], None]
    suggest: Callable[[Recipe], Sequence[Value]]
    unit: str = ""
    options: Callable[[Recipe], Mapping[str, str]] = lambda recipe: {}
    obstacle: Callable[[Document], str] = lambda document: ""
    early: bool = False
    groups: bool = False
    stated: bool = False
    usual: Value | None = None

    @property
    def label(self) -> str:
        """The title with the unit, for an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def value(self, recipe: Recipe) -> Value:
        """What it is in a recipe that has it."""
        return self.get(recipe.model_dump())


def always(*values: Value) -> Callable[[Recipe], Sequence[Value]]:
    """The same values to begin with, whatever the recipe."""
    return lambda recipe: values


#: What a part of a recipe that may be left out begins with.
PARTS: dict[str, Document] = {
    "guidance": GuidanceRecipe(weight=1.0).model_dump(),
    "correction": CorrectionRecipe().model_dump(),
    "pipeline": PipelineRecipe().model_dump(),
}


def field_at(
    where: str, title: str, kind: Kind, suggest: Callable[[Recipe], Sequence[Value]], **told: Any
) -> Parameter:
    """The field at a place such as "seed" or "levels.steps"; one that is left open is its kind's word."""
    *outer, name = where.split(".")

    def home(document: Document) -> Document:
        return document if not outer else document[outer[0]] or dict(PARTS[outer[0]])

    def get(document: Document) -> Value:
        value: Value | None = home(document)[name]
        if isinstance(kind, Numbers) and value is None:
            return kind.word
        if kind is SWITCH:
            return "on" if value else "off"
        return value if value is not None else ""

    def put(document: Document, value: Value) -> None:
        held: Any = value == "on" if kind is SWITCH else value
        if isinstance(kind, Numbers) and isinstance(value, str):
            held = None
        inside = home(document) | {name: held}
        document.update({outer[0]: inside} if outer else inside)

    return Parameter(title=title, where=where, kind=kind, get=get, put=put, suggest=suggest, **told)
