"""The files of a record: samples as NPZ, the trace as Parquet and as CSV."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..domain import Result
from ..trace import Trace

#: The file of a record that holds the kept previews, and what else the page shows beyond samples and trace.
REPLAY = "replay.npz"


def trace_parquet(trace: Trace) -> bytes:
    """The trace as a Parquet table: step, level, expert, sample (-1: the mean over all), log_density, weight."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(trace_columns(trace)), buffer, compression="zstd")
    return buffer.getvalue()


def trace_columns(trace: Trace) -> dict[str, np.ndarray]:
    """The trace in long form, one row a step, expert and sample; sample -1 is the mean over all samples."""
    curves = trace.curves()
    log_density = np.concatenate([curves.mean_log_density[:, :, None], curves.log_density], axis=2)
    weights = np.concatenate([curves.mean_weights[:, :, None], curves.weights], axis=2)
    steps, experts, samples = log_density.shape
    shape = (steps, experts, samples)

    def spread(values: np.ndarray, axis: int) -> np.ndarray:
        view: list[slice | None] = [None, None, None]
        view[axis] = slice(None)
        return np.broadcast_to(values[tuple(view)], shape).ravel()

    return {
        "step": spread(curves.index, 0),
        "level": spread(curves.level, 0),
        "expert": spread(np.arange(experts), 1),
        "sample": spread(np.arange(-1, samples - 1), 2),
        "log_density": log_density.ravel(),
        "weight": weights.ravel(),
    }


def trace_csv(trace: Trace) -> bytes:
    """The trace as CSV, with the columns of `trace_columns`; experts and samples count from 0."""
    columns = trace_columns(trace)
    text = io.StringIO()
    np.savetxt(
        text,
        np.column_stack(list(columns.values())),
        fmt=["%d", "%.9g", "%d", "%d", "%.9g", "%.9g"],
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
