"""A run read back from its folder, so that it can be looked at after the process that made it has ended.

A record may be damaged or forged: nothing is unpickled, every array is bounded before it is unpacked, and its shape
must fit the recipe.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..arrays import Decoded
from ..domains import get_domain
from ..domains.checked import recorded_recipe
from ..errors import NewerError, RecipeError, RecordError, SuperDiffError
from ..recipes.document import Recipe
from ..result import Result
from ..system.files import read_bounded
from ..system.sandbox import LARGEST_RECIPE
from ..trace import TRACED_SAMPLES, Curves, Frame, Resampling, Trace
from .folder import BEGUN, LAYOUT, at_work
from .formats import REPLAY
from .run import Run

#: Bytes that are read of any one file, once unpacked.
MOST_READ = 4 * 1024**3
#: Arrays of so many bytes that are packed more than this are no samples: unpacked, they would fill the memory.
_LARGE, _PACKED = 32 * 1024**2, 200
#: Bytes of status.json that are read; titles of eight experts may each be a long prompt.
_MOST_STATUS = 256 * 1024
_MOST_ID = 100
#: The status of a run that has none and that nobody is at work on.
_BROKEN_OFF: dict[str, Any] = {
    "state": "interrupted",
    "seconds": 0.0,
    "message": "This run was broken off: its program ended before the run had. What it had kept by then is shown.",
    "titles": [],
    "notes": [],
}
_TRACE_COLUMNS = ["step", "level", "expert", "sample", "log_density", "weight"]


class StoredRun(Run):
    """A run that has ended, as its record tells it; it cannot be executed again."""

    def __init__(self, recipe: Recipe, folder: Path, status: dict[str, Any]) -> None:
        super().__init__(recipe, folder, previews=False)
        self.id = folder.name
        self.state, self.message = status["state"], status["message"]
        self.titles = status["titles"] if len(status["titles"]) == len(recipe.experts) else recipe.names
        self.record.notes = list(status["notes"])
        self._seconds: float = status["seconds"]
        self.finished.set()

    @property
    def seconds(self) -> float:
        """Seconds that the run took."""
        return self._seconds

    @property
    def eta(self) -> float | None:
        """None: nothing is to come."""
        return None


def read_record(folder: Path) -> StoredRun:
    """The run whose record is in a folder, with its trace and, if it made any, its samples.

    Raises:
        RecordError: when there is no record, it is damaged, of a later version, or its run is still at work; in one
            sentence.
    """
    if (folder / "grid.json").is_file():
        raise RecordError(f"The folder {folder.name} holds a grid, not a run; its cells are runs of their own.")
    recipe, begun = read_recipe(folder), read_begun(folder)
    status = read_status(folder)
    if status is None and at_work(folder):
        raise RecordError(f"The run {folder.name} has not ended: another process is at work on it.")
    if status is None:
        status = _BROKEN_OFF | {"seconds": _known_seconds(folder, begun["begun"])}
    run = StoredRun(recipe, folder, status)
    run.part_of = begun["part_of"]
    # A part that cannot be read costs that part.
    replay = _Replay([], {}, np.zeros((0, 0)), [], [])
    if (folder / REPLAY).is_file():
        try:
            replay = _read_replay(folder / REPLAY, recipe)
        except RecordError as error:
            run.record.notes.append(str(error))
    if (folder / "trace.parquet").is_file():
        try:
            curves = _read_curves(folder / "trace.parquet", recipe, replay)
            run.trace = Trace.restored(curves, replay.frames, replay.resamplings, replay.marks)
        except RecordError as error:
            run.record.notes.append(str(error))
    if (folder / "samples.npz").is_file():
        try:
            run.result = _read_result(folder / "samples.npz", run)
        except RecordError as error:
            run.record.notes.append(str(error))
    return run


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a record, whose models need not be there any more; raises RecordError."""
    path = folder / "recipe.json"
    if not path.is_file():
        raise RecordError(f"There is no record of a run in {folder}.")
    try:
        return recorded_recipe(read_bounded(path, LARGEST_RECIPE))
    except RecipeError as error:
        raise RecordError(f"recipe.json of the run {folder.name} cannot be read: {error}") from None
    except NewerError:
        raise
    except SuperDiffError as error:
        raise RecordError(f"The recipe {error}") from None


def read_begun(folder: Path) -> dict[str, str]:
    """The id, the time of beginning (ISO 8601) and `part_of` of a record; empty texts where an older one has none.

    Raises:
        NewerError: where the folder is of a later version.
    """
    found: Any = {}
    if (folder / BEGUN).is_file():
        try:
            with (folder / BEGUN).open("rb") as file:
                found = json.loads(file.read(_MOST_STATUS))
        except (OSError, ValueError, RecursionError):
            found = {}
    found = found if isinstance(found, dict) else {}
    layout = found.get("layout", LAYOUT)
    if isinstance(layout, int) and layout > LAYOUT:
        raise NewerError(
            f"The folder {folder.name} is of version {layout}, which a later SuperDiff Studio wrote; this one reads "
            f"version {LAYOUT}. Install a newer one to open it."
        )
    return {name: str(found.get(name, ""))[:_MOST_ID] for name in ("id", "begun", "part_of")}


