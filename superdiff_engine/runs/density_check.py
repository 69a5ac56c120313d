r"""How wrong the log-densities of a run are: its own samples, estimated afresh along independent noise.

A run follows log q_i along the path by which it made a sample; `likelihood.estimate_log_density` estimates the same log
q_i, of the same sample at the same level, along paths of fresh noise. With d_k = tracked - fresh of sample k, for an
expert's log q_i or for a difference log q_i - log q_j,

    bias     mean_k d_k                                         what is wrong with all samples alike
    spread   (var_k d_k - mean_k v_k)^(1/2)                     what is wrong with one sample but not with the next
    rank     Spearman's correlation of tracked and fresh        whether the tracked values order the samples rightly

v_k is the variance of the fresh mean of sample k, that of its paths divided by their number, so that the fresh
estimate's own noise is not counted as the run's error. Rank correlations keep it: where `noise` is as large as the
samples' own differences they are low whatever the run did. Errors that all paths of a sample share count as the run's:
those of finite steps, and of scores that are no exact ones, which a run's path and a fresh one meet differently
(docs/log_density.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..errors import SuperDiffError
from ..likelihood import Likelihoods
from ..result import Result
from .estimation import PATHS, STEPS, Estimation

#: Samples that a rank correlation needs.
FEWEST_RANKED = 3


@dataclass(frozen=True)
class Fit:
    """Tracked less fresh log-density of one expert, or of the difference of two, over all samples; in nats.

    Attributes:
        experts: (i,) for log q_i, (i, j) for log q_i - log q_j; counted from 0.
        bias: mean of tracked - fresh; above 0 the run has too much.
        bias_error: its standard error; NaN for a single sample.
        spread: standard deviation of tracked - fresh over the samples, less the fresh estimate's noise; 0 where the
            noise explains all of it, NaN for a single sample.
        spread_error: by how much one standard error of its square makes it larger.
        noise: root mean square of the fresh estimate's own standard error; NaN for a single path, whose noise is not
            known and stays in `spread`.
        rank_correlation: Spearman's, of tracked and fresh; NaN for fewer than 3 samples, or where either is constant.
    """

    experts: tuple[int, ...]
    bias: float
    bias_error: float
    spread: float
    spread_error: float
    noise: float
    rank_correlation: float

    @property
    def error(self) -> float:
        """Root mean square of tracked - fresh without the fresh estimate's noise, of bias and spread together."""
        return math.hypot(self.bias, 0.0 if math.isnan(self.spread) else self.spread)


@dataclass(frozen=True)
class DensityCheck:
    """The fit of a run's log-densities.

    Attributes:
        level: of noise, at which both stand.
        paths: of fresh noise for each sample.
        samples: that were compared.
        left_out: samples that were not: not finite, or beyond the most that were asked for.
        titles: of the experts.
        experts: the fit of each log q_i.
        differences: that of each log q_i - log q_j, i < j.
        tracked: by the run, [experts, samples], nats.
        fresh: along independent noise, [experts, samples], nats.
    """

    level: float
    paths: int
    samples: int
    left_out: int
    titles: list[str]
    experts: list[Fit]
    differences: list[Fit]
    tracked: np.ndarray
    fresh: np.ndarray

    @property
    def sentences(self) -> list[str]:
        """What it means, in plain words."""
        found = [self._of_differences, self._of_experts] if self.differences else [self._of_experts]
        if self.samples < FEWEST_RANKED:
            found.append(f"A rank correlation needs at least {FEWEST_RANKED} samples.")
        if self.left_out:
            found.append(f"{_samples(self.left_out)} left out.")
        return found

    @property
    def _of_differences(self) -> str:
        worst = max(self.differences, key=lambda fit: fit.error)
        known = f"Differences between experts are known to ±{_nats(worst.error)} here"
        if _hidden(worst):
            most = math.hypot(worst.bias, worst.spread + worst.spread_error)
            known = f"Differences between experts are known to ±{_nats(most)} here, or better"
        found = f"{known}{', in the worst pair' if len(self.differences) > 1 else ''}"
        if abs(worst.bias) > 2 * worst.bias_error:
            first, second = (expert + 1 for expert in worst.experts)
            direction = "high" if worst.bias > 0 else "low"
            found += f": log q of {first} less that of {second} is {_nats(abs(worst.bias))} too {direction} on average"
        return f"{found}."

    @property
    def _of_experts(self) -> str:
        biases = [fit.bias for fit in self.experts]
        if all(abs(fit.bias) <= 2 * fit.bias_error for fit in self.experts):
            found = "shows no bias"
        elif min(biases) > 0 or max(biases) < 0:
            sizes = sorted({_number(abs(bias)) for bias in biases}, key=float)
            amount = " to ".join(dict.fromkeys([sizes[0], sizes[-1]]))
            found = f"is {amount} nats too {'high' if biases[0] > 0 else 'low'}"
        else:
            found = f"is from {_nats(-min(biases))} too low to {_nats(max(biases))} too high"
        if self.samples == 1:
            return f"Absolute log q {found}; how it varies, one sample does not show."
        spread = max(fit.spread for fit in self.experts)
        return f"Absolute log q {found}; from sample to sample it is off by ±{_nats(spread)}."


def _hidden(fit: Fit) -> bool:
    """Whether the fresh estimate's noise hides the spread."""
    return fit.spread < fit.spread_error


