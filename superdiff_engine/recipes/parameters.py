"""What an operator can be told: numbers, numbers an expert, the choice of an expert; in words, for forms and headings.

Operators that name a parameter alike share it: a form keeps what was entered when another of them is chosen, and a
comparison takes it along.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


def short_number(value: float) -> str:
    """A number as short as it can be without becoming another."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


@dataclass(frozen=True)
class Varied:
    """An axis of a grid: its title, values to begin with as a user would write them, and their unit ("" for none).

    Of an expert's numbers the title has "{}" for the expert, 1 for the first; formulas stand between bars.
    """

    title: str
    suggested: str
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Parameter(ABC):
    """A field of an operator's recipe, as it is asked for and said.

    Attributes:
        field: in the recipe.
        name: among the parameters of all operators.
        title: of what is entered, for people.
        help: what they should know of it; "" for nothing.
        words: how a heading says it, with the value for "{}".
        always: whether it is said where it is the default too.
        detail: whether a form shows it among the details of sampling, not beside the operator.
        varied: how a grid varies it; None where no grid does.
    """

    field: str
    name: str
    title: str
    help: str = ""
    words: str
    always: bool = False
    detail: bool = False
    varied: Varied | None = None

    @abstractmethod
    def say(self, value: Any) -> str:
        """The value in words; "" where it says nothing."""

    def effective(self, value: Any) -> Any:
        """The value as a recipe has it: None where it makes no difference."""
        return value

    def start(self, experts: int) -> Any:
        """What a recipe of so many experts begins with; None for the field's default."""
        return None


@dataclass(frozen=True, kw_only=True)
class Number(Parameter):
    """One number.

    Attributes:
        noun: what it is in the middle of a sentence.
        step: from one value to the next.
    """

    noun: str
    step: float

    def say(self, value: float) -> str:
        return self.words.format(short_number(value))


@dataclass(frozen=True, kw_only=True)
class PerExpert(Parameter):
    """A number an expert.

    Attributes:
        noun: what one of them is in the middle of a sentence.
        step: from one value to the next.
        between: what stands between them in words.
        shares: whether they sum to 1 (and begin even); else they begin at 0, and say nothing where all are.
        group: the title under which a form gathers them, for more than one expert only; "" for none.
        meaning: what a value means to this operator; "" where the title says it.
    """

    noun: str
    step: float
    between: str = ", "
    shares: bool = False
    group: str = ""
    meaning: str = ""

    def say(self, value: Sequence[float]) -> str:
        said = self.words.format(self.between.join(map(short_number, value)))
        return said if self.effective(value) is not None else ""

    def effective(self, value: Sequence[float] | None) -> Sequence[float] | None:
        return value if value is not None and (self.shares or any(value)) else None

    def start(self, experts: int) -> list[float] | None:
        return [self.first(experts)] * experts if self.shares else None

    def first(self, experts: int) -> float:
        """What one of so many experts begins with."""
        return 1 / experts if self.shares else 0.0


@dataclass(frozen=True, kw_only=True)
class Chosen(Parameter):
    """One of the experts, by its position (0 is the first)."""

    def say(self, value: int) -> str:
        return self.words.format(value + 1)


@dataclass(frozen=True, kw_only=True)
class Composition(Parameter):
    """A formula of the experts, as text that `formulas` parses."""

    def say(self, value: str) -> str:
        return self.words.format(value)

    def start(self, experts: int) -> str:
        return "1 and not 2" if experts > 1 else "1"
