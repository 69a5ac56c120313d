"""Memory that a process gives back to Linux only to ask for it again at once.

A network's call on a CPU makes and drops tensors of megabytes. glibc gives each of them back to the kernel, which then
clears every page of the next one: with the embedded proteins some 20,000 page faults a step, an eighth of its time.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: glibc's names in malloc.h for what `mallopt` sets.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: Blocks up to this size, in bytes, come from memory that is kept: the most that every glibc takes.
LARGEST_KEPT = 32 * 2**20
#: And so much of it is kept while nothing needs it.
MOST_KEPT = 512 * 2**20


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let this process keep freed memory for its next tensors in this block; after it what is free is given back.

    Where the C library is not glibc, nothing is asked of it.
    """
    give_back = _ask_glibc()
    try:
        yield
    finally:
        if give_back is not None:
            give_back(0)


def _ask_glibc() -> Callable[[int], Any] | None:
    """What gives free memory back, where there is something."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    try:
        set_option, give_back = library.mallopt, library.malloc_trim
    except AttributeError:  # another C library, such as musl
        return None
    set_option(_MMAP_THRESHOLD, LARGEST_KEPT)
    set_option(_TRIM_THRESHOLD, MOST_KEPT)
    return give_back
