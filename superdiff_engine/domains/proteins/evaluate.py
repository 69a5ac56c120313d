r"""The paper's Table 3 at the scale of the embedded models: `superdiff evaluate proteins`.

Each row has samples of 60, 80, 100 and 120 residues, from the same noise in all rows but `native`, which are test
chains of the PDB near these lengths, `native_noisy`, the same with 1 Angstrom of noise on the residues' places (what
the score of a bad backbone is like), and `native_alpha` and `native_beta`, the test chains near these lengths of the
kind that each expert learns from. Of every row: `measures`.

With models of the user's own named, the rows are those of `paper`.

Steps have `NOISE_SCALE` times their noise, as FrameDiff's and other protein models' have; a row of full noise and one
of less are beside them.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch

from ...errors import SuperDiffError
from ...recipes.document import MOST_EXPERTS, Expert, Levels, Recipe
from ...recipes.operators import AndRecipe, AverageRecipe, OperatorRecipe, OrRecipe, SingleRecipe
from ...system.devices import fast_dtype, resolve_device
from ...system.files import write_whole
from ...system.options import option
from ...system.workplaces.workplace import Workplace
from ...tables import chunks
from ...tables.chunks import CACHE
from ...tables.evaluation import OF_NAMED_MODELS, Evaluation, RowMaker, RowParts, Say
from ...tables.markdown import Column, Layout
from ...tables.table import TABLES, Row, Table, Value, kept_row
from . import mpnn
from .arrays import DecodedProteins
from .catalogue import MODELS, find_model
from .checks import checked_proteins
from .data import Chains, load_chains
from .domain import ALPHA, BETA, NOISE_SCALE, WHOLE, Proteins
from .drawing import grid
from .folding import folding_command, kept_consistency
from .measures import NEAR_LENGTH, NEIGHBOURS, mean_of, measures_of, tm_score
from .paper import LENGTHS as LENGTHS_OF_PAPER
from .paper import Paper, PaperRows
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
IMAGES = Path("docs") / "images"
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
LAYOUTS = {"proteins": LAYOUT}


#: Numbers that are left open: of the embedded models' table, and of models that are named, as in the paper.
USUAL: dict[str, tuple[float, float]] = {
    "samples": (25, 50),
    "steps": (200, 500),
    "batch": (25, 25),
    "noise_scale": (NOISE_SCALE, 0.1),
}
#: A default that `Settings` replaces by one of USUAL.
_OPEN: Any = None


@dataclass(frozen=True)
class Settings:
    """What all rows share, how samples are folded, and whether pictures are drawn.

    Attributes:
        models: ids of models, separated by commas, whose rows are made in the place of the embedded models'.
        samples: of each length.
        steps: of the sampler.
        seed: of the first length; length k has `seed + 1000 k`.
        batch: proteins a chunk.
        noise_scale: of the steps' noise.
        folding: a structure predictor's command, for `designable`; None for no such column.
        sequences: that are folded for each backbone.
        lengths: numbers of residues, separated by commas, of models that are named.
        spacing: of their levels.
        references: a folder of known structures, for `novel`.
        search: a command that looks for the nearest known structure, for `novel`.
        device: that samples, of models that are named.
        sheet: whether the rows SHEETS are drawn in IMAGES too.
        dtype: what the embedded models' networks compute in: bfloat16 where that is fast, else float32.
    """

    models: str | None = field(
        default=None,
        metadata=option(
            "rows of these models, as in the paper's Table 3: ids with commas, local/framediff,local/x",
            elsewhere=OF_NAMED_MODELS,
        ),
    )
    samples: int = field(default=_OPEN, metadata=option("samples of each length in a row (25; with --models 50)", 2))
    steps: int = field(default=_OPEN, metadata=option("of the sampler (200; with --models 500)", least=1))
    seed: int = field(default=0, metadata=option("seed of the first batch", least=0))
    batch: int = field(default=_OPEN, metadata=option("samples at once (25)", least=1))
    noise_scale: float = field(
        default=_OPEN,
        metadata=option("of the steps' noise, 1 for all of it (0.7; with --models 0.1)", least=0.1, most=1),
    )
    folding: str | None = field(
        default=None,
        metadata=option("structure predictor: a command such as 'esm-fold -i {fasta} -o {out}' (a file, a folder)"),
    )
    sequences: int = field(default=8, metadata=option("sequences that are folded for each backbone", least=1))
    lengths: str | None = field(
        default=None, metadata=option("with --models: numbers of residues (left out: 100,150,200,250,300)")
    )
    spacing: str | None = field(
        default=None, metadata=option("with --models: of levels (left out: time where models have one)")
    )
    references: Path | None = field(
        default=None, metadata=option("with --models: a folder of known structures, PDB or mmCIF, for novelty")
    )
    search: str | None = field(
        default=None,
        metadata=option(
            "with --models: a command that finds the nearest known structures ({structures}, {out}, {tmp})"
        ),
    )
    device: str | None = field(default=None, metadata=option("with --models: auto, cpu, cuda or mps (left out: cpu)"))
    sheet: bool = field(
        default=False, metadata=option("also draw the README's pictures of the rows OR and AND in docs/images")
    )
    dtype: str = field(default_factory=fast_dtype)

    def __post_init__(self) -> None:
        for name, numbers in USUAL.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, numbers[self.models is not None])

    @property
    def paper(self) -> Paper | None:
        """What the rows of named models share; None where none are named.

        Raises:
            SuperDiffError: for models, lengths or a device that cannot be, or an option of named models without any.
        """
        if self.models is None:
            for name in ("lengths", "spacing", "references", "search", "device"):
                if getattr(self, name) is not None:
                    raise SuperDiffError(f"--{name} is for models that are named; give --models too, or leave it out.")
            return None
        if self.sheet:
            raise SuperDiffError("--sheet draws samples of the embedded models; leave it out with --models.")
        models = tuple(dict.fromkeys(word.strip() for word in self.models.split(",") if word.strip()))
        if not 1 <= len(models) <= MOST_EXPERTS:
            raise SuperDiffError(f"--models names 1 to {MOST_EXPERTS} models with commas between, not '{self.models}'.")
        words = ",".join(map(str, LENGTHS_OF_PAPER)) if self.lengths is None else self.lengths
        least, most = Proteins.size.least, Proteins.size.most
        try:
            lengths = tuple(dict.fromkeys(int(word) for word in words.split(",")))
            right = all(least <= length <= most for length in lengths)
        except ValueError:
            right = False
        if not right:
            raise SuperDiffError(
                f"--lengths has numbers of residues from {least} to {most} with commas between, not '{words}'."
            )
        known = get_args(Levels.model_fields["spacing"].annotation)
        if self.spacing not in (None, *known):
            raise SuperDiffError(f"--spacing is {', '.join(known[:-1])} or {known[-1]}, not '{self.spacing}'.")
        return Paper(
            models, lengths, self.samples, self.steps, self.seed, self.batch, self.noise_scale,
            self.spacing, resolve_device("cpu" if self.device is None else self.device), self.folding, self.sequences,
            self.references, self.search,
        )  # fmt: skip

    @property
    def of_samples(self) -> dict[str, float]:
        """The settings that decide what is sampled."""
        return {name: getattr(self, name) for name in ("samples", "steps", "seed", "batch", "noise_scale")}

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
        dtype=settings.dtype,
        residues=residues,
    )


def chunk_file(row: str, residues: int, seed: int, settings: Settings) -> Path:
    """Where a chunk is kept."""
    return chunks.chunk_file(CACHE, _weights(row), recipe_of(row, residues, seed, settings))


def models_of(row: str) -> tuple[str, ...]:
    """The models of a row; none of native chains."""
    return KINDS[row][0] if row in KINDS else ()


def _weights(row: str) -> list[Path]:
    return [MODELS.find_folder(model) / "model.safetensors" for model in models_of(row)]


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


def row_file(row: str, settings: Settings) -> Path:
    """Where a row's values are kept: decided by its samples, what measures them, and how many packages there are."""
    files = [] if row in NATIVE else [chunk_file(row, length, seed, settings).name for length, seed in settings.parts]
    key = json.dumps([row, files, settings.of_samples, settings.folding, mpnn.is_installed()])
    return CACHE / "proteins" / f"row_{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


