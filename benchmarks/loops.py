"""Runs whose score calls are watched: a loop over its calls, and calls that are not batched.

A call is everything within an expert's `score`, or within a shared network's `scores`: what makes a score of the
samples, the network itself and what is put into it and made of its output.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from benchmarks.timing import Marks
from superdiff_engine.domain import Prepared
from superdiff_engine.domains import get_domain
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.sampling import Step
from superdiff_engine.score import ConditionedScore, ScoreModel, networks_of
from superdiff_engine.system.cuda_graphs import cuda_graphs
from superdiff_engine.system.threads import cpu_threads
from superdiff_engine.walk import walk

Scoring = Callable[..., Any]


@dataclass(frozen=True)
class Loop:
    """How long a loop took.

    Attributes:
        steps: that were taken.
        seconds: of all of it.
        in_calls: seconds within its score calls.
        in_networks: seconds within torch's modules; 0 where they were not looked at.
        notes: what to know of it, in sentences.
    """

    steps: int
    seconds: float
    in_calls: float
    in_networks: float = 0.0
    notes: tuple[str, ...] = ()


def asked(prepared: Prepared) -> list[ScoreModel]:
    """The experts, and the reference of their guidance."""
    return [*prepared.experts, *([] if prepared.guidance is None else [prepared.guidance.reference])]


@contextmanager
def wrapped(prepared: Prepared, wrap: Callable[[Scoring], Scoring]) -> Iterator[None]:
    """While it is open, the score calls of a run go through what `wrap` makes of them."""
    owners: dict[int, tuple[Any, str]] = {}
    for expert in asked(prepared):
        owner = (expert.network, "scores") if isinstance(expert, ConditionedScore) else (expert, "score")
        owners[id(owner[0])] = owner
    before = {key: vars(owner).get(name) for key, (owner, name) in owners.items()}
    for owner, name in owners.values():
        setattr(owner, name, wrap(getattr(owner, name)))
    try:
        yield
    finally:
        for key, (owner, name) in owners.items():
            delattr(owner, name)
            if before[key] is not None:
                setattr(owner, name, before[key])


def one_by_one(scores: Scoring) -> Scoring:
    """A shared network's `scores`, with one call of the network for each condition."""

    def each(y: Any, level: Any, conditions: Sequence[Any]) -> list[Any]:
        return [scores(y, level, [condition])[0] for condition in conditions]

    return each


class Calls:
    """Calls as they are made: `clocked` makes a function that notes when it begins and ends, but not within another."""

    def __init__(self, marks: Marks) -> None:
        self.marks, self.spans, self._inside = marks, list[tuple[Any, Any]](), False

    def clocked(self, function: Scoring) -> Scoring:
        def call(*arguments: Any, **named: Any) -> Any:
            if self._inside:
                return function(*arguments, **named)
            self._inside, start = True, self.marks.now()
            try:
                return function(*arguments, **named)
            finally:
                self._inside = False
                self.spans.append((start, self.marks.now()))

        return call

    def seconds(self) -> float:
        """In all of them; the device must have settled."""
        return sum(self.marks.between(*span) for span in self.spans)


@contextmanager
def modules(clock: Calls) -> Iterator[None]:
    """While it is open, calls of torch's modules are clocked."""
    plain = torch.nn.Module.__call__
    torch.nn.Module.__call__ = clock.clocked(plain)  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.nn.Module.__call__ = plain  # type: ignore[method-assign]


def threads_of(recipe: Recipe) -> AbstractContextManager[None]:
    """As many CPU threads as a run of its domain has."""
    count = get_domain(recipe.domain).threads
    return nullcontext() if count is None else cpu_threads(count)


def steps_of(
    recipe: Recipe, prepared: Prepared | None = None, device: str = "cpu", notes: list[str] | None = None
) -> Generator[Step, None, None]:
    """The steps of a recipe as a run takes them, with experts that its domain prepares, or that are given.

    `notes` gets what is to be known of them, once they have ended or are closed.
    """
    domain = get_domain(recipe.domain)
    prepared = domain.prepare(recipe, device) if prepared is None else prepared
    graphs = cuda_graphs(networks_of(asked(prepared)), device) if recipe.cuda_graphs else nullcontext([])
    said: list[str] = []
    try:
        with graphs as said:
            yield from walk(recipe, domain, prepared, device)
    finally:
        if notes is not None:
            notes += said


def timed(
    recipe: Recipe,
    device: str = "cpu",
    *,
    prepared: Prepared | None = None,
    steps: int | None = None,
    skipped: int = 0,
    networks: bool = False,
) -> Loop:
    """A run of a recipe, timed.

    Args:
        recipe: what to do.
        device: "cpu" or "cuda".
        prepared: its experts; None for what its domain prepares.
        steps: how many of its first steps; None for all.
        skipped: steps before the clock starts.
        networks: whether modules are looked at too.
    """
    prepared = get_domain(recipe.domain).prepare(recipe, device) if prepared is None else prepared
    marks = Marks(device)
    calls, bare = Calls(marks), Calls(marks)
    taken, notes = 0, list[str]()
    with threads_of(recipe), wrapped(prepared, calls.clocked), modules(bare) if networks else nullcontext():
        whole = steps_of(recipe, prepared, device, notes)
        run = islice(whole, None if steps is None else steps + skipped)
        for _ in islice(run, skipped):
            pass
        marks.settle()
        calls.spans.clear(), bare.spans.clear()
        start = marks.now()
        for _ in run:
            taken += 1
        end = marks.now()
        marks.settle()
        whole.close()
    return Loop(taken, marks.between(start, end), calls.seconds(), bare.seconds(), tuple(notes))
