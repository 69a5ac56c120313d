"""Engine overhead, the live view's cost, and Ito against Hutchinson. Writes docs/benchmarks_engine.md.

Each figure is a ratio of two things measured in this very run, on this machine, turn by turn, so that whatever else
the machine does falls on both.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from superdiff_engine import Or, karras_levels, sample
from superdiff_engine.domains import get_domain
from superdiff_engine.recipes.document import Expert, Levels, Recipe
from superdiff_engine.recipes.operators import OrRecipe
from superdiff_engine.runs.run import Run

BATCH, STEPS, ROUNDS = 64, 100, 3
console = Console(width=110)


def garments() -> list:
    pictures = get_domain("pictures")
    return [pictures.load(Expert(model=name), "cpu", "float32") for name in ("garments_a", "garments_b")]


class Clock:
    """A network that adds up the time spent in it."""

    def __init__(self, network: Callable) -> None:
        self.network, self.seconds = network, 0.0

    def __call__(self, x: torch.Tensor, time_: torch.Tensor) -> torch.Tensor:
        start = time.perf_counter()
        out = self.network(x, time_)
        self.seconds += time.perf_counter() - start
        return out


def engine_overhead(estimator: str = "trapezoid") -> float:
    """Time of the whole loop over the time within its network calls, two experts, batch 64, 100 steps."""
    experts = garments()
    plain = [expert.network for expert in experts]
    clocks = [Clock(network) for network in plain]
    for expert, clock in zip(experts, clocks, strict=True):
        expert.network = clock
    try:
        start = time.perf_counter()
        for _ in sample(experts, Or(), karras_levels(STEPS, 80.0, 0.02), batch=BATCH, estimator=estimator):
            pass
        total = time.perf_counter() - start
    finally:
        for expert, network in zip(experts, plain, strict=True):
            expert.network = network
    return total / sum(clock.seconds for clock in clocks)


def live_view() -> tuple[float, list[float]]:
    """Time of a run that is watched over one that is not: previews, and a reader of the curves five times a second."""
    recipe = Recipe(
        domain="pictures",
        experts=[Expert(model="garments_a"), Expert(model="garments_b")],
        operator=OrRecipe(),
        levels=Levels(steps=STEPS // 2),
        batch=BATCH,
    )

    def timed(watched: bool) -> float:
        run, stop = Run(recipe, previews=watched), threading.Event()

        def watch() -> None:
            # What the page takes at every tick, in the form in which it is sent.
            while not stop.wait(0.2):
                curves, frame = run.trace.curves(300), run.trace.latest
                json.dumps(
                    [curves.mean_log_density.tolist(), curves.mean_weights.tolist(), curves.log_density.tolist()]
                )
                if frame is not None:
                    frame.preview.pictures.tobytes()

        watcher = threading.Thread(target=watch, daemon=True)
        if watched:
            watcher.start()
        run.execute()
        stop.set()
        return run.seconds

    timed(False)
    ratios = []
    for _ in range(ROUNDS):
        off, on = timed(False), timed(True)
        ratios.append(on / off)
    return statistics.median(ratios), ratios


def kibibytes(field: str) -> int:
    """A field of this process's memory, from Linux."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0])


def measure_estimator(estimator: str) -> None:
    """Run by a process of its own: seconds and peak memory (MiB) of 20 steps beyond what was held before."""
    experts = garments()

    def go(steps: int) -> float:
        start = time.perf_counter()
        for _ in sample(
            experts, Or(), karras_levels(steps, 80.0, 0.02), batch=BATCH, estimator=estimator, solver="euler"
        ):
            pass
        return time.perf_counter() - start

    with torch.no_grad():  # touches every weight before the baseline is taken
        for expert in experts:
            expert.score(torch.zeros(1, *expert.space.tangent_shape), 1.0)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
    before = kibibytes("VmRSS")
    seconds = go(20)
    print(json.dumps({"seconds": seconds, "mebibytes": (kibibytes("VmHWM") - before) / 1024}))


def estimators() -> dict[str, dict[str, float]]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ("ito", "trapezoid", "hutchinson")}
    for _ in range(2):
        for name, results in found.items():
            command = [sys.executable, "-m", "benchmarks", name]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            results.append(json.loads(output.strip().splitlines()[-1]))
    return {
        name: {key: statistics.mean(result[key] for result in results) for key in ("seconds", "mebibytes")}
        for name, results in found.items()
    }


def main() -> None:
    overheads = [engine_overhead() for _ in range(ROUNDS)]
    live, lives = live_view()
    costs = estimators()
    ito = costs["ito"]
    lines = [
        "# Benchmarks of the engine",
        "",
        f"`make bench`, {time.strftime('%Y-%m-%d')}, {platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}. Two garment experts, batch {BATCH}, float32, CPU.",
        "",
        "| what | ratio | bar |",
        "| --- | --- | --- |",
        f"| engine over its bare network calls, {STEPS} steps, trapezoid (rounds: "
        f"{', '.join(f'{r:.3f}' for r in overheads)}) | {statistics.median(overheads):.3f} | 1.05 |",
        f"| live view on over off, {STEPS // 2} steps (rounds: {', '.join(f'{r:.3f}' for r in lives)}) "
        f"| {live:.3f} | 1.05 |",
    ]
    for name in ("trapezoid", "hutchinson"):
        cost = costs[name]
        lines += [
            f"| {name} over Ito, time of 20 steps ({cost['seconds']:.1f} s / {ito['seconds']:.1f} s) | "
            f"{cost['seconds'] / ito['seconds']:.2f} | |",
            f"| {name} over Ito, peak memory ({cost['mebibytes']:.0f} MiB / {ito['mebibytes']:.0f} MiB) | "
            f"{cost['mebibytes'] / ito['mebibytes']:.2f} | |",
        ]
    text = "\n".join(lines) + "\n"
    Path("docs/benchmarks_engine.md").write_text(text)
    console.print(text, markup=False)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure_estimator(sys.argv[1])
    else:
        main()
