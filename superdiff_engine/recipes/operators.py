"""Operators as recipes ask for them: how experts are composed, and with which numbers."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetPydanticSchema, model_validator
from pydantic_core import CoreSchema, core_schema

from .. import compose
from .strict import Strict

Bias = Annotated[float, Field(ge=-1e4, le=1e4)]


class OperatorRecipe(Strict):
    """An operator in a recipe, told apart by its `name`."""

    name: str

    def check(self, experts: int, per_component: bool) -> None:
        """Raise ValueError, in words for users, where it does not fit a recipe with so many experts."""

    @abstractmethod
    def build(self) -> compose.Operator:
        """The operator itself."""


class OrRecipe(OperatorRecipe):
    """kappa = softmax(temperature * log q + bias)."""

    name: Literal["or"] = "or"
    temperature: float = Field(1.0, ge=0, le=1e6)
    bias: list[Bias] | None = None

    def check(self, experts: int, per_component: bool) -> None:
        _check_length("bias", self.bias, experts)

    def build(self) -> compose.Operator:
        return compose.Or(self.temperature, self.bias)


class AndRecipe(OperatorRecipe):
    """Equal log-densities, up to the offsets in `bias`; `ridge` in nats, 0 for the paper's exact system; below
    the level `lowest` the weights are even.
    """

    name: Literal["and"] = "and"
    bias: list[Bias] | None = None
    ridge: float = Field(1.0, ge=0, le=1e6)
    lowest: float = Field(0.0, ge=0, le=1e6)

    def check(self, experts: int, per_component: bool) -> None:
        _check_length("bias", self.bias, experts)

    def build(self) -> compose.Operator:
        return compose.And(self.bias, self.ridge, self.lowest)


class AverageRecipe(OperatorRecipe):
    """Equal weights."""

    name: Literal["average"] = "average"

    def build(self) -> compose.Operator:
        return compose.Average()


class FixedRecipe(OperatorRecipe):
    """Weights given by the user; they sum to 1."""

    name: Literal["fixed"] = "fixed"
    weights: list[Annotated[float, Field(ge=-100, le=100)]]

    @model_validator(mode="after")
    def _sum(self) -> FixedRecipe:
        if not math.isclose(math.fsum(self.weights), 1.0, abs_tol=1e-6):
            raise ValueError(f"weights must sum to 1, these sum to {math.fsum(self.weights):.6g}")
        return self

    def check(self, experts: int, per_component: bool) -> None:
        _check_length("weights", self.weights, experts)

    def build(self) -> compose.Operator:
        return compose.Fixed(self.weights)


class SingleRecipe(OperatorRecipe):
    """One expert alone, by its position (0 is the first)."""

    name: Literal["single"] = "single"
    index: int = Field(0, ge=0)

    def check(self, experts: int, per_component: bool) -> None:
        if self.index >= experts:
            raise ValueError(f"index {self.index} names no expert, there are {experts} (0 is the first)")

    def build(self) -> compose.Operator:
        return compose.Single(self.index)


class CoinFlipRecipe(OperatorRecipe):
    """One expert a sample, drawn with odds exp(bias)."""

    name: Literal["coin_flip"] = "coin_flip"
    bias: list[Bias] | None = None

    def check(self, experts: int, per_component: bool) -> None:
        _check_length("bias", self.bias, experts)
        if per_component:
            raise ValueError("a coin flip chooses an expert for the whole sample; remove per_component")

    def build(self) -> compose.Operator:
        return compose.CoinFlip(self.bias)


#: Every operator that recipes can name, in the order in which they are offered.
OPERATORS: dict[str, type[OperatorRecipe]] = {
    operator.model_fields["name"].default: operator
    for operator in (OrRecipe, AndRecipe, AverageRecipe, FixedRecipe, SingleRecipe, CoinFlipRecipe)
}


def _every(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    choices = {name: handler.generate_schema(operator) for name, operator in OPERATORS.items()}
    return core_schema.tagged_union_schema(choices, discriminator="name")


#: A field of this type takes every operator in `OPERATORS`.
AnyOperator = Annotated[OperatorRecipe, GetPydanticSchema(_every)]


def _check_length(name: str, values: list[float] | None, experts: int) -> None:
    if values is not None and len(values) != experts:
        raise ValueError(f"{name} needs {experts} values, one an expert, got {len(values)}")
