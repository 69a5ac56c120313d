"""Ctrl+C, SIGTERM and SIGHUP as a wish to stop, for the command line.

The first signal calls what the work at hand has said with `on_signal`: a run cancels itself, a training notes it, an
evaluation is broken off by `Interrupted`; while there is nothing to keep yet, as in imports, the process ends. A second
Ctrl+C ends the process at once, whatever it is doing, with no process and no half-written file left behind.

Nothing is imported here that takes time: `catch_signals` is the first thing that a command does.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from .files import drop_partials

#: Seconds within which a second Ctrl+C is the same one, told twice by a program in between.
_SAME = 0.1
#: Seconds that processes of this one's have to end.
_PATIENCE = 5.0


class Interrupted(BaseException):
    """The work was broken off by a signal. No Exception: whoever passes over errors does not pass over this."""


def break_off() -> NoReturn:
    """What breaks off whatever is being done: raises Interrupted."""
    raise Interrupted


def _nothing() -> None:
    """The response of a process whose work is done."""


_response: Callable[[], None] | None = None
_signal: int | None = None
_when = 0.0
_caught: set[int] = set()


def catch_signals() -> None:
    """Take the signals from now on; for the main thread of a process that is ours."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # nohup ignores SIGHUP; a shell's background jobs ignore SIGINT, but whoever sends it there means it.
        if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
            continue
        signal.signal(number, _take)
        _caught.add(number)


def ignore_signals() -> None:
    """Let no signal change any more how this process ends: what it had to do is done, and its exit code is known."""
    for number in _caught:
        signal.signal(number, signal.SIG_IGN)


def leave_on_interrupt() -> None:
    """Let the next Ctrl+C end the process at once; for one that has been asked to stop and is about to."""
    global _signal
    _signal = signal.SIGINT
    signal.signal(signal.SIGINT, _take)


def asked() -> int | None:
    """The number of the signal that asked this process to stop; None while none did."""
    return _signal


def exit_code() -> int:
    """What a shell expects of a process that a signal ended: 130 for Ctrl+C, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + (signal.SIGINT if _signal is None else _signal)


@contextmanager
def on_signal(response: Callable[[], None]) -> Iterator[None]:
    """Let the first signal call `response` in this block, at once if it has come already.

    It is called in the main thread, between two of its instructions, and may raise `Interrupted`. A signal that comes
    after the block finds the work done, and changes nothing any more.
    """
    global _response
    outer, _response = _response, response
    try:
        if _signal is not None:
            response()
        yield
    finally:
        _response = outer or _nothing


def _take(number: int, frame: FrameType | None) -> None:
    global _signal, _when
    if _signal is None:
        _signal, _when = number, time.monotonic()
        if _response is None:
            _end_now("nothing was made")
        _response()
    elif number == signal.SIGINT and time.monotonic() - _when > _SAME:
        _signal = number
        _end_now("ended at once")


def _end_now(words: str) -> NoReturn:
    try:
        with suppress(OSError, ValueError):
            if sys.stdout is not None and sys.stdout.isatty():
                sys.stdout.write("\x1b[?25h\n")  # a bar of progress hides the cursor
                sys.stdout.flush()
            os.write(2, f"superdiff: interrupted; {words}.\n".encode())
        end_children()
        drop_partials()
    finally:
        os._exit(exit_code())


def end_children() -> None:
    """End the processes that this one has started with multiprocessing, and wait for that."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is None or not hasattr(multiprocessing, "active_children"):
        return
    children = multiprocessing.active_children()
    for child in children:
        child.terminate()
    limit = time.monotonic() + _PATIENCE
    for child in children:
        child.join(max(0.0, limit - time.monotonic()))
        if child.is_alive():
            child.kill()
            child.join(_PATIENCE)
