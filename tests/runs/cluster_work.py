"""What tests have done by other processes, which find it by its name."""

import os
import time
from pathlib import Path

from superdiff_engine.system.workplaces.line import heeding

#: On which side of the line this process is; the test says that it is "asking".
SIDE = "working"


class Watched:
    """Work that notes that it was asked to stop."""

    stopped = False

    def cancel(self):
        self.stopped = True

    def interrupt(self):
        self.cancel()


def count(most, seconds=0.0):
    """Counts, telling each number, until it is stopped; gives (process, last number)."""
    work, number = Watched(), -1
    with heeding(work) as tell:
        for number in range(most):
            tell(number)
            time.sleep(seconds)
            if work.stopped:
                break
    return os.getpid(), number


def die(folder, times):
    """Ends its process so many times, noting each; then says how often it was begun."""
    begun = len(list(Path(folder).iterdir())) + 1
    (Path(folder) / str(begun)).write_text(str(os.getpid()))
    if begun <= times:
        os.kill(os.getpid(), 9)
    return begun


def refuse():
    raise ValueError("no")


def kept(folder, number):
    """The file of a part: in another folder on each side of the line, as on machines with disks of their own."""
    return Path(folder) / SIDE / f"{number}"


def make(folder, number):
    path = kept(folder, number)
    path.write_bytes(b"part %d" % number)
    (Path(folder) / f"made {number} by {os.getpid()}").touch()
