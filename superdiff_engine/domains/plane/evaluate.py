r"""How near samples come to a formula's exact target: `superdiff evaluate plane`.

Rows FORMULA/METHOD are of mixtures in the plane, whose targets are known by quadrature: the total variation of the
weighted samples' histogram against the target, plain and corrected, with log-densities that are tracked along the path
and with exact ones, beside what as many exact samples show. Rows d8/FORMULA/METHOD and d32/FORMULA/METHOD are of two
experts whose variances differ in every dimension: total variation of their marginals. Rows gaussian/FORMULA/SOLVER are
of single Gaussians, where the variance of the weighted samples is known without drawing any (`targets`).

Runs are kept in ~/.cache/superdiff/evaluation by a hash of all that decides them; what changes in the engine is not
part of it.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ...compose import Composed
from ...correction import Correction, normalised
from ...density import DEFAULT_ESTIMATOR, Estimator
from ...formula import Formula
from ...geometry import whole
from ...noise import karras_levels
from ...recipes.formulas import parse_formula
from ...sampling import sample
from ...solvers import get_solver
from ...system.options import option
from ...tables import chunks
from ...tables.chunks import CACHE
from ...tables.evaluation import Evaluation, RowMaker, RowParts
from ...tables.markdown import Column, Layout
from ...tables.table import TABLES, Row, Table, Value
from .mixture import GaussianMixture
from .targets import (
    KnownDensity,
    Marginals,
    PlaneTarget,
    Proposal,
    binned,
    floor,
    histogram,
    joined,
    marginals,
    powers,
    total_variation,
    weighted_variance,
)

#: The levels of all runs, in the units of the data.
HIGHEST, LOWEST = 20.0, 0.02
#: The experts of the plane: means, variances.
PLANE: tuple[tuple[list[list[float]], list[float]], ...] = (
    ([[-1.5, 0.5], [0.0, 1.0], [1.5, 0.5]], [0.3, 0.3, 0.3]),
    ([[-1.0, -0.8], [0.3, 0.4], [1.5, -0.6]], [0.35, 0.3, 0.3]),
    ([[0.0, 1.5], [0.5, -1.0]], [0.5, 0.5]),
)
#: Formulas over them, by the name of their rows.
FORMULAS = {
    "or_2": "1 or[2] 2",
    "and_1": "1 and 2",
    "and_4": "1 and[4] 2",
    "product": "1 + 2",
    "mean": "0.5*1 + 0.5*2",
    "but_not": "1 but not 2",
    "xor": "1 xor 2",
    "nested": "(1 or 2) and 3",
    "power_0_25": "0.25*1",
    "power_0_5": "0.5*1",
    "power_2": "2*1",
    "power_4": "4*1",
    "power_8": "8*1",
}
#: In more dimensions: two modes of each expert along the first axis, their masses, and the variance in all directions.
#: The variances differ, so what the experts disagree about grows with the dimension.
LINES: tuple[tuple[list[float], list[float], float], ...] = (
    ([-1.2, 1.2], [0.6, 0.4], 0.4),
    ([-0.8, 1.6], [0.5, 0.5], 0.8),
)
DIMENSIONS = (8, 32)
#: Formulas over those, and what importance sampling draws from.
PROPOSALS: dict[str, Proposal] = {
    "or_2": joined,
    "and_1": lambda experts, level: powers(experts, (0.5, 0.5), level),
    "product": lambda experts, level: powers(experts, (1, 1), level),
    "mean": lambda experts, level: powers(experts, (0.5, 0.5), level),
    "but_not": lambda experts, level: powers(experts, (2, -1), level, paired=True),
    "power_2": lambda experts, level: powers([experts[0], experts[0]], (1, 1), level),
}
#: Solver, whether the run is corrected, and whether it is made with exact log-densities too.
METHODS: dict[str, tuple[str, bool, bool]] = {
    "plain": ("ancestral", False, True),
    "corrected": ("ancestral", True, True),
    "corrected_euler": ("euler", True, False),
}
#: Of Gaussian experts: variances and weights.
GAUSSIANS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "product": ((0.3, 0.5), (1.0, 1.0)),
    "mean": ((0.3, 0.5), (0.5, 0.5)),
    "but_not": ((0.3, 0.5), (2.0, -1.0)),
    "power_0_5": ((0.3,), (0.5,)),
    "power_2": ((0.3,), (2.0,)),
    "power_4": ((0.3,), (4.0,)),
    "power_8": ((0.3,), (8.0,)),
}
STEPS = (50, 100, 200, 400)
SOLVERS = ("ancestral", "euler")

PLANE_ROWS = tuple(f"{formula}/{method}" for formula in FORMULAS for method in METHODS)
DIMENSION_ROWS = tuple(
    f"d{d}/{formula}/{method}" for d in DIMENSIONS for formula in PROPOSALS for method in ("plain", "corrected")
)
GAUSSIAN_ROWS = tuple(f"gaussian/{formula}/{solver}" for formula in GAUSSIANS for solver in SOLVERS)
ROWS = (*PLANE_ROWS, *DIMENSION_ROWS, *GAUSSIAN_ROWS)

_TITLES = {"plain": "plain", "corrected": "**corrected**", "corrected_euler": "corrected, euler"}
_MEASURES = [
    Column("tv_exact_density", "with exact log q", digits=3),
    Column("floor", "as many exact samples", digits=3),
    Column("tv_others", "other axes", digits=3),
    Column("floor_others", "as many exact samples, other axes", digits=3),
    Column("ess", "effective sample size", digits=0),
    Column("resamplings", "resamplings", digits=1),
    Column("ancestors", "distinct ancestors", digits=0),
    Column("log_z", "log Z off by, nats", digits=3),
    Column("pieces", "pieces of the target", digits=0),
]
#: The tables of docs/results.md, all of one JSON file.
LAYOUTS = {
    "logic": Layout(
        columns=[Column("tv", "total variation", digits=3), *_MEASURES],
        row_titles={
            f"{formula}/{method}": f"`{text}`, {title}"
            for formula, text in FORMULAS.items()
            for method, title in _TITLES.items()
        },
        source="logic",
        rows=PLANE_ROWS,
    ),
    "logic_dimensions": Layout(
        columns=[Column("tv", "total variation, axis of the modes", digits=3), *_MEASURES],
        row_titles={
            f"d{d}/{formula}/{method}": f"{d} dimensions, `{FORMULAS[formula]}`, {title}"
            for d in DIMENSIONS
            for formula in PROPOSALS
            for method, title in _TITLES.items()
        },
        source="logic",
        rows=DIMENSION_ROWS,
    ),
    "logic_steps": Layout(
        columns=[Column(f"steps_{steps}", f"{steps} steps", digits=1, percent=True) for steps in STEPS],
        row_titles={
            f"gaussian/{formula}/{solver}": f"`{FORMULAS[formula]}`, {solver}"
            for formula in GAUSSIANS
            for solver in SOLVERS
        },
        source="logic",
        rows=GAUSSIAN_ROWS,
    ),
}


@dataclass(frozen=True)
class Settings:
    """What all rows share.

    Attributes:
        samples: particles of a run, all in one group.
        seeds: how many runs a row has; errors are over them.
        steps: of the sampler.
        seed: of the first run.
    """

    samples: int = field(default=10_000, metadata=option("particles a run", least=2))
    seeds: int = field(default=4, metadata=option("runs a row", least=2))
    steps: int = field(default=200, metadata=option("of the sampler", least=1))
    seed: int = field(default=0, metadata=option("seed of the first run", least=0))

    @property
    def runs(self) -> range:
        """The seeds of a row's runs."""
        return range(self.seed, self.seed + self.seeds)


