"""The files of a record: samples as NPZ, the trace as Parquet and as CSV."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..result import Result
from ..trace import Trace

#: The file of a record that holds the kept previews, and what else the page shows beyond samples and trace.
REPLAY = "replay.npz"


def trace_parquet(trace: Trace, result: Result[Any] | None = None) -> bytes:
    """The trace as a Parquet table: step, level, expert, sample (-1: the mean over all), log_density, weight, and of a
    corrected run's result what `trace_columns` adds.
    """
    buffer = io.BytesIO()
    pq.write_table(pa.table(trace_columns(trace, result)), buffer, compression="zstd")
    return buffer.getvalue()


def trace_columns(trace: Trace, result: Result[Any] | None = None) -> dict[str, np.ndarray]:
    """The trace in long form, one row a step, expert and sample; sample -1 is the mean over all samples.

    Args:
        trace: of a run.
        result: of the same run. Of a corrected one also `importance`, what the sample at the end of this curve counts
            for in the run (1 for sample -1, which stands for all), and `effective`, the effective sample size of its
            group at this step in particles, before resampling (for sample -1 the mean over the groups).
    """
    curves = trace.curves()
    log_density = np.concatenate([curves.mean_log_density[:, :, None], curves.log_density], axis=2)
    weights = np.concatenate([curves.mean_weights[:, :, None], curves.weights], axis=2)
    steps, experts, samples = log_density.shape
    shape = (steps, experts, samples)

    def spread(values: np.ndarray, axis: int) -> np.ndarray:
        view: list[slice | None] = [None, None, None]
        view[axis] = slice(None)
        return np.broadcast_to(values[tuple(view)], shape).ravel()

    columns = {
        "step": spread(curves.index, 0),
        "level": spread(curves.level, 0),
        "expert": spread(np.arange(experts), 1),
        "sample": spread(np.arange(-1, samples - 1), 2),
        "log_density": log_density.ravel(),
        "weight": weights.ravel(),
    }
    if result is not None and result.importance is not None:
        columns["importance"] = spread(np.append(1.0, result.importance[: samples - 1]), 2)
        if curves.effective.size:
            groups = np.arange(samples - 1) // result.recipe.group
            effective = np.column_stack([curves.effective.mean(1), curves.effective[:, groups]])
            columns["effective"] = np.broadcast_to(effective[:, None], shape).ravel()
    return columns


def lineage_csv(result: Result[Any]) -> bytes:
    """The ancestors of a corrected run's final samples as CSV, a row for each resampling and sample.

    Columns: step and level of the resampling; the final sample; the place that its ancestor had before it; what the
    sample counts for in the run. Samples and places count from 0. Where a run has had more resamplings than are kept,
    neighbours stand as one, at the later step.
    """
    trace = result.trace
    curves, resamplings = trace.curves(), trace.resamplings
    importance = np.ones(result.log_density.shape[1]) if result.importance is None else result.importance
    samples = np.arange(len(importance))
    levels = dict(zip(curves.marks.tolist(), curves.mark_levels.tolist(), strict=True))
    blocks, places = [], samples
    for one in reversed(resamplings):
        places = one.parents[places]
        step, level = np.full(len(samples), one.index), np.full(len(samples), levels.get(one.index, np.nan))
        blocks.append(np.column_stack([step, level, samples, places, importance]))
    text = io.StringIO()
    head = "step,level,sample_from_0,ancestor_from_0,importance"
    np.savetxt(
        text,
        np.concatenate(blocks[::-1]) if blocks else np.zeros((0, 5)),
        fmt=["%d", "%.9g", "%d", "%d", "%.9g"],
        delimiter=",",
        header=head,
        comments="",
    )
    return text.getvalue().encode()


def trace_csv(trace: Trace, result: Result[Any] | None = None) -> bytes:
    """The trace as CSV, with the columns of `trace_columns`; experts and samples count from 0."""
    columns = trace_columns(trace, result)
    text = io.StringIO()
    np.savetxt(
        text,
        np.column_stack(list(columns.values())),
        fmt=["%d", "%.9g", "%d", "%d", *["%.9g"] * (len(columns) - 4)],
        delimiter=",",
        # Said where it is read: samples and experts count from 0, and sample -1 is the mean over all.
        header=",".join({"expert": "expert_from_0", "sample": "sample_from_0"}.get(name, name) for name in columns),
        comments="",
    )
    return text.getvalue().encode()


def samples_npz(result: Result) -> bytes:
    """Samples, denoised means, what these stand for, final log-densities, weights, the recipe: an NPZ, no pickles.

    Of a corrected run also `importance`, what each sample counts for.
    """
    buffer = io.BytesIO()
    arrays = {f"samples_{name}": value for name, value in result.samples.items()}
    arrays |= {f"denoised_{name}": value for name, value in result.denoised.items()}
    if result.decoded is not None:
        arrays |= result.decoded.arrays()
    if result.importance is not None:
        arrays["importance"] = result.importance
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        log_density=result.log_density,
        weights=result.weights,
        level=np.array(result.level),
        recipe=np.array(result.recipe.to_json()),
        **arrays,
    )
    return buffer.getvalue()
