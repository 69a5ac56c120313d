"""The parameters of operators as the form's widgets hold them: "f.NAME" for one, "f.NAME.SLOT" for one an expert.

Those that operators name alike share a widget, so that what was entered stays when another of them is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from superdiff_engine.recipes.bounds import bounds_of
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.recipes.operators import OPERATORS, OperatorRecipe, all_parameters
from superdiff_engine.recipes.parameters import Chosen, Composition, Number, Parameter, PerExpert


def key_of(parameter: Parameter, slot: int | None = None) -> str:
    """The key of a parameter's widget."""
    return f"f.{parameter.name}" if slot is None else f"f.{parameter.name}.{slot}"


def limits(operator: type[OperatorRecipe], parameter: Parameter) -> dict[str, Any]:
    """The bounds of an operator's numbers, as their widgets take them."""
    least, most = bounds_of(operator, parameter.field)
    return {"min_value": least, "max_value": most}


def bounded() -> Iterator[tuple[str, str, float, float]]:
    """(key without a slot, noun with its article, least, most) of every parameter that is a number or numbers."""
    for operator, parameter in all_parameters():
        if isinstance(parameter, Number | PerExpert):
            yield key_of(parameter), f"a {parameter.noun}", *bounds_of(operator, parameter.field)


def per_expert() -> Iterator[PerExpert]:
    """The parameters, of all operators, of which each expert has its own."""
    return (parameter for _, parameter in all_parameters() if isinstance(parameter, PerExpert))


def compositions() -> Iterator[Composition]:
    """The parameters, of all operators, that are formulas."""
    return (parameter for _, parameter in all_parameters() if isinstance(parameter, Composition))


def chosen_operator(values: Mapping[str, Any]) -> type[OperatorRecipe]:
    """The operator that is chosen."""
    return OPERATORS[values["f.operator"]]


def widget_values(recipe: Recipe, slots: Sequence[int]) -> dict[str, Any]:
    """What the widgets of all operators' parameters hold for a recipe, its experts in these slots."""
    values: dict[str, Any] = {}
    mine = {parameter.name: getattr(recipe.operator, parameter.field) for parameter in recipe.operator.parameters}
    for operator, parameter in all_parameters():
        value = mine.get(parameter.name)
        match parameter:
            case Number():
                default = operator.model_fields[parameter.field].default
                values[key_of(parameter)] = float(default if value is None else value)
            case PerExpert():
                for place, slot in enumerate(slots):
                    each = value[place] if value else parameter.first(len(slots))
                    values[key_of(parameter, slot)] = float(each)
            case Chosen():
                values[key_of(parameter)] = slots[value or 0]
            case Composition():
                values[key_of(parameter)] = value or parameter.start(len(slots))
    return values


def operator_document(values: Mapping[str, Any]) -> dict[str, Any]:
    """The operator that the widgets say, as a recipe's dictionary."""
    slots = values["experts"]
    document: dict[str, Any] = {"name": values["f.operator"]}
    for parameter in chosen_operator(values).parameters:
        match parameter:
            case PerExpert():
                each = [values[key_of(parameter, slot)] for slot in slots]
                document[parameter.field] = parameter.effective(each)
            case Chosen():
                chosen = values[key_of(parameter)]
                document[parameter.field] = slots.index(chosen) if chosen in slots else 0
            case _:
                document[parameter.field] = values[key_of(parameter)]
    return document
