r"""NOT, XOR and nested formulas of emoji, each with its correction and without: rows of docs/tables/prompts_logic.json.

    not/...     20 pairs (kept, negated) of concepts that look alike: what the judge says of both, in nats
    nested/...  (a or b) and c: how often it sees a or b, c, and both (gives them a probability of a tenth or more)
    xor/...     one of two and not the other: how often it sees exactly one of them, both, or none

A negative prompt under guidance w has the score w S_kept - (w - 1) S_negated: it is the formula "kept but not[w - 1]
negated" without guidance. In the rows of NOT the formula keeps the unconditional expert as well, which is a third
evaluation of the network a step; so that all rows cost the same, each takes as many steps as `EVALUATIONS` allow.

Where a row is corrected, four particles make one independent sample: it costs four times as much, and there are as many
particles as pictures in the other rows. Its values are means over a group by the particles' weights, which is what one
picture a group, drawn by weight, has in expectation. Errors are those of the mean over pairs, or over groups.
"""

from __future__ import annotations

import hashlib
import io
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ...errors import SuperDiffError
from ...recipes.document import CorrectionRecipe, Expert, GuidanceRecipe, Levels, Recipe
from ...recipes.operators import FormulaRecipe, OperatorRecipe, OrRecipe, SingleRecipe
from ...system.files import write_whole
from ...tables.chunks import keep
from ...tables.evaluation import RowParts
from ...tables.markdown import Column, Layout
from ...tables.table import Row, Table, Value
from ...walk import walk
from . import table_runs
from .domain import Prompts, find_model
from .emoji.captions import with_article
from .judge.classifier import top_share
from .judge.judges import Judge
from .table_rows import mean_over_pairs
from .table_runs import Settings, model_digest

#: Network evaluations a picture.
EVALUATIONS = 60
PARTICLES = 4
#: Runs of a row whose figures are shares.
RUNS_OF_SHARES = 8
#: The judge's probability from which on a concept is seen.
SEEN = 0.1
SHEET = Path("docs") / "images" / "logic_emoji.png"
#: Pixels of a picture on the contact sheet, and how many stand in a line.
SHEET_SIDE, SHEET_COLUMNS = 64, 8


@dataclass(frozen=True)
class Method:
    """How a row of one of the three groups is sampled.

    Attributes:
        title: for people.
        prompts: what the experts are told; `{0}`, `{1}`, `{2}` stand for the concepts.
        operator: of these experts.
        guidance: its weight; 1 for none.
        negative: what guidance leads away from; "" for nothing in particular.
        corrected: whether to the exact target, by groups of PARTICLES.
    """

    title: str
    prompts: tuple[str, ...]
    operator: OperatorRecipe
    guidance: float
    negative: str = ""
    corrected: bool = False

    @property
    def evaluations(self) -> int:
        """Of the network, a step and picture."""
        return len(self.prompts) + (self.guidance != 1)

    @property
    def steps(self) -> int:
        """As many as EVALUATIONS allow."""
        return EVALUATIONS // self.evaluations

    @property
    def cost(self) -> int:
        """Network evaluations an independent sample."""
        return self.steps * self.evaluations * (PARTICLES if self.corrected else 1)


def _formula(text: str) -> FormulaRecipe:
    return FormulaRecipe(text=text)


_ONE, _TWO, _THREE = ("{0}",), ("{0}", "{1}"), ("{0}", "{1}", "{2}")
_JOINT = ("{0} or {1} that looks like {2}",)
_FULL = _formula("1 but not 2")
_NESTED, _XOR = _formula("(1 or 2) and 3"), _formula("1 xor 2")
METHODS: dict[str, Method] = {
    "not/kept": Method("the kept prompt alone, guidance 4", _ONE, SingleRecipe(), 4.0),
    "not/negative": Method("negative prompt, guidance 4", _ONE, SingleRecipe(), 4.0, "{1}"),
    "not/plain": Method("**but not**, strength 1, guidance 4", _TWO, _FULL, 4.0),
    "not/corrected": Method("the same, **corrected**", _TWO, _FULL, 4.0, corrected=True),
    "nested/joint": Method('joint prompt "a or b that looks like c", guidance 4', _JOINT, SingleRecipe(), 4.0),
    "nested/plain": Method("**(a or b) and c**, guidance 4", _THREE, _NESTED, 4.0),
    "nested/corrected": Method("the same, **corrected**", _THREE, _NESTED, 4.0, corrected=True),
    "xor/or": Method("a or b, guidance 4", _TWO, OrRecipe(), 4.0),
    "xor/plain": Method("**a xor b**, guidance 4", _TWO, _XOR, 4.0),
    "xor/corrected": Method("the same, **corrected**", _TWO, _XOR, 4.0, corrected=True),
}
ROWS = tuple(METHODS)
LAYOUT = Layout(
    columns=[
        Column("cost", "network evaluations a sample", digits=0),
        Column("kept", "log p(kept), nats (higher is better)"),
        Column("negated", "log p(negated), nats (lower is better)"),
        Column("top1", "kept comes first", digits=1, percent=True),
        Column("either", "a or b seen", digits=1, percent=True),
        Column("last", "c seen", digits=1, percent=True),
        Column("all", "(a or b) and c seen", digits=1, percent=True),
        Column("one", "exactly one seen", digits=1, percent=True),
        Column("both", "both seen", digits=1, percent=True),
        Column("none", "none seen", digits=1, percent=True),
        Column("effective", f"effective sample size, of {PARTICLES}", digits=1),
        Column("ancestors", f"distinct first particles, of {PARTICLES}", digits=1),
    ],
    row_titles={name: method.title for name, method in METHODS.items()},
)
#: The page's two tables, of one JSON file.
LAYOUTS = {
    "prompts_not": replace(LAYOUT, source="prompts_logic", rows=tuple(row for row in ROWS if row.startswith("not/"))),
    "prompts_logic": replace(LAYOUT, rows=tuple(row for row in ROWS if not row.startswith("not/"))),
}


