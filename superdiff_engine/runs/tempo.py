"""How fast a run takes its steps: as fast as it can, at most so many a second, one at a time, or none for now.

Whoever watches a run says so from any thread; the run asks between two of its steps (`Tempo.wait`). Nothing else of it
changes: the same recipe gives the same samples at every pace.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from ..errors import ArgumentError

__all__ = ["Tempo"]

#: Seconds between two looks of a run that waits, for a cancel that nobody told it of.
LOOK_AGAIN = 0.5


class Tempo:
    """The pace of one run; safe to use from any thread.

    Args:
        rate: steps a second at most, above 0; None for as many as it can.
        paused: whether it stands still before its second step.

    Raises:
        ArgumentError: for a rate that is not above 0 and finite.
    """

    def __init__(self, rate: float | None = None, paused: bool = False) -> None:
        # Of threads' own: a signal's handler may cancel in the very thread that waits.
        self._changed = threading.Condition(threading.RLock())
        self._rate = _checked(rate)
        self._paused = paused
        self._granted = 0
        self._last = -math.inf
        self._waited, self._waiting_since = 0.0, math.inf
        self._until = math.inf

    @property
    def paused(self) -> bool:
        """Whether no step is taken but those that are asked for one by one."""
        return self._paused

    @property
    def rate(self) -> float | None:
        """Steps a second at most; None for as many as it can."""
        return self._rate

    @property
    def watched(self) -> bool:
        """Whether it is paused or slowed, so that every step is to be seen."""
        return self._paused or self._rate is not None

    @property
    def waited(self) -> float:
        """Seconds that the run has waited for its next step so far, which are no time of its own."""
        with self._changed:
            return self._waited + max(time.monotonic() - self._waiting_since, 0.0)

    def pause(self) -> None:
        """Stand still after the step that is being taken, until `go_on`."""
        with self._changed:
            self._paused = True
            self._changed.notify_all()

    def go_on(self) -> None:
        """Take steps again, at the rate of before."""
        with self._changed:
            self._paused, self._granted = False, 0
            self._changed.notify_all()

    def step(self) -> None:
        """Take one step and stand still after it; asked for several times, so many steps."""
        with self._changed:
            self._granted = self._granted + 1 if self._paused else 1
            self._paused = True
            self._changed.notify_all()

    def slow(self, rate: float | None) -> None:
        """Take so many steps a second at most; None for as many as it can. A run that is paused stays so.

        Raises:
            ArgumentError: for a rate that is not above 0 and finite.
        """
        with self._changed:
            self._rate = _checked(rate)
            self._changed.notify_all()

    def attend(self, seconds: float) -> None:
        """Say that somebody watches, who says so again within so many seconds.

        Who does not has gone, and a run that he paused or slowed goes on as fast as it can. Without a watcher a pause
        lasts until `go_on`.
        """
        with self._changed:
            self._until = time.monotonic() + seconds

    def wake(self) -> None:
        """Have a run that waits look whether it was cancelled."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, cancel: threading.Event, before: Callable[[], None] | None = None) -> None:
        """Return when the next step is due, or the run is cancelled; called by the run between two steps.

        Args:
            cancel: set when the run is to stop.
            before: called once before it waits, if it has to.
        """
        if not self.watched:  # nothing asked: no lock, no clock
            return
        if before is not None and self._due() > 0:
            before()
        with self._changed:
            self._waiting_since = time.monotonic()
            try:
                while (left := self._due()) > 0 and not cancel.is_set():
                    self._changed.wait(min(left, LOOK_AGAIN))
                if self._paused and not cancel.is_set():
                    self._granted -= 1
            finally:
                self._last = time.monotonic()
                self._waited += self._last - self._waiting_since
                self._waiting_since = math.inf

    def _due(self) -> float:
        """Seconds until the next step, 0 or less where it is due; infinite while it is paused."""
        with self._changed:
            if time.monotonic() > self._until:  # nobody is there any more
                self._paused, self._granted, self._rate = False, 0, None
            if self._paused:
                return 0.0 if self._granted else math.inf
            return 0.0 if self._rate is None else self._last + 1 / self._rate - time.monotonic()


def _checked(rate: float | None) -> float | None:
    if rate is not None and not (0 < rate < math.inf):
        raise ArgumentError(
            f"A run's rate must be finite and above 0, in steps a second; got {rate} (None is no limit)."
        )
    return rate
