"""Given samples under every expert of a recipe: a piece of work like a run, with progress and cancel.

Given are samples of the user's own, from a file, or those of a run. Two estimates of log q can be compared where they
stand at the same level: a run's stands at its last one (`Result.level`), and this one at `Estimation.level`.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from ..domain import Domain, GivenSamples, Result
from ..domains import get_domain
from ..errors import SuperDiffError
from ..geometry import State
from ..likelihood import Likelihoods, estimate_log_density
from ..noise import karras_levels
from ..recipes.document import Recipe
from ..system.devices import check_dtype, resolve_device
from ..system.downloads import DownloadStopped
from ..system.interrupts import Interrupted
from .failures import explain
from .work import Work

STEPS, PATHS = 100, 4


class _Stopped(Exception):
    """Raised inside the estimate when it was cancelled."""


class Estimation(Work):
    """Estimated log-densities of given samples; `execute` does the work, in whatever thread calls it.

    After loading, `level` is the noise level at which they stand: log q is that of the experts' densities there, which
    have noise of this level in them, and the samples are taken as they are.

    Samples that the domain cannot place (`Domain.unplaced`: molecules without 3D coordinates) have NaN.

    Args:
        recipe: of the experts; its operator, solver and sizes play no part.
        given: samples as the recipe's domain reads them (`Domain.place`), or the result of a run of this recipe.
        steps: of noise levels, a multiple of four.
        paths: of noise for each sample.
        level: of noise at which to estimate; None for the domain's own (`Domain.estimation_level`), or the level where
            the run's samples stand.
    """

    def __init__(
        self,
        recipe: Recipe,
        given: GivenSamples | Result,
        steps: int = STEPS,
        paths: int = PATHS,
        level: float | None = None,
    ) -> None:
        super().__init__(recipe, None)
        self.level = level
        self.given, self.steps, self.paths = given, steps, paths
        self.result: Likelihoods | None = None
        self.titles = [expert.prompt or expert.model for expert in recipe.experts]
        self.fraction = 0.0

    @property
    def eta(self) -> float | None:
        """Seconds still to go, by the pace so far; None before there is a pace."""
        if not self.fraction or self._ended is not None:
            return None
        return self.seconds * (1 - self.fraction) / self.fraction

    def execute(self) -> Likelihoods | None:
        """Estimate; returns None if it was cancelled.

        Raises:
            SuperDiffError: what was wrong, in a sentence; `state` is then "failed".
        """
        try:
            with self._loading():
                domain, device = get_domain(self.recipe.domain), resolve_device(self.recipe.device)
                check_dtype(self.recipe.dtype, device)
                given, rows, count = self._placeable(domain)
                if isinstance(given, Result):
                    experts, points = domain.prepare(self.recipe, device).experts, _state(given, device)
                    recommended = given.level
                else:
                    experts, points, recommended = domain.place(self.recipe, given, device)
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
                domain.component_levels(levels),
                self.paths,
                self.recipe.seed,
                domain.space(experts),
                self._report,
            )
            self.result = found if rows is None else _spread(found, rows, count)
            self.state = "done"
        except (_Stopped, DownloadStopped, Interrupted):
            self.state = "cancelled"
        except BaseException as error:
            self.state = "failed"
            self.message = explain(error, log="the studio's log")
            raise
        finally:
            self._ended = time.monotonic()
            self.finished.set()
        return self.result

    def _placeable(self, domain: Domain) -> tuple[GivenSamples | Result, list[int] | None, int]:
        """(samples that can be placed, their indices among all or None where these are all, how many there are)."""
        if isinstance(self.given, Result):
            return self.given, None, 0
        reasons = domain.unplaced(self.given)
        rows = [index for index, reason in enumerate(reasons) if not reason]
        if len(rows) == len(reasons):
            return self.given, None, 0
        if not rows:
            raise SuperDiffError(reasons[0])
        return self.given.take(rows), rows, len(reasons)

    def _report(self, share: float) -> None:
        self.fraction = share
        if self._cancel.is_set():
            raise _Stopped


def _spread(found: Likelihoods, rows: list[int], count: int) -> Likelihoods:
    """The same for all `count` samples, NaN for those that are not among `rows`."""

    def wide(values: Tensor) -> Tensor:
        whole = values.new_full((*values.shape[:-1], count), float("nan"))
        whole[..., rows] = values
        return whole

    return Likelihoods(wide(found.mean), wide(found.error), wide(found.paths))


def _state(result: Result, device: str) -> State:
    """A run's samples as they stood at its last level."""
    parts = {name: torch.from_numpy(value).to(device) for name, value in result.samples.items()}
    return parts["x"] if list(parts) == ["x"] else parts