@dataclass(frozen=True)
class LogicRun:
    """What is sampled at once: a row's pictures of some concepts.

    Attributes:
        row: of METHODS.
        concepts: by name, those of the group.
        seed: of the noise, the same in all rows of a group.
    """

    row: str
    concepts: tuple[str, ...]
    seed: int

    def file(self, settings: Settings) -> Path:
        """Where it is kept: decided by its recipe and the generator's files."""
        key = hashlib.sha256(self.recipe(settings).to_json().encode()).hexdigest()[:16]
        return table_runs.CACHE / f"prompts_{model_digest(find_model(settings.model))}" / f"{key}.npz"

    def recipe(self, settings: Settings) -> Recipe:
        """As a user would write it; the pictures are `settings.seeds`, made up to whole groups of particles."""
        method = METHODS[self.row]
        said = [with_article(name) for name in self.concepts]
        prompts = [settings.styled(prompt.format(*said)) for prompt in method.prompts]
        negative = method.negative.format(*said)
        guidance = None if method.guidance == 1 else GuidanceRecipe(weight=method.guidance, negative_prompt=negative)
        return Recipe(
            domain="prompts",
            experts=[Expert(model=settings.model, prompt=prompt) for prompt in prompts],
            operator=cast(Any, method.operator),
            levels=Levels(steps=method.steps),
            solver="ancestral",
            estimator="trapezoid",
            batch=math.ceil(settings.seeds / PARTICLES) * PARTICLES,
            seed=self.seed,
            device="cpu",
            dtype=cast(Any, settings.dtype),
            guidance=guidance,
            correction=CorrectionRecipe(particles=PARTICLES) if method.corrected else None,
        )


def runs_of(row: str, settings: Settings) -> list[LogicRun]:
    """All that a row is made from: a run for each pair, or RUNS_OF_SHARES of the three concepts or of the first two."""
    group = _group(row)
    if group == "not":
        return [LogicRun(row, pair, settings.seed + index) for index, pair in enumerate(settings.not_pairs)]
    named = settings.nested if group == "nested" else settings.nested[:2]
    return [LogicRun(row, named, settings.seed + index) for index in range(RUNS_OF_SHARES)]


def make_run(run: LogicRun, settings: Settings) -> None:
    """Sample a run and keep it.

    An NPZ of pictures uint8 [batch, H, W, 3], importance [batch] that sums to 1 over each group (of one picture, where
    the run is not corrected), effective, the mean over the levels of each group's effective sample size in particles
    [groups], ancestors, how many particles of the first level each group's last ones come from [groups], and seconds.
    """
    started = time.monotonic()
    recipe = run.recipe(settings)
    domain = Prompts()
    prepared = domain.prepare(recipe, "cpu")
    group = recipe.group
    first = torch.arange(recipe.batch)
    effective: list[Tensor] = []
    # Without log-densities, nothing is spent on them.
    for step in walk(recipe, domain, prepared, densities=False):
        if step.effective is not None:
            effective.append(step.effective)
        if step.parents is not None:
            first = first[step.parents]
    weights = torch.zeros(recipe.batch) if step.log_importance is None else step.log_importance
    grouped = first.view(-1, group).tolist()
    arrays = {
        "pictures": domain.decode(step, prepared.experts).pictures,
        "importance": torch.softmax(weights.view(-1, group).double(), 1).flatten().numpy(),
        "effective": torch.stack(effective).mean(0).numpy() if effective else np.ones(recipe.batch),
        "ancestors": np.array([len(set(one)) for one in grouped]),
        "seconds": np.array(time.monotonic() - started),
    }
    keep(run.file(settings), arrays)


