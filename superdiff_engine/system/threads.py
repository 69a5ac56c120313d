"""How many CPU threads torch computes with, and whether they leave a core to anything else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Let torch compute with so many CPU threads in this block, and with as many as before after it.

    Args:
        count: threads, 1 or more.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def take_all_cores(threads: int) -> bool:
    """Whether so many threads that compute leave no processor of this machine to anything else."""
    return threads >= (psutil.cpu_count() or 1)
