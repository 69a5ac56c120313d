"""Tables of results: what `superdiff evaluate NAME` writes to docs/tables/NAME.json, and the README's made from them.

Fractions are between 0 and 1, errors are standard errors, names are lower case with underscores.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..compose import CoinFlip
from ..errors import OutputError, SuperDiffError
from ..sampling import side_generator
from ..system.files import write_whole
from ..system.workers import Workers

TABLES = Path("docs") / "tables"
#: Where parts of tables are kept, by a hash of all that decides them.
CACHE = Path.home() / ".cache" / "superdiff" / "evaluation"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Value(_Strict):
    """A figure and its standard error (None where there is none, as for a count)."""

    value: float
    error: float | None = Field(None, ge=0)


class Row(_Strict):
    """One line: how many samples, the seconds that they took, and figures by name; `weights` is a digest of those of
    its models, where a table says so.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)*$")
    weights: str | None = None
    samples: int = Field(ge=0)
    seconds: float = Field(ge=0)
    values: dict[str, Value]


class Table(_Strict):
    """What docs/tables/NAME.json holds."""

    command: str
    seeds: list[int]
    steps: int | None = None
    notes: str = ""
    rows: list[Row]

    def row(self, name: str) -> Row:
        """The row called `name`; raises KeyError."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)


def write_table(table: Table, path: Path) -> None:
    """Write a table whole or not at all; raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {path.parent} cannot be written: {error.strerror}.") from None
    write_whole(path, (json.dumps(table.model_dump(exclude_none=True), indent=1) + "\n").encode())


def read_table(path: Path) -> Table:
    """Read a table; raises SuperDiffError with one sentence when it is missing or is no table."""
    try:
        return Table.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError:
        raise SuperDiffError(f"There is no table {path}; 'superdiff evaluate {path.stem}' makes it.") from None
    except ValidationError:
        raise SuperDiffError(f"{path} is no table; 'superdiff evaluate {path.stem}' makes it again.") from None


def with_known_rows(table: Table, path: Path, weights: Mapping[str, str | None]) -> Table:
    """`table` with the rows that it lacks from the one at `path`, where that was made in the very same way.

    So a table of hours can be made row by row, on machines that share no cache.

    Args:
        table: with the rows that are there now; they win.
        path: of the earlier table; it may be missing, or of something else.
        weights: of all rows that there may be, in their order: what `Row.weights` must be to be taken over.
    """
    try:
        known = read_table(path)
    except SuperDiffError:
        return table
    if known.model_copy(update={"rows": []}) != table.model_copy(update={"rows": []}):
        return table
    kept = [row for row in known.rows if row.name in weights and row.weights == weights[row.name]]
    rows = {row.name: row for row in (*kept, *table.rows)}
    return table.model_copy(update={"rows": [rows[name] for name in weights if name in rows]})


@dataclass(frozen=True)
class Column:
    """One column of figures: its key in the JSON, its title, and how a figure is written."""

    key: str
    title: str
    digits: int = 2
    percent: bool = False

    def text(self, value: Value | None) -> str:
        """The figure with its error, "9.10 ± 0.30" or "50% ± 1%"; empty where there is none."""
        if value is None:
            return ""
        scale, unit = (100, "%") if self.percent else (1, "")
        written = f"{value.value * scale:.{self.digits}f}{unit}"
        return written if value.error is None else f"{written} ± {value.error * scale:.{self.digits}f}{unit}"


@dataclass(frozen=True)
class Layout:
    """How a table is shown: columns, titles of rows by name, and the paper's figures beside ours.

    Attributes:
        paper: text by row name, one for each of `paper_columns`; "" where the paper has no figure.
        source: name of the JSON file, where it is not the layout's own.
        rows: names of the rows that are shown; None for all.
    """

    columns: list[Column]
    row_titles: dict[str, str] = field(default_factory=dict)
    paper_columns: list[str] = field(default_factory=list)
    paper: dict[str, list[str]] = field(default_factory=dict)
    source: str | None = None
    rows: tuple[str, ...] | None = None


