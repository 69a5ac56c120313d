r"""The engine beside the literature's own numbers on mixtures in the plane: the tables of docs/logic_literature.md.

    python -m benchmarks.literature [annealed] [figure] [sat]

Three settings of others, each with exact scores, so that what differs is the sampler alone:

- the mixture of 40 Gaussians annealed to q^3, of "Feynman-Kac Correctors in Diffusion" (arXiv 2503.02819, table A1);
- that paper's first figure: q^10 of four modes, and the product of an upper and a lower pair of modes;
- OR and XOR of half-planes of corners, of "Composition of Pretrained Diffusion Models: A Logic-Based Calculus"
  (ICLR 2026, the SAT experiment in two dimensions).

About 25 minutes on one core; each part alone by its name.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from superdiff_engine import sample
from superdiff_engine.compose import Composed
from superdiff_engine.correction import Correction, normalised, systematic
from superdiff_engine.domains.plane import GaussianMixture
from superdiff_engine.formula import Both, Either, ExpertTerm, Formula, WeightedSum

SEEDS, STEPS = 5, 1000
console = Console(width=140)


def product(first: GaussianMixture, second: GaussianMixture, least: float = 1e-9) -> GaussianMixture:
    """The normalised product of two densities, a mixture again; parts of less than `least` of the mass are left out."""
    v, w = first.variances[:, None], second.variances[None]
    gap = (first.means[:, None] - second.means[None]).square().sum(-1)
    dimension = first.means.shape[1]
    log_masses = first.log_masses[:, None] + second.log_masses[None]
    log_masses = log_masses - 0.5 * (gap / (v + w) + dimension * torch.log(2 * math.pi * (v + w)))
    means = (first.means[:, None] * w[..., None] + second.means[None] * v[..., None]) / (v + w)[..., None]
    masses = torch.softmax(log_masses.flatten(), 0)
    kept = masses > least
    return GaussianMixture(means.flatten(0, 1)[kept], (v * w / (v + w)).flatten()[kept], masses[kept])


def power(mixture: GaussianMixture, exponent: int) -> GaussianMixture:
    """The normalised density to a whole power."""
    result = mixture
    for _ in range(exponent - 1):
        result = product(result, mixture)
    return result


def equal(samples: Tensor, log_weights: Tensor | None, seed: int) -> Tensor:
    """As many samples of even weight, drawn systematically by their log-weights; as they are where there are none."""
    if log_weights is None:
        return samples
    counts = systematic(normalised(log_weights), torch.Generator().manual_seed(seed))
    return samples.repeat_interleave(counts, 0)


def variation(samples: Tensor, reference: Tensor, bins: int = 200) -> float:
    """Total variation of two histograms, on a grid that spans the reference: the papers' "total variation"."""
    there, x, y = np.histogram2d(*reference.T.numpy(), bins=bins)
    here, _, _ = np.histogram2d(*samples.T.numpy(), bins=(x, y))
    if not here.sum():  # all of them lie outside
        return 1.0
    return float(0.5 * np.abs(here / here.sum() - there / there.sum()).sum())


def kernel_distance(samples: Tensor, reference: Tensor, widths: Sequence[float]) -> float:
    """The squared maximum mean discrepancy (biased) of a sum of Gaussian kernels of these widths."""

    def mean(a: Tensor, b: Tensor) -> float:
        sums = 0.0
        for rows in a.split(1000):
            squares = torch.cdist(rows, b).square()
            near = squares[squares < 80 * max(widths) ** 2]  # beyond, every kernel is below 1e-17
            sums += float(sum(torch.exp(-near / (2 * width**2)).sum() for width in widths))
        return sums / (len(a) * len(b))

    return mean(samples, samples) + mean(reference, reference) - 2 * mean(samples, reference)


def energy_distance(samples: Tensor, reference: Tensor, log_density: Callable[[Tensor], Tensor]) -> float:
    """The squared 2-Wasserstein distance of the log-densities of as many samples."""
    a, b = (log_density(points).sort().values for points in (samples, reference))
    return float((a - b).square().mean())