class ProteinRows(RowMaker):
    """Makes the rows of the table of proteins."""

    says_errors = says_seconds = False

    def __init__(self, settings: Settings, out: Path, workers: int, chains: Path | None) -> None:
        self.settings, self.out, self.workers = settings, out, workers
        self.folding = None if settings.folding is None else folding_command(settings.folding)
        self.training, self.test = load_chains(chains).globular().split()
        first = self.test.backbone[self.test.rows(0), 1]
        tm_score(first, first)  # a missing package is named now

    def parts(self, row: str) -> list[RowParts]:
        if row in NATIVE:
            return []
        # The longest first, so that no process waits long for another's last chunk.
        order = sorted(self.settings.parts, reverse=True)
        return [
            RowParts(row, [(row, residues, seed, self.settings) for residues, seed in order], chunk_file, make_chunk)
        ]

    def measure(self, row: str, pool: Workplace, say: Say) -> None:
        kept_row(row_file(row, self.settings), partial(self._row, row, pool, say))

    def table(self, row: str) -> Table:
        settings = self.settings
        kept = [row_file(name, settings) for name in self.weights()]
        lengths = ", ".join(str(length) for length in LENGTHS)
        folded = "" if settings.folding is None else f" --folding {shlex.quote(settings.folding)}"
        return Table(
            command=(
                f"superdiff evaluate proteins --samples {settings.samples} --steps {settings.steps} "
                f"--noise-scale {settings.noise_scale:g}{folded}"
            ),
            seeds=[seed for _, seed in settings.parts],
            steps=settings.steps,
            notes=(
                f"{settings.samples} samples of each of {lengths} residues; {settings.steps} ancestral steps with "
                f"{settings.noise_scale:g} times their noise and the trapezoidal Ito estimator, joint weights, "
                f"{settings.dtype} networks. The nearest training chain is looked for among {NEIGHBOURS} of lengths "
                f"within {NEAR_LENGTH} residues. Errors are standard errors over samples. The paper's figures are "
                "of FrameDiff and Proteus at 100 to 300 residues, for the pattern. No structure predictor is at hand, "
                f"so designability is left out. Seconds are wall clock with {self.workers} processes of one thread."
            ),
            rows=[Row.model_validate_json(path.read_bytes()) for path in kept if path.is_file()],
        )

    def path(self, row: str) -> Path:
        return self.out

    def weights(self) -> dict[str, str]:
        """Of each row whose models are there."""
        there = {info.id for info in Proteins().models()}
        return {row: chunks.digests(_weights(row)) for row in ROWS if there.issuperset(models_of(row))}

    def finish(self, pool: Workplace, say: Say) -> list[Path]:
        if not self.settings.sheet:
            return []
        find_models(SHEETS)
        return draw_sheets(IMAGES, self.settings, pool, say)

    def _row(self, row: str, pool: Workplace, say: Say) -> Row:
        say(f"{row}: measuring")
        native = row in NATIVE
        parts: Any = native_row(self.test, self.settings, *NATIVE[row]) if native else read_row(row, self.settings)
        return Row(
            name=row,
            weights=chunks.digests(_weights(row)),
            samples=sum(len(arrays["residues"]) for arrays in parts),
            seconds=round(sum(float(arrays["seconds"]) for arrays in parts) / self.workers, 1),
            values=measures_of(parts, self.training, pool) | self._designable(row, parts),
        )

    def _designable(self, row: str, parts: Sequence[dict[str, np.ndarray]]) -> dict[str, Value]:
        """`designable`, kept beside the row; nothing without a structure predictor."""
        if self.folding is None:
            return {}
        decoded = [DecodedProteins.among(arrays) for arrays in parts]
        chains = [part.chain(place)[0] for part in decoded for place in range(len(part.residues))]
        folder = CACHE / "proteins" / "folding" / row_file(row, self.settings).stem
        found = kept_consistency(chains, self.folding, folder, self.settings.sequences)
        return {"designable": mean_of(np.array([one.designable for one in found]))}


