"""The films that a server makes of its runs: one at a time, in a thread of their own, beside whatever runs.

Nothing in here calls Streamlit. A film is drawn while runs go on; where its recipe is walked again, that stands still
while the device has runs to do.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable

from superdiff_engine.errors import SuperDiffError
from superdiff_engine.film import Film, FilmSettings
from superdiff_engine.runs.run import Run
from superdiff_engine.system.memory import is_out_of_memory

log = logging.getLogger("superdiff.studio")

#: Films that are kept in memory, the newest of a run each; the oldest goes first.
KEPT = 6


class FilmJob:
    """A film that is to be made, is made, or has been made.

    Attributes:
        film: how far it is.
        content: the file; None before it is there, and where it was stopped or failed.
        problem: what went wrong, in a sentence.
        finished: set when nothing more will happen.
    """

    def __init__(self, film: Film) -> None:
        self.film = film
        self.content: bytes | None = None
        self.problem = ""
        self.finished = threading.Event()

    def execute(self) -> None:
        """Make it; raises nothing."""
        try:
            self.content = self.film.make()
        except SuperDiffError as error:
            self.problem = str(error)
        except BaseException as error:
            log.exception("a film")
            short = is_out_of_memory(error)
            self.problem = (
                "The memory ran out while the film was made; choose a smaller width or fewer steps."
                if short
                else "The film stopped on an unexpected error; the studio's log in the terminal holds the details."
            )
        finally:
            self.finished.set()


class Films:
    """The newest film of each run. Safe to call from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest: OrderedDict[str, FilmJob] = OrderedDict()
        self._waiting: deque[FilmJob] = deque()
        self._thread: threading.Thread | None = None

    def newest(self, run_id: str) -> FilmJob | None:
        """The newest film that was asked for of a run."""
        with self._changed:
            return self._newest.get(run_id)

    def submit(self, run: Run, settings: FilmSettings, give_way: Callable[[Callable[[], bool]], None]) -> FilmJob:
        """Have a film made; an earlier one of the same run is stopped and forgotten.

        Args:
            run: that has ended.
            settings: of the film.
            give_way: waits while runs are more urgent, until what it is given says that the film was stopped.
        """
        film = Film(run, settings)
        film.give_way = lambda: give_way(lambda: film.cancelling)
        job = FilmJob(film)
        with self._changed:
            earlier = self._newest.pop(run.id, None)
            if earlier is not None:
                earlier.film.cancel()
            self._newest[run.id] = job
            while len(self._newest) > KEPT:
                self._newest.popitem(last=False)[1].film.cancel()
            self._waiting.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="superdiff-films", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return job

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                job = self._waiting.popleft()
            job.execute()
