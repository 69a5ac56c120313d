"""Ctrl+C, SIGTERM and SIGHUP at any moment: what there is is kept, nothing left behind, and the exit code says so."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

RECIPE = {
    "domain": "plane",
    "experts": [{"model": "ring"}, {"model": "grid"}],
    "levels": {"steps": 10_000},
    "batch": 256,
}
#: Begins like the command, with one thing made slow, and says when it is there.
SLOW = """
import sys, time
from superdiff_engine.cli import app as cli
from superdiff_engine.domains.plane import Plane
before = getattr(Plane, {name!r})
def slow(*arguments):
    print("there", flush=True)
    time.sleep({seconds})
    return before(*arguments)
setattr(Plane, {name!r}, slow)
sys.argv = ["superdiff", *sys.argv[1:]]
cli.main()
"""
POOL = """
import sys, time
from superdiff_engine.system import interrupts
from superdiff_engine.tables.pool import make_missing
from superdiff_engine.system.workplaces.processes import Processes
from superdiff_engine.system.files import write_whole
from pathlib import Path
import multiprocessing, os

class Slow:
    def __init__(self, folder): self.folder = folder
    def __call__(self, number):
        import superdiff_engine.system.files as files
        real = os.fsync
        def fsync(file):
            (Path(self.folder) / f"pid{{number}}").write_text(str(os.getpid()))
            time.sleep(60)
        files.os.fsync = fsync
        write_whole(Path(self.folder) / f"chunk{{number}}", b"x")

if __name__ == "__main__":
    interrupts.catch_signals()
    try:
        with interrupts.on_signal(interrupts.break_off), Processes(2) as pool:
            make_missing("row", [(0,), (1,)], lambda number: Path({folder!r}) / "none", Slow({folder!r}), pool, print)
    except interrupts.Interrupted:
        sys.exit(interrupts.exit_code())
"""
TRAINING = """
import sys
from pathlib import Path
from superdiff_engine.cli import app as cli
from superdiff_engine.domains.pictures import train as garments
from superdiff_engine.training.task import TrainingPlan
from superdiff_engine.training.trainer import train
from test_training import PlaneTask

class Told(PlaneTask):
    def draw(self, generator):
        print("there", flush=True)
        return super().draw(generator)

def trained(training, options, report):
    train(Told(), TrainingPlan(minutes=10, checkpoint_minutes=10), Path({checkpoint!r}))

