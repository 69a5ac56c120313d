"""Downloads that can be watched and stopped, however deep the loading that needs them lies.

Whoever starts the loading says with `watching` who follows the downloads of its thread; whoever downloads opens one
with `Download.begin` and reports bytes with `advance`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ..errors import SuperDiffError

_watcher: ContextVar[Callable[[Download], None] | None] = ContextVar("download_watcher", default=None)


class DownloadStopped(SuperDiffError):
    """The user stopped a download; files that were complete by then are kept."""


class Download:
    """How far a download is; may be read and advanced by any thread.

    Attributes:
        name: of what is fetched, for people.
        total: bytes in all.
        done: bytes that are here.
    """

    def __init__(self, name: str, total: int, watcher: Callable[[Download], None] | None) -> None:
        self.name, self.total, self.done = name, total, 0
        self._watcher, self._started = watcher, time.monotonic()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which is told how far it is and follows nothing."""
        return {
            "name": self.name,
            "total": self.total,
            "done": self.done,
            "seconds": time.monotonic() - self._started,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.name, self.total, self.done = state["name"], state["total"], state["done"]
        self._watcher, self._started = None, time.monotonic() - state["seconds"]
        self._lock = threading.Lock()

    @classmethod
    def begin(cls, name: str, total: int) -> Download:
        """A download of `total` bytes that the watcher of this thread, if there is one, hears of."""
        download = cls(name, total, _watcher.get())
        if total:
            download.advance(0)
        return download

    def advance(self, count: float) -> None:
        """So many bytes more (or fewer, when a part begins anew); raises what the watcher raises to stop it."""
        with self._lock:
            self.done = min(max(self.done + int(count), 0), self.total)
        if self._watcher is not None:
            self._watcher(self)

    @property
    def fraction(self) -> float:
        """The share that is here, 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @property
    def amount(self) -> str:
        """For people: "312 of 2,743 MB"."""
        return f"{self.done / 1e6:,.0f} of {self.total / 1e6:,.0f} MB"

    @property
    def eta(self) -> float | None:
        """Seconds still to go, by the pace so far; None before there is a pace."""
        if not self.done:
            return None
        return (time.monotonic() - self._started) * (self.total - self.done) / self.done


@contextmanager
def watching(watcher: Callable[[Download], None]) -> Iterator[None]:
    """Let `watcher` hear of every part of every download of this thread in this block, besides whoever does already.

    It is called by the threads that download, and may raise `DownloadStopped`.
    """
    outer = _watcher.get()

    def tell(download: Download) -> None:
        watcher(download)
        if outer is not None:
            outer(download)

    token = _watcher.set(tell)
    try:
        yield
    finally:
        _watcher.reset(token)