def _number(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"


def _nats(value: float) -> str:
    return f"{_number(value)} nats"


def _samples(count: int) -> str:
    return "1 sample was" if count == 1 else f"{count:,} samples were"


def compare_densities(
    tracked: np.ndarray, fresh: Likelihoods, level: float, titles: Sequence[str] | None = None
) -> DensityCheck:
    """The fit of tracked log-densities to fresh ones of the same samples at the same level.

    Args:
        tracked: log q by a run, [experts, samples], nats.
        fresh: of the same samples; what is not finite in either is left out and counted.
        level: of noise, at which both stand.
        titles: of the experts; None for "expert 1" and so on.

    Raises:
        SuperDiffError: where no sample is finite in both.
    """
    paths = fresh.paths.double().cpu().numpy()
    if tracked.shape != paths.shape[1:]:
        raise SuperDiffError(
            f"The tracked log-densities have the shape {tracked.shape} and the fresh ones {paths.shape[1:]}; both must "
            "be of the same experts and samples."
        )
    kept = np.isfinite(tracked).all(0) & np.isfinite(paths).all((0, 1))
    if not kept.any():
        raise SuperDiffError("No sample has finite log-densities both by the run and afresh, so there is no fit.")
    tracked, paths = tracked[:, kept].astype(float), paths[:, :, kept]
    count = len(tracked)
    return DensityCheck(
        level=level,
        paths=len(paths),
        samples=tracked.shape[1],
        left_out=len(kept) - tracked.shape[1],
        titles=[f"expert {place + 1}" for place in range(count)] if titles is None else list(titles),
        experts=[_fit((i,), tracked[i], paths[:, i]) for i in range(count)],
        differences=[
            _fit((i, j), tracked[i] - tracked[j], paths[:, i] - paths[:, j]) for i, j in combinations(range(count), 2)
        ],
        tracked=tracked,
        fresh=paths.mean(0),
    )


def _fit(experts: tuple[int, ...], tracked: np.ndarray, paths: np.ndarray) -> Fit:
    """That of tracked values [samples] to those of each path [paths, samples]."""
    fresh = paths.mean(0)
    wrong = tracked - fresh
    samples, nan = len(wrong), math.nan
    known = len(paths) > 1
    noise = paths.var(0, ddof=1) / len(paths) if known else np.zeros(samples)
    spread = bias_error = spread_error = nan
    if samples > 1:
        # The mean of these terms is the variance without the noise, and their scatter says how well it is known.
        terms = (wrong - wrong.mean()) ** 2 * samples / (samples - 1) - noise
        variance, error = terms.mean(), terms.std(ddof=1) / math.sqrt(samples)
        bias_error = wrong.std(ddof=1) / math.sqrt(samples)
        spread = math.sqrt(max(variance, 0.0))
        spread_error = math.sqrt(max(variance, 0.0) + error) - spread
    return Fit(
        experts=experts,
        bias=float(wrong.mean()),
        bias_error=float(bias_error),
        spread=float(spread),
        spread_error=float(spread_error),
        noise=math.sqrt(noise.mean()) if known else nan,
        rank_correlation=rank_correlation(tracked, fresh),
    )


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation of two rows of values: that of their ranks, where equal values share the mean of theirs.

    NaN for fewer than 3 values, or where all values of a row are equal.
    """
    if len(first) < FEWEST_RANKED:
        return math.nan
    ranks = np.stack([_ranks(first), _ranks(second)])
    if (np.ptp(ranks, axis=1) == 0).any():
        return math.nan
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]


class Checking(Estimation):
    """A run's own samples estimated afresh, as a piece of work with progress and cancel; `check` is what comes of it.

    Args:
        run: the result of a run whose log-densities were followed.
        paths: of fresh noise for each sample; at least 2, or its noise is not known.
        steps: of noise levels, a multiple of four.
        most: samples to check, the first ones; None for all.

    Raises:
        SuperDiffError: where the run's log-densities were not followed, or it made no step.
    """

    def __init__(self, run: Result, paths: int = PATHS, steps: int = STEPS, most: int | None = None) -> None:
        if not np.any(run.log_density):
            raise SuperDiffError(
                "This run did not follow its log-densities, so there is nothing to check; run it again with an "
                "estimator of log-densities."
            )
        if run.index == 0 and not run.complete:
            raise SuperDiffError(
                "This run stopped before its first step, where log q is that of the noise; there is nothing to check."
            )
        super().__init__(run.recipe, run, steps, paths, most=most)
        self.titles = list(run.titles)
        self._tracked, self._names = run.log_density, list(run.titles)

    @property
    def check(self) -> DensityCheck | None:
        """The fit; None before it is done, or where it was cancelled.

        Raises:
            SuperDiffError: where no sample has finite log-densities.
        """
        if self.result is None or self.level is None:
            return None
        return compare_densities(self._tracked, self.result, self.level, self._names)


def check_densities(
    result: Result,
    paths: int = PATHS,
    steps: int = STEPS,
    most: int | None = None,
    report: Callable[[float], None] | None = None,
) -> DensityCheck:
    """Estimate a run's own samples afresh along independent noise, and say how far its log-densities are from that.

    Takes about `paths` runs of `steps` steps. The noise has `estimation.fresh_seed` of the run's seed, so that it is
    never the run's. To cancel from another thread, execute a `Checking`.

    Args:
        result: of a run; its samples, and their log-densities at its last level.
        paths: of fresh noise for each sample; at least 2, or its noise is not known and stays in the spread.
        steps: of noise levels, a multiple of four.
        most: samples to check, the first ones; None for all.
        report: called after every step with the share that is done, 0 to 1; what it raises ends the work.

    Raises:
        SuperDiffError: where log-densities were not followed, nothing is finite, or the numbers do not fit.
    """
    checking = Checking(result, paths, steps, most)
    checking.execute(report)
    if checking.check is None:  # a signal broke its loading off
        raise SuperDiffError("The check was cancelled.")
    return checking.check
