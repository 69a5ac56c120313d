"""`superdiff sample` killed at random moments, into fresh and used folders: what stays there belongs together."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from superdiff_engine.domains.checked import make_recipe, parse_recipe
from superdiff_engine.domains.picture_files import RECIPE_CHUNK
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.run import Run

from .ledger import ROOT, Broken, Ledger, check_sentence, walk
from .mutate import generator
from .recipes import check_record

#: Half of the kills are without warning.
SIGNALS = [signal.SIGKILL] * 4 + [signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGINT]
#: Seconds that a run may take to end after a signal that it can heed.
PATIENCE = 30.0
FOLDERS = ["fresh", "fresh", "used", "half"]


def _recipe(seed: int, steps: int, batch: int = 64) -> Recipe:
    experts = [{"model": "ring"}, {"model": "grid"}]
    levels = {"steps": steps}
    return make_recipe({"domain": "plane", "experts": experts, "levels": levels, "batch": batch, "seed": seed})


#: What the folder held before; what is killed; what is run there after that.
OLD, NEW, NEXT = _recipe(1, 5), _recipe(2, 300, 2048), _recipe(3, 2)


def command(recipe: Path, out: Path, *options: str) -> list[str]:
    """The command line that is killed."""
    return [sys.executable, "-m", "superdiff_engine.cli.app", "sample", str(recipe), "--out", str(out), *options]


def start(recipe: Path, out: Path, *options: str) -> subprocess.Popen:
    """The command in a session of its own, so that its children can be found."""
    paths = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(recipe, out, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_heed,
        env=environment,
        text=True,
    )


def _heed() -> None:
    """Signals as in a terminal: nohup and background jobs hand on that they are ignored."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


@cache
def usual() -> tuple[float, float]:
    """Seconds until a run's folder is there, and until the run has ended, when nobody kills it."""
    with tempfile.TemporaryDirectory() as name:
        recipe, out = Path(name) / "recipe.json", Path(name) / "out"
        recipe.write_text(NEW.to_json())
        started = time.monotonic()
        process = start(recipe, out)
        while not (out / "recipe.json").is_file() and process.poll() is None:
            time.sleep(0.01)
        begun = time.monotonic() - started
        said = process.communicate(timeout=300)[0]
        if process.returncode:
            raise Broken(f"an undisturbed run ends with {process.returncode}: {said}")
        return begun, time.monotonic() - started


def check_kill(seed: int, number: int) -> str:
    """Kill one run; what it leaves belongs together, and the next run there is whole."""
    rng = generator(seed, number)
    kind, way = rng.choice(FOLDERS), rng.choice(SIGNALS)
    begun, ended = usual()
    # Half of them at any moment, half of them once there is something to lose.
    moment = rng.uniform(0, ended * 1.02) if rng.random() < 0.4 else rng.uniform(0, (ended - begun) * 1.1)
    at_once = moment > ended - begun or rng.random() < 0.4
    with tempfile.TemporaryDirectory() as name:
        recipe, out = Path(name) / "recipe.json", Path(name) / "out"
        recipe.write_text(NEW.to_json())
        _furnish(out, kind)
        before = _contents(out)
        process = start(recipe, out, *([] if kind == "fresh" else ["--replace"]))
        if not at_once:
            _wait_for_change(out, before, process)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(way)
        said = ""
        try:
            said = process.communicate(timeout=PATIENCE)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Broken(f"{kind}, {way.name}: still there {PATIENCE:g} s after the signal") from None
        where = f"{kind}, {way.name} after {moment:.2f} s, exit code {process.returncode}"
        try:
            outcome = check_leftovers(out, process.returncode, way, before, said)
            if children := _session(process.pid):
                raise Broken(f"children left: {children}")
            _next_start(out)
        except Broken as broken:
            raise Broken(f"{where}: {broken}") from None
        return f"{way.name}: {outcome}"


def _furnish(out: Path, kind: str) -> None:
    """A folder with the whole record of another run ("used"), or what a killed one leaves ("half")."""
    if kind == "fresh":
        return
    Run(OLD, out, previews=False).execute()
    if kind == "half":
        (out / "status.json").unlink()
        (out / ".samples.npz.0123abcd.partial").write_bytes(b"half")


