"""A sandbox for files of strangers, a process apart: none can hang, fill or end the one that asks.

`read_apart` starts a Python that knows one function and is given the file's bytes. It has bounds on seconds, memory and
the length of its answer, may write no file, and is killed when it passes them or when whoever waits has had enough. The
answer is JSON, not a pickle: a file that took the process over can give wrong numbers, but run nothing here. `Reading`
does the same in a thread of its own, for a page that goes on meanwhile.

This file is also what that process runs, so it imports little, and neither the package nor torch: a file is being read
about a second after it was given.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

__all__ = ["LARGEST_RECIPE", "Limits", "Reading", "as_text", "read_apart"]

T = TypeVar("T")
log = logging.getLogger("superdiff.sandbox")
#: Characters of a recipe that is taken out of a file.
LARGEST_RECIPE = 64 * 1024
#: Files that are read at the same time; others wait their turn.
AT_ONCE = 2
#: Seconds between two looks at the process and at whether it was cancelled.
_TICK = 0.02
_places = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True)
class Limits:
    """What the reading of one file may cost.

    Attributes:
        content: bytes of the file.
        seconds: of the clock, and of computing, from the start of the process.
        memory: bytes that the process may ask for, its libraries included (where the system can bound that).
        answer: bytes of what it gives back.
    """

    content: int = 20 * 2**20
    seconds: float = 30.0
    memory: int = 2 * 2**30
    answer: int = 16 * 2**20


def read_apart(
    function: str,
    content: bytes,
    limits: Limits | None = None,
    options: dict[str, Any] | None = None,
    cancelled: threading.Event | None = None,
) -> dict[str, Any]:
    """What `function(content, **options)` returns, computed in a process apart.

    Args:
        function: "package.module:name" of this engine; it returns what JSON can hold, and should import little.
        content: of the file.
        limits: of this reading; None for the usual ones.
        options: keyword arguments, JSON too.
        cancelled: set by whoever no longer wants the answer.

    Raises:
        SuperDiffError: with one sentence: what the function said, which bound was passed, that it was cancelled.
    """
    from ..errors import SuperDiffError

    limits = Limits() if limits is None else limits
    stop = threading.Event() if cancelled is None else cancelled
    if len(content) > limits.content:
        raise SuperDiffError(f"This file is larger than {_megabytes(limits.content)}; give a smaller part of it.")
    while not _places.acquire(timeout=_TICK):
        if stop.is_set():
            raise SuperDiffError("The file was not read: it was cancelled.")
    try:
        answer = _ask(function, content, limits, options or {}, stop)
    finally:
        _places.release()
    try:
        answered = json.loads(answer)
    except (ValueError, RecursionError):
        answered = None
    if not isinstance(answered, dict):
        raise SuperDiffError("This file could not be read: it ended the process that reads files.")
    if "trouble" in answered:
        log.warning("reading a file with %s: %s", function, as_text(answered["trouble"], 4000))
    if "error" in answered:
        raise SuperDiffError(str(answered["error"])[:500])
    return answered


def _ask(function: str, content: bytes, limits: Limits, options: dict[str, Any], stop: threading.Event) -> bytes:
    from ..errors import SuperDiffError

    order = {"function": function, "seconds": limits.seconds, "memory": limits.memory, "options": options}
    process = subprocess.Popen(
        [sys.executable, "-P", "-X", "utf8", str(Path(__file__).resolve()), json.dumps(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None and process.stdout is not None
    sink, source = process.stdin, process.stdout
    answer: list[bytes] = []

    def give() -> None:
        with suppress(OSError), sink:
            sink.write(content)

    def take() -> None:
        with suppress(OSError, ValueError):
            answer.append(source.read(limits.answer + 1))

    threads = [threading.Thread(target=target, daemon=True) for target in (give, take)]
    until = time.monotonic() + limits.seconds
    try:
        for thread in threads:
            thread.start()
        while threads[1].is_alive():
            threads[1].join(_TICK)
            if stop.is_set():
                raise SuperDiffError("The file was not read: it was cancelled.")
            if time.monotonic() > until:
                raise SuperDiffError(
                    f"This file takes longer than {limits.seconds:g} seconds to read; give a smaller part of it."
                )
    finally:
        process.kill()
        process.wait()
        for thread in threads:
            thread.join()
        source.close()
    if answer and len(answer[0]) > limits.answer:
        raise SuperDiffError("This file holds more than can be taken from one file; give a smaller part of it.")
    if answer and answer[0]:
        return answer[0]
    # Nothing said: libraries that get no memory, or pass the bound on computing, end the process without a word.
    raise SuperDiffError(
        f"This file could not be read: that takes more than {_megabytes(limits.memory)} of memory or "
        f"{limits.seconds:g} seconds, or the file is damaged."
    )


def _megabytes(count: int) -> str:
    return f"{count / 2**20:.3g} MB" if count < 2**30 else f"{count / 2**30:.3g} GB"


def as_text(value: Any, most: int = 1000) -> str:
    """Text out of an answer: bounded, and nothing in it that cannot be sent to a browser."""
    return str(value)[:most].encode("utf-8", "replace").decode()


class Reading(Generic[T]):
    """A file that is being read apart, by a thread of this process that waits for it.

    Args:
        function: as for `read_apart`.
        content: of the file.
        take: what is made of the answer, in the same thread; may raise SuperDiffError.
        limits: as for `read_apart`.
        options: as for `read_apart`.

    Attributes:
        finished: set when nothing more will happen.
        value: what `take` returned; None where there is a problem.
        problem: what went wrong, in a sentence; empty where nothing did.
    """

    def __init__(
        self,
        function: str,
        content: bytes,
        take: Callable[[dict[str, Any]], T],
        limits: Limits | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.finished = threading.Event()
        self.value: T | None = None
        self.problem = ""
        self._cancelled = threading.Event()
        self._started = time.monotonic()
        arguments = (function, content, take, limits, options)
        threading.Thread(target=self._work, args=arguments, daemon=True, name="superdiff-reading").start()

    @property
    def seconds(self) -> float:
        """Since it was asked for."""
        return time.monotonic() - self._started

    @property
    def cancelling(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop it, whatever it is doing."""
        self._cancelled.set()

    def _work(
        self,
        function: str,
        content: bytes,
        take: Callable[[dict[str, Any]], T],
        limits: Limits | None,
        options: dict[str, Any] | None,
    ) -> None:
        from ..errors import SuperDiffError

        try:
            self.value = take(read_apart(function, content, limits, options, self._cancelled))
        except SuperDiffError as error:
            self.problem = str(error)
        except Exception:
            log.exception("reading a file with %s", function)
            self.problem = "This file could not be read; the log holds the details."
        finally:
            self.finished.set()


