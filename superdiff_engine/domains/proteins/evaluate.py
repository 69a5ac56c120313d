r"""The paper's Table 3 at the scale of the embedded models: `superdiff evaluate proteins`.

Each row has samples of 60, 80, 100 and 120 residues, from the same noise in all rows but `native`, which are test
chains of the PDB near these lengths, `native_noisy`, the same with 1 Angstrom of noise on the residues' places (what
the score of a bad backbone is like), and `native_alpha` and `native_beta`, the test chains near these lengths of the
kind that each expert learns from. Of every row: `measures`.

Steps have `NOISE_SCALE` times their noise, as FrameDiff's and other protein models' have; a row of full noise and one
of less are beside them.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from ...recipes.document import Expert, Levels, Recipe
from ...recipes.operators import AndRecipe, AverageRecipe, OperatorRecipe, OrRecipe, SingleRecipe
from ...system.files import write_whole
from ...tables import chunks
from ...tables.table import (
    CACHE,
    Column,
    Layout,
    Row,
    Table,
    chosen_rows,
    make_missing,
    start_pool,
    with_known_rows,
    write_table,
)
from . import mpnn
from .arrays import DecodedProteins
from .checks import checked_proteins
from .data import Chains, load_chains
from .domain import ALPHA, BETA, NOISE_SCALE, WHOLE, Proteins, find_folder, find_model
from .drawing import grid
from .measures import NEAR_LENGTH, NEIGHBOURS, measures_of, tm_score
from .train import learned_by

LENGTHS = (60, 80, 100, 120)
#: Experts and operator of each sampled row.
KINDS: dict[str, tuple[tuple[str, ...], OperatorRecipe]] = {
    "alpha": ((ALPHA,), SingleRecipe()),
    "beta": ((BETA,), SingleRecipe()),
    "all": ((WHOLE,), SingleRecipe()),
    "average": ((ALPHA, BETA), AverageRecipe()),
    "or": ((ALPHA, BETA), OrRecipe()),
    "or_bias_1": ((ALPHA, BETA), OrRecipe(bias=[0.0, 1.0])),
    "and": ((ALPHA, BETA), AndRecipe()),
    "all_full_noise": ((WHOLE,), SingleRecipe()),
    "beta_less_noise": ((BETA,), SingleRecipe()),
}
#: Rows whose steps have a noise scale of their own, whatever the settings say.
OWN_NOISE = {"all_full_noise": 1.0, "beta_less_noise": 0.3}
#: Rows of which pictures are drawn on request, as proteins_ROW.png, and what of them: the first samples of one length.
SHEETS, SHEET_LENGTH, SHEET_SAMPLES = ("or", "and"), 100, 16
#: Rows of test chains: of the kind which model learns from, and moved by how much, as of `native_row`.
NATIVE = {
    "native": (WHOLE, 0.0),
    "native_noisy": (WHOLE, 1.0),
    "native_alpha": (ALPHA, 0.0),
    "native_beta": (BETA, 0.0),
}
ROWS = (*NATIVE, *KINDS)
#: Native chains are compared with where their lengths differ by at most this many residues.
ALIKE = 5
LAYOUT = Layout(
    columns=[
        Column("bonds_ok", "CA-CA 3.8 ± 0.2 Å", digits=1, percent=True),
        Column("clashes", "CA pairs < 3.6 Å", digits=2, percent=True),
        Column("radius_error", "radius of gyration off by", digits=1, percent=True),
        Column("helix", "helix", digits=0, percent=True),
        Column("strand", "strand", digits=0, percent=True),
        Column("both_kinds", "samples with both", digits=0, percent=True),
        Column("mpnn_score", "ProteinMPNN, nats a residue"),
        Column("pairwise_tm", "pairwise TM", digits=3),
        Column("clusters", "clusters a sample"),
        Column("nearest_tm", "nearest training TM", digits=3),
        Column("designable", "designable", digits=0, percent=True),
    ],
    row_titles={
        "native": "test chains of the PDB",
        "native_noisy": "the same, residues moved by 1 Å",
        "native_alpha": "test chains, mainly alpha",
        "native_beta": "test chains, mainly beta",
        "alpha": "alpha expert alone",
        "beta": "beta expert alone",
        "all": "one model of all",
        "average": "average",
        "or": "**OR**",
        "or_bias_1": "**OR**, bias 1 for beta",
        "and": "**AND**",
        "all_full_noise": "one model of all, full noise",
        "beta_less_noise": "beta expert alone, 0.3 of the noise",
    },
    paper_columns=["paper: designable", "paper: strand", "paper: pairwise TM"],
    paper={
        "alpha": [".392 (FrameDiff)", ".175", ".337"],
        "beta": [".928 (Proteus)", ".119", ".312"],
        "average": [".740", ".139", ".310"],
        "or": [".752", ".147", ".309"],
        "or_bias_1": [".976", ".127", ".307"],
        "and": [".752", ".141", ".306"],
    },
)


@dataclass(frozen=True)
class Settings:
    """What all rows share.

    Attributes:
        samples: of each length.
        steps: of the sampler.
        seed: of the first length; length k has `seed + 1000 k`.
        batch: proteins a chunk.
        noise_scale: of the steps' noise.
    """

    samples: int = 25
    steps: int = 200
    seed: int = 0
    batch: int = 25
    noise_scale: float = NOISE_SCALE

    @property
    def parts(self) -> list[tuple[int, int]]:
        """(residues, seed) of each chunk."""
        count = math.ceil(self.samples / self.batch)
        return [
            (length, self.seed + 1000 * place + part) for place, length in enumerate(LENGTHS) for part in range(count)
        ]


def recipe_of(row: str, residues: int, seed: int, settings: Settings) -> Recipe:
    """The recipe of a chunk."""
    models, operator = KINDS[row]
    return Recipe(
        domain="proteins",
        experts=[Expert(model=model) for model in models],
        operator=operator,
        levels=Levels(steps=settings.steps),
        solver="ancestral",
        noise_scale=OWN_NOISE.get(row, settings.noise_scale),
        batch=min(settings.batch, settings.samples),
        seed=seed,
        device="cpu",
        dtype="bfloat16",
        residues=residues,
    )


def chunk_file(row: str, residues: int, seed: int, settings: Settings) -> Path:
    """Where a chunk is kept."""
    return chunks.chunk_file(CACHE, _weights(row), recipe_of(row, residues, seed, settings))


def models_of(row: str) -> tuple[str, ...]:
    """The models of a row; none of native chains."""
    return KINDS[row][0] if row in KINDS else ()


def _weights(row: str) -> list[Path]:
    return [find_folder(model) / "model.safetensors" for model in models_of(row)]


def _digests() -> dict[str, str]:
    """Of the weights of each row whose models are there."""
    there = {info.id for info in Proteins().models()}
    return {row: chunks.digests(_weights(row)) for row in ROWS if there.issuperset(models_of(row))}


def make_chunk(row: str, residues: int, seed: int, settings: Settings) -> None:
    """Sample a chunk and keep the arrays of `DecodedProteins`."""
    path = chunk_file(row, residues, seed, settings)
    chunks.keep(path, chunks.draw(recipe_of(row, residues, seed, settings), Proteins()))


def read_row(row: str, settings: Settings) -> list[dict[str, np.ndarray]] | None:
    """The arrays of each length's samples; None while chunks are missing."""
    found = []
    for length in LENGTHS:
        files = [chunk_file(row, length, seed, settings) for residues, seed in settings.parts if residues == length]
        arrays = chunks.join(files, settings.samples)
        if arrays is None:
            return None
        found.append(arrays)
    return found


