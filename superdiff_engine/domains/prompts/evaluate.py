r"""The paper's Tables 2 and A2 for emoji: `superdiff evaluate prompts`.

A picture x of the pair of concepts (a, b) gets two scores from a judge, log p(a | x) and log p(b | x) in nats:

    lower       min of the two     what AND should raise: both concepts are seen        (arXiv 2412.17762, Table 2)
    difference  |one - other|      what OR should keep large: one concept, not a blend  (Table A2)
    maximum     max of the two     ... and that one is seen clearly                     (Table A2)

The judge is the embedded concept scorer (scorer.py) or a CLIP model from a folder, whose scores are 100 times cosines,
as in the paper. Every pair is sampled from its own seed, the same in all rows, so rows are paired picture by picture.
The 20 pairs are what varies: all standard errors are those of the mean over pairs, of rows and of differences.

A row is made in chunks (one pair, or 32 concepts), kept in ~/.cache/superdiff/evaluation by a hash of all that decides
them: an interrupted evaluation goes on where it was, and a chunk that two rows need is made once. A coin flip takes,
sample by sample, what either prompt alone makes of the same noise, so its row is picked from these.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ...compose import Single
from ...errors import ModelError, SuperDiffError
from ...evaluation import TABLES, Column, Layout, Row, Table, Value, start_pool, write_table
from ...recipe import (
    AndRecipe,
    AverageRecipe,
    Expert,
    GuidanceRecipe,
    Levels,
    OperatorRecipe,
    OrRecipe,
    Recipe,
    SingleRecipe,
)
from ...run import make_levels, write_whole
from ...sample import Step, sample
from ...score import score_from_prediction
from ..pictures.evaluate import CACHE, coin_flips
from ..sources import read_json
from .captions import held_out_captions, with_article
from .domain import EMBEDDED, Prompts, find_model
from .emoji import PAIRS, Concept
from .pipeline import TextToImage, load_text_to_image
from .scorer import Scorer, load_scorer, log_probabilities, top_share

SINGLES = ("single", "single_held_out")
#: In the order of their need: what the rest is compared with comes first.
ROWS = (*SINGLES, "and", "average", "joint", "joint_reversed", "or", "coin_flip", "joint_or")
STEPS = (20, 50, 100, 250)
#: AND against the number of steps, with the ridge and by the paper's exact system.
STUDY = tuple(f"{kind}/{steps}" for kind in ("and", "and_exact") for steps in STEPS)
#: Concepts a chunk of the rows of single prompts.
CONCEPTS_AT_ONCE = 32
#: Seeds of single prompts start here above the pairs'.
SINGLE_SEEDS = 10_000
SHEET = Path("docs") / "images" / "prompts_pairs.png"

_OPERATORS: dict[str, OperatorRecipe] = {
    "and": AndRecipe(),
    "and_exact": AndRecipe(ridge=0.0),
    "average": AverageRecipe(),
    "or": OrRecipe(),
}

_TITLES = {
    "single": "one prompt alone",
    "single_held_out": "one prompt alone, captions never trained on",
    "and": "**AND**",
    "average": "average",
    "joint": 'joint prompt "a cat that looks like a dog"',
    "joint_reversed": 'joint prompt "a dog that looks like a cat"',
    "or": "**OR**",
    "coin_flip": "coin flip",
    "joint_or": 'joint prompt "a cat or a dog"',
}
LAYOUT = Layout(
    columns=[
        Column("lower", "lower score (AND: higher is better)"),
        Column("difference", "difference (OR: higher is better)"),
        Column("maximum", "maximum (higher is better)"),
        Column("top1", "top-1", digits=1, percent=True),
        Column("top5", "top-5", digits=1, percent=True),
    ],
    row_titles=_TITLES,
    paper_columns=["paper, Stable Diffusion, CLIP: lower", "difference", "maximum"],
    paper={
        "and": ["24.79", "", ""],
        "average": ["24.23", "", ""],
        "joint": ["23.87", "", ""],
        "or": ["", "8.58", "29.87"],
        "coin_flip": ["", "9.13", "29.72"],
        "joint_or": ["", "7.20", "29.80"],
    },
)
STEPS_LAYOUT = Layout(
    columns=[
        Column("lower", "lower score (higher is better)"),
        Column("gap", "final density gap, nats (lower is better)", digits=3),
        Column("finished", "runs that stayed finite", digits=0, percent=True),
    ],
    row_titles={
        f"{kind}/{steps}": f"{title}, {steps} steps"
        for kind, title in {"and": "**AND**", "and_exact": "AND, the paper's exact system"}.items()
        for steps in STEPS
    },
)


# What is sampled


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
    """

    seeds: int = 8
    steps: int = 50
    seed: int = 0
    guidance: float = 4.0
    model: str = EMBEDDED
    dtype: str = "float32"
    pairs: tuple[tuple[str, str], ...] = PAIRS
    concepts: int | None = None


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
        operator=_OPERATORS.get(chunk.kind, SingleRecipe()),
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
    return [
        Chunk(kind, pair_prompts(kind, pair), settings.seed + index, count) for index, pair in enumerate(settings.pairs)
    ]


