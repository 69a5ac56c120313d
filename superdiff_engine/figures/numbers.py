"""The numbers of a chart as CSV. In all of them samples and experts count from 0, and no name stands that was typed."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from ..trace import Curves
from .quantities import THIN_CURVES, Quantity, select


def curves_csv(curves: Curves, quantity: Quantity, *, component: str | None = None, sample: int | None = None) -> bytes:
    """What a chart of curves shows: a row a step, with its level, each expert's mean, and the single samples behind it.

    Args:
        curves: of a trace.
        quantity: which.
        component: the part of the log-density; None for their sum.
        sample: this sample alone.
    """
    means, singles = select(curves, quantity, component)
    experts = range(means.shape[1])
    head, columns = ["step", "level"], [curves.index.astype(float), curves.level]
    if sample is not None:
        head += [f"{quantity}_of_expert_{expert}_sample_{sample}" for expert in experts]
        columns += [singles[:, expert, sample] for expert in experts]
        return _csv(head, columns)
    head += [f"mean_{quantity}_of_expert_{expert}" for expert in experts]
    columns += [means[:, expert] for expert in experts]
    for expert in experts:
        for number in range(min(THIN_CURVES, singles.shape[2])):
            head.append(f"{quantity}_of_expert_{expert}_sample_{number}")
            columns.append(singles[:, expert, number])
    return _csv(head, columns)


def effective_csv(curves: Curves, particles: int) -> bytes:
    """Effective sample sizes of a corrected run in % of a group, a row a step: the median, then the groups.

    Args:
        curves: of a trace.
        particles: of a group.
    """
    share = 100 * curves.effective / particles
    head = ["step", "level", "median_percent", *(f"percent_of_group_{group}" for group in range(share.shape[1]))]
    return _csv(head, [curves.index.astype(float), curves.level, np.median(share, 1), *share.T])


def pairs_csv(names: tuple[str, str], pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> bytes:
    """One quantity of the samples against another: expert (or the number of what else there is), sample, both.

    Args:
        names: of the two columns, such as "estimated".
        pairs: ([n], [n]) of each expert.
    """
    groups = [np.full(len(first), float(number)) for number, (first, _) in enumerate(pairs)]
    samples = [np.arange(len(first), dtype=float) for first, _ in pairs]
    columns = [groups, samples, [first for first, _ in pairs], [second for _, second in pairs]]
    return _csv(["curve_from_0", "sample_from_0", *names], [np.concatenate(column) for column in columns])


def table_csv(values: np.ndarray, head: str = "") -> bytes:
    """A table of numbers, rows as they are, below a head if there is one; an empty place has no number."""
    lines = [head] if head else []
    lines += [",".join("" if np.isnan(value) else f"{value:.9g}" for value in row) for row in np.asarray(values, float)]
    return ("\n".join(lines) + "\n").encode()


def _csv(head: Sequence[str], columns: Sequence[np.ndarray]) -> bytes:
    text = io.StringIO()
    whole = np.column_stack([np.asarray(column, float) for column in columns])
    np.savetxt(text, whole, fmt="%.9g", delimiter=",", header=",".join(head), comments="")
    return text.getvalue().encode()
