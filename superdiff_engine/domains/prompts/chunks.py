"""What `superdiff evaluate prompts` samples, in chunks that are kept: of one pair, or of 32 concepts.

A chunk is kept in ~/.cache/superdiff/evaluation by a hash of all that decides it: an interrupted evaluation goes on
where it was, and a chunk that two rows need is made once.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ...compose import Single
from ...errors import SuperDiffError
from ...recipes.document import Expert, GuidanceRecipe, Levels, Recipe
from ...recipes.operators import AndRecipe, AverageRecipe, OperatorRecipe, OrRecipe, SingleRecipe
from ...sampling import Step, sample
from ...system.assets import assets_folder
from ...system.devices import fast_dtype
from ...system.file_cache import file_cached
from ...system.files import write_whole
from ...tables.table import CACHE, make_missing
from ...walk import levels_of, walk
from ..sources import read_settings
from .captions import held_out_captions, with_article
from .domain import EMBEDDED, Prompts, find_model
from .emoji import PAIRS, Concept
from .encoding import Condition
from .loading import PromptSettings
from .pipeline import TextToImage, load_text_to_image

SINGLES = ("single", "single_held_out")
#: Rows that are made of what either prompt alone makes of the same noise.
FROM_ALONE = ("coin_flip", "overlay")
#: Concepts a chunk of the rows of single prompts.
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
    """What all rows share.

    Attributes:
        seeds: pictures of each pair in each row.
        steps: of the sampler, where the row does not say.
        seed: of the first pair; pair k has `seed + k`.
        guidance: weight w of classifier-free guidance.
        model: id of the generator.
        dtype: what its network computes in.
        pairs: of concepts' names.
        concepts: how many concepts are drawn alone; None for all.
        style: words that end every prompt after a comma, such as "flat style"; None for prompts without a style.
    """

    seeds: int = 8
    steps: int = 25
    seed: int = 0
    guidance: float = 4.0
    model: str = EMBEDDED
    dtype: str = field(default_factory=fast_dtype)
    pairs: tuple[tuple[str, str], ...] = PAIRS
    concepts: int | None = None
    style: str | None = None

    def styled(self, prompt: str) -> str:
        """The prompt with the style behind it."""
        return prompt if self.style is None else f"{prompt}, {self.style}"


@dataclass(frozen=True)
class Chunk:
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
        return CACHE / f"prompts_{_digest(find_model(settings.model))}" / name


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


def recipe_of(chunk: Chunk, settings: Settings) -> Recipe:
    """The recipe of a pair's chunk, as a user would write it; `settings.seeds` samples."""
    return Recipe(
        domain="prompts",
        experts=[Expert(model=settings.model, prompt=prompt) for prompt in chunk.prompts],
        operator=OPERATORS.get(chunk.kind, SingleRecipe()),
        levels=Levels(steps=chunk.steps),
        solver="ancestral",
        estimator="trapezoid",
        batch=settings.seeds,
        seed=chunk.seed,
        device="cpu",
        dtype=cast(Any, settings.dtype),
        guidance=GuidanceRecipe(weight=settings.guidance),
    )


def pair_chunks(kind: str, settings: Settings, steps: int | None = None) -> list[Chunk]:
    """One chunk for each pair, of `recipe_of`'s kinds and "first", "second", "joint", "joint_reversed", "joint_or"."""
    count = settings.steps if steps is None else steps
    prompts = [tuple(map(settings.styled, pair_prompts(kind, pair))) for pair in settings.pairs]
    return [Chunk(kind, said, settings.seed + index, count) for index, said in enumerate(prompts)]


def drawn_alone(settings: Settings, known: Sequence[Concept]) -> list[int]:
    """Which of the judge's concepts the rows of single prompts draw: sorted indices.

    All that the model has learned, where it says which those are; or a sample of `settings.concepts` of them.
    """
    learned = _learned(settings.model)
    there = [index for index, concept in enumerate(known) if learned is None or concept.name in learned]
    if settings.concepts is None or settings.concepts >= len(there):
        return there
    generator = torch.Generator().manual_seed(settings.seed)
    return sorted(there[index] for index in torch.randperm(len(there), generator=generator)[: settings.concepts])


def _learned(model: str) -> frozenset[str] | None:
    """The names of the concepts that a model was trained on; None where it does not say."""
    folder = assets_folder() / EMBEDDED if model == EMBEDDED else find_model(model)
    concepts = read_settings(folder, PromptSettings).concepts
    return None if concepts is None else frozenset(concept.name for concept in concepts)


