"""How busy this machine is: its load, its memory, and the memory of the device that torch computes on."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

import psutil
import torch

#: Seconds for which a reading holds, so that many who look cost no more than one; a share of time needs some time.
_HOLDS = 0.9


@dataclass(frozen=True)
class Accelerator:
    """A device beside the CPU.

    Attributes:
        name: as its maker calls it.
        memory: bytes of its memory, (in use by all programs, all of it); None before this process has computed on it.
    """

    name: str
    memory: tuple[int, int] | None = None


@dataclass(frozen=True)
class Machine:
    """A reading.

    Attributes:
        cores: processors that programs see.
        busy: share of their time since the last reading, 0 to 1.
        load: programs that ran or waited for a processor, mean over a minute.
        own: bytes that this process holds in memory.
        free, total: bytes of the machine's memory, free for programs and all of it.
        accelerator: None where there is none.
    """

    cores: int
    busy: float
    load: float
    own: int
    free: int
    total: int
    accelerator: Accelerator | None


_lock = threading.Lock()
_last: tuple[float, Machine] | None = None


def look() -> Machine:
    """How busy this machine is now, or was less than a second ago."""
    global _last
    with _lock:
        now = time.monotonic()
        if _last is None or now - _last[0] > _HOLDS:
            _last = now, _read()
        return _last[1]


def _read() -> Machine:
    memory = psutil.virtual_memory()
    return Machine(
        cores=psutil.cpu_count() or os.cpu_count() or 1,
        busy=psutil.cpu_percent(interval=None) / 100,
        load=psutil.getloadavg()[0],
        own=psutil.Process().memory_info().rss,
        free=memory.available,
        total=memory.total,
        accelerator=_accelerator(),
    )


def _accelerator() -> Accelerator | None:
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        # Asking for its memory would set up the device first, which takes seconds and some of that memory.
        if not torch.cuda.is_initialized():
            return Accelerator(name)
        free, total = torch.cuda.mem_get_info()
        return Accelerator(name, (total - free, total))
    if torch.backends.mps.is_available():
        return Accelerator("Apple GPU", (torch.mps.driver_allocated_memory(), torch.mps.recommended_max_memory()))
    return None
