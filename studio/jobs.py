"""The runs of this server: one worker thread a device, first come first served, cancelled from anywhere.

A job belongs to the server, not to a browser tab: it survives a dropped connection and a reload. Nothing in here
calls Streamlit; pages keep a job's id and ask again.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from superdiff_engine.devices import resolve_device
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipe import Recipe
from superdiff_engine.run import Run
from superdiff_engine.scoring import Scoring
from superdiff_engine.sweep import Sweep

log = logging.getLogger("superdiff.studio")

#: Finished runs that stay in memory; the least recently looked at goes first. Their folders stay on disk.
KEPT = 16

_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")


def runs_folder() -> Path:
    """Where runs are kept: SUPERDIFF_RUNS, or superdiff/runs in the user's data folder."""
    named = os.environ.get("SUPERDIFF_RUNS")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "superdiff" / "runs"


def is_job_id(text: str) -> bool:
    """Whether `text` has the shape of a job's id."""
    return _ID.fullmatch(text) is not None


Work = TypeVar("Work", Run, Sweep, Scoring)


@dataclass
class _Queued(Generic[Work]):
    """Work with the device it waits for."""

    run: Work
    device: str

    @property
    def id(self) -> str:
        """The run's id, by which pages and links name the job."""
        return self.run.id

    @property
    def recipe(self) -> Recipe:
        """What was asked for."""
        return self.run.recipe

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen: done, cancelled or failed, and saved."""
        return self.run.finished.is_set()


@dataclass
class Job(_Queued[Run]):
    """A run with the device it waits for."""


@dataclass
class GridJob(_Queued[Sweep]):
    """A grid with the device it waits for; `origin` is the id of the run that it was asked for under, `asked` when."""

    origin: str
    asked: float = field(default_factory=time.monotonic)


@dataclass
class ScoringJob(_Queued[Scoring]):
    """Samples of the user's own that wait to be judged, or were."""


AnyJob = Job | GridJob | ScoringJob


class Jobs:
    """All jobs by id. Safe to call from any thread.

    Args:
        folder: where the runs' folders go; None keeps runs in memory.
        keep: how many finished jobs to remember.
    """

    def __init__(self, folder: Path | None, keep: int = KEPT) -> None:
        self.folder = folder
        self._keep = keep
        self._changed = threading.Condition()
        self._jobs: OrderedDict[str, AnyJob] = OrderedDict()
        self._queues: dict[str, deque[AnyJob]] = {}
        self._active: dict[str, AnyJob | None] = {}

    def submit(self, recipe: Recipe, save: bool = True) -> Job:
        """Queue a run; raises SuperDiffError if its device is not there."""
        job = Job(Run(recipe), resolve_device(recipe.device))
        self._enqueue(job, save)
        return job

    def submit_grid(self, grid: Sweep, origin: str, save: bool = True) -> GridJob:
        """Queue a grid like a run; raises SuperDiffError if its device is not there."""
        job = GridJob(grid, resolve_device(grid.recipe.device), origin)
        self._enqueue(job, save)
        return job

    def submit_scoring(self, scoring: Scoring) -> ScoringJob:
        """Queue the judging of given samples like a run; raises SuperDiffError if its device is not there."""
        job = ScoringJob(scoring, resolve_device(scoring.recipe.device))
        self._enqueue(job, save=False)
        return job

    def _enqueue(self, job: AnyJob, save: bool) -> None:
        device = job.device
        if save and self.folder is not None:
            job.run.folder = self.folder / job.id
        with self._changed:
            self._jobs[job.id] = job
            if device not in self._queues:
                self._queues[device] = deque()
                self._active[device] = None
                threading.Thread(target=self._work, args=(device,), name=f"superdiff-{device}", daemon=True).start()
            self._queues[device].append(job)
            self._forget()
            self._changed.notify_all()

    def find(self, job_id: str) -> Job | None:
        """The job of the run with this id, or None if there never was one or it has been forgotten."""
        job = self._look_up(job_id)
        return job if isinstance(job, Job) else None

    def find_grid(self, job_id: str) -> GridJob | None:
        """The job of the grid with this id, or None likewise."""
        job = self._look_up(job_id)
        return job if isinstance(job, GridJob) else None

    def find_scoring(self, job_id: str) -> ScoringJob | None:
        """The job of the scoring with this id, or None likewise."""
        job = self._look_up(job_id)
        return job if isinstance(job, ScoringJob) else None

    def _look_up(self, job_id: str) -> AnyJob | None:
        with self._changed:
            job = self._jobs.get(job_id)
            if job is not None:
                self._jobs.move_to_end(job_id)
            return job

    def grids(self) -> list[GridJob]:
        """All grids that are remembered, in the order in which they were asked for."""
        with self._changed:
            found = [job for job in self._jobs.values() if isinstance(job, GridJob)]
        return sorted(found, key=lambda job: job.asked)

    def ahead(self, job: AnyJob) -> int:
        """How many runs go before this one on its device; 0 once it runs or has ended."""
        with self._changed:
            queue = self._queues[job.device]
            if job not in queue:
                return 0
            return queue.index(job) + (self._active[job.device] is not None)

    def cancel(self, job: AnyJob) -> None:
        """Stop a job: at once while it waits, within one step while it runs; what it has made stays."""
        with self._changed:
            job.run.cancel()
            queue = self._queues[job.device]
            if job in queue:
                queue.remove(job)
                job.run.state = "cancelled"
                job.run.finished.set()

    def _forget(self) -> None:
        finished = [job_id for job_id, job in self._jobs.items() if job.finished]
        for job_id in finished[: max(0, len(finished) - self._keep)]:
            del self._jobs[job_id]

    def _work(self, device: str) -> None:
        queue = self._queues[device]
        while True:
            with self._changed:
                self._changed.wait_for(lambda: queue)
                job = queue.popleft()
                self._active[device] = job
            try:
                job.run.execute()
            except SuperDiffError as error:
                # The page shows the sentence; run.log holds the traceback.
                log.warning("run %s: %s", job.id, error)
            except Exception:
                log.exception("run %s", job.id)
            finally:
                with self._changed:
                    self._active[device] = None
                    self._forget()
