"""Runs that do nothing until a test lets them go, so that a queue stands still where a test looks at it."""

import threading
import weakref

from superdiff_engine.runs.run import Run

_made = weakref.WeakSet()


def release_all():
    """At a test's end: what nobody ends any more, since its server is said to be dead, holds no thread."""
    for run in list(_made):
        run.release()


class HeldRun(Run):
    """Ends as done when it is released, as cancelled when it is cancelled."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.began, self._go_on = threading.Event(), threading.Event()
        _made.add(self)

    def execute(self, on_step=None):
        self.state = "running"
        self.began.set()
        assert self._go_on.wait(60)
        self.state = "cancelled" if self.cancelling else "done"
        self.finished.set()

    def release(self):
        self._go_on.set()

    def cancel(self):
        super().cancel()
        self._go_on.set()