def parts_of(row: str, settings: Settings) -> RowParts:
    """The runs of a row, to be made where they are not there yet."""
    return RowParts(row, [(run, settings) for run in runs_of(row, settings)], _kept, make_run)


def _kept(run: LogicRun, settings: Settings) -> Path:
    return run.file(settings)


def _group(row: str) -> str:
    return row.partition("/")[0]


class LogicReader:
    """Reads rows that are complete in the cache, as one judge sees them.

    Raises:
        SuperDiffError: when the judge does not know a concept.
    """

    def __init__(self, settings: Settings, judge: Judge) -> None:
        self.settings, self.judge = settings, judge
        self._index = {one.name: index for index, one in enumerate(judge.concepts)}
        named = {name for pair in settings.not_pairs for name in pair} | set(settings.nested)
        unknown = sorted(named - self._index.keys())
        if unknown:
            raise SuperDiffError(f"The judge does not know {', '.join(unknown)}; choose concepts that it knows.")

    def complete(self, row: str) -> bool:
        """Whether all of a row's runs are there."""
        return all(_kept(run, self.settings).is_file() for run in runs_of(row, self.settings))

    def arrays(self, run: LogicRun) -> dict[str, np.ndarray]:
        """As `make_run` keeps them, with the judge's `scores` [batch, concepts], float64, which are kept beside."""
        path = run.file(self.settings)
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        kept = path.with_name(f"{path.stem}_{self.judge.key}.npy")
        if not kept.is_file():
            buffer = io.BytesIO()
            np.save(buffer, self.judge.scores(arrays["pictures"]).numpy())
            write_whole(kept, buffer.getvalue())
        return arrays | {"scores": np.load(kept)}

    def means(self, row: str) -> dict[str, np.ndarray]:
        """Of every run of a row and each of its groups, the weighted means of what is asked, [runs, groups]."""
        found: dict[str, list[np.ndarray]] = {}
        for run in runs_of(row, self.settings):
            arrays = self.arrays(run)
            groups = len(arrays["ancestors"])
            measured = _MEASURES[_group(row)](arrays["scores"], [self._index[name] for name in run.concepts])
            for name, values in measured.items():
                weighted = (values * arrays["importance"]).reshape(groups, -1).sum(1)
                found.setdefault(name, []).append(weighted)
            if METHODS[row].corrected:
                for name in ("effective", "ancestors"):
                    found.setdefault(name, []).append(arrays[name].astype(float))
        return {name: np.stack(values) for name, values in found.items()}

    def row(self, name: str, workers: int = 1) -> Row | None:
        """A row of the table; None while runs are missing."""
        if not self.complete(name):
            return None
        means = self.means(name)
        # Pictures of one pair are alike, those of one set of concepts are as many draws as there are groups.
        values = {
            key: mean_over_pairs(one if _group(name) == "not" else one.reshape(-1, 1)) for key, one in means.items()
        }
        stored = [self.arrays(run) for run in runs_of(name, self.settings)]
        return Row(
            name=name,
            samples=sum(len(one["pictures"]) for one in stored),
            seconds=round(sum(float(one["seconds"]) for one in stored) / workers, 1),
            values={"cost": Value(value=METHODS[name].cost)} | values,
        )

    def change(self, row: str, other: str, measure: str) -> Value:
        """How much higher a measure is in a row of NOT than in another, pair by pair."""
        both = [self.means(name)[measure].mean(1, keepdims=True) for name in (row, other)]
        return mean_over_pairs(both[0] - both[1])

    def table(self, workers: int) -> Table:
        """All rows that are there."""
        settings = self.settings
        rows = [row for name in ROWS if (row := self.row(name, workers)) is not None]
        there = {row.name for row in rows}
        pictures = math.ceil(settings.seeds / PARTICLES) * PARTICLES
        changes = [
            f"{_TITLES[row]} minus {_TITLES[other]} {change.value:+.2f}"
            + ("" if change.error is None else f" ± {change.error:.2f}")
            for row, other in _COMPARED
            if {row, other} <= there
            for change in [self.change(row, other, "negated")]
        ]
        first, second, third = settings.nested
        return Table(
            command=f"superdiff evaluate prompts --seeds {settings.seeds}"
            + "".join(f" --row {row.name}" for row in rows),
            seeds=[settings.seed + index for index in range(max(len(settings.not_pairs), RUNS_OF_SHARES))],
            notes=" ".join(
                [
                    self.judge.notes,
                    f"NOT: {len(settings.not_pairs)} pairs of concepts that the judge finds alike, {pictures} pictures "
                    f"each; (a or b) and c: {with_article(first)}, {with_article(second)}, {with_article(third)}; xor: "
                    f"the first two; {pictures * RUNS_OF_SHARES} pictures a row, seen is what has a probability of "
                    f"{SEEN:g} or more. The same noise in all rows of a group, ancestral steps, as many as make "
                    f"{EVALUATIONS} network evaluations a picture, {settings.dtype}. A corrected sample is a group of "
                    f"{PARTICLES} particles, by their weights; its effective size is the mean over the levels. Errors "
                    "of NOT are standard errors over the pairs' means, the others over independent samples.",
                    *([f"log p(negated), pair by pair: {'; '.join(changes)}."] * bool(changes)),
                ]
            ),
            rows=rows,
        )


