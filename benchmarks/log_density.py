"""How far log-densities are from the truth: along runs, of given samples, and with scores that are not exact.

Prints the tables of docs/log_density.md. Run it as `python -m benchmarks.log_density`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from superdiff_engine import Single, estimate_log_density, karras_levels, sample
from superdiff_engine.domains.plane import GaussianMixture

HIGHEST, LOWEST = 20.0, 0.02
#: Not that of the means, whose numbers the noise would repeat.
SEED = 5


class Wrong:
    """A mixture whose score has a smooth error, `size` / sqrt(0.1 + s^2) a dimension (root mean square)."""

    dtype = torch.float64

    def __init__(self, expert: GaussianMixture, size: float, seed: int) -> None:
        self.expert, self.size, self.space, self.title = expert, size, expert.space, expert.title
        generator = torch.Generator().manual_seed(seed)
        dimensions = expert.means.shape[1]
        self.turn = torch.randn(dimensions, dimensions, generator=generator, dtype=self.dtype) / dimensions**0.5
        self.phase = 6.2832 * torch.rand(dimensions, generator=generator, dtype=self.dtype)

    def log_density(self, y: Tensor, level: float) -> Tensor:
        """The exact one."""
        return self.expert.log_density(y, level)

    def score(self, y: Tensor, level: float) -> Tensor:
        """The exact one, with its error."""
        scale = (0.1 + level**2) ** 0.5
        return self.expert.score(y, level) + self.size * 2**0.5 / scale * torch.sin(y / scale @ self.turn + self.phase)


def mixtures(dimensions: int) -> list[GaussianMixture]:
    """The two experts."""
    draw = torch.randn(2, 3, dimensions, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return [GaussianMixture(draw[0], [0.05] * 3), GaussianMixture(draw[1], [0.2] * 3)]


def run_of(experts: list, steps: int = 200, **arguments: Any) -> Any:
    """The last step of a run of 256 samples that the first expert draws."""
    step = None
    for step in sample(experts, Single(0), karras_levels(steps, HIGHEST, LOWEST), batch=256, seed=SEED, **arguments):
        pass
    return step


def exact(experts: list, points: Tensor) -> Tensor:
    """Log q at the last level, [experts, points]."""
    return torch.stack([expert.log_density(points, LOWEST) for expert in experts])


def text(values: Tensor) -> str:
    """Mean and standard deviation."""
    return f"{values.mean().item():.1f} ± {values.std().item():.1f}"


def along_runs() -> None:
    """Solvers, noise scales, steps and dimensions."""
    steps = (50, 100, 200)
    print("| dimensions | solver | noise scale | " + " | ".join(f"{count} steps" for count in steps) + " |")
    print("| --- " * (3 + len(steps)) + "|")
    for dimensions in (2, 8, 32, 100):
        experts = mixtures(dimensions)
        for solver in ("euler", "ancestral"):
            for noise_scale in (1.0, 0.7, 0.3):
                cells = []
                for count in steps:
                    step = run_of(experts, count, solver=solver, noise_scale=noise_scale)
                    wrong = step.log_density - exact(experts, step.samples)
                    cells.append(f"{text(wrong[0])}; {text(wrong[0] - wrong[1])}")
                print(f"| {dimensions} | {solver} | {noise_scale:g} | " + " | ".join(cells) + " |", flush=True)


def given_samples() -> None:
    """Bias, errors and their coverage, of log q of the first expert and of the difference."""
    print("\n| dimensions | steps | paths | log q: bias | error | stated | held | difference: bias | error | held |")
    print("| --- " * 10 + "|")
    for dimensions in (2, 32, 100):
        experts = mixtures(dimensions)
        points = experts[0].sample(200, 1, LOWEST)
        for steps in (100, 200):
            for paths in (4, 16):
                levels = karras_levels(steps, HIGHEST, LOWEST)
                found = estimate_log_density(experts, points, levels, paths, SEED)
                wrong = found.paths - exact(experts, points)
                cells = []
                for one in (wrong[:, 0], wrong[:, 0] - wrong[:, 1]):
                    mean, error = one.mean(0), one.std(0) / paths**0.5
                    held = (mean.abs() < 2 * error).double().mean().item()
                    stated = f" | {error.mean().item():.2f}" if not cells else ""
                    root = mean.square().mean().sqrt().item()
                    cells.append(f"{mean.mean().item():.2f} | {root:.2f}{stated} | {held:.2f}")
                print(f"| {dimensions} | {steps} | {paths} | " + " | ".join(cells) + " |", flush=True)


def with_wrong_scores() -> None:
    """The difference of two experts whose scores have errors of one size, along the run and judged anew."""
    print("\n| dimensions | run | judged anew |")
    print("| --- | --- | --- |")
    for dimensions in (8, 32, 100):
        experts = [Wrong(expert, 0.1, 7 + place) for place, expert in enumerate(mixtures(dimensions))]
        step = run_of(experts)
        truth = exact(experts, step.samples)
        found = estimate_log_density(experts, step.samples, karras_levels(200, HIGHEST, LOWEST), 16, SEED)  # type: ignore[arg-type]
        both = (step.log_density - truth, found.mean - truth)
        print(f"| {dimensions} | " + " | ".join(text(one[0] - one[1]) for one in both) + " |", flush=True)


if __name__ == "__main__":
    with_wrong_scores()
    given_samples()
    along_runs()
