"""A cluster of machines as a workplace, run by Ray (https://ray.io): this side of cluster_process.py."""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, as_completed
from contextlib import suppress
from dataclasses import replace
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ...errors import SuperDiffError
from ..interrupts import Interrupted
from .cluster_process import LOCAL
from .line import FORCE_SECONDS
from .workplace import Heard, Task, Workplace, drop, settle, unheard

log = logging.getLogger("superdiff.cluster")

#: Seconds that a machine has to answer, and Ray to begin.
_ANSWER, _BEGIN = 5.0, 180.0
#: Seconds that the other process has to end.
_END = 10.0
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


def ray_is_installed() -> bool:
    """Whether the package Ray is there; it is not imported."""
    return importlib.util.find_spec("ray") is not None


def check_address(address: str) -> None:
    """Raises SuperDiffError, in a sentence, where Ray is missing or this can be no cluster's address."""
    if not ray_is_installed():
        raise SuperDiffError("Ray is not installed here; pip install 'superdiff-studio[ray]' brings it.")
    if address.startswith("ray://"):
        raise SuperDiffError(
            "Ray's client (ray://) is not used here; run this on a machine of the cluster, with the address "
            "HOST:PORT that ray start has printed."
        )
    if address != LOCAL and _ADDRESS.fullmatch(address) is None:
        raise SuperDiffError("A Ray cluster's address is HOST:PORT, as ray start prints it, or auto for a local one.")


class Cluster(Workplace):
    """The machines of a Ray cluster.

    A task whose worker died is begun again, at most three times. Nothing is sent to Ray's usage statistics, and a local
    cluster listens on 127.0.0.1 alone and has no dashboard.

    Args:
        address: HOST:PORT, or `LOCAL`.
        workers: cores of a local cluster; None for all of this machine.
        stopped: says whether nobody wants it any more, while it begins.

    Attributes:
        gpus: of all machines.

    Raises:
        SuperDiffError: where there is no such cluster, or it cannot be used; in a sentence.
        Interrupted: when `stopped` says so.
    """

    shares_disk = False

    def __init__(self, address: str, workers: int | None = None, stopped: Callable[[], bool] = lambda: False) -> None:
        check_address(address)
        if address != LOCAL:
            _knock(address)
        self._address = address
        self._futures: dict[int, tuple[Future[Any], Heard]] = {}
        self._tickets = count()
        self._cancelled = self._closed = False
        self._sending = threading.Lock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed in `close`
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.cluster_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # a Ctrl+C in the terminal is for this process, which decides
            env=_environment(address),
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._out = Connection(os.dup(self._process.stdin.fileno()), readable=False)
        self._in = Connection(os.dup(self._process.stdout.fileno()), writable=False)
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._out.send((address, workers))
            self.workers, self.gpus = self._ready(stopped)
        except BaseException:
            self.close(broken=True)
            raise
        threading.Thread(target=self._read, name="superdiff-cluster", daemon=True).start()

    def _ready(self, stopped: Callable[[], bool]) -> tuple[int, int]:
        """Wait until the cluster is there: (workers, GPUs)."""
        limit = time.monotonic() + _BEGIN
        while not self._in.poll(0.1):
            if stopped():
                raise Interrupted
            if time.monotonic() > limit:
                raise SuperDiffError(f"Ray did not begin within {_BEGIN:.0f} s at {self._address}; try again.")
        try:
            said, *rest = self._in.recv()
        except EOFError:
            raise SuperDiffError(f"Ray could not be used at {self._address}: {self._last_words()}") from None
        if said == "refused":
            raise SuperDiffError(rest[0])
        return max(rest[0], 1), rest[1]

    def start(self, task: Task, heard: Heard = unheard) -> Future[Any]:
        future, ticket = Future[Any](), next(self._tickets)
        # A worker's own number depends on what it did before.
        payload = pickle.dumps(task if task.threads is not None else replace(task, threads=task.cpus))
        self._futures[ticket] = future, heard
        if self._cancelled:
            drop(future)
        else:
            self._send(("start", ticket, payload, task.cpus, task.device))
        return future

    def as_completed(self, futures: Iterable[Future[Any]]) -> Iterator[Future[Any]]:
        return as_completed(futures)

    def cancel(self) -> None:
        self._cancelled = True
        self._send(("cancel",))
        force = threading.Timer(2 * FORCE_SECONDS, self._force)
        force.daemon = True
        force.start()

    def _force(self) -> None:
        """End the process that does not stop the work; the cluster ends what was asked for by it."""
        if any(not future.done() for future, _ in self._futures.values()):
            self._process.kill()

    def close(self, broken: bool = False) -> None:
        self._closed = True
        with suppress(OSError):
            self._out.close()  # the other process ends with its input
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _send(self, command: tuple[Any, ...]) -> None:
        with self._sending, suppress(OSError):  # where it is gone, `_read` says so
            self._out.send(command)

    def _read(self) -> None:
        """Hear what happened, until the other process is gone (a thread)."""
        try:
            while True:
                said, ticket, *rest = self._in.recv()
                future, heard = self._futures[ticket]
                if said == "news":
                    self._hear(heard, rest[0])
                elif said == "dropped":
                    drop(future)
                elif said == "done":
                    self._end(future, rest[0])
                else:
                    settle(future, error=SuperDiffError(rest[0]))
        except (EOFError, OSError):
            self._leave()

    def _hear(self, heard: Heard, news: Any) -> None:
        if not self._cancelled:
            try:
                heard(news)
            except Exception:  # costs these news
                log.exception("the news of a cluster")

    def _end(self, future: Future[Any], content: bytes) -> None:
        # Pickled by this project's own process from what the cluster's machines, which run its code, have sent.
        how, value = pickle.loads(content)
        if how == "done":
            settle(future, value)
        else:
            settle(future, error=value)

    def _leave(self) -> None:
        """Nothing more will happen: say so of what has not ended."""
        words = "" if self._closed or self._cancelled else self._last_words()
        for future, _ in list(self._futures.values()):
            if self._closed or self._cancelled:
                drop(future)
            else:
                settle(
                    future,
                    error=SuperDiffError(
                        f"The connection with the Ray cluster at {self._address} was lost ({words}); the same command "
                        "goes on from what is finished."
                    ),
                )

    def _last_words(self) -> str:
        """The end of what the other process said on its standard error."""
        self._errors.seek(0)
        lines = [line for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        if lines:
            log.warning("the process of the Ray cluster at %s: %s", self._address, "\n".join(lines[-20:]))
        return lines[-1].strip()[:300] if lines else "it said nothing"


def _knock(address: str) -> None:
    """Raise SuperDiffError where nothing answers: Ray itself would take minutes to say so."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise SuperDiffError(
            f"Nothing answers at {address} ({error}); start a Ray cluster there with ray start --head, or use "
            "--ray auto for one on this machine alone."
        ) from None


def _environment(address: str) -> dict[str, str]:
    """Of the process that speaks with Ray, and of a local cluster's."""
    root = str(Path(__file__).parents[3])  # where this package is imported from
    known = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != root]
    found = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.pathsep.join([root, *known])}
    if address == LOCAL:
        # One machine alone: Ray takes 127.0.0.1 for its address, and listens nowhere else.
        found["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        found.setdefault("RAY_worker_niceness", "0")  # its workers are no less than an ordinary run
        # Workers that have loaded their models wait for what comes after a table's row was measured.
        found.setdefault("RAY_idle_worker_killing_time_threshold_ms", "600000")
        found.pop("RAY_ADDRESS", None)
    return found
