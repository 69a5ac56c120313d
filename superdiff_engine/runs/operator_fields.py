"""The fields of operators that a grid can vary, as the operators say it themselves (`recipes.parameters.Varied`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..recipes.document import MOST_EXPERTS, Recipe
from ..recipes.operators import OPERATORS, OperatorRecipe, all_parameters
from ..recipes.parameters import Chosen, Composition, PerExpert, Varied
from ..recipes.parameters import Parameter as OperatorParameter
from .parameter import Document, Parameter, always
from .values import Kind, Numbers, Texts, Value


def operator_of(document: Document) -> OperatorRecipe:
    """The operator of a recipe's document."""
    operator: Document = document["operator"]
    return OPERATORS[operator["name"]].model_validate(operator)


def put_operator(document: Document, name: Value) -> None:
    """Another operator, with what it shares with the one that is there; without a correction where it has no target."""
    before, kind = operator_of(document), OPERATORS[str(name)]
    if type(before) is not kind:
        document["operator"] = kind.like(before, len(document["experts"])).model_dump()
    if kind.no_target:
        document["correction"] = None


def of_operators() -> dict[str, Parameter]:
    """What the operators say that a grid can vary."""
    found: dict[str, Parameter] = {}
    for owner, told in all_parameters():
        if told.varied is not None:
            default = owner.model_fields[told.field].default if told.detail else None
            found |= _of_operator(told, told.varied, default)
    return found


def _operators_with(field: str) -> list[str]:
    """The operators whose recipes have this field."""
    return [name for name, operator in OPERATORS.items() if field in operator.model_fields]


def _foreign(told: OperatorParameter) -> Callable[[Document], str]:
    def obstacle(document: Document) -> str:
        if told.field in document["operator"]:
            return ""
        owners = " or ".join(f"'{name}'" for name in _operators_with(told.field))
        return f"its operator is '{document['operator']['name']}', only {owners} has a {told.name}"

    return obstacle


def _of_operator(told: OperatorParameter, axis: Varied, default: Value | None) -> dict[str, Parameter]:
    where, foreign = f"operator.{told.field}", _foreign(told)
    common: Document = {"unit": axis.unit, "stated": True, "usual": default}

    def plain(kind: Kind, shift: int = 0) -> Parameter:
        def get(document: Document) -> Value:
            value: Value = document["operator"][told.field]
            return value + shift if isinstance(value, int) else value

        def put(document: Document, value: Value) -> None:
            document["operator"][told.field] = value - shift if isinstance(value, int) else value

        return Parameter(
            title=axis.title,
            where=where,
            kind=kind,
            get=get,
            put=put,
            suggest=always(*kind.read(axis.suggested)),
            obstacle=foreign,
            **common,
        )

    match told:
        case PerExpert():
            return {
                numbered(told.name, place): _of_expert(told, axis, place, foreign, common)
                for place in range(MOST_EXPERTS)
            }
        case Composition():
            return {told.name: _formula(told, axis)}
        case Chosen():
            return {told.name: plain(Numbers(whole=True), shift=1)}
        case _:
            return {told.name: plain(Numbers())}


def numbered(name: str, place: int) -> str:
    """The name of an operator's parameter of expert `place` (0 is the first, and goes without a number)."""
    return name if place == 0 else f"{name} {place + 1}"


def _of_expert(
    told: PerExpert, axis: Varied, place: int, foreign: Callable[[Document], str], common: Document
) -> Parameter:
    kind = Numbers()

    def each(document: Document) -> list[float]:
        count = len(document["experts"])
        values: list[float] = document["operator"][told.field] or [told.first(count)] * count
        return values

    def put(document: Document, value: Value) -> None:
        before = each(document)
        after: list[Any] = [*before[:place], value, *before[place + 1 :]]
        if told.shares:
            after = _shared(before, place, float(value))
        document["operator"][told.field] = after

    def obstacle(document: Document) -> str:
        count = len(document["experts"])
        if foreign(document):
            return foreign(document)
        if count < 2:
            return "one expert alone has no others to be preferred to"
        return "" if place < count else f"the recipe has {count} experts"

    title = axis.title.format(place + 1)
    return Parameter(
        title=title,
        where=f"operator.{told.field}.{place + 1}",
        kind=kind,
        get=lambda document: each(document)[place],
        put=put,
        suggest=always(*kind.read(axis.suggested)),
        obstacle=obstacle,
        **(common | {"usual": None if told.shares else 0.0}),
    )


def _shared(shares: Sequence[float], place: int, value: float) -> list[float]:
    """Shares that sum to 1, one of them `value`; the others keep their proportions."""
    others = [share for other, share in enumerate(shares) if other != place]
    total, rest = sum(others), 1 - value
    if len(others) == 1:
        scaled = [rest]
    elif total:
        scaled = [share * rest / total for share in others]
    else:
        scaled = [rest / len(others)] * len(others)
    return [*scaled[:place], value, *scaled[place:]]


def _formula(told: Composition, axis: Varied) -> Parameter:
    """The text of a formula; an operator that has none becomes the one that has."""
    kind = Texts()

    def get(document: Document) -> Value:
        text: str = document["operator"].get(told.field, "")
        return text

    def put(document: Document, value: Value) -> None:
        if told.field not in document["operator"]:
            (owner, *_) = _operators_with(told.field)
            put_operator(document, owner)
        document["operator"][told.field] = value

    def suggest(recipe: Recipe) -> Sequence[Value]:
        return [*recipe.operator.composed, *kind.read(axis.suggested)][:4] if len(recipe.experts) > 1 else ["1"]

    return Parameter(
        title=axis.title, where=f"operator.{told.field}", kind=kind, get=get, put=put, suggest=suggest, early=True
    )
