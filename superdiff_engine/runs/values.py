"""Values along an axis of a grid: numbers, choices and texts, as people write them and as a picture shows them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import RecipeError, quoted

#: What stands along an axis.
Value = int | float | str

MOST_VALUES = 12
#: Between texts in one line, where commas belong to them.
BETWEEN = "|"
#: An empty text, where it has to be seen.
EMPTY = "(empty)"


class Kind(ABC):
    """What the values of a parameter are.

    Attributes:
        hint: how to write some of them, for people.
    """

    hint: str

    @abstractmethod
    def read(self, text: str) -> list[Value]:
        """Values out of one line; raises RecipeError with one sentence."""

    def read_entered(self, text: str) -> list[Value]:
        """Values out of a form's field; raises RecipeError likewise."""
        return self.read(text)

    @abstractmethod
    def check(self, value: Value) -> Value:
        """The value as an axis keeps it; raises ValueError, whose words go on from "it takes"."""

    def label(self, value: Value) -> str:
        """A value as it is written along an axis."""
        return str(value)

    def entered(self, values: Sequence[Value]) -> str:
        """Values as a form's field holds them."""
        return ", ".join(map(str, values))


@dataclass(frozen=True)
class Numbers(Kind):
    """Finite numbers.

    Attributes:
        whole: whether they are whole.
        word: that may stand in a number's place, for a field that is left open; "" for none.
    """

    whole: bool = False
    word: str = ""

    @property
    def hint(self) -> str:  # type: ignore[override]
        """As every kind's."""
        also = f"; {self.word} leaves it open" if self.word else ""
        return f"Up to {MOST_VALUES} numbers such as 0, 1, 10; 0:4 is 0, 1, 2, 3{also}"

    def read(self, text: str) -> list[Value]:
        values: list[Value] = []
        for part in text.split(","):
            if self.word and part.strip() == self.word:
                values.append(self.word)
            else:
                values += _range(part) if ":" in part else [_number(part)]
        return few(values, text)

    def check(self, value: Value) -> Value:
        if isinstance(value, str):
            if self.word and value == self.word:
                return value
            also = f" or '{self.word}'" if self.word else ""
            raise ValueError(f"numbers{also} only, not '{quoted(value)}'")
        if not self.whole:
            return value
        if value != int(value):
            raise ValueError(f"whole numbers only, not {value:g}")
        return int(value)

    def label(self, value: Value) -> str:
        return number_text(value) if isinstance(value, int | float) else value

    def entered(self, values: Sequence[Value]) -> str:
        return ", ".join(value if isinstance(value, str) else f"{value:.12g}" for value in values)


@dataclass(frozen=True)
class Choice(Kind):
    """Names out of a few.

    Attributes:
        titles: of all names that there are; empty where only a recipe's domain knows them.
    """

    titles: Mapping[str, str] = field(default_factory=dict)

    @property
    def hint(self) -> str:  # type: ignore[override]
        """As every kind's."""
        return f"Up to {MOST_VALUES} of them"

    def read(self, text: str) -> list[Value]:
        return few([part.strip() for part in text.split(",")], text)

    def check(self, value: Value) -> Value:
        if not isinstance(value, str) or not value:
            raise ValueError(f"names only, not '{value}'")
        if self.titles and value not in self.titles:
            raise ValueError(f"{', '.join(self.titles)}; there is no '{quoted(value)}'")
        return value

    def label(self, value: Value) -> str:
        return self.titles.get(str(value), str(value))


@dataclass(frozen=True)
class Texts(Kind):
    """Texts, with whatever commas belong to them."""

    @property
    def hint(self) -> str:  # type: ignore[override]
        """As every kind's."""
        return f"Up to {MOST_VALUES} texts, one a line; {EMPTY} for none"

    def read(self, text: str) -> list[Value]:
        return few([part.strip() for part in text.split(BETWEEN)], text)

    def read_entered(self, text: str) -> list[Value]:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return few(["" if line == EMPTY else line for line in lines], text)

    def check(self, value: Value) -> Value:
        if not isinstance(value, str):
            raise ValueError(f"texts only, not {value}")
        return value

    def label(self, value: Value) -> str:
        return str(value) or EMPTY

    def entered(self, values: Sequence[Value]) -> str:
        return "\n".join(map(self.label, values))


def number_text(value: float) -> str:
    """A number as it is written along an axis: whole ones with all digits, others with six."""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def few(values: list[Value], text: str) -> list[Value]:
    """The values, if they are as many as an axis takes; raises RecipeError."""
    if not 1 <= len(values) <= MOST_VALUES:
        raise RecipeError(
            f"An axis takes 1 to {MOST_VALUES} values, '{quoted(' '.join(text.split()))}' has {len(values)}."
        )
    return values


def _range(part: str) -> range:
    try:
        numbers = range(*(int(end) for end in part.split(":")))
        if len(numbers):
            return numbers if len(numbers) <= MOST_VALUES else numbers[: MOST_VALUES + 1]
    except (ValueError, TypeError, OverflowError):
        pass
    raise RecipeError(f"'{quoted(part.strip())}' is no range; write whole numbers such as 0:4, which is 0, 1, 2, 3.")


def _number(part: str) -> int | float:
    for kind in (int, float):
        try:
            number = kind(part)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    raise RecipeError(f"'{quoted(part.strip())}' is no number; write values such as 0, 1, 10 or 0:4.")