_TITLES = {
    "not/kept": "the kept prompt alone",
    "not/negative": "negative prompt",
    "not/plain": "but not",
    "not/corrected": "corrected",
}
#: Rows of NOT whose difference is said.
_COMPARED = (
    ("not/negative", "not/kept"),
    ("not/plain", "not/kept"),
    ("not/plain", "not/negative"),
    ("not/corrected", "not/plain"),
)


def _of_not(scores: np.ndarray, concepts: Sequence[int]) -> dict[str, np.ndarray]:
    kept, negated = concepts
    return {"kept": scores[:, kept], "negated": scores[:, negated], "top1": _first(scores, kept)}


def _of_nested(scores: np.ndarray, concepts: Sequence[int]) -> dict[str, np.ndarray]:
    a, b, c = (_seen(scores, one) for one in concepts)
    return {"either": np.maximum(a, b), "last": c, "all": np.maximum(a, b) * c}


def _of_xor(scores: np.ndarray, concepts: Sequence[int]) -> dict[str, np.ndarray]:
    a, b = (_seen(scores, one) for one in concepts)
    return {"one": a * (1 - b) + b * (1 - a), "both": a * b, "none": (1 - a) * (1 - b)}


_MEASURES = {"not": _of_not, "nested": _of_nested, "xor": _of_xor}


def _first(scores: np.ndarray, concept: int) -> np.ndarray:
    """1 where a concept has the highest of the scores [count, concepts], else 0; float64 [count]."""
    return top_share(torch.from_numpy(scores), torch.full((len(scores),), concept), 1).double().numpy()


def _seen(scores: np.ndarray, concept: int) -> np.ndarray:
    """1 where a concept's probability by the scores [count, concepts] is at least SEEN, else 0; float64 [count]."""
    return (torch.from_numpy(scores).softmax(1)[:, concept] >= SEEN).double().numpy()


def sheet_runs(settings: Settings) -> list[tuple[str, list[LogicRun]]]:
    """What the contact sheet shows: a title and the runs of each line."""
    (kept, negated), (a, b, c) = settings.not_pairs[0], settings.nested
    titles = {
        "not/kept": kept,
        "not/negative": f"{kept}, negative prompt {negated}",
        "not/plain": f"{kept} but not {negated}",
        "not/corrected": "corrected, groups of 4",
        "nested/plain": f"({a} or {b}) and {c}",
        "nested/corrected": "corrected, groups of 4",
        "xor/plain": f"{a} xor {b}",
        "xor/corrected": "corrected, groups of 4",
    }
    shown = []
    for row, title in titles.items():
        runs = runs_of(row, settings)
        more = [replace(runs[0], seed=settings.seed + index) for index in range(SHEET_COLUMNS)]
        shown.append((title, more if _group(row) == "not" else runs))
    return shown


def sheet_parts(settings: Settings) -> RowParts:
    """The sheet's runs, to be made where they are not there yet."""
    wanted = []
    for _, runs in sheet_runs(settings):
        wanted += [(run, settings) for run in runs[: _runs_shown(settings)]]
    return RowParts("sheet, logic", wanted, _kept, make_run)


def _runs_shown(settings: Settings) -> int:
    return math.ceil(SHEET_COLUMNS / settings.seeds)


def contact_sheet(settings: Settings, path: Path) -> None:
    """A line of pictures for each of `sheet_runs`, which must be there; a PNG of 256 colours."""
    label, side = 210, SHEET_SIDE
    lines = sheet_runs(settings)
    sheet = Image.new("RGB", (label + SHEET_COLUMNS * side, len(lines) * (side + 2)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for line, (title, runs) in enumerate(lines):
        top = line * (side + 2)
        draw.text((4, top + side // 2 - 8), title, fill="black", font=font)
        pictures: list[np.ndarray] = []
        for run in runs[: _runs_shown(settings)]:
            with np.load(run.file(settings)) as stored:
                pictures += list(stored["pictures"])
        for column, picture in enumerate(pictures[:SHEET_COLUMNS]):
            small = Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(small, (label + column * side, top))
    buffer = io.BytesIO()
    sheet.quantize(256).save(buffer, "PNG", optimize=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())
