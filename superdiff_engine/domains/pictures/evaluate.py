"""The paper's Table 1 for the embedded garment models: `superdiff evaluate pictures`.

Every row samples the same number of pictures from the same seeds. A row is made in chunks of one batch, which are kept
in ~/.cache/superdiff/evaluation (by a hash of all that decides them): an interrupted evaluation goes on where it was.

Two identities save work. Without log-densities an expert alone needs one network call a step; and a coin flip takes,
sample by sample, what either expert alone makes of the same noise, so its row is picked from the rows a and b.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from ...compose import And, Average, CoinFlip, Operator, Or, Single
from ...density import fitting_estimators
from ...geometry import Product, whole
from ...noise import karras_levels
from ...sampling import sample
from ...solvers import get_solver
from ...system.assets import assets_folder
from ...system.devices import fast_dtype
from ...system.files import write_whole
from ...system.options import option
from ...system.workplaces.workplace import Workplace
from ...tables.chunks import CACHE, coin_flips
from ...tables.evaluation import Evaluation, RowMaker, RowParts, Say
from ...tables.markdown import Column, Layout
from ...tables.table import TABLES, Row, Table, Value, read_table
from .classifier import CLASSIFIER, classifier_accuracy, load_classifier, load_reference
from .data import EXPERT_CLASSES
from .domain import HIGHEST_LEVEL, LOWEST_LEVEL, to_uint8
from .metrics import measure
from .model import WEIGHTS, load_expert
from .saving import write_card

#: The solver behind each half of the table.
SOLVERS = {"ode": "ode", "sde": "ancestral"}
BOTH = ("garments_a", "garments_b")


@dataclass(frozen=True)
class _Kind:
    """What a row composes: experts, a maker of the operator, and whether it needs log-densities."""

    experts: tuple[str, ...]
    operator: Callable[[], Operator]
    densities: bool = False


KINDS = {
    "a": _Kind(("garments_a",), lambda: Single(0)),
    "b": _Kind(("garments_b",), lambda: Single(0)),
    "ab": _Kind(("garments_ab",), lambda: Single(0)),
    "coin_flip": _Kind(BOTH, CoinFlip),
    "average": _Kind(BOTH, Average),
    "or": _Kind(BOTH, Or, densities=True),
    "or_t100": _Kind(BOTH, lambda: Or(temperature=100.0), densities=True),
    "and": _Kind(BOTH, And, densities=True),
}
#: In the order of their need: what the rest is compared with comes first.
ROWS = tuple(f"{kind}/{half}" for half in ("sde", "ode") for kind in KINDS)

LAYOUT = Layout(
    columns=[
        Column("fashion_fid", "Fashion-FID (lower is better)"),
        Column("fashion_is", "Fashion-IS (higher is better)"),
        Column("class_share", "share of classes 0 to 4", digits=1, percent=True),
    ],
    row_titles={
        f"{kind}/{half}": f"{title}, {half.upper()}"
        for half in SOLVERS
        for kind, title in {
            "a": "model A (classes 0 to 4)",
            "b": "model B (classes 5 to 9)",
            "ab": "one model of all ten",
            "coin_flip": "coin flip of A and B",
            "average": "average of A and B",
            "or": "**A OR B**",
            "or_t100": "**A OR B, T = 100**",
            "and": "**A AND B**",
        }.items()
    },
    paper_columns=["paper, CIFAR-10: FID", "paper: IS"],
    paper={
        "a/ode": ["14.00", "8.73"],
        "a/sde": ["15.33", "7.98"],
        "b/ode": ["13.09", "7.89"],
        "b/sde": ["13.50", "7.98"],
        "ab/ode": ["6.00", "8.95"],
        "ab/sde": ["3.50", "9.14"],
        "coin_flip/ode": ["4.28", "9.14"],
        "coin_flip/sde": ["3.99", "9.36"],
        "or/ode": ["4.41", "9.12"],
        "or/sde": ["4.00", "9.36"],
        "or_t100/ode": ["4.11", "9.21"],
        "or_t100/sde": ["4.00", "9.48"],
    },
)
LAYOUTS = {"pictures": LAYOUT}


@dataclass(frozen=True)
class Settings:
    """What all rows share. Levels are in the pictures' units (black -1, white 1).

    Attributes:
        samples: pictures a row.
        steps: of the sampler.
        batch: pictures a chunk.
        seed: chunk k is sampled from the seed `seed + k`.
        dtype: what the networks compute in: bfloat16 where that is fast, else float32.
        lowest, highest, rho: of Karras's levels.
    """

    samples: int = field(default=2000, metadata=option("samples a row", least=2))
    steps: int = field(default=50, metadata=option("of the sampler", least=1))
    batch: int = field(default=125, metadata=option("samples at once", least=1))
    seed: int = field(default=0, metadata=option("seed of the first batch", least=0))
    dtype: str = field(default_factory=fast_dtype)
    lowest: float = LOWEST_LEVEL
    highest: float = HIGHEST_LEVEL
    rho: float = 7.0

    @property
    def chunks(self) -> range:
        """The chunks of a row."""
        return range(math.ceil(self.samples / self.batch))

    def folder(self, row: str) -> Path:
        """Where this row's chunks are kept; decided by the settings, the row, and its experts' weights."""
        experts = KINDS[row.partition("/")[0]].experts
        solver = SOLVERS[row.partition("/")[2]]
        digests = [hashlib.sha256(_weights(name).read_bytes()).hexdigest() for name in experts]
        # How many chunks there are decides nothing of any one of them.
        decisive = {name: value for name, value in asdict(self).items() if name != "samples"}
        key = json.dumps([row, solver, decisive, digests], sort_keys=True)
        return CACHE / hashlib.sha256(key.encode()).hexdigest()[:16]


class PictureRows(RowMaker):
    """Makes the rows of the table of pictures."""

    def __init__(self, settings: Settings, out: Path, workers: int) -> None:
        self.settings, self.out, self.workers = settings, out, workers

    def parts(self, row: str) -> list[RowParts]:
        kind, _, half = row.partition("/")
        for name in KINDS[kind].experts:
            load_expert(name)  # a damaged model is reported here, in one sentence, and not by a worker
        if kind == "coin_flip":
            return [part for side in ("a", "b") for part in self.parts(f"{side}/{half}")]
        self.settings.folder(row).mkdir(parents=True, exist_ok=True)
        return [RowParts(row, [(row, chunk, self.settings) for chunk in self.settings.chunks], _kept, make_chunk)]

    def table(self, row: str) -> Table:
        settings, rows = self.settings, []
        for name in ROWS:
            found = read_row(name, settings)
            if found is None:
                continue
            pictures, seconds = found
            values = _values(pictures[: settings.samples], settings.folder(name))
            seconds = round(seconds / self.workers, 1)
            rows.append(Row(name=name, samples=settings.samples, seconds=seconds, values=values))
        return Table(
            command=f"superdiff evaluate pictures --samples {settings.samples} --steps {settings.steps}",
            seeds=[settings.seed + chunk for chunk in settings.chunks],
            steps=settings.steps,
            notes=_notes(settings, self.workers),
            rows=rows,
        )

    def path(self, row: str) -> Path:
        return self.out

    def finish(self, pool: Workplace, say: Say) -> list[Path]:
        """The cards of the embedded models, where the table is the README's own."""
        if self.out.resolve() == (assets_folder().parent / TABLES / "pictures.json").resolve():
            for name in EXPERT_CLASSES:
                if (assets_folder() / name).is_dir():
                    write_card(assets_folder() / name, read_table(self.out))
        return []