def drawn_alone(settings: Settings, known: Sequence[Concept]) -> list[int]:
    """Which concepts the rows of single prompts draw: all, or a sample of `settings.concepts`; sorted."""
    if settings.concepts is None or settings.concepts >= len(known):
        return list(range(len(known)))
    generator = torch.Generator().manual_seed(settings.seed)
    return sorted(torch.randperm(len(known), generator=generator)[: settings.concepts].tolist())


def single_chunks(row: str, settings: Settings, known: Sequence[Concept]) -> list[Chunk]:
    """Every concept once, 32 a chunk; both rows draw them from the same noise."""
    chosen = drawn_alone(settings, known)
    captions = [
        with_article(known[index].name) if row == "single" else _held_out(known[index], position)
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
    if row == "coin_flip":
        return alone
    if row in SINGLES:
        return single_chunks(row, settings, known) + (alone if row == "single" else [])
    kind, _, steps = row.partition("/")
    return pair_chunks(kind, settings, int(steps) if steps else None)


@lru_cache(maxsize=4)
def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".safetensors", ".json", ".txt") and path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


# Sampling


@dataclass(frozen=True)
class PromptEach:
    """A score model whose samples have a prompt each: row i of y is scored under row i's prompt.

    Attributes:
        network: that all prompts are of.
        embeddings: [batch, tokens, width].
        pooled: [batch, width], or None where the family has none.
        space: of the latents.
    """

    network: TextToImage
    embeddings: Tensor
    pooled: Tensor | None
    space: Any
    title: str = "a prompt each"

    @classmethod
    def of(cls, network: TextToImage, prompts: Sequence[str]) -> PromptEach:
        """The prompts' embeddings; raises ModelError for an empty prompt."""
        conditions = [network.encode(prompt) for prompt in prompts]
        given = [condition.pooled for condition in conditions if condition.pooled is not None]
        embeddings = torch.cat([condition.embeddings for condition in conditions])
        return cls(network, embeddings, torch.cat(given) if given else None, network.space())

    @torch.no_grad()
    def score(self, y: Any, level: Any) -> Any:
        """Like y [batch, C, h, w]."""
        network, levels = self.network, torch.tensor([float(level)], dtype=torch.float64)
        alpha, sigma = (float(part(levels)) for part in (network.schedule.alpha, network.schedule.sigma))
        times = network.schedule.time(levels).to(device=y.device, dtype=torch.float32).expand(len(y))
        x = alpha * y
        out = network.family.predict(network.pipe, x.to(network.dtype), times, self.embeddings, self.pooled)
        return score_from_prediction(network.prediction, out.to(y.dtype), x, alpha, sigma)


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
    prepared, operator = domain.prepare(recipe, "cpu"), recipe.operator.build()
    return sample(
        prepared.experts,
        operator,
        make_levels(recipe, domain.level_range(prepared.experts)),
        batch=recipe.batch,
        seed=recipe.seed,
        # Without log-densities, nothing is spent on them.
        estimator=recipe.estimator if operator.needs_density else "none",
        solver=recipe.solver,
        guidance=prepared.guidance,
    )


def _levels(settings: Settings, steps: int, network: TextToImage) -> Tensor:
    """The grid of the pairs' runs."""
    recipe = recipe_of(Chunk("first", ("any",), 0, steps), settings)
    return make_levels(recipe, Prompts().level_range([network.expert("any")]))


def make_chunks(
    row: str, wanted: Sequence[Chunk], settings: Settings, pool: Executor | None, progress: Callable[[str], None]
) -> None:
    """Make the chunks that are not there yet, in `pool` or here."""
    todo = [chunk for chunk in wanted if not chunk.file(settings).is_file()]
    started = time.monotonic()
    for done, _ in enumerate(_in_parallel(todo, settings, pool), start=1):
        left = (time.monotonic() - started) / done * (len(todo) - done)
        progress(f"{row}: {len(wanted) - len(todo) + done} of {len(wanted)} chunks, {left:.0f} s to go")


