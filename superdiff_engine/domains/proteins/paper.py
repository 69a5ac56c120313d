"""The rows of the paper's Table 3 of models that a user names: `superdiff evaluate proteins --models A,B`.

    alone_1, alone_2   each model by itself, in the order in which they are named
    average            equal weights
    or, or_bias_1      OR with l = 0, and with l = 1 for the last model named
    and                AND

Of every length there are as many samples, of the same noise in all rows. Measured of each row, by what is named:

    designable         share of backbones with scRMSD < 2 Angstrom (`folding`): with --folding
    sc_rmsd, sc_tm     the means over backbones of their best scRMSD in Angstrom, and of their best scTM
    novel              share of backbones that are designable and have TM-score < 0.5 to the nearest known structure
                       (`nearest`): with --references or --search as well. The paper's shares are of all 250 backbones:
                       they are multiples of 1/250, and not of one over the number of designable ones
    novel_designable   the same, of the designable ones
    nearest_tm         mean TM-score to the nearest known structure, of the designable ones; without --folding of all
    strand, helix      shares of residues (PyDSSP)
    pairwise_tm        mean TM-score of pairs of one length
    clusters           clusters at TM-score 0.5 a sample
    bonds_ok           share of successive CA that are 3.8 +- 0.2 Angstrom apart
"""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...recipes.document import SPACINGS, Expert, Levels, Recipe
from ...recipes.operators import AndRecipe, AverageRecipe, OperatorRecipe, OrRecipe, SingleRecipe
from ...system.files import write_whole
from ...system.workplaces.workplace import Workplace
from ...tables import chunks
from ...tables.chunks import CACHE
from ...tables.evaluation import RowMaker, RowParts, Say
from ...tables.markdown import Column, Layout, markdown_table
from ...tables.table import Row, Table, Value, kept_row, read_table
from ...walk import levels_of
from .arrays import DecodedProteins
from .catalogue import folder_of, noising_of
from .domain import Proteins
from .folding import Consistency, folding_command, kept_consistency
from .measures import diversity_of, mean_of, tm_score
from .nearest import NOVEL, nearest_of, reference_files, search_command
from .se3.schedules import COMPOSED_TO

#: The paper's lengths.
LENGTHS = (100, 150, 200, 250, 300)
COLUMNS = [
    Column("designable", "designable", digits=1, percent=True),
    Column("novel", "designable and novel", digits=1, percent=True),
    Column("novel_designable", "novel among designable", digits=1, percent=True),
    Column("strand", "strand", digits=1, percent=True),
    Column("pairwise_tm", "pairwise TM", digits=3),
    Column("clusters", "clusters a sample"),
    Column("sc_rmsd", "scRMSD, Å"),
    Column("sc_tm", "scTM", digits=3),
    Column("nearest_tm", "nearest TM", digits=3),
    Column("helix", "helix", digits=1, percent=True),
    Column("bonds_ok", "CA-CA 3.8 ± 0.2 Å", digits=1, percent=True),
]
PAPER_COLUMNS = ["paper: designable", "paper: novel", "paper: strand", "paper: pairwise TM"]
#: FrameDiff and Proteus, in this order (arXiv 2412.17762, Table 3).
PAPER = {
    "alone_1": [".392 (FrameDiff)", ".152", ".175", ".337"],
    "alone_2": [".928 (Proteus)", ".360", ".119", ".312"],
    "average": [".740", ".360", ".139", ".310"],
    "or": [".752", ".276", ".147", ".309"],
    "or_bias_1": [".976", ".396", ".127", ".307"],
    "and": [".752", ".296", ".141", ".306"],
}