def plane_experts() -> list[GaussianMixture]:
    """The experts of the rows in the plane."""
    return [GaussianMixture(means, variances) for means, variances in PLANE]


def line_experts(dimensions: int) -> list[GaussianMixture]:
    """The experts of the rows in more dimensions."""
    found = []
    for places, masses, variance in LINES:
        means = torch.zeros(len(places), dimensions, dtype=torch.float64)
        means[:, 0] = torch.tensor(places, dtype=torch.float64)
        found.append(GaussianMixture(means, [variance] * len(places), masses))
    return found


@dataclass(frozen=True)
class _Drawn:
    """A row of drawn samples, read from its name; `dimensions` is 2 in the plane."""

    formula: str
    method: str
    dimensions: int

    @classmethod
    def of(cls, row: str) -> _Drawn:
        *before, formula, method = row.split("/")
        return cls(formula, method, int(before[0][1:]) if before else 2)

    @property
    def in_plane(self) -> bool:
        return self.dimensions == 2

    def composition(self) -> tuple[list[GaussianMixture], Formula]:
        """The experts that the formula names, and the formula."""
        experts = plane_experts() if self.in_plane else line_experts(self.dimensions)
        formula = parse_formula(FORMULAS[self.formula], [f"expert {place}" for place in range(1, len(experts) + 1)])
        return experts[: max(formula.experts) + 1], formula


@cache
def plane_target(formula: str) -> PlaneTarget:
    """The exact target of a formula in the plane, where runs end."""
    return PlaneTarget(*_Drawn(formula, "", 2).composition(), LOWEST)


@cache
def line_target(formula: str, dimensions: int) -> Marginals:
    """The marginals of a formula's target in more dimensions, where runs end."""
    experts, parsed = _Drawn(formula, "", dimensions).composition()
    return marginals(experts, parsed, LOWEST, *PROPOSALS[formula](experts, LOWEST))


