"""What `superdiff evaluate prompts` samples, in runs that are kept: of one pair, or of 32 concepts.

A run is kept in ~/.cache/superdiff/evaluation by a hash of all that decides it: an interrupted evaluation goes on
where it was, and a run that two rows need is made once.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ...compose import Single
from ...errors import SuperDiffError
from ...geometry import Euclidean, State, whole
from ...recipes.document import Expert, GuidanceRecipe, Levels, Recipe
from ...recipes.operators import AndRecipe, AverageRecipe, OperatorRecipe, OrRecipe, SingleRecipe
from ...sampling import Step, sample
from ...system.assets import assets_folder
from ...system.devices import fast_dtype
from ...system.file_cache import file_cached
from ...system.files import write_whole
from ...system.options import option
from ...tables.chunks import CACHE
from ...tables.evaluation import RowParts
from ...walk import levels_of, walk
from ..sources import read_settings
from .domain import EMBEDDED, Prompts, find_model
from .emoji.captions import held_out_captions, with_article
from .emoji.concepts import NOT_PAIRS, PAIRS, Concept
from .encoding import Condition
from .loading import PromptSettings
from .pipeline import TextToImage, load_text_to_image

SINGLES = ("single", "single_held_out")
#: Rows that are made of what either prompt alone makes of the same noise.
FROM_ALONE = ("coin_flip", "overlay")
#: Concepts a run of the rows of single prompts.
CONCEPTS_AT_ONCE = 32
#: Seeds of single prompts start here above the pairs'.
SINGLE_SEEDS = 10_000
#: The level below which the row "and_early" has even weights: outlines are settled there, details are not.
HELD_DOWN_TO = 1.5
OPERATORS: dict[str, OperatorRecipe] = {
    "and": AndRecipe(),
    "and_exact": AndRecipe(ridge=0.0),
    "and_ridge_100": AndRecipe(ridge=100.0),
    "and_early": AndRecipe(lowest=HELD_DOWN_TO),
    "average": AverageRecipe(),
    "or": OrRecipe(),
}


@dataclass(frozen=True)
class Settings:
    """What all rows share, who judges, and whether pictures are drawn.

    Attributes:
        seeds: pictures of each pair in each row.
        steps: of the sampler, where the row does not say.
        seed: of the first pair; pair k has `seed + k`.
        guidance: weight w of classifier-free guidance.
        model: id of the generator.
        dtype: what its network computes in.
        samples: how many concepts are drawn alone, of those that there are.
        style: words that end every prompt after a comma, such as "flat style"; None for prompts without a style.
        clip: the folder of a CLIP model that judges instead of the concept scorer.
        sheet: whether the pictures of all pairs are drawn too.
        pairs: of concepts' names.
        not_pairs: of the concepts that are kept and negated in the rows of NOT.
        nested: a, b and c of "(a or b) and c"; the first two are those of xor.
    """

    seeds: int = field(default=8, metadata=option("pictures of every pair in a row", least=1))
    steps: int = field(default=25, metadata=option("of the sampler", least=1))
    seed: int = field(default=0, metadata=option("seed of the first pair", least=0))
    guidance: float = field(default=4.0, metadata=option("weight of guidance, 1 for none", least=0, most=100))
    model: str = field(
        default=EMBEDDED, metadata=option("the text-to-image model: emoji, local/NAME or hub/OWNER/NAME")
    )
    dtype: str = field(
        default_factory=fast_dtype,
        metadata=option("what the networks compute in (left out: bfloat16 where that is fast, else float32)"),
    )
    samples: int = field(default=2000, metadata=option("most concepts that are drawn alone", least=2))
    style: str | None = field(default=None, metadata=option('words that end every prompt, such as "flat style"'))
    clip: Path | None = field(
        default=None, metadata=option("folder of a CLIP model to score with, instead of the concept scorer")
    )
    sheet: bool = field(default=False, metadata=option("also draw the tables' contact sheets in docs/images"))
    pairs: tuple[tuple[str, str], ...] = PAIRS
    not_pairs: tuple[tuple[str, str], ...] = NOT_PAIRS
    nested: tuple[str, str, str] = ("cat", "dog", "rocket")

    def styled(self, prompt: str) -> str:
        """The prompt with the style behind it."""
        return prompt if self.style is None else f"{prompt}, {self.style}"


@dataclass(frozen=True)
class TableRun:
    """What is sampled at once: one pair by one operator, or one picture of each of several prompts.

    Attributes:
        kind: of `recipe_of`, or "single" for one picture a prompt.
        prompts: of the experts, or of the pictures.
        seed: of the noise.
        steps: of the sampler.
    """

    kind: str
    prompts: tuple[str, ...]
    seed: int
    steps: int

    def file(self, settings: Settings) -> Path:
        """Where it is kept: decided by the recipe (or the prompts) and the generator's files."""
        recipe = recipe_of(self, settings).to_json() if self.kind != "single" else None
        shared = {name: getattr(settings, name) for name in ("guidance", "model", "dtype")}
        key = json.dumps([recipe or asdict(self), shared], sort_keys=True)
        name = f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
        return CACHE / f"prompts_{model_digest(find_model(settings.model))}" / name