def single_chunks(row: str, settings: Settings, known: Sequence[Concept]) -> list[Chunk]:
    """Every concept once, 32 a chunk; both rows draw them from the same noise."""
    chosen = drawn_alone(settings, known)
    captions = [
        settings.styled(with_article(known[index].name) if row == "single" else _held_out(known[index], position))
        for position, index in enumerate(chosen)
    ]
    parts = [tuple(captions[start : start + CONCEPTS_AT_ONCE]) for start in range(0, len(captions), CONCEPTS_AT_ONCE)]
    first = settings.seed + SINGLE_SEEDS
    return [Chunk("single", part, first + index, settings.steps) for index, part in enumerate(parts)]


def _held_out(concept: Concept, position: int) -> str:
    captions = held_out_captions(concept)
    return captions[position % len(captions)]


def chunks_of(row: str, settings: Settings, known: Sequence[Concept]) -> list[Chunk]:
    """All that a row is made from."""
    alone = [*pair_chunks("first", settings), *pair_chunks("second", settings)]
    if row in FROM_ALONE:
        return alone
    if row in SINGLES:
        return single_chunks(row, settings, known) + (alone if row == "single" else [])
    kind, _, steps = row.partition("/")
    return pair_chunks(kind, settings, int(steps) if steps else None)


@file_cached(4)
def _digest(folder: Path) -> str:
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
    space: Any
    title: str = "a prompt each"
    dtype: torch.dtype = torch.float32

    @classmethod
    def of(cls, network: TextToImage, prompts: Sequence[str]) -> PromptEach:
        """The prompts' embeddings; raises ModelError for an empty prompt."""
        return cls(network, tuple(network.encode(prompt) for prompt in prompts), network.space())

    def score(self, y: Any, level: Any) -> Any:
        """Like y [batch, C, h, w]."""
        return self.network.score_each(y, level, self.conditions)


def make_chunk(chunk: Chunk, settings: Settings) -> None:
    """Sample a chunk and keep it.

    An NPZ of pictures uint8 [batch, H, W, 3], log_density [experts, batch] at the end (zeros where no row asks for it),
    seconds, and whether the run finished: the paper's exact AND can end in weights that are not finite, and then the
    last step that was finite is what there is.
    """
    started = time.monotonic()
    network = load_text_to_image(find_model(settings.model), "cpu", settings.dtype)
    last, finished = None, True
    try:
        for last in _walk(chunk, settings, network):
            pass
    except SuperDiffError:
        if chunk.kind != "and_exact" or last is None:
            raise
        finished = False
    pictures = network.decode(cast(Any, last).denoised)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        pictures=pictures,
        log_density=cast(Any, last).log_density.numpy(),
        seconds=time.monotonic() - started,
        finished=finished,
    )
    path = chunk.file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def _walk(chunk: Chunk, settings: Settings, network: TextToImage) -> Iterator[Step]:
    if chunk.kind == "single":
        expert = PromptEach.of(network, chunk.prompts)
        levels = _levels(settings, chunk.steps, network)
        guidance = network.guidance(settings.guidance)
        plain: dict[str, Any] = {"estimator": "none", "solver": "ancestral", "guidance": guidance}
        return sample([expert], Single(0), levels, batch=len(chunk.prompts), seed=chunk.seed, **plain)
    domain, recipe = Prompts(), recipe_of(chunk, settings)
    # Without log-densities, nothing is spent on them.
    return walk(recipe, domain, domain.prepare(recipe, "cpu"), densities=False)


def _levels(settings: Settings, steps: int, network: TextToImage) -> Tensor:
    """The grid of the pairs' runs."""
    recipe = recipe_of(Chunk("first", ("any",), 0, steps), settings)
    return levels_of(recipe, Prompts(), [network.expert("any")])


def make_chunks(
    row: str, wanted: Sequence[Chunk], settings: Settings, pool: Executor | None, progress: Callable[[str], None]
) -> None:
    """Make the chunks that are not there yet, in `pool` or here."""
    make_missing(row, [(chunk, settings) for chunk in wanted], _is_there, make_chunk, pool, progress)


def _is_there(chunk: Chunk, settings: Settings) -> bool:
    return chunk.file(settings).is_file()
