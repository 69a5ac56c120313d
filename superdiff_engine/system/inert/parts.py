"""What files of strangers are read with: bounds, refusals, parts of a mapped file, and records of what was named."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from torch import Tensor

from ...errors import quoted

#: Instructions of one pickle; a checkpoint of a thousand tensors with its optimizer has about 100,000.
MOST_STEPS = 1_000_000
#: Levels of containers within containers.
DEEPEST = 200
#: Bytes of all tensors together, in files: several may show the same storage, as tied weights do.
VIEWS = 4
#: Axes of a tensor or an array.
MOST_AXES = 32
#: Bytes of a zip's directory, and of a line or an integer within a pickle.
LARGEST_DIRECTORY = 32 * 2**20
LONGEST_LINE = 2**16
LONGEST_INTEGER = 1024

AGAIN = "download it again"
OFFICIAL = "give the file as its authors publish it"
#: An array of joblib's, whose numbers follow it.
WRAPPER = "joblib.numpy_pickle", "NumpyArrayWrapper"
DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}


@dataclass(eq=False, repr=False, slots=True)
class Inert:
    """A class or function that a file names, or what it wants made of one; it was neither imported nor called.

    Attributes:
        module: in which the file says it is.
        name: in that module.
        args: what it would have been called with; None where the class or function itself is meant.
        state: what would have been set on it, usually a dict.
        items: what would have been appended to it.
        entries: what would have been set in it by keys.
    """

    module: str
    name: str
    args: tuple[Any, ...] | None = None
    state: Any = None
    items: list[Any] = field(default_factory=list)
    entries: dict[Any, Any] = field(default_factory=dict)

    @property
    def is_made(self) -> bool:
        """Whether something made of the class or function is meant, not that itself."""
        return self.args is not None

    def names(self, module: str, name: str) -> bool:
        """Whether this is of the class or function called so."""
        return self.module == module and self.name == name

    def __repr__(self) -> str:
        """Where it comes from; never what it holds, which may be endless."""
        return f"<inert {quoted(f'{self.module}.{self.name}')}>"


def described(value: Any) -> str:
    """What something of a file is, in a few words."""
    if isinstance(value, Mapping):
        names = [quoted(str(name), 30) for name in list(value)[:6]]
        return f"{', '.join(names)}{' and more' if len(value) > 6 else ''}" if names else "nothing"
    if isinstance(value, Inert):
        return f"an object of the class {quoted(f'{value.module}.{value.name}')}"
    return f"a {type(value).__name__}"


class Refused(Exception):
    """Why a file is not read: a sentence that lacks its subject and its full stop."""


def refuse(why: str) -> NoReturn:
    """Say why a file is not read, in the sentence's second half."""
    raise Refused(why)


def damaged(what: str) -> NoReturn:
    """Refuse a file that is not whole."""
    refuse(f"is damaged ({what}); {AGAIN}")


class Source:
    """Part of the mapped file, read from its beginning; what it does not hold is refused before it is allocated."""

    def __init__(self, content: memoryview, start: int, end: int) -> None:
        self.content, self.at, self.end = content, start, end

    def tell(self) -> int:
        return self.at

    def view(self, count: int) -> memoryview:
        if count < 0 or count > self.end - self.at:
            refuse(
                f"is cut short: it declares {count:,} bytes at byte {self.at:,} and holds {self.end - self.at:,} more; "
                f"{AGAIN}"
            )
        self.at += count
        return self.content[self.at - count : self.at]

    def read(self, count: int) -> bytes:
        if count == 1 and self.at >= self.end:  # the next instruction, where there is none
            refuse(f"is cut short: it ends at byte {self.at:,}, before its data do; {AGAIN}")
        return self.view(count).tobytes()

    def readline(self) -> bytes:
        line = self.content[self.at : min(self.end, self.at + LONGEST_LINE)].tobytes()
        length = line.find(b"\n") + 1
        if not length:
            damaged(f"a line without an end at byte {self.at:,}")
        self.at += length
        return line[:length]


@dataclass(frozen=True)
class Storage:
    """Numbers of one type, one after the other; None where they are not located yet."""

    dtype: torch.dtype
    numbers: Tensor | None


#: Finds a storage: its key, its type and how many numbers of it are declared.
Locate = Callable[[str, torch.dtype, int], Storage]


def no_storages(key: str, dtype: torch.dtype, count: int) -> NoReturn:
    """Refuse storages where a file has none."""
    refuse(f"points to data beside it, which a pickle of its own cannot have; {OFFICIAL}")


def numbers_of(content: memoryview, dtype: torch.dtype, order: str = "little") -> Tensor:
    """Bytes of the file as numbers of a type, where they are."""
    if not content:
        return torch.empty(0, dtype=dtype)
    raw = np.frombuffer(content, np.uint8)
    if raw.ctypes.data % dtype.itemsize:
        raw = raw.copy()
    if order != sys.byteorder:
        raw = raw.view(f"u{dtype.itemsize}").byteswap().view(np.uint8)
    return torch.from_numpy(raw).view(dtype)


class Pending:
    """An array or a type of numpy's that is named and not described yet; `kept` are its places in the memo."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make
        self.kept: list[int] = []


def as_key(value: Any) -> Any:
    """What may be a key: nothing whose hash costs more than its own length."""
    parts, looked = [value], 0
    while parts:
        part = parts.pop()
        looked += 1
        if looked > 64:
            refuse(f"has keys that are nested too deep; {OFFICIAL}")
        if isinstance(part, tuple | frozenset):
            parts += part
        elif not isinstance(part, str | bytes | int | float | complex | np.generic | Inert | None):
            damaged(f"a {type(part).__name__} as a key")
    return value


class Rebuilder(Protocol):
    """What those that rebuild (`makers`) ask of the machine that they work for."""

    def charge(self, count: int) -> None:
        """Account for bytes that are made of what is there already."""

    def copied(self, value: Any) -> Any:
        """A list, tuple, set, dict or bytes that is about to be copied."""

    def call(self, what: Any, arguments: Any) -> Any:
        """What stands for `what(*arguments)`."""

    def tensor(self, storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
        """Part of a storage."""
