"""Processes of this machine as a workplace: a pool of them, which ends with the process that started it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import count
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any

from ...errors import SuperDiffError
from ..interrupts import end_children
from ..workers import Workers
from .line import FORCE_SECONDS, NEWS_SECONDS, Line
from .workplace import Heard, Task, Workplace, drop, perform, settle, unheard

#: Seconds between two looks for news.
_LOOK = 0.1
#: Of a process of a pool: where its news go, and what says that all shall stop.
_outside: tuple[SimpleQueue[tuple[int, Any]], Event] | None = None


class Processes(Workplace):
    """A pool of processes that share this machine's cores.

    Args:
        workers: how many.
        threads: of torch in each.
    """

    def __init__(self, workers: int, threads: int = 1) -> None:
        context = get_context("spawn")
        self.workers = workers
        self._news: SimpleQueue[tuple[int, Any]] = context.SimpleQueue()
        self._stop = context.Event()
        self._pool = Workers(workers, threads, partial(_join, self._news, self._stop))
        self._heard: dict[int, Heard] = {}
        self._tickets = count()
        self._inner: dict[Future[Any], Future[Any]] = {}

    def start(self, task: Task, heard: Heard = unheard) -> Future[Any]:
        ticket, future = next(self._tickets), Future[Any]()
        self._heard[ticket] = heard
        inner = self._pool.submit(_work, ticket, task)
        self._inner[future] = inner
        inner.add_done_callback(partial(self._end, future))
        return future

    def _end(self, future: Future[Any], inner: Future[Any]) -> None:
        self._inner.pop(future, None)
        if inner.cancelled():
            drop(future)
            return
        error = inner.exception()
        if isinstance(error, BrokenProcessPool):
            if self._stop.is_set():
                drop(future)
                return
            error = SuperDiffError(
                "One of the processes that share the work ended before its part was done (it was killed, or there was "
                "no memory left); the same command goes on from what is finished."
            )
        settle(future, None if error is not None else inner.result(), error)

    def as_completed(self, futures: Iterable[Future[Any]]) -> Iterator[Future[Any]]:
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=_LOOK, return_when=FIRST_COMPLETED)
            while not self._news.empty():
                ticket, news = self._news.get()
                self._heard[ticket](news)
            yield from done

    def cancel(self) -> None:
        self._stop.set()
        for inner in list(self._inner.values()):
            inner.cancel()
        force = threading.Timer(FORCE_SECONDS, self._force)
        force.daemon = True
        force.start()

    def _force(self) -> None:
        if self._inner:
            self._pool.end()

    def close(self, broken: bool = False) -> None:
        if broken:
            end_children()
        self._pool.shutdown(wait=True, cancel_futures=broken)
        self._news.close()

    def takes(self, device: str) -> bool:
        """As every workplace's: processes do not share a card."""
        return device == "cpu"


def _join(news: SimpleQueue[tuple[int, Any]], stop: Event) -> None:
    """In a new process: remember where its news go."""
    global _outside
    _outside = news, stop


def _work(ticket: int, task: Task) -> Any:
    """In a process of the pool."""
    assert _outside is not None
    news, stop = _outside

    def send(told: Any) -> bool:
        news.put((ticket, told))
        return stop.is_set()

    return perform(task, Line(send, NEWS_SECONDS))
