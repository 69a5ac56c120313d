"""What a run leaves: notes of what failed, the log, and in its folder files from which stored.py reads it back.

A folder holds begun.json, recipe.json, trace.parquet, replay.npz, samples.npz, preview.png, run.log and, last of all,
status.json; labels.json is its user's (library/labels.py).
Every file is written beside its place and moved there whole, so a file that is there is complete; status.json says
whether the run is.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..domains import get_domain
from ..errors import OutputError, SuperDiffError
from ..recipes.document import Recipe
from ..result import Result
from ..system.memory import is_out_of_memory
from ..system.visible_text import visible
from ..trace import Trace, replay_npz
from .failures import explain
from .folder import OutputFolder
from .formats import REPLAY, samples_npz, trace_parquet
from .work import State

#: Seconds between two copies of a running trace on disk.
CHECKPOINT_SECONDS = 30.0


@dataclass(frozen=True)
class Made:
    """What a run has made: its trace, its result (None where there is none), the seconds it took, experts' titles."""

    trace: Trace
    result: Result[Any] | None
    seconds: float
    titles: list[str]


class Record:
    """The record of one run: it is told what happened, notes what failed, and writes all that it can.

    Args:
        id: of the run.
        recipe: of the run.
        folder: where the record is; None keeps it in memory only.
        part_of: the id of the grid whose cell the run is; "" for none.

    Attributes:
        notes: what the user should know, in sentences; the domain's notes are added when the run has ended.
        raised: what is to be raised when all is saved; None when nothing is.
    """

    def __init__(self, id: str, recipe: Recipe, folder: Path | None, part_of: str = "") -> None:
        self._part_of = part_of
        self.notes: list[str] = []
        self.raised: BaseException | None = None
        self._id, self._recipe, self._folder = id, recipe, folder
        self._output: OutputFolder | None = None
        self._log: list[str] = [f"run {id}", f"torch {torch.__version__}"]
        self._copied = -float("inf")
        self._outcome: tuple[State, str] = ("failed", "")

    def begin(self, folder: Path | None, replace: bool) -> None:
        """Make the folder ready and write the recipe.

        Args:
            folder: where the record is kept from now on; None keeps it in memory only.
            replace: whether a record that the folder holds already is replaced, whole; else it is refused.

        Raises:
            OutputError: when the folder holds a record already or cannot be written.
        """
        self._folder = folder
        if folder is not None:
            output = OutputFolder(folder, replace)
            output.begin("\n".join(self._log), self._id, self._part_of)
            self._output = output
            self.set_recipe(self._recipe)

    def set_recipe(self, recipe: Recipe) -> None:
        """Keep the recipe as it is now."""
        self._recipe = recipe
        if self._output is not None:
            self._output.write("recipe.json", recipe.to_json().encode)

    def log(self, text: str) -> None:
        """Add to run.log, which is written at the end."""
        self._log.append(text)

    def copy_trace(self, trace: Trace, now: float) -> None:
        """Copy a running trace to disk where the last copy is old; the first step only starts the clock, `now`."""
        if self._output is None or now - self._copied < CHECKPOINT_SECONDS:
            return
        if self._copied > 0:
            with self.spared("The trace could not be copied to disk"):
                self._output.write("trace.parquet", lambda: trace_parquet(trace))
        self._copied = now

    @contextmanager
    def spared(self, complaint: str) -> Iterator[None]:
        """Whatever is raised in this block is noted, once, and ends nothing; `complaint` begins the note.

        What is no Exception (an exit, an interruption) is kept in `raised`.
        """
        try:
            yield
        except BaseException as error:
            if not any(note.startswith(complaint) for note in self.notes):
                self._log.append(traceback.format_exc())
                self.notes.append(f"{complaint}: {self.reason(error)}")
            if not isinstance(error, Exception):
                self.raised = self.raised or error

    def reason(self, error: BaseException) -> str:
        """Why something beside the loop failed, for the end of a note."""
        if isinstance(error, SuperDiffError) or is_out_of_memory(error):
            return explain(error, self._recipe)
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}; {self._details} holds the details."

    def failed(self, error: BaseException) -> str:
        """The run's message where the loop itself failed; what is to be raised waits until everything is saved."""
        message = explain(error, self._recipe, self._details)
        self.raised = error
        if isinstance(error, Exception) and not isinstance(error, SuperDiffError):
            self.raised = SuperDiffError(message)
            self.raised.__cause__ = error
        return message

    @property
    def _details(self) -> str:
        return "the studio's log" if self._folder is None else "run.log"

    def save(self, made: Made, state: State, message: str) -> tuple[State, str]:
        """Write the record; what cannot be written is kept, tried again by `save_again`, and said.

        Args:
            made: by the run, which has ended.
            state: as the run ended, whatever becomes of its files.
            message: what went wrong with it, in a sentence.

        Returns:
            The state and the message that the run may show.
        """
        output, trace = self._output, made.trace
        if output is None:
            return state, message
        if len(trace):
            with self.spared("The trace could not be saved"):
                output.write("trace.parquet", lambda: trace_parquet(trace, made.result))
            with self.spared("The previews could not be saved"):
                output.write(REPLAY, lambda: replay_npz(trace))
        if made.result is not None:
            self._save_samples(output, made.result)
        self._outcome = state, message
        shown = self._settle(output, made)
        if output.unsaved and state != "failed":
            self.raised = self.raised or OutputError(shown[1])
        return shown

    def _save_samples(self, output: OutputFolder, result: Result[Any]) -> None:
        with self.spared("The samples could not be saved as they were decoded"):
            output.write("samples.npz", lambda: samples_npz(result))
        if not (output.path / "samples.npz").exists() and "samples.npz" not in output.unsaved:
            with self.spared("The samples could not be saved"):
                output.write("samples.npz", lambda: samples_npz(replace(result, decoded=None)))
        with self.spared("The picture of the samples (preview.png) could not be made"):
            preview = get_domain(self._recipe.domain).preview_png(result)
            if preview is not None:
                output.write("preview.png", partial(bytes, preview))

    def _settle(self, output: OutputFolder, made: Made) -> tuple[State, str]:
        """The log and the status, which come last: a run whose files are not all there is not done."""
        state, message = self._admitted(output)
        self._log.append(f"{state} after {len(made.trace)} levels, {made.seconds:.3f} s {message}")
        log = [*self._log, *self.notes]
        status = {
            "id": self._id,
            "state": state,
            "message": message,
            "levels": len(made.trace),
            "seconds": round(made.seconds, 3),
            "titles": made.titles,
            "notes": self.notes,
        }
        with self.spared("The log could not be saved"):
            if not output.write("run.log", lambda: (visible("\n".join(log)) + "\n").encode()):
                output.make_room()
            output.write("status.json", lambda: (json.dumps(status, indent=2) + "\n").encode())
        return self._admitted(output)

    def _admitted(self, output: OutputFolder) -> tuple[State, str]:
        """State and message: what is not saved is no run that is done; one that failed keeps its own reason."""
        if output.unsaved and self._outcome[0] != "failed":
            return "failed", f"{output.problem} Not saved yet, and kept in memory: {', '.join(output.unsaved)}."
        return self._outcome

    @property
    def unsaved(self) -> list[str]:
        """The names of the files that could not be written yet."""
        return [] if self._output is None else self._output.unsaved

    def save_again(self, made: Made) -> tuple[State, str]:
        """Write what could not be written; returns, as `save`, the state and the message that the run may show."""
        output = self._output
        if output is None or not output.unsaved:
            return self._outcome
        output.forget("run.log", "status.json")  # they tell of the rest
        with self.spared("The record could not be saved"):
            output.try_again()
        shown = self._settle(output, made)
        self.close()
        return shown

    def close(self) -> None:
        """Say on disk that nobody is at work on this record any more, unless something has still to be written."""
        if self._output is not None:
            self._output.release()