def native_row(test: Chains, settings: Settings, kind: str = WHOLE, moved: float = 0.0) -> list[dict[str, np.ndarray]]:
    """Test chains in the place of samples: as many as there are, of each length within ALIKE residues.

    Args:
        test: the chains.
        settings: how many.
        kind: the model that would learn from chains like these; others are left out.
        moved: standard deviation by which every residue's coordinates are moved, Angstrom; its atoms stay together.
    """
    test = learned_by(kind, test)
    generator = np.random.default_rng(settings.seed)
    found = []
    for length in LENGTHS:
        near = np.nonzero(np.abs(test.residues - length) <= ALIKE)[0][: settings.samples]
        longest = int(test.residues[near].max(initial=1))
        atoms = torch.zeros(len(near), longest, 4, 3)
        for row, index in enumerate(near):
            backbone = test.backbone[test.rows(int(index))]
            shift = moved * generator.standard_normal((len(backbone), 1, 3), np.float32)
            atoms[row, : len(backbone)] = torch.from_numpy(backbone + shift)
        found.append(checked_proteins(atoms, test.residues[near].tolist()).arrays() | {"seconds": np.array(0.0)})
    return found


def evaluate(
    settings: Settings | None = None,
    rows: Sequence[str] | None = None,
    out: Path = Path("docs/tables/proteins.json"),
    progress: Callable[[str], None] = print,
    workers: int | None = None,
    fold: str | None = None,
    chains: Path | None = None,
) -> Table:
    """Make (or go on with) the table, and write it after every row; every finished row of these settings is in it, also
    those that `out` holds already.

    Args:
        settings: None for the default ones.
        rows: names as in ROWS; None for all.
        out: the JSON file.
        progress: takes one line at a time.
        workers: processes that sample chunks side by side; None for one a core.
        fold: a structure predictor's command, for `designable`.
        chains: structure_db.dat; None for where Debian puts it.

    Raises:
        ModelError: when an embedded model is missing or damaged.
        SuperDiffError: for a row that does not exist, or a package that is missing.
        FileNotFoundError: when the native chains are not there.
        OutputError: when a file cannot be written.
    """
    asked = chosen_rows(rows, ROWS)
    settings = Settings() if settings is None else settings
    _find_models(asked)
    training, test = load_chains(chains).globular().split()
    tm_score(test.backbone[test.rows(0), 1], test.backbone[test.rows(0), 1])  # a missing package is named now
    workers = (os.cpu_count() or 1) if workers is None else workers
    with start_pool(workers) as pool:
        for row in asked:
            if row not in NATIVE:
                # The longest first, so that no process waits long for another's last chunk.
                wanted = [(row, residues, seed, settings) for residues, seed in sorted(settings.parts, reverse=True)]
                make_missing(row, wanted, _is_there, make_chunk, pool, progress)
            if not row_file(row, settings, fold).is_file():
                progress(f"{row}: measuring")
                parts: Any = native_row(test, settings, *NATIVE[row]) if row in NATIVE else read_row(row, settings)
                seconds = sum(float(arrays["seconds"]) for arrays in parts) / workers
                count = sum(len(arrays["residues"]) for arrays in parts)
                values = measures_of(parts, training, fold, pool)
                found = Row(name=row, weights=_digests()[row], samples=count, seconds=round(seconds, 1), values=values)
                row_file(row, settings, fold).parent.mkdir(parents=True, exist_ok=True)
                write_whole(row_file(row, settings, fold), found.model_dump_json().encode())
            table = with_known_rows(_table(settings, fold, workers), out, _digests())
            write_table(table, out)
            said = ", ".join(f"{name} {value.value:.3f}" for name, value in table.row(row).values.items())
            progress(f"{row}: {said}")
    return table


