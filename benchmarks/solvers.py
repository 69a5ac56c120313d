"""Solvers against exact mixtures: an OR's shares and errors of log q, AND's gap. Writes docs/benchmarks_solvers.md.

    python -m benchmarks.solvers

Experts are Gaussian mixtures, one of tight and one of wide modes, in the plane and in 32 dimensions, whose densities
and shares are known. OR of two experts of four modes each must draw every mode one time in eight; the total variation
of the shares that it draws has a floor, what as many exact samples show. AND must end where both densities are equal.
"""

from __future__ import annotations

import math
import statistics
import time
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from superdiff_engine import And, Operator, Or, karras_levels, sample
from superdiff_engine.density import fitting_estimators
from superdiff_engine.domains.plane import GaussianMixture
from superdiff_engine.solvers import SOLVERS

SAMPLES, SEEDS, STEPS = 2048, 5, (50, 100, 200)
MODES = 4
HIGHEST, LOWEST = 80.0, 0.02
#: Of the tight and the wide modes, by dimension.
VARIANCES = {2: (0.05, 0.2), 32: (0.2, 0.8)}
console = Console(width=120)


def experts(dimension: int) -> list[GaussianMixture]:
    """A mixture of tight and one of wide modes, of even mass; means are drawn N(0, I), in the plane on a circle."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(2, MODES, dimension, generator=generator, dtype=torch.float64)
    if dimension == 2:  # where random modes would lie on each other
        turn = torch.arange(2 * MODES, dtype=torch.float64) * (math.pi / MODES)
        means = 2 * torch.stack([turn.cos(), turn.sin()], -1).unflatten(0, (MODES, 2)).transpose(0, 1)
    return [
        GaussianMixture(mode, [variance] * MODES) for mode, variance in zip(means, VARIANCES[dimension], strict=True)
    ]


def together(found: list[GaussianMixture]) -> GaussianMixture:
    """The even mixture of both experts: what OR samples."""
    return GaussianMixture(torch.cat([one.means for one in found]), torch.cat([one.variances for one in found]))


def variation(found: list[GaussianMixture], samples: Tensor, level: float) -> float:
    """Total variation between even shares of the modes and those that samples have, by each mode's responsibility."""
    shares = torch.softmax(together(found)._log_parts(samples, level)[0], 1).mean(0)
    return 0.5 * float((shares - 1 / len(shares)).abs().sum())


def walk(dimension: int, operator: Operator, solver: str, steps: int, seed: int) -> tuple[float, float, float]:
    """(total variation of shares, mean error of log q_1 - log q_2, mean exact |log q_1 - log q_2|) of one run."""
    found = experts(dimension)
    *_, last = sample(
        found,
        operator,
        karras_levels(steps, HIGHEST, LOWEST),
        batch=SAMPLES,
        seed=seed,
        solver=solver,
        estimator=fitting_estimators(SOLVERS[solver], 1.0, dimension)[0].name,
    )
    samples: Tensor = last.samples  # type: ignore[assignment]
    exact = torch.stack([one.log_density(samples, last.level) for one in found]).diff(dim=0)
    error = (last.log_density.diff(dim=0) - exact).abs().mean()
    return variation(found, samples, last.level), float(error), float(exact.abs().mean())


def told(values: list[float]) -> str:
    """Mean and spread over the seeds."""
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def main() -> None:
    floors = {
        dimension: told(
            [variation(found, together(found).sample(SAMPLES, seed, LOWEST), LOWEST) for seed in range(10 * SEEDS)]
        )
        for dimension in VARIANCES
        for found in [experts(dimension)]
    }
    lines = [
        "# Solvers on exact mixtures",
        "",
        f"`python -m benchmarks.solvers`, {time.strftime('%Y-%m-%d')}. A mixture of {MODES} tight and one of {MODES} "
        f"wide modes (variances {VARIANCES[2][0]} and {VARIANCES[2][1]} in the plane, {VARIANCES[32][0]} and "
        f"{VARIANCES[32][1]} in 32 dimensions), {SAMPLES} samples, from s = {HIGHEST:g} to {LOWEST:g} (Karras); "
        f"trapezoidal Ito estimator, Hutchinson's for the ODEs. Mean and standard deviation over {SEEDS} seeds. Total "
        f"variation of OR's shares of the modes: as many exact samples show {floors[2]} in the plane and {floors[32]} "
        "in 32 dimensions. Errors and gaps in nats, against the exact densities.",
        "",
        "| dimensions | steps | solver | OR: total variation | OR: error of log q_1 - log q_2 | AND: exact gap |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for dimension in VARIANCES:
        for steps in STEPS:
            for solver in SOLVERS:
                either = [walk(dimension, Or(), solver, steps, seed) for seed in range(SEEDS)]
                both = [walk(dimension, And(), solver, steps, seed) for seed in range(SEEDS)]
                figures = [[one[0] for one in either], [one[1] for one in either], [one[2] for one in both]]
                lines.append(f"| {dimension} | {steps} | {solver} | {' | '.join(map(told, figures))} |")
                console.print(lines[-1], markup=False)
    Path("docs/benchmarks_solvers.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
