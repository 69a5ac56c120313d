"""Operators as recipes ask for them: what each is, its parameters, and all that forms, headings and comparisons show.

A new operator is a class here, with its `parameters`, in `OPERATORS`; whoever shows operators reads them from there.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, GetCoreSchemaHandler, GetPydanticSchema, model_validator
from pydantic_core import CoreSchema, core_schema

from .. import compose
from ..formula import Biased
from .formulas import LONGEST, parse_formula
from .parameters import Chosen, Composition, Number, Parameter, PerExpert, Varied
from .strict import Strict

Bias = Annotated[float, Field(ge=-1e4, le=1e4)]


class OperatorRecipe(Strict):
    """An operator in a recipe, told apart by its `name`.

    Attributes:
        title: for people.
        line: one line about its samples.
        formula: its weights, as LaTeX.
        parameters: all that it can be told.
        aims_at: what a sample is to be: likely to all experts, to a mean of them, to one of them, or to what its own
            parameters say.
        whole_samples: whether it weighs whole samples only, and never their components apart.
        no_target: why its samples have no exact target, in a sentence, as the operator itself says; "" where they have.
    """

    title: ClassVar[str]
    line: ClassVar[str]
    formula: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    aims_at: ClassVar[Literal["all", "mean", "one", "own"]]
    whole_samples: ClassVar[bool] = False
    no_target: ClassVar[str] = ""

    name: str

    def check(self, names: Sequence[str], per_component: bool) -> None:
        """Raise ValueError, in words for users, where it does not fit a recipe with experts of these names."""
        experts = len(names)
        for parameter in self.parameters:
            value = getattr(self, parameter.field)
            if isinstance(parameter, PerExpert) and value is not None and len(value) != experts:
                raise ValueError(f"{parameter.field} needs {experts} values, one an expert, got {len(value)}")
            if isinstance(parameter, Chosen) and value >= experts:
                raise ValueError(f"{parameter.field} {value} names no expert, there are {experts} (0 is the first)")

    @abstractmethod
    def build(self, names: Sequence[str]) -> compose.Operator:
        """The operator itself, for experts of these names."""

    @classmethod
    def like(cls, other: OperatorRecipe, experts: int) -> Self:
        """One of this class for so many experts, with the parameters that it shares with another."""
        theirs = {parameter.name: getattr(other, parameter.field) for parameter in other.parameters}
        told = {one.field: theirs.get(one.name, one.start(experts)) for one in cls.parameters}
        return cls(**{field: value for field, value in told.items() if value is not None})

    def words(self) -> list[str]:
        """Its title, then every parameter that is not the default, in a few words each."""
        by_field = {parameter.field: parameter for parameter in self.parameters}
        parts = [self.title]
        for field, described in type(self).model_fields.items():
            value, parameter = getattr(self, field), by_field.get(field)
            if field == "name" or value is None:
                continue
            if value != described.default or (parameter is not None and parameter.always):
                parts.append(f"{field} {value}" if parameter is None else parameter.say(value))
        return [part for part in parts if part]

    @property
    def composed(self) -> list[str]:
        """The formulas that it is told, if any, as text."""
        return [getattr(self, one.field) for one in self.parameters if isinstance(one, Composition)]

    def choice(self) -> tuple[object, ...]:
        """What it has in common with those that differ from it in numbers only."""
        chosen = [getattr(self, one.field) for one in self.parameters if isinstance(one, Chosen | Composition)]
        return (self.name, *chosen)


def _bias(meaning: str) -> PerExpert:
    return PerExpert(
        field="bias",
        name="bias",
        title="Expert",
        noun="bias",
        words="bias {}",
        step=0.1,
        group="Biases, in nats",
        meaning=meaning,
        varied=Varied("bias of expert {}", "-2, 0, 2", "nats"),
    )


class OrRecipe(OperatorRecipe):
    """kappa = softmax(temperature * log q + bias)."""

    title = "OR"
    line = (
        "Samples that at least one expert would make. The more likely an expert finds a sample, the more say it gets."
    )
    formula = r"\kappa = \mathrm{softmax}(T \log q + \ell)"
    parameters = (
        Number(
            field="temperature",
            name="temperature",
            title="Temperature T",
            noun="temperature",
            words="T = {}",
            always=True,
            step=0.5,
            varied=Varied("temperature T", "0, 1, 10"),
            help="How sharply the log-densities decide. 1 samples the mixture of the experts; 0 ignores the densities; "
            "large values let the likeliest expert take all.",
        ),
        _bias("Log-odds in nats. A bias of 1.1 makes an expert three times as likely to be chosen."),
    )
    aims_at = "one"

    name: Literal["or"] = "or"
    temperature: float = Field(1.0, ge=0, le=1e6)
    bias: list[Bias] | None = None

    def build(self, names: Sequence[str]) -> compose.Operator:
        return compose.Or(self.temperature, self.bias)


class AndRecipe(OperatorRecipe):
    """Equal log-densities, up to the offsets in `bias`; `ridge` in nats, 0 for the paper's exact system; below
    the level `lowest` the weights are even.
    """

    title = "AND"
    line = "Samples that all experts find equally likely: the weights steer until the log-densities are level."
    formula = r"\log q_1 - \ell_1 = \log q_2 - \ell_2 = \ldots"
    parameters = (
        _bias("Offset in nats: an expert with a bias of 2 is held 2 nats more likely than one with 0."),
        Number(
            field="ridge",
            name="ridge",
            title="Ridge of AND, in nats",
            noun="ridge",
            words="ridge {}",
            step=0.5,
            detail=True,
            varied=Varied("ridge", "0, 1, 10", "nats"),
            help="Calms the weights where the experts agree. 0 is the paper's exact system: a run stops where its "
            "weights explode.",
        ),
        Number(
            field="lowest",
            name="holds",
            title="AND holds down to level s",
            noun="level that AND holds down to",
            words="down to s = {}",
            step=0.5,
            detail=True,
            varied=Varied("level s that AND holds down to", "0, 0.5, 1.5"),
            help="Below this level the weights are even, as average's are. 0 holds the log-densities equal to the end, "
            "as the paper does; 1.5 gives the emoji's details to both prompts.",
        ),
    )
    aims_at = "all"
    no_target = compose.And.no_target

    name: Literal["and"] = "and"
    bias: list[Bias] | None = None
    ridge: float = Field(1.0, ge=0, le=1e6)
    lowest: float = Field(0.0, ge=0, le=1e6)

    def build(self, names: Sequence[str]) -> compose.Operator:
        return compose.And(self.bias, self.ridge, self.lowest)


class FormulaRecipe(OperatorRecipe):
    """A formula of the experts' log-densities, as text (`formulas`); `bias` is added to them first."""

    title = "Formula"
    line = "Samples of the density that a formula says: and, or, not, xor, products and powers, nested as you like."
    formula = r"\log p = f(\log q_1, \ldots, \log q_M), \quad \kappa_i = \partial f / \partial \log q_i"
    parameters = (
        Composition(
            field="text",
            name="formula",
            title="Formula",
            words="{}",
            always=True,
            varied=Varied("formula", "1 or 2|1 and 2|1 and not 2|1 xor 2"),
            help="Experts by number (1 is the first) or by name in quotation marks; and, or, xor, and not, + and -, "
            "weights as in 0.5*1, powers as in 1^2. A bracket holds a word's number: or[T], and[sharpness], not[g].",
        ),
        _bias("In nats, added to the expert's log-density before the formula: 1.1 makes it count three times as much."),
    )
    aims_at = "own"

    name: Literal["formula"] = "formula"
    text: str = Field(min_length=1, max_length=LONGEST)
    bias: list[Bias] | None = None

    def check(self, names: Sequence[str], per_component: bool) -> None:
        super().check(names, per_component)
        parse_formula(self.text, names)

    def build(self, names: Sequence[str]) -> compose.Operator:
        formula = parse_formula(self.text, names)
        return compose.Composed(formula if self.bias is None else Biased(formula, tuple(self.bias)))


