"""Runs that do nothing until a test lets them go, so that a queue stands still where a test looks at it."""

import threading

from superdiff_engine.runs.run import Run


class HeldRun(Run):
    """Ends as done when it is released, as cancelled when it is cancelled."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.began, self._go_on = threading.Event(), threading.Event()

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
