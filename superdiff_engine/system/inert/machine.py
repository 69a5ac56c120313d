"""The stack machine that a pickle is a program for; it imports nothing and calls nothing that the file names."""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, cast

import numpy as np
import torch
from torch import Tensor

from .makers import MAKERS, MODULES, as_dtype, count_of, shaped
from .parts import (
    DEEPEST,
    DTYPES,
    LONGEST_INTEGER,
    MOST_AXES,
    MOST_STEPS,
    OFFICIAL,
    VIEWS,
    WRAPPER,
    Inert,
    Locate,
    Pending,
    Refused,
    Source,
    Storage,
    as_key,
    damaged,
    described,
    no_storages,
    refuse,
)


class Machine:
    """One pickle, run to its end.

    Args:
        source: which begins with it; afterwards it stands behind it.
        locate: finds storages of tensors.
        inside: how many pickles it lies within, as joblib puts arrays of objects.
    """

    def __init__(self, source: Source, locate: Locate, inside: int = 0) -> None:
        self.source, self.locate, self.inside = source, locate, inside
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.wrappers: dict[int, list[int]] = {}
        self.made = 0

    def run(self) -> Any:
        """What the pickle makes; raises Refused."""
        try:
            for step, (code, argument, _) in enumerate(pickletools.genops(cast("IO[bytes]", self.source))):
                if step >= MOST_STEPS:
                    refuse(f"has more than {MOST_STEPS:,} instructions, far more than a checkpoint needs; {OFFICIAL}")
                if code.name == "STOP":
                    break
                if code.name in _LITERALS:
                    self.stack.append(argument)
                else:
                    _STEPS.get(code.name, _unknown)(self, argument)
            made = self.stack.pop()
        except Refused:
            raise
        except (MemoryError, RecursionError):
            refuse(f"needs more memory to be read than there is; {OFFICIAL}")
        except Exception as error:  # whatever a crooked pickle can bring about in the steps below
            damaged(f"its pickle is crooked at byte {self.source.at:,}: {type(error).__name__}")
        _check(made)
        return made

    # What steps need.

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def keep(self, place: int) -> None:
        value = self.stack[-1]
        self.memo[place] = value
        if isinstance(value, Pending):
            value.kept.append(place)
        elif isinstance(value, Inert) and value.names(*WRAPPER):
            self.wrappers.setdefault(id(value), []).append(place)

    def charge(self, count: int) -> None:
        """Account for bytes that an instruction makes of what is there already, which it could do without end."""
        self.made += count
        if self.made > VIEWS * len(self.source.content) + 2**20:
            refuse(f"makes more than {VIEWS} times as much of its data as it holds; {OFFICIAL}")

    def call(self, what: Any, arguments: Any) -> Any:
        """What stands for `what(*arguments)`."""
        if not isinstance(what, Inert) or not isinstance(arguments, tuple):
            damaged("it calls what cannot be called")
        maker = None if what.is_made else MAKERS.get((MODULES.get(what.module, what.module), what.name))
        if maker is None:
            return Inert(what.module, what.name, arguments)
        return maker(self, arguments)

    def copied(self, value: Any) -> Any:
        """A list, tuple, set, dict or bytes that is about to be copied."""
        self.charge(len(value) if isinstance(value, str | bytes | bytearray) else 100 * len(value))
        return value

    def build(self, state: Any) -> None:
        target = self.stack[-1]
        if isinstance(target, Pending):
            made = target.make(state)
            self.stack[-1] = made
            for place in target.kept:
                self.memo[place] = made
        elif isinstance(target, Inert):
            target.state = state
            if target.names(*WRAPPER):
                made = self.wrapped(state)
                self.stack[-1] = made
                for place in self.wrappers.get(id(target), []):
                    self.memo[place] = made
        elif not isinstance(target, dict):  # of state_dict's OrderedDict: notes for loading, which nobody needs
            damaged("it sets the state of what has none")

    def append(self, items: Iterable[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            target.items.extend(items)
        elif isinstance(target, list):
            target.extend(items)
        else:
            damaged("it appends to what is no list")

    def put(self, items: list[Any]) -> None:
        target = self.stack[-1]
        entries = target.entries if isinstance(target, Inert) else target
        if not isinstance(entries, dict) or len(items) % 2:
            damaged("it sets entries of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            entries[as_key(key)] = value

    def add(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            target.items.extend(items)
        elif isinstance(target, set):
            target.update(as_key(item) for item in items)
        else:
            damaged("it adds to what is no set")

    def stored(self, address: Any) -> Storage:
        """The storage that an address of torch.save means: ("storage", type, key, device, numbers, view)."""
        if not isinstance(address, tuple) or len(address) not in (5, 6) or address[0] != "storage":
            damaged("it points to something that is no storage")
        _, kind, key, _, count = address[:5]
        if not isinstance(kind, Inert) or kind.name not in DTYPES:
            refuse(f"holds numbers of a type that is not read ({described(kind)}); {OFFICIAL}")
        if not isinstance(key, str) or not isinstance(count, int) or count < 0:
            damaged("the address of a storage is crooked")
        if len(address) == 6 and address[5] is not None:
            refuse(f"holds parts of storages, as torch wrote them before 2018; {OFFICIAL}")
        return self.locate(key, DTYPES[kind.name], count)

    def tensor(self, storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
        if not isinstance(storage, Storage):
            damaged("a tensor without a storage")
        size, stride = tuple(self.copied(size)), tuple(self.copied(stride))
        if (
            len(size) > MOST_AXES
            or len(size) != len(stride)
            or not all(isinstance(n, int) and n >= 0 for n in (offset, *size, *stride))
        ):
            damaged("a tensor's sizes are crooked")
        if storage.numbers is None:
            return torch.empty(0)
        if not all(size):
            return torch.empty(size, dtype=storage.dtype)
        held = storage.numbers.numel()
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if last >= held or math.prod(size) > held:
            refuse(f"declares a tensor of {math.prod(size):,} numbers in a storage of {held:,}; {OFFICIAL}")
        self.charge(math.prod(size) * storage.dtype.itemsize)
        return torch.as_strided(storage.numbers, size, stride, offset)

    def wrapped(self, state: Any) -> Any:
        """An array as joblib writes it: behind its description, as bytes, or as a pickle of its own."""
        kind = as_dtype(state["dtype"])
        if kind.hasobject:
            if self.inside >= 2:
                refuse(f"holds arrays of objects within each other; {OFFICIAL}")
            return Machine(self.source, no_storages, self.inside + 1).run()
        if state.get("numpy_array_alignment_bytes") is not None:
            self.source.view(self.source.view(1)[0])
        count = count_of(state["shape"])
        return shaped(self.source.view(count * kind.itemsize), kind, state["shape"], state.get("order") == "F")


def _check(made: Any) -> None:
    """Refuse what is nested too deep, or not finished, by the shortest way to it; circles are allowed."""
    seen: set[int] = set()
    level = [made]
    for _ in range(DEEPEST):
        following: list[Any] = []
        for value in level:
            if isinstance(value, Pending | Storage):
                damaged("something in it was begun and not finished")
            if id(value) in seen:
                continue
            if isinstance(value, Mapping):
                following += [*value.keys(), *value.values()]
            elif isinstance(value, list | tuple | set | frozenset):
                following += value
            elif isinstance(value, Inert):
                following += [value.args, value.state, value.items, value.entries]
            elif isinstance(value, np.ndarray) and value.dtype.hasobject:
                following += value.flat
            else:
                continue
            seen.add(id(value))
        if not following:
            return
        level = following
    refuse(f"is nested deeper than {DEEPEST} levels; {OFFICIAL}")


def _unknown(machine: Machine, argument: Any) -> None:
    refuse(f"uses an instruction that checkpoints never need; {OFFICIAL}")


def _integer(machine: Machine, value: int) -> None:
    if value.bit_length() > 8 * LONGEST_INTEGER:
        refuse(f"holds an integer of more than {LONGEST_INTEGER:,} bytes; {OFFICIAL}")
    machine.stack.append(value)


def _mark(machine: Machine, argument: Any) -> None:
    machine.below.append(machine.stack)
    machine.stack = []


def _pop(machine: Machine, argument: Any) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.since_mark()


def _taken(count: int) -> Callable[[Machine, Any], None]:
    def take(machine: Machine, argument: Any) -> None:
        items = tuple(machine.stack[-count:])
        if len(items) < count:
            damaged("a tuple lacks its items")
        machine.stack[-count:] = [items]

    return take


def _marked(make: Callable[[list[Any]], Any]) -> Callable[[Machine, Any], None]:
    def gather(machine: Machine, argument: Any) -> None:
        items = machine.since_mark()
        machine.stack.append(make(items))

    return gather


def _dict(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        damaged("a key without a value")
    return {as_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _named(argument: str) -> Inert:
    """The class or function of the older instructions, which give "module name"."""
    module, _, name = argument.partition(" ")
    return Inert(module, name)


def _global(machine: Machine, argument: str) -> None:
    machine.stack.append(_named(argument))


def _stack_global(machine: Machine, argument: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        damaged("a class whose name is no text")
    machine.stack.append(Inert(module, name))


def _reduce(machine: Machine, argument: Any) -> None:
    arguments = machine.stack.pop()
    machine.stack[-1] = machine.call(machine.stack[-1], arguments)


def _new_with_names(machine: Machine, argument: Any) -> None:
    named, arguments = machine.stack.pop(), machine.stack.pop()
    machine.stack[-1] = machine.call(machine.stack[-1], (*machine.copied(arguments), named) if named else arguments)


def _instance(machine: Machine, argument: str) -> None:
    arguments = tuple(machine.since_mark())
    machine.stack.append(machine.call(_named(argument), arguments))


def _object(machine: Machine, argument: Any) -> None:
    what, *arguments = machine.since_mark()
    machine.stack.append(machine.call(what, tuple(arguments)))


def _two(machine: Machine) -> list[Any]:
    value, key = machine.stack.pop(), machine.stack.pop()
    return [key, value]


_Step = Callable[[Machine, Any], None]
#: Instructions whose argument is what they put onto the stack.
_LITERALS = {
    *("BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
}
_STEPS: dict[str, _Step] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, argument: None),
    **dict.fromkeys(("INT", "LONG", "LONG1", "LONG4"), _integer),
    "NONE": lambda machine, argument: machine.stack.append(None),
    "NEWTRUE": lambda machine, argument: machine.stack.append(True),
    "NEWFALSE": lambda machine, argument: machine.stack.append(False),
    "EMPTY_LIST": lambda machine, argument: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine, argument: machine.stack.append(()),
    "EMPTY_DICT": lambda machine, argument: machine.stack.append({}),
    "EMPTY_SET": lambda machine, argument: machine.stack.append(set()),
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": lambda machine, argument: machine.since_mark().clear(),
    "DUP": lambda machine, argument: machine.stack.append(machine.stack[-1]),
    "TUPLE1": _taken(1),
    "TUPLE2": _taken(2),
    "TUPLE3": _taken(3),
    "TUPLE": _marked(tuple),
    "LIST": _marked(list),
    "DICT": _marked(_dict),
    "FROZENSET": _marked(lambda items: frozenset(map(as_key, items))),
    "APPEND": lambda machine, argument: machine.append([machine.stack.pop()]),
    "APPENDS": lambda machine, argument: machine.append(machine.since_mark()),
    "SETITEM": lambda machine, argument: machine.put(_two(machine)),
    "SETITEMS": lambda machine, argument: machine.put(machine.since_mark()),
    "ADDITEMS": lambda machine, argument: machine.add(machine.since_mark()),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, place: machine.stack.append(machine.memo[place])),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda machine, place: machine.keep(place)),
    "MEMOIZE": lambda machine, argument: machine.keep(len(machine.memo)),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_with_names,
    "INST": _instance,
    "OBJ": _object,
    "BUILD": lambda machine, argument: machine.build(machine.stack.pop()),
    "BINPERSID": lambda machine, argument: machine.stack.append(machine.stored(machine.stack.pop())),
}
