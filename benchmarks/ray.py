"""A grid by one local worker against two, of Ray and of this project's own pool: python -m benchmarks.ray.

A grid of 32 cells of the plane and one of 8 emoji, a core a cell, turn by turn in one run: by a pool of one process,
one of two, a local Ray cluster of one core, one of two, and by one and two processes that nothing joins, each of which
makes its part of the cells: the most that these cores allow. All are warm: every worker has made cells of each kind
before. The share of linear is t1 / (2 t2), 1 where two workers take half the time of one. All results must be equal to
the last digit. Writes docs/benchmarks_ray.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.axes import parse_axis
from superdiff_engine.runs.cell_run import CellAsked, CellMade, make_cell
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.system.workplaces.cluster import Cluster
from superdiff_engine.system.workplaces.processes import Processes
from superdiff_engine.system.workplaces.workplace import Task, Workplace

console = Console(width=110)
PAGE = Path("docs/benchmarks_ray.md")
PLACES: dict[str, Callable[[], Workplace | Plain]] = {
    "plain 1": lambda: Plain(1),
    "plain 2": lambda: Plain(2),
    "pool 1": lambda: Processes(1, 1),
    "pool 2": lambda: Processes(2, 1),
    "Ray 1": lambda: Cluster("auto", 1),
    "Ray 2": lambda: Cluster("auto", 2),
}


def grids(quick: bool) -> dict[str, list[Recipe]]:
    """The recipes of the cells."""
    found = {}
    for domain, fields, axes in (
        ("plane", {}, (parse_axis("seed=0:8"), parse_axis("temperature=0,1,3,10"))),
        ("prompts", {"levels": {"steps": 8}}, (parse_axis("seed=0:8"), None)),
    ):
        document: dict[str, Any] = next(iter(get_domain(domain).examples().values())).model_dump()
        changed = {name: document[name] | value for name, value in fields.items()} | {"operator": {"name": "or"}}
        cells = list(Sweep(make_recipe(document | changed), *axes).recipes.values())
        found["emoji" if domain == "prompts" else domain] = cells[:4] if quick else cells
    return found


class Plain:
    """Processes that nothing joins: each makes every `count`-th cell, and says when it has."""

    def __init__(self, count: int) -> None:
        command = [sys.executable, "-m", "benchmarks.ray", "--part"]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.processes = [subprocess.Popen(command, **pipes) for _ in range(count)]
        self.workers = count

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            process.communicate()  # its input ends, and it with it

    def make(self, recipes: list[Recipe]) -> tuple[float, list[CellMade]]:
        """Seconds for all cells."""
        started = time.monotonic()
        for number, process in enumerate(self.processes):
            assert process.stdin is not None
            process.stdin.write(json.dumps([recipe.to_json() for recipe in recipes[number :: self.workers]]) + "\n")
            process.stdin.flush()
        for process in self.processes:
            assert process.stdout is not None
            while process.stdout.readline() != "made\n":
                assert process.poll() is None
        return time.monotonic() - started, []


def part() -> None:
    """What one of the plain processes does."""
    for line in sys.stdin:
        for recipe in json.loads(line):
            assert make_cell(CellAsked(recipe, "")).result is not None
        print("made", flush=True)


def make(place: Workplace | Plain, recipes: list[Recipe]) -> tuple[float, list[CellMade]]:
    """Seconds for all cells, and what they made; the plain processes keep that to themselves."""
    if isinstance(place, Plain):
        return place.make(recipes)
    started = time.monotonic()
    futures = [place.start(Task(make_cell, (CellAsked(recipe.to_json(), ""),), 1)) for recipe in recipes]
    for _ in place.as_completed(futures):
        pass
    return time.monotonic() - started, [future.result() for future in futures]


def check_same(one: list[CellMade], other: list[CellMade]) -> None:
    """All results are equal, to the last digit."""
    for first, second in zip(one, other, strict=True):
        assert first.result is not None and second.result is not None, (first.cell, second.cell)
        np.testing.assert_array_equal(first.result.log_density, second.result.log_density)
        for name, samples in first.result.samples.items():
            np.testing.assert_array_equal(samples, second.result.samples[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4 cells of each, one round; writes no page")
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    asks = parser.parse_args()
    quick = asks.quick
    torch.set_num_threads(1)
    if asks.part:
        part()
        return
    rounds, asked = 1 if quick else 3, grids(quick)
    times: dict[tuple[str, str], list[float]] = {(grid, name): [] for grid in asked for name in PLACES}
    begun = {}
    with ExitStack() as stack:
        places: dict[str, Workplace | Plain] = {}
        for name, opens in PLACES.items():
            started = time.monotonic()
            places[name] = opens()
            stack.enter_context(places[name])
            for recipes in asked.values():
                make(places[name], recipes[: 2 * places[name].workers])
            begun[name] = time.monotonic() - started
        for number in range(rounds):
            for grid, recipes in asked.items():
                first: list[CellMade] = []
                for name, place in places.items():
                    seconds, made = make(place, recipes)
                    times[grid, name].append(seconds)
                    console.print(f"round {number + 1}, {grid}, {name}: {seconds:.1f} s")
                    first = first or made
                    if made:
                        check_same(first, made)
    text = page(asked, times, begun)
    console.print(text)
    if not quick:
        PAGE.write_text(text)


def page(asked: dict[str, list[Recipe]], times: dict[tuple[str, str], list[float]], begun: dict[str, float]) -> str:
    """The page with the figures."""
    rows = []
    for grid, recipes in asked.items():
        middle = {name: statistics.median(times[grid, name]) for name in PLACES}
        rounds = list(zip(*(times[grid, name] for name in PLACES), strict=True))
        shares = [[one / (2 * two) for one, two in zip(each[::2], each[1::2], strict=True)] for each in rounds]
        share = " | ".join(f"{statistics.median(each):.2f}" for each in zip(*shares, strict=True))
        over = statistics.median(times[grid, "Ray 2"][n] / times[grid, "pool 2"][n] for n in range(len(rounds)))
        seconds = " | ".join(f"{middle[name]:.1f}" for name in PLACES)
        rows.append(f"| {len(recipes)} {grid} | {seconds} | {share} | {over:.2f} |")
    starts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in begun.items())
    return f"""# A grid by one worker against two

Written by `python -m benchmarks.ray`: the cells of a grid by processes that nothing joins, each of which makes its part
of them, by this project's own pool of processes and by a local Ray cluster ([ray.md](ray.md)), one core a cell, turn by
turn on {os.cpu_count()} CPU cores. Seconds are medians over {len(next(iter(times.values())))} rounds; a share of
linear, t1 / (2 t2), is of one round, and its median is shown; the plain processes' is the most that the cores allow.
All results of the pool and of Ray were equal, to the last digit.

| cells | plain, 1, s | 2, s | pool of 1, s | of 2, s | Ray, 1 worker, s | 2, s | share of linear, plain | pool | Ray \
| time of Ray over pool, 2 |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}

Seconds until every worker had begun, and made cells of each kind: {starts}.
"""


if __name__ == "__main__":
    main()
