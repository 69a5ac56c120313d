"""What a run and a grid of runs have in common: an id, a state, a clock, and a way to be stopped from any thread."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ..recipes.document import Recipe
from ..system.downloads import Download, DownloadStopped, watching
from ..system.interrupts import Interrupted

#: "interrupted" is a stored run whose process ended before it could save it.
State = Literal["queued", "loading", "running", "done", "cancelled", "failed", "interrupted"]

_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")


def is_id(text: str) -> bool:
    """Whether a text has the shape of a run's or a grid's id."""
    return _ID.fullmatch(text) is not None


class Work:
    """Something that one thread executes while others look at it.

    Attributes:
        id: names the work in links and on disk.
        recipe: what to do.
        folder: where to keep the record; None keeps it in memory only.
        state: where it stands.
        message: what went wrong, in a sentence.
        download: what is being fetched for it now; None while nothing is.
        finished: set when nothing more will happen.
    """

    def __init__(self, recipe: Recipe, folder: Path | None, id: str = "") -> None:
        self.id = id or time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(4)
        self.recipe, self.folder = recipe, folder
        self.state: State = "queued"
        self.message = ""
        self.download: Download | None = None
        self.finished = threading.Event()
        self._cancel = threading.Event()
        self._started: float | None = None
        self._ended: float | None = None

    def cancel(self) -> None:
        """Ask it to stop; it does so within one step and keeps what it has."""
        self._cancel.set()

    def interrupt(self) -> None:
        """As `cancel`, for a signal in the very thread that executes: loading, which looks at no flag, is broken off.

        Raises:
            Interrupted: while models are loaded; `execute` takes it for a cancel.
        """
        self.cancel()
        if self.state == "loading":
            raise Interrupted

    @property
    def unsaved(self) -> list[str]:
        """The names of the record's files that could not be written; when it has ended, it may `save_again`."""
        return []

    def save_again(self) -> bool:
        """Write what could not be written; says whether all of it is there now."""
        return not self.unsaved

    @property
    def cancelling(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancel.is_set()

    @contextmanager
    def _loading(self) -> Iterator[None]:
        """While models are loaded: their downloads can be seen, and end when the work is asked to stop.

        Raises:
            DownloadStopped, Interrupted: when it was.
        """
        self.state = "loading"
        if self._cancel.is_set():
            raise Interrupted
        try:
            with watching(self._follow):
                yield
        finally:
            self.download = None

    def _follow(self, download: Download) -> None:
        self.download = download if download.done < download.total else None
        if self._cancel.is_set():
            raise DownloadStopped(
                f"The download of '{download.name}' was stopped at {download.amount}; files that were complete are "
                "kept, and the next run goes on from there."
            )

    @property
    def waited(self) -> float:
        """Seconds that it has stood still since the first step began, which are no time of its own."""
        return 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the first step began (until the end, once there is one), without those that it waited."""
        if self._started is None:
            return 0.0
        waited = self.waited
        return max((time.monotonic() if self._ended is None else self._ended) - self._started - waited, 0.0)