def pair_prompts(kind: str, pair: tuple[str, str]) -> tuple[str, ...]:
    """The prompts of a kind of run: one for each expert."""
    first, second = (with_article(name) for name in pair)
    alone = {
        "first": first,
        "second": second,
        "joint": f"{first} that looks like {second}",
        "joint_reversed": f"{second} that looks like {first}",
        "joint_or": f"{first} or {second}",
    }
    return (alone[kind],) if kind in alone else (first, second)


def recipe_of(run: TableRun, settings: Settings) -> Recipe:
    """The recipe of a pair's run, as a user would write it; `settings.seeds` samples."""
    return Recipe(
        domain="prompts",
        experts=[Expert(model=settings.model, prompt=prompt) for prompt in run.prompts],
        operator=OPERATORS.get(run.kind, SingleRecipe()),
        levels=Levels(steps=run.steps),
        solver="ancestral",
        estimator="trapezoid",
        batch=settings.seeds,
        seed=run.seed,
        device="cpu",
        dtype=cast(Any, settings.dtype),
        guidance=GuidanceRecipe(weight=settings.guidance),
    )


def pair_runs(kind: str, settings: Settings, steps: int | None = None) -> list[TableRun]:
    """One run for each pair, of `recipe_of`'s kinds and "first", "second", "joint", "joint_reversed", "joint_or"."""
    count = settings.steps if steps is None else steps
    prompts = [tuple(map(settings.styled, pair_prompts(kind, pair))) for pair in settings.pairs]
    return [TableRun(kind, said, settings.seed + index, count) for index, said in enumerate(prompts)]


def drawn_alone(settings: Settings, known: Sequence[Concept]) -> list[int]:
    """Which of the judge's concepts the rows of single prompts draw: sorted indices.

    All that the model has learned, where it says which those are; or a sample of `settings.samples` of them.
    """
    learned = _learned(settings.model)
    there = [index for index, concept in enumerate(known) if learned is None or concept.name in learned]
    if settings.samples >= len(there):
        return there
    generator = torch.Generator().manual_seed(settings.seed)
    return sorted(there[index] for index in torch.randperm(len(there), generator=generator)[: settings.samples])


def _learned(model: str) -> frozenset[str] | None:
    """The names of the concepts that a model was trained on; None where it does not say."""
    folder = assets_folder() / EMBEDDED if model == EMBEDDED else find_model(model)
    concepts = read_settings(folder, PromptSettings).concepts
    return None if concepts is None else frozenset(concept.name for concept in concepts)


def single_runs(row: str, settings: Settings, known: Sequence[Concept]) -> list[TableRun]:
    """Every concept once, 32 a run; both rows draw them from the same noise."""
    chosen = drawn_alone(settings, known)
    captions = [
        settings.styled(with_article(known[index].name) if row == "single" else _held_out(known[index], position))
        for position, index in enumerate(chosen)
    ]
    parts = [tuple(captions[start : start + CONCEPTS_AT_ONCE]) for start in range(0, len(captions), CONCEPTS_AT_ONCE)]
    first = settings.seed + SINGLE_SEEDS
    return [TableRun("single", part, first + index, settings.steps) for index, part in enumerate(parts)]