def read_status(folder: Path) -> dict[str, Any] | None:
    """What status.json says of a run's end; None where there is none. Raises RecordError where it is damaged."""
    path = folder / "status.json"
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MOST_STATUS))
        state, seconds = found["state"], float(found.get("seconds", 0))
        if state not in ("done", "cancelled", "failed") or not math.isfinite(seconds):
            raise ValueError(state)
        if not isinstance(found.get("message", ""), str):
            raise ValueError("a message that is no text")
        return {
            "state": state,
            "seconds": seconds,
            "message": str(found.get("message", "")),
            "titles": [str(title) for title in found.get("titles", [])],
            "notes": [str(note) for note in found.get("notes", [])],
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _damaged(path) from None


def _known_seconds(folder: Path, begun: str) -> float:
    """For how long a run that was broken off is known to have run: until it last copied its curves."""
    try:
        last = (folder / "trace.parquet").stat().st_mtime
        return max(last - datetime.fromisoformat(begun).timestamp(), 0.0)
    except (OSError, ValueError, OverflowError):
        return 0.0


def _damaged(path: Path) -> RecordError:
    return RecordError(f"{path.name} of the run {path.parent.name} is damaged and was left out.")


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an NPZ, none of them pickled; each is as large as its file says, and all are bounded."""
    try:
        found: dict[str, np.ndarray] = {}
        left = MOST_READ
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                left -= member.file_size
                if member.file_size > max(_LARGE, _PACKED * member.compress_size):
                    raise ValueError(member.filename)
                if left < 0 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError(member.filename)
                with archive.open(member) as file:
                    version = np.lib.format.read_magic(file)
                    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                    shape, _, kind = read[version](file)
                # The header is at most as long as the file; numpy would take its word for the memory.
                if kind.hasobject or math.prod(shape) * kind.itemsize > member.file_size:
                    raise ValueError(member.filename)
                with archive.open(member) as file:
                    found[member.filename.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
        return found
    except (OSError, ValueError, KeyError, TypeError, EOFError, SyntaxError, zlib.error, zipfile.BadZipFile):
        raise _damaged(path) from None
    except (NotImplementedError, RuntimeError, RecursionError, MemoryError, OverflowError):
        raise _damaged(path) from None


def _read_result(path: Path, run: Run) -> Result:
    arrays, recipe = _read_arrays(path), run.recipe
    samples: dict[str, np.ndarray] = {}
    denoised: dict[str, np.ndarray] = {}
    try:
        log_density, weights = arrays.pop("log_density"), arrays.pop("weights")
        level, text = float(arrays.pop("level")), str(arrays.pop("recipe"))
        if json.loads(text) != json.loads(recipe.to_json()):
            raise ValueError("the samples of another recipe")
        if log_density.shape != (len(recipe.experts), recipe.batch) or weights.shape != log_density.shape:
            raise ValueError("another number of experts or samples")
        importance = None if recipe.correction is None else arrays.pop("importance")
        if importance is not None and (importance.shape != (recipe.batch,) or importance.dtype.kind != "f"):
            raise ValueError("weights of other samples")
        if importance is not None and not _counts(importance.reshape(-1, recipe.group)):
            raise ValueError("weights of other groups")
        if any(not value.ndim or len(value) != recipe.batch for value in arrays.values()):
            raise ValueError("another number of samples")
        for name in list(arrays):
            kind, _, rest = name.partition("_")
            if kind in ("samples", "denoised"):
                (samples if kind == "samples" else denoised)[rest] = arrays.pop(name)
        decoded = _read_decoded(arrays, recipe)
    except (KeyError, ValueError, TypeError, RecursionError):
        raise _damaged(path) from None
    index = max(len(run.trace) - 1, 0)
    return Result(
        recipe=recipe,
        samples=samples,
        denoised=denoised,
        decoded=decoded,
        log_density=log_density,
        weights=weights,
        level=level,
        index=index,
        complete=run.state == "done",
        seconds=run.seconds,
        trace=run.trace,
        titles=run.titles,
        importance=importance,
    )


def _counts(importance: np.ndarray) -> bool:
    """Whether this may be what samples count for, [groups, particles]: every group the same."""
    return bool((importance >= 0).all() and np.allclose(importance.sum(1), 1 / len(importance), rtol=1e-6, atol=0))


def _read_decoded(arrays: dict[str, np.ndarray], recipe: Recipe) -> Decoded | None:
    """What the samples stand for; raises ValueError where that is not the domain's."""
    if not arrays:
        return None
    kind = get_domain(recipe.domain).decoded_type
    if kind is None:
        raise ValueError("samples that stand for themselves")
    return kind.of(arrays)


@dataclass(frozen=True)
class _Replay:
    """What REPLAY holds: previews, what is known of components by its names in `Curves`, and of resampling."""

    frames: list[Frame]
    components: dict[str, dict[str, np.ndarray]]
    effective: np.ndarray
    resamplings: list[Resampling]
    marks: list[int]


def _read_curves(path: Path, recipe: Recipe, replay: _Replay) -> Curves:
    experts, samples = len(recipe.experts), min(recipe.batch, TRACED_SAMPLES)
    try:
        table = pq.ParquetFile(path)
        levels, rest = divmod(table.metadata.num_rows, experts * (samples + 1))
        if rest or not 0 < levels <= recipe.levels.steps + 1:
            raise ValueError("another number of rows")
        shape = (levels, experts, samples + 1)
        columns = {name: values.to_numpy() for name, values in zip(_TRACE_COLUMNS, _columns(table), strict=True)}
        whole = {name: values.reshape(shape) for name, values in columns.items()}
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException, MemoryError):
        raise _damaged(path) from None

    def fitting(part: str) -> dict[str, np.ndarray]:
        found = replay.components.get(part, {})
        return {name: values for name, values in found.items() if values.shape == (levels, experts)}

    return Curves(
        index=whole["step"][:, 0, 0],
        level=whole["level"][:, 0, 0],
        log_density=whole["log_density"][:, :, 1:],
        weights=whole["weight"][:, :, 1:],
        mean_log_density=whole["log_density"][:, :, 0],
        mean_weights=whole["weight"][:, :, 0],
        components=fitting("components"),
        component_weights=fitting("component_weights"),
        effective=replay.effective if len(replay.effective) == levels else np.zeros((levels, 0)),
    )


