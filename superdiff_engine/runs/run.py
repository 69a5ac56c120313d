"""From a recipe to a record on disk: load the experts, walk the loop, keep the trace, save, stop when asked.

A run's folder holds recipe.json, trace.parquet, replay.npz, samples.npz, preview.png, run.log and, last of all,
status.json; stored.py reads it back.
Every file is written beside its place and moved there whole, so a file that is there is complete; status.json says
whether the run is.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..arrays import Decoded
from ..domain import Prepared, Result
from ..domains import get_domain
from ..errors import OutputError, SuperDiffError
from ..recipes.document import Recipe
from ..sampling import Step
from ..score import ScoreModel
from ..system.devices import check_dtype, resolve_device
from ..system.downloads import DownloadStopped
from ..system.interrupts import Interrupted
from ..system.memory import is_out_of_memory
from ..system.visible_text import visible
from ..trace import Frame, Trace, replay_npz
from ..walk import levels_of, walk
from .failures import explain
from .folder import OutputFolder
from .formats import REPLAY, samples_npz, trace_parquet
from .work import State, Work

#: Seconds between two previews: quick enough for four updates a second, rare enough to cost nothing.
PREVIEW_SECONDS = 0.2
#: Seconds between two copies of a running trace on disk.
CHECKPOINT_SECONDS = 30.0
PREVIEWED_SAMPLES = 512


class Run(Work):
    """One run of one recipe: `execute` does the work, in whatever thread calls it; the rest may be read from any.

    Nothing but the loop itself ends a run: a preview, a decoder, a note or a file that fails costs that, and is noted.

    Args:
        recipe: what to do.
        folder: where to keep the record; None keeps it in memory only.
        previews: whether to make live previews.
        replace: whether a record that the folder holds already is replaced, whole; else it is refused.
    """

    def __init__(
        self, recipe: Recipe, folder: Path | None = None, previews: bool = True, replace: bool = False
    ) -> None:
        super().__init__(recipe, folder)
        self.result: Result | None = None
        self.trace = Trace(recipe.levels.steps, len(recipe.experts), recipe.batch)
        self.titles = [expert.model for expert in recipe.experts]
        self._previews, self._replace = previews, replace
        self._output: OutputFolder | None = None
        self._last: Step | None = None
        self._experts: Sequence[ScoreModel] = ()
        self._own_notes: list[str] = []
        self._log: list[str] = [f"run {self.id}", f"torch {torch.__version__}"]
        self._ending: BaseException | None = None
        self._outcome: tuple[State, str] = ("failed", "")

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
        try:
            self._attempt(on_step)
            self._ended = time.monotonic()
            self._conclude()
        finally:
            self._end()
        if self._ending is not None:
            raise self._ending
        return self.result

    def _attempt(self, on_step: Callable[[Step], None] | None) -> None:
        """Walk the loop and settle the state; what is to be raised waits until everything is saved."""
        try:
            if self.folder is not None:
                output = OutputFolder(self.folder, self._replace)
                output.begin("\n".join(self._log))
                self._output = output
                output.write("recipe.json", self.recipe.to_json().encode)
            self._walk(on_step)
            self.state = "cancelled" if self._cancel.is_set() and not self._complete(self._last) else "done"
        except DownloadStopped as stopped:
            self.state, self.message = "cancelled", str(stopped)
        except BaseException as error:
            self._log.append(traceback.format_exc())
            if self._cancel.is_set() and (self.state == "loading" or isinstance(error, Interrupted)):
                # Whatever a loader makes of an interruption.
                self.state, self.message = "cancelled", "Cancelled before the first step; nothing was made."
                return
            self.state, self.message = "failed", explain(error, self.recipe, self._details)
            self._ending = error
            if isinstance(error, Exception) and not isinstance(error, SuperDiffError):
                self._ending = SuperDiffError(self.message)
                self._ending.__cause__ = error

    @property
    def _details(self) -> str:
        return "the studio's log" if self.folder is None else "run.log"

    def _conclude(self) -> None:
        """Gather the result and the notes and save them, each for itself."""
        if self._last is not None:
            with self._spared("The result could not be gathered"):
                self.result = self._make_result(self._last)
        # A finished run is kept for a while: its notes stay, its networks may go.
        self._own_notes, self._experts = self.notes, ()
        if self._output is not None:
            self._save(self._output)

    def _end(self) -> None:
        self._ended = self._ended or time.monotonic()
        self._experts = ()
        if self.state not in ("done", "cancelled", "failed"):
            self.state, self.message = "failed", self.message or "The run was interrupted."
        self.finished.set()

    @contextmanager
    def _spared(self, complaint: str) -> Iterator[None]:
        """Whatever is raised in this block is noted, once, and ends nothing; `complaint` begins the note.

        What is no Exception (an exit, an interruption) is raised when all is saved.
        """
        try:
            yield
        except BaseException as error:
            if not any(note.startswith(complaint) for note in self._own_notes):
                self._log.append(traceback.format_exc())
                self._own_notes.append(f"{complaint}: {self._reason(error)}")
            if not isinstance(error, Exception):
                self._ending = self._ending or error

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, SuperDiffError) or is_out_of_memory(error):
            return explain(error, self.recipe)
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}; {self._details} holds the details."

    def _complete(self, step: Step | None) -> bool:
        return step is not None and step.index == self.recipe.levels.steps

    def _walk(self, on_step: Callable[[Step], None] | None) -> None:
        recipe = self.recipe
        with self._loading():
            device = resolve_device(recipe.device)
            check_dtype(recipe.dtype, device)
            domain = get_domain(recipe.domain)
            # What the recipe leaves open is decided now, and kept: the same recipe gives the same run later.
            resolved = domain.resolve(recipe)
            if resolved != recipe:
                recipe = self.recipe = resolved
                if self._output is not None:
                    self._output.write("recipe.json", recipe.to_json().encode)
            prepared = domain.prepare(recipe, device)
        if self._cancel.is_set():
            return
        experts = self._experts = prepared.experts
        self.titles = [expert.title for expert in experts]
        levels = levels_of(recipe, domain, experts)
        self._log.append(f"device {device}, levels {levels[0]:.6g} to {levels[-1]:.6g}")
        threads = torch.get_num_threads() if domain.threads is None or device != "cpu" else domain.threads
        with _threads(threads):
            self._steps(prepared, device, on_step)

    def _steps(self, prepared: Prepared, device: str, on_step: Callable[[Step], None] | None) -> None:
        recipe, domain, experts = self.recipe, get_domain(self.recipe.domain), prepared.experts
        self.state = "running"
        self._started = time.monotonic()
        previewed = saved = -float("inf")
        for step in walk(recipe, domain, prepared, device):
            self._last = step
            self.trace.append(step)
            now = time.monotonic()
            if self._previews and (now - previewed >= PREVIEW_SECONDS or self._complete(step)):
                previewed = now
                with self._spared("The preview could not be made"):
                    preview = domain.preview(step, experts, PREVIEWED_SAMPLES)
                    self.trace.add_frame(Frame(step.index, step.level, preview))
            if self._output is not None and now - saved >= CHECKPOINT_SECONDS:
                if saved > 0:
                    with self._spared("The trace could not be copied to disk"):
                        self._output.write("trace.parquet", lambda: trace_parquet(self.trace))
                saved = now
            if self._ending is not None:
                raise self._ending
            if on_step is not None:
                on_step(step)
            if self._cancel.is_set():
                break

    @property
    def notes(self) -> list[str]:
        """What the user should know of this run so far, in sentences."""
        try:
            found = get_domain(self.recipe.domain).notes(self._experts)
        except Exception as error:
            found = [f"The notes of this run could not be read: {self._reason(error)}"]
        return list(dict.fromkeys(found + self._own_notes))

    def _decode(self, step: Step) -> Decoded | None:
        with self._spared("The samples could not be decoded"):
            return get_domain(self.recipe.domain).decode(step, self._experts)
        return None  # the samples themselves are there, and are kept

    def _make_result(self, step: Step) -> Result:
        return Result(
            recipe=self.recipe,
            samples=_as_arrays(step.samples),
            denoised=_as_arrays(step.denoised),
            decoded=self._decode(step),
            log_density=step.log_density.cpu().numpy(),
            weights=step.weights.double().cpu().numpy(),
            level=step.level,
            index=step.index,
            complete=self._complete(step),
            seconds=self.seconds,
            trace=self.trace,
            titles=self.titles,
        )

    def _save(self, output: OutputFolder) -> None:
        """Write the record; what cannot be written is kept, tried again by `save_again`, and said."""
        result = self.result
        if len(self.trace):
            with self._spared("The trace could not be saved"):
                output.write("trace.parquet", lambda: trace_parquet(self.trace))
            with self._spared("The previews could not be saved"):
                output.write(REPLAY, lambda: replay_npz(self.trace))
        if result is not None:
            with self._spared("The samples could not be saved as they were decoded"):
                output.write("samples.npz", lambda: samples_npz(result))
            if not (output.path / "samples.npz").exists() and "samples.npz" not in output.unsaved:
                with self._spared("The samples could not be saved"):
                    output.write("samples.npz", lambda: samples_npz(replace(result, decoded=None)))
            with self._spared("The picture of the samples (preview.png) could not be made"):
                preview = get_domain(self.recipe.domain).preview_png(result)
                if preview is not None:
                    output.write("preview.png", partial(bytes, preview))
        self._outcome = self.state, self.message
        self._settle(output)
        if output.unsaved and self._outcome[0] != "failed":
            self._ending = self._ending or OutputError(self.message)

    def _settle(self, output: OutputFolder) -> None:
        """The log and the status, which come last: a run whose files are not all there is not done."""
        state, message = self._admitted(output)
        self._log.append(f"{state} after {len(self.trace)} levels, {self.seconds:.3f} s {message}")
        log = [*self._log, *self._own_notes]
        status = {
            "id": self.id,
            "state": state,
            "message": message,
            "levels": len(self.trace),
            "seconds": round(self.seconds, 3),
            "titles": self.titles,
            "notes": self._own_notes,
        }
        with self._spared("The log could not be saved"):
            if not output.write("run.log", lambda: (visible("\n".join(log)) + "\n").encode()):
                output.make_room()
            output.write("status.json", lambda: (json.dumps(status, indent=2) + "\n").encode())
        self.state, self.message = self._admitted(output)

    def _admitted(self, output: OutputFolder) -> tuple[State, str]:
        """State and message: what is not saved is no run that is done; one that failed keeps its own reason."""
        if output.unsaved and self._outcome[0] != "failed":
            return "failed", f"{output.problem} Not saved yet, and kept in memory: {', '.join(output.unsaved)}."
        return self._outcome

    @property
    def unsaved(self) -> list[str]:
        """As every work's."""
        return [] if self._output is None else self._output.unsaved

    def save_again(self) -> bool:
        """As every work's."""
        output = self._output
        if output is None or not output.unsaved:
            return True
        output.forget("run.log", "status.json")  # they tell of the rest
        with self._spared("The record could not be saved"):
            output.try_again()
        self._settle(output)
        return not output.unsaved


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
