"""How long the studio's first example of each domain takes: python -m benchmarks.examples. Writes a page.

Seconds of whole runs on this machine, previews and decoding included, without a browser, which takes a core where it
draws in software; each domain in a process of its own. The first run there imports and loads what it needs, as the
first one in a studio does; those after it have it in memory.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.stand_ins import ensure_models
from benchmarks.timing import kibibytes, machine
from superdiff_engine.domains import get_domain
from superdiff_engine.recipes.document import Levels, Recipe
from superdiff_engine.runs.run import Run

#: Seconds, on two idle cores.
BARS = {"prompts": 5, "molecules": 8, "pictures": 12, "proteins": 30}
ROUNDS = 3
PAGE = Path("docs/benchmarks_examples.md")


def example(domain: str, **fields: Any) -> Recipe:
    """The recipe that the studio opens with, on the CPU, with these fields."""
    recipe = next(iter(get_domain(domain).examples().values()))
    return recipe.model_copy(update={"device": "cpu"} | fields)


def timed(recipe: Recipe) -> tuple[float, float]:
    """Seconds of a run, and until its first live frame."""
    run = Run(recipe)
    first: list[float] = []
    begun = time.perf_counter()

    def look(step: Any) -> None:
        if not first and run.trace.latest is not None:
            first.append(time.perf_counter() - begun)

    run.execute(look)
    return time.perf_counter() - begun, first[0]


def measure(domain: str) -> dict[str, Any]:
    """Seconds of whole runs of a domain's first example, and of its first live frame; the first is of the very first
    run.
    """
    models = ensure_models(domain)
    recipe = example(domain)
    found = [timed(recipe) for _ in range(ROUNDS + 1)]
    what = f"{recipe.batch} samples, {recipe.levels.steps} steps, {recipe.dtype}"
    return {"models": models, "what": what, "runs": [run for run, _ in found], "frames": [first for _, first in found]}


def peak_of(domain: str, residues: int) -> int:
    """MiB of memory that a run of one protein of this length takes beyond what was held before."""
    ensure_models(domain)
    one = example(domain, batch=1, residues=40, levels=Levels(steps=2))
    Run(one).execute()
    before = kibibytes("VmHWM")
    Run(one.model_copy(update={"residues": residues})).execute()
    return (kibibytes("VmHWM") - before) // 1024


def in_a_process(*arguments: str) -> Any:
    """What this module prints there."""
    command = [sys.executable, "-m", "benchmarks.examples", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    lines = [
        "# How long the first examples take",
        "",
        f"`python -m benchmarks.examples`, {time.strftime('%Y-%m-%d')}, {machine()}. The first example of each "
        f"domain, its previews and decoding included, no browser beside it; medians of {ROUNDS} runs, and the first "
        "run of a new process.",
        "",
        "| domain | what | seconds | spread | bar | first run | its first live frame | models |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    print("\n".join(lines), flush=True)
    for domain, bar in BARS.items():
        found = in_a_process(domain)
        runs, first = found["runs"][1:], found["runs"][0]
        lines.append(
            f"| {domain} | {found['what']} | {statistics.median(runs):.1f} | {min(runs):.1f} to {max(runs):.1f} | "
            f"{bar} | {first:.1f} | {found['frames'][0]:.1f} | {found['models']} |"
        )
        print(lines[-1], flush=True)
    memory = [f"{in_a_process('proteins', str(residues))} MiB with {residues}" for residues in (128, 256)]
    lines += ["", f"A run of one protein of many residues takes, beyond what was held before: {', '.join(memory)}."]
    print("\n".join(lines[-2:]))
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case [domain] if domain in BARS:
            print(json.dumps(measure(domain)))
        case [domain, residues] if domain in BARS:
            print(peak_of(domain, int(residues)))
        case _:
            raise SystemExit(f"python -m benchmarks.examples, or one of {', '.join(BARS)} behind it.")