def _main() -> None:
    """The process apart: bounds first, then the one function, then its answer on standard output."""
    import os

    order = json.loads(sys.argv[1])
    # Libraries that write to standard output must not write into the answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    _bound(order["seconds"], order["memory"])
    try:
        answered = _call(order["function"], sys.stdin.buffer.read(), order["options"])
        text = json.dumps(answered, allow_nan=False)
    except (ImportError, MemoryError):
        text = json.dumps({"error": f"This file takes more than {_megabytes(order['memory'])} of memory to read."})
    with os.fdopen(answer, "wb") as out:
        out.write(text.encode())
    os._exit(0)  # without taking apart what was read, which may take long


def _bound(seconds: float, memory: int) -> None:
    """Bounds that the system keeps, where it has them: memory, computing, no files; and the end with the parent's."""
    with suppress(ImportError, OSError, ValueError, AttributeError):
        import resource

        whole = int(seconds) + 1
        for kind, most in (("CPU", whole), ("AS", memory), ("FSIZE", 0), ("CORE", 0)):
            number = getattr(resource, f"RLIMIT_{kind}")
            held = resource.getrlimit(number)[1]
            most = most if held == resource.RLIM_INFINITY else min(most, held)
            resource.setrlimit(number, (most, most))
    with suppress(ImportError, OSError, AttributeError):
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, Linux


def _call(function: str, content: bytes, options: dict[str, Any]) -> dict[str, Any]:
    import traceback
    import types
    from importlib import import_module

    folder = Path(__file__).resolve().parents[1]
    module, _, name = function.partition(":")
    # The packages' own __init__ import all of the engine, torch included: bare ones stand in their places.
    parts = module.split(".")[:-1]
    own = [parts[:depth] for depth in range(1, len(parts) + 1) if parts[0] == folder.name]
    for package in own or [[folder.name]]:
        bare = types.ModuleType(".".join(package))
        bare.__path__ = [str(folder.parent.joinpath(*package))]
        sys.modules[bare.__name__] = bare
    errors = import_module(f"{folder.name}.errors")
    try:
        return getattr(import_module(module), name)(content, **options)
    except errors.SuperDiffError as error:
        return {"error": str(error)}
    except (ImportError, MemoryError):
        raise  # a library that is not loaded gets no memory
    except Exception:
        trouble = traceback.format_exc()[-4000:]  # this process has no log of its own
        return {"error": "This file could not be read; it is damaged.", "trouble": trouble}


if __name__ == "__main__":
    _main()
