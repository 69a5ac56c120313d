"""The index of the library: SQLite, so that thousands of runs are found without opening their folders.

It holds nothing that the folders do not: whenever it is damaged, of another version or in doubt, it is made anew. Every
call opens the file, answers and closes it, so that nobody waits for anybody who thinks.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import OutputError
from .entry import Entry, search_form

#: The file beside the runs' folders.
INDEX = "index.sqlite3"
#: Raised whenever a table or what an entry holds changes; another number means another index.
_VERSION = 2
#: Seconds that a writer waits for another one.
_PATIENCE = 20.0
#: Words of a search that are conditions of their own.
_MOST_WORDS = 50
#: What else than its content can be wrong with an index: SQLite's primary codes.
_OUTSIDE = (
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_AUTH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISUSE,
)  # fmt: skip
#: No cell of a grid that is listed as one; any other stands for itself, also where its grid lies elsewhere or is gone.
_ALONE = (
    "(part_of = '' OR NOT EXISTS (SELECT 1 FROM runs AS grids WHERE grids.id = runs.part_of AND grids.kind = 'grid' "
    "AND grids.part_of = '' AND grids.binned = runs.binned))"
)
_TABLES = """
CREATE TABLE runs (
    id TEXT NOT NULL, binned INTEGER NOT NULL, stamp INTEGER NOT NULL, settled INTEGER NOT NULL, kind TEXT NOT NULL,
    state TEXT NOT NULL, domain TEXT NOT NULL, operator TEXT NOT NULL, part_of TEXT NOT NULL, began REAL NOT NULL,
    seconds REAL NOT NULL, samples INTEGER NOT NULL, bytes INTEGER NOT NULL, star INTEGER NOT NULL, name TEXT NOT NULL,
    words TEXT NOT NULL, entry TEXT NOT NULL, PRIMARY KEY (binned, id)
) WITHOUT ROWID;
CREATE INDEX runs_began ON runs (binned, began);
CREATE INDEX runs_part ON runs (part_of, binned, began);
CREATE INDEX runs_counted ON runs (part_of, binned, domain, operator, state, star, bytes);
CREATE TABLE tags (
    tag TEXT NOT NULL, id TEXT NOT NULL, binned INTEGER NOT NULL, typed TEXT NOT NULL, PRIMARY KEY (tag, binned, id)
) WITHOUT ROWID;
CREATE TABLE thumbnails (id TEXT NOT NULL PRIMARY KEY, stamp INTEGER NOT NULL, picture BLOB NOT NULL) WITHOUT ROWID;
"""

Sort = Literal["newest", "oldest", "name", "largest", "longest"]
_ORDERS: dict[str, str] = {
    "newest": "began DESC, id DESC",
    "oldest": "began, id",
    "name": "name COLLATE NOCASE, began DESC, id",
    "largest": "bytes DESC, began DESC, id",
    "longest": "seconds DESC, began DESC, id",
}
SORTS: tuple[Sort, ...] = ("newest", "oldest", "name", "largest", "longest")


@dataclass(frozen=True)
class Query:
    """What of the library is asked for; left out, everything that is not in the bin and no grid's cell.

    Attributes:
        text: words that all must be in an entry's name, note, tags, prompts, models or title, in any order.
        domains, operators, states: those that an entry may have; empty for any.
        tags: that an entry must have, all of them.
        star: whether only entries with a star are meant.
        part_of: the id of the grid whose cells are meant; "" for entries that are none; None for both.
        binned: whether what lies in the bin is meant.
        sort: the order.
        start: how many entries to pass over; most: how many to give, None for all.
    """

    text: str = ""
    domains: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    star: bool = False
    part_of: str | None = ""
    binned: bool = False
    sort: Sort = "newest"
    start: int = 0
    most: int | None = None


@dataclass(frozen=True)
class Found:
    """The answer to a query: a page of entries, how many there are in all, and the bytes that all of them take."""

    entries: list[Entry]
    total: int
    bytes: int


@dataclass(frozen=True)
class Known:
    """What the index knows of a folder: the time of its last change as it was read, and whether that is all of it."""

    stamp: int
    settled: bool


class IndexLost(OutputError):
    """The index was damaged and has been removed: whoever asked brings it up to date, and asks again."""


class Index:
    """The index in a file; safe to use from any thread and any process at once.

    Args:
        path: of the file; made when it is not there, and made anew when it is damaged or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _open(self, write: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection while this lasts.

        Raises:
            IndexLost: where the index was damaged.
            OutputError: where it cannot be used.
        """
        try:
            with self._connected(write) as connection:
                yield connection
        except sqlite3.Error as error:
            if _is_damage(error):
                raise self._lost() from error
            raise OutputError(
                f"The library's index {self.path} cannot be used ({error}); free space there, or choose another folder "
                "for the library."
            ) from error

    def _lost(self) -> IndexLost:
        """What to raise where the index was damaged; it is removed."""
        self.drop()
        return IndexLost(f"The library's index {self.path} was damaged and is made anew; look again in a moment.")

    @contextmanager
    def _connected(self, write: bool) -> Iterator[sqlite3.Connection]:
        connection = self._ready()
        try:
            if write:
                connection.execute("BEGIN IMMEDIATE")
            yield connection
            if write:
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise
        finally:
            connection.close()

    def _ready(self) -> sqlite3.Connection:
        """A connection to an index of this version."""
        for again in (True, False):
            connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
            try:
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version == _VERSION:
                    # What is lost with the power is read from the folders again.
                    connection.execute("PRAGMA synchronous = OFF")
                    return connection
                if version == 0:
                    self._make(connection)
                    return connection
            except sqlite3.OperationalError:
                connection.close()
                raise
            except sqlite3.DatabaseError:
                if not again:
                    connection.close()
                    raise
            connection.close()
            self.drop()
        raise sqlite3.DatabaseError("it is of another version, and cannot be removed")

    def _make(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have made it meanwhile.
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")

    def clear(self) -> None:
        """Forget all entries and pictures."""
        with self._open(write=True) as connection:
            for table in ("runs", "tags", "thumbnails"):
                connection.execute(f"DELETE FROM {table}")

    def drop(self) -> None:
        """Remove the file, which is damaged or of another version; the next call makes an empty one."""
        try:
            for ending in ("", "-journal"):
                self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"The library's index {self.path} is damaged and cannot be removed: {error.strerror or error}. Remove "
                "it yourself, or choose another folder for the library."
            ) from error

    def known(self) -> dict[tuple[str, bool], Known]:
        """All that is in the index, by id and whether it lies in the bin."""
        with self._open() as connection:
            rows = connection.execute("SELECT id, binned, stamp, settled FROM runs").fetchall()
        return {(id, bool(binned)): Known(stamp, bool(settled)) for id, binned, stamp, settled in rows}

    def put(self, entries: Iterable[tuple[Entry, Known]], gone: Iterable[tuple[str, bool]] = ()) -> None:
        """Take in entries as they are now, and forget those that are gone (id, whether it lay in the bin)."""
        gone = list(gone)
        with self._open(write=True) as connection:
            for id, binned in gone:
                self._forget(connection, id, binned)
            for entry, known in entries:
                self._forget(connection, entry.id, entry.binned)
                row: dict[str, Any] = {
                    "id": entry.id, "binned": entry.binned, "stamp": known.stamp, "settled": known.settled,
                    "kind": entry.kind, "state": entry.state, "domain": entry.domain, "operator": entry.operator,
                    "part_of": entry.part_of, "began": entry.began, "seconds": entry.seconds, "samples": entry.samples,
                    "bytes": entry.bytes, "star": entry.labels.star, "name": entry.name, "words": entry.words,
                    "entry": entry.to_json(),
                }  # fmt: skip
                marks = ", ".join(f":{name}" for name in row)
                connection.execute(f"INSERT INTO runs ({', '.join(row)}) VALUES ({marks})", row)
                tags = [(search_form(tag), entry.id, entry.binned, tag) for tag in entry.labels.tags]
                connection.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?, ?, ?)", tags)
            connection.executemany(
                "DELETE FROM thumbnails WHERE id = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = thumbnails.id)",
                [(id,) for id, _ in gone],
            )

    @staticmethod
    def _forget(connection: sqlite3.Connection, id: str, binned: bool) -> None:
        for table in ("runs", "tags"):
            connection.execute(f"DELETE FROM {table} WHERE id = ? AND binned = ?", (id, binned))

    def entry(self, id: str, binned: bool = False) -> Entry | None:
        """The entry with this id; None where there is none."""
        with self._open() as connection:
            row = connection.execute("SELECT entry FROM runs WHERE id = ? AND binned = ?", (id, binned)).fetchone()
        return None if row is None else self._entries([row])[0]

    def entries(self, ids: Iterable[str], binned: bool = False) -> list[Entry]:
        """The entries with these ids, in their order; those that are not there are left out."""
        wanted = list(dict.fromkeys(ids))
        with self._open() as connection:
            rows = connection.execute(
                "SELECT entry FROM runs WHERE binned = ? AND id IN (SELECT value FROM json_each(?))",
                (binned, json.dumps(wanted)),
            ).fetchall()
        found = {entry.id: entry for entry in self._entries(rows)}
        return [found[id] for id in wanted if id in found]

    def _entries(self, rows: list[tuple[str]]) -> list[Entry]:
        try:
            return [Entry.from_json(row[0]) for row in rows]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._lost() from error

    def find(self, query: Query) -> Found:
        """The entries that a query asks for."""
        where, values = _conditions(query)
        most = -1 if query.most is None else query.most
        order = _ORDERS[query.sort]
        with self._open() as connection:
            total, size = connection.execute(
                f"SELECT count(*), coalesce(sum(bytes), 0) FROM runs WHERE {where}", values
            ).fetchone()
            rows = connection.execute(
                f"SELECT entry FROM runs WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?",
                [*values, most, query.start],
            ).fetchall()
        return Found(self._entries(rows), total, size)

    def counts(self, binned: bool = False) -> dict[str, dict[str, int]]:
        """How many entries have each domain, operator, state and tag, without cells of grids."""
        found: dict[str, dict[str, int]] = {}
        with self._open() as connection:
            for name in ("domain", "operator", "state"):
                found[name] = dict(
                    connection.execute(
                        f"SELECT {name}, count(*) FROM runs WHERE binned = ? AND {_ALONE} AND {name} != '' GROUP BY 1",
                        (binned,),
                    ).fetchall()
                )
            found["tag"] = dict(
                connection.execute(
                    "SELECT min(typed), count(*) FROM tags JOIN runs USING (id, binned) "
                    f"WHERE binned = ? AND {_ALONE} GROUP BY tag ORDER BY 2 DESC, 1",
                    (binned,),
                ).fetchall()
            )
        return found

    def thumbnails(self, wanted: Iterable[tuple[str, int]]) -> dict[str, bytes]:
        """The small pictures that were kept of entries, by id, each as it was at the time that is given with the id."""
        stamps = dict(wanted)
        marks = ", ".join("?" * len(stamps))
        with self._open() as connection:
            rows = connection.execute(
                f"SELECT id, stamp, picture FROM thumbnails WHERE id IN ({marks})", list(stamps)
            ).fetchall()
        return {id: bytes(picture) for id, stamp, picture in rows if stamps[id] == stamp}

    def keep_thumbnails(self, pictures: Iterable[tuple[str, int, bytes]]) -> None:
        """Keep small pictures, each with the id of its entry and the time of its source in nanoseconds."""
        with self._open(write=True) as connection:
            connection.executemany("INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?)", list(pictures))


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether an error is of what the index holds, which can be made anew."""
    if isinstance(error, (sqlite3.InterfaceError, sqlite3.ProgrammingError)):
        return False
    code: int = vars(error).get("sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # a text that is none has no code
    return code & 0xFF not in _OUTSIDE


def _conditions(query: Query) -> tuple[str, list[Any]]:
    where: list[str] = ["binned = ?"]
    values: list[Any] = [query.binned]
    if query.part_of == "":
        where.append(_ALONE)
    elif query.part_of is not None:
        where.append("part_of = ?")
        values.append(query.part_of)
    if query.star:
        where.append("star = 1")
    for name, wanted in (("domain", query.domains), ("operator", query.operators), ("state", query.states)):
        if wanted:
            where.append(f"{name} IN ({', '.join('?' * len(wanted))})")
            values += wanted
    for tag in query.tags:
        where.append("id IN (SELECT id FROM tags WHERE tag = ? AND tags.binned = runs.binned)")
        values.append(search_form(tag))
    words = list(dict.fromkeys(search_form(query.text).split()))
    for word in words[:_MOST_WORDS]:
        where.append("instr(words, ?) > 0")
        values.append(word)
    if words[_MOST_WORDS:]:  # in one value: a statement holds no more
        where.append("NOT EXISTS (SELECT 1 FROM json_each(?) AS word WHERE instr(runs.words, word.value) = 0)")
        values.append(json.dumps(words[_MOST_WORDS:], ensure_ascii=False))
    return " AND ".join(where), values
