"""What ends the server ends its runs as a cancel does, with everything kept."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from superdiff_engine.system import interrupts


@contextmanager
def ending_runs() -> Iterator[None]:
    """Around the server: when it stops, at Ctrl+C, SIGTERM or SIGHUP, its runs are cancelled and saved.

    A second Ctrl+C does not wait for that.
    """
    # The server stops by itself at SIGTERM, and then sends it again to whoever took it before.
    signal.signal(signal.SIGTERM, _leave)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, _terminate)
    try:
        yield
    finally:
        interrupts.leave_on_interrupt()
        jobs = sys.modules.get("studio.jobs")  # if a page was ever opened
        if jobs is not None:
            jobs.end_all()


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _terminate(number: int, frame: FrameType | None) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
