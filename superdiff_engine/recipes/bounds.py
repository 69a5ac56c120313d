"""The least and most that a recipe takes for a number, read from the fields of its document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo


def bounds_of(document: type[BaseModel], *place: str) -> tuple[float, float]:
    """(least, most) of the number at `place` of a document, or of each number in the list there.

    Whole where the number is whole; a bound that is not itself allowed ("greater than 0") is returned as it is.

    Raises:
        KeyError: where the document has no such place, or no bounds there.
    """
    field = document.model_fields[place[0]]
    parts = list(_parts(field.annotation))
    if len(place) > 1:
        (inner,) = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        return bounds_of(inner, *place[1:])
    number: Callable[[Any], float] = int if int in parts else float
    limits: dict[str, float] = {}
    for limit in [*field.metadata, *(one for part in parts if isinstance(part, FieldInfo) for one in part.metadata)]:
        match limit:
            case Ge(least) | Gt(least):
                limits["least"] = number(least)
            case Le(most) | Lt(most):
                limits["most"] = number(most)
    return limits["least"], limits["most"]


def _parts(annotation: Any) -> Iterator[Any]:
    """A type and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)
