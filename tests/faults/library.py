"""A library whose server is killed at random moments, and just before any operation on any of its files.

The server is a process that holds the studio's `Jobs` on a library's folder: it computes runs and a grid, and what
users of its pages do goes on beside them: labels, the bin, searches, a new index. It says what it has done in a
journal that is no part of the library. Once it is dead, the folders are read by means of their own (`reading`), and
what the library says of them must agree with that, with the journal, and with samples of the same recipes made by hand.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from studio.jobs import Jobs
from superdiff_engine.domains.checked import make_recipe, parse_recipe
from superdiff_engine.errors import RecordError, SuperDiffError
from superdiff_engine.library import Entry, Library, Query
from superdiff_engine.library import index as index_module
from superdiff_engine.library.archive import export_zip, import_zip
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.axes import parse_axis
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.run import Run
from superdiff_engine.system import files

from .ledger import Broken, Ledger, check_sentence, walk
from .mutate import generator

#: What happens on a drive, as Python's auditing has it, what to call it, and before which of them a server is killed at
#: the latest; SQLite's statements are counted beside these.
_EVENTS = {
    "open": ("a file is opened", 400),
    "os.rename": ("a file or folder is moved", 60),
    "os.remove": ("a file is removed", 30),
    "os.rmdir": ("a folder is removed", 2),
    "os.mkdir": ("a folder is made", 8),
    "os.utime": ("a lock is dated", 8),
    "fcntl.flock": ("a lock is taken", 200),
    "sqlite": ("a statement of the index", 400),
}
_RUNS, _KILLS = 5, 3


def recipe(number: int) -> Recipe:
    """One of a few recipes; some take a moment."""
    levels = {"steps": (3, 8, 40)[number % 3]}
    experts = [{"model": "ring"}, {"model": "grid"}]
    return make_recipe(
        {"domain": "plane", "experts": experts, "levels": levels, "batch": (4, 256)[number % 2], "seed": number}
    )


@cache
def by_hand(document: str) -> dict[str, np.ndarray]:
    """The samples of a recipe, made in memory."""
    result = Run(parse_recipe(document), previews=False).execute()
    assert result is not None
    return result.samples


@cache
def furnished() -> Path:
    """A library of three runs, and a grid of two cells, made once."""
    folder = Path(tempfile.mkdtemp(prefix="superdiff-furnished-"))
    for number in range(3):
        run = Run(recipe(number), previews=False)
        run.folder = folder / run.id
        run.execute()
    _grid(folder).execute()
    return folder


@cache
def packed() -> tuple[bytes, frozenset[str]]:
    """A zip of two runs that are in no library yet, and their ids."""
    with tempfile.TemporaryDirectory() as name:
        library, ids = Library(Path(name)), []
        for number in (1, 4):
            run = Run(recipe(number), previews=False)
            run.folder = library.folder / run.id
            run.execute()
            ids.append(run.id)
        buffer = io.BytesIO()
        export_zip(library, ids, buffer)
        return buffer.getvalue(), frozenset(ids)


def _grid(folder: Path) -> Sweep:
    sweep = Sweep(recipe(0), parse_axis("temperature=0.5,1"), cells=folder)
    sweep.folder = folder / sweep.id
    return sweep


def reading(folder: Path) -> dict[str, dict[str, Any]]:
    """What the folders of a library say, read without the library: by name, each file whole or Broken is raised.

    Each has "binned", "state" ("done", "cancelled", "failed", "interrupted"; "" for what holds no run), "labels",
    "bytes", "files", "part_of".
    """
    found: dict[str, dict[str, Any]] = {}
    own = {"bin", "queue", "index.sqlite3", "index.sqlite3-journal"}
    for binned, place in ((False, folder), (True, folder / "bin")):
        for path in place.iterdir() if place.is_dir() else ():
            if path.name.startswith(".") or (not binned and path.name in own):
                continue
            if path.name in found:
                raise Broken(f"{path.name} lies in the library and in its bin")
            found[path.name] = {"binned": binned, **_folder(path)}
    return found


def _folder(path: Path) -> dict[str, Any]:
    names = {one.name: one for one in path.iterdir() if not one.name.startswith(".")}
    documents = {}
    for name, one in names.items():
        try:
            if one.suffix == ".json":
                documents[name] = json.loads(one.read_bytes())
            elif one.suffix == ".npz":
                with np.load(one, allow_pickle=False) as stored:
                    arrays = {key: stored[key] for key in stored.files}
                if name == "samples.npz" and json.loads(str(arrays["recipe"])) != documents_of(path, "recipe.json"):
                    raise ValueError("of another recipe")
            elif one.suffix == ".parquet":
                pq.read_table(one)
            elif one.suffix == ".png":
                with Image.open(one) as picture:
                    picture.load()
        except Exception as error:
            raise Broken(f"{path.name}/{name} is not whole: {type(error).__name__} {error}") from None
    status = documents.get("status.json", {})
    state = status.get("state", "interrupted")
    if (
        state == "done"
        and "grid.json" not in names
        and not {"samples.npz", "trace.parquet", "recipe.json"} <= set(names)
    ):
        raise Broken(f"{path.name} is done, and has only {sorted(names)}")
    return {
        "state": state,
        "labels": documents.get("labels.json", {}),
        "bytes": sum(one.stat().st_size for one in path.iterdir()),
        "files": sorted(names),
        "part_of": documents.get("begun.json", {}).get("part_of", ""),
    }


def documents_of(path: Path, name: str) -> Any:
    """A JSON file of a folder."""
    return json.loads((path / name).read_bytes())


class Journal:
    """What a server has done, line by line, in a file that outlives it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def say(self, **what: Any) -> None:
        """Add a line, which is there when this returns."""
        with self._lock, self.path.open("a") as file:
            file.write(json.dumps(what) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """All lines."""
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.is_file() else []


def serve(folder: Path, journal: Journal, rng: random.Random, before: str | None) -> None:
    """What the process does that is killed; it never returns.

    Args:
        folder: of the library.
        journal: takes what was done.
        rng: of the case.
        before: the kind of event before which the process kills itself; None waits for somebody else.
    """
    if before is not None:
        _kill_before(before, rng.randint(1, _EVENTS[before][1]), folder, journal)
    jobs = Jobs(folder)
    library = jobs.library
    assert library is not None
    asked = []
    for _ in range(_RUNS):
        asked.append(jobs.submit(recipe(rng.randrange(6))))
        journal.say(asked=asked[-1].id)
    if rng.random() < 0.4:
        jobs.submit_grid(Sweep(recipe(0), parse_axis("temperature=0.5,1")), asked[0].id)
    said = set()
    while True:
        for job in asked:
            if job.finished and job.id not in said and job.run.state == "done":
                said.add(job.id)
                journal.say(done=job.id)
        with suppress(RecordError):  # what was deleted, or is at work
            _act(library, journal, rng)
        if len(said) == _RUNS and rng.random() < 0.05:
            asked.append(jobs.submit(recipe(rng.randrange(6))))
            journal.say(asked=asked[-1].id)


def _act(library: Library, journal: Journal, rng: random.Random) -> None:
    library.refresh()
    entries = library.find(Query(part_of=None if rng.random() < 0.3 else "", binned=rng.random() < 0.3)).entries
    if not entries:
        return
    entry = rng.choice(entries)
    what = rng.choice(
        ["label", "label", "label", "delete", "delete", "restore", "reindex", "thumbnails", "empty", "import"]
    )
    if what == "label" and not entry.binned:
        name, tag = f"name {rng.randrange(10**6)}", f"tag {rng.randrange(5)}"
        journal.say(labelling=entry.id, name=name)
        library.label(entry.id, name=name, add=[tag], star=True)
        journal.say(labelled=entry.id, name=name)
    elif what == "import":
        for name in import_zip(library, io.BytesIO(packed()[0])).came.values():
            journal.say(done=name)
    # Those of the zip stay: one that lies in the bin comes in once more.
    elif what == "delete" and not entry.binned and entry.id not in packed()[1]:
        library.delete([entry.id])
    elif what == "restore" and entry.binned:
        library.restore([entry.id])
    elif what == "reindex":
        library.reindex()
    elif what == "thumbnails":
        library.thumbnails(entries)
    elif what == "empty" and entry.binned and rng.random() < 0.5:
        journal.say(emptying=entry.id)
        library.empty_bin([entry.id])


def _kill_before(kind: str, count: int, folder: Path, journal: Journal) -> None:
    """Have this process killed before it does one thing to the folder's files for this many times."""
    left = [count]

    def one() -> None:
        left[0] -= 1
        if left[0] == 0:
            journal.say(killed=_EVENTS[kind][0])
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(event: str, given: tuple[Any, ...]) -> None:
        # Those of locks and of files in folders that are removed name no path.
        if event == kind and (kind in ("fcntl.flock", "os.rmdir") or str(given[0]).startswith(str(folder))):
            one()

    class Counted(sqlite3.Connection):
        def execute(self, *given: Any) -> sqlite3.Cursor:
            one()
            return super().execute(*given)

    if kind != "sqlite":
        sys.addaudithook(heard)
        return
    connect = sqlite3.connect
    index_module.sqlite3.connect = lambda *given, **more: connect(*given, factory=Counted, **more)


def killed(folder: Path, journal: Journal, rng: random.Random) -> str:
    """Start a server in a process of its own, and have it killed; says how."""
    before = rng.choice(list(_EVENTS)) if rng.random() < 0.75 else None
    moment = rng.uniform(0.0, 2.0) if before is None else 4.0
    process = os.fork()
    if process == 0:
        try:
            torch.set_num_threads(1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            serve(folder, journal, random.Random(rng.random()), before)
        except BaseException as error:
            journal.say(broken=f"{type(error).__name__}: {error}")
        finally:
            os._exit(1)
    until = time.monotonic() + moment
    while time.monotonic() < until and not os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    said = [line["killed"] for line in journal.read() if "killed" in line]
    return f"before {said[-1]}" if before is not None and said else "at a random moment"


def check_kill(seed: int, number: int) -> str:
    """Kill a server three times on one library; after each, nothing is lost, and all say the same."""
    rng = generator(seed, number)
    with tempfile.TemporaryDirectory() as name:
        folder, journal = Path(name) / "library", Journal(Path(name) / "journal")
        if rng.random() < 0.7:
            shutil.copytree(furnished(), folder)
        there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        for _ in range(_KILLS):
            how = killed(folder, journal, rng)
            try:
                check_library(folder, journal.read(), there)
            except Broken as broken:
                raise Broken(f"killed {how}: {broken}") from None
    return how


def check_library(folder: Path, journal: list[dict[str, Any]], before: set[str]) -> list[Entry]:
    """Raise Broken unless a new server's library is what the folders and the journal say; its entries."""
    for said in journal:
        if "broken" in said:
            raise Broken(f"the server ended by itself: {said['broken']}")
    files._swept.clear()  # as in a process that has just begun
    jobs = Jobs(folder)
    library = jobs.library
    assert library is not None
    if not folder.is_dir():
        return []
    found = reading(folder)
    offered = {entry.key for entry in jobs.offered()}
    if jobs.kept is not None:
        jobs.kept.close()  # for the next server
    emptied = {said["emptying"] for said in journal if "emptying" in said}
    kept = (before | {said["done"] for said in journal if "done" in said}) - emptied
    if lost := kept - found.keys():
        raise Broken(f"lost: {sorted(lost)}")
    if gone := {said["asked"] for said in journal if "asked" in said} - emptied - found.keys() - offered:
        raise Broken(f"neither begun nor offered again: {sorted(gone)}")
    library.refresh()
    entries = _agreeing(library, found)
    anew = Library(folder)
    anew.reindex()
    if _agreeing(anew, found) != entries:
        raise Broken("the index made anew says something else")
    for entry in entries:
        if entry.state in ("running", "damaged", "newer", "foreign"):
            raise Broken(f"{entry.id} is {entry.state}: {entry.sentence} {found[entry.id]['files']}")
        if entry.state == "interrupted":
            check_sentence(entry.sentence)
        if entry.kind == "run" and not entry.binned:
            _check_run(library, entry)
    _check_labels(journal, {id: one for id, one in found.items() if id not in emptied})
    return entries


def _agreeing(library: Library, found: dict[str, dict[str, Any]]) -> list[Entry]:
    entries = [
        entry
        for binned in (False, True)
        for entry in library.find(Query(part_of=None, binned=binned, sort="oldest")).entries
    ]
    if [entry.id for entry in entries] != list(dict.fromkeys(entry.id for entry in entries)):
        raise Broken("an entry is listed twice")
    if {entry.id for entry in entries} != found.keys():
        raise Broken(f"listed and lying there differ: {sorted({entry.id for entry in entries} ^ found.keys())}")
    for entry in entries:
        one = found[entry.id]
        labels = one["labels"]
        said = (entry.binned, entry.state, entry.bytes, entry.part_of, entry.labels.name, list(entry.labels.tags))
        is_so = (
            one["binned"], one["state"], one["bytes"], one["part_of"], labels.get("name", ""), labels.get("tags", []),
        )  # fmt: skip
        if said != is_so:
            raise Broken(f"{entry.id}: the library says {said}, its folder {is_so}")
    return entries


def _check_run(library: Library, entry: Entry) -> None:
    """A run opens as what it is; one that is done has the samples of its recipe."""
    try:
        run = library.open(entry.id)
    except SuperDiffError as error:
        if "recipe.json" in entry.kept or entry.state != "interrupted":
            raise Broken(f"{entry.id}, {entry.state}, cannot be opened: {error}") from None
        return check_sentence(str(error).replace(str(library.folder), "DIR"))
    if run.record.notes and entry.state == "done":
        raise Broken(f"{entry.id} is done, and says {run.record.notes}")
    if entry.state == "done":
        samples = {} if run.result is None else run.result.samples
        wanted = by_hand(run.recipe.to_json())
        if samples.keys() != wanted.keys() or any((samples[name] != wanted[name]).any() for name in wanted):
            raise Broken(f"{entry.id} holds other samples than its recipe makes")
    return None


def _check_labels(journal: list[dict[str, Any]], found: dict[str, dict[str, Any]]) -> None:
    """The last name that was kept is there, or the one that was being kept when the server died."""
    allowed: dict[str, list[str]] = {}
    for said in journal:
        if "labelled" in said:
            allowed[said["labelled"]] = [said["name"]]
        if "labelling" in said:
            allowed.setdefault(said["labelling"], [""]).append(said["name"])
    for id, names in allowed.items():
        if id in found and found[id]["labels"].get("name", "") not in names:
            raise Broken(f"{id} is called {found[id]['labels'].get('name', '')!r}, and was called {names}")


def check(seed: int, numbers: list[int], command: str, case: Callable[[int, int], str] = check_kill) -> list[Ledger]:
    """All kills."""
    torch.set_num_threads(1)
    for number in range(6):
        by_hand(recipe(number).to_json())
    furnished()
    packed()
    try:
        ledger = walk(Ledger("library, kills", command), numbers, lambda number: case(seed, number), limit=240)
        ledger.figures["kills"] = _KILLS * len(numbers)
        return [ledger]
    finally:
        shutil.rmtree(furnished(), ignore_errors=True)
        furnished.cache_clear()