garments.GarmentTraining.train = trained
sys.argv = ["superdiff", "train", "garments_a"]
cli.main()
"""


@pytest.fixture
def begin(tmp_path):
    """Starts the command, or a script in its place; what still runs at the end is killed."""
    started = []
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))

    def call(*arguments, script=None):
        code = ["-m", "superdiff_engine.cli.app"] if script is None else [str(script)]
        command = [sys.executable, *code, *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        tests = Path(__file__).parents[1]
        paths = os.pathsep.join([str(tests), str(tests / "training"), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": paths}
        started.append(subprocess.Popen(command, text=True, start_new_session=True, env=environment, **pipes))
        return started[-1]

    yield call
    for process in started:
        process.kill()
        process.communicate()


def written(tmp_path, text):
    path = tmp_path / "script.py"
    path.write_text(text)
    return path


def until(condition, seconds=120):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come to that"
        time.sleep(0.02)


def state(folder):
    return json.loads((folder / "status.json").read_text())


def left_behind(folder):
    return [str(path) for path in folder.rglob("*.partial")]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_run_as_a_cancel_does(begin, tmp_path, name):
    number, out = getattr(signal, name), tmp_path / "out"
    script = written(tmp_path, SLOW.format(name="component_levels", seconds=0))
    process = begin("sample", tmp_path / "recipe.json", "--out", out, script=script)
    assert process.stdout.readline() == "there\n"
    time.sleep(0.3)
    process.send_signal(number)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "Traceback" not in errors
    found = state(out)
    assert found["state"] == "cancelled" and 0 < found["levels"] < 10_001
    assert f"Cancelled at step {found['levels'] - 1}" in said
    with np.load(out / "samples.npz") as stored:
        assert stored["samples_x"].shape == (256, 2) and np.isfinite(stored["samples_x"]).all()
    assert {path.name for path in out.iterdir()} >= {"recipe.json", "trace.parquet", "preview.png", "run.log"}
    assert not left_behind(out)


def test_a_signal_breaks_off_the_loading(begin, tmp_path):
    script = written(tmp_path, SLOW.format(name="prepare", seconds=60))
    process = begin("sample", tmp_path / "recipe.json", "--out", tmp_path / "out", script=script)
    assert process.stdout.readline() == "there\n"
    process.terminate()
    said, errors = process.communicate(timeout=30)
    assert process.returncode == 143 and "Traceback" not in errors and "nothing was made" in said
    assert state(tmp_path / "out")["state"] == "cancelled"


def test_a_signal_while_saving_lets_it_be_saved(begin, tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE | {"levels": {"steps": 5}}))
    script = written(tmp_path, SLOW.format(name="preview_png", seconds=1.5))
    process = begin("sample", tmp_path / "recipe.json", "--out", tmp_path / "out", script=script)
    assert process.stdout.readline() == "there\n"
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in errors  # nothing was left to be cancelled
    assert state(tmp_path / "out")["state"] == "done" and (tmp_path / "out" / "preview.png").is_file()


def test_imports_end_at_once_and_make_nothing(begin, tmp_path):
    process = begin("sample", tmp_path / "recipe.json", "--out", tmp_path / "out")
    # typer is imported after the signals were taken care of, torch long after it.
    maps = Path(f"/proc/{process.pid}/maps")
    until(lambda: "libtorch" in maps.read_text() or "numpy" in maps.read_text())
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and len(errors.splitlines()) == 1 and "interrupted" in errors
    assert not (tmp_path / "out").exists()


def test_a_second_interrupt_ends_at_once_with_nothing_half_written(begin, tmp_path):
    text = SLOW.format(name="preview_png", seconds=60)
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE | {"levels": {"steps": 5}}))
    process = begin("sample", tmp_path / "recipe.json", "--out", tmp_path / "out", script=written(tmp_path, text))
    assert process.stdout.readline() == "there\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130 and "Traceback" not in errors
    assert not (tmp_path / "out" / "status.json").exists() and not left_behind(tmp_path / "out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_processes_of_an_evaluation_end_with_it(begin, tmp_path, number):
    """In the midst of their chunks, and of writing them; a Ctrl+C reaches the whole group, as in a terminal."""
    process = begin(script=written(tmp_path, POOL.format(folder=str(tmp_path))))
    pids = [tmp_path / f"pid{place}" for place in (0, 1)]
    until(lambda: all(path.is_file() and path.read_text() for path in pids))
    assert len(left_behind(tmp_path)) == 2
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), errors
    assert "Traceback" not in errors
    until(lambda: not any(Path(f"/proc/{path.read_text()}").exists() for path in pids), 10)
    assert not left_behind(tmp_path) and not list(tmp_path.glob("chunk*"))


def test_a_grid_keeps_the_finished_cells(begin, tmp_path):
    command = ("grid", tmp_path / "recipe.json", "--x", "steps=3,10000", "--out", tmp_path / "grid.png")
    process = begin(*command)
    until(lambda: (tmp_path / "grid.png").is_file())
    process.terminate()
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 143 and "Cancelled: 1 of 2 cells" in said and "Traceback" not in errors
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG") and not left_behind(tmp_path)


def test_a_training_keeps_its_checkpoint(begin, tmp_path):
    checkpoint = tmp_path / "task.ckpt"
    process = begin(script=written(tmp_path, TRAINING.format(checkpoint=str(checkpoint))))
    for _ in range(20):  # a step each
        assert process.stdout.readline() == "there\n"
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143 and "Traceback" not in errors and "goes on from there" in errors
    stored = torch.load(checkpoint, weights_only=True)
    assert stored["progress"]["step"] >= 20 and stored["progress"]["minutes"] > 0
    assert not left_behind(tmp_path)
