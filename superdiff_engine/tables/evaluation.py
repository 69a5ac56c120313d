"""The evaluation of a domain: its settings, how its tables are shown, and how they are made, row by row."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from ..system.workplaces.choice import opens_at
from ..system.workplaces.workplace import Workplace
from .markdown import Layout
from .pool import make_missing, start_pool
from .table import Row, Table, chosen_rows, with_known_rows, write_table

#: Of an evaluation: a frozen dataclass with a default for each field.
Settings = TypeVar("Settings")
#: What is said where models are named to an evaluation that takes none.
OF_NAMED_MODELS = (
    "--models is for FrameDiff and Proteus (superdiff evaluate proteins) and for LDMol's molecules from text "
    "(superdiff evaluate smiles); '{name}' has the embedded models, so leave it out there."
)
#: Takes one line at a time.
Say = Callable[[str], None]


@dataclass(frozen=True)
class RowParts:
    """What a row is made from, in chunks.

    Attributes:
        label: for reports.
        wanted: the arguments of `kept` and `make` for every chunk; picklable.
        kept: the file in which a chunk is kept, once it is made; as `make` a module's function, which other processes
            find by its name.
        make: makes a chunk and keeps it.
        device: that makes the chunks; one that processes cannot share makes them in this process, one after another.
    """

    label: str
    wanted: Sequence[tuple[Any, ...]]
    kept: Callable[..., Path]
    make: Callable[..., None]
    device: str = "cpu"

    def make_missing(self, place: Workplace, say: Say) -> None:
        """Make those that are not there yet, saying after each how long the rest takes."""
        make_missing(self.label, self.wanted, self.kept, self.make, place, say, self.device)


class RowMaker(ABC):
    """An evaluation at work with its settings; making one reports what is missing or damaged, in a sentence.

    Attributes:
        says_errors: whether a finished row is reported with its standard errors.
        says_seconds: whether it is with its seconds.
    """

    says_errors = True
    says_seconds = True

    @abstractmethod
    def parts(self, row: str) -> Sequence[RowParts]:
        """What the row is made from; empty for a row that needs no samples."""

    def measure(self, row: str, pool: Workplace, say: Say) -> None:  # noqa: B027, most rows need nothing of it
        """Work out what `table` reads, where that is kept."""

    @abstractmethod
    def table(self, row: str) -> Table:
        """The table that the row belongs to, with all rows that are there."""

    @abstractmethod
    def path(self, row: str) -> Path:
        """The JSON file of that table."""

    def weights(self) -> Mapping[str, str] | None:
        """The digests by which rows of the earlier file are known (`with_known_rows`); None where none are kept."""
        return None

    def finish(self, pool: Workplace, say: Say) -> Sequence[Path]:
        """What follows the last row; the files that it wrote."""
        return []

    def line(self, row: Row) -> str:
        """A finished row, for the report."""
        said = ", ".join(
            f"{name} {value.value:.3f}"
            + (f" +- {value.error:.3f}" if self.says_errors and value.error is not None else "")
            for name, value in row.values.items()
        )
        return f"{row.name}: {said}" + (f"; {row.seconds:.0f} s" if self.says_seconds else "")


class Evaluation(ABC, Generic[Settings]):
    """What `superdiff evaluate NAME` measures; a domain that has one offers it as EVALUATION in its evaluate.py.

    Attributes:
        settings: a frozen dataclass; its fields with the metadata of `option` are the command's options.
        layouts: how tables are shown, by their names in Markdown.
    """

    settings: ClassVar[type[Any]]
    layouts: ClassVar[Mapping[str, Layout]]

    @property
    @abstractmethod
    def rows(self) -> Sequence[str]:
        """The names of all rows of the usual settings, in their order."""

    def rows_of(self, settings: Settings) -> Sequence[str]:
        """The names of the rows that there are with these settings, in their order; raises SuperDiffError."""
        return self.rows

    @abstractmethod
    def begin(self, settings: Settings, asked: Sequence[str], out: Path | None, workers: int) -> RowMaker:
        """What makes the rows.

        Args:
            settings: what all rows share.
            asked: the names of the rows to be made.
            out: the JSON file; None for the usual one.
            workers: processes that sample side by side.

        Raises:
            ModelError: when a model is missing or damaged.
            SuperDiffError: for settings that cannot be.
            FileNotFoundError: when data are not there.
        """

    def run(
        self,
        settings: Settings,
        rows: Sequence[str] | None = None,
        out: Path | None = None,
        say: Say = print,
        workers: int | None = None,
        ray: str | None = None,
    ) -> list[Path]:
        """Make (or go on with) the tables, and write them after every row, with all finished rows of these settings.

        Args:
            settings: what all rows share.
            rows: names as in `rows_of`; None for all.
            out: the JSON file; None for the usual one in docs/tables.
            say: takes one line at a time.
            workers: processes that sample chunks side by side, sharing the CPU's cores; None for one a core.
            ray: the address of a Ray cluster that samples the chunks instead, "auto" for a local one; what is measured
                of them is measured here.

        Returns:
            The files that were written.

        Raises:
            ModelError: when a model is missing or damaged.
            SuperDiffError: for a row that does not exist, or settings that cannot be.
            FileNotFoundError: when data are not there.
            OutputError: when a file cannot be written.
        """
        asked = chosen_rows(rows, self.rows_of(settings))
        workers = (os.cpu_count() or 1) if workers is None else workers
        written: dict[Path, None] = {}
        opens = opens_at(ray, lambda stopped: start_pool(workers))
        with opens(lambda: False) as place, nullcontext(place) if place.shares_disk else start_pool(workers) as pool:
            maker = self.begin(settings, asked, out, place.workers)
            for row in asked:
                for parts in maker.parts(row):
                    parts.make_missing(place, say)
                maker.measure(row, pool, say)
                table, path, weights = maker.table(row), maker.path(row), maker.weights()
                if weights is not None:
                    table = with_known_rows(table, path, weights)
                write_table(table, path)
                written[path] = None
                say(maker.line(table.row(row)))
            sheets = maker.finish(pool, say)
        return [*written, *sheets]
