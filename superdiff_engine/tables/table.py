"""Tables of results: what `superdiff evaluate NAME` writes to docs/tables/NAME.json.

Fractions are between 0 and 1, errors are standard errors, names are lower case with underscores.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import OutputError, SuperDiffError
from ..system.files import write_whole

TABLES = Path("docs") / "tables"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Value(_Strict):
    """A measured value and its standard error (None where there is none, as for a count)."""

    value: float
    error: float | None = Field(None, ge=0)


class Row(_Strict):
    """One line: how many samples, the seconds that they took, and values by name; `weights` is a digest of those of its
    models, where a table says so.
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


def chosen_rows(rows: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The rows that were asked for, None for all; raises SuperDiffError for one that does not exist."""
    for row in rows or ():
        if row not in known:
            raise SuperDiffError(f"There is no row '{row}'; choose from {', '.join(known)}.")
    return list(known if rows is None else rows)


def kept_row(path: Path, make: Callable[[], Row]) -> Row:
    """The row that is kept at `path`; one that is not there yet is made and kept."""
    if not path.is_file():
        row = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, row.model_dump_json().encode())
        return row
    return Row.model_validate_json(path.read_bytes())
