r"""The rows of the paper's Table 4: `superdiff evaluate smiles --models local/NAME --oracles FOLDER`.

Two prompts of LDMol ask for a property each, and molecules are to have both:

    PAIR/joint      one prompt that asks for both
    PAIR/average    equal weights
    PAIR/or, /and   OR and AND

Properties are the probabilities that oracles give (`domains.oracles`; a pair needs those of its own), and QED. Measured
of each row:

    valid              share of what was written that RDKit reads as a molecule
    unique             molecules that differ, of the valid ones
    top10_product      mean over the ten molecules with the largest product of both properties
    top10_minimum      mean over the ten whose smaller property is the largest
    first, second      mean of each property over the molecules that differ

Each of these last is over molecules that differ; errors are of the mean, binomial, or bootstrap over them (ten best).
The paper's code does not hold its prompts. Those for a protein are worded as in the code of MolLEO (Wang et al. 2024,
arXiv 2406.16976); the one for QED, and those that ask for both, are ours.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...errors import SuperDiffError
from ...recipes.document import Expert, GuidanceRecipe, Levels, Recipe
from ...recipes.operators import AndRecipe, AverageRecipe, OperatorRecipe, OrRecipe, SingleRecipe
from ...system.devices import resolve_device
from ...system.files import write_whole
from ...system.options import option
from ...system.workplaces.workplace import Workplace
from ...tables import chunks
from ...tables.chunks import CACHE
from ...tables.evaluation import OF_NAMED_MODELS, Evaluation, RowMaker, RowParts, Say
from ...tables.markdown import Column, Layout, markdown_table
from ...tables.table import TABLES, Row, Table, Value, read_table
from ..oracles import Property, find_oracles, qed
from ..sources import is_foreign, local_model
from .arrays import DecodedSmiles
from .domain import KINDS, Smiles, find_model

#: What is asked for, by the property's name.
WORDS = {
    "gsk3b": "inhibits GSK3B",
    "jnk3": "inhibits JNK3",
    "drd2": "inhibits DRD2",
    "qed": "looks like a drug",
}
TITLES = {"gsk3b": "GSK3β", "jnk3": "JNK3", "drd2": "DRD2", "qed": "QED"}
#: The paper's two pairs, and a third of ours.
PAIRS = {"gsk3b_qed": ("gsk3b", "qed"), "gsk3b_jnk3": ("gsk3b", "jnk3"), "drd2_qed": ("drd2", "qed")}
METHODS: dict[str, OperatorRecipe] = {
    "joint": SingleRecipe(),
    "average": AverageRecipe(),
    "or": OrRecipe(),
    "and": AndRecipe(),
}
ROWS = tuple(f"{pair}/{method}" for pair in PAIRS for method in METHODS)
BEST = 10
LAYOUT = Layout(
    columns=[
        Column("top10_product", "ten best: product", digits=3),
        Column("top10_minimum", "ten best: minimum", digits=3),
        Column("first", "first property", digits=3),
        Column("second", "second property", digits=3),
        Column("valid", "valid", digits=1, percent=True),
        Column("unique", "unique", digits=1, percent=True),
    ],
    row_titles={
        f"{pair}/{method}": f"{TITLES[one]} and {TITLES[other]}: {title}"
        for pair, (one, other) in PAIRS.items()
        for method, title in {
            "joint": "one prompt for both",
            "average": "average",
            "or": "**OR**",
            "and": "**AND**",
        }.items()
    },
    paper_columns=["paper: product", "paper: minimum"],
    paper={
        "gsk3b_qed/joint": [".171", ".273"],
        "gsk3b_qed/average": [".154", ".269"],
        "gsk3b_qed/and": [".177", ".273"],
        "gsk3b_jnk3/joint": [".071", ".186"],
        "gsk3b_jnk3/average": [".073", ".199"],
        "gsk3b_jnk3/and": [".080", ".209"],
    },
)


@dataclass(frozen=True)
class Settings:
    """What all rows share.

    Attributes:
        models: the id of a converted LDMol.
        oracles: a folder of converted oracles.
        samples: molecules a row.
        steps: of the sampler.
        guidance: weight of classifier-free guidance, the same in all rows.
        seed: of the first chunk.
        batch: molecules a chunk.
        device: that samples.
    """

    models: str | None = field(
        default=None, metadata=option("the converted LDMol, local/NAME", elsewhere=OF_NAMED_MODELS)
    )
    oracles: Path | None = field(
        default=None, metadata=option("a folder of oracles that 'superdiff convert oracle' wrote: gsk3b, jnk3, drd2")
    )
    samples: int = field(default=500, metadata=option("samples a row", least=2))
    steps: int = field(default=100, metadata=option("of the sampler", least=1))
    guidance: float = field(default=2.5, metadata=option("weight of guidance, 1 for none", least=0, most=100))
    seed: int = field(default=0, metadata=option("seed of the first batch", least=0))
    batch: int = field(default=50, metadata=option("samples at once", least=1))
    device: str = field(default="cpu", metadata=option("auto, cpu, cuda or mps"))

    @property
    def parts(self) -> range:
        """The chunks of a row."""
        return range(math.ceil(self.samples / self.batch))


def prompts_of(row: str) -> list[str]:
    """The prompts of a row."""
    pair, _, method = row.partition("/")
    one, other = (WORDS[name] for name in PAIRS[pair])
    joint = [f"This molecule {one} and {other}."]
    return joint if method == "joint" else [f"This molecule {words}." for words in (one, other)]


def recipe_of(row: str, chunk: int, settings: Settings) -> Recipe:
    """The recipe of a chunk of a row."""
    return Recipe(
        domain="smiles",
        experts=[Expert(model=str(settings.models), prompt=prompt) for prompt in prompts_of(row)],
        operator=METHODS[row.partition("/")[2]],
        levels=Levels(steps=settings.steps),
        solver="ancestral",
        batch=min(settings.batch, settings.samples),
        seed=settings.seed + chunk,
        device="cuda" if settings.device == "cuda" else "cpu",
        guidance=None if settings.guidance == 1 else GuidanceRecipe(weight=settings.guidance),
    )


def chunk_file(row: str, chunk: int, settings: Settings) -> Path:
    """Where a chunk is kept."""
    return chunks.chunk_file(CACHE, _weights(settings), recipe_of(row, chunk, settings))


def make_chunk(row: str, chunk: int, settings: Settings) -> None:
    """Sample a chunk and keep the arrays of `DecodedSmiles`."""
    arrays = chunks.draw(recipe_of(row, chunk, settings), Smiles(), device=settings.device)
    chunks.keep(chunk_file(row, chunk, settings), arrays)


def _weights(settings: Settings) -> list[Path]:
    found = local_model(str(settings.models), KINDS)
    return [] if found is None else sorted(found.folder.rglob("*.safetensors"))


def best(values: np.ndarray, seed: int = 0, draws: int = 200) -> Value:
    """The mean of the ten largest of [n] values, or of all where there are fewer, with its bootstrap error."""
    generator = np.random.default_rng(seed)
    count = min(BEST, len(values))
    drawn = generator.choice(values, (draws, len(values)))
    means = np.sort(drawn, 1)[:, -count:].mean(1)
    return Value(value=float(np.sort(values)[-count:].mean()), error=float(means.std(ddof=1)))


def _mean(values: np.ndarray) -> Value:
    error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
    return Value(value=float(values.mean()), error=error)


def _share(count: int, total: int) -> Value:
    held = count / total
    return Value(value=held, error=math.sqrt(held * (1 - held) / total))


def measures_of(decoded: DecodedSmiles, first: Property, second: Property) -> dict[str, Value]:
    """What is measured of a row's molecules.

    Args:
        decoded: all of them.
        first: a property, of molecules of RDKit's -> [n], from 0 to 1.
        second: likewise.
    """
    from .checks import first_of_their_kind, molecule_of

    valid, new = int(decoded.valid.sum()), first_of_their_kind(decoded)
    found = {"valid": _share(valid, len(decoded.smiles))}
    if not valid:
        return found
    molecules = [molecule_of(str(smiles)) for smiles in decoded.smiles[new]]
    one, other = first(molecules), second(molecules)
    return found | {
        "unique": _share(len(molecules), valid),
        "top10_product": best(one * other),
        "top10_minimum": best(np.minimum(one, other)),
        "first": _mean(one),
        "second": _mean(other),
    }


class SmilesRows(RowMaker):
    """Makes the rows of the table of molecules from text."""

    def __init__(self, settings: Settings, out: Path, workers: int, properties: Mapping[str, Property]) -> None:
        self.settings, self.out, self.workers, self.properties = settings, out, workers, properties
        self.made: dict[str, Row] = {}

    def parts(self, row: str) -> list[RowParts]:
        wanted = [(row, chunk, self.settings) for chunk in self.settings.parts]
        return [RowParts(row, wanted, chunk_file, make_chunk, device=self.settings.device)]

    def measure(self, row: str, pool: Workplace, say: Say) -> None:
        for name in rows_with(self.properties):
            if name not in self.made and (found := self._row(name)) is not None:
                self.made[name] = found

    def table(self, row: str) -> Table:
        settings = self.settings
        words = [
            "superdiff", "evaluate", "smiles", "--models", str(settings.models), "--oracles", str(settings.oracles),
            "--samples", str(settings.samples), "--steps", str(settings.steps),
            "--guidance", f"{settings.guidance:g}",
        ]  # fmt: skip
        return Table(
            command=shlex.join(words),
            seeds=[settings.seed + chunk for chunk in settings.parts],
            steps=settings.steps,
            notes=(
                f"{settings.samples} molecules a row, the same noise in all rows; {settings.steps} ancestral steps "
                f"with the trapezoidal Ito estimator, guidance {settings.guidance:g}. Properties by oracles of TDC and "
                "RDKit's QED, of molecules that differ. Errors: binomial, of the mean, or bootstrap (ten best)."
            ),
            rows=[self.made[name] for name in ROWS if name in self.made],
        )

    def path(self, row: str) -> Path:
        return self.out

    def finish(self, pool: Workplace, say: Say) -> list[Path]:
        """The table in Markdown beside its JSON."""
        page = self.out.with_suffix(".md")
        write_whole(page, (markdown_table(read_table(self.out), LAYOUT) + "\n").encode())
        return [page]

    def _row(self, name: str) -> Row | None:
        """A row of what is kept; None while some of it is missing."""
        settings = self.settings
        files = [chunk_file(name, chunk, settings) for chunk in settings.parts]
        arrays = chunks.join(files, settings.samples)
        if arrays is None:
            return None
        one, other = (self.properties[part] for part in PAIRS[name.partition("/")[0]])
        return Row(
            name=name,
            weights=chunks.digests(_weights(settings)),
            samples=len(arrays["smiles"]),
            seconds=round(float(arrays["seconds"]) / (self.workers if settings.device == "cpu" else 1), 1),
            values=measures_of(DecodedSmiles.among(arrays), one, other),
        )


def rows_with(properties: Mapping[str, Property]) -> list[str]:
    """The rows whose properties are there."""
    return [row for row in ROWS if all(part in properties for part in PAIRS[row.partition("/")[0]])]


def _properties(settings: Settings) -> dict[str, Property]:
    """QED and what the oracles say.

    Raises:
        SuperDiffError: without a model or oracles, or where no pair is whole.
    """
    if settings.models is None or settings.oracles is None:
        raise SuperDiffError(
            "The rows of molecules from text are those of a converted LDMol, judged by converted oracles: give "
            "--models local/NAME and --oracles FOLDER; docs/models.md says how to convert both."
        )
    properties: dict[str, Property] = {"qed": qed, **find_oracles(settings.oracles)}
    if not rows_with(properties):
        raise SuperDiffError(
            f"The folder {settings.oracles} holds no oracle of gsk3b or drd2; convert one into a folder in it: "
            "superdiff convert oracle gsk3b_current.pkl --out FOLDER/gsk3b."
        )
    return properties


class SmilesEvaluation(Evaluation[Settings]):
    """The table of molecules from text."""

    settings = Settings
    layouts: ClassVar[Mapping[str, Layout]] = {}  # no page shows one: the weights are not to be had here
    rows = ROWS

    def rows_of(self, settings: Settings) -> Sequence[str]:
        return rows_with(_properties(settings))

    def begin(self, settings: Settings, asked: Sequence[str], out: Path | None, workers: int) -> SmilesRows:
        settings = replace(settings, device=resolve_device(settings.device))
        if not is_foreign(str(settings.models)):
            raise SuperDiffError(f"'{settings.models}' is no model of the user's folders; give --models local/NAME.")
        # A damaged model is reported here, in one sentence, and not by a worker.
        find_model(str(settings.models)).read(prompts_of(asked[0]))
        return SmilesRows(settings, TABLES / "smiles.json" if out is None else out, workers, _properties(settings))


#: What the registry of domains finds.
EVALUATION = SmilesEvaluation()