def transport(samples: Tensor, reference: Tensor) -> tuple[float, float]:
    """(W1, W2) between as many points, exact; needs scipy, in seconds 7 for 5,000 points and 60 for 10,000."""
    from scipy.optimize import linear_sum_assignment

    costs = torch.cdist(samples, reference).numpy()
    first = float(costs[linear_sum_assignment(costs)].mean())
    costs = costs**2
    return first, math.sqrt(float(costs[linear_sum_assignment(costs)].mean()))


def told(values: Sequence[float]) -> str:
    """Mean and sample standard deviation over runs."""
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def walk(
    experts: Sequence[GaussianMixture],
    formula: Formula,
    levels: Tensor,
    batch: int,
    seed: int,
    correction: Correction | None,
) -> tuple[Tensor, Tensor | None]:
    """(samples, log-weights) at the end of a run; where the weights never change no log-density is followed."""
    *_, last = sample(
        experts,
        Composed(formula),
        levels,
        batch=batch,
        seed=seed,
        solver="euler",
        estimator="none" if formula.linear else "trapezoid",
        correction=correction,
    )
    assert isinstance(last.samples, Tensor)
    return last.samples, last.log_importance


# ---------------------------------------------------------------- 40 Gaussians, annealed: Feynman-Kac correctors, A1


def forty() -> GaussianMixture:
    """Their mixture of 40: means uniform in [-40, 40]^2 from torch's seed 0, standard deviation softplus(2) = 2.127."""
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    means = (torch.rand((40, 2)) - 0.5) * 2 * 40
    torch.random.set_rng_state(state)
    deviation = float(torch.nn.functional.softplus(torch.tensor(2.0)))
    return GaussianMixture(means.double(), [deviation**2] * 40)


def geometric_levels(steps: int = STEPS) -> Tensor:
    """Their levels: 50 times 0.01 sqrt(1000^(2t) - 1), t from 1 in steps of 1/1000; the last, theirs 0, at 0.02."""
    t = torch.arange(steps, 0, -1, dtype=torch.float64) / steps
    return torch.cat([50 * 0.01 * (1000 ** (2 * t) - 1).sqrt(), torch.tensor([0.02], dtype=torch.float64)])


#: Table A1 of arXiv 2503.02819, as quoted in sontungkieu/arc-modulo at 164739c, docs/report/generated_fkc_rows.tex.
TABLE_A1 = {
    "theirs, target score, plain": ("0.487 ± 0.007", "0.020 ± 0.001", "11.304 ± 0.296", "15.671 ± 0.269"),
    "theirs, tempered noise, plain": ("0.638 ± 0.002", "0.058 ± 0.001", "16.051 ± 0.123", "19.627 ± 0.101"),
    "theirs, target score, FKC, systematic": ("0.372 ± 0.020", "0.007 ± 0.005", "6.256 ± 3.960", "11.265 ± 5.629"),
    "theirs, tempered noise, FKC, systematic": ("0.512 ± 0.017", "0.027 ± 0.011", "9.974 ± 1.229", "14.045 ± 1.308"),
    "theirs, target score, FKC, clocks": ("0.402 ± 0.029", "0.010 ± 0.004", "7.797 ± 3.990", "12.451 ± 5.417"),
    "theirs, tempered noise, FKC, clocks": ("0.572 ± 0.055", "0.056 ± 0.029", "12.598 ± 4.155", "17.679 ± 4.178"),
}