def _in_parallel(todo: list[Chunk], settings: Settings, pool: Executor | None) -> Iterator[None]:
    if pool is None:
        for chunk in todo:
            make_chunk(chunk, settings)
            yield
        return
    for future in as_completed([pool.submit(make_chunk, chunk, settings) for chunk in todo]):
        future.result()
        yield


# Judges


class Judge(Protocol):
    """Scores of pictures for concepts.

    Attributes:
        concepts: in the order of the scores.
        key: of all that decides its scores.
        notes: a sentence or two for the table.
    """

    concepts: tuple[Concept, ...]
    key: str
    notes: str

    def scores(self, pictures: np.ndarray) -> Tensor:
        """[count, concepts], float64, of pictures uint8 [count, H, W, 3]; higher is better."""
        ...


class ScorerJudge:
    """The concept scorer: log-probabilities in nats."""

    def __init__(self, scorer: Scorer) -> None:
        self.network, self.concepts, self.key = scorer.network, scorer.concepts, scorer.digest[:16]
        shares = "; ".join(
            f"{title} {scorer.held_out[group]['top1']:.1%} / {scorer.held_out[group]['top5']:.1%}"
            for group, title in {"overall": "all", "strict": "by other artists (noto, twemoji)"}.items()
            if group in scorer.held_out
        )
        self.notes = (
            f"Scores are log-probabilities in nats among {len(self.concepts)} concepts, by this project's own concept "
            "scorer (not CLIP; the paper's figures are 100 times CLIP's cosines). It learned from designs that the "
            "generator never saw; its top-1 / top-5 accuracy on the generator's designs, which it never saw: "
            f"{shares}."
        )

    def scores(self, pictures: np.ndarray) -> Tensor:
        return log_probabilities(self.network, pictures)


class ClipJudge:
    """A CLIP model (Radford et al. 2021, arXiv 2103.00020) from a folder: 100 times the cosine, as in the paper.

    Args:
        folder: with config.json, model.safetensors, and the files of tokenizer and image processor.
        concepts: whose texts are "a cat", as the prompts are.

    Raises:
        ModelError: when the folder holds no CLIP model that transformers can load.
    """

    def __init__(self, folder: Path, concepts: Sequence[Concept]) -> None:
        from transformers import CLIPModel, CLIPProcessor

        found = read_json(folder / "config.json").get("model_type")
        if found != "clip":
            raise ModelError(f"{folder} holds a model of type '{found}', not CLIP; name the folder of a CLIP model.")
        try:
            model: Any = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
            self.processor: Any = CLIPProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"transformers cannot load the CLIP model in {folder}: {first}") from None
        self.model, self.concepts = model.float().eval(), tuple(concepts)
        weights = sorted(folder.glob("*.safetensors"))
        digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in weights))
        digest.update(json.dumps([one.name for one in concepts]).encode())
        self.key = f"clip_{digest.hexdigest()[:16]}"
        self.notes = (
            f"Scores are 100 times the cosine of picture and text by the CLIP model {folder.name}, as the paper's are; "
            f'top-1 and top-5 are among the texts ("a cat") of {len(self.concepts)} concepts.'
        )
        self.texts = self._embed(None, [with_article(one.name) for one in concepts])

    @torch.no_grad()
    def _embed(self, pictures: np.ndarray | None, texts: Sequence[str]) -> Tensor:
        """Normalised embeddings of pictures, or of texts where there are none; float64."""
        blank = [Image.new("RGB", (64, 64), "white")]
        shown = blank if pictures is None else [Image.fromarray(picture) for picture in pictures]
        # CLIP's forward pass wants both; which of them it is asked for decides what is kept.
        inputs = self.processor(text=list(texts), images=shown, padding=True, truncation=True, return_tensors="pt")
        output = self.model(**inputs)
        return (output.text_embeds if pictures is None else output.image_embeds).double()

    def scores(self, pictures: np.ndarray) -> Tensor:
        images = [self._embed(pictures[start : start + 32], ["a"]) for start in range(0, len(pictures), 32)]
        return 100 * torch.cat(images) @ self.texts.T


# Figures