class ProteinEvaluation(Evaluation[Settings]):
    """The table of proteins.

    Args:
        chains: structure_db.dat; None for where Debian puts it.
    """

    settings = Settings
    layouts = LAYOUTS
    rows = ROWS

    def __init__(self, chains: Path | None = None) -> None:
        self.chains = chains

    def rows_of(self, settings: Settings) -> Sequence[str]:
        paper = settings.paper
        return self.rows if paper is None else list(paper.kinds)

    def begin(self, settings: Settings, asked: Sequence[str], out: Path | None, workers: int) -> RowMaker:
        if (paper := settings.paper) is not None:
            return PaperRows(paper, TABLES / "proteins_models.json" if out is None else out, workers)
        find_models(asked)
        return ProteinRows(settings, TABLES / "proteins.json" if out is None else out, workers, self.chains)


#: What the registry of domains finds.
EVALUATION = ProteinEvaluation()


def draw_sheets(folder: Path, settings: Settings, pool: Workplace, say: Say = print) -> list[Path]:
    """Draw the first proteins of the rows SHEETS side by side, and sample those that are not there.

    Args:
        folder: where the pictures go, as proteins_ROW.png.
        settings: what all rows share.
        pool: where the work is done.
        say: takes one line at a time.

    Returns:
        The files written.

    Raises:
        OutputError: when a file cannot be written.
    """
    written = []
    for row in SHEETS:
        wanted = [(row, residues, seed, settings) for residues, seed in settings.parts if residues == SHEET_LENGTH]
        RowParts(f"picture of {row}", wanted, chunk_file, make_chunk).make_missing(pool, say)
        joined = chunks.join([chunk_file(*chunk) for chunk in wanted], settings.samples)
        arrays = cast(dict[str, np.ndarray], joined)  # none is missing now
        buffer = io.BytesIO()
        grid(DecodedProteins.among(arrays), SHEET_SAMPLES).save(buffer, "PNG", optimize=True)
        folder.mkdir(parents=True, exist_ok=True)
        written.append(folder / f"proteins_{row}.png")
        write_whole(written[-1], buffer.getvalue())
    return written


def find_models(rows: Sequence[str]) -> None:
    """Load the models of rows: a damaged one is reported here, in one sentence, and not by a worker."""
    for model in dict.fromkeys(model for row in rows for model in models_of(row)):
        find_model(model)
