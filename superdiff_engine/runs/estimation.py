"""Given samples under every expert of a recipe: a piece of work like a run, with progress and cancel.

Given are samples of the user's own, from a file, or those of a run. Two estimates of log q can be compared where they
stand at the same level: a run's stands at its last one (`Result.level`), and this one at `Estimation.level`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..domain import Domain
from ..domains import get_domain
from ..errors import ArgumentError, SuperDiffError
from ..geometry import State
from ..likelihood import Likelihoods, estimate_log_density
from ..noise import karras_levels
from ..recipes.document import Recipe
from ..result import GivenSamples, Result
from ..system.devices import check_dtype, resolve_device
from ..system.downloads import DownloadStopped
from ..system.interrupts import Interrupted
from .failures import explain
from .work import Work

STEPS, PATHS = 100, 4


def fresh_seed(seed: int) -> int:
    """The seed of the noise along which samples of a run with this `seed` are estimated: never the run's own.

    The first path of the same seed would begin with the very numbers that the run drew its samples' noise from.
    """
    return (seed + 0x9E37_79B9_7F4A) % 2**63


class _Stopped(Exception):
    """Raised inside the estimate when it was cancelled."""


class Estimation(Work):
    """Estimated log-densities of given samples; `execute` does the work, in whatever thread calls it.

    After loading, `level` is the noise level at which they stand: log q is that of the experts' densities there, which
    have noise of this level in them, and the samples are taken as they are.

    Samples that the domain cannot place (`Domain.unplaced`: molecules without 3D coordinates), samples of a run that
    are not finite, and those beyond `most` have NaN.

    The noise has the recipe's seed for samples of the user's own, and `fresh_seed` of it for those of a run.

    Args:
        recipe: of the experts; its operator, solver and sizes play no part.
        given: samples as the recipe's domain reads them (`Domain.place`), or the result of a run of this recipe.
        steps: of noise levels, a multiple of four.
        paths: of noise for each sample.
        level: of noise at which to estimate; None for the domain's own (`Domain.estimation_level`), or the level where
            the run's samples stand.
        most: of a run's samples to estimate, the first ones; None for all.
    """

    def __init__(
        self,
        recipe: Recipe,
        given: GivenSamples | Result,
        steps: int = STEPS,
        paths: int = PATHS,
        level: float | None = None,
        most: int | None = None,
    ) -> None:
        super().__init__(recipe, None)
        if most is not None and most < 1:
            raise ArgumentError(f"most must be at least 1 sample, got {most}.")
        self.level, self.most = level, most
        self.steps, self.paths = steps, paths
        self._given: GivenSamples | Result | None = given
        self.result: Likelihoods | None = None
        self.titles = [expert.prompt or expert.model for expert in recipe.experts]
        self.fraction = 0.0
        #: Called between two steps; waits while something else shall have the device, which is no time of its own.
        self.give_way: Callable[[], None] = lambda: None
        self._waited, self._waiting_since = 0.0, math.inf

    @property
    def waiting(self) -> bool:
        """Whether it stands still for something else."""
        return not math.isinf(self._waiting_since)

    @property
    def waited(self) -> float:
        """As every work's: seconds that something else had the device."""
        return self._waited + max(time.monotonic() - self._waiting_since, 0.0)

    @property
    def eta(self) -> float | None:
        """Seconds still to go, by the pace so far; None before there is a pace."""
        if not self.fraction or self._ended is not None:
            return None
        return self.seconds * (1 - self.fraction) / self.fraction

    def execute(self, on_share: Callable[[float], None] | None = None) -> Likelihoods | None:
        """Estimate; returns None if it was cancelled.

        Args:
            on_share: called after every step with the share that is done, 0 to 1; what it raises ends the work.

        Raises:
            SuperDiffError: what was wrong, in a sentence; `state` is then "failed".
        """
        try:
            self.give_way()
            with self._loading():
                domain, device = get_domain(self.recipe.domain), resolve_device(self.recipe.device)
                check_dtype(self.recipe.dtype, device)
                given = self._given
                if isinstance(given, Result):
                    rows, count = self._chosen(given), _count(given)
                    experts, points = domain.place_sampled(self.recipe, _state(given), rows, device)
                    recommended, seed = given.level, fresh_seed(self.recipe.seed)
                else:
                    placeable, rows, count = self._placeable(domain, given)
                    experts, points, recommended = domain.place(self.recipe, placeable, device)
                    seed = self.recipe.seed
                highest = domain.level_range(experts)[1]
                self.level = level = recommended if self.level is None else self.level
                if not 0 < level < highest:
                    raise SuperDiffError(
                        f"Samples can be judged at a level above 0 and below {highest:g}, not at {level:g}."
                    )
            self.titles = [expert.title for expert in experts]
            levels = karras_levels(self.steps, highest, level)
            self.state, self._started = "running", time.monotonic()
            found = estimate_log_density(
                experts,
                points,
                domain.component_levels(levels, experts),
                self.paths,
                seed,
                domain.space(experts),
                lambda share: self._report(share, on_share),
            )
            self.result = found if len(rows) == count else _spread(found, rows, count)
            self.state = "done"
        except (_Stopped, DownloadStopped, Interrupted):
            self.state = "cancelled"
        except BaseException as error:
            self.state = "failed"
            self.message = explain(error, log="the studio's log")
            raise
        finally:
            # What it found is kept for a while: the samples need not be.
            self._given, self._ended = None, time.monotonic()
            self.finished.set()
        return self.result

    def _chosen(self, result: Result) -> list[int]:
        """The numbers of the samples of a run that are estimated."""
        finite = np.all([np.isfinite(part).reshape(len(part), -1).all(1) for part in result.samples.values()], axis=0)
        rows: list[int] = np.nonzero(finite)[0].tolist()
        if not rows:
            raise SuperDiffError("None of the run's samples is finite, so none can be judged; run it again.")
        return rows[: self.most]

    def _placeable(self, domain: Domain, given: GivenSamples | None) -> tuple[GivenSamples, list[int], int]:
        """(samples that can be placed, their numbers among all, how many there are; no numbers where all can be)."""
        if given is None:
            raise RuntimeError("An estimation is executed once.")
        reasons = domain.unplaced(given)
        rows = [index for index, reason in enumerate(reasons) if not reason]
        if len(rows) == len(reasons):
            return given, [], 0
        if not rows:
            raise SuperDiffError(reasons[0])
        return given.take(rows), rows, len(reasons)

    def _report(self, share: float, on_share: Callable[[float], None] | None) -> None:
        self.fraction = share
        self._wait()
        if self._cancel.is_set():
            raise _Stopped
        if on_share is not None:
            on_share(share)

    def _wait(self) -> None:
        self._waiting_since = time.monotonic()
        self.give_way()
        self._waited, self._waiting_since = self._waited + time.monotonic() - self._waiting_since, math.inf


def _spread(found: Likelihoods, rows: Sequence[int], count: int) -> Likelihoods:
    """The same for all `count` samples, NaN for those that are not among `rows`."""

    def wide(values: Tensor) -> Tensor:
        whole = values.new_full((*values.shape[:-1], count), float("nan"))
        whole[..., rows] = values
        return whole

    return Likelihoods(wide(found.mean), wide(found.error), wide(found.paths))


def _count(result: Result) -> int:
    return len(next(iter(result.samples.values())))


def _state(result: Result) -> State:
    """A run's samples as they stood at its last level."""
    parts = {name: torch.from_numpy(value) for name, value in result.samples.items()}
    return parts["x"] if list(parts) == ["x"] else parts
