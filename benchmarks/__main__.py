"""What the engine adds to its networks, on the CPU: python -m benchmarks [--quick]. Writes docs/benchmarks_engine.md.

Each figure is a ratio of two things measured in this very run, on this machine, turn by turn, so that whatever else
the machine does falls on both. With --quick a few steps of each are taken, and nothing is written.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.examples import example
from benchmarks.loops import one_by_one, steps_of, threads_of, timed, wrapped
from benchmarks.stand_ins import ensure_models
from benchmarks.timing import HEADER, Row, in_rounds, in_turns, kibibytes, machine, ratios
from studio.charts.live import LIVE_POINTS, Quantity, curve_option
from studio.stage.looks import LOOK, SELDOM
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.colours import EXPERT_COLOURS
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.run import Run
from superdiff_engine.score import networks_of
from superdiff_engine.system.devices import bfloat16_is_fast
from superdiff_engine.system.threads import take_all_cores

DOMAINS = ("pictures", "prompts", "molecules", "proteins")
#: Batch and steps of a round's loop; each is the domain's default example otherwise.
LOOPS = {"pictures": [(64, 12)], "prompts": [(1, 25), (8, 12)], "molecules": [(64, 12)], "proteins": [(8, 20)]}
#: Steps of a block with the live view, and of the next without: a third of a second or so. And how many blocks of each
#: make a ratio.
LIVE, BLOCKS = {"pictures": 1, "prompts": 1, "molecules": 4, "proteins": 1}, 14
LIVE_CURVES: tuple[Quantity, ...] = ("value", "difference", "weights")
ESTIMATORS = ("ito", "trapezoid", "hutchinson")
PAGE = Path("docs/benchmarks_engine.md")


def loops(rounds: int, quick: bool) -> Iterator[Row]:
    """A whole loop over the score calls in that very loop."""
    for domain in DOMAINS:
        for batch, steps in LOOPS[domain]:
            recipe = example(domain, batch=batch)
            timed(recipe, steps=1)
            count = 2 if quick else steps
            found = in_rounds(partial(timed, recipe, steps=count, networks=True), rounds)
            bare = statistics.median(one.seconds / one.in_networks for one in found)
            yield Row(
                f"loop over its score calls, {domain}, batch {batch}, {recipe.dtype}",
                [one.seconds / one.in_calls for one in found],
                1.02,
                f"over torch's modules alone {bare:.3f}; {found[0].seconds / found[0].steps * 1000:.0f} ms a step",
            )


def live_views(rounds: int, quick: bool) -> Iterator[Row]:
    """A run that is watched over one that is not: previews, and a reader that makes the page's curves at its pace."""
    for domain in DOMAINS:
        recipe = example(domain)
        found = watched_over_alone(recipe, LIVE[domain], rounds, 1 if quick else BLOCKS)
        yield Row(f"live view on over off, {domain}, batch {recipe.batch}", found, 1.02)


def watched_over_alone(recipe: Recipe, steps: int, rounds: int, blocks: int) -> list[float]:
    """Time of blocks of steps of a watched run over that of the same run's unwatched, block by block in turn."""
    needed = steps * (rounds * blocks + 2)
    recipe = recipe.model_copy(update={"levels": recipe.levels.model_copy(update={"steps": needed})})
    both = [Turns(recipe, steps, watched) for watched in (True, False)]
    threads = [threading.Thread(target=turns.execute) for turns in both]
    for thread in threads:
        thread.start()
    for turns in both:  # the first of each loads the networks
        turns.take()
    found = []
    for _ in range(rounds):
        seconds = dict.fromkeys(both, 0.0)
        for block in range(blocks):
            for turns in both if block % 2 == 0 else reversed(both):
                seconds[turns] += turns.take()
        found.append(seconds[both[0]] / seconds[both[1]])
    for turns in both:
        turns.end()
    for thread in threads:
        thread.join()
    return found


