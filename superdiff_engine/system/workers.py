"""Processes that share the work of a table, and that end when the one that started them does, however that ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from types import FrameType, TracebackType
from typing import Any

import torch

from .files import drop_partials
from .interrupts import end_children


class Workers(ProcessPoolExecutor):
    """A pool of processes. A block that an error or an interruption leaves ends them in the middle of their work.

    Args:
        count: of processes.
        threads: of torch in each.
        begin: called in each before its first work; a module's function, or a partial of one.
    """

    def __init__(self, count: int, threads: int = 1, begin: Callable[[], None] | None = None) -> None:
        super().__init__(count, get_context("spawn"), _begin, (threads, begin))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As of every pool; the processes that it starts are not told of Ctrl+C by the terminal, this one is."""
        with _without_interrupts():
            return super().submit(fn, *args, **kwargs)

    def end(self) -> None:
        """End the processes in the middle of their work."""
        for process in list(self._processes.values()):
            process.terminate()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is not None:
            end_children()
            self.shutdown(wait=True, cancel_futures=True)
            return None
        return super().__exit__(kind, error, trace)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold SIGINT back; a process that is started in this block never gets it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(threads: int, begin: Callable[[], None] | None) -> None:
    """In a new process: leave nothing half-written when it is ended, and end when its parent is gone."""
    if begin is not None:
        begin()
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=_watch, name="superdiff-parent", daemon=True).start()


def _end(number: int, frame: FrameType | None) -> None:
    drop_partials()
    os._exit(128 + number)


def _watch() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        _end(signal.SIGTERM, None)
