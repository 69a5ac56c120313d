"""What the engine adds to its networks on a GPU: python -m benchmarks.gpu --out FOLDER. Needs no network and no assets.

A random pipeline of Stable Diffusion 1.5's size in float16, two prompts and guidance, 512 x 512 pixels; and the other
domains' models, random weights where they are not installed. Ratios are of things that take turns on one card. A step
is timed by events in the stream, after the first few; the host waits for the device between runs only.

    loop over its calls      all of a step over the part of it that is within score calls, in the same run
    loop over calls alone    a step over the same calls one after another, as they are without CUDA graphs
    one call over a call each   a step with prompts and guidance batched over the same with a call for each condition

With --tiny all of it is small and takes seconds on a CPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.loops import Loop, asked, one_by_one, steps_of, timed, wrapped
from benchmarks.random_pipeline import STABLE_DIFFUSION, TINY, PipelineSize, random_pipeline
from benchmarks.stand_ins import ensure_models
from benchmarks.timing import HEADER, Deadline, Marks, Row, as_json, machine, ratios
from superdiff_engine.domain import Prepared
from superdiff_engine.domains import get_domain
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipes.document import Expert, GuidanceRecipe, Levels, Recipe
from superdiff_engine.recipes.operators import AndRecipe
from superdiff_engine.score import scores_of
from superdiff_engine.walk import levels_of

#: Ways to take a step, each with the fields of a recipe that ask for it; the first is what recipes have unasked.
MODES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "random numbers drawn on the device": {"draws": "device"},
    "the same, CUDA graphs": {"draws": "device", "cuda_graphs": True},
}
PROMPTS = ("a sunflower", "a lemon")


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        pipeline: of the prompts' network.
        dtype: of the prompts' network.
        skipped: steps of a run before the clock starts.
        steps: that are timed in a run.
        slow_steps: of runs that differentiate.
        rounds: of each figure, where there is time.
        batches: of prompts, each with its goals for the loop and for one call over a call each.
        domains: batch of each other domain, and what else its recipe says.
    """

    pipeline: PipelineSize
    dtype: str
    skipped: int
    steps: int
    slow_steps: int
    rounds: int
    batches: dict[int, tuple[float, float]]
    domains: dict[str, dict[str, Any]]


FULL = Sizes(
    STABLE_DIFFUSION,
    "float16",
    skipped=4,
    steps=20,
    slow_steps=6,
    rounds=5,
    batches={1: (1.03, 0.4), 4: (1.03, 0.55)},
    domains={"pictures": {"batch": 64}, "molecules": {"batch": 64}, "proteins": {"batch": 16, "residues": 100}},
)
SMALL = Sizes(
    TINY,
    "float32",
    skipped=1,
    steps=2,
    slow_steps=1,
    rounds=1,
    batches={1: (1.03, 0.4), 4: (1.03, 0.55)},
    domains={"pictures": {"batch": 2}, "molecules": {"batch": 2}, "proteins": {"batch": 2, "residues": 30}},
)


