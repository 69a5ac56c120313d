"""Times of things that take turns, on a CPU or on CUDA, and rows of tables made of their ratios.

On CUDA moments are events in the stream: the host notes them and waits for none of them until all is done.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


class Marks:
    """Moments on a device's own clock.

    Args:
        device: "cpu" or "cuda".
    """

    def __init__(self, device: str = "cpu") -> None:
        self.cuda = torch.device(device).type == "cuda"

    def now(self) -> Any:
        """The moment at which the device, and not only the host, has come here."""
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def settle(self) -> None:
        """Wait until the device has done all that it was asked to."""
        if self.cuda:
            torch.cuda.synchronize()

    def between(self, start: Any, end: Any) -> float:
        """Seconds from one moment to another; the device must have settled."""
        return start.elapsed_time(end) / 1000 if self.cuda else end - start


class Deadline:
    """When to stop.

    Args:
        minutes: from now.
    """

    def __init__(self, minutes: float = float("inf")) -> None:
        self._end = time.monotonic() + 60 * minutes

    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()


@dataclass(frozen=True)
class Row:
    """A line of a table: a ratio, measured in rounds.

    Attributes:
        what: was measured.
        rounds: the ratio in each round.
        bar: what it should be at most; None where there is none.
        detail: what else is known, in a few words.
        extra: the same and more, for JSON.
    """

    what: str
    rounds: list[float]
    bar: float | None = None
    detail: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def line(self) -> str:
        """In Markdown, below `HEADER`."""
        spread = f"{min(self.rounds):.3f} to {max(self.rounds):.3f}" if len(self.rounds) > 1 else ""
        bar = "" if self.bar is None else f"{self.bar:g}"
        return f"| {self.what} | {self.median:.3f} | {spread} | {len(self.rounds)} | {bar} | {self.detail} |"


HEADER = ["| what | ratio (median) | spread | rounds | bar | |", "| --- | --- | --- | --- | --- | --- |"]


def in_rounds(measure: Callable[[], Any], most: int, deadline: Deadline | None = None) -> list[Any]:
    """What `measure` gives, time and again: `most` times, or as often as there is time for, but once at least."""
    found, longest = [], 0.0
    while len(found) < most and (not found or deadline is None or deadline.left() > longest):
        start = time.monotonic()
        found.append(measure())
        longest = max(longest, time.monotonic() - start)
    return found


def ratios(
    one: Callable[[], float], other: Callable[[], float], most: int, deadline: Deadline | None = None
) -> list[float]:
    """`one`'s seconds over `other`'s in each round, either first in every other round; rounds as `in_rounds`."""
    rounds: list[float] = []

    def round_of_both() -> None:
        if len(rounds) % 2:
            second, first = other(), one()
        else:
            first, second = one(), other()
        rounds.append(first / second)

    in_rounds(round_of_both, most, deadline)
    return rounds


def in_turns(runs: Sequence[Iterator[Any]], steps: int) -> list[float]:
    """Seconds that each of several runs takes for so many steps on the CPU.

    They take turns at every step, and in who is first, so that whatever else the machine does falls on all of them.
    """
    seconds = [0.0] * len(runs)
    for turn in range(steps):
        order = range(len(runs)) if turn % 2 == 0 else range(len(runs) - 1, -1, -1)
        for which in order:
            start = time.perf_counter()
            next(runs[which])
            seconds[which] += time.perf_counter() - start
    return seconds


def machine(device: str = "cpu") -> str:
    """What the figures were measured on, in words."""
    torches = f"torch {torch.__version__}"
    if torch.device(device).type == "cuda":
        return f"{torch.cuda.get_device_name()}, {torches}, CUDA {torch.version.cuda}"
    return f"{processor()}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, {torches}"


def processor() -> str:
    """Its name where Linux tells it, else its architecture."""
    try:
        told = Path("/proc/cpuinfo").read_text().partition("model name")[2].splitlines()[0]
    except (OSError, IndexError):
        return platform.machine()
    return told.partition(":")[2].strip() or platform.machine()


def kibibytes(field: str) -> int:
    """A field of this process's memory, from Linux; not by getrusage, which counts the parent's before it began."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0])


def as_json(rows: Sequence[Row], **facts: Any) -> str:
    """The rows with all their rounds, and facts about them."""
    told = [
        {"what": row.what, "ratio": row.median, "rounds": row.rounds, "bar": row.bar, "detail": row.detail, **row.extra}
        for row in rows
    ]
    return json.dumps({**facts, "rows": told}, indent=2) + "\n"
