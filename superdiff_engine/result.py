"""What a run made, what each of its samples counts for, and the figures that every domain has of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self

import numpy as np

from .arrays import DecodedT
from .measured import SHARE, Figure, Sampled, expert_keys

if TYPE_CHECKING:
    from .recipes.document import Recipe
    from .trace import Trace


@dataclass(frozen=True)
class Result(Generic[DecodedT]):
    """What a run made; of a cancelled or failed run, what it had made by then.

    samples: y at the last level, by component ("x" when there is only one), [batch, ...]; denoised: the weighted
    denoised mean, likewise; decoded: what it stands for, None where it is that already or could not be decoded;
    log_density and weights: [experts, batch]; level: where the samples stand; importance: what each sample counts for
    where the run was corrected to its exact target, [batch], summing to 1, and every group of particles counts the
    same; None where all samples do.
    """

    recipe: Recipe
    samples: dict[str, np.ndarray]
    denoised: dict[str, np.ndarray]
    decoded: DecodedT | None
    log_density: np.ndarray
    weights: np.ndarray
    level: float
    index: int
    complete: bool
    seconds: float
    trace: Trace
    titles: list[str]
    importance: np.ndarray | None = None

    @property
    def shares(self) -> np.ndarray | None:
        """What each sample counts for within its group of particles, [batch], summing to 1 in every group; None where
        all count the same.
        """
        return None if self.importance is None else self.importance * (len(self.importance) // self.recipe.group)

    @property
    def sampled(self) -> Sampled:
        """What the samples count for, to measure them."""
        return Sampled(self.log_density.shape[1], self.importance, self.recipe.group)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """The mean over the samples, the last axis of values [..., batch], by what they count for."""
        return np.asarray(values.mean(-1) if self.importance is None else values @ self.importance)

    def one_a_group(self) -> np.ndarray:
        """One sample of each group, drawn by what they count for, int64 [groups]: the same numbers at every call."""
        shares = self.shares
        if shares is None:
            return np.arange(self.log_density.shape[1])
        size, rng = self.recipe.group, np.random.default_rng(self.recipe.seed)
        grouped = shares.reshape(-1, size)
        chosen = (grouped.cumsum(1) < rng.random((len(grouped), 1))).sum(1).clip(max=size - 1)
        return np.asarray(np.arange(len(grouped)) * size + chosen)

    def require_decoded(self) -> DecodedT:
        """`decoded`, for those who need it; raises ValueError where there is none."""
        if self.decoded is None:
            raise ValueError("The samples of this result were not decoded.")
        return self.decoded


class GivenSamples(Protocol):
    """Samples of the user's own, as a domain reads them from a file."""

    @property
    def recipe(self) -> str | None:
        """The recipe in the file, as JSON; None without one."""

    @property
    def notes(self) -> Sequence[str]:
        """What was left out, is missing or was added, in sentences."""

    def take(self, rows: Sequence[int]) -> Self:
        """Some of the samples, with all notes."""


def importance_fields(result: Result[Any], row: int) -> dict[str, str]:
    """What sample `row` counts for, for the files of a corrected run; empty where all count the same.

    Its group of particles, its share within the group, and its share of the whole run.
    """
    shares, importance = result.shares, result.importance
    if shares is None or importance is None:
        return {}
    return {
        "group_from_0": str(row // result.recipe.group),
        "share_of_group": f"{shares[row]:.6g}",
        "importance": f"{importance[row]:.6g}",
    }


def weighing(result: Result[Any]) -> str:
    """A line about `importance_fields` for those who read the files of a corrected run; else empty."""
    if result.importance is None:
        return ""
    return (
        "The run was corrected to its exact target by weighted particles, and means over its samples are weighted "
        "means: share_of_group is what a sample counts for within its group, importance within the whole run.\n"
    )


def density_figures(result: Result[Any]) -> list[Figure]:
    """Figures that every domain has: log-densities, the gap between them, weights, and the effective sample size.

    A log-density's name holds its level, since those of different levels do not compare.
    """
    sampled, at = result.sampled, f"{result.level:.3g}"
    keys = expert_keys(result.recipe.names)
    named = list(zip(keys, expert_keys(result.titles), strict=True))
    found = []
    if len(keys) > 1:
        gap, error = sampled.mean(result.log_density.max(0) - result.log_density.min(0))
        title = f"gap between log q at s = {at}"
        found.append(
            Figure(
                name=f"gap@{at}",
                title=title,
                value=gap,
                error=error,
                unit="nats",
                main=True,
                meaning="How far apart the experts are about a sample, max log q − min log q; 0 where all find it "
                "equally likely, as AND wants it.",
            )
        )
    for (key, title), values in zip(named, result.log_density, strict=True):
        mean, error = sampled.mean(values)
        name, title = f"log_density/{key}@{at}", f"log q of {title} at s = {at}"
        meaning = (
            "How likely the expert finds the samples at their noise level s, the mean of log q; 1 nat more is e times."
        )
        found.append(Figure(name=name, title=title, value=mean, error=error, unit="nats", meaning=meaning))
    if len(keys) > 1:
        for (key, title), values in zip(named, result.weights, strict=True):
            mean, error = sampled.mean(values)
            meaning = (
                "How much the expert has to say about the last step, the mean of κ; the weights of a sample sum to 1."
            )
            name, title = f"weight/{key}", f"weight κ of {title}"
            found.append(Figure(name=name, title=title, value=mean, error=error, meaning=meaning))
    if result.importance is not None:
        size = sampled.effective() / sampled.count
        title = "effective sample size, of all samples"
        meaning = "How many equally weighted samples the weighted ones are worth, (Σw)² / Σw², as a share of all."
        found.append(
            Figure(name="effective_size", title=title, value=size, unit=SHARE, better="higher", meaning=meaning)
        )
    return found
