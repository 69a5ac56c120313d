"""What was asked of each sample, what it has, and whether that satisfies it: lines below drawings and in tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Asked", "groups_of"]

#: Significant digits of a value, and as many as it may take until it stands on the right side of its bound.
_DIGITS, _MOST_DIGITS = 3, 8


@dataclass(frozen=True, eq=False)
class Asked:
    """One thing that was asked of samples.

    Attributes:
        name: of what is measured ("TPSA").
        values: of each sample, float [n]; NaN where it has none.
        holds: whether that satisfies what was asked, bool [n].
        lowest: the least value that satisfies it; None where it is open below.
        highest: the value that is too much, of all samples or of each [n]; None where it is open above.
        closed: whether `highest` itself still satisfies it.
        unit: of the values and bounds; "" for none.
        count: whether they are whole numbers.
        expert: the number of the expert that asks; None where it is asked of all samples.
    """

    name: str
    values: np.ndarray
    holds: np.ndarray
    lowest: float | None = None
    highest: float | np.ndarray | None = None
    closed: bool = False
    unit: str = ""
    count: bool = False
    expert: int | None = None

    def bound(self, row: int) -> str:
        """What was asked of sample `row`, such as "≥ 46.6 Å²", "= 0" or "1 to 3"."""
        low, high = self._ends(row)
        if self.count:
            lowest = f"{low or 0:.0f}"
            if high is None:
                return self._with_unit(f"≥ {lowest}")
            highest = f"{high if self.closed else high - 1:.0f}"
            text = f"≤ {highest}" if low is None else f"{lowest} to {highest}"
            return self._with_unit(f"= {highest}" if highest == lowest else text)
        least, most = (None if end is None else f"{end:.{_DIGITS}g}" for end in (low, high))
        if least is None:
            return self._with_unit(f"{'≤' if self.closed else '<'} {most}")
        return self._with_unit(f"≥ {least}" if most is None else f"{least} to {most}")

    def value(self, row: int) -> str:
        """What sample `row` has, with as many digits as it takes to see on which side of the bound it stands."""
        value = float(self.values[row])
        if np.isnan(value):
            return "not known"
        if self.count:
            return self._with_unit(f"{value:.0f}")
        ends = [float(f"{end:.{_DIGITS}g}") for end in self._ends(row) if end is not None]
        for digits in range(_DIGITS, _MOST_DIGITS):
            shown = float(f"{value:.{digits}g}")
            if all(shown != end or value == end for end in ends):
                break
        return self._with_unit(f"{value:.{digits}g}")

    def _ends(self, row: int) -> tuple[float | None, float | None]:
        high = self.highest
        return self.lowest, float(high[row]) if isinstance(high, np.ndarray) else high

    def say(self, row: int) -> str:
        """Sample `row` in a sentence."""
        verdict = "satisfied" if self.holds[row] else "not satisfied"
        return f"{self.name} {self.value(row)}, asked {self.bound(row)}: {verdict}"

    def _with_unit(self, text: str) -> str:
        return f"{text} {self.unit}" if self.unit else text


def groups_of(asked: Sequence[Asked], count: int) -> list[tuple[str, int | None, np.ndarray]]:
    """The samples by whose wishes they satisfy: (name, the expert that alone is satisfied, bool [count]) of each group.

    An expert is satisfied where all that it asks for holds. Groups are disjoint, hold every sample and may be empty;
    names count experts from 1. Where no expert asks for anything there is one group.
    """
    experts = sorted({one.expert for one in asked if one.expert is not None})
    if not experts:
        return [("all samples", None, np.ones(count, bool))]
    holds = np.array([np.all([one.holds for one in asked if one.expert == expert], axis=0) for expert in experts])
    many = holds.sum(0)
    if len(experts) == 1:
        named = f"satisfy expert {experts[0] + 1}"
        return [(named, experts[0], many == 1), ("do not", None, many == 0)]
    found: list[tuple[str, int | None, np.ndarray]] = [("satisfy all", None, many == len(experts))]
    if len(experts) > 2:
        found.append(("several, not all", None, (many > 1) & (many < len(experts))))
    found += [
        (f"only expert {expert + 1}", expert, held & (many == 1)) for expert, held in zip(experts, holds, strict=True)
    ]
    return [*found, ("satisfy none", None, many == 0)]
