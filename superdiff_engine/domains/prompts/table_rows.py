"""Rows of the tables of prompts, read from the runs that are there, as one judge sees them."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ...errors import SuperDiffError
from ...system.files import write_whole
from ...tables.chunks import coin_flips
from ...tables.table import Row, Value
from .judge.classifier import top_share
from .judge.judges import Judge
from .table_runs import (
    FROM_ALONE,
    OPERATORS,
    SINGLES,
    Settings,
    TableRun,
    drawn_alone,
    pair_runs,
    runs_of,
    single_runs,
)


@dataclass(frozen=True)
class PairScores:
    """A row's pictures as the judge sees them.

    Attributes:
        first: scores of each pair's first concept, float64 [pairs, seeds].
        second: of the second.
        gap: |log q_1 - log q_2| at the end in nats, [pairs, seeds], or None where no densities were tracked.
        finished: bool [pairs], whether the run came to its end.
        seconds: of one process.
    """

    first: np.ndarray
    second: np.ndarray
    gap: np.ndarray | None
    finished: np.ndarray
    seconds: float

    @property
    def lower(self) -> np.ndarray:
        """The lower score of the two concepts, [pairs, seeds]."""
        return np.minimum(self.first, self.second)

    def values(self) -> dict[str, Value]:
        """The measures of Tables 2 and A2 by name, with standard errors."""
        measures = {
            "lower": self.lower,
            "difference": np.abs(self.first - self.second),
            "maximum": np.maximum(self.first, self.second),
        }
        return {name: mean_over_pairs(scores) for name, scores in measures.items()}


def mean_over_pairs(scores: np.ndarray) -> Value:
    """The mean of scores [pairs, seeds], with the standard error of the mean of the pairs' means (None for one pair).

    Pictures of one pair are alike; the pairs are what a new table would draw anew.
    """
    means = scores.mean(1)
    error = float(means.std(ddof=1) / math.sqrt(len(means))) if len(means) > 1 else None
    return Value(value=float(means.mean()), error=error)


def share(hits: np.ndarray) -> Value:
    """The share of true values in a bool array [count], with its binomial standard error."""
    part = float(hits.mean())
    return Value(value=part, error=math.sqrt(part * (1 - part) / len(hits)))


@dataclass
class RowReader:
    """Reads rows that are complete in the cache, as one judge sees them."""

    settings: Settings
    judge: Judge
    _index: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._index = {one.name: index for index, one in enumerate(self.judge.concepts)}
        unknown = [name for pair in self.settings.pairs for name in pair if name not in self._index]
        if unknown:
            raise SuperDiffError(f"The judge does not know {', '.join(unknown)}; choose pairs of concepts it knows.")

    def complete(self, runs: Sequence[TableRun]) -> bool:
        """Whether all of them are there."""
        return all(run.file(self.settings).is_file() for run in runs)

    def pictures(self, run: TableRun) -> np.ndarray:
        """Uint8 [batch, H, W, 3]."""
        with np.load(run.file(self.settings)) as stored:
            return stored["pictures"]

    def scores(self, run: TableRun) -> np.ndarray:
        """[batch, concepts], float64; kept beside the run."""
        path = run.file(self.settings)
        kept = path.with_name(f"{path.stem}_{self.judge.key}.npy")
        if not kept.is_file():
            buffer = io.BytesIO()
            np.save(buffer, self.judge.scores(self.pictures(run)).numpy())
            write_whole(kept, buffer.getvalue())
        return np.load(kept)

    def pairs(self, row: str) -> PairScores:
        """The scores of a row of pairs, "first" and "second" included; all its runs must be there."""
        if row in FROM_ALONE:
            return self._coin_flip() if row == "coin_flip" else self._overlay()
        kind, _, steps = row.partition("/")
        runs = pair_runs(kind, self.settings, int(steps) if steps else None)
        asked = [[self._index[name] for name in pair] for pair in self.settings.pairs]
        both = np.stack([self.scores(run)[:, pair] for run, pair in zip(runs, asked, strict=True)])
        log_density, seconds, finished = [], 0.0, []
        for run in runs:
            with np.load(run.file(self.settings)) as stored:
                log_density.append(stored["log_density"])
                seconds += float(stored["seconds"])
                finished.append(bool(stored["finished"]))
        needed = kind in OPERATORS and OPERATORS[kind].build([]).needs_density
        gap = np.stack([np.abs(one[0] - one[1]) for one in log_density]) if needed else None
        return PairScores(both[:, :, 0], both[:, :, 1], gap, np.array(finished), seconds)

    def _coin_flip(self) -> PairScores:
        first, second = self.pairs("first"), self.pairs("second")
        seeds = [self.settings.seed + index for index in range(len(self.settings.pairs))]
        heads = np.stack([coin_flips(self.settings.seeds, seed) for seed in seeds])
        a, b = np.where(heads, first.first, second.first), np.where(heads, first.second, second.second)
        # Each sample needs its own prompt's call only, half of each row's.
        return PairScores(a, b, None, first.finished, (first.seconds + second.seconds) / 2)

    def _overlay(self) -> PairScores:
        """A double exposure: the mean, pixel by pixel, of the pictures that either prompt alone makes."""
        first, second = (pair_runs(kind, self.settings) for kind in ("first", "second"))
        found = []
        for one, other, pair in zip(first, second, self.settings.pairs, strict=True):
            mean = (self.pictures(one).astype(np.uint16) + self.pictures(other) + 1) // 2
            found.append(self.judge.scores(mean.astype(np.uint8)).numpy()[:, [self._index[name] for name in pair]])
        both, finished = np.stack(found), np.ones(len(found), bool)
        return PairScores(both[:, :, 0], both[:, :, 1], None, finished, self._seconds([*first, *second]))

    def _seconds(self, runs: Sequence[TableRun]) -> float:
        total = 0.0
        for run in runs:
            with np.load(run.file(self.settings)) as stored:
                total += float(stored["seconds"])
        return total

    def single(self, row: str) -> tuple[dict[str, Value], int, float]:
        """Values, number of pictures, and seconds of a row of single prompts."""
        runs = single_runs(row, self.settings, self.judge.concepts)
        scores = torch.from_numpy(np.concatenate([self.scores(run) for run in runs]))
        asked = torch.tensor(drawn_alone(self.settings, self.judge.concepts))
        values = {f"top{most}": share(top_share(scores, asked, most).numpy()) for most in (1, 5)}
        seconds = self._seconds(runs)
        if row == "single":
            alone = [self.pairs("first"), self.pairs("second")]
            first = np.concatenate([one.first for one in alone], axis=1)
            second = np.concatenate([one.second for one in alone], axis=1)
            values = PairScores(first, second, None, alone[0].finished, 0.0).values() | values
        return values, len(asked), seconds

    def row(self, name: str, workers: int = 1) -> Row | None:
        """A row of either table; None while runs are missing."""
        if not self.complete(runs_of(name, self.settings, self.judge.concepts)):
            return None
        if name in SINGLES:
            values, count, seconds = self.single(name)
            return Row(name=name, samples=count, seconds=round(seconds / workers, 1), values=values)
        found = self.pairs(name)
        values = found.values()
        if "/" in name and found.gap is not None:
            values = {"lower": values["lower"], "finished": Value(value=float(found.finished.mean()))}
            if found.finished.any():
                values["gap"] = mean_over_pairs(found.gap[found.finished])
        return Row(name=name, samples=found.first.size, seconds=round(found.seconds / workers, 1), values=values)

    def gain(self, row: str, other: str) -> Value:
        """How much higher the lower score is in a row than in another, picture by picture."""
        return mean_over_pairs(self.pairs(row).lower - self.pairs(other).lower)
