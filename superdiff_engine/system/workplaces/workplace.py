"""The face of all places where work is done, and what a piece of work is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Self

from ..threads import cpu_threads
from .line import Line, speaking

#: Takes what work says of itself while it is done; it may be called by another thread.
Heard = Callable[[Any], None]


@dataclass(frozen=True)
class Task:
    """A piece of work.

    Attributes:
        work: a module's function, which other processes find by its name.
        arguments: of it; picklable, as is what it returns.
        threads: with which torch computes on the CPU; None for as many as the workplace's processes have.
        cpus: cores that it takes.
        device: "cpu", "cuda", or "auto" for a GPU where the workplace has some.
    """

    work: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    threads: int | None = None
    cpus: int = 1
    device: str = "cpu"


def perform(task: Task, line: Line) -> Any:
    """Do it, in this process."""
    with nullcontext() if task.threads is None else cpu_threads(task.threads), speaking(line):
        return task.work(*task.arguments)


def unheard(news: Any) -> None:
    """For news that nobody wants."""


class Workplace(Executor):
    """A place where work is done; as an Executor it takes plain functions too. A block that is left closes it.

    Attributes:
        workers: how many pieces of work are done side by side, about.
        shares_disk: whether what is written there can be read here, and the other way round.
    """

    shares_disk: ClassVar[bool] = True
    workers: int

    @abstractmethod
    def start(self, task: Task, heard: Heard = unheard) -> Future[Any]:
        """Have a piece of work done; `heard` takes its news. Its future is cancelled where it is not done any more."""

    @abstractmethod
    def as_completed(self, futures: Iterable[Future[Any]]) -> Iterator[Future[Any]]:
        """The futures of `start`, as they end; those that were cancelled too."""

    @abstractmethod
    def cancel(self) -> None:
        """Ask all work to stop: what has not begun is not done, the rest stops within a step or is ended soon after."""

    @abstractmethod
    def close(self, broken: bool = False) -> None:
        """Let the place go; `broken`: without waiting for what is at work."""

    def interrupt(self) -> None:
        """As `cancel`, for a signal in the very thread that waits for the work; may raise Interrupted."""
        self.cancel()

    def takes(self, device: str) -> bool:
        """Whether work on this device can be done here by all workers."""
        return True

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As of every Executor."""
        return self.start(Task(partial(fn, **kwargs) if kwargs else fn, args))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As of every Executor."""
        if cancel_futures:
            self.cancel()
        self.close(not wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(kind is not None)


def drop(future: Future[Any]) -> None:
    """Say of a future that nobody has begun that it will not be done."""
    if not future.done() and future.cancel():
        future.set_running_or_notify_cancel()


def settle(future: Future[Any], value: Any = None, error: BaseException | None = None) -> None:
    """Say how a piece of work ended, unless that was said before."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