@dataclass(frozen=True)
class Paper:
    """What all rows share.

    Attributes:
        models: their ids, in the order of their rows.
        lengths: numbers of residues.
        samples: of each length.
        steps: of the sampler.
        seed: of the first length; length k has `seed + 1000 k`.
        batch: proteins a chunk.
        noise_scale: of the steps' noise.
        spacing: of the levels; None for "time" down to t = 0.002, as in the paper, where the models have a time, else
            "karras".
        device: that samples.
        folding: a structure predictor's command; None for no figures of it.
        sequences: that are folded for each backbone.
        references: a folder of known structures; None for none.
        search: a command that looks for the nearest; None for none.
    """

    models: tuple[str, ...]
    lengths: tuple[int, ...]
    samples: int
    steps: int
    seed: int
    batch: int
    noise_scale: float
    spacing: str | None = None
    device: str = "cpu"
    folding: str | None = None
    sequences: int = 8
    references: Path | None = None
    search: str | None = None

    @property
    def kinds(self) -> dict[str, tuple[tuple[str, ...], OperatorRecipe]]:
        """Experts and operator of each row, by its name."""
        alone = {f"alone_{place}": ((model,), SingleRecipe()) for place, model in enumerate(self.models, start=1)}
        if len(self.models) == 1:
            return {**alone}
        last = [0.0] * (len(self.models) - 1) + [1.0]
        return {
            **alone,
            "average": (self.models, AverageRecipe()),
            "or": (self.models, OrRecipe()),
            "or_bias_1": (self.models, OrRecipe(bias=last)),
            "and": (self.models, AndRecipe()),
        }

    @property
    def parts(self) -> list[tuple[int, int]]:
        """(residues, seed) of each chunk."""
        count = math.ceil(self.samples / self.batch)
        return [
            (length, self.seed + 1000 * place + part)
            for place, length in enumerate(self.lengths)
            for part in range(count)
        ]

    @property
    def levels(self) -> Levels:
        """The grid of levels."""
        schedule = noising_of(self.models[0]).schedule
        if schedule is None or self.spacing not in (None, "time"):
            return Levels.model_validate({"steps": self.steps, "spacing": self.spacing or "karras"})
        lowest = float(schedule.level(torch.tensor(COMPOSED_TO, dtype=torch.float64)))
        return Levels(steps=self.steps, spacing="time", lowest=float(f"{lowest:.5g}"))

    @property
    def command(self) -> str:
        """The command line."""
        words = [
            "superdiff", "evaluate", "proteins", "--models", ",".join(self.models),
            "--lengths", ",".join(str(length) for length in self.lengths), "--samples", str(self.samples),
            "--steps", str(self.steps), "--noise-scale", f"{self.noise_scale:g}",
        ]  # fmt: skip
        if self.spacing is not None:
            words += ["--spacing", self.spacing]
        if self.folding is not None:
            words += ["--folding", self.folding, "--sequences", str(self.sequences)]
        if self.references is not None:
            words += ["--references", str(self.references)]
        if self.search is not None:
            words += ["--search", self.search]
        return shlex.join(words)

    @property
    def layout(self) -> Layout:
        """How the table is shown, with the paper's figures where two models are named."""
        titles = {f"alone_{place}": f"{model} alone" for place, model in enumerate(self.models, start=1)}
        last = self.models[-1]
        titles |= {"average": "average", "or": "**OR**", "or_bias_1": f"**OR**, l = 1 for {last}", "and": "**AND**"}
        paper = PAPER if len(self.models) == 2 else {}
        return Layout(COLUMNS, titles, PAPER_COLUMNS, paper)


def recipe_of(row: str, residues: int, seed: int, paper: Paper) -> Recipe:
    """The recipe of a chunk: Euler-Maruyama, weights apart for translations and rotations, as the paper has it."""
    models, operator = paper.kinds[row]
    return Recipe(
        domain="proteins",
        experts=[Expert(model=model) for model in models],
        operator=operator,
        levels=paper.levels,
        solver="euler",
        noise_scale=paper.noise_scale,
        batch=min(paper.batch, paper.samples),
        seed=seed,
        device="cuda" if paper.device == "cuda" else "cpu",
        residues=residues,
        per_component=len(models) > 1,
    )