def draw_sheets(
    folder: Path,
    settings: Settings | None = None,
    progress: Callable[[str], None] = print,
    workers: int | None = None,
) -> list[Path]:
    """Draw the first proteins of the rows SHEETS side by side, and sample those that are not there.

    Args:
        folder: where the pictures go, as proteins_ROW.png.
        settings: None for the default ones.
        progress: takes one line at a time.
        workers: processes that sample chunks side by side; None for one a core.

    Returns:
        The files written.

    Raises:
        ModelError: when an embedded model is missing or damaged.
        OutputError: when a file cannot be written.
    """
    settings = Settings() if settings is None else settings
    _find_models(SHEETS)
    written = []
    with start_pool((os.cpu_count() or 1) if workers is None else workers) as pool:
        for row in SHEETS:
            wanted = [(row, residues, seed, settings) for residues, seed in settings.parts if residues == SHEET_LENGTH]
            make_missing(f"picture of {row}", wanted, _is_there, make_chunk, pool, progress)
            joined = chunks.join([chunk_file(*chunk) for chunk in wanted], settings.samples)
            arrays = cast(dict[str, np.ndarray], joined)  # none is missing now
            buffer = io.BytesIO()
            grid(DecodedProteins.among(arrays), SHEET_SAMPLES).save(buffer, "PNG", optimize=True)
            folder.mkdir(parents=True, exist_ok=True)
            written.append(folder / f"proteins_{row}.png")
            write_whole(written[-1], buffer.getvalue())
    return written


def _find_models(rows: Sequence[str]) -> None:
    """Load the models of rows: a damaged one is reported here, in one sentence, and not by a worker."""
    for model in dict.fromkeys(model for row in rows for model in models_of(row)):
        find_model(model)


def _is_there(row: str, residues: int, seed: int, settings: Settings) -> bool:
    return chunk_file(row, residues, seed, settings).is_file()


def row_file(row: str, settings: Settings, fold: str | None) -> Path:
    """Where a row's figures are kept: decided by its samples, what measures them, and how many packages there are."""
    files = [] if row in NATIVE else [chunk_file(row, length, seed, settings).name for length, seed in settings.parts]
    key = json.dumps([row, files, asdict(settings), fold, mpnn.is_installed()])
    return CACHE / "proteins" / f"row_{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _table(settings: Settings, fold: str | None, workers: int) -> Table:
    kept = [row_file(row, settings, fold) for row in _digests()]
    lengths = ", ".join(str(length) for length in LENGTHS)
    folded = "" if fold is None else f" --fold {shlex.quote(fold)}"
    return Table(
        command=(
            f"superdiff evaluate proteins --samples {settings.samples} --steps {settings.steps} "
            f"--noise-scale {settings.noise_scale:g}{folded}"
        ),
        seeds=[seed for _, seed in settings.parts],
        steps=settings.steps,
        notes=(
            f"{settings.samples} samples of each of {lengths} residues; {settings.steps} ancestral steps with "
            f"{settings.noise_scale:g} times their noise and the trapezoidal Ito estimator, joint weights, bfloat16 "
            f"networks. The nearest training chain is looked for among {NEIGHBOURS} of lengths within {NEAR_LENGTH} "
            f"residues. Errors are standard errors over samples. The paper's figures are "
            "of FrameDiff and Proteus at 100 to 300 residues, for the pattern. No structure predictor is at hand, so "
            f"designability is left out. Seconds are wall clock with {workers} processes of one thread."
        ),
        rows=[Row.model_validate_json(path.read_bytes()) for path in kept if path.is_file()],
    )