def _held_out(concept: Concept, position: int) -> str:
    captions = held_out_captions(concept)
    return captions[position % len(captions)]


def runs_of(row: str, settings: Settings, known: Sequence[Concept]) -> list[TableRun]:
    """All that a row is made from."""
    alone = [*pair_runs("first", settings), *pair_runs("second", settings)]
    if row in FROM_ALONE:
        return alone
    if row in SINGLES:
        return single_runs(row, settings, known) + (alone if row == "single" else [])
    kind, _, steps = row.partition("/")
    return pair_runs(kind, settings, int(steps) if steps else None)


@file_cached(4)
def model_digest(folder: Path) -> str:
    """A short hash of all files that decide what the model in a folder draws."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".safetensors", ".json", ".txt") and path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class PromptEach:
    """A score model whose samples have a prompt each: row i of y is scored under row i's prompt.

    Attributes:
        network: that all prompts are of.
        conditions: one a sample.
        space: of the latents.
    """

    network: TextToImage
    conditions: tuple[Condition, ...]
    space: Euclidean
    title: str = "a prompt each"
    dtype: torch.dtype = torch.float32

    @classmethod
    def of(cls, network: TextToImage, prompts: Sequence[str]) -> PromptEach:
        """The prompts' embeddings; raises ModelError for an empty prompt."""
        return cls(network, tuple(network.encode(prompt) for prompt in prompts), network.space())

    def score(self, y: Tensor, level: float) -> State:
        """Like y [batch, C, h, w]."""
        return self.network.score_each(y, level, self.conditions)


def make_run(run: TableRun, settings: Settings) -> None:
    """Sample a run and keep it.

    An NPZ of pictures uint8 [batch, H, W, 3], log_density [experts, batch] at the end (zeros where no row asks for it),
    seconds, and whether the run finished: the paper's exact AND can end in weights that are not finite, and then the
    last step that was finite is what there is.
    """
    started = time.monotonic()
    network = load_text_to_image(find_model(settings.model), "cpu", settings.dtype)
    last, finished = None, True
    try:
        for last in _walk(run, settings, network):
            pass
    except SuperDiffError:
        if run.kind != "and_exact" or last is None:
            raise
        finished = False
    assert last is not None  # a walk yields a step, or raises
    pictures = network.decode(whole(last.denoised))
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        pictures=pictures,
        log_density=last.log_density.numpy(),
        seconds=time.monotonic() - started,
        finished=finished,
    )
    path = run.file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def _walk(run: TableRun, settings: Settings, network: TextToImage) -> Iterator[Step]:
    if run.kind == "single":
        expert = PromptEach.of(network, run.prompts)
        levels = _levels(settings, run.steps, network)
        guidance = network.guidance(settings.guidance)
        plain: dict[str, Any] = {"estimator": "none", "solver": "ancestral", "guidance": guidance}
        return sample([expert], Single(0), levels, batch=len(run.prompts), seed=run.seed, **plain)
    domain, recipe = Prompts(), recipe_of(run, settings)
    # Without log-densities, nothing is spent on them.
    return walk(recipe, domain, domain.prepare(recipe, "cpu"), densities=False)


def _levels(settings: Settings, steps: int, network: TextToImage) -> Tensor:
    """The grid of the pairs' runs."""
    recipe = recipe_of(TableRun("first", ("any",), 0, steps), settings)
    return levels_of(recipe, Prompts(), [network.expert("any")])


def parts_of(label: str, runs: Sequence[TableRun], settings: Settings) -> RowParts:
    """The runs of a row, to be made where they are not there yet."""
    return RowParts(label, [(run, settings) for run in runs], _kept, make_run)


def _kept(run: TableRun, settings: Settings) -> Path:
    return run.file(settings)
