"""Many processes and threads on one library at once, as tabs, servers and commands are: nobody loses or waits for long.

Each thread has a tag of its own on each run, which it changes again and again; beside that runs go into the bin and
come back, are searched, and the index is made anew. At the end each run has the last tag that each thread was told is
kept, and the index says what the folders say.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import shutil
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from superdiff_engine.errors import RecordError
from superdiff_engine.library import Library, Query
from superdiff_engine.library import index as index_module

from .ledger import Ledger
from .library import furnished, reading
from .mutate import generator

#: Processes, threads of each, copies of runs.
PROCESSES, THREADS, COPIES = 3, 3, 40
#: Seconds that a question may take where everybody writes at once: far below SQLite's patience.
LONGEST = 10.0


class Measured(sqlite3.Connection):
    """A connection that notes for how long the index is held for writing."""

    longest = 0.0
    _begun = 0.0

    def execute(self, *given: Any) -> sqlite3.Cursor:
        """As every connection's."""
        found = super().execute(*given)
        if given[0] == "BEGIN IMMEDIATE":
            self._begun = time.monotonic()
        elif given[0] == "COMMIT":
            Measured.longest = max(Measured.longest, time.monotonic() - self._begun)
        return found


def _process(number: int, folder: Path, seconds: float, seed: int, answers: Any) -> None:
    connect = sqlite3.connect
    index_module.sqlite3.connect = lambda *given, **more: connect(*given, factory=Measured, **more)  # type: ignore
    told: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=_thread, args=(f"{number}-{each}", folder, seconds, seed, told))
        for each in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.put([one | {"held": Measured.longest} for one in told])


def _thread(name: str, folder: Path, seconds: float, seed: int, told: list[dict[str, Any]]) -> None:
    rng = random.Random(f"{seed}/{name}")
    library = Library(folder)  # its own, as a server has one and a command another
    tags: dict[str, str] = {}
    counts: Counter[str] = Counter()
    longest: dict[str, float] = {}
    problem, end = "", time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            what = rng.choice(["label"] * 4 + ["find"] * 4 + ["refresh", "refresh", "delete", "counts", "reindex"])
            if what == "reindex" and rng.random() < 0.8:
                continue
            started = time.monotonic()
            with suppress(RecordError):  # lies in the bin just now
                _act(what, library, rng, name, tags)
                counts[what] += 1
            longest[what] = max(longest.get(what, 0.0), time.monotonic() - started)
    except Exception as error:
        problem = f"{name}, {what}: {type(error).__name__} {error}"
    told.append({"name": name, "tags": tags, "counts": counts, "longest": longest, "problem": problem})


def _act(what: str, library: Library, rng: random.Random, name: str, tags: dict[str, str]) -> None:
    if what == "refresh":
        library.refresh()
    elif what == "find":
        library.find(Query(text="ring", most=20))
    elif what == "counts":
        library.counts()
    elif what == "reindex":
        library.reindex()
    else:
        runs = sorted(path.name for path in library.folder.iterdir() if path.name.startswith("copy"))
        if not runs:
            return
        id = rng.choice(runs)
        if what == "delete":
            library.restore(library.delete([id]))
            return
        tag = f"{name} {rng.randrange(10**6)}"
        library.label(id, add=[tag], remove=[tags[id]] if id in tags else [])
        tags[id] = tag


def check(seed: int, seconds: int, command: str) -> list[Ledger]:
    """All at once, for so many seconds."""
    ledger, started = Ledger("library, crowd", command, PROCESSES * THREADS), time.monotonic()
    rng = generator(seed, 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "library"
        folder.mkdir()
        runs = [path for path in sorted(furnished().iterdir()) if (path / "samples.npz").is_file()]
        for number in range(COPIES):
            shutil.copytree(rng.choice(runs), folder / f"copy-{number}")
        shutil.rmtree(furnished(), ignore_errors=True)
        furnished.cache_clear()
        context = multiprocessing.get_context("fork")
        answers = context.SimpleQueue()
        processes = [
            context.Process(target=_process, args=(number, folder, seconds, seed, answers))
            for number in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        told = [one for _ in processes for one in answers.get()]
        for process in processes:
            process.join()
        ledger.failures = [(0, problem) for problem in _problems(folder, told)]
    acts: Counter[str] = sum((one["counts"] for one in told), Counter())
    ledger.outcomes = {f"acts: {what}": count for what, count in sorted(acts.items())}
    for what in ("find", "label", "refresh"):
        ledger.figures[f"longest {what}, s"] = round(max(one["longest"].get(what, 0.0) for one in told), 2)
    ledger.figures["longest hold of the index for writing, s"] = round(max(one["held"] for one in told), 3)
    if ledger.figures["longest find, s"] > LONGEST:
        ledger.failures.append((0, f"a question took {ledger.figures['longest find, s']} s"))
    ledger.seconds = time.monotonic() - started
    return [ledger]


def _problems(folder: Path, told: list[dict[str, Any]]) -> list[str]:
    """What was lost, and what was said that must not be."""
    problems = [one["problem"] for one in told if one["problem"]]
    found = reading(folder)
    for one in told:
        for id, tag in one["tags"].items():
            there = found[id]["labels"].get("tags", ()) if id in found else ()
            kept = [other for other in there if other.startswith(f"{one['name']} ")]
            if kept != [tag]:
                problems.append(f"{id} has {kept}, and {tag!r} was kept last")
    library = Library(folder)
    library.refresh()
    before = [library.find(Query(part_of=None, binned=binned)) for binned in (False, True)]
    library.reindex()
    if before != [library.find(Query(part_of=None, binned=binned)) for binned in (False, True)]:
        problems.append("the index made anew says something else")
    if before[0].total + before[1].total != COPIES or len(found) != COPIES:
        problems.append(f"{before[0].total} and {before[1].total} of {COPIES} are listed, {len(found)} lie there")
    tags = {entry.id: json.dumps(sorted(entry.labels.tags)) for entry in before[0].entries}
    if any(json.dumps(sorted(found[id]["labels"].get("tags", ()))) != kept for id, kept in tags.items()):
        problems.append("the index has other tags than the folders")
    return problems
