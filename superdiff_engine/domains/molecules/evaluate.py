r"""The paper's Table 4 for molecules: `superdiff evaluate molecules`.

Each pair of properties that conflict mildly is asked for from the same noise and sizes by each prompt alone, both in
one prompt (joint), average, AND, OR, coin flip. Each prompt gets the same guidance: average and AND, whose weights add
up to one, run with twice of it, and in the rows `..._half` without that. What is measured of the molecules: `measures`.

The row `unconditional`, and `qm9` of test molecules, add EDM's stability (Hoogeboom et al. 2022, arXiv 2203.17003).
The rows `networks/...` are of the two networks that learned from disjoint parts of QM9, each alone and composed;
ringed is the share of the valid ones that have a ring. The rows `density/...` say how well the estimated log-density
tells test molecules from the same with displaced atoms: ROC AUC of all against all, and how often a molecule is above
its own displaced copy.

Chunks are kept in ~/.cache/superdiff/evaluation by a hash of all that decides them.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from ...likelihood import estimate_log_density
from ...noise import karras_levels
from ...recipes.document import Expert, GuidanceRecipe, Levels, Recipe
from ...recipes.operators import AndRecipe, AverageRecipe, OperatorRecipe, OrRecipe, SingleRecipe
from ...system.options import option
from ...system.workplaces.workplace import Workplace
from ...tables import chunks
from ...tables.chunks import CACHE, coin_flips
from ...tables.evaluation import Evaluation, RowMaker, RowParts, Say
from ...tables.markdown import Column, Layout
from ...tables.table import TABLES, Row, Table, Value, kept_row
from . import logic
from .arrays import DecodedMolecules, Structures
from .checks import checked_molecules
from .domain import CHAINS, ESTIMATION_LEVEL, MODELS, RINGS, WHOLE, Molecules, find_model, words_of
from .files import ReadMolecules
from .measures import area_under_curve, measures_of, share, strains
from .properties import Term
from .reference import Reference, load_reference

#: Properties that are seldom found together in QM9, by the name of their rows.
PAIRS: dict[str, tuple[str, str]] = {
    "logp_tpsa": ("high logP", "high TPSA"),
    "tpsa_fsp3": ("high TPSA", "high fraction sp3"),
    "qed_tpsa": ("high QED", "low TPSA"),
}
METHODS = ("first", "second", "joint", "average", "and", "average_half", "and_half", "or", "coin_flip")
OPERATORS: dict[str, OperatorRecipe] = {"average": AverageRecipe(), "and": AndRecipe(), "or": OrRecipe()}
#: Their weights add up to one over both prompts: twice the guidance gives each prompt what it has alone.
SHARED = ("average", "and")
#: Angstrom by which every coordinate is displaced, normally distributed, in the rows of densities.
DISPLACED = {"density/displaced_0_05": 0.05, "density/displaced_0_1": 0.1}
#: Rows without a prompt: the models, and what composes them.
NETWORKS: dict[str, tuple[tuple[str, ...], OperatorRecipe]] = {
    "unconditional": ((WHOLE,), SingleRecipe()),
    "networks/rings": ((RINGS,), SingleRecipe()),
    "networks/chains": ((CHAINS,), SingleRecipe()),
    "networks/or": ((RINGS, CHAINS), OrRecipe()),
}
#: The row of QM9's test molecules, in the place of samples.
NATIVE = "qm9"
ROWS = (*NETWORKS, NATIVE, *(f"{pair}/{method}" for pair in PAIRS for method in METHODS), *DISPLACED)
LAYOUT = Layout(
    columns=[
        Column("both", "both satisfied", digits=1, percent=True),
        Column("neither", "neither", digits=1, percent=True),
        Column("minimum", "lower of the two"),
        Column("minimum_top10", "its ten best"),
        Column("valid", "valid", digits=1, percent=True),
        Column("unique", "unique", digits=1, percent=True),
        Column("novel", "novel", digits=1, percent=True),
        Column("diversity", "diversity"),
        Column("strain", "strain, kcal/mol", digits=1),
        Column("moved", "relaxation, Å RMSD"),
        Column("gap", "log-density gap, nats"),
        Column("apart", "densities tell which, ROC AUC"),
        Column("level", "small gap tells both, ROC AUC"),
        Column("atom_stable", "atoms stable", digits=1, percent=True),
        Column("molecule_stable", "molecules stable", digits=1, percent=True),
        Column("ringed", "with a ring", digits=1, percent=True),
        Column("auc", "ROC AUC", digits=3),
        Column("paired", "above its displaced copy", digits=1, percent=True),
    ],
    row_titles={
        f"{pair}/{method}": f"{first}, {second}: {title}"
        for pair, (first, second) in PAIRS.items()
        for method, title in {
            "first": "the first alone",
            "second": "the second alone",
            "joint": "joint",
            "average": "average",
            "and": "**AND**",
            "average_half": "average, half the guidance",
            "and_half": "**AND**, half the guidance",
            "or": "**OR**",
            "coin_flip": "coin flip",
        }.items()
    }
    | {
        "unconditional": "no prompt",
        "networks/rings": "no prompt, the network of rings",
        "networks/chains": "no prompt, the network of chains",
        "networks/or": "no prompt, rings **OR** chains",
        NATIVE: "test molecules of QM9",
    }
    | {name: f"log-density, displaced by {amount:g} Angstrom" for name, amount in DISPLACED.items()},
    paper_columns=["paper, LDMol, other properties: ten best"],
    paper={
        f"{pair}/{method}": [f"{figure:.3f} ({properties})"]
        for pair, properties, figures in (
            ("logp_tpsa", "GSK3b, QED", {"joint": 0.273, "average": 0.269, "and": 0.273}),
            ("tpsa_fsp3", "GSK3b, JNK3", {"joint": 0.186, "average": 0.199, "and": 0.209}),
        )
        for method, figure in figures.items()
    },
)
#: The README's tables, all of one JSON file.
LAYOUTS = {
    name: replace(LAYOUT, source="molecules", rows=rows)
    for name, rows in {
        "molecules": (*NETWORKS, NATIVE),
        "molecules_pairs": tuple(f"{pair}/{method}" for pair in PAIRS for method in METHODS),
        "molecules_densities": tuple(DISPLACED),
    }.items()
} | logic.LAYOUTS


@dataclass(frozen=True)
class Settings:
    """What all rows share.

    Attributes:
        samples: molecules a row; twice as many in the row `unconditional`, half as many in those of densities.
        steps: of the sampler.
        guidance: weight w of classifier-free guidance that each prompt gets, where it asks for something: average and
            AND, whose weights share it out, run with 2 w, and with w in the rows `..._half`.
        seed: of the first chunk.
        batch: molecules a chunk.
    """

    samples: int = field(default=500, metadata=option("samples a row", least=2))
    steps: int = field(default=100, metadata=option("of the sampler", least=1))
    guidance: float = field(default=4.0, metadata=option("weight of guidance, 1 for none", least=0, most=100))
    seed: int = field(default=0, metadata=option("seed of the first batch", least=0))
    batch: int = field(default=50, metadata=option("samples at once", least=1))

    def samples_of(self, row: str) -> int:
        """How many molecules a row has."""
        if row in DISPLACED:
            return max(1, self.samples // 2)
        return 2 * self.samples if row == "unconditional" else self.samples

    def chunks(self, row: str) -> range:
        """The chunks of a row."""
        return range(math.ceil(self.samples_of(row) / self.batch))


def recipe_of(row: str, chunk: int, settings: Settings) -> Recipe:
    """The recipe of a chunk of a row (not a coin flip's, which is picked from two others)."""
    if row in logic.METHODS:
        return logic.recipe_of(row, settings.steps, settings.batch, settings.seed + chunk)
    if row in NETWORKS:
        models, operator = NETWORKS[row]
        prompts = [""] * len(models)
    else:
        pair, _, method = row.partition("/")
        first, second = PAIRS[pair]
        prompts = {"first": [first], "second": [second], "joint": [f"{first}, {second}"]}.get(method, [first, second])
        models, operator = (WHOLE,) * len(prompts), OPERATORS.get(method.removesuffix("_half"), SingleRecipe())
    weight = settings.guidance * (2 if row.partition("/")[2] in SHARED else 1)
    return Recipe(
        domain="molecules",
        experts=[Expert(model=model, prompt=prompt) for model, prompt in zip(models, prompts, strict=True)],
        operator=operator,
        levels=Levels(steps=settings.steps),
        solver="euler",
        batch=settings.batch,
        seed=settings.seed + chunk,
        device="cpu",
        guidance=GuidanceRecipe(weight=weight) if any(prompts) and weight != 1 else None,
    )


def chunk_file(row: str, chunk: int, settings: Settings) -> Path:
    """Where a chunk is kept."""
    # Rows of formulas keep other arrays, of a recipe that another row may have too.
    cache = CACHE / "logic" if row in logic.METHODS else CACHE
    return chunks.chunk_file(cache, _weights(row), recipe_of(row, chunk, settings))


def make_chunk(row: str, chunk: int, settings: Settings) -> None:
    """Sample a chunk and keep it: the arrays of `DecodedMolecules` and of `strains`, seconds, and
    log_density [batch, 2] of two prompts; or what `logic.draw` gives.
    """
    recipe = recipe_of(row, chunk, settings)
    if row in logic.METHODS:
        chunks.keep(chunk_file(row, chunk, settings), logic.draw(recipe))
        return
    arrays = chunks.draw(recipe, Molecules(), densities=len(recipe.experts) > 1)
    chunks.keep(chunk_file(row, chunk, settings), arrays | strains(DecodedMolecules.among(arrays)))


def models_of(row: str) -> tuple[str, ...]:
    """The models of a row; none of QM9's own molecules."""
    if row == NATIVE:
        return ()
    return NETWORKS[row][0] if row in NETWORKS else (WHOLE,)


def _weights(row: str) -> list[Path]:
    return [MODELS.find_folder(model) / "model.safetensors" for model in models_of(row)]


def read_row(row: str, settings: Settings) -> dict[str, np.ndarray] | None:
    """All arrays of a row's chunks together; None while chunks are missing."""
    pair, _, method = row.partition("/")
    if method == "coin_flip":
        first, second = (read_row(f"{pair}/{side}", settings) for side in ("first", "second"))
        if first is None or second is None:
            return None
        heads = np.concatenate([coin_flips(settings.batch, settings.seed + chunk) for chunk in settings.chunks(row)])
        return chunks.pick(heads[: settings.samples], first, second)
    files = [chunk_file(row, chunk, settings) for chunk in settings.chunks(row)]
    # Groups of particles are not cut.
    most = len(files) * logic.whole_groups(settings.batch) if row in logic.METHODS else settings.samples_of(row)
    return chunks.join(files, most)


def terms_of(row: str) -> list[Term]:
    """What a row's two prompts ask for; nothing in rows without prompts."""
    pair = PAIRS.get(row.partition("/")[0])
    return [] if pair is None else [words_of(WHOLE).parse(prompt)[0] for prompt in pair]


def native_row(reference: Reference, settings: Settings) -> dict[str, np.ndarray]:
    """Test molecules of QM9 in the place of samples, as many as a row has, or as the reference holds."""
    names = ("elements", "positions", "bonds", "atoms")
    parts = [getattr(reference, name)[: settings.samples] for name in names]
    molecules = checked_molecules(Structures(*parts))
    return molecules.arrays() | strains(molecules) | {"seconds": np.array(0.0)}


def density_values(amount: float, reference: Reference, molecules: int, seed: int = 0) -> dict[str, Value]:
    """How well the log-density without a prompt tells test molecules from the same with displaced atoms.

    Args:
        amount: standard deviation of the displacement of every coordinate, Angstrom.
        reference: with the test molecules.
        molecules: how many of them.
        seed: of displacements and noise.

    Returns:
        auc: ROC AUC over all of them; paired: the share whose own log-density is above that of its displaced copy.
    """
    generator = np.random.default_rng(seed)
    rows = slice(0, molecules)
    atoms = reference.atoms[rows]
    there = (np.arange(reference.positions.shape[1]) < atoms[:, None])[:, :, None]
    moved = reference.positions[rows] + there * generator.normal(0, amount, reference.positions[rows].shape)
    moved = (moved - there * (moved * there).sum(1, keepdims=True) / atoms[:, None, None]).astype(np.float32)
    domain, recipe = Molecules(), Recipe(domain="molecules", experts=[Expert(model=WHOLE, prompt="")])
    scores = []
    for positions in (reference.positions[rows], moved):
        given = ReadMolecules(reference.elements[rows], positions, reference.bonds[rows], atoms, None)
        experts, points, lowest = domain.place(recipe, given, "cpu")
        levels = karras_levels(100, domain.level_range(experts)[1], lowest)
        found = estimate_log_density(experts, points, levels, 1, seed, domain.space(experts))
        # Log-densities of molecules of different sizes do not compare: the same number of coordinates is the unit.
        scores.append(found.mean[0].numpy() / (3 * (atoms.astype(float) - 1)))
    return {"auc": area_under_curve(scores[0], scores[1]), "paired": share(scores[0] > scores[1])}


class MoleculeRows(RowMaker):
    """Makes the rows of the table of molecules."""

    says_errors = False

    def __init__(self, settings: Settings, out: Path, workers: int) -> None:
        self.settings, self.out, self.workers = settings, out, workers
        self.reference = load_reference(MODELS.find_folder(WHOLE))
        #: Rows that are whole, which do not change any more.
        self.made: dict[str, Row] = {}

    def parts(self, row: str) -> list[RowParts]:
        if row in DISPLACED or row == NATIVE:
            return []
        pair, _, method = row.partition("/")
        made_of = [f"{pair}/first", f"{pair}/second"] if method == "coin_flip" else [row]
        wanted = [(part, chunk, self.settings) for part in made_of for chunk in self.settings.chunks(row)]
        return [RowParts(row, wanted, chunk_file, make_chunk)]

    def measure(self, row: str, pool: Workplace, say: Say) -> None:
        if row in DISPLACED:
            self.made[row] = kept_row(_density_file(row, self.settings), partial(self._density_row, row))

    def table(self, row: str) -> Table:
        for name, weights in self.weights().items():
            if name not in self.made and (found := self._row(name, weights)) is not None:
                self.made[name] = found
        settings = self.settings
        if row in logic.METHODS:
            return self._logic_table()
        return Table(
            command=(
                f"superdiff evaluate molecules --samples {settings.samples} --steps {settings.steps} "
                f"--guidance {settings.guidance:g}"
            ),
            seeds=[settings.seed + chunk for chunk in settings.chunks(ROWS[0])],
            steps=settings.steps,
            notes=(
                f"{settings.samples} molecules a row, twice as many in the first, half as many in those of densities. "
                f"{settings.steps} steps of Euler-Maruyama with the trapezoidal Ito estimator, sizes as in QM9, the "
                f"same noise and sizes in all rows; guidance {settings.guidance:g} where a prompt asks for something, "
                f"and {2 * settings.guidance:g} for average and AND, whose weights share it between two prompts. "
                "Properties by RDKit. Errors: binomial, of the mean, or bootstrap (ten best, strain, RMSD); ROC AUC: "
                f"Hanley and McNeil. Seconds are wall clock with {self.workers} processes of one thread."
            ),
            rows=[self.made[name] for name in ROWS if name in self.made],
        )

    def _logic_table(self) -> Table:
        settings = self.settings
        rows = [self.made[name] for name in logic.ROWS if name in self.made]
        return Table(
            command=(
                f"superdiff evaluate molecules --samples {settings.samples} --steps {settings.steps}"
                + "".join(f" --row {name}" for name in logic.ROWS)
            ),
            seeds=[settings.seed + chunk for chunk in settings.chunks("not/negative")],
            steps=settings.steps,
            notes=(
                f"{settings.samples} molecules a row, {settings.steps} steps of "
                "Euler-Maruyama, the same noise in all rows; sizes as in QM9, one a group where a row is corrected. "
                f"Properties by RDKit. A corrected sample is a group of {logic.PARTICLES} particles, by their "
                "weights; its effective size is the mean over the levels. Errors are those of the mean over "
                f"independent samples. Seconds are wall clock with {self.workers} processes of one thread."
            ),
            rows=rows,
        )

    def path(self, row: str) -> Path:
        return self.out.with_stem(f"{self.out.stem}_logic") if row in logic.METHODS else self.out

    def weights(self) -> dict[str, str]:
        """Of each row whose models are there."""
        there = {info.id for info in Molecules().models()}
        rows = (*ROWS, *logic.ROWS)
        return {row: chunks.digests(_weights(row)) for row in rows if there.issuperset(models_of(row))}

    def _row(self, name: str, weights: str) -> Row | None:
        """A row of what is kept; None while some of it is missing."""
        if name in DISPLACED:
            path = _density_file(name, self.settings)
            return Row.model_validate_json(path.read_bytes()) if path.is_file() else None
        if name in logic.METHODS:
            kept = read_row(name, self.settings)
            terms, workers = logic.terms_of(name), self.workers
            return None if kept is None else logic.row_of(name, kept, self.reference, terms, weights, workers)
        arrays = native_row(self.reference, self.settings) if name == NATIVE else read_row(name, self.settings)
        if arrays is None:
            return None
        return Row(
            name=name,
            weights=weights,
            samples=len(arrays["atoms"]),
            seconds=round(float(arrays["seconds"]) / self.workers, 1),
            values=measures_of(arrays, self.reference, terms_of(name)),
        )

    def _density_row(self, row: str) -> Row:
        started, count = time.monotonic(), min(self.settings.samples_of(row), len(self.reference.atoms))
        found = density_values(DISPLACED[row], self.reference, count, self.settings.seed)
        seconds = round(time.monotonic() - started, 1)
        return Row(name=row, weights=chunks.digests(_weights(row)), samples=count, seconds=seconds, values=found)


class MoleculeEvaluation(Evaluation[Settings]):
    """The table of molecules, and beside it, with "_logic" in its name, that of NOT and of the exact AND."""

    settings = Settings
    layouts = LAYOUTS
    rows = (*ROWS, *logic.ROWS)

    def begin(self, settings: Settings, asked: Sequence[str], out: Path | None, workers: int) -> MoleculeRows:
        for model in dict.fromkeys(model for row in asked for model in models_of(row)):
            find_model(model)  # a damaged model is reported here, in one sentence, and not by a worker
        return MoleculeRows(settings, TABLES / "molecules.json" if out is None else out, workers)


#: What the registry of domains finds.
EVALUATION = MoleculeEvaluation()


def _density_file(row: str, settings: Settings) -> Path:
    key = json.dumps([row, "paired", ESTIMATION_LEVEL, asdict(settings), chunks.digests(_weights(row))], sort_keys=True)
    return CACHE / "molecules" / f"density_{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