def markdown_table(table: Table, layout: Layout) -> str:
    """The table in Markdown, one line a row, followed by the command that makes it and its notes.

    Columns that are empty in all of its rows are left out.
    """
    rows = [row for row in table.rows if layout.rows is None or row.name in layout.rows]
    columns = [column for column in layout.columns if any(column.key in row.values for row in rows)]
    nothing = [""] * len(layout.paper_columns)
    papers = {row.name: layout.paper.get(row.name, nothing) for row in rows}
    shown = [place for place in range(len(nothing)) if any(paper[place] for paper in papers.values())]
    titles = ["", *(column.title for column in columns), *(layout.paper_columns[place] for place in shown)]
    lines = [_line(titles), _line(["---"] * len(titles))]
    for row in rows:
        figures = [column.text(row.values.get(column.key)) for column in columns]
        paper = [papers[row.name][place] for place in shown]
        lines.append(_line([layout.row_titles.get(row.name, row.name), *figures, *paper]))
    return "\n".join([*lines, "", f"`{table.command}` {table.notes}".rstrip()])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def update_readme(path: Path, layouts: Mapping[str, Layout], tables: Path | None = None) -> bool:
    """Write every table between its markers `<!-- table:NAME -->` and `<!-- /table -->` anew.

    Args:
        path: a Markdown file.
        layouts: how each table is shown, by its name.
        tables: the folder of the JSON files; None for docs/tables beside `path`.

    Returns:
        Whether the file was changed.

    Raises:
        SuperDiffError: for a table that is missing or has no layout.
    """
    folder = path.parent / TABLES if tables is None else tables

    def fill(match: re.Match[str]) -> str:
        name = match[2]
        if name not in layouts:
            raise SuperDiffError(f"{path.name} asks for a table '{name}'; there are {', '.join(layouts)}.")
        table = read_table(folder / f"{layouts[name].source or name}.json")
        return f"{match[1]}\n{markdown_table(table, layouts[name])}\n{match[3]}"

    before = path.read_text(encoding="utf-8")
    pattern = r"(<!-- table:([a-z0-9_]+) -->).*?(<!-- /table -->)"
    after = re.sub(pattern, fill, before, flags=re.DOTALL)
    if after != before:
        write_whole(path, after.encode())
    return after != before


def chosen_rows(rows: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The rows that were asked for, None for all; raises SuperDiffError for one that does not exist."""
    for row in rows or ():
        if row not in known:
            raise SuperDiffError(f"There is no row '{row}'; choose from {', '.join(known)}.")
    return list(known if rows is None else rows)


def coin_flips(batch: int, seed: int) -> np.ndarray:
    """Whether each of a run's `batch` samples falls to the first of two experts, by the operator CoinFlip; boolean."""
    flip = CoinFlip()
    flip.start(2, batch, side_generator(seed))
    return flip.weights(torch.zeros(2, batch), None)[0].numpy() > 0


def make_missing(
    row: str,
    wanted: Sequence[tuple[Any, ...]],
    is_there: Callable[..., bool],
    make: Callable[..., None],
    pool: Executor | None,
    progress: Callable[[str], None],
) -> None:
    """Make the parts of a row that are not there yet, in `pool` or here, saying after each how long the rest takes.

    Args:
        row: its name, for the reports.
        wanted: the arguments of `is_there` and `make` for every part; what a pool gets must be picklable.
        is_there: whether a part is kept already.
        make: makes a part and keeps it.
        pool: of processes; None to work here.
        progress: takes a line after every part.
    """
    todo = [arguments for arguments in wanted if not is_there(*arguments)]
    started = time.monotonic()
    if pool is None:
        parts: Iterator[Callable[[], Any]] = (partial(make, *arguments) for arguments in todo)
    else:
        parts = (future.result for future in as_completed([pool.submit(make, *arguments) for arguments in todo]))
    for done, finish in enumerate(parts, start=1):
        finish()
        left = (time.monotonic() - started) / done * (len(todo) - done)
        progress(f"{row}: {len(wanted) - len(todo) + done} of {len(wanted)} chunks, {left:.0f} s to go")


def start_pool(workers: int) -> AbstractContextManager[Workers | None]:
    """Processes that share the cores: small networks use two cores better as two processes than as two threads.

    None for a single worker: the work is then done here.
    """
    if workers == 1:
        return nullcontext()
    return Workers(workers, max(1, (os.cpu_count() or 1) // workers))