def chunk_file(row: str, residues: int, seed: int, paper: Paper) -> Path:
    """Where a chunk is kept."""
    return chunks.chunk_file(CACHE, _weights(row, paper), recipe_of(row, residues, seed, paper))


def make_chunk(row: str, residues: int, seed: int, paper: Paper) -> None:
    """Sample a chunk and keep the arrays of `DecodedProteins`."""
    path, recipe = chunk_file(row, residues, seed, paper), recipe_of(row, residues, seed, paper)
    chunks.keep(path, chunks.draw(recipe, Proteins(), device=paper.device))


def _weights(row: str, paper: Paper) -> list[Path]:
    return [folder_of(model) / "model.safetensors" for model in paper.kinds[row][0]]


def read_row(row: str, paper: Paper) -> list[dict[str, np.ndarray]] | None:
    """The arrays of each length's samples; None while chunks are missing."""
    found = []
    for length in paper.lengths:
        files = [chunk_file(row, length, seed, paper) for residues, seed in paper.parts if residues == length]
        arrays = chunks.join(files, paper.samples)
        if arrays is None:
            return None
        found.append(arrays)
    return found


def novelty_of(nearest: Sequence[float], designable: Sequence[bool] | None) -> dict[str, Value]:
    """`nearest_tm`, and `novel` and `novel_designable` where it is known what is designable.

    Args:
        nearest: TM-score to the nearest known structure: of each designable backbone, or of all of them.
        designable: of all backbones; None where it is not known.
    """
    found = {"nearest_tm": mean_of(np.array(nearest))} if len(nearest) else {}
    if designable is not None:
        near = np.array(nearest) < NOVEL
        novel = np.zeros(len(designable), bool)
        novel[np.flatnonzero(np.array(designable))] = near
        found["novel"] = mean_of(novel)
        if len(near):
            found["novel_designable"] = mean_of(near)
    return found


