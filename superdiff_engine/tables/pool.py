"""The parts of a table's rows, made side by side by processes that share the cores."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from ..system.workers import Workers


def make_missing(
    row: str,
    wanted: Sequence[tuple[Any, ...]],
    is_there: Callable[..., bool],
    make: Callable[..., None],
    pool: Executor | None,
    progress: Callable[[str], None],
) -> None:
    """Make the parts of a row that are not there yet, in `pool` or here, saying after each how long the rest takes.

    Args:
        row: its name, for the reports.
        wanted: the arguments of `is_there` and `make` for every part; what a pool gets must be picklable.
        is_there: whether a part is kept already.
        make: makes a part and keeps it.
        pool: of processes; None to work here.
        progress: takes a line after every part.
    """
    todo = [arguments for arguments in wanted if not is_there(*arguments)]
    started = time.monotonic()
    if pool is None:
        parts: Iterator[Callable[[], Any]] = (partial(make, *arguments) for arguments in todo)
    else:
        parts = (future.result for future in as_completed([pool.submit(make, *arguments) for arguments in todo]))
    for done, finish in enumerate(parts, start=1):
        finish()
        left = (time.monotonic() - started) / done * (len(todo) - done)
        progress(f"{row}: {len(wanted) - len(todo) + done} of {len(wanted)} chunks, {left:.0f} s to go")


def start_pool(workers: int) -> AbstractContextManager[Workers | None]:
    """Processes that share the cores: small networks use two cores better as two processes than as two threads.

    None for a single worker: the work is then done here.
    """
    if workers == 1:
        return nullcontext()
    return Workers(workers, max(1, (os.cpu_count() or 1) // workers))
