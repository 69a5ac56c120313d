r"""Figures about the samples of a run, each with its error.

Samples that count for w_i (which sum to 1) have the mean m = sum_i w_i x_i. Its error, by the delta method for a ratio
of means (Owen 2013, Monte Carlo theory, methods and examples, section 9.2), is

    e^2 = n / (n - 1) sum_u (sum_{i in u} w_i (x_i - m))^2,

over n units u that are independent of each other: the samples, or, where particles competed, their groups. For equal
weights this is the standard error of a mean. Of fewer than `FEWEST_GROUPS` groups every particle is a unit of its own:
then e does not know that particles share ancestors, and is a lower bound.

A share p has an error of its own kind, since none of 8 is not none for certain: half the width of Wilson's interval
(1927) at one standard deviation, with the effective size n = p (1 - p) / e^2 in the place of the number of samples, but
never more than Kish's effective size of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

__all__ = ["FEWEST_GROUPS", "SHARE", "Figure", "Sampled", "difference", "expert_keys", "wilson"]

#: The unit of shares: values from 0 to 1, which people read in per cent.
SHARE = "share"
#: Groups of particles from which on their spread says the error.
FEWEST_GROUPS = 8


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number about the samples of a run.

    Attributes:
        name: by which figures of several runs are the same one, such as "satisfies/high TPSA".
        title: for people, without its unit.
        value: of the samples; NaN where there are none of those that it is about.
        error: its standard error; None where there is none.
        unit: of value and error: `SHARE`, "nats", "Angstrom"; "" for a number or a scale that the title names.
        better: "higher" or "lower", where either is; "" where neither.
        main: whether it is among the few that a picture has room for.
        label: what a run's own page calls it; "" for the title.
        said: how that page says it; None where it does not.
        meaning: what it is, in a sentence for those who meet it for the first time, with its formula.
    """

    name: str
    title: str
    value: float
    error: float | None = None
    unit: str = ""
    better: str = ""
    main: bool = False
    label: str = ""
    said: str | float | None = None
    meaning: str = ""

    @property
    def shown_unit(self) -> str:
        """The unit in which people read it."""
        return "%" if self.unit == SHARE else self.unit

    def text(self) -> str:
        """Value and error for people, with as many digits as the error has a meaning for, and without the unit."""
        scale = 100 if self.unit == SHARE else 1
        value, error = scale * self.value, None if self.error is None else scale * self.error
        if math.isnan(value):
            return "–"
        if error is None or not math.isfinite(error) or error == 0:
            return _sign(f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}")
        digits = min(max(0, 1 - math.floor(math.log10(error))), 6)
        return _sign(f"{value:.{digits}f} ± {error:.{digits}f}")


def _sign(text: str) -> str:
    return text.replace("-", "−") if not text.startswith("-0 ") else text[1:]


def difference(figure: Figure, first: Figure) -> Figure:
    """A figure less the same one of another run, with the error of independent runs."""
    known = figure.error is not None and first.error is not None
    error = math.hypot(figure.error or 0.0, first.error or 0.0) if known else None
    return replace(figure, value=figure.value - first.value, error=error, said=None)


@dataclass(frozen=True)
class Sampled:
    """What the samples of a run count for.

    Attributes:
        count: how many there are.
        importance: what each counts for, [count], summing to 1; None where all count the same.
        group: how many, one after another, are particles of one group.
    """

    count: int
    importance: np.ndarray | None = None
    group: int = 1
    _units: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        groups = self.count // self.group
        apart = self.importance is None or groups < FEWEST_GROUPS
        object.__setattr__(self, "_units", np.arange(self.count) // (1 if apart else self.group))

    def mean(self, values: np.ndarray, among: np.ndarray | None = None) -> tuple[float, float | None]:
        """The mean of values [count] and its standard error; NaN and None where nothing counts.

        Args:
            values: one a sample.
            among: bool [count], the samples that are meant; None for all.
        """
        weights = self._weights(among)
        if weights is None:
            return math.nan, None
        kept = weights > 0
        known = np.where(kept, np.asarray(values, float), 0.0)
        mean = float(weights @ known)
        units, squares = self._spread(weights, known - mean)
        return mean, math.sqrt(units / (units - 1) * squares) if units > 1 else None

    def share(self, holds: np.ndarray, among: np.ndarray | None = None) -> tuple[float, float | None]:
        """The share of those that bool [count] holds of, 0 to 1, and its error; NaN and None where nothing counts.

        Args:
            holds: one a sample.
            among: bool [count], the samples that are meant; None for all.
        """
        weights = self._weights(among)
        if weights is None:
            return math.nan, None
        true = np.asarray(holds, float)
        share = min(float(weights @ true), 1.0)
        units, squares = self._spread(weights, true - share)
        spread = share * (1 - share)
        kish = self.effective(weights)
        # Where all agree, nothing says how far the particles of a group are one opinion.
        alike = len(np.unique(true[weights > 0])) < 2 or not squares
        return share, wilson(share, min(units, kish) if alike else min(spread / squares, kish))

    def effective(self, weights: np.ndarray | None = None) -> float:
        """Kish's effective size (sum w)^2 / sum w^2 of the run's weights, or of others [count]."""
        weights = self._weights(None) if weights is None else weights
        return 0.0 if weights is None else float(weights.sum() ** 2 / np.square(weights).sum())

    def _weights(self, among: np.ndarray | None) -> np.ndarray | None:
        weights = np.full(self.count, 1 / max(self.count, 1)) if self.importance is None else self.importance
        if among is not None:
            weights = weights * among
        total = weights.sum()
        return weights / total if total > 0 else None

    def _spread(self, weights: np.ndarray, deviations: np.ndarray) -> tuple[int, float]:
        """How many units count, and the sum of the squares of what each adds to the mean's deviation."""
        sums = np.bincount(self._units, weights * deviations)
        units = int((np.bincount(self._units, weights) > 0).sum())
        return units, float(np.square(sums).sum())


def wilson(share: float, size: float) -> float:
    """Half the width of Wilson's interval of a share of so many samples, at one standard deviation."""
    return math.sqrt(share * (1 - share) / size + 1 / (4 * size**2)) / (1 + 1 / size)


def expert_keys(names: Sequence[str]) -> list[str]:
    """The experts' names as the ends of figures' names: a name that is there again has its number behind it."""
    return [name if name not in names[:place] else f"{name} #{place + 1}" for place, name in enumerate(names)]
