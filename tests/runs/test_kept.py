"""What goes wrong outside the loop costs itself alone; what was made is kept, on disk or in memory, and it is said."""

import errno
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from studio.jobs import Jobs
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.picture_files import DecodedPictures
from superdiff_engine.domains.plane import GaussianMixture, Plane
from superdiff_engine.errors import OutputError, SuperDiffError
from superdiff_engine.runs import grid as grids
from superdiff_engine.runs import record
from superdiff_engine.runs.axes import parse_axis
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.run import Run
from superdiff_engine.system import files
from superdiff_engine.system.files import sweep_partials, write_whole
from superdiff_engine.system.memory import is_out_of_memory


def recipe(**change):
    document = {
        "domain": "plane",
        "experts": [{"model": "overlap_a"}, {"model": "overlap_b"}],
        "operator": {"name": "and"},
        "levels": {"steps": 20},
        "batch": 8,
    }
    return make_recipe(document | change)


def state(folder):
    return json.loads((folder / "status.json").read_text())


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


@pytest.fixture
def full(monkeypatch):
    """A disk that can be filled up: `full.append(1)`."""
    filled, real = [], os.fsync

    def fsync(descriptor):
        if filled:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return filled


@pytest.mark.parametrize("error", [ValueError("broken"), MemoryError(), RecursionError("deep")])
@pytest.mark.parametrize("part", ["preview", "decode", "notes", "preview_png"])
def test_what_fails_outside_the_loop_costs_itself_alone(tmp_path, monkeypatch, part, error):
    whole = Run(recipe()).execute()
    monkeypatch.setattr(Plane, part, raising(error))
    job = Run(recipe(), tmp_path / "run")
    result = job.execute()
    assert job.finished.is_set() and job.state == "done" and state(job.folder)["state"] == "done"
    with np.load(job.folder / "samples.npz") as stored:
        assert np.array_equal(stored["samples_x"], whole.samples["x"])
    assert np.array_equal(result.log_density, whole.log_density)
    assert len(job.notes) == 1
    log = (job.folder / "run.log").read_text()
    assert job.notes[0] in log


def test_an_exit_inside_the_saving_leaves_a_run_that_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(Plane, "preview_png", raising(SystemExit(3)))
    job = Run(recipe(), tmp_path / "run")
    with pytest.raises(SystemExit):
        job.execute()
    assert job.finished.is_set() and state(job.folder)["state"] == "done" and (job.folder / "samples.npz").is_file()


def test_a_decoder_of_nonsense_costs_what_it_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(Plane, "decode", lambda *_: DecodedPictures([object()]))
    job = Run(recipe(), tmp_path / "run")
    job.execute()
    with np.load(job.folder / "samples.npz", allow_pickle=False) as stored:
        assert np.isfinite(stored["samples_x"]).all() and "pictures" not in stored
    assert job.state == "done" and "could not be saved as they were decoded" in job.notes[0]


def test_the_worker_of_the_studio_outlives_whatever_a_job_raises(tmp_path, monkeypatch):
    jobs = Jobs(tmp_path)
    monkeypatch.setattr(Run, "_conclude", raising(KeyboardInterrupt()))
    broken = jobs.submit(recipe())
    assert broken.run.finished.wait(60)
    monkeypatch.undo()
    following = jobs.submit(recipe())
    assert following.run.finished.wait(60) and following.run.state == "done"
    monkeypatch.setattr(Run, "execute", raising(SystemExit()))
    gone = jobs.submit(recipe())
    assert gone.run.finished.wait(60) and gone.run.state == "failed" and gone.run.message


@pytest.mark.parametrize("where", ["a step", "loading"])
def test_memory_that_runs_out_is_a_sentence_with_the_sizes(monkeypatch, where):
    """With the very errors of torch and numpy: they are asked for a petabyte."""
    greedy = {"a step": lambda *_: torch.empty(2**50), "loading": lambda *_: np.zeros(2**50)}[where]
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        greedy()
    assert is_out_of_memory(caught.value)
    monkeypatch.setattr(*{"a step": (GaussianMixture, "score"), "loading": (Plane, "load")}[where], greedy)
    with pytest.raises(
        SuperDiffError, match=r"memory ran out with a batch of 8 samples; choose a smaller batch"
    ) as said:
        Run(recipe()).execute()
    assert "\n" not in str(said.value)