@dataclass(frozen=True)
class PairScores:
    """A row's pictures as the judge sees them.

    Attributes:
        first: scores of each pair's first concept, float64 [pairs, seeds].
        second: of the second.
        gap: |log q_1 - log q_2| at the end in nats, [pairs, seeds], or None where no densities were tracked.
        finished: bool [pairs], whether the run came to its end.
        seconds: of one process.
    """

    first: np.ndarray
    second: np.ndarray
    gap: np.ndarray | None
    finished: np.ndarray
    seconds: float

    @property
    def lower(self) -> np.ndarray:
        """The lower score of the two concepts, [pairs, seeds]."""
        return np.minimum(self.first, self.second)

    def values(self) -> dict[str, Value]:
        """Figures of Tables 2 and A2 by name, with standard errors."""
        figures = {
            "lower": self.lower,
            "difference": np.abs(self.first - self.second),
            "maximum": np.maximum(self.first, self.second),
        }
        return {name: mean_over_pairs(scores) for name, scores in figures.items()}


def mean_over_pairs(scores: np.ndarray) -> Value:
    """The mean of scores [pairs, seeds], with the standard error of the mean of the pairs' means (None for one pair).

    Pictures of one pair are alike; the pairs are what a new table would draw anew.
    """
    means = scores.mean(1)
    error = float(means.std(ddof=1) / math.sqrt(len(means))) if len(means) > 1 else None
    return Value(value=float(means.mean()), error=error)


def share(hits: np.ndarray) -> Value:
    """The share of true values in a bool array [count], with its binomial standard error."""
    part = float(hits.mean())
    return Value(value=part, error=math.sqrt(part * (1 - part) / len(hits)))


@dataclass
class Reader:
    """Reads rows that are complete in the cache, as one judge sees them."""

    settings: Settings
    judge: Judge
    _index: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._index = {one.name: index for index, one in enumerate(self.judge.concepts)}
        unknown = [name for pair in self.settings.pairs for name in pair if name not in self._index]
        if unknown:
            raise SuperDiffError(f"The judge does not know {', '.join(unknown)}; choose pairs of concepts it knows.")

    def complete(self, chunks: Sequence[Chunk]) -> bool:
        """Whether all of them are there."""
        return all(chunk.file(self.settings).is_file() for chunk in chunks)

    def pictures(self, chunk: Chunk) -> np.ndarray:
        """Uint8 [batch, H, W, 3]."""
        with np.load(chunk.file(self.settings)) as stored:
            return stored["pictures"]

    def scores(self, chunk: Chunk) -> np.ndarray:
        """[batch, concepts], float64; kept beside the chunk."""
        path = chunk.file(self.settings)
        kept = path.with_name(f"{path.stem}_{self.judge.key}.npy")
        if not kept.is_file():
            buffer = io.BytesIO()
            np.save(buffer, self.judge.scores(self.pictures(chunk)).numpy())
            write_whole(kept, buffer.getvalue())
        return np.load(kept)

    def pairs(self, row: str) -> PairScores:
        """The scores of a row of pairs, "first" and "second" included; all its chunks must be there."""
        if row == "coin_flip":
            return self._coin_flip()
        kind, _, steps = row.partition("/")
        chunks = pair_chunks(kind, self.settings, int(steps) if steps else None)
        asked = [[self._index[name] for name in pair] for pair in self.settings.pairs]
        both = np.stack([self.scores(chunk)[:, pair] for chunk, pair in zip(chunks, asked, strict=True)])
        log_density, seconds, finished = [], 0.0, []
        for chunk in chunks:
            with np.load(chunk.file(self.settings)) as stored:
                log_density.append(stored["log_density"])
                seconds += float(stored["seconds"])
                finished.append(bool(stored["finished"]))
        needed = kind in _OPERATORS and _OPERATORS[kind].build().needs_density
        gap = np.stack([np.abs(one[0] - one[1]) for one in log_density]) if needed else None
        return PairScores(both[:, :, 0], both[:, :, 1], gap, np.array(finished), seconds)

    def _coin_flip(self) -> PairScores:
        first, second = self.pairs("first"), self.pairs("second")
        seeds = [self.settings.seed + index for index in range(len(self.settings.pairs))]
        heads = np.stack([coin_flips(self.settings.seeds, seed) for seed in seeds])
        a, b = np.where(heads, first.first, second.first), np.where(heads, first.second, second.second)
        # Each sample needs its own prompt's call only, half of each row's.
        return PairScores(a, b, None, first.finished, (first.seconds + second.seconds) / 2)

    def single(self, row: str) -> tuple[dict[str, Value], int, float]:
        """Figures, number of pictures, and seconds of a row of single prompts."""
        chunks = single_chunks(row, self.settings, self.judge.concepts)
        scores = torch.from_numpy(np.concatenate([self.scores(chunk) for chunk in chunks]))
        asked = torch.tensor(drawn_alone(self.settings, self.judge.concepts))
        values = {f"top{most}": share(top_share(scores, asked, most).numpy()) for most in (1, 5)}
        seconds = 0.0
        for chunk in chunks:
            with np.load(chunk.file(self.settings)) as stored:
                seconds += float(stored["seconds"])
        if row == "single":
            alone = [self.pairs("first"), self.pairs("second")]
            first = np.concatenate([one.first for one in alone], axis=1)
            second = np.concatenate([one.second for one in alone], axis=1)
            values = PairScores(first, second, None, alone[0].finished, 0.0).values() | values
        return values, len(asked), seconds

    def row(self, name: str, workers: int = 1) -> Row | None:
        """A row of either table; None while chunks are missing."""
        if not self.complete(chunks_of(name, self.settings, self.judge.concepts)):
            return None
        if name in SINGLES:
            values, count, seconds = self.single(name)
            return Row(name=name, samples=count, seconds=round(seconds / workers, 1), values=values)
        found = self.pairs(name)
        values = found.values()
        if name in STUDY and found.gap is not None:
            values = {"lower": values["lower"], "finished": Value(value=float(found.finished.mean()))}
            if found.finished.any():
                values["gap"] = mean_over_pairs(found.gap[found.finished])
        return Row(name=name, samples=found.first.size, seconds=round(found.seconds / workers, 1), values=values)

    def gain(self, row: str, other: str) -> Value:
        """How much higher the lower score is in a row than in another, picture by picture."""
        return mean_over_pairs(self.pairs(row).lower - self.pairs(other).lower)


