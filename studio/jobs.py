"""The runs of this server: one worker thread a device, in an order that can be changed, cancelled from anywhere.

Estimations of log-densities have a thread of their own beside each device's, and stand still between two of their steps
while the device has runs to do: they never keep a run waiting.

A job belongs to the server, not to a browser tab: it survives a dropped connection and a reload. Nothing in here
calls Streamlit; pages keep a job's id and ask again. Finished runs stay in memory while a living tab shows them, within
bounds; all others come back from their records on disk. What waits is kept on disk too, and the next server offers it.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

from superdiff_engine.errors import RecordError, SuperDiffError
from superdiff_engine.library import Library
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.density_check import Checking
from superdiff_engine.runs.estimation import Estimation
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.pace import Paces
from superdiff_engine.runs.run import Run
from superdiff_engine.runs.waiting import Waiting, waiting_document
from superdiff_engine.system.devices import resolve_device
from superdiff_engine.system.files import sweep_partials

from .job import CLUSTER, AnyJob, Ended, EstimationJob, Forecast, GridJob, Job, Tab
from .kept import KeptQueue

log = logging.getLogger("superdiff.studio")

#: Finished runs that stay in memory though no tab shows them; the least recently looked at goes first.
KEPT = 16
#: Bytes of finished runs in memory, about; beyond that, runs with a record go even while they are shown, and come back
#: from disk when they are looked at.
MOST_BYTES = 2 * 1024**3

#: Seconds between two tries to save what could not be saved.
SAVE_AGAIN = 30.0
#: Seconds between two looks of an estimation that waits, for what nobody told it of.
LOOK_AGAIN = 1.0
#: Jobs that have ended that are remembered by name; the oldest goes first.
_MOST_ENDED = 200

_registries: weakref.WeakSet[Jobs] = weakref.WeakSet()


class Jobs:
    """All jobs by id. Safe to call from any thread.

    Args:
        folder: where the runs' folders go; None keeps runs in memory.
        keep: how many finished jobs to remember that no tab shows.
        most: bytes of finished jobs to remember, about.
    """

    def __init__(self, folder: Path | None, keep: int = KEPT, most: int = MOST_BYTES) -> None:
        self.folder = folder
        self.library = None if folder is None else Library(folder)
        self._keep, self._most = keep, most
        self._changed = threading.Condition()
        self._jobs: OrderedDict[str, AnyJob] = OrderedDict()
        self._queues: dict[str, deque[AnyJob]] = {}
        self._active: dict[str, AnyJob | None] = {}
        self._tabs: weakref.WeakSet[Tab] = weakref.WeakSet()
        _registries.add(self)
        #: Jobs that ended and could not be saved whole: a full disk, say. They are tried again while nothing runs.
        self._unsaved: dict[str, list[AnyJob]] = {}
        self._ended: deque[Ended] = deque(maxlen=_MOST_ENDED)
        self._paused = False
        self._paces = Paces()
        self.kept = None if folder is None else KeptQueue(folder)
        if folder is not None and folder.is_dir():
            with suppress(OSError):  # a folder that cannot be read: the library says so
                for left in folder.iterdir():  # by a server that was killed
                    sweep_partials(left)

    def open_tab(self) -> Tab:
        """A tab, which keeps what it shows in memory as long as somebody holds it."""
        tab = Tab()
        with self._changed:
            self._tabs.add(tab)
        return tab

    def submit(
        self,
        recipe: Recipe,
        save: bool = True,
        tab: Tab | None = None,
        rate: float | None = None,
        tags: tuple[str, ...] = (),
    ) -> Job:
        """Queue a run; raises SuperDiffError if its device is not there.

        Args:
            recipe: what to do.
            save: whether a record of it is kept.
            tab: that asks for it.
            rate: steps a second at which it begins, to be watched; None for as many as it can.
            tags: that its record gets.
        """
        job = Job(Run(recipe), resolve_device(recipe.device), tags=tags)
        job.run.tempo.slow(rate)
        self._enqueue(job, save, tab)
        return job

    def submit_grid(
        self, grid: Sweep, origin: str, save: bool = True, tab: Tab | None = None, cluster: bool = False
    ) -> GridJob:
        """Queue a grid like a run, or beside this machine's where it is for a cluster; raises SuperDiffError if its
        device is not there.
        """
        job = GridJob(grid, CLUSTER if cluster else resolve_device(grid.recipe.device), origin)
        grid.origin, grid.kept_in = origin, self.folder if save else None
        self._enqueue(job, save, tab)
        return job

    def submit_estimation(self, estimation: Estimation, tab: Tab | None = None, origin: str = "") -> EstimationJob:
        """Queue an estimation, of the samples of the run `origin` or of the user's own; raises SuperDiffError if its
        device is not there.
        """
        job = EstimationJob(estimation, resolve_device(estimation.recipe.device), origin)
        estimation.give_way = partial(self._give_way, job)
        self._enqueue(job, False, tab)
        return job

    def _enqueue(self, job: AnyJob, save: bool, tab: Tab | None) -> None:
        lane = job.lane
        job.tab = "" if tab is None else tab.key
        if save and self.folder is not None:
            job.run.folder = self.folder / job.id
        if job.run.folder is not None or isinstance(job, EstimationJob):
            document = waiting_document(job.run, "" if isinstance(job, Job) else job.origin, job.device == CLUSTER)
            job.document = document | {"asked": time.time()}
        with self._changed:
            self._jobs[job.id] = job
            if lane not in self._queues:
                self._queues[lane], self._active[lane], self._unsaved[lane] = deque(), None, []
                worker = threading.Thread(target=self._work, args=(lane,), name=f"superdiff-{lane}", daemon=True)
                try:
                    worker.start()
                except RuntimeError:  # no memory, or too many threads
                    del self._queues[lane], self._jobs[job.id]
                    raise SuperDiffError("This machine has no room for another thread; close other programs.") from None
            self._queues[lane].append(job)
            self._forget()
            self._changed.notify_all()
        self._keep_queue()

    def find(self, job_id: str) -> Job | None:
        """The job of the run with this id, from memory or from its record; None if it is in neither."""
        try:
            return self.recall(job_id)
        except SuperDiffError:
            return None

    def recall(self, job_id: str) -> Job:
        """The job of the run with this id, from memory or from its record.

        Raises:
            SuperDiffError: when it is in neither, or its record cannot be read; in one sentence.
        """
        job = self._look_up(job_id)
        if isinstance(job, Job):
            return job
        left = None if self.kept is None else self.kept.find(job_id)
        if left is not None and not left.begun:
            raise RecordError("This run waited when the studio ended; the queue offers to have it run.")
        if self.library is None:
            raise RecordError("This link names a run that this server does not know (any more).")
        stored = Job(self.library.open(job_id), "")
        with self._changed:
            # Somebody else may have read it meanwhile.
            found = self._jobs.setdefault(job_id, stored)
            self._forget()
        return found if isinstance(found, Job) else stored

    def find_grid(self, job_id: str) -> GridJob | None:
        """The job of the grid with this id, or None likewise."""
        job = self._look_up(job_id)
        return job if isinstance(job, GridJob) else None

    def find_estimation(self, job_id: str) -> EstimationJob | None:
        """The job of the estimation with this id, or None likewise."""
        job = self._look_up(job_id)
        return job if isinstance(job, EstimationJob) else None

    def _look_up(self, job_id: str) -> AnyJob | None:
        with self._changed:
            job = self._jobs.get(job_id)
            if job is not None:
                self._jobs.move_to_end(job_id)
            return job

    def made_runs(self) -> list[Job]:
        """The runs that are remembered and have ended with samples, the newest first."""
        with self._changed:
            found = [job for job in self._jobs.values() if isinstance(job, Job)]
        return sorted((job for job in found if job.finished and job.run.result is not None), key=lambda job: job.id)[
            ::-1
        ]

    def grids(self) -> list[GridJob]:
        """All grids that are remembered, in the order in which they were asked for."""
        with self._changed:
            found = [job for job in self._jobs.values() if isinstance(job, GridJob)]
        return sorted(found, key=lambda job: job.asked)

    def checks(self) -> list[EstimationJob]:
        """All estimations of runs' own samples that are remembered, in the order in which they were asked for."""
        with self._changed:
            found = [job for job in self._jobs.values() if isinstance(job, EstimationJob) and job.origin]
        return sorted(found, key=lambda job: job.asked)

    def at_work(self) -> list[AnyJob]:
        """All jobs that have not ended, each queue's in order: the one that is executed, then those that wait."""
        with self._changed:
            return [job for lane in self._queues for job in self._line(lane)]

    def ahead(self, job: AnyJob) -> list[AnyJob]:
        """The jobs that go before this one on its device, first the one that is executed; none once it runs itself."""
        with self._changed:
            line = self._line(job.lane)
            runs = [] if job.lane == job.device else self._line(job.device)
            return [*runs, *line[: next((place for place, other in enumerate(line) if other is job), 0)]]

    def _line(self, lane: str) -> list[AnyJob]:
        if lane not in self._queues:
            return []
        active = self._active[lane]
        return [*([] if active is None or active.finished else [active]), *self._queues[lane]]

    def ended(self, tab: Tab) -> list[Ended]:
        """What this tab asked for and has ended, the last first."""
        with self._changed:
            return [one for one in reversed(self._ended) if one.tab == tab.key]

    def move(self, job_id: str, to: Literal["first", "up", "down"]) -> None:
        """Change the place of a job that waits; of one that does not, or not any more, nothing changes."""
        with self._changed:
            job = self._jobs.get(job_id)
            queue = self._queues.get(job.lane, deque()) if job is not None else deque()
            if job is None or job not in queue:
                return
            place = queue.index(job)
            queue.remove(job)
            queue.insert({"first": 0, "up": max(place - 1, 0), "down": place + 1}[to], job)
        self._keep_queue()

    @property
    def paused(self) -> bool:
        """Whether nothing new begins."""
        return self._paused

    def pause(self) -> None:
        """Let nothing new begin until `resume`; what is at work goes on."""
        with self._changed:
            self._paused = True

    def resume(self) -> None:
        """Let what waits begin again."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def cancel_waiting(self, tab: Tab) -> None:
        """Cancel all that this tab asked for and that has not begun."""
        with self._changed:
            waiting = [job for queue in self._queues.values() for job in queue if job.tab == tab.key]
        for job in waiting:
            if job.run.state == "queued":
                self.cancel(job)

    def forecasts(self) -> dict[str, Forecast]:
        """What to expect of all jobs that have not ended, by their ids, in the order of `at_work`."""
        with self._changed:
            lines = {lane: self._line(lane) for lane in self._queues}
        found: dict[str, Forecast] = {}
        free: dict[str, float | None] = {}
        # A device's own lane goes before that of its estimations.
        for jobs in sorted(lines.values(), key=lambda jobs: any(isinstance(job, EstimationJob) for job in jobs)):
            for job in jobs:
                begins = free.get(job.device, 0.0)
                found[job.id] = forecast = Forecast(begins, self._takes(job))
                free[job.device] = forecast.ends
        return found

    def _takes(self, job: AnyJob) -> float | None:
        if isinstance(job, Job) and job.run.tempo.paused:
            return None  # nobody knows when it goes on
        left, done = job.run.eta, round(job.run.fraction * job.steps)
        if left is not None and self._paces.foretell(job.device, job.recipe, job.steps, job.kind) is None:
            # The first of its kind: its like go by it until it has ended.
            self._paces.note(job.device, job.recipe, done, job.run.seconds, job.run.seconds, job.kind)
        return left if left is not None else self._paces.foretell(job.device, job.recipe, job.steps, job.kind)

    def offered(self) -> list[Waiting]:
        """What servers that are gone have left, and nobody has queued again or forgotten."""
        return [] if self.kept is None else self.kept.offered()

    def is_offered(self, key: str) -> bool:
        """Whether a run of this id waited when its server ended, and is offered to be queued again."""
        return self.kept is not None and self.kept.find(key) is not None

    def queue_again(self, keys: list[str], tab: Tab | None = None) -> list[AnyJob]:
        """Queue what servers that are gone have left, those of these keys, in their order.

        Raises:
            SuperDiffError: of the last that could not be queued, in a sentence; it is still offered.
        """
        queued: list[AnyJob] = []
        problem: SuperDiffError | None = None
        kept = self.kept
        for entry in self.offered():
            # Taken first: of two tabs that ask for the same one, one gets it.
            if kept is None or entry.key not in keys or entry.problem or kept.take(entry.key) is None:
                continue
            try:
                queued.append(self._queue_again(entry, tab))
            except SuperDiffError as error:
                problem = error
                kept.put_back(entry)
        self._keep_queue()
        if problem is not None:
            raise problem
        return queued

    def _queue_again(self, entry: Waiting, tab: Tab | None) -> AnyJob:
        if entry.kind == "check":
            result = self.recall(entry.origin).run.result
            if result is None:
                raise SuperDiffError("The run whose log-densities were to be checked has no samples any more.")
            return self.submit_estimation(Checking(result), tab, entry.origin)
        work = entry.work()
        if isinstance(work, Sweep):
            return self.submit_grid(work, entry.origin, tab=tab, cluster=entry.cluster)
        job = Job(work, resolve_device(work.recipe.device))
        self._enqueue(job, True, tab)
        return job

    def forget_offered(self, keys: list[str]) -> None:
        """Offer these no more; a file that could not be read is removed."""
        if self.kept is not None:
            self.kept.forget(keys)
        self._keep_queue()

    def _keep_queue(self) -> None:
        """Write what has not ended to disk; call it without the lock, which nobody shall hold while a disk works."""
        if self.kept is not None:
            self.kept.keep(self._documents)

    def _documents(self) -> list[dict[str, Any]]:
        with self._changed:
            lines = [job for lane in self._queues for job in self._line(lane)]
            active = [job for job in self._active.values() if job is not None]
            return [job.document | {"begun": job in active} for job in lines if job.document is not None]

    def _give_way(self, job: EstimationJob) -> None:
        """Wait while the job's device has runs to do, until it is cancelled."""
        self.wait_for_runs(job.device, lambda: job.run.cancelling)

    def wait_for_runs(self, device: str, stopped: Callable[[], bool]) -> None:
        """Wait while a device has runs to do, until `stopped` says that nobody needs to any more."""
        with self._changed:
            while self._line(device) and not stopped():
                self._changed.wait(LOOK_AGAIN)

    def cancel(self, job: AnyJob) -> None:
        """Stop a job: at once while it waits, within one step while it runs; what it has made stays."""
        with self._changed:
            job.run.cancel()
            queue = self._queues.get(job.lane, deque())
            if job in queue:
                queue.remove(job)
                job.run.state = "cancelled"
                job.run.finished.set()
                self._note_end(job)
            self._changed.notify_all()
        self._keep_queue()

    def cancel_named(self, job_id: str) -> None:
        """The same of the job with this id, if it is still remembered."""
        job = self._look_up(job_id)
        if job is not None:
            self.cancel(job)

    def _forget(self) -> None:
        finished = [job for job in self._jobs.values() if job.finished and not job.run.unsaved]
        needed = self._needed()
        idle = [job for job in finished if job.id not in needed]
        stored = [job for job in finished[:-1] if job.id in needed and _on_disk(job)]
        too_many = max(0, len(idle) - self._keep)
        size = sum(_bytes(job) for job in finished)
        for place, job in enumerate([*idle, *stored]):
            if place >= too_many and size <= self._most:
                break
            del self._jobs[job.id]
            size -= _bytes(job)

    def _needed(self) -> set[str]:
        """What living tabs show: runs, the newest grid and check of each, the newest estimation of each tab's file."""
        tabs = list(self._tabs)
        shown = {job_id for tab in tabs for job_id in tab.shown}
        newest: dict[tuple[str, str], AnyJob] = {}
        for job in sorted(self._jobs.values(), key=lambda job: job.asked):
            if isinstance(job, GridJob) and job.origin in shown:
                newest["grid", job.origin] = job
            if isinstance(job, EstimationJob) and job.origin in shown:
                newest["check", job.origin] = job
            if isinstance(job, EstimationJob) and not job.origin and any(job.tab == tab.key for tab in tabs):
                newest["estimation", job.tab] = job
        return shown | {job.id for job in newest.values()}

    def _work(self, lane: str) -> None:
        """What a queue's thread does, for as long as the server lives, whatever its jobs raise."""
        queue = self._queues[lane]
        while True:
            job: AnyJob | None = None
            try:
                with self._changed:
                    timeout = SAVE_AGAIN if self._unsaved[lane] else None
                    self._changed.wait_for(lambda: queue and not self._paused, timeout=timeout)
                    if queue and not self._paused:
                        job = self._active[lane] = queue.popleft()
                if job is None:
                    self._unsaved[lane] = [other for other in self._unsaved[lane] if not other.run.save_again()]
                else:
                    self._keep_queue()
                    started, asked = time.monotonic(), job.recipe
                    job.run.execute()
                    if job.run.state == "done":
                        whole = time.monotonic() - started - job.run.waited
                        self._paces.note(job.device, asked, job.steps, job.run.seconds, whole, job.kind)
            except SuperDiffError as error:
                # The page shows the sentence; run.log holds the traceback.
                log.warning("run %s: %s", job.id if job else "", error)
            except BaseException:
                log.exception("run %s", job.id if job else "")
            if job is not None:
                self._close(job)

    def _close(self, job: AnyJob) -> None:
        """A job that was executed is over, however that ended."""
        if not job.run.finished.is_set():
            job.run.state, job.run.message = "failed", "The run stopped on an unexpected error."
            job.run.finished.set()
        try:
            job.end()
        except SuperDiffError as error:
            log.warning("run %s: %s", job.id, error)
        with self._changed:
            self._active[job.lane] = None
            if job.run.unsaved:
                self._unsaved[job.lane].append(job)
            self._note_end(job)
            self._forget()
            self._changed.notify_all()
        self._keep_queue()

    def _note_end(self, job: AnyJob) -> None:
        ended = Ended(job.id, job.shown_under, job.tab, job.recipe, job.run.state, time.monotonic(), job.kind)
        self._ended.append(ended)

    def end(self) -> None:
        """Cancel everything, and wait until it is saved; for a server that stops. What waits stays kept on disk."""
        with self._changed:
            jobs = [job for job in self._jobs.values() if not job.finished]
            waiting = [job for queue in self._queues.values() for job in queue]
        if self.kept is not None:
            self.kept.keep_last([job.document | {"begun": False} for job in waiting if job.document is not None])
        for job in jobs:
            self.cancel(job)
        for job in jobs:
            job.run.finished.wait()
        for unsaved in list(self._unsaved.values()):
            for job in unsaved:
                job.run.save_again()
        if self.kept is not None:
            self.kept.close()


def end_all() -> None:
    """End the jobs of all registries of this process (there is one, but in tests)."""
    for registry in list(_registries):
        registry.end()


def _on_disk(job: AnyJob) -> bool:
    """Whether a run can be read back."""
    return isinstance(job, Job) and job.run.folder is not None and (job.run.folder / "status.json").is_file()


def _bytes(job: AnyJob) -> int:
    """About how much memory a finished run holds: its samples in all their forms, and its previews."""
    if not isinstance(job, Job) or job.run.result is None:
        return 0
    result = job.run.result
    states = sum(array.nbytes for array in [*result.samples.values(), *result.denoised.values()])
    decoded = 0 if result.decoded is None else result.decoded.nbytes
    return states + decoded + sum(frame.preview.nbytes for frame in job.run.trace.frames)