def test_the_sentence_names_the_size_of_samples_that_have_one(monkeypatch):
    proteins = recipe(domain="proteins", experts=[{"model": "proteins"}], operator={"name": "single"}, residues=256)
    monkeypatch.setattr(type(get_domain("proteins")), "prepare", lambda *_: torch.empty(2**50))
    with pytest.raises(SuperDiffError, match="8 samples of 256 residues; choose a smaller batch or fewer residues"):
        Run(proteins).execute()


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_memory_that_runs_out_elsewhere_is_known_too(error):
    assert is_out_of_memory(error) and not is_out_of_memory(ValueError(str(error)))


def test_a_disk_that_is_full_for_a_while_costs_nothing(tmp_path, monkeypatch, full):
    """At the copy of the trace that is made every 30 seconds; at the end there is room again."""
    monkeypatch.setattr(record, "CHECKPOINT_SECONDS", 0.0)
    job = Run(recipe(), tmp_path / "run")
    job.execute(lambda step: full.append(1) if step.index == 5 else full.clear() if step.index == 15 else None)
    assert job.state == "done" and not job.unsaved and state(job.folder)["state"] == "done"
    assert {"trace.parquet", "samples.npz", "preview.png", "run.log"} < {path.name for path in job.folder.iterdir()}


def test_what_does_not_fit_is_kept_and_saved_when_it_does(tmp_path, monkeypatch, full):
    monkeypatch.setattr("studio.jobs.SAVE_AGAIN", 0.05)
    jobs = Jobs(tmp_path)
    monkeypatch.setattr(Plane, "notes", lambda *_: full.append(1) or [])  # full when the run has ended
    job = jobs.submit(recipe())
    assert job.run.finished.wait(60) and job.run.state == "failed"
    assert "No space left" in job.run.message and "samples.npz" in job.run.message
    assert job.run.result.complete and job.run.unsaved
    folder = tmp_path / job.id
    assert not (folder / "status.json").exists() and (folder / "run.log").read_text().strip()
    monkeypatch.setattr(Plane, "notes", lambda *_: [])
    full.clear()
    limit = time.monotonic() + 30
    while (job.run.unsaved or job.run.state != "done") and time.monotonic() < limit:
        time.sleep(0.02)
    assert job.run.state == "done" and state(folder)["state"] == "done" and not job.run.message
    with np.load(folder / "samples.npz") as stored:
        assert np.array_equal(stored["samples_x"], job.run.result.samples["x"])


def test_a_grid_outlives_its_pictures_and_a_full_disk(tmp_path, monkeypatch, full):
    exact = Plane.preview_png
    monkeypatch.setattr(
        Plane, "preview_png", lambda self, result: 1 / 0 if result.recipe.seed == 1 else exact(self, result)
    )
    monkeypatch.setattr(grids, "CHECKPOINT_SECONDS", 0.0)
    grid = Sweep(recipe(), parse_axis("seed=0:3"), folder=tmp_path / "grid")
    grid.execute(lambda step: full.append(1) if grid.done == 0 else full.clear() if grid.done == 2 else None)
    assert (
        grid.state == "done" and state(tmp_path / "grid")["state"] == "done" and (tmp_path / "grid/grid.png").is_file()
    )
    # A cell without a picture has its numbers all the same.
    assert not grid.failures and "ZeroDivisionError" in grid.cells[0, 1] and grid.settled[0, 1].figures
    late = Sweep(recipe(), parse_axis("seed=0:2"), folder=tmp_path / "late")
    with pytest.raises(OutputError, match="kept in memory"):
        late.execute(lambda step: full.append(1))
    assert late.finished.is_set() and late.unsaved and len(late.cells) == 2
    full.clear()
    assert late.save_again() and late.state == "done" and state(tmp_path / "late")["state"] == "done"