# The tables


def evaluate(
    settings: Settings | None = None,
    rows: Sequence[str] | None = None,
    out: Path | None = None,
    clip: Path | None = None,
    sheet: Path | None = None,
    progress: Callable[[str], None] = print,
    workers: int | None = None,
) -> list[Path]:
    """Make (or go on with) the tables, and write them after every row; every finished row of these settings is in them.

    Args:
        settings: None for the default ones.
        rows: names as in ROWS and STUDY; None for all.
        out: the JSON file of the first table; None for docs/tables/prompts.json (prompts_clip.json with CLIP). The
            study of the number of steps goes beside it, with "_steps" in its name.
        clip: the folder of a CLIP model to judge instead of the concept scorer.
        sheet: where to draw the pictures of all pairs; None for no sheet.
        progress: takes one line at a time.
        workers: processes that sample side by side, sharing the CPU's cores; None for one a core.

    Returns:
        The files that were written.

    Raises:
        ModelError: when the generator or the judge is missing or damaged.
        SuperDiffError: for a row that does not exist, or a concept that the judge does not know.
        OutputError: when a file cannot be written.
    """
    asked = list((*ROWS, *STUDY) if rows is None else rows)
    for row in asked:
        if row not in (*ROWS, *STUDY):
            raise SuperDiffError(f"There is no row '{row}'; choose from {', '.join((*ROWS, *STUDY))}.")
    settings = Settings() if settings is None else settings
    # What is damaged is said here, and not by a worker.
    load_text_to_image(find_model(settings.model), "cpu", settings.dtype)
    scorer = load_scorer()
    judge: Judge = ScorerJudge(scorer) if clip is None else ClipJudge(clip, scorer.concepts)
    reader = Reader(settings, judge)
    out = TABLES / f"prompts{'' if clip is None else '_clip'}.json" if out is None else out
    workers = (os.cpu_count() or 1) if workers is None else workers
    written: dict[Path, None] = {}
    pool = start_pool(workers)
    try:
        for row in asked:
            make_chunks(row, chunks_of(row, settings, judge.concepts), settings, pool, progress)
            path = out if row in ROWS else out.with_stem(f"{out.stem}_steps")
            table = _table(reader, ROWS if row in ROWS else STUDY, clip, workers)
            write_table(table, path)
            written[path] = None
            progress(_line(table.row(row)))
        if sheet is not None:
            for kind in _SHEET_COLUMNS:
                make_chunks(f"sheet, {kind}", pair_chunks(kind, settings), settings, pool, progress)
            contact_sheet(reader, sheet)
            written[sheet] = None
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    return list(written)


