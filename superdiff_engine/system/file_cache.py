"""What was read from files stays in memory until one of these files is written again, replaced or removed."""

from __future__ import annotations

import functools
import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")
Stamp = tuple[tuple[str, tuple[int, ...] | None], ...]


def stamp(folder: Path, files: Sequence[str] = ()) -> Stamp:
    """What tells one state of a folder's files from another, without reading them.

    Args:
        folder: whose files; or a file, which then counts alone.
        files: names of those that count; none for all in it and in the folders in it (not deeper), links followed.

    Returns:
        Of each file its path, and its device, inode, size, time of writing and time of change in nanoseconds (None
        where it cannot be seen).
    """
    paths = [folder / name for name in files] if files else _files_of(folder)
    return tuple((str(path), _state(path)) for path in paths)


def _files_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return [folder]
    files: list[Path] = []
    for place in (folder, *(inner for inner in _listed(folder) if inner.is_dir())):
        files += [path for path in _listed(place) if not path.is_dir()]
    return files


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    # The time of change too: a program may set the time of writing back to what it was.
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


class FileCached(Generic[Given, Result]):
    """A function whose last results are kept as long as the files that it reads stay what they are (`file_cached`)."""

    def __init__(
        self, function: Callable[Given, Result], most: int, files: Sequence[str], folder: Callable[..., Path] | None
    ) -> None:
        functools.update_wrapper(self, function)
        self._function, self._most, self._files, self._folder = function, most, files, folder
        self._signature, self._lock = inspect.signature(function), threading.Lock()
        self._kept: OrderedDict[tuple[Any, ...], tuple[Stamp, Result]] = OrderedDict()

    def __call__(self, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = tuple(bound.arguments.values())
        folder = Path(given[0]) if self._folder is None else self._folder(*args, **kwargs)
        key, seen = (folder, *given), stamp(folder, self._files)
        with self._lock:
            for other in [other for other, (state, _) in self._kept.items() if other[0] == folder and state != seen]:
                del self._kept[other]
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][1]
            while len(self._kept) >= self._most:
                self._kept.popitem(last=False)
        made = self._function(*args, **kwargs)
        with self._lock:
            self._kept[key] = (seen, made)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return made

    def cache_clear(self) -> None:
        """Forget all results."""
        with self._lock:
            self._kept.clear()


def file_cached(
    most: int, *files: str, folder: Callable[..., Path] | None = None
) -> Callable[[Callable[Given, Result]], FileCached[Given, Result]]:
    """Decorates a function that reads files of a folder: its last results are kept until one of the files changes.

    What is out of date, or one too many, is let go before the next is made: there may not be room for both. Safe to
    call from any thread; two that ask for the same at once both make it.

    Args:
        most: results that are kept.
        files: names of the files in the folder that the function reads; none for all (see `stamp`).
        folder: which one it reads, of the function's own arguments; None where that is the first of them.
    """
    return lambda function: FileCached(function, most, files, folder)