def annealed(samples: int = 10_000) -> None:
    """Prints theirs and ours for q^3 of the 40 Gaussians; transport between every second point, or it took an hour."""
    source, levels = forty(), geometric_levels()
    target = power(source, 3)
    reference = target.sample(samples, seed=1_000)
    widths = [10.0**k for k in np.linspace(-2, 0, 10)]
    formula = WeightedSum((ExpertTerm(0),), (3.0,))

    def measured(points: Tensor) -> list[float]:
        found = [variation(points, reference), kernel_distance(points, reference, widths)]
        found += transport(points[::2], reference[::2])
        return [*found, energy_distance(points, reference, lambda y: target.log_density(y, 0.0))]

    ours = {"floor: exact samples": [measured(target.sample(samples, seed=seed)) for seed in range(SEEDS)]}
    console.print("floor", [told(column) for column in zip(*ours["floor: exact samples"], strict=True)])
    ways = {
        "ours, plain": None,
        "ours, corrected": Correction(),
        "ours, corrected, resampled at every step": Correction(threshold=1.0),
    }
    for seed in range(SEEDS):
        for name, correction in ways.items():
            start = time.perf_counter()
            points, log_weights = walk([source], formula, levels, samples, seed, correction)
            seconds = time.perf_counter() - start
            ours.setdefault(name, []).append(measured(equal(points, log_weights, seed)))
            console.print(name, seed, f"{seconds:.0f} s", [round(value, 4) for value in ours[name][-1]])
    console.print("| | TV (200 x 200) | MMD^2 | W1 | W2 | W2^2 of energies |\n| --- | --- | --- | --- | --- | --- |")
    for name, row in TABLE_A1.items():
        console.print(f"| {name} | {' | '.join(row)} | |")
    for name, runs in ours.items():
        console.print(f"| {name} | {' | '.join(told(column) for column in zip(*runs, strict=True))} |")


# ---------------------------------------------------------------- four modes: Feynman-Kac correctors, figure 1


def preserving_levels(steps: int = STEPS) -> Tensor:
    """Levels t / alpha of their notebooks: log alpha = -t/20 - 19.9 t^2/4, t from 1 in steps of 1/1000; from 152."""
    t = torch.arange(steps, 0, -1, dtype=torch.float64) / steps
    return t * torch.exp(0.05 * t + 0.25 * 19.9 * t.square())


def corners(places: Sequence[tuple[float, float]], deviation: float) -> GaussianMixture:
    """Even modes of one standard deviation."""
    return GaussianMixture(torch.tensor(places, dtype=torch.float64), [deviation**2] * len(places))


def uneven(samples: Tensor) -> float:
    """Total variation of the four quadrants' shares from a quarter each, which both targets of the figure have."""
    quadrant = 2 * (samples[:, 0] > 0).long() + (samples[:, 1] > 0).long()
    return 0.5 * float((torch.bincount(quadrant, minlength=4) / len(samples) - 0.25).abs().sum())


def figure_one(particles: int = 512, groups: int = 20) -> None:
    """Prints ours for the two of which they show only scatter plots: runs of 512 particles, and one of all at once."""
    upper, lower = corners([(-1.5, 1.5), (1.5, 1.5)], 0.4), corners([(-1.5, -1.5), (1.5, -1.5)], 0.4)
    four = corners([(x, y) for x in (-1.5, 1.5) for y in (-1.5, 1.5)], 0.4)
    cases: list[tuple[str, list[GaussianMixture], Formula, GaussianMixture]] = [
        ("q^10", [four], WeightedSum((ExpertTerm(0),), (10.0,)), power(four, 10)),
        ("q1 q2", [upper, lower], WeightedSum((ExpertTerm(0), ExpertTerm(1)), (1.0, 1.0)), product(upper, lower)),
    ]
    batch = particles * groups
    console.print(
        "| | TV, all pooled (40 x 40) | TV of the quadrants' shares, a run | log-density over the exact mean |"
    )
    for name, experts, formula, target in cases:
        reference = target.sample(1_000_000, seed=1_000)
        exact = float(target.log_density(reference, 0.0).mean())
        ways = {"plain": None, "corrected": Correction(particles=particles), "corrected, one group": Correction()}
        found = {
            label: walk(experts, formula, preserving_levels(), batch, 0, correction)
            for label, correction in ways.items()
        }
        found["floor"] = (target.sample(batch, seed=7), None)
        for label, (points, log_weights) in found.items():
            size = batch if label.endswith("one group") else particles
            parted = [
                equal(points[i : i + size], None if log_weights is None else log_weights[i : i + size], i)
                for i in range(0, batch, size)
            ]
            pooled, shares = torch.cat(parted), [uneven(group) for group in parted]
            said = told(shares) if len(shares) > 1 else f"{shares[0]:.3f}"
            excess = float(target.log_density(pooled, 0.0).mean()) - exact
            console.print(f"| {name}, {label} | {variation(pooled, reference, 40):.3f} | {said} | {excess:+.3f} |")