def _line(row: Row) -> str:
    figures = ", ".join(
        f"{name} {value.value:.3f}" + ("" if value.error is None else f" +- {value.error:.3f}")
        for name, value in row.values.items()
    )
    return f"{row.name}: {figures}; {row.seconds:.0f} s"


def _table(reader: Reader, names: Sequence[str], clip: Path | None, workers: int) -> Table:
    settings = reader.settings
    rows = [row for name in names if (row := reader.row(name, workers)) is not None]
    chosen = "" if clip is None else f" --clip {clip.name}"
    return Table(
        command=f"superdiff evaluate prompts --seeds {settings.seeds}{chosen}",
        seeds=[settings.seed + index for index in range(len(settings.pairs))],
        steps=settings.steps if names is ROWS else None,
        notes=" ".join(
            [
                reader.judge.notes,
                f"{len(settings.pairs)} pairs, {settings.seeds} pictures each, from the same noise in all rows; "
                f"guidance {settings.guidance:g}, ancestral steps, trapezoidal Ito estimator, {settings.dtype}. "
                "Errors of scores are standard errors over the pairs' means.",
                *(_comparisons(reader, rows) if names is ROWS else _enough_steps(reader, rows)),
                f"Seconds are wall clock with {workers} process{'' if workers == 1 else 'es'} of one thread.",
            ]
        ),
        rows=rows,
    )


def _comparisons(reader: Reader, rows: Sequence[Row]) -> list[str]:
    """The paired differences of AND's lower score, and what the row of single prompts holds."""
    made = {row.name for row in rows}
    said = []
    titles = {"average": "average", "joint": "joint prompt", "joint_reversed": "joint prompt reversed"}
    gains = [
        f"{title} {gain.value:+.2f}" + ("" if gain.error is None else f" ± {gain.error:.2f}")
        for other, title in titles.items()
        if {"and", other} <= made and (gain := reader.gain("and", other))
    ]
    if gains:
        said.append(f"AND's lower score minus, picture by picture: {', '.join(gains)}.")
    if "single" in made:
        said.append("Single prompts: top-1 and top-5 of concepts drawn once each; scores of the pairs' prompts alone.")
    return said


def _enough_steps(reader: Reader, rows: Sequence[Row]) -> list[str]:
    """The smallest number of steps whose lower score is within two standard errors of the most steps'."""
    made = {row.name for row in rows}
    most = f"and/{STEPS[-1]}"
    if len(reader.settings.pairs) < 2 or not {f"and/{steps}" for steps in STEPS} <= made:
        return []
    for steps in STEPS:
        gain = reader.gain(f"and/{steps}", most)
        if abs(gain.value) <= 2 * (gain.error or 0.0):
            break
    return [
        f"AND with {steps} steps is the first within two standard errors of {STEPS[-1]} steps, picture by picture "
        f"({gain.value:+.2f} ± {gain.error or 0.0:.2f})."
    ]


#: Columns of the contact sheet: how many pictures of each kind, and their title.
_SHEET_COLUMNS = {
    "first": (1, "one"),
    "second": (1, "other"),
    "and": (4, "AND"),
    "average": (1, "average"),
    "joint": (1, "joint"),
}


def contact_sheet(reader: Reader, path: Path) -> None:
    """One row a pair: each prompt alone, AND from several seeds, average, joint prompt; all chunks must be there."""
    label, header, gap, side = 190, 18, 6, 64
    kinds = {kind: [reader.pictures(one) for one in pair_chunks(kind, reader.settings)] for kind in _SHEET_COLUMNS}
    counts = {kind: min(count, reader.settings.seeds) for kind, (count, _) in _SHEET_COLUMNS.items()}
    width = label + sum(counts.values()) * side + len(counts) * gap
    sheet = Image.new("RGB", (width, header + len(reader.settings.pairs) * (side + 2)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, pair in enumerate(reader.settings.pairs):
        top, left = header + row * (side + 2), label
        for line, text in enumerate((pair[0], f"and {pair[1]}")):
            draw.text((4, top + side // 2 - 13 + 13 * line), text, fill="black")
        for kind, pictures in kinds.items():
            if row == 0:
                draw.text((left + 2, 2), _SHEET_COLUMNS[kind][1], fill="black")
            for picture in pictures[row][: counts[kind]]:
                sheet.paste(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS), (left, top))
                left += side
            left += gap
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())
