"""The process that asks as a workplace: each piece of work is done when somebody waits for it, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

from .line import Line
from .workplace import Heard, Task, Workplace, drop, perform, settle, unheard


class _Due(Future[Any]):
    """Work that is done by whoever asks for its result; what is no Exception goes on to them."""

    def __init__(self, work: Callable[[], Any], unwanted: Callable[[], bool]) -> None:
        super().__init__()
        self._work, self._unwanted = work, unwanted

    def do(self) -> None:
        """Do it, unless that was done or nobody wants it any more."""
        if self.done():
            return
        if self._unwanted():
            drop(self)
            return
        try:
            settle(self, self._work())
        except Exception as error:
            settle(self, error=error)

    def result(self, timeout: float | None = None) -> Any:
        self.do()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self.do()
        return super().exception(timeout)


class Here(Workplace):
    """The process that asks, and in it the thread that waits for the work."""

    workers = 1

    def __init__(self) -> None:
        self._cancelled = False
        self._line: Line | None = None

    def start(self, task: Task, heard: Heard = unheard) -> Future[Any]:
        return _Due(partial(self._perform, task, heard), lambda: self._cancelled)

    def _perform(self, task: Task, heard: Heard) -> Any:
        def send(news: Any) -> bool:
            heard(news)
            return self._cancelled

        line = self._line = Line(send)
        try:
            return perform(task, line)
        finally:
            self._line = None

    def as_completed(self, futures: Iterable[Future[Any]]) -> Iterator[Future[Any]]:
        for future in futures:
            if isinstance(future, _Due):
                future.do()
            yield future

    def cancel(self) -> None:
        self._cancelled = True
        line = self._line
        if line is not None:
            line.stop()

    def interrupt(self) -> None:
        """As every workplace's: loading is broken off, as the work itself has it."""
        self.cancel()
        heeded = None if self._line is None else self._line.heeded
        if heeded is not None:
            heeded.interrupt()

    def close(self, broken: bool = False) -> None:
        """There is nothing to let go."""
