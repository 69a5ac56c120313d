"""Checkpoints of strangers, read without running anything that they hold.

A checkpoint of torch, and a forest of scikit-learn, is a pickle: a small program for a stack machine, which may name
any function of any module and have it called. `read` is a stack machine of its own for the same programs. It imports no
module and calls no function by a name that the file gives: tensors, numpy's arrays and plain containers are rebuilt by
a fixed table (`makers`), and every other class or function becomes an `Inert`, a record of what was named.

What is read: zip files of torch.save, its older stream format, and pickles, those of joblib without compression too.
The file is mapped, not loaded: weights that nobody looks at, such as an optimizer's, cost no memory. Whoever cuts the
file while its tensors are in use ends the process, as with every mapped file.

Bounds (`parts`): the bytes that arrays and tensors declare must be in the file; a tensor is no larger than its storage,
and all together, with all copies, are at most `VIEWS` times the file; `MOST_STEPS` instructions, `DEEPEST` levels of
containers. So what a file can cost is in proportion to its size, whatever it declares.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ...errors import ModelError, quoted
from .files import read_mapped
from .parts import AGAIN, OFFICIAL, Inert, Refused, described, refuse

__all__ = ["MOST_BYTES", "Inert", "read", "tensors_of"]

#: Bytes of a file that is read; it is mapped, so that this is no measure of memory.
MOST_BYTES = 64 * 2**30


def read(path: Path, most_bytes: int = MOST_BYTES) -> Any:
    """What a checkpoint or pickle holds: dicts, lists, tuples, sets, numbers, text, Tensors, arrays and `Inert`.

    Tensors are on the CPU, without gradients, as views of the mapped file; those that share a storage share it here.

    Args:
        path: of the file.
        most_bytes: of the file.

    Raises:
        ModelError: with one sentence, for every file that is not whole, not of these kinds, or beyond the bounds.
    """
    name = quoted(path.name)
    try:
        if not path.is_file():
            refuse(f"is {'a folder' if path.is_dir() else 'not there'}; name the file of the checkpoint itself")
        size = path.stat().st_size
        if size > most_bytes:
            refuse(f"has {size:,} bytes, more than the {most_bytes:,} that are read; {OFFICIAL}")
        if size == 0:
            refuse(f"is empty; {AGAIN}")
        with open(path, "rb") as file:
            # Copy on write: torch wants memory that may be written to, and the file stays as it is.
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        return read_mapped(path, content)
    except Refused as refused:
        raise ModelError(f"{name} {refused}.") from None
    except OSError as error:
        raise ModelError(f"{name} could not be read: {error.strerror or type(error).__name__}.") from None


def tensors_of(found: Any, *keys: str) -> dict[str, Tensor]:
    """The weights at `found[keys[0]][keys[1]]...`, by their names, in the order of the file.

    Raises:
        ModelError: naming the key that is not there, or what is no tensor.
    """
    where = "The checkpoint"
    for key in keys:
        if not isinstance(found, Mapping) or key not in found:
            raise ModelError(f"{where} holds no '{key}', but {described(found)}; {OFFICIAL}.")
        found, where = found[key], f"'{key}' of the checkpoint"
    if not isinstance(found, Mapping):
        raise ModelError(f"{where} holds no weights by name, but {described(found)}; {OFFICIAL}.")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ModelError(
                f"{where} holds something that is no tensor at '{quoted(str(name))}': {described(value)}; {OFFICIAL}."
            )
    return dict(found)
