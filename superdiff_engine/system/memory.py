"""Whether the memory ran out, however the library at hand says it."""

from __future__ import annotations

import errno

#: How libraries say that there is no memory left, where they raise no MemoryError.
_OUT_OF_MEMORY = (
    "allocate memory",
    "out of memory",
    "bad_alloc",
    "bad alloc",
    "alloc_failed",
    "failed to map segment",
    "could not create a memory object",
    "insufficient memory",
    "can't start new thread",
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that the memory ran out: of a device, of this machine, of C++.

    On a CPU torch raises a RuntimeError, an import an ImportError or OSError.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        # torch's own, by name: whoever asks need not have imported torch.
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        text = str(error).lower()
        if isinstance(error, RuntimeError | ImportError | OSError | SystemError) and any(
            phrase in text for phrase in _OUT_OF_MEMORY
        ):
            return True
        error = error.__cause__ or error.__context__
    return False