def _contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()} if out.is_dir() else {}


def _wait_for_change(out: Path, before: dict[str, bytes], process: subprocess.Popen) -> None:
    """Until the run has written its recipe."""
    while process.poll() is None:
        try:
            if (out / "recipe.json").read_bytes() != before.get("recipe.json"):
                return
        except OSError:
            pass
        time.sleep(0.005)


def check_leftovers(out: Path, code: int, way: signal.Signals, before: dict[str, bytes], said: str) -> str:
    """What a run that was sent a signal leaves, in a word or two; raises Broken."""
    soft = way != signal.SIGKILL
    if soft and code not in (0, 128 + way, -way):
        raise Broken(f"another exit code: {said[-300:]}")
    if soft and "Traceback" in said:
        raise Broken(f"a traceback: {said[-300:]}")
    if soft and (partial := [path.name for path in out.rglob("*.partial") if path.name not in before]):
        raise Broken(f"left behind: {partial}")
    now = _contents(out)
    if now == before:
        return "nothing was touched"
    recipe = parse_recipe(now["recipe.json"]) if "recipe.json" in now else None
    status = json.loads(now["status.json"]) if "status.json" in now else None
    if recipe is None and ({"samples.npz", "trace.parquet", "preview.png"} & now.keys() or status):
        raise Broken(f"a record without a recipe: {sorted(now)}")
    if "samples.npz" in now:
        with np.load(out / "samples.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if parse_recipe(str(arrays["recipe"])) != recipe:
            raise Broken("samples.npz is of another recipe than recipe.json")
    if "trace.parquet" in now:
        samples = pq.read_table(out / "trace.parquet")["sample"].to_numpy().max() + 1
        if recipe is not None and samples > recipe.batch:
            raise Broken("trace.parquet is of another run")
    if "preview.png" in now:
        with Image.open(out / "preview.png") as picture:
            picture.load()
            if parse_recipe(picture.text[RECIPE_CHUNK]) != recipe:
                raise Broken("preview.png is of another recipe than recipe.json")
    if status is None:
        if soft and code == 128 + way and recipe == NEW:
            raise Broken(f"a run that ended by a signal keeps no status: {sorted(now)}, {said[-200:]}")
        return "a record that does not say done"
    named = re.search(r"run (\S+)", now.get("run.log", b"").decode())
    if named and named[1] != status["id"]:
        raise Broken("run.log and status.json are of two runs")
    if status["state"] == "done" and not {"samples.npz", "trace.parquet"} <= now.keys():
        raise Broken("done, without samples")
    # The signal may come when all is done.
    if soft and recipe == NEW and status["state"] not in ("cancelled", "done"):
        raise Broken(f"status.json says {status['state']}: {status['message']}")
    return f"a whole record that says {status['state']}" if recipe == NEW else "the record that was there before"


def _session(leader: int) -> list[str]:
    """Processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append((path.parent / "cmdline").read_text().replace("\0", " "))
        except (OSError, ValueError, IndexError):
            continue
    return found


def _next_start(out: Path) -> None:
    """Another run into the same folder: refused where a record is, and whole when it may replace that."""
    kept = _contents(out)
    if "recipe.json" in kept:
        try:
            Run(NEXT, out, previews=False).execute()
        except SuperDiffError as error:
            check_sentence(str(error).replace(str(out), "DIR"))
        else:
            raise Broken("the next run mixes with the record that is there")
        if any(kept.get(name) != content for name, content in _contents(out).items()):
            raise Broken("a run that is refused changes the record that is there")
    run = Run(NEXT, out, previews=False, replace=True)
    run.execute()
    check_record(run)
    if run.state != "done":
        raise Broken(f"the next run is {run.state}: {run.message}")


def check(seed: int, numbers: list[int], given: str) -> list[Ledger]:
    """All kills."""
    usual()
    return [walk(Ledger("kills", given), numbers, lambda number: check_kill(seed, number), limit=180)]