class PaperRows(RowMaker):
    """Makes the rows of the models' table.

    Raises:
        ModelError: when a model is missing or damaged.
        RecipeError: when the models cannot be walked together, or not on these levels.
        SuperDiffError: for a command or folder that cannot be, or without the package tmtools.
    """

    says_seconds = True

    def __init__(self, paper: Paper, out: Path, workers: int) -> None:
        self.paper, self.out, self.workers = paper, out, workers
        self.folding = None if paper.folding is None else folding_command(paper.folding)
        self.search = None if paper.search is None else search_command(paper.search)
        self.known = [] if paper.references is None else reference_files(paper.references)
        domain, whole = Proteins(), recipe_of(list(paper.kinds)[-1], min(paper.lengths), paper.seed, paper)
        domain.check(whole)
        levels_of(whole, domain, domain.prepare(whole, paper.device).experts)  # damaged models are reported now
        rod = np.arange(30.0).reshape(10, 3)
        tm_score(rod, rod)  # a missing package is named now

    def parts(self, row: str) -> list[RowParts]:
        # The longest first, so that no process waits long for another's last chunk.
        wanted = [(row, residues, seed, self.paper) for residues, seed in sorted(self.paper.parts, reverse=True)]
        return [RowParts(row, wanted, chunk_file, make_chunk, device=self.paper.device)]

    def measure(self, row: str, pool: Workplace, say: Say) -> None:
        kept_row(self._row_file(row), partial(self._row, row, pool, say))

    def table(self, row: str) -> Table:
        paper = self.paper
        kept = [self._row_file(name) for name in paper.kinds]
        lengths = ", ".join(str(length) for length in paper.lengths)
        folded = f"the best of {paper.sequences} sequences of ProteinMPNN a backbone; " if self.folding else ""
        return Table(
            command=paper.command,
            seeds=[seed for _, seed in paper.parts],
            steps=paper.steps,
            notes=(
                f"{paper.samples} samples of each of {lengths} residues, the same noise in all rows; {paper.steps} "
                f"steps, {self._spaced}, of Euler-Maruyama with {paper.noise_scale:g} times their noise and the "
                "trapezoidal Ito estimator, weights apart for translations and rotations; "
                f"{folded}errors are standard errors over "
                "samples. The paper's figures are of FrameDiff and Proteus, in this order."
            ),
            rows=[Row.model_validate_json(path.read_bytes()) for path in kept if path.is_file()],
        )

    @property
    def _spaced(self) -> str:
        levels = self.paper.levels
        return f"{SPACINGS[levels.spacing]}" + ("" if levels.lowest is None else f" to s = {levels.lowest:g}")

    def path(self, row: str) -> Path:
        return self.out

    def finish(self, pool: Workplace, say: Say) -> list[Path]:
        """The table in Markdown beside its JSON."""
        page = self.out.with_suffix(".md")
        write_whole(page, (markdown_table(read_table(self.out), self.paper.layout) + "\n").encode())
        return [page]

    def _row(self, row: str, pool: Workplace, say: Say) -> Row:
        paper, parts = self.paper, read_row(row, self.paper)
        assert parts is not None  # all of them were made before
        decoded = [DecodedProteins.among(arrays) for arrays in parts]
        groups = [[part.chain(place)[0] for place in range(len(part.residues))] for part in decoded]
        chains = [chain for group in groups for chain in group]
        values = {
            name: mean_of(np.concatenate([getattr(part, name) for part in decoded]))
            for name in ("strand", "helix", "bonds_ok")
        }
        say(f"{row}: comparing {len(chains)} backbones with each other")
        values |= diversity_of([[chain[:, 1] for chain in group] for group in groups], pool)
        agreements = self._folded(row, groups, say)
        designable = None
        if agreements is not None:
            designable = [one.designable for one in agreements]
            values["designable"] = mean_of(np.array(designable))
            values["sc_rmsd"] = mean_of(np.array([one.rmsd for one in agreements]))
            values["sc_tm"] = mean_of(np.array([one.tm for one in agreements]))
        if self.search is not None or paper.references is not None:
            asked = chains if designable is None else [chains[place] for place in np.flatnonzero(designable)]
            say(f"{row}: looking for the nearest known structures of {len(asked)} backbones")
            nearest = nearest_of(asked, self.search, paper.references, pool)
            values |= novelty_of(nearest, designable)
        return Row(
            name=row,
            weights=chunks.digests(_weights(row, paper)),
            samples=len(chains),
            seconds=round(sum(float(arrays["seconds"]) for arrays in parts) / self.workers, 1),
            values=values,
        )

    def _folded(self, row: str, groups: Sequence[Sequence[np.ndarray]], say: Say) -> list[Consistency] | None:
        """How well each backbone agrees with its folds; None without a structure predictor. Kept length by length."""
        if self.folding is None:
            return None
        paper, found = self.paper, list[Consistency]()
        for length, group in zip(paper.lengths, groups, strict=True):
            say(f"{row}: folding {paper.sequences} sequences for each of {len(group)} backbones of {length} residues")
            files = [chunk_file(row, size, seed, paper).name for size, seed in paper.parts if size == length]
            folder = CACHE / "proteins" / "folding" / _key(files, paper.samples, paper.folding, paper.sequences)
            found += kept_consistency(group, self.folding, folder, paper.sequences, paper.seed)
        return found

    def _row_file(self, row: str) -> Path:
        """Where a row's values are kept: decided by its samples and what measures them."""
        paper = self.paper
        files = [chunk_file(row, length, seed, paper).name for length, seed in paper.parts]
        known = [(str(path), path.stat().st_size) for path in self.known]
        key = _key(files, paper.samples, paper.folding, paper.sequences, known, paper.search)
        return CACHE / "proteins" / f"row_{key}.json"


def _key(*what: object) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
