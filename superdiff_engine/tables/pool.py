"""The parts of a table's rows, made side by side wherever the work is done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..system.files import write_whole
from ..system.workplaces.here import Here
from ..system.workplaces.processes import Processes
from ..system.workplaces.workplace import Task, Workplace


def make_missing(
    row: str,
    wanted: Sequence[tuple[Any, ...]],
    kept: Callable[..., Path],
    make: Callable[..., None],
    place: Workplace,
    progress: Callable[[str], None],
    device: str = "cpu",
) -> None:
    """Make the parts of a row that are not there yet, saying after each how long the rest takes.

    Args:
        row: its name, for the reports.
        wanted: the arguments of `kept` and `make` for every part; picklable where others make them.
        kept: the file in which a part is kept.
        make: makes a part and keeps it there.
        place: where they are made; in this process, one after the other, where it does not take the device.
        progress: takes a line after every part.
        device: that makes them.
    """
    todo = [arguments for arguments in wanted if not kept(*arguments).is_file()]
    started = time.monotonic()
    place = place if place.takes(device) else Here()
    if place.shares_disk:
        tasks = [Task(make, arguments, device=device) for arguments in todo]
    else:
        tasks = [Task(make_elsewhere, (kept, make, arguments), device=device) for arguments in todo]
    futures = {place.start(task): arguments for task, arguments in zip(tasks, todo, strict=True)}
    for done, future in enumerate(place.as_completed(futures), start=1):
        content = future.result()
        if content is not None:
            _keep(kept(*futures[future]), content)
        left = (time.monotonic() - started) / done * (len(todo) - done)
        progress(f"{row}: {len(wanted) - len(todo) + done} of {len(wanted)} chunks, {left:.0f} s to go")


def make_elsewhere(kept: Callable[..., Path], make: Callable[..., None], arguments: tuple[Any, ...]) -> bytes:
    """On a machine with a disk of its own: the file of a part, which is made there unless an earlier try did."""
    path = kept(*arguments)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        make(*arguments)
    return path.read_bytes()


def _keep(path: Path, content: bytes) -> None:
    if not path.is_file():  # the machines may share a disk after all
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)


def start_pool(workers: int) -> Workplace:
    """Processes that share the cores: small networks use two cores better as two processes than as two threads.

    This process for a single worker.
    """
    if workers == 1:
        return Here()
    return Processes(workers, max(1, (os.cpu_count() or 1) // workers))