class AverageRecipe(OperatorRecipe):
    """Equal weights."""

    title = "Average"
    line = "All experts have the same say at every step. Simple, and often neither OR nor AND."
    formula = r"\kappa_i = 1 / M"
    aims_at = "mean"

    name: Literal["average"] = "average"

    def build(self, names: Sequence[str]) -> compose.Operator:
        return compose.Average()


class FixedRecipe(OperatorRecipe):
    """Weights given by the user; they sum to 1."""

    title = "Fixed weights"
    line = "You set the weights; they stay the same at every step and sum to 1."
    formula = r"\kappa_i = w_i, \quad \textstyle\sum_i w_i = 1"
    parameters = (
        PerExpert(
            field="weights",
            name="weight",
            title="Weight",
            noun="weight",
            words="{}",
            between=" : ",
            step=0.1,
            shares=True,
            varied=Varied("weight of expert {}", "0, 0.25, 0.5, 0.75, 1"),
            help="Weights may be negative; they must sum to 1.",
        ),
    )
    aims_at = "mean"

    name: Literal["fixed"] = "fixed"
    weights: list[Annotated[float, Field(ge=-100, le=100)]]

    @model_validator(mode="after")
    def _sum(self) -> FixedRecipe:
        if not math.isclose(math.fsum(self.weights), 1.0, abs_tol=1e-6):
            raise ValueError(f"weights must sum to 1, these sum to {math.fsum(self.weights):.6g}")
        return self

    def build(self, names: Sequence[str]) -> compose.Operator:
        return compose.Fixed(self.weights)