class Turns:
    """A run that goes for so many steps each time it is its turn, and waits in between."""

    def __init__(self, recipe: Recipe, steps: int, watched: bool) -> None:
        self.run, self.steps, self.watched = Run(recipe, previews=watched), steps, watched
        self.turn, self.taken = threading.Semaphore(0), threading.Semaphore(0)
        self.due = 0.0

    def execute(self) -> None:
        self.turn.acquire()
        self.run.execute(self._look)
        self.taken.release()

    def take(self) -> float:
        """Seconds of the next steps."""
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,))
        begun = time.perf_counter()
        if self.watched:
            watcher.start()
        self.turn.release()
        self.taken.acquire()
        seconds = time.perf_counter() - begun
        over.set()
        if self.watched:
            watcher.join()
        return seconds

    def end(self) -> None:
        self.run.cancel()
        self.turn.release()

    def _look(self, step: Any) -> None:
        if (step.index + 1) % self.steps == 0:
            self.taken.release()
            self.turn.acquire()

    def _watch(self, over: threading.Event) -> None:
        # As often as the page looks, on the clock of this run's own turns.
        while True:
            begun = time.perf_counter()
            if over.wait(max(self.due, 0.0)):
                self.due -= time.perf_counter() - begun
                return
            self._read()
            self.due = SELDOM if take_all_cores(torch.get_num_threads()) else LOOK

    def _read(self) -> None:
        # What the page makes of a run at every look.
        names = self.run.titles
        colours = EXPERT_COLOURS["light"][: len(names)]
        curves, frame = self.run.trace.curves(LIVE_POINTS), self.run.trace.latest
        for quantity in LIVE_CURVES if len(curves.index) else ():
            curve_option(curves, quantity, names, colours, self.run.recipe.levels.steps, thin=True)
        if frame is not None:
            for part in vars(frame.preview).values():
                if hasattr(part, "tobytes"):
                    part.tobytes()


def shared(rounds: int, quick: bool) -> Iterator[Row]:
    """A step of a shared network, prompts and guidance in one call, over the same step with a call for each."""
    for batch, bar in ((1, 0.6), (4, None)):
        recipe = example("prompts", batch=batch)
        together_over_apart(recipe, 1)
        found = in_rounds(partial(together_over_apart, recipe, 2 if quick else 12), rounds)
        yield Row(f"a step in one call over a call each, prompts, batch {batch}, {recipe.dtype}", found, bar)


def together_over_apart(recipe: Recipe, steps: int) -> float:
    """Time of the first steps in one call each over that with a call for each condition."""
    domain = get_domain(recipe.domain)
    together, apart = domain.prepare(recipe, "cpu"), domain.prepare(recipe, "cpu")
    with wrapped(apart, one_by_one):
        once, each = in_turns([steps_of(recipe, together), steps_of(recipe, apart)], steps)
    return once / each


def stacked(rounds: int, quick: bool) -> Iterator[Row]:
    """Two networks of one architecture in one call, their weights stacked, over a call each."""
    recipe = example("proteins")
    prepared = get_domain("proteins").prepare(recipe, "cpu")
    networks = [network.requires_grad_(False) for network in networks_of(prepared.experts)]
    given: list[tuple[Any, ...]] = []
    watch = networks[0].register_forward_pre_hook(lambda _, arguments: given.append(arguments))
    next(steps_of(recipe, prepared))
    watch.remove()
    base = deepcopy(networks[0]).to("meta")

    def call(*weights: Any) -> tuple[torch.Tensor, torch.Tensor]:
        estimate = torch.func.functional_call(base, weights, given[0])
        return estimate.positions, estimate.turn

    weights = torch.func.stack_module_state(networks)
    with torch.no_grad(), threads_of(recipe):
        together = partial(seconds_of, 1 if quick else 4, lambda: torch.vmap(call)(*weights))
        each = partial(seconds_of, 1 if quick else 4, lambda: [network(*given[0]) for network in networks])
        together(), each()
        found = ratios(together, each, rounds)
    yield Row(f"two networks' weights stacked, one call over a call each, proteins, batch {recipe.batch}", found)