def used(folder, **change):
    Run(recipe(**change), folder).execute()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_that_holds_a_record_is_refused_and_stays_as_it_is(tmp_path):
    before = used(tmp_path / "run")
    with pytest.raises(OutputError, match=r"holds the record of another run .*--replace"):
        Run(recipe(seed=1), tmp_path / "run").execute()
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize("ending", ["done", "failed", "killed"])
def test_a_record_is_replaced_whole(tmp_path, monkeypatch, ending):
    used(tmp_path / "run")
    (tmp_path / "run" / "mine.txt").write_text("stays")
    (tmp_path / "run" / ".samples.npz.01234567.partial").write_bytes(b"of a process that was killed")
    following = Run(recipe(seed=1), tmp_path / "run", replace=True)
    if ending == "killed":
        monkeypatch.setattr(record.Record, "save", raising(KeyboardInterrupt()))
        monkeypatch.setattr(Run, "_walk", raising(KeyboardInterrupt()))
    if ending == "failed":
        monkeypatch.setattr(Plane, "load", raising(SuperDiffError("no such model")))
    try:
        following.execute()
    except (SuperDiffError, KeyboardInterrupt):
        assert ending != "done"
    there = {path.name for path in (tmp_path / "run").iterdir()}
    assert not [name for name in there if name.endswith(".partial")]
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["seed"] == 1 and "mine.txt" in there
    if ending == "done":
        with np.load(tmp_path / "run" / "samples.npz") as stored:
            assert json.loads(str(stored["recipe"]))["seed"] == 1
        assert state(tmp_path / "run")["id"] == following.id
    else:
        assert not there & {"samples.npz", "preview.png", "trace.parquet"}
        assert ending == "killed" or state(tmp_path / "run")["state"] == "failed"
        assert "status.json" not in there or ending == "failed"


@pytest.mark.parametrize("out", ["n" * 300, "file", "file/below", "/proc/superdiff/run", "/dev/null"])
def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path, out):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written") as said:
        Run(recipe(), tmp_path / out).execute()
    assert "\n" not in str(said.value)
    with pytest.raises(OutputError, match="cannot be written"):
        Sweep(recipe(), parse_axis("seed=0:2")).execute(out=tmp_path / out / "grid.png")


def test_partial_files_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path):
    """A process that is killed while it writes; another one that is writing; and files that are nobody's."""
    writing = """
import os, sys, time
from pathlib import Path
from superdiff_engine.system.files import write_whole
def fsync(file):
    print("there", flush=True)
    time.sleep(60)
os.fsync = fsync
write_whole(Path(sys.argv[1]), b"x")
"""
    command = [sys.executable, "-c", writing, str(tmp_path / "samples.npz")]
    dead, living = (subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2))
    try:
        assert all(process.stdout.readline() for process in (dead, living))
        others = [tmp_path / "notes.partial", tmp_path / ".mine.partial", tmp_path / ".a.0123456x.partial"]
        for path in others:
            path.write_text("not ours")
        assert len(list(tmp_path.glob(".samples.npz.*.partial"))) == 2
        dead.kill()
        dead.wait()
        write_whole(tmp_path / "recipe.json", b"{}")
        assert len(list(tmp_path.glob(".samples.npz.*.partial"))) == 1
        assert all(path.exists() for path in others)
        living.kill()
        living.wait()
        sweep_partials(tmp_path)
        assert not list(tmp_path.glob(".samples.npz.*.partial"))
    finally:
        for process in (dead, living):
            process.kill()
            process.wait()
            process.stdout.close()


def test_the_studio_sweeps_what_a_killed_one_left(tmp_path):
    left = tmp_path / "20261126-120000-00000000" / ".samples.npz.01234567.partial"
    left.parent.mkdir()
    left.write_bytes(b"half")
    Jobs(tmp_path)
    assert not left.exists() and left.parent.is_dir()


def test_files_without_locks_are_swept_by_their_age(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "fcntl", None)
    old, new = tmp_path / ".a.01234567.partial", tmp_path / ".b.01234567.partial"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, time.time() - 2 * files.ABANDONED))
    write_whole(tmp_path / "whole", b"all")
    assert not old.exists() and new.exists() and (tmp_path / "whole").read_bytes() == b"all"