class PictureEvaluation(Evaluation[Settings]):
    """The table of pictures."""

    settings = Settings
    layouts = LAYOUTS
    rows = ROWS

    def begin(self, settings: Settings, asked: Sequence[str], out: Path | None, workers: int) -> PictureRows:
        return PictureRows(settings, TABLES / "pictures.json" if out is None else out, workers)


#: What the registry of domains finds.
EVALUATION = PictureEvaluation()


def _kept(row: str, chunk: int, settings: Settings) -> Path:
    return _chunk_file(settings.folder(row), chunk)


def make_chunk(row: str, chunk: int, settings: Settings) -> None:
    """Sample one batch of a row and keep it: pictures uint8 [batch, 28, 28], seconds."""
    kind, solver = KINDS[row.partition("/")[0]], SOLVERS[row.partition("/")[2]]
    experts = [load_expert(name, "cpu", settings.dtype) for name in kind.experts]
    started = time.monotonic()
    dimensions = Product.of(experts[0].space).most_dimensions()
    fitting = fitting_estimators(get_solver(solver), 1.0, dimensions)
    estimator = fitting[0].name if kind.densities else "none"
    levels = karras_levels(settings.steps, settings.highest, settings.lowest, settings.rho)
    steps = sample(
        experts,
        kind.operator(),
        levels,
        batch=settings.batch,
        seed=settings.seed + chunk,
        estimator=estimator,
        solver=solver,
    )
    (last,) = deque(steps, maxlen=1)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, pictures=to_uint8(whole(last.denoised)), seconds=time.monotonic() - started)
    write_whole(_chunk_file(settings.folder(row), chunk), buffer.getvalue())


