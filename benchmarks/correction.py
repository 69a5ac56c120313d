"""What the correction to the exact target costs: python -m benchmarks.correction. Writes docs/benchmarks_correction.md.

Two runs of the same formula of two prompts of emoji, one with the correction and one without, take turns at every step.
What is compared is the processor's time in them, which other work on the machine does not count in.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.stand_ins import ensure_models
from superdiff_engine import karras_levels, sample
from superdiff_engine.compose import Composed
from superdiff_engine.correction import Correction
from superdiff_engine.domains.prompts.domain import EMBEDDED, find_model
from superdiff_engine.domains.prompts.pipeline import TextToImage, load_text_to_image
from superdiff_engine.recipes.formulas import parse_formula

STEPS, BATCH, ROUNDS = 25, 4, 7
PROMPTS = ("a sunflower", "a lemon")
console = Console(width=110)


def cost(network: TextToImage, text: str, guidance: float) -> tuple[float, int]:
    """Time of a run with the correction, one group of the whole batch, over that of the same without; resamplings."""
    experts = [network.expert(prompt) for prompt in PROMPTS]
    runs = [
        sample(
            experts,
            Composed(parse_formula(text, PROMPTS)),
            karras_levels(STEPS, network.level_range[1], 0.03),
            batch=BATCH,
            solver="ancestral",
            guidance=None if guidance == 1 else network.guidance(guidance),
            correction=correction,
        )
        for correction in (None, Correction())
    ]
    seconds, resampled = [0.0, 0.0], 0
    for turn in range(STEPS + 1):
        for which in (0, 1) if turn % 2 else (1, 0):
            start = time.process_time()
            step = next(runs[which])
            seconds[which] += time.process_time() - start
            resampled += step.parents is not None
    return seconds[1] / seconds[0], resampled


def main() -> None:
    title = ensure_models("prompts")
    network = load_text_to_image(find_model(EMBEDDED))
    cost(network, "1 and 2", 1.0)
    lines = [
        "# Benchmarks of the correction",
        "",
        f"`python -m benchmarks.correction`, {torch.get_num_threads()} threads, torch {torch.__version__}, {title}, "
        f"two prompts, batch {BATCH}, {STEPS} steps, float32, CPU: processor time of the run with the correction over "
        "that of the run without, step by step in turns.",
        "",
        "| formula | guidance | ratio (median) | rounds | steps resampled | bar |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for text, guidance in (("1 and 2", 1.0), ("1 and 2", 4.0), ("1 but not 2", 4.0)):
        found = [cost(network, text, guidance) for _ in range(ROUNDS)]
        ratios = [ratio for ratio, _ in found]
        lines.append(
            f"| `{text}` | {'none' if guidance == 1 else f'{guidance:g}'} | {statistics.median(ratios):.3f} | "
            f"{', '.join(f'{ratio:.3f}' for ratio in ratios)} | {found[0][1]} | 1.05 |"
        )
    text = "\n".join(lines) + "\n"
    Path("docs/benchmarks_correction.md").write_text(text)
    console.print(text, markup=False)


if __name__ == "__main__":
    main()
