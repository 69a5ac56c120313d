"""The record of a run while it happens: one thread appends steps, others read thinned snapshots.

Memory: scalars only. For every step the trace keeps the log-densities and weights of the first few samples and the
means over all of them; of the samples themselves it keeps the latest preview and a bounded number of frames.

Where particles are resampled (`correction`) the curves are those of the survivors: a particle that was copied has its
parent's past. So the columns hold more samples than are shown, as many as a survivor's parent may be among.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

import numpy as np

from .arrays import PreviewT
from .correction import normalised
from .sampling import Step

#: How many samples' own curves are kept.
TRACED_SAMPLES = 64
#: How many previews are kept to be played back; when full, every other one is dropped.
MOST_FRAMES = 60
#: Bytes of previews that a record on disk keeps, about.
MOST_REPLAY = 4 * 1024**2
#: Numbers of curves that are kept, so that survivors can be followed back; and resamplings whose parents are.
MOST_FOLLOWED = 2**23
MOST_RESAMPLINGS = 128


@dataclass(frozen=True)
class Curves:
    """A snapshot of the trace, k steps of it.

    index [k]; level [k]; log_density and weights [k, experts, traced samples]; mean_log_density and mean_weights
    [k, experts], means over all samples; components and component_weights: the same of each component's part of the
    log-density, and of its weights, where there are several. Log-densities are in nats, in canonical coordinates.
    effective: the effective sample sizes of the first groups of particles, [k, groups], in particles; no groups without
    a correction. Means are weighted where particles are. marks [n] and mark_levels [n]: the steps at which particles
    were resampled, and their levels; none are thinned away.
    """

    index: np.ndarray
    level: np.ndarray
    log_density: np.ndarray
    weights: np.ndarray
    mean_log_density: np.ndarray
    mean_weights: np.ndarray
    components: dict[str, np.ndarray] = field(default_factory=dict)
    component_weights: dict[str, np.ndarray] = field(default_factory=dict)
    effective: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    marks: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    mark_levels: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, eq=False)
class Resampling:
    """Particles drawn anew.

    Attributes:
        index: of the step at whose level it was.
        parents: the place that each particle had before, int64 [batch].
    """

    index: int
    parents: np.ndarray

    def after(self, earlier: Resampling) -> Resampling:
        """Both as one."""
        return Resampling(self.index, earlier.parents[self.parents])


@dataclass(frozen=True)
class Frame(Generic[PreviewT]):
    """A preview with the step and level at which it was taken."""

    index: int
    level: float
    preview: PreviewT


class Trace:
    """Columns that grow by one row a step. Safe to read from other threads while one thread appends.

    Args:
        steps: of the run.
        experts: of the run.
        batch: samples of the run.
        groups: of particles; 0 without a correction.
    """

    def __init__(self, steps: int, experts: int, batch: int, groups: int = 0) -> None:
        kept = min(batch, TRACED_SAMPLES)
        if groups:
            kept = min(batch, max(kept, MOST_FOLLOWED // ((steps + 1) * experts)))
        self._effective = np.zeros((steps + 1, min(groups, TRACED_SAMPLES)))
        self._resamplings: list[Resampling] = []
        self._marks: list[int] = []
        self._lock = threading.Lock()
        self._rows = 0
        self._index = np.zeros(steps + 1, np.int64)
        self._level = np.zeros(steps + 1)
        self._log_density = np.zeros((steps + 1, experts, kept), np.float32)
        self._weights = np.zeros((steps + 1, experts, kept), np.float32)
        self._mean_log_density = np.zeros((steps + 1, experts))
        self._mean_weights = np.zeros((steps + 1, experts))
        self._components: dict[str, np.ndarray] = {}
        self._component_weights: dict[str, np.ndarray] = {}
        self._frames: list[Frame[Any]] = []
        self._stride = 1
        self._offered = 0
        self._latest: Frame[Any] | None = None

    @classmethod
    def restored(
        cls,
        curves: Curves,
        frames: list[Frame[Any]],
        resamplings: Sequence[Resampling] = (),
        marks: Sequence[int] = (),
    ) -> Trace:
        """The trace of a run that has ended, from what was kept of it: all its steps, and previews in their order."""
        steps, experts, samples = curves.log_density.shape
        trace = cls(steps - 1, experts, samples)
        trace._rows = steps
        trace._components, trace._component_weights = dict(curves.components), dict(curves.component_weights)
        trace._index, trace._level = curves.index, curves.level
        trace._log_density, trace._weights = curves.log_density, curves.weights
        trace._mean_log_density, trace._mean_weights = curves.mean_log_density, curves.mean_weights
        trace._effective = curves.effective if len(curves.effective) == steps else np.zeros((steps, 0))
        trace._resamplings, trace._marks = list(resamplings), list(marks)
        trace._frames, trace._latest = list(frames), frames[-1] if frames else None
        return trace

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._rows

    @property
    def traced(self) -> int:
        """Of how many samples, the first ones, there are curves."""
        return min(self._log_density.shape[2], TRACED_SAMPLES)

    @property
    def marks(self) -> list[int]:
        """The indices of the steps at which particles were resampled."""
        with self._lock:
            return list(self._marks)

    @property
    def resamplings(self) -> list[Resampling]:
        """Them, oldest first; where there are many, neighbours are joined to one."""
        with self._lock:
            return list(self._resamplings)

    def ancestor(self, index: int, sample: int) -> int | None:
        """The place that the ancestor of a final sample had at step `index`, after any resampling there.

        Frames of that step have it in this row; a sample is its own ancestor where nothing was resampled since. None
        where that is not known any more: neighbouring resamplings were joined over this step.
        """
        found = self.ancestors(index, np.array([sample]))
        return None if found is None else int(found[0])

    def ancestors(self, index: int, samples: np.ndarray) -> np.ndarray | None:
        """The same of several final samples at once, int64 [n]; None where it is not known of any."""
        with self._lock:
            later = [one for one in self._resamplings if one.index > index]
            before = max((one.index for one in self._resamplings if one.index <= index), default=-1)
            if any(before < mark <= index for mark in self._marks):
                return None
        for one in reversed(later):
            samples = one.parents[samples]
        return samples

    def append(self, step: Step) -> None:
        """Add one step's scalars."""
        log_density = step.log_density.cpu().numpy()
        weights = step.weights.double().cpu().numpy()
        kept = self._log_density.shape[2]
        parts = step.component_log_density if len(step.component_log_density) > 1 else {}
        share = None
        if step.log_importance is not None:
            groups = 1 if step.effective is None else len(step.effective)
            share = normalised(step.log_importance, len(step.log_importance) // groups).numpy()

        def mean(values: Any) -> Any:
            array = values.double().cpu().numpy()
            return array.mean(1) if share is None else array @ share

        with self._lock:
            row = self._rows
            if step.parents is not None:
                self._follow(Resampling(step.index, step.parents.numpy()))
            if step.effective is not None:
                self._effective[row] = step.effective.numpy()[: self._effective.shape[1]]
            for name, values in parts.items():
                column = self._components.setdefault(name, np.zeros(self._mean_log_density.shape))
                column[row] = mean(values)
                column = self._component_weights.setdefault(name, np.zeros(self._mean_weights.shape))
                column[row] = mean(step.component_weights[name])
            self._index[row], self._level[row] = step.index, step.level
            self._log_density[row] = log_density[:, :kept]
            self._weights[row] = weights[:, :kept]
            self._mean_log_density[row] = mean(step.log_density)
            self._mean_weights[row] = mean(step.weights)
            self._rows += 1

    def _follow(self, resampling: Resampling) -> None:
        """Give every survivor its parent's past."""
        self._marks.append(resampling.index)
        self._resamplings.append(resampling)
        if len(self._resamplings) > MOST_RESAMPLINGS:
            one = self._resamplings
            self._resamplings = [later.after(earlier) for earlier, later in zip(one[::2], one[1::2], strict=False)]
            self._resamplings += one[2 * (len(one) // 2) :]
        kept = self._log_density.shape[2]
        parents = resampling.parents[:kept]
        known = parents < kept
        for column in (self._log_density, self._weights):
            past = column[: self._rows]
            past[:] = np.where(known, past[:, :, np.where(known, parents, 0)], np.nan)

    def add_frame(self, frame: Frame[Any]) -> None:
        """Make `frame` the latest preview, and keep it for playback if its turn has come."""
        with self._lock:
            self._latest = frame
            if self._offered % self._stride == 0:
                self._frames.append(frame)
            self._offered += 1
            if len(self._frames) > MOST_FRAMES:
                self._frames = self._frames[::2]
                self._stride *= 2

    @property
    def latest(self) -> Frame[Any] | None:
        """The newest preview."""
        with self._lock:
            return self._latest

    @property
    def frames(self) -> list[Frame[Any]]:
        """The kept previews, oldest first, ending with the newest."""
        with self._lock:
            frames = list(self._frames)
            if self._latest is not None and (not frames or frames[-1] is not self._latest):
                frames.append(self._latest)
            return frames

    def curves(self, most: int | None = None) -> Curves:
        """A copy of the rows so far, thinned to about `most` of them (the last row is always in it)."""
        with self._lock:
            rows = np.arange(self._rows)
            if most is not None and self._rows > most:
                rows = np.unique(np.linspace(0, self._rows - 1, most).round().astype(int))
            # A record may be damaged: a mark beyond its steps marks nothing.
            marks = np.array([mark for mark in self._marks if mark < self._rows], np.int64)
            return Curves(
                self._index[rows],
                self._level[rows],
                self._log_density[rows, :, :TRACED_SAMPLES],
                self._weights[rows, :, :TRACED_SAMPLES],
                self._mean_log_density[rows],
                self._mean_weights[rows],
                {name: column[rows] for name, column in self._components.items()},
                {name: column[rows] for name, column in self._component_weights.items()},
                self._effective[rows],
                marks,
                self._level[np.searchsorted(self._index[: self._rows], marks)],
            )


def replay_npz(trace: Trace) -> bytes:
    """Previews to be played back, thinned to a few megabytes, and the components' means of a trace, as an NPZ."""
    curves, frames = trace.curves(), trace.frames
    size = sum(frame.preview.nbytes for frame in frames)
    kept = frames[-1:] if frames else []
    # The newest is what the samples are shown with; it always stays.
    stride = max(1, math.ceil(size / MOST_REPLAY))
    kept = [*frames[:-1:stride], *kept]
    arrays: dict[str, np.ndarray] = {
        "index": np.array([frame.index for frame in kept], np.int64),
        "level": np.array([frame.level for frame in kept], np.float64),
    }
    for place, frame in enumerate(kept):
        arrays |= {f"frame_{place}_{name}": value for name, value in frame.preview.arrays().items()}
    arrays |= {f"mean_{name}": values for name, values in curves.components.items()}
    arrays |= {f"weight_{name}": values for name, values in curves.component_weights.items()}
    if curves.effective.size:
        resamplings = trace.resamplings
        arrays |= {
            "correction_effective": curves.effective.astype(np.float32),
            "correction_marks": np.array(trace.marks, np.int64),
            "correction_steps": np.array([one.index for one in resamplings], np.int64),
            "correction_parents": np.array([one.parents for one in resamplings], np.int32),
        }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