def _columns(table: pq.ParquetFile) -> list[pa.ChunkedArray]:
    found = table.read(_TRACE_COLUMNS)
    columns = [found.column(name) for name in _TRACE_COLUMNS]
    if any(not pa.types.is_integer(column.type) and not pa.types.is_floating(column.type) for column in columns):
        raise ValueError("a column that is no number")
    return columns


def _read_replay(path: Path, recipe: Recipe) -> _Replay:
    arrays = _read_arrays(path)
    try:
        indices, levels = arrays.pop("index").tolist(), arrays.pop("level").tolist()
        effective, resamplings, marks = _read_correction(arrays, recipe)
        previews: list[dict[str, np.ndarray]] = [{} for _ in indices]
        components: dict[str, dict[str, np.ndarray]] = {"components": {}, "component_weights": {}}
        for name, value in arrays.items():
            kind, _, rest = name.partition("_")
            if kind in ("mean", "weight"):
                components["components" if kind == "mean" else "component_weights"][rest] = value
            elif kind == "frame":
                place, _, part = rest.partition("_")
                previews[int(place)][part] = value
        if any(not 0 <= index <= recipe.levels.steps for index in indices):
            raise ValueError("a step that is not the recipe's")
        shown = [get_domain(recipe.domain).preview_type.of(preview) for preview in previews]
        frames = [Frame(*each) for each in zip(indices, levels, shown, strict=True)]
    except (KeyError, ValueError, TypeError, IndexError, AttributeError):
        raise _damaged(path) from None
    return _Replay(frames, components, effective, resamplings, marks)


def _read_correction(arrays: dict[str, np.ndarray], recipe: Recipe) -> tuple[np.ndarray, list[Resampling], list[int]]:
    """(effective sample sizes, resamplings, their marks), taken out of `arrays`; raises ValueError."""
    found = {name: arrays.pop(name) for name in list(arrays) if name.startswith("correction_")}
    if not found:
        return np.zeros((0, 0)), [], []
    effective, parents = found["correction_effective"], found["correction_parents"]
    steps, marks = found["correction_steps"].tolist(), found["correction_marks"].tolist()
    if effective.ndim != 2 or any(not 0 <= step <= recipe.levels.steps for step in [*steps, *marks]):
        raise ValueError("a step that is not the recipe's")
    if len(steps) != len(parents) or any(one.shape != (recipe.batch,) for one in parents):
        raise ValueError("parents of other samples")
    if parents.size and not (parents.min() >= 0 and parents.max() < recipe.batch):
        raise ValueError("a parent that is none")
    resamplings = [Resampling(int(step), one.astype(np.int64)) for step, one in zip(steps, parents, strict=True)]
    return effective.astype(float), resamplings, [int(mark) for mark in marks]
