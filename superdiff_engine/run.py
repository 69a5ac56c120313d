"""From a recipe to a record on disk: load the experts, walk the loop, keep the trace, save, stop when asked.

A run's folder holds recipe.json, trace.parquet, replay.npz, samples.npz, preview.png, run.log and, last of all,
status.json; records.py reads it back.
Every file is written beside its place and moved there whole, so a file that is there is complete; status.json says
whether the run is.
"""

from __future__ import annotations

import io
import json
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from .devices import check_dtype, resolve_device
from .domains import Prepared, get_domain
from .downloads import DownloadStopped
from .errors import OutputError, SuperDiffError
from .files import write_whole
from .noise import karras_levels, log_levels
from .recipe import Recipe
from .sample import Step, sample
from .texts import visible
from .trace import Frame, Trace, replay_npz
from .work import Work

#: Seconds between two previews: quick enough for four updates a second, rare enough to cost nothing.
PREVIEW_SECONDS = 0.2
#: Seconds between two copies of a running trace on disk.
CHECKPOINT_SECONDS = 30.0
PREVIEWED_SAMPLES = 512
#: The file of a record that holds the kept previews, and what else the page shows beyond samples and trace.
REPLAY = "replay.npz"


@dataclass(frozen=True)
class Result:
    """What a run made; of a cancelled or failed run, what it had made by then.

    samples: y at the last level, by component ("x" when there is only one), [batch, ...]; denoised: the weighted
    denoised mean, likewise; decoded: what it stands for ("pictures", say), empty where it is that already or could not
    be decoded; log_density and weights: [experts, batch]; level: where the samples stand.
    """

    recipe: Recipe
    samples: dict[str, np.ndarray]
    denoised: dict[str, np.ndarray]
    decoded: dict[str, np.ndarray]
    log_density: np.ndarray
    weights: np.ndarray
    level: float
    index: int
    complete: bool
    seconds: float
    trace: Trace
    titles: list[str]


class Run(Work):
    """One run of one recipe: `execute` does the work, in whatever thread calls it; the rest may be read from any.

    Args:
        recipe: what to do.
        folder: where to keep the record; None keeps it in memory only.
        previews: whether to make live previews.
    """

    def __init__(self, recipe: Recipe, folder: Path | None = None, previews: bool = True) -> None:
        super().__init__(recipe, folder)
        self.result: Result | None = None
        self.trace = Trace(recipe.levels.steps, len(recipe.experts), recipe.batch)
        self.titles = [expert.model for expert in recipe.experts]
        self._previews = previews
        self._own_notes: list[str] = []

    @property
    def fraction(self) -> float:
        """The share of the steps that are done, 0 to 1."""
        return len(self.trace) / (self.recipe.levels.steps + 1)

    @property
    def eta(self) -> float | None:
        """Seconds still to go, by the pace so far; None before there is a pace."""
        done = len(self.trace)
        if done < 2 or self._ended is not None:
            return None
        return self.seconds / done * (self.recipe.levels.steps + 1 - done)

    def execute(self, on_step: Callable[[Step], None] | None = None) -> Result | None:
        """Do the run. Returns the result (None if it was cancelled before the first step).

        Raises:
            SuperDiffError: what was wrong, in a sentence, after saving what was made; `state` is then "failed".
        """
        log: list[str] = [f"run {self.id}", f"torch {torch.__version__}"]
        last: Step | None = None
        try:
            if self.folder is not None:
                make_folder(self.folder)
                write_whole(self.folder / "recipe.json", self.recipe.to_json().encode())
            last = self._walk(on_step, log)
            self.state = "cancelled" if self._cancel.is_set() and not self._complete(last) else "done"
        except DownloadStopped as stopped:
            self.state, self.message = "cancelled", str(stopped)
        except BaseException as error:
            self.state = "failed"
            self.message = str(error) if isinstance(error, SuperDiffError) else _explain(error)
            log.append(traceback.format_exc())
            if isinstance(error, SuperDiffError) or not isinstance(error, Exception):
                raise
            raise SuperDiffError(self.message) from error
        finally:
            self._ended = time.monotonic()
            last = self._last if last is None else last
            if last is not None:
                self.result = self._make_result(last, log)
            # A finished run is kept for a while: its notes stay, its networks may go.
            self._own_notes, self._experts = self.notes, ()
            log += self._own_notes
            try:
                self._save(log)
            except SuperDiffError as error:
                # A failed run keeps its own reason; a finished one that cannot be saved says so, and stays in memory.
                if self.state != "failed":
                    self.state, self.message = "failed", str(error)
                    raise
            finally:
                self.finished.set()
        return self.result

    _last: Step | None = None
    _experts: Sequence[Any] = ()

    def _complete(self, step: Step | None) -> bool:
        return step is not None and step.index == self.recipe.levels.steps

    def _walk(self, on_step: Callable[[Step], None] | None, log: list[str]) -> Step | None:
        recipe = self.recipe
        with self._loading():
            device = resolve_device(recipe.device)
            check_dtype(recipe.dtype, device)
            domain = get_domain(recipe.domain)
            prepared = domain.prepare(recipe, device)
        experts = self._experts = prepared.experts
        self.titles = [getattr(expert, "title", title) for expert, title in zip(experts, self.titles, strict=True)]
        levels = make_levels(recipe, domain.level_range(experts))
        log.append(f"device {device}, levels {levels[0]:.6g} to {levels[-1]:.6g}")
        threads = torch.get_num_threads() if domain.threads is None or device != "cpu" else domain.threads
        with _threads(threads):
            return self._steps(prepared, levels, device, on_step)

    def _steps(
        self, prepared: Prepared, levels: torch.Tensor, device: str, on_step: Callable[[Step], None] | None
    ) -> Step | None:
        recipe, domain, experts = self.recipe, get_domain(self.recipe.domain), prepared.experts
        self.state = "running"
        self._started = time.monotonic()
        previewed = saved = -float("inf")
        for step in sample(
            experts,
            recipe.operator.build(),
            domain.component_levels(levels),
            batch=recipe.batch,
            seed=recipe.seed,
            estimator=recipe.estimator,
            solver=recipe.solver,
            space=domain.space(experts),
            guidance=prepared.guidance,
            per_component=recipe.per_component,
            noise_scale=recipe.noise_scale,
            device=device,
        ):
            self._last = step
            self.trace.append(step)
            now = time.monotonic()
            if self._previews and (now - previewed >= PREVIEW_SECONDS or self._complete(step)):
                previewed = now
                preview = domain.preview(step, experts, PREVIEWED_SAMPLES)
                self.trace.add_frame(Frame(step.index, step.level, preview))
            if self.folder is not None and now - saved >= CHECKPOINT_SECONDS:
                if saved > 0:
                    write_whole(self.folder / "trace.parquet", trace_parquet(self.trace))
                saved = now
            if on_step is not None:
                on_step(step)
            if self._cancel.is_set():
                break
        return self._last

    @property
    def notes(self) -> list[str]:
        """What the user should know of this run so far, in sentences."""
        return get_domain(self.recipe.domain).notes(self._experts) + self._own_notes

    def _decode(self, step: Step, log: list[str]) -> dict[str, np.ndarray]:
        try:
            return get_domain(self.recipe.domain).decode(step, self._experts)
        except Exception as error:  # the samples themselves are there, and are kept
            log.append(traceback.format_exc())
            reason = str(error) if isinstance(error, SuperDiffError) else _explain(error)
            self._own_notes.append(f"The samples could not be decoded: {reason}")
            return {}

    def _make_result(self, step: Step, log: list[str]) -> Result:
        return Result(
            recipe=self.recipe,
            samples=_as_arrays(step.samples),
            denoised=_as_arrays(step.denoised),
            decoded=self._decode(step, log),
            log_density=step.log_density.cpu().numpy(),
            weights=step.weights.double().cpu().numpy(),
            level=step.level,
            index=step.index,
            complete=self._complete(step),
            seconds=self.seconds,
            trace=self.trace,
            titles=self.titles,
        )

    def _save(self, log: list[str]) -> None:
        if self.folder is None or not self.folder.is_dir():
            return
        if len(self.trace):
            write_whole(self.folder / "trace.parquet", trace_parquet(self.trace))
            write_whole(self.folder / REPLAY, replay_npz(self.trace))
        if self.result is not None:
            write_whole(self.folder / "samples.npz", samples_npz(self.result))
            preview = get_domain(self.recipe.domain).preview_png(self.result)
            if preview is not None:
                write_whole(self.folder / "preview.png", preview)
        log.append(f"{self.state} after {len(self.trace)} levels, {self.seconds:.3f} s {self.message}")
        write_whole(self.folder / "run.log", (visible("\n".join(log)) + "\n").encode())
        status = {
            "id": self.id,
            "state": self.state,
            "message": self.message,
            "levels": len(self.trace),
            "seconds": round(self.seconds, 3),
            "titles": self.titles,
            "notes": self._own_notes,
        }
        write_whole(self.folder / "status.json", (json.dumps(status, indent=2) + "\n").encode())