def run_file(row: str, seed: int, settings: Settings) -> Path:
    """Where a run is kept."""
    drawn = _Drawn.of(row)
    decides = [
        FORMULAS[drawn.formula], METHODS[drawn.method], drawn.dimensions, PLANE, LINES, HIGHEST, LOWEST,
        asdict(replace(settings, seeds=2, seed=seed)),
    ]  # fmt: skip
    return CACHE / "plane" / f"{hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]}.npz"


def make_run(row: str, seed: int, settings: Settings) -> None:
    """Sample with tracked log-densities and, where the method asks for it, with exact ones; keep what is measured.

    Nothing of a linear formula's run depends on log-densities, so one run without them stands for both. Arrays of one
    or two: the weights of the plane's cells `cells` [2, cells] or of the axes' bins `bins` [2, d, bins]; the effective
    sample size `ess`, `resamplings`, `ancestors`, log-normaliser `log_z` (a plain run's are all its particles, 0, all
    of them, NaN); and `seconds` of both.
    """
    started = time.monotonic()
    drawn = _Drawn.of(row)
    solver, corrected, exact_too = METHODS[drawn.method]
    experts, formula = drawn.composition()
    tracked: list[str | Estimator] = ["none" if formula.linear else DEFAULT_ESTIMATOR]
    exact: list[str | Estimator] = [KnownDensity()] if exact_too and not formula.linear else []
    measured: dict[str, list[np.ndarray]] = {}
    for estimator in (*tracked, *exact):
        ancestors, resamplings = torch.arange(settings.samples), 0
        steps = sample(
            experts,
            Composed(formula),
            karras_levels(settings.steps, HIGHEST, LOWEST),
            batch=settings.samples,
            seed=seed,
            estimator=estimator,
            solver=solver,
            correction=Correction() if corrected else None,
        )
        for step in steps:
            last = step
            if step.parents is not None:
                ancestors, resamplings = ancestors[step.parents], resamplings + 1
        points, log_weights = whole(last.samples), last.log_importance
        even = torch.zeros(settings.samples, dtype=torch.float64)
        weights = normalised(even if log_weights is None else log_weights)
        found = {
            "ess": 1 / weights.square().sum(),
            "resamplings": torch.tensor(resamplings),
            "ancestors": torch.tensor(len(ancestors.unique())),
            "log_z": torch.tensor(math.nan) if log_weights is None else log_weights.logsumexp(0) - math.log(len(even)),
            "cells" if drawn.in_plane else "bins": (histogram if drawn.in_plane else binned)(points, weights),
        }
        for name, value in found.items():
            measured.setdefault(name, []).append(value.numpy())
    arrays = {name: np.stack(values) for name, values in measured.items()}
    chunks.keep(run_file(row, seed, settings), arrays | {"seconds": np.array(time.monotonic() - started)})


def read_runs(row: str, settings: Settings) -> dict[str, np.ndarray] | None:
    """The arrays of `make_run` of all a row's runs, [runs, ...]; None while some are missing."""
    files = [run_file(row, seed, settings) for seed in settings.runs]
    if not all(file.is_file() for file in files):
        return None
    runs = []
    for file in files:
        with np.load(file, allow_pickle=False) as stored:
            runs.append({name: stored[name] for name in stored.files})
    return {name: np.stack([run[name] for run in runs]) for name in runs[0]}


def _measured(found: Sequence[float]) -> Value:
    """The mean over runs, with its standard error."""
    return Value(value=statistics.fmean(found), error=statistics.stdev(found) / math.sqrt(len(found)))


def values_of(row: str, runs: dict[str, np.ndarray], samples: int) -> dict[str, Value]:
    """What a row of drawn samples shows.

    Returns:
        tv, tv_exact_density, floor (and in more dimensions tv_others, floor_others), without a unit; ess, resamplings,
        ancestors, of those with tracked log-densities; log_z in nats, estimate minus truth; pieces.
    """
    drawn = _Drawn.of(row)
    values: dict[str, Value] = {}
    if drawn.in_plane:
        target = plane_target(drawn.formula)
        masses, log_z = target.masses, target.log_normaliser
        histograms = torch.from_numpy(runs["cells"])
    else:
        known = line_target(drawn.formula, drawn.dimensions)
        masses, log_z = known.first, known.log_normaliser
        histograms = torch.from_numpy(runs["bins"])[:, :, 0]
    values["tv"] = _measured([total_variation(found[0], masses) for found in histograms])
    if METHODS[drawn.method][2]:
        values["tv_exact_density"] = _measured([total_variation(found[-1], masses) for found in histograms])
    values["floor"] = Value(value=(exact := floor(masses, samples))[0], error=exact[1])
    if not drawn.in_plane:
        others = torch.from_numpy(runs["bins"])[:, 0, 1:]
        values["tv_others"] = _measured(
            [statistics.fmean(total_variation(axis, known.others) for axis in axes) for axes in others]
        )
        values["floor_others"] = Value(value=(exact := floor(known.others, samples))[0], error=exact[1])
    if not np.isnan(runs["log_z"]).any():
        for name in ("ess", "resamplings", "ancestors"):
            values[name] = _measured([float(found[0]) for found in runs[name]])
        values["log_z"] = _measured([float(found[0]) - log_z for found in runs["log_z"]])
    if drawn.in_plane:
        values["pieces"] = Value(value=target.pieces)
    return values


