"""Prompts of one model in one batched call, against a call for each: python -m benchmarks.prompts. Writes a table.

Both loops take the same steps of AND on the same weights: the engine's, and a plain one that calls the network once for
each prompt and once unconditionally. Turn by turn in one run, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from superdiff_engine import And, karras_levels, sample
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.prompts.pipeline import TextToImage, load_text_to_image
from superdiff_engine.runs.run import Run
from superdiff_engine.system.assets import assets_folder
from superdiff_engine.system.devices import bfloat16_is_fast, fast_dtype

STEPS, ROUNDS = 25, 3
PROMPTS = ("a sunflower", "a lemon")
console = Console(width=110)


def model() -> tuple[TextToImage, str]:
    """The embedded model; random weights of its size where it is not installed, which take the same time."""
    folder = assets_folder() / "emoji"
    if folder.is_dir():
        return load_text_to_image(folder), "the embedded model of emoji"
    from superdiff_engine.domains.prompts.emoji import denoiser, networks, saving
    from superdiff_engine.domains.prompts.emoji.captions import load_tokenizer, save_tokenizer

    target = Path(tempfile.mkdtemp())
    save_tokenizer(list(PROMPTS), target / "words")
    tokenizer = load_tokenizer(target / "words")
    torch.manual_seed(0)
    pipe = saving.build_pipeline(denoiser.new_network(tokenizer), networks.autoencoder(), tokenizer)
    pipe.save_pretrained(target / "model", safe_serialization=True)
    return load_text_to_image(target / "model"), "random weights of the embedded model's size"


class Unbatched:
    """The same network, called once for each condition."""

    def __init__(self, network: TextToImage) -> None:
        self.network = network

    def scores(self, y: Any, level: Any, conditions: Any) -> list:
        return [self.network.scores(y, level, [condition])[0] for condition in conditions]


def run(network: TextToImage, batch: int, batched: bool) -> float:
    """Seconds of 25 guided AND steps."""
    from dataclasses import replace

    experts = [network.expert(prompt) for prompt in PROMPTS]
    guidance = network.guidance(4.0)
    if not batched:
        plain: Any = Unbatched(network)
        experts = [replace(expert, network=plain) for expert in experts]
        guidance = replace(guidance, reference=replace(guidance.reference, network=plain))  # type: ignore[type-var]
    levels = karras_levels(STEPS, network.level_range[1], 0.03)
    start = time.perf_counter()
    for _ in sample(experts, And(), levels, batch=batch, solver="ancestral", guidance=guidance):
        pass
    return time.perf_counter() - start


def overhead(network: TextToImage, batch: int) -> float:
    """Time of the loop over the time inside its calls to the bare network."""
    spent = 0.0
    inner = network.pipe.unet.forward

    def clocked(*arguments: Any, **named: Any) -> Any:
        nonlocal spent
        start = time.perf_counter()
        out = inner(*arguments, **named)
        spent += time.perf_counter() - start
        return out

    network.pipe.unet.forward = clocked
    try:
        return run(network, batch, batched=True) / spent
    finally:
        network.pipe.unet.forward = inner


def default_run(dtype: str) -> float:
    """Seconds of the run that the studio begins with, decoding included, on the CPU."""
    recipe = next(iter(get_domain("prompts").examples().values()))
    run = Run(recipe.model_copy(update={"dtype": dtype, "device": "cpu"}), previews=False)
    start = time.perf_counter()
    run.execute()
    return time.perf_counter() - start


def ratios(measure: Callable[[], float]) -> tuple[float, str]:
    """The median of ROUNDS, and all of them as text."""
    found = [measure() for _ in range(ROUNDS)]
    return statistics.median(found), ", ".join(f"{value:.3f}" for value in found)


def main() -> None:
    network, title = model()
    run(network, 1, batched=True)
    lines = [
        "# Benchmarks of prompts",
        "",
        f"`python -m benchmarks.prompts`, {torch.get_num_threads()} threads, torch {torch.__version__}, {title}, "
        f"{STEPS} guided AND steps of two prompts, {network.size[1]} x {network.size[0]} pixels, float32, CPU.",
        "",
        "| what | batch | ratio (median) | rounds | bar |",
        "| --- | --- | --- | --- | --- |",
    ]
    for batch in (1, 4):
        median, rounds = ratios(lambda size=batch: run(network, size, True) / run(network, size, False))
        bar = "0.9" if batch == 1 else ""
        lines.append(f"| one batched call over a call each, time a step | {batch} | {median:.3f} | {rounds} | {bar} |")
    median, rounds = ratios(lambda: overhead(network, 1))
    lines.append(f"| whole loop over the bare network calls | 1 | {median:.3f} | {rounds} | 1.05 |")
    if bfloat16_is_fast():
        default_run("bfloat16"), default_run("float32")  # loads both
        median, rounds = ratios(lambda: default_run("bfloat16") / default_run("float32"))
        what = "the studio's first run (8 pictures, 20 steps), bfloat16 over float32"
        lines.append(f"| {what} | 8 | {median:.3f} | {rounds} |  |")
    text = "\n".join(lines) + "\n"
    Path("docs/benchmarks_prompts.md").write_text(text)
    console.print(text, markup=False)
    console.print(f"25 steps of one picture took {run(network, 1, True):.1f} s (bar: 15 s)")
    console.print(f"The studio's first run took {default_run(fast_dtype()):.1f} s in {fast_dtype()} (bar: 8 s)")


if __name__ == "__main__":
    main()