def _chunk_file(folder: Path, chunk: int) -> Path:
    return folder / f"chunk_{chunk:04d}.npz"


def read_row(row: str, settings: Settings) -> tuple[np.ndarray, float] | None:
    """Pictures uint8 [chunks * batch, 28, 28] and the seconds of one process; None while chunks are missing."""
    kind, _, half = row.partition("/")
    if kind == "coin_flip":
        sides = [read_row(f"{part}/{half}", settings) for part in ("a", "b")]
        if sides[0] is None or sides[1] is None:
            return None
        heads = np.concatenate([coin_flips(settings.batch, settings.seed + chunk) for chunk in settings.chunks])
        # Each sample needs its own expert's call only, half of each row's.
        return np.where(heads[:, None, None], sides[0][0], sides[1][0]), (sides[0][1] + sides[1][1]) / 2
    if not all(_weights(name).is_file() for name in KINDS[kind].experts):
        return None
    folder = settings.folder(row)
    files = [_chunk_file(folder, chunk) for chunk in settings.chunks]
    if not all(file.is_file() for file in files):
        return None
    stored = [np.load(file) for file in files]
    return np.concatenate([part["pictures"] for part in stored]), float(sum(part["seconds"] for part in stored))


def _values(pictures: np.ndarray, folder: Path) -> dict[str, Value]:
    """What is measured of a row, kept beside its chunks: the bootstrap takes seconds."""
    judge = (assets_folder() / CLASSIFIER / "model.safetensors").read_bytes()
    key = hashlib.sha256(judge + pictures.tobytes()).hexdigest()[:16]
    kept = folder / f"figures_{key}.json"
    if kept.is_file():
        return {name: Value(**value) for name, value in json.loads(kept.read_text()).items()}
    scaled = torch.from_numpy(pictures).float().div(127.5).sub(1).unsqueeze(1)
    values = {name: asdict(value) for name, value in measure(scaled, load_classifier(), load_reference()).items()}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(kept, json.dumps(values).encode())
    return {name: Value(**value) for name, value in values.items()}


def _notes(settings: Settings, workers: int) -> str:
    real = _real_data()
    floor = ", ".join(f"{name} {value['fashion_fid']:.2f} / {value['fashion_is']:.2f}" for name, value in real.items())
    return (
        f"Fashion-FID and Fashion-IS are FID's and IS's analogues on this project's garment classifier (test accuracy "
        f"{classifier_accuracy():.1%}), against the 10,000 test pictures; errors are bootstrap standard errors. "
        f"{'2,000 real pictures have (Fashion-FID / Fashion-IS): ' + floor + '. ' if floor else ''}"
        f"{settings.steps} steps from s = {settings.highest:g} to {settings.lowest:g} (Karras, rho {settings.rho:g}). "
        f"SDE: {SOLVERS['sde']} with the trapezoidal Ito estimator; ODE: Euler (DDIM), Hutchinson's for OR and AND; "
        f"{settings.dtype} networks. Seconds are wall clock with {workers} processes of one thread; the coin flip's "
        "are half of A's and B's together."
    )


def _real_data() -> dict[str, dict[str, float]]:
    """What is measured of 2,000 real training pictures, kept in the classifier's config when it was trained."""
    config = json.loads((assets_folder() / CLASSIFIER / "config.json").read_text())
    return config.get("real_pictures", {})


def _weights(name: str) -> Path:
    return assets_folder() / name / "unet" / WEIGHTS