def gaussian_values(row: str) -> dict[str, Value]:
    """The relative error of the variance at each of STEPS; none where it is infinite."""
    _, formula, solver = row.split("/")
    variances, weights = GAUSSIANS[formula]
    exact = 1 / math.fsum(a / (v + LOWEST**2) for a, v in zip(weights, variances, strict=True))
    values = {}
    for steps in STEPS:
        levels = karras_levels(steps, HIGHEST, LOWEST).tolist()
        found = weighted_variance(variances, weights, levels, get_solver(solver))
        if found is not None:
            values[f"steps_{steps}"] = Value(value=found / exact - 1)
    return values


class PlaneRows(RowMaker):
    """Makes the rows of the table of formulas."""

    def __init__(self, settings: Settings, out: Path) -> None:
        self.settings, self.out = settings, out
        #: Rows that are whole, which do not change any more.
        self.made: dict[str, Row] = {}

    def parts(self, row: str) -> list[RowParts]:
        if row in GAUSSIAN_ROWS:
            return []
        wanted = [(row, seed, self.settings) for seed in self.settings.runs]
        return [RowParts(row, wanted, run_file, make_run)]

    def table(self, row: str) -> Table:
        for name in ROWS:
            if name not in self.made and (found := self._row(name)) is not None:
                self.made[name] = found
        settings = self.settings
        errors = [line_target(formula, d).error for d in DIMENSIONS for formula in PROPOSALS if self._has(formula, d)]
        known = f" (marginals known to {max(errors):.4f})" if errors else ""
        return Table(
            command=(
                f"superdiff evaluate plane --samples {settings.samples} --seeds {settings.seeds} "
                f"--steps {settings.steps}"
            ),
            seeds=list(settings.runs),
            steps=settings.steps,
            notes=(
                f"{settings.seeds} runs a row, each of {settings.samples:,} particles in one group; {settings.steps} "
                f"steps from s = {HIGHEST:g} to {LOWEST:g} (Karras, rho 7), ancestral where no solver is named, "
                "trapezoidal Ito estimator, resampling below half of the effective sample size. Sums ask for no "
                "log-density, so one run stands in both columns. Total variation in "
                "the plane: histogram of 25 x 25 cells from -5 to 5 and what lies outside, against quadrature; in 8 "
                f"and 32 dimensions: marginals of 25 bins from -4 to 4, against importance sampling{known}. Pieces: "
                "of the smallest region with 95% of the target's mass; 1 is connected. Effective sample size at the "
                "end; ancestors: particles of the start that have a descendant at the end; log Z: the logarithm of "
                "the mean weight minus that of the exact normaliser. Gaussian experts: error of the weighted "
                "samples' variance in each dimension, worked out without drawing; empty where it is infinite. Errors "
                "are standard errors over the runs. Seconds are those of one thread, wall clock, on a busy machine."
            ),
            rows=[self.made[name] for name in ROWS if name in self.made],
        )

    def path(self, row: str) -> Path:
        return self.out

    def _has(self, formula: str, dimensions: int) -> bool:
        return any(name.startswith(f"d{dimensions}/{formula}/") for name in self.made)

    def _row(self, name: str) -> Row | None:
        """A row of what is kept; None while some of it is missing."""
        if name in GAUSSIAN_ROWS:
            return Row(name=name, samples=0, seconds=0.0, values=gaussian_values(name))
        runs = read_runs(name, self.settings)
        if runs is None:
            return None
        return Row(
            name=name,
            samples=self.settings.seeds * self.settings.samples,
            seconds=round(float(runs["seconds"].sum()), 1),
            values=values_of(name, runs, self.settings.samples),
        )


class PlaneEvaluation(Evaluation[Settings]):
    """The table of formulas and their exact targets."""

    settings = Settings
    layouts = LAYOUTS
    rows = ROWS

    def begin(self, settings: Settings, asked: Sequence[str], out: Path | None, workers: int) -> PlaneRows:
        return PlaneRows(settings, TABLES / "logic.json" if out is None else out)


#: What the registry of domains finds.
EVALUATION = PlaneEvaluation()