class Bench:
    """All measurements on one device; each method yields rows as it has them.

    Args:
        device: "cpu" or "cuda".
        sizes: how much is measured.
        deadline: when to stop.
    """

    def __init__(self, device: str, sizes: Sizes, deadline: Deadline) -> None:
        self.device, self.sizes, self.deadline = device, sizes, deadline
        self.cuda = torch.device(device).type == "cuda"
        self.network = random_pipeline(sizes.pipeline, device, getattr(torch, sizes.dtype))
        self.domains = ensure_models(*sizes.domains)

    def sections(self) -> Iterator[Iterator[Row]]:
        """All that is measured, the most wanted first."""
        for batch in self.sizes.batches:
            yield self.prompts(batch)
        for domain in self.sizes.domains:
            yield self.domain(domain)
        yield self.estimators()

    # What is run

    def recipe(self, steps: int, **fields: Any) -> Recipe:
        """AND of two prompts, guided; its model is the random pipeline, which no folder holds."""
        made = Recipe(
            domain="prompts",
            experts=[Expert(model="local/random", prompt=prompt) for prompt in PROMPTS],
            operator=AndRecipe(),
            levels=Levels(steps=self.sizes.skipped + steps),
            solver="ancestral",
            guidance=GuidanceRecipe(weight=7.5),
        )
        return made.model_copy(update={"device": self.device, "dtype": self.sizes.dtype} | fields)

    def prepared(self) -> Prepared:
        network = self.network.for_a_run()
        return Prepared([network.expert(prompt) for prompt in PROMPTS], network.guidance(7.5))

    def example(self, domain: str, steps: int) -> Recipe:
        """The domain's first example."""
        recipe = next(iter(get_domain(domain).examples().values()))
        fields = {"device": self.device, "levels": Levels(steps=self.sizes.skipped + steps)}
        return recipe.model_copy(update=fields | self.sizes.domains[domain])

    def timed(self, recipe: Recipe, prepared: Prepared) -> Loop:
        skipped = self.sizes.skipped
        return timed(recipe, self.device, prepared=prepared, steps=recipe.levels.steps - skipped, skipped=skipped)

    def seconds_of(self, recipe: Recipe, prepared: Prepared) -> float:
        return self.timed(recipe, prepared).seconds

    def calls_alone(self, recipe: Recipe, prepared: Prepared) -> float:
        """Seconds of as many steps' score calls, one after another, at samples that stay what they are."""
        experts, domain, marks = asked(prepared), get_domain(recipe.domain), Marks(self.device)
        levels = domain.component_levels(levels_of(recipe, domain, prepared.experts), prepared.experts)
        run = steps_of(recipe, prepared, self.device)
        y = next(run).samples
        run.close()
        with torch.no_grad():
            for index in range(recipe.levels.steps):
                if index == self.sizes.skipped:
                    marks.settle()
                    start = marks.now()
                scores_of(experts, y, _level(levels, index))
            end = marks.now()
        marks.settle()
        return marks.between(start, end)

    # What is measured

    def prompts(self, batch: int) -> Iterator[Row]:
        loop_goal, call_goal = self.sizes.batches[batch]
        recipe = self.recipe(self.sizes.steps, batch=batch)
        title = f"prompts ({self.sizes.pipeline.title}, {self.sizes.dtype}), batch {batch}"
        yield from self.loops(title, recipe, self.prepared, loop_goal)
        together, apart = self.prepared(), self.prepared()
        with wrapped(apart, one_by_one):
            found = ratios(
                partial(self.seconds_of, recipe, together),
                partial(self.seconds_of, recipe, apart),
                self.sizes.rounds,
                self.deadline,
            )
        yield Row(f"one call over a call each, {title}", found, call_goal)

    def domain(self, domain: str) -> Iterator[Row]:
        recipe = self.example(domain, self.sizes.steps)
        size = ", ".join(f"{field} {value}" for field, value in self.sizes.domains[domain].items())
        yield from self.loops(
            f"{domain}, {size}, {recipe.dtype}", recipe, lambda: get_domain(domain).prepare(recipe, self.device), None
        )

    def loops(self, title: str, recipe: Recipe, prepare: Callable[[], Prepared], goal: float | None) -> Iterator[Row]:
        """A step over its calls in each of the modes, and what it makes the host wait for."""
        for mode, fields in MODES.items():
            if fields.get("cuda_graphs") and not self.cuda:
                continue
            chosen, prepared, plain = recipe.model_copy(update=fields), prepare(), prepare()
            name = f"{title}, {mode}" if fields else title
            first = self.timed(chosen, prepared)  # warms up
            if first.notes:
                print(f"{name}: {' '.join(first.notes)}", flush=True)
                continue
            found: list[Loop] = []

            def whole(chosen: Recipe = chosen, prepared: Prepared = prepared, found: list[Loop] = found) -> float:
                found.append(self.timed(chosen, prepared))
                return found[-1].seconds

            alone = ratios(whole, partial(self.calls_alone, recipe, plain), self.sizes.rounds, self.deadline)
            steps = [one.seconds / one.steps * 1000 for one in found]
            waits = self.synchronisations(chosen, prepared)
            told = f"{statistics.median(steps):.2f} ms a step"
            extra: dict[str, Any] = {"step_ms": steps}
            if waits is not None:
                told += f", in which the host waits {waits[0]:.1f} times"
                extra |= {"waits": waits[0], "waits_at": waits[1]}
            within = [one.seconds / one.in_calls for one in found]
            yield Row(f"loop over its calls, {name}", within, goal, told, extra)
            yield Row(f"loop over calls alone, {name}", alone, goal, told, extra)

    def synchronisations(self, recipe: Recipe, prepared: Prepared) -> tuple[float, dict[str, int]] | None:
        """How often a step makes the host wait for the device, and where, in all steps; None where that is not seen."""
        if not self.cuda:
            return None
        run, count = steps_of(recipe, prepared, self.device), 0
        for _ in range(self.sizes.skipped):
            next(run)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                for _ in run:
                    count += 1
        finally:
            torch.cuda.set_sync_debug_mode("default")
        waits = [one for one in seen if "called a synchronizing" in str(one.message)]
        places = Counter(f"{'/'.join(Path(one.filename).parts[-2:])}:{one.lineno}" for one in waits)
        return len(waits) / count, dict(places.most_common(20))

    def estimators(self) -> Iterator[Row]:
        """Hutchinson over Ito: a step's time, and the memory at its highest, the weights included."""
        peaks: dict[str, list[float]] = {"ito": [], "hutchinson": []}

        def seconds(estimator: str) -> float:
            if self.cuda:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            recipe = self.recipe(self.sizes.slow_steps, batch=1, solver="euler", estimator=estimator)
            found = self.seconds_of(recipe, self.prepared())
            if self.cuda:
                peaks[estimator].append(torch.cuda.max_memory_allocated() / 2**30)
            return found

        seconds("hutchinson")
        for one in peaks.values():
            one.clear()
        title = f"prompts ({self.sizes.pipeline.title}, {self.sizes.dtype}), batch 1"
        rounds = ratios(partial(seconds, "hutchinson"), partial(seconds, "ito"), self.sizes.rounds, self.deadline)
        yield Row(f"Hutchinson over Ito, time, {title}", rounds)
        if self.cuda:
            both = [much / little for much, little in zip(peaks["hutchinson"], peaks["ito"], strict=True)]
            told = f"{max(peaks['hutchinson']):.2f} / {max(peaks['ito']):.2f} GiB"
            yield Row(f"Hutchinson over Ito, peak memory, {title}", both, None, told)


