"""What is rebuilt of a pickle: arrays, tensors and plain containers, by a fixed table."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import quoted
from .parts import AGAIN, MOST_AXES, OFFICIAL, Pending, Rebuilder, as_key, damaged, refuse

_DTYPE_CODE = re.compile(r"[<>|=]?(?:[biuf?c]\d{0,2}|[SUVO]\d{0,9})")


def _bytes(value: Any) -> bytes | bytearray:
    if isinstance(value, str):  # of Python 2
        return value.encode("latin1")
    if not isinstance(value, bytes | bytearray):
        damaged("an array without bytes")
    return value


def count_of(shape: Any) -> int:
    """How many numbers an array of this shape has."""
    if not isinstance(shape, tuple) or len(shape) > MOST_AXES or not all(isinstance(n, int) and n >= 0 for n in shape):
        damaged("an array's shape is crooked")
    return math.prod(shape)


def as_dtype(value: Any) -> np.dtype[Any]:
    """A type of numpy's that has been described."""
    if not isinstance(value, np.dtype):
        damaged("an array without a type")
    return value


def shaped(content: Any, kind: np.dtype[Any], shape: tuple[int, ...], by_columns: bool) -> np.ndarray[Any, Any]:
    """Bytes as an array; their number must be what type and shape say."""
    if count_of(shape) * kind.itemsize != len(content):
        refuse(
            f"declares an array of {count_of(shape) * kind.itemsize:,} bytes and holds {len(content):,} of it; {AGAIN}"
        )
    if count_of(shape) and not kind.itemsize:
        damaged("an array of nothing")
    if not len(content):
        return np.empty(shape, kind)
    return np.frombuffer(content, kind).reshape(shape, order="F" if by_columns else "C")


def _array(machine: Rebuilder, arguments: tuple[Any, ...]) -> Pending:
    def make(state: Any) -> Any:
        _, shape, kind, by_columns, content = state
        kind = as_dtype(kind)
        if not kind.hasobject:
            return shaped(_bytes(content), kind, shape, bool(by_columns))
        if kind != np.dtype(object) or not isinstance(content, list) or len(content) != count_of(shape):
            damaged("an array of objects is crooked")
        machine.copied(content)
        made = np.empty(len(content), object)
        for place, value in enumerate(content):
            made[place] = value
        return made.reshape(shape, order="F" if by_columns else "C")

    return Pending(make)


def _buffered(machine: Rebuilder, arguments: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    content, kind, shape, order = arguments
    kind = as_dtype(kind)
    if kind.hasobject:
        damaged("objects in a buffer")
    return shaped(_bytes(content), kind, shape, order == "F")


def _dtype(machine: Rebuilder, arguments: tuple[Any, ...]) -> Pending:
    code = arguments[0]

    def make(state: Any) -> np.dtype[Any]:
        order, subarray, names, fields, size = state[1:6]
        if not isinstance(code, str) or not _DTYPE_CODE.fullmatch(code) or subarray is not None:
            refuse(f"holds an array of a type that is not read ({quoted(str(code)[:60])}); {OFFICIAL}")
        if names is None:
            kind = np.dtype(code)
            return kind.newbyteorder(order) if order in ("<", ">") else kind
        machine.copied(names)
        kinds = [as_dtype(fields[name][0]) for name in names]
        if any(kind.hasobject for kind in kinds):
            refuse(f"holds an array of objects within records; {OFFICIAL}")
        offsets = [fields[name][1] for name in names]
        return np.dtype({"names": list(names), "formats": kinds, "offsets": offsets, "itemsize": size})

    return Pending(make)


def _number(machine: Rebuilder, arguments: tuple[Any, ...]) -> Any:
    kind, content = as_dtype(arguments[0]), arguments[1]
    return content if kind.hasobject else shaped(machine.copied(_bytes(content)), kind, (), False)[()]


def _text(machine: Rebuilder, arguments: tuple[Any, ...]) -> bytes:
    text, encoding = (*arguments, "utf-8")[:2]
    if encoding not in ("latin1", "utf-8", "ascii"):
        damaged("text in an unknown encoding")
    return str.encode(machine.copied(text), encoding)


def _plain_object(machine: Rebuilder, arguments: tuple[Any, ...]) -> Any:
    """What copyreg makes of objects in the oldest protocols: (class, base, state of the base)."""
    kind, _, content = arguments
    return machine.call(kind, () if content is None else (content,))


def _items(machine: Rebuilder, arguments: tuple[Any, ...]) -> Any:
    return machine.copied(arguments[0]) if arguments else []


def _ordered(machine: Rebuilder, arguments: tuple[Any, ...]) -> OrderedDict[Any, Any]:
    return OrderedDict((as_key(key), value) for key, value in _items(machine, arguments))


def _same_tensor(machine: Rebuilder, arguments: tuple[Any, ...]) -> Any:
    return arguments[0]


_Maker = Callable[[Rebuilder, tuple[Any, ...]], Any]
#: Modules that had other names.
MODULES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy.core.multiarray": "numpy",
    "numpy._core.multiarray": "numpy",
    "numpy.core.numeric": "numpy",
    "numpy._core.numeric": "numpy",
}
#: All that is rebuilt; nothing else is, whatever its name.
MAKERS: dict[tuple[str, str], _Maker] = {
    ("torch._utils", "_rebuild_tensor"): lambda machine, given: machine.tensor(*given[:4]),
    ("torch._utils", "_rebuild_tensor_v2"): lambda machine, given: machine.tensor(*given[:4]),
    ("torch._utils", "_rebuild_parameter"): _same_tensor,
    ("torch._utils", "_rebuild_parameter_with_state"): _same_tensor,
    ("torch", "Size"): lambda machine, given: tuple(_items(machine, given)),
    ("numpy", "_reconstruct"): _array,
    ("numpy", "_frombuffer"): _buffered,
    ("numpy", "dtype"): _dtype,
    ("numpy", "scalar"): _number,
    ("_codecs", "encode"): _text,
    ("collections", "OrderedDict"): _ordered,
    ("collections", "defaultdict"): lambda machine, given: {},
    ("copyreg", "_reconstructor"): _plain_object,
    ("builtins", "dict"): lambda machine, given: dict(_ordered(machine, given)),
    ("builtins", "list"): lambda machine, given: list(_items(machine, given)),
    ("builtins", "tuple"): lambda machine, given: tuple(_items(machine, given)),
    ("builtins", "set"): lambda machine, given: {as_key(item) for item in _items(machine, given)},
    ("builtins", "frozenset"): lambda machine, given: frozenset(as_key(item) for item in _items(machine, given)),
    ("builtins", "bytearray"): lambda machine, given: bytearray(_bytes(_items(machine, given) or b"")),
    ("builtins", "bytes"): lambda machine, given: bytes(_bytes(_items(machine, given) or b"")),
    ("builtins", "complex"): lambda machine, given: complex(*map(float, given)),
}