# ---------------------------------------------------------------- corners: a logic-based calculus, SAT in 2 dimensions

#: Sat and Unif of Dombi's operators and of product and mixture, as a published note quotes the paper's table.
SAT = {"1 or 2": ("1.00, 1.00", "1.00, 0.80"), "1 xor 2": ("0.97, 1.00", "0.00, 0.00")}


def halves() -> list[GaussianMixture]:
    """Their experts 1 and 2, x_i = +2 of the corners (+-2, +-2) at deviation 0.5, and the base, all corners at 0.75."""
    places = [(x, y) for x in (-2.0, 2.0) for y in (-2.0, 2.0)]
    return [
        corners([place for place in places if place[0] > 0], 0.5),
        corners([place for place in places if place[1] > 0], 0.5),
        corners(places, 0.75),
    ]


def clauses(sharpness: float) -> dict[str, tuple[Formula, tuple[tuple[int, int], ...]]]:
    """Their formulas in ours, and the corners that satisfy them: NOT i is twice the base less i, OR and AND soft."""
    first, second, base = (ExpertTerm(i) for i in range(3))
    either = Either((first, second), sharpness)
    neither = Either(tuple(WeightedSum((base, one), (2.0, -1.0)) for one in (first, second)), sharpness)
    return {
        "1 or 2": (either, ((1, 1), (1, -1), (-1, 1))),
        "1 xor 2": (Both((either, neither), sharpness), ((1, -1), (-1, 1))),
    }


def boxes(points: Tensor, weights: Tensor, right: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    """Their measures of weighted points, by boxes of half a side 0.75 about the corners.

    Returns:
        The share of what lies in a box that lies in a right one; the share that lies in any; and how even the right
        ones are, the perplexity of their shares over their number.
    """
    signs = torch.where(points >= 0, 1.0, -1.0)
    inside = ((points - 2 * signs).abs().amax(-1) <= 0.75).double() * weights / weights.sum()
    masses = torch.stack([inside[(signs == torch.tensor(corner)).all(-1)].sum() for corner in right])
    if not masses.sum() > 0:
        return 0.0, float(inside.sum()), 0.0
    shares = masses / masses.sum()
    entropy = -torch.xlogy(shares, shares).sum()
    return float(masses.sum() / inside.sum()), float(inside.sum()), float(entropy.exp() / len(right))


def lattice(half: float = 6.0, count: int = 801) -> Tensor:
    """Points of a square lattice about the origin, [count^2, 2]."""
    axis = torch.linspace(-half, half, count, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis)


def exact_density(experts: Sequence[GaussianMixture], formula: Formula, points: Tensor) -> Tensor:
    """The target's density at each point, unnormalised, of noise-free experts."""
    value = formula.at(torch.stack([expert.log_density(points, 0.0) for expert in experts])).value
    return torch.exp(value - value.max())


def satisfied(batch: int = 16_384) -> None:
    """Prints theirs, ours and the exact target's of OR and XOR."""
    experts, points = halves(), lattice()
    console.print("| formula, sharpness | | right of those in a box | in a box | evenness of the right boxes |")
    for sharpness in (1.0, 10.0, 100.0):
        for name, (formula, right) in clauses(sharpness).items():
            exact = exact_density(experts, formula, points)
            told_of = {"exact target, by quadrature": boxes(points, exact, right)}
            for label, correction in (("ours, plain", None), ("ours, corrected", Correction())):
                ends, log_weights = walk(experts, formula, preserving_levels(), batch, 1, correction)
                weights = torch.ones(batch, dtype=torch.float64) if log_weights is None else normalised(log_weights)
                told_of[label] = boxes(ends, weights, right)
            for label, row in told_of.items():
                console.print(f"| {name}, {sharpness:g} | {label} | {' | '.join(f'{value:.3f}' for value in row)} |")
    console.print("theirs (sharpness 100), Dombi and product/mixture:", SAT)


def main() -> None:
    wanted = sys.argv[1:]
    parts: dict[str, Callable[[], None]] = {
        "figure": figure_one,
        "sat": satisfied,
        "annealed": annealed,
    }
    for name, part in parts.items():
        if not wanted or name in wanted:
            part()


if __name__ == "__main__":
    main()
