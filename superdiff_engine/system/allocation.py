"""Memory that a process gives back to Linux only to ask for it again at once.

A network's call on a CPU makes and drops tensors of megabytes. glibc gives each of them back to the kernel, which then
clears every page of the next one: at the sizes of the embedded models 9,000 to 23,000 page faults a call.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

#: glibc's names in malloc.h for what `mallopt` sets.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: Blocks up to this size, in bytes, come from memory that is kept: the most that every glibc takes.
LARGEST_KEPT = 32 * 2**20
#: And so much of it is kept while nothing needs it.
MOST_KEPT = 512 * 2**20


@cache
def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next tensors; whether that could be asked for (glibc alone has it)."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, such as musl
        return False
    return all([set_option(_MMAP_THRESHOLD, LARGEST_KEPT), set_option(_TRIM_THRESHOLD, MOST_KEPT)])
