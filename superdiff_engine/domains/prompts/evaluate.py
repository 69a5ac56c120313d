r"""The paper's Tables 2 and A2 for emoji: `superdiff evaluate prompts`.

A picture x of the pair of concepts (a, b) gets two scores from a judge, log p(a | x) and log p(b | x) in nats:

    lower       min of the two     what AND should raise: both concepts are seen        (arXiv 2412.17762, Table 2)
    difference  |one - other|      what OR should keep large: one concept, not a blend  (Table A2)
    maximum     max of the two     ... and that one is seen clearly                     (Table A2)

The judge is the embedded concept classifier (judge/) or a CLIP model from a folder, whose scores are 100 times cosines,
as in the paper. Every pair is sampled from its own seed, the same in all rows, so rows are paired picture by picture.
The 20 pairs are what varies: all standard errors are those of the mean over pairs, of rows and of differences.

A row is made in runs (one pair, or 32 concepts), kept in ~/.cache/superdiff/evaluation by a hash of all that decides
them: an interrupted evaluation goes on where it was, and a run that two rows need is made once. A coin flip takes,
sample by sample, what either prompt alone makes of the same noise, so its row is picked from these.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from ...errors import SuperDiffError
from ...system.devices import check_dtype
from ...system.files import write_whole
from ...system.workplaces.workplace import Workplace
from ...tables.evaluation import Evaluation, RowMaker, RowParts, Say
from ...tables.markdown import Column, Layout
from ...tables.table import TABLES, Row, Table
from . import logic
from .domain import EMBEDDED, find_model
from .judge.classifier import load_classifier
from .judge.judges import ClassifierJudge, ClipJudge, Judge
from .pipeline import load_text_to_image
from .table_rows import RowReader
from .table_runs import HELD_DOWN_TO, SINGLES, Settings, pair_runs, parts_of, runs_of

#: In the order of their need: what the rest is compared with comes first.
ROWS = (*SINGLES, "and", "and_early", "average", "joint", "joint_reversed", "overlay", "or", "coin_flip", "joint_or")
STEPS = (20, 50, 100, 250)
#: AND against the number of steps, with the ridge and by the paper's exact system.
STUDY = (*(f"{kind}/{steps}" for kind in ("and", "and_exact") for steps in STEPS), "and_ridge_100/50")
SHEET = Path("docs") / "images" / "prompts_pairs.png"
#: Pixels of a picture on the contact sheet.
SHEET_SIDE = 96
_TITLES = {
    "single": "one prompt alone",
    "single_held_out": "one prompt alone, captions never trained on",
    "and": "**AND**",
    "and_early": f"**AND** down to s = {HELD_DOWN_TO:g}, then average",
    "average": "average",
    "joint": 'joint prompt "a cat that looks like a dog"',
    "joint_reversed": 'joint prompt "a dog that looks like a cat"',
    "overlay": "double exposure: the mean of both prompts' pictures, pixel by pixel",
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
    }
    | {"and_ridge_100/50": "AND, ridge 100 nats, 50 steps"},
)
LAYOUTS = {"prompts": LAYOUT, "prompts_clip": LAYOUT, "prompts_steps": STEPS_LAYOUT, **logic.LAYOUTS}


class PromptRows(RowMaker):
    """Makes the rows of all tables of prompts."""

    def __init__(self, settings: Settings, judge: Judge, asked: Sequence[str], out: Path, workers: int) -> None:
        self.settings, self.judge, self.out, self.workers = settings, judge, out, workers
        self.reader = RowReader(settings, judge)
        self.of_logic = [row for row in asked if row in logic.ROWS]
        self.of_pairs = len(self.of_logic) < len(asked)
        self.logic = logic.LogicReader(settings, judge) if self.of_logic else None

    def parts(self, row: str) -> list[RowParts]:
        if row in self.of_logic:
            return [logic.parts_of(row, self.settings)]
        return [parts_of(row, runs_of(row, self.settings, self.judge.concepts), self.settings)]

    def table(self, row: str) -> Table:
        if self.logic is not None and row in self.of_logic:
            return self.logic.table(self.workers)
        return _table(self.reader, ROWS if row in ROWS else STUDY, self.workers)

    def path(self, row: str) -> Path:
        if row in ROWS:
            return self.out
        return self.out.with_stem(f"{self.out.stem}_{'logic' if row in self.of_logic else 'steps'}")

    def finish(self, pool: Workplace, say: Say) -> list[Path]:
        if not self.settings.sheet:
            return []
        sheets = []
        if self.of_pairs:
            for kind in _SHEET_COLUMNS:
                parts_of(f"sheet, {kind}", pair_runs(kind, self.settings), self.settings).make_missing(pool, say)
            contact_sheet(self.reader, SHEET)
            sheets.append(SHEET)
        if self.of_logic:
            logic.sheet_parts(self.settings).make_missing(pool, say)
            logic.contact_sheet(self.settings, logic.SHEET)
            sheets.append(logic.SHEET)
        return sheets


class PromptEvaluation(Evaluation[Settings]):
    """The tables of prompts: the first; beside it, with "_steps" in its name, the study of the number of steps; with
    "_logic" NOT, XOR and nested formulas.
    """

    settings = Settings
    layouts = LAYOUTS

    @property
    def rows(self) -> Sequence[str]:
        return (*ROWS, *STUDY, *logic.ROWS)

    def begin(self, settings: Settings, asked: Sequence[str], out: Path | None, workers: int) -> PromptRows:
        if settings.dtype not in ("float32", "bfloat16"):
            raise SuperDiffError(f"Tables are made in float32 or bfloat16, not in '{settings.dtype}'.")
        check_dtype(settings.dtype, "cpu")
        # What is damaged is said here, and not by a worker.
        load_text_to_image(find_model(settings.model), "cpu", settings.dtype)
        scorer, clip = load_classifier(), settings.clip
        judge: Judge = ClassifierJudge(scorer) if clip is None else ClipJudge(clip, scorer.concepts)
        usual = TABLES / f"prompts{'' if clip is None else '_clip'}.json"
        return PromptRows(settings, judge, asked, usual if out is None else out, workers)


#: What the registry of domains finds.
EVALUATION = PromptEvaluation()


def _table(reader: RowReader, names: Sequence[str], workers: int) -> Table:
    settings = reader.settings
    rows = [row for name in names if (row := reader.row(name, workers)) is not None]
    # Without the rows' names the command would make the main table's rows instead.
    chosen = f" --steps {settings.steps}" if names is ROWS else "".join(f" --row {row.name}" for row in rows)
    chosen += f" --guidance {settings.guidance:g}"
    chosen += "" if settings.dtype == Settings().dtype else f" --dtype {settings.dtype}"
    chosen += "" if settings.model == EMBEDDED else f" --model {settings.model}"
    some = settings.samples < len(reader.judge.concepts)
    chosen += f" --samples {settings.samples}" if some else ""
    chosen += "" if settings.style is None else f' --style "{settings.style}"'
    ending = "" if settings.style is None else f'; every prompt ends in ", {settings.style}"'
    chosen += "" if settings.clip is None else f" --clip {settings.clip.name}"
    return Table(
        command=f"superdiff evaluate prompts --seeds {settings.seeds}{chosen}",
        seeds=[settings.seed + index for index in range(len(settings.pairs))],
        steps=settings.steps if names is ROWS else None,
        notes=" ".join(
            [
                reader.judge.notes,
                f"{len(settings.pairs)} pairs, {settings.seeds} pictures each, from the same noise in all rows; "
                f"guidance {settings.guidance:g}, ancestral steps, trapezoidal Ito estimator, {settings.dtype}"
                f"{ending}. "
                "Errors of scores are standard errors over the pairs' means.",
                *(_comparisons(reader, rows) if names is ROWS else _enough_steps(reader, rows)),
                f"Seconds are wall clock with {workers} process{'' if workers == 1 else 'es'} of one thread.",
            ]
        ),
        rows=rows,
    )


def _comparisons(reader: RowReader, rows: Sequence[Row]) -> list[str]:
    """The paired differences of AND's lower score, and what the row of single prompts holds."""
    made = {row.name for row in rows}
    said = []
    titles = {"average": "average", "joint": "joint prompt", "joint_reversed": "joint prompt reversed"}
    early = f"AND down to s = {HELD_DOWN_TO:g}"
    for row, title, others in (("and", "AND", titles), ("and_early", early, {"and": "AND to the end"} | titles)):
        gains = [
            f"{other_title} {gain.value:+.2f}" + ("" if gain.error is None else f" ± {gain.error:.2f}")
            for other, other_title in others.items()
            if {row, other} <= made and (gain := reader.gain(row, other))
        ]
        if gains:
            said.append(f"{title}'s lower score minus, picture by picture: {', '.join(gains)}.")
    if "single" in made:
        said.append("Single prompts: top-1 and top-5 of concepts drawn once each; scores of the pairs' prompts alone.")
    return said


def _enough_steps(reader: RowReader, rows: Sequence[Row]) -> list[str]:
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


def contact_sheet(reader: RowReader, path: Path) -> None:
    """One row a pair: each prompt alone, AND from several seeds, average, joint prompt; all runs must be there."""
    label, header, gap, side = 190, 18, 6, SHEET_SIDE
    kinds = {kind: [reader.pictures(one) for one in pair_runs(kind, reader.settings)] for kind in _SHEET_COLUMNS}
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
