"""What the machines of a Ray cluster do: a task, and the board on which its news stand; imported there, too."""

from __future__ import annotations

import importlib.metadata
import pickle
import platform
import socket
from functools import cache
from typing import Any

from ...errors import SuperDiffError
from .line import NEWS_SECONDS, Line

#: Seconds that a task waits for the board; without it the work goes on, and its news are lost.
_PATIENCE = 10.0


class Board:
    """An actor: the newest news of all tasks, and whether they shall stop."""

    def __init__(self) -> None:
        self._news: dict[int, Any] = {}
        self._stop = False

    def tell(self, ticket: int, news: Any) -> bool:
        """Take a task's news; says whether it shall stop."""
        self._news[ticket] = news
        return self._stop

    def collect(self) -> dict[int, Any]:
        """The news since the last time."""
        found, self._news = self._news, {}
        return found

    def stop(self) -> None:
        """Let all tasks stop."""
        self._stop = True


@cache
def versions() -> dict[str, str]:
    """What must be the same on all machines, so that results are."""
    packages = ("superdiff-studio", "torch", "numpy")
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in packages:
        try:
            # The processor that torch was built for ("+cpu", "+cu128") may differ.
            found[name] = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def run_task(payload: bytes, ticket: int, asked: dict[str, str], board: Any) -> bytes:
    """Do a task on a machine of the cluster.

    Args:
        payload: the pickled `Task`.
        ticket: by which its news are known.
        asked: the versions of whoever asked.
        board: a handle of the `Board`.

    Returns:
        Pickled: ("done", its value) or ("failed", the exception that it raised).
    """
    try:
        here = versions()
        other = [f"{name} {here[name]} instead of {asked[name]}" for name in asked if here[name] != asked[name]]
        if other:
            raise SuperDiffError(
                f"The machine {socket.gethostname()} of the Ray cluster has {' and '.join(other)}; install the same "
                "versions on all machines."
            )
        from .workplace import perform  # brings torch, which the board does without

        return pickle.dumps(("done", perform(pickle.loads(payload), Line(_Sender(ticket, board), NEWS_SECONDS))))
    except Exception as error:
        return _failed(error)


def _failed(error: Exception) -> bytes:
    try:
        packed = pickle.dumps(("failed", error))
        pickle.loads(packed)  # an exception with arguments of its own may not come back
    except Exception:
        told = str(error) if isinstance(error, SuperDiffError) else f"{type(error).__name__}: {error}"
        packed = pickle.dumps(("failed", SuperDiffError(told)))
    return packed


class _Sender:
    """Sends a task's news to the board."""

    def __init__(self, ticket: int, board: Any) -> None:
        self._ticket, self._board = ticket, board

    def __call__(self, news: Any) -> bool:
        import ray

        try:
            return bool(ray.get(self._board.tell.remote(self._ticket, news), timeout=_PATIENCE))
        except ray.exceptions.RayError:
            return False  # the board is begun anew elsewhere; the next news find it
