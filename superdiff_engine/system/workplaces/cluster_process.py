"""The process that speaks with a Ray cluster, so that no other one does.

Ray takes signals, prints, and ends the process that uses it where the cluster is lost; it cannot be told that nothing
answers sooner than after minutes. So it has a process of its own, which reads commands from its standard input, writes
what happened to its standard output (tuples, pickled), and ends when its input does: with whoever started it.

    in:   (address, workers), then ("start", ticket, task, cpus, device) ... ("cancel",)
    out:  ("refused", sentence), or ("ready", workers, gpus), then ("news", ticket, news), ("done", ticket, bytes),
          ("failed", ticket, sentence), ("dropped", ticket)
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from .cluster_task import Board, run_task, versions
from .line import FORCE_SECONDS, NEWS_SECONDS

#: The address of a cluster of this machine alone, which is begun and ended with this process.
LOCAL = "auto"
#: How often a task is begun again whose worker died.
RETRIES = 3
#: Bytes of shared memory for a local cluster's results; what is more goes to disk.
_STORE = 256 * 1024**2
_TOKEN = " If it asks for a token, set RAY_AUTH_MODE=token here, and have its token in ~/.ray/auth_token."


@dataclass
class _Given:
    """A task that the cluster has, and how often its worker died."""

    ticket: int
    payload: bytes
    cpus: int
    device: str
    deaths: int = 0
    begun: bool = False


class Refused(Exception):
    """The cluster cannot be used; its text is a sentence for the user."""


class Driver:
    """What has been given to the cluster, and what has come of it.

    Args:
        address: of the cluster, or `LOCAL`.
        workers: cores of a local cluster; None for all that there are.
        out: where to say what happened.
    """

    def __init__(self, address: str, workers: int | None, out: Connection) -> None:
        import ray

        self.ray, self._address, self._out = ray, address, out
        self._connect(address, workers)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self.cpus = int(sum(node.get("CPU", 0) for node in nodes))
        self.gpus = int(sum(node.get("GPU", 0) for node in nodes))
        self._most_cpus = int(max((node.get("CPU", 0) for node in nodes), default=0))
        self._board: Any = ray.remote(Board).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
        self._work = ray.remote(run_task)
        self._given: dict[Any, _Given] = {}
        self._stopped: float | None = None
        self._looked = 0.0

    def _connect(self, address: str, workers: int | None) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if address == LOCAL:
                self.ray.init(
                    address="local", num_cpus=workers, include_dashboard=False, object_store_memory=_STORE, **quiet
                )
            else:
                self.ray.init(address=address, **quiet)
        except Exception as error:
            text = " ".join(str(error).split())
            if "ersion mismatch" in text:
                raise Refused(
                    f"The Ray cluster at {address} has other versions than this machine; install the same Ray and "
                    f"Python on all machines. Ray says: {text}"
                ) from error
            # Ray tells neither side that they differ in this; a cluster may ask for a token unasked.
            token = "" if os.environ.get("RAY_AUTH_MODE") == "token" else _TOKEN
            raise Refused(
                f"Ray could not be used at {address} ({type(error).__name__}: {text}). This machine must be one of "
                f"the cluster's: ray start --address={address} makes it one.{token}"
            ) from error

    def start(self, ticket: int, payload: bytes, cpus: int, device: str) -> None:
        """Give the cluster a task."""
        if device == "auto":
            device = "cuda" if self.gpus else "cpu"
        problem = ""
        if device == "cuda" and not self.gpus:
            problem = f"The Ray cluster at {self._address} has no GPU; choose the device 'auto' or 'cpu'."
        elif device not in ("cpu", "cuda"):
            problem = f"A Ray cluster has no device '{device}'; choose 'auto', 'cpu' or 'cuda'."
        elif not self._most_cpus:
            problem = f"No machine of the Ray cluster at {self._address} has a core to offer."
        if problem:
            self._out.send(("failed", ticket, problem))
        else:
            self._give(_Given(ticket, payload, cpus, device))

    def _give(self, task: _Given) -> None:
        # What asks for more cores than any machine has would wait for ever.
        card = task.device == "cuda"
        takes = {"num_cpus": 1 if card else min(task.cpus, self._most_cpus), "num_gpus": 1 if card else 0}
        given = task.payload, task.ticket, versions(), self._board
        reference = self._work.options(max_retries=0, **takes).remote(*given)
        self._given[reference] = task

    def cancel(self) -> None:
        """Let everything stop: what has not begun at once, the rest as soon as it hears of it."""
        self._stopped = time.monotonic()
        self.ray.get(self._board.stop.remote())
        for reference, task in list(self._given.items()):
            if not task.begun:
                self.ray.cancel(reference)

    def look(self, seconds: float) -> None:
        """Say what has happened, waiting for it for so long."""
        ready, _ = self.ray.wait(list(self._given), num_returns=1, timeout=seconds)
        for reference in ready:
            self._end(reference, self._given.pop(reference))
        if time.monotonic() - self._looked >= NEWS_SECONDS:
            self._looked = time.monotonic()
            self._hear()
        if self._stopped is not None and time.monotonic() - self._stopped > FORCE_SECONDS:
            self._stopped = time.monotonic()
            for reference in self._given:
                self.ray.cancel(reference, force=True)

    def _hear(self) -> None:
        found = self.ray.get(self._board.collect.remote())
        for task in self._given.values():
            if task.ticket in found:
                task.begun = True
                self._out.send(("news", task.ticket, found[task.ticket]))

    def _end(self, reference: Any, task: _Given) -> None:
        """Say how a task ended, or begin it again where its worker died."""
        errors = self.ray.exceptions
        try:
            self._out.send(("done", task.ticket, self.ray.get(reference)))
        except errors.TaskCancelledError:
            self._out.send(("dropped", task.ticket))
        except errors.RayTaskError as error:
            # The task itself raises nothing: its module could not be imported there.
            last = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
            self._fail(
                task,
                f"A machine of the Ray cluster could not begin the work ({last}); superdiff-studio must be installed "
                "on all of them, in the same version.",
            )
        except errors.RayError as error:
            why = self._death(error)
            if self._stopped is not None:
                self._out.send(("dropped", task.ticket))
            elif why and task.deaths < RETRIES:
                task.deaths, task.begun = task.deaths + 1, False
                self._give(task)
            elif why:
                self._fail(
                    task,
                    f"It was begun {1 + RETRIES} times on the Ray cluster, and each time its worker was lost (the last "
                    f"time {why}).",
                )
            else:
                text = " ".join(str(error).split())[:500]
                self._fail(task, f"Ray could not do it ({type(error).__name__}: {text}).")

    def _fail(self, task: _Given, sentence: str) -> None:
        self._out.send(("failed", task.ticket, sentence))

    def _death(self, error: Exception) -> str:
        """How a task's worker was lost; "" for any other error."""
        errors = self.ray.exceptions
        known = {
            errors.WorkerCrashedError: "its process ended",
            errors.OutOfMemoryError: "its machine had no memory left",
            errors.NodeDiedError: "its machine was lost",
            errors.LocalRayletDiedError: "its machine was lost",
            errors.ObjectLostError: "its result was lost with a machine",
        }
        return next((words for kind, words in known.items() if isinstance(error, kind)), "")

    def serve(self, commands: queue.Queue[Any]) -> None:
        """Do what is commanded, until None is."""
        while True:
            try:
                command = commands.get(timeout=None if not self._given else 0.001)
                if command is None:
                    return
                if command[0] == "start":
                    self.start(*command[1:])
                else:
                    self.cancel()
            except queue.Empty:
                self.look(0.05)


def _read(into: Connection, commands: queue.Queue[Any]) -> None:
    try:
        while True:
            commands.put(into.recv())
    except (EOFError, OSError):
        commands.put(None)


def main() -> None:
    """Serve whoever started this process."""
    into, out = Connection(os.dup(0), writable=False), Connection(os.dup(1), readable=False)
    os.dup2(2, 1)  # whatever prints does not disturb
    commands: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_read, args=(into, commands), daemon=True).start()
    address, workers = commands.get()
    try:
        driver = Driver(address, workers, out)
    except Refused as refused:
        out.send(("refused", str(refused)))
        return
    out.send(("ready", driver.cpus, driver.gpus))
    try:
        driver.serve(commands)
    finally:
        driver.ray.shutdown()


if __name__ == "__main__":
    main()
    sys.exit(0)
