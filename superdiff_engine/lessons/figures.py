"""What lessons may say of a run: figures by name, each a function of its result, with error and unit.

A name that ends in `_K` goes by experts, which count from 1: `share_1`. Beside these there are the figures of the run's
domain, by their keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ..domains import get_domain
from ..measured import SHARE, Figure
from ..result import Result

__all__ = ["FIGURES", "LessonFigure", "figure_of", "named", "names_of", "of_domain"]

#: One number of every sample, [batch], and its unit.
_Values = tuple[np.ndarray, str]


@dataclass(frozen=True)
class LessonFigure:
    """A figure that lessons may name.

    Attributes:
        title: what it is, for the documentation.
        make: from a result and an expert (from 0; 0 where it goes by none): a figure, or one value a sample, of which
            the mean is meant; None where it is not known.
        each: whether it goes by experts.
        exact: whether exact log-densities must be known.
        several: whether it needs two experts or more.
    """

    title: str
    make: Callable[[Result[Any], int], Figure | _Values | None]
    each: bool = False
    exact: bool = False
    several: bool = False


def _gap(result: Result[Any], k: int) -> _Values:
    return result.log_density.max(0) - result.log_density.min(0), "nats"


def _widest_gap(result: Result[Any], k: int) -> Figure:
    values = result.trace.curves().log_density
    gaps = values.max(1) - values.min(1)
    return _plain(float(np.nanmax(np.nanmean(gaps, 1))), "nats")


def _won(result: Result[Any], k: int) -> Figure:
    return _share(result, result.weights.argmax(0) == k)


def _likeliest(result: Result[Any], k: int) -> Figure:
    return _share(result, result.log_density.argmax(0) == k)


def _share(result: Result[Any], holds: np.ndarray) -> Figure:
    value, error = result.sampled.share(holds)
    return Figure(name="", title="", value=value, error=error, unit=SHARE)


def _plain(value: float, unit: str = "") -> Figure:
    return Figure(name="", title="", value=value, unit=unit)


def _off(result: Result[Any]) -> np.ndarray | None:
    """Estimated less exact log-density, [experts, batch], nats; None where the exact one is not known."""
    exact = get_domain(result.recipe.domain).exact_log_density(result)
    return None if exact is None else result.log_density - exact


def _density_error(result: Result[Any], k: int) -> _Values | None:
    off = _off(result)
    return None if off is None else (np.abs(off).mean(0), "nats")


def _density_bias(result: Result[Any], k: int) -> _Values | None:
    off = _off(result)
    return None if off is None else (off.mean(0), "nats")


def _difference_error(result: Result[Any], k: int) -> _Values | None:
    off = _off(result)
    if off is None:
        return None
    return np.mean([np.abs(off[i] - off[j]) for i, j in combinations(range(len(off)), 2)], 0), "nats"


def _effective(result: Result[Any], k: int) -> Figure:
    return _plain(result.sampled.effective() / result.sampled.count, SHARE)


#: By name; `_K` stands for the number of an expert.
FIGURES: dict[str, LessonFigure] = {
    "gap": LessonFigure("mean of the largest less the smallest log q, at the last level", _gap, several=True),
    "widest_gap": LessonFigure(
        "the largest mean gap of all steps, of the samples that have curves", _widest_gap, several=True
    ),
    "difference": LessonFigure(
        "mean of log q₁ − log q₂, at the last level",
        lambda result, k: (result.log_density[0] - result.log_density[1], "nats"),
        several=True,
    ),
    "log_density_K": LessonFigure(
        "mean log q of expert K, at the last level", lambda result, k: (result.log_density[k], "nats"), each=True
    ),
    "weight_K": LessonFigure(
        "mean weight κ of expert K, at the last step", lambda result, k: (result.weights[k], ""), each=True
    ),
    "path_weight_K": LessonFigure(
        "mean weight κ of expert K, over all steps",
        lambda result, k: _plain(float(result.trace.curves().mean_weights[:, k].mean())),
        each=True,
    ),
    "largest_weight": LessonFigure(
        "the largest weight κ of all steps, experts and samples that have curves",
        lambda result, k: _plain(float(np.nanmax(result.trace.curves().weights))),
    ),
    "smallest_weight": LessonFigure(
        "the smallest weight κ, likewise", lambda result, k: _plain(float(np.nanmin(result.trace.curves().weights)))
    ),
    "share_K": LessonFigure("share of the samples that expert K finds likeliest", _likeliest, each=True),
    "won_K": LessonFigure("share of the samples whose last step expert K weighs most in", _won, each=True),
    "density_error": LessonFigure("mean size of the error of log q, over all experts", _density_error, exact=True),
    "density_bias": LessonFigure("mean error of log q, over all experts", _density_bias, exact=True),
    "difference_error": LessonFigure(
        "mean size of the error of log qᵢ − log qⱼ, over all pairs", _difference_error, exact=True, several=True
    ),
    "effective": LessonFigure("effective sample size", _effective),
    "made": LessonFigure(
        "share of the steps that were made; below 1 the run stopped",
        lambda result, k: _plain(result.index / result.recipe.levels.steps, SHARE),
    ),
    "seconds": LessonFigure("time of the run's loop", lambda result, k: _plain(result.seconds, "s")),
}

_NUMBERED = re.compile(r"(.+)_([1-9][0-9]?)")


def named(name: str) -> tuple[LessonFigure, int] | None:
    """The figure of this name and the expert it is of (from 0); None where there is none."""
    found = FIGURES.get(name)
    if found is not None:
        return None if found.each else (found, 0)
    numbered = _NUMBERED.fullmatch(name)
    each = None if numbered is None else FIGURES.get(f"{numbered[1]}_K")
    return None if numbered is None or each is None else (each, int(numbered[2]) - 1)


def names_of(result: Result[Any]) -> list[str]:
    """The names of all figures that a run may have, in their order."""
    return [
        name if not told.each else f"{name.removesuffix('_K')}_{expert + 1}"
        for name, told in FIGURES.items()
        for expert in range(len(result.log_density) if told.each else 1)
    ]


def figure_of(result: Result[Any], name: str) -> Figure | None:
    """A figure of a run by its name; None where it is not known of this run.

    Args:
        result: of the run, complete or not.
        name: as in `FIGURES`.
    """
    found = named(name)
    if found is None:
        return None
    told, expert = found
    count = len(result.log_density)
    if expert >= count or (told.several and count < 2):
        return None
    made = told.make(result, expert)
    if isinstance(made, tuple):
        values, unit = made
        value, error = result.sampled.mean(values)
        made = Figure(name="", title="", value=value, error=error, unit=unit)
    if made is None:
        return None
    title = told.title.replace("expert K", f"expert {expert + 1}")
    return Figure(name=name, title=title, value=made.value, error=made.error, unit=made.unit)


def of_domain(figures: list[Figure], key: str) -> Figure | None:
    """The figure of a domain by its key: its name, or what stands before the level in it."""
    return next((one for one in figures if key in (one.name, one.name.rpartition("@")[0])), None)