class SingleRecipe(OperatorRecipe):
    """One expert alone, by its position (0 is the first)."""

    title = "One alone"
    line = "One expert makes the samples. The others only watch and report their log-density."
    formula = r"\kappa_i = 1, \quad \kappa_{j \neq i} = 0"
    parameters = (
        Chosen(
            field="index",
            name="single",
            title="The expert that makes the samples",
            words="expert {}",
            always=True,
            varied=Varied("expert alone", "1, 2"),
        ),
    )
    aims_at = "one"

    name: Literal["single"] = "single"
    index: int = Field(0, ge=0)

    def build(self, names: Sequence[str]) -> compose.Operator:
        return compose.Single(self.index)


class CoinFlipRecipe(OperatorRecipe):
    """One expert a sample, drawn with odds exp(bias)."""

    title = "Coin flip"
    line = "Every sample is given to one expert by lot, from start to end. What OR should be at least as good as."
    formula = r"P(\kappa_i = 1) \propto e^{\ell_i}"
    parameters = (_bias("Log-odds in nats. A bias of 1.1 makes an expert three times as likely to be drawn."),)
    aims_at = "one"
    whole_samples = True
    no_target = compose.CoinFlip.no_target

    name: Literal["coin_flip"] = "coin_flip"
    bias: list[Bias] | None = None

    def check(self, names: Sequence[str], per_component: bool) -> None:
        super().check(names, per_component)
        if per_component:
            raise ValueError("a coin flip chooses an expert for the whole sample; remove per_component")

    def build(self, names: Sequence[str]) -> compose.Operator:
        return compose.CoinFlip(self.bias)


#: Every operator that recipes can name, in the order in which they are offered.
OPERATORS: dict[str, type[OperatorRecipe]] = {
    operator.model_fields["name"].default: operator
    for operator in (OrRecipe, AndRecipe, FormulaRecipe, AverageRecipe, FixedRecipe, SingleRecipe, CoinFlipRecipe)
}
#: What a run of any operator is compared with first, in this order.
COMPARED: tuple[type[OperatorRecipe], ...] = (AndRecipe, OrRecipe, AverageRecipe)


def each_alone(experts: int) -> list[OperatorRecipe]:
    """The operators that leave the samples to one of so many experts, the first expert's first."""
    return [SingleRecipe(index=index) for index in range(experts)]


def of_one_expert() -> OperatorRecipe:
    """What a recipe with a single expert says where nothing is composed."""
    return AverageRecipe()


def all_parameters() -> Iterator[tuple[type[OperatorRecipe], Parameter]]:
    """Every parameter of the operators, once, with the first operator that has it."""
    named: set[str] = set()
    for operator in OPERATORS.values():
        for parameter in operator.parameters:
            if parameter.name not in named:
                named.add(parameter.name)
                yield operator, parameter


def _every(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    choices = {name: handler.generate_schema(operator) for name, operator in OPERATORS.items()}
    return core_schema.tagged_union_schema(choices, discriminator="name")


#: A field of this type takes every operator in `OPERATORS`.
AnyOperator = Annotated[OperatorRecipe, GetPydanticSchema(_every)]
