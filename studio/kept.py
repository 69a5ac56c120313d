"""What waits on this server, on disk, and what servers before it have left there to be queued again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from superdiff_engine.errors import OutputError
from superdiff_engine.runs.waiting import QueueFile, Waiting

log = logging.getLogger("superdiff.studio")

#: The folder of it in the library.
FOLDER = "queue"


class KeptQueue:
    """The queue's file, brought up to date by whoever changes the queue. Safe to call from any thread.

    Args:
        library: the folder of the runs' folders.

    Attributes:
        problem: why the queue could not be kept, in a sentence; "" while it is.
    """

    def __init__(self, library: Path) -> None:
        self.problem = ""
        self._file = QueueFile(library / FOLDER, library)
        self._lock = threading.Lock()
        #: One writes at a time, and what is newest last.
        self._writing = threading.Lock()
        self._last: list[Any] | None = None
        self._offered = {entry.key: entry for entry in self._file.take_over()}
        self.keep(list)

    def offered(self) -> list[Waiting]:
        """What servers that are gone have left, in their order."""
        with self._lock:
            return list(self._offered.values())

    def find(self, key: str) -> Waiting | None:
        """What was left under this key, or None."""
        with self._lock:
            return self._offered.get(key)

    def take(self, key: str) -> Waiting | None:
        """What was left under this key, which is offered no more until it is put back; None where it is not (any more).

        On disk it stays until something is written.
        """
        with self._lock:
            return self._offered.pop(key, None)

    def put_back(self, entry: Waiting) -> None:
        """Offer it again."""
        with self._lock:
            self._offered[entry.key] = entry

    def forget(self, keys: Sequence[str]) -> None:
        """Offer these no more; `keep` makes it so on disk. A whole file that could not be read is removed."""
        with self._lock:
            gone = [self._offered.pop(key) for key in dict.fromkeys(keys) if key in self._offered]
        for entry in gone:
            if entry.file is not None:
                entry.file.unlink(missing_ok=True)

    def keep(self, documents: Callable[[], list[Any]]) -> None:
        """Write what waits and what is offered; what goes wrong is a `problem`, and the next change tries again.

        Args:
            documents: says what waits; asked when it is this writer's turn, so that the newest is written last.
        """
        with self._writing:
            left = [entry.document for entry in self.offered() if entry.file is None]
            waiting = documents() if self._last is None else self._last
            try:
                self._file.write([*waiting, *left])
                self.problem = ""
            except OutputError as error:
                log.warning("%s", error)
                self.problem = str(error)
            except Exception:  # costs what it would have kept, and no run
                log.exception("the queue could not be kept")
                self.problem = (
                    "The queue could not be kept on disk; the studio's log in the terminal holds the details."
                )

    def keep_last(self, documents: list[Any]) -> None:
        """Keep these, and whatever is offered, whatever becomes of them now: the server ends."""
        with self._writing:
            self._last = documents
        self.keep(list)

    def close(self) -> None:
        """Leave the file to the next server, as the end of this process does."""
        with self._writing:
            self._file.close()