def _level(levels: Any, index: int) -> Any:
    if isinstance(levels, dict):
        return {name: float(grid[index]) for name, grid in levels.items()}
    return float(levels[index])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for gpu.json and gpu.md; printed only where none is given")
    parser.add_argument("--minutes", type=float, default=5.0, help="after which it stops with what it has")
    parser.add_argument("--tiny", action="store_true", help="small networks and few steps, to try it")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="the card, where there is one")
    given = parser.parse_args(arguments)
    device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cpu" and not given.tiny:
        parser.error("this machine has no CUDA device for torch; --tiny tries it on the CPU")
    deadline, begun = Deadline(given.minutes), time.monotonic()
    bench = Bench(device, SMALL if given.tiny else FULL, deadline)
    facts: dict[str, Any] = {"device": machine(device), "models": bench.domains, "date": time.strftime("%Y-%m-%d")}
    head = f"`python -m benchmarks.gpu`, {facts['date']}, {facts['device']}; {bench.domains}."
    rows: list[Row] = []

    missing: list[str] = []

    def lines() -> list[str]:
        return ["# Benchmarks on a GPU", "", head, "", *HEADER, *(row.line() for row in rows)]

    def keep() -> None:
        if given.out is not None:
            given.out.mkdir(parents=True, exist_ok=True)
            facts["missing"] = missing
            (given.out / "gpu.json").write_text(as_json(rows, **facts, seconds=time.monotonic() - begun))
            (given.out / "gpu.md").write_text("\n".join([*lines(), *(f"\n{one}" for one in missing)]) + "\n")

    print("\n".join(lines()), flush=True)
    for section in bench.sections():
        try:
            for row in section:
                rows.append(row)
                print(row.line(), flush=True)
                keep()
                if deadline.left() <= 0:
                    break
        except (SuperDiffError, RuntimeError) as error:  # what is left to measure need not suffer
            missing.append(f"What comes after these {len(rows)} rows broke off: {error}")
            print(missing[-1], flush=True)
        if deadline.left() <= 0:
            missing.append(f"{given.minutes:g} minutes were over after {len(rows)} rows; the others are missing.")
            print(missing[-1], flush=True)
            break
    keep()
    if missing:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
