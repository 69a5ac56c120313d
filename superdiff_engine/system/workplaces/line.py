"""What a piece of work says to whoever asked for it while it is done, and how it hears that it shall stop.

The work asks for nothing but `heeding`, wherever it is done:

    with heeding(run) as tell:
        run.execute(lambda step: tell(step.index))
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

#: Seconds between two pieces of news of the same work, where another process hears them.
NEWS_SECONDS = 0.25
#: Seconds that work has to stop once it was asked to; then its process is ended.
FORCE_SECONDS = 5.0


class Stoppable(Protocol):
    """Work that can be asked to stop, from any thread."""

    def cancel(self) -> None:
        """Ask it to stop, within about a step."""

    def interrupt(self) -> None:
        """The same, for a signal in the thread that does it: loading is broken off, by raising Interrupted."""


class Line:
    """The line between a piece of work and whoever asked for it.

    Args:
        send: takes a piece of news, and says whether the work shall stop.
        every: seconds between two pieces of news; what comes sooner is not sent.
    """

    def __init__(self, send: Callable[[Any], bool], every: float = 0.0) -> None:
        self._send, self._every = send, every
        self._sent = -float("inf")
        self._stopped = False
        self.heeded: Stoppable | None = None

    def tell(self, news: Any) -> None:
        """Say how far the work is; it is stopped here where nobody wants it any more."""
        now = time.monotonic()
        if now - self._sent >= self._every:
            self._sent = now
            if self._send(news):
                self.stop()

    def stop(self) -> None:
        """Ask the work to stop, now or as soon as it listens."""
        self._stopped = True
        if self.heeded is not None:
            self.heeded.cancel()

    @contextmanager
    def heeding(self, work: Stoppable) -> Iterator[Callable[[Any], None]]:
        """In this block the work is asked to stop when somebody wants that; gives what tells news."""
        self.heeded = work
        try:
            # Looked at after `heeded` is set: whoever stops it sets the flag first.
            if self._stopped:
                work.cancel()
            yield self.tell
        finally:
            self.heeded = None


_line: ContextVar[Line | None] = ContextVar("line", default=None)


@contextmanager
def speaking(line: Line) -> Iterator[None]:
    """What is done in this block has this line."""
    token = _line.set(line)
    try:
        yield
    finally:
        _line.reset(token)


@contextmanager
def heeding(work: Stoppable) -> Iterator[Callable[[Any], None]]:
    """`Line.heeding` of whoever asked for what is done here; where nobody did, the news go nowhere."""
    line = _line.get()
    with (Line(_unheard) if line is None else line).heeding(work) as tell:
        yield tell


def _unheard(news: Any) -> bool:
    return False
