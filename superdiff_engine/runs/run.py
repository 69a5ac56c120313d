"""From a recipe to a result: load the experts, walk the loop, keep the trace, stop when asked, have all of it saved."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..arrays import Decoded
from ..correction import normalised, shortfall
from ..domain import Prepared
from ..domains import get_domain
from ..geometry import State as Samples
from ..recipes.document import Recipe
from ..result import Result
from ..sampling import Step
from ..score import ScoreModel, networks_of
from ..system.allocation import freed_memory_kept
from ..system.cuda_graphs import cuda_graphs
from ..system.devices import check_dtype, resolve_device
from ..system.downloads import DownloadStopped
from ..system.interrupts import Interrupted
from ..system.threads import cpu_threads
from ..trace import MOST_FRAMES, Frame, Trace
from ..walk import levels_of, walk
from .record import Made, Record
from .tempo import Tempo
from .work import Work

#: Seconds between two previews: quick enough for four updates a second, rare enough to cost nothing.
PREVIEW_SECONDS = 0.2
#: The share of a run's time that previews may take beyond those, so that a short run has moments to be played back.
PREVIEW_SHARE = 0.1
PREVIEWED_SAMPLES = 512


class Run(Work):
    """One run of one recipe: `execute` does the work, in whatever thread calls it; the rest may be read from any.

    Nothing but the loop itself ends a run: a preview, a decoder, a note or a file that fails costs that, and is noted.

    Args:
        recipe: what to do.
        folder: where to keep the record; None keeps it in memory only.
        previews: whether to make live previews.
        replace: whether a record that the folder holds already is replaced, whole; else it is refused.
        part_of: the id of the grid whose cell it is; "" for none.
        id: of a run that waited elsewhere; "" for a new one.

    Attributes:
        tempo: how fast it takes its steps, which may be changed at any time; as fast as it can unless it is.
        result: what it made; None before it has ended, or where it made nothing.
        trace: its curves and previews so far.
        titles: of its experts.
        record: what it leaves on disk.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path | None = None,
        previews: bool = True,
        replace: bool = False,
        part_of: str = "",
        id: str = "",
    ) -> None:
        super().__init__(recipe, folder, id)
        self.result: Result[Any] | None = None
        groups = recipe.batch // recipe.group if recipe.correction is not None else 0
        self.trace = Trace(recipe.levels.steps, len(recipe.experts), recipe.batch, groups)
        self.titles = [expert.model for expert in recipe.experts]
        self.record = Record(self.id, recipe, folder, part_of)
        self.part_of = part_of
        self.tempo = Tempo()
        self._previews, self._replace = previews, replace
        self._last: Step | None = None
        self._experts: Sequence[ScoreModel] = ()

    @property
    def fraction(self) -> float:
        """The share of the steps that are done, 0 to 1."""
        return len(self.trace) / (self.recipe.levels.steps + 1)

    @property
    def waited(self) -> float:
        """As every work's: seconds that it was paused, or slower than it can be."""
        return self.tempo.waited

    @property
    def eta(self) -> float | None:
        """Seconds still to go, by the pace so far or the slower one that is asked for; None before there is a pace, and
        while it is paused.
        """
        done, rate = len(self.trace), self.tempo.rate
        if done < 2 or self._ended is not None or self.tempo.paused:
            return None
        return max(self.seconds / done, 0.0 if rate is None else 1 / rate) * (self.recipe.levels.steps + 1 - done)

    def cancel(self) -> None:
        """As every work's; also while it is paused."""
        super().cancel()
        self.tempo.wake()

    def execute(self, on_step: Callable[[Step], None] | None = None) -> Result[Any] | None:
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
        if self.record.raised is not None:
            raise self.record.raised
        return self.result

    def _attempt(self, on_step: Callable[[Step], None] | None) -> None:
        """Walk the loop and settle the state; what is to be raised waits until everything is saved."""
        try:
            self.record.begin(self.folder, self._replace)
            self._walk(on_step)
            self.state = "cancelled" if self._cancel.is_set() and not self._complete(self._last) else "done"
        except DownloadStopped as stopped:
            self.state, self.message = "cancelled", str(stopped)
        except BaseException as error:
            self.record.log(traceback.format_exc())
            if self._cancel.is_set() and (self.state == "loading" or isinstance(error, Interrupted)):
                # Whatever a loader makes of an interruption.
                self.state, self.message = "cancelled", "Cancelled before the first step; nothing was made."
                return
            self.state, self.message = "failed", self.record.failed(error)

    def _conclude(self) -> None:
        """Gather the result and the notes and save them, each for itself."""
        if self._last is not None:
            with self.record.spared("The result could not be gathered"):
                self.result = self._make_result(self._last)
        # A finished run is kept for a while: its notes stay, its networks may go.
        self.record.notes, self._experts = self.notes, ()
        self.state, self.message = self.record.save(self._made, self.state, self.message)

    def _end(self) -> None:
        self._ended = self._ended or time.monotonic()
        self._experts = ()
        self.record.close()
        if self.state not in ("done", "cancelled", "failed"):
            self.state, self.message = "failed", self.message or "The run was interrupted."
        self.finished.set()

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
                self.record.set_recipe(recipe)
            prepared = domain.prepare(recipe, device)
        if self._cancel.is_set():
            return
        experts = self._experts = prepared.experts
        self.titles = [expert.title for expert in experts]
        levels = levels_of(recipe, domain, experts)
        self.record.log(f"device {device}, levels {levels[0]:.6g} to {levels[-1]:.6g}")
        threads = torch.get_num_threads() if domain.threads is None or device != "cpu" else domain.threads
        with cpu_threads(threads), freed_memory_kept(), self._as_graphs(prepared, device):
            self._steps(prepared, device, on_step)

    @contextmanager
    def _as_graphs(self, prepared: Prepared, device: str) -> Iterator[None]:
        """With the networks as CUDA graphs, where the recipe wants that."""
        if not self.recipe.cuda_graphs:
            yield
            return
        asked = [*prepared.experts, *([] if prepared.guidance is None else [prepared.guidance.reference])]
        with cuda_graphs(networks_of(asked), device) as notes:
            yield
        self.record.notes += notes

    def _steps(self, prepared: Prepared, device: str, on_step: Callable[[Step], None] | None) -> None:
        recipe, domain, experts = self.recipe, get_domain(self.recipe.domain), prepared.experts
        self.state = "running"
        self._started = time.monotonic()
        previewed, spent = -float("inf"), 0.0
        between = math.ceil((recipe.levels.steps + 1) / MOST_FRAMES)

        def show(step: Step) -> None:
            nonlocal previewed, spent
            previewed = time.monotonic()
            with self.record.spared("The preview could not be made"):
                preview = domain.preview(step, experts, PREVIEWED_SAMPLES)
                self.trace.add_frame(Frame(step.index, step.level, preview))
            spent += time.monotonic() - previewed

        for step in walk(recipe, domain, prepared, device):
            self._last = step
            self.trace.append(step)
            now = time.monotonic()
            if due := self._previews and (
                now - previewed >= PREVIEW_SECONDS
                or self._complete(step)
                or self.tempo.watched
                or (step.index % between == 0 and spent < PREVIEW_SHARE * (now - self._started))
            ):
                show(step)
            self.record.copy_trace(self.trace, now)
            if self.record.raised is not None:
                raise self.record.raised
            if on_step is not None:
                on_step(step)
            if not self._complete(step):
                # Where it was paused only just now, this step has not been shown yet.
                self.tempo.wait(self._cancel, None if due or not self._previews else partial(show, step))
            if self._cancel.is_set():
                break

    @property
    def notes(self) -> list[str]:
        """What the user should know of this run so far, in sentences."""
        try:
            found = get_domain(self.recipe.domain).notes(self._experts)
        except Exception as error:
            found = [f"The notes of this run could not be read: {self.record.reason(error)}"]
        return list(dict.fromkeys(found + self.record.notes))

    def _decode(self, step: Step) -> Decoded | None:
        with self.record.spared("The samples could not be decoded"):
            return get_domain(self.recipe.domain).decode(step, self._experts)
        return None  # the samples themselves are there, and are kept

    def _make_result(self, step: Step) -> Result[Any]:
        if step.log_importance is not None and step.missed is not None:
            self.record.notes += [said for said in [shortfall(step.log_importance, step.missed)] if said]
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
            importance=(
                None if step.log_importance is None else normalised(step.log_importance, self.recipe.group).numpy()
            ),
        )

    @property
    def _made(self) -> Made:
        return Made(self.trace, self.result, self.seconds, self.titles)

    @property
    def unsaved(self) -> list[str]:
        """As every work's."""
        return self.record.unsaved

    def save_again(self) -> bool:
        """As every work's."""
        if self.unsaved:
            self.state, self.message = self.record.save_again(self._made)
        return not self.unsaved


def _as_arrays(state: Samples) -> dict[str, np.ndarray]:
    components = state if isinstance(state, dict) else {"x": state}
    return {name: value.detach().cpu().numpy() for name, value in components.items()}