def seconds_of(times: int, act: Callable[[], Any]) -> float:
    """That doing it so often takes."""
    start = time.perf_counter()
    for _ in range(times):
        act()
    return time.perf_counter() - start


def halves(rounds: int, quick: bool) -> Iterator[Row]:
    """Networks in bfloat16 over the same in float32."""
    for domain in DOMAINS:
        half, full = example(domain, dtype="bfloat16"), example(domain, dtype="float32")
        half_over_full(half, full, 1)
        found = in_rounds(partial(half_over_full, half, full, 2 if quick else 8), rounds)
        yield Row(f"a step in bfloat16 over float32, {domain}, batch {half.batch}", found)


def half_over_full(half: Recipe, full: Recipe, steps: int) -> float:
    """Time of the first steps of one recipe over those of the other."""
    first, second = in_turns([steps_of(half), steps_of(full)], steps)
    return first / second


def estimators(rounds: int, quick: bool) -> Iterator[Row]:
    """Other estimators over Ito's, each in a process of its own, by turns."""
    steps = 2 if quick else 10
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ESTIMATORS}
    for _ in range(rounds):
        for name, results in found.items():
            command = [sys.executable, "-m", "benchmarks", name, str(steps)]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            results.append(json.loads(output.strip().splitlines()[-1]))
    ito = found["ito"]
    for name in ESTIMATORS[1:]:
        for key, title, unit in (("seconds", "time", "s"), ("mebibytes", "peak memory", "MiB")):
            yield Row(
                f"{name} over Ito, {title}, pictures, batch 64",
                [other[key] / one[key] for one, other in zip(ito, found[name], strict=True)],
                detail=" / ".join(f"{statistics.median(r[key] for r in which):.1f}" for which in (found[name], ito))
                + f" {unit}",
            )


def measure_estimator(estimator: str, steps: int) -> None:
    """Run by a process of its own: seconds and peak memory (MiB) of some steps beyond what was held before."""
    ensure_models("pictures")
    recipe = example("pictures", estimator=estimator, solver="euler", batch=64)
    prepared = get_domain("pictures").prepare(recipe, "cpu")
    with torch.no_grad():  # touches every weight before the baseline is taken
        for expert in prepared.experts:
            expert.score(torch.zeros(1, *expert.space.tangent_shape), 1.0)  # type: ignore[union-attr]
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
    before = kibibytes("VmRSS")
    seconds = timed(recipe, prepared=prepared, steps=steps).seconds
    print(json.dumps({"seconds": seconds, "mebibytes": (kibibytes("VmHWM") - before) / 1024}))


def main(quick: bool = False) -> None:
    title = ensure_models(*DOMAINS)
    lines = [
        "# Benchmarks of the engine",
        "",
        f"`python -m benchmarks`, {time.strftime('%Y-%m-%d')}, {machine()}, {title}. The first steps of the studio's "
        "first example of each domain. A score call is all that makes a score of the samples: the network, what is put "
        "into it, what is made of its output; beside it stands the loop over torch's modules alone.",
        "",
        *HEADER,
    ]
    print("\n".join(lines), flush=True)
    rounds = 1 if quick else 8
    for measure, most in ((loops, 5), (shared, 5), (live_views, 8), (stacked, 3), (halves, 3), (estimators, 3)):
        if measure is halves and not bfloat16_is_fast():
            line = (
                "| a step in bfloat16 over float32 | | | | | this processor lacks AVX-512, so bfloat16 is not offered |"
            )
            print(line, flush=True)
            lines.append(line)
            continue
        for row in measure(min(rounds, most), quick):
            print(row.line(), flush=True)
            lines.append(row.line())
    if not quick:
        PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        measure_estimator(sys.argv[1], int(sys.argv[2]))
    elif sys.argv[1:] in ([], ["--quick"]):
        main(quick=bool(sys.argv[1:]))
    else:
        raise SystemExit("python -m benchmarks, or python -m benchmarks --quick to try it.")