def make_levels(recipe: Recipe, bounds: tuple[float, float]) -> torch.Tensor:
    """The recipe's grid of levels, with the experts' own (lowest, highest) where the recipe leaves them open."""
    grid = recipe.levels
    lowest = bounds[0] if grid.lowest is None else grid.lowest
    highest = bounds[1] if grid.highest is None else grid.highest
    if lowest >= highest:
        raise SuperDiffError(f"The lowest level ({lowest:g}) must lie below the highest ({highest:g}).")
    if grid.spacing == "log":
        return log_levels(grid.steps, highest, lowest)
    return karras_levels(grid.steps, highest, lowest, grid.rho)


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
    """The trace as CSV, with the columns of `trace_columns`."""
    columns = trace_columns(trace)
    text = io.StringIO()
    np.savetxt(
        text,
        np.column_stack(list(columns.values())),
        fmt=["%d", "%.9g", "%d", "%d", "%.9g", "%.9g"],
        delimiter=",",
        header=",".join(columns),
        comments="",
    )
    return text.getvalue().encode()


def samples_npz(result: Result) -> bytes:
    """Samples, denoised means, what these stand for, final log-densities, weights, the recipe: an NPZ, no pickles."""
    buffer = io.BytesIO()
    arrays = {f"samples_{name}": value for name, value in result.samples.items()}
    arrays |= {f"denoised_{name}": value for name, value in result.denoised.items()} | result.decoded
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


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch compute with so many CPU threads in this block; the number is the process's, so it is put back."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _as_arrays(state: Any) -> dict[str, np.ndarray]:
    components = state if isinstance(state, dict) else {"x": state}
    return {name: value.detach().cpu().numpy() for name, value in components.items()}


def make_folder(folder: Path) -> None:
    """Make a run's folder; raises OutputError when it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "run.log", b"")
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be written: {error.strerror}. Choose another one.") from error


def _explain(error: BaseException) -> str:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return "The device ran out of memory; use a smaller batch, or float16 on a GPU."
    if isinstance(error, KeyboardInterrupt):
        return "The run was interrupted."
    return f"The run stopped on an unexpected error ({type(error).__name__}: {error}); run.log holds the details."
