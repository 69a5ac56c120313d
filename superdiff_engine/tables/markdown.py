"""Tables in Markdown, and the pages that are filled with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import SuperDiffError
from ..system.files import write_whole
from .table import TABLES, Table, Value, read_table


@dataclass(frozen=True)
class Column:
    """One column of values: its key in the JSON, its title, and how a value is written."""

    key: str
    title: str
    digits: int = 2
    percent: bool = False

    def text(self, value: Value | None) -> str:
        """The value with its error, "9.10 ± 0.30" or "50% ± 1%"; empty where there is none."""
        if value is None:
            return ""
        scale, unit = (100, "%") if self.percent else (1, "")
        written = f"{value.value * scale:.{self.digits}f}{unit}"
        return written if value.error is None else f"{written} ± {value.error * scale:.{self.digits}f}{unit}"


@dataclass(frozen=True)
class Layout:
    """How a table is shown: columns, titles of rows by name, and the paper's values beside ours.

    Attributes:
        paper: text by row name, one for each of `paper_columns`; "" where the paper has no value.
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
        values = [column.text(row.values.get(column.key)) for column in columns]
        paper = [papers[row.name][place] for place in shown]
        lines.append(_line([layout.row_titles.get(row.name, row.name), *values, *paper]))
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
