"""Runs: what is on disk, cancelling, failing, disks that refuse; the trace."""

import errno
import gc
import io
import json
import math
import os
import tracemalloc
from contextlib import nullcontext

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from superdiff_engine import Or, karras_levels, sample
from superdiff_engine.arrays import Preview
from superdiff_engine.domains.checked import make_recipe, parse_recipe
from superdiff_engine.domains.picture_files import RECIPE_CHUNK
from superdiff_engine.domains.plane import GaussianMixture, Plane
from superdiff_engine.errors import OutputError, ScoreError, SuperDiffError
from superdiff_engine.runs.run import Run
from superdiff_engine.system import devices
from superdiff_engine.system.files import write_whole
from superdiff_engine.trace import MOST_FRAMES, Frame, Trace


def recipe(**change):
    document = {
        "domain": "plane",
        "experts": [{"model": "overlap_a"}, {"model": "overlap_b"}],
        "operator": {"name": "and"},
        "levels": {"steps": 40},
        "batch": 48,
    }
    return make_recipe(document | change)


def test_a_finished_run_is_whole_on_disk(tmp_path):
    run = Run(recipe(), tmp_path / "run")
    result = run.execute()
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        "begun.json", "recipe.json", "trace.parquet", "replay.npz", "samples.npz", "preview.png", "run.log",
        "status.json",
    }  # fmt: skip
    assert parse_recipe((run.folder / "recipe.json").read_text()) == run.recipe
    assert json.loads((run.folder / "status.json").read_text())["state"] == "done"
    with np.load(run.folder / "samples.npz", allow_pickle=False) as stored:
        assert np.array_equal(stored["samples_x"], result.samples["x"])
        assert np.array_equal(stored["log_density"], result.log_density)
        assert parse_recipe(str(stored["recipe"])) == run.recipe
    with Image.open(run.folder / "preview.png") as picture:
        assert parse_recipe(picture.text[RECIPE_CHUNK]) == run.recipe


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_leaves_the_processs_threads_as_they_were(monkeypatch, fails):
    """The plane computes with one thread; a run of pictures after it must not be left with one."""
    before, seen, exact = torch.get_num_threads(), [], GaussianMixture.score

    def look(*arguments):
        seen.append(torch.get_num_threads())
        if fails:
            raise RuntimeError("stop")
        return exact(*arguments)

    monkeypatch.setattr(GaussianMixture, "score", look)
    torch.set_num_threads(2)
    try:
        run = Run(recipe())
        with pytest.raises(SuperDiffError) if fails else nullcontext():
            run.execute()
        assert seen[0] == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_finished_run_holds_its_notes_and_not_its_networks(monkeypatch):
    monkeypatch.setattr(Plane, "notes", lambda self, experts: [f"{len(experts)} experts"] if experts else [])
    run = Run(recipe())
    run.execute()
    assert run.notes == ["2 experts"]
    assert len(run._experts) == 0


def test_samples_outlive_a_decoder_that_fails(tmp_path, monkeypatch):
    """Samples are not lost because the last picture could not be made; the user is told, the log knows why."""
    first = Run(recipe()).execute()
    monkeypatch.setattr(Plane, "decode", lambda *_: (_ for _ in ()).throw(RuntimeError("no such kernel")))
    run = Run(recipe(), tmp_path / "run")
    result = run.execute()
    assert np.array_equal(result.samples["x"], first.samples["x"])
    assert result.decoded is None
    assert run.state == "done"
    assert any("could not be decoded" in note for note in run.notes)
    assert "no such kernel" in (run.folder / "run.log").read_text()


def test_the_trace_on_disk_holds_the_very_numbers_of_the_run(tmp_path):
    run = Run(recipe(), tmp_path / "run")
    result = run.execute()
    table = pq.read_table(io.BytesIO((run.folder / "trace.parquet").read_bytes())).to_pandas()
    assert len(table) == 41 * 2 * (48 + 1)
    end = table[(table.step == 40) & (table.expert == 1) & (table["sample"] >= 0)].sort_values("sample")
    assert np.allclose(end.log_density, result.log_density[1], rtol=1e-5)
    mean = table[(table.step == 40) & (table.expert == 1) & (table["sample"] == -1)]
    assert mean.log_density.item() == pytest.approx(result.log_density[1].mean())
    sums = table[table["sample"] == 3].groupby("step").weight.sum()
    assert np.allclose(sums, 1, atol=1e-5)


def test_the_same_recipe_gives_the_same_samples():
    first, second = (Run(recipe()).execute() for _ in range(2))
    assert np.array_equal(first.samples["x"], second.samples["x"])


def test_a_run_is_what_the_loop_makes():
    """Recipe and three lines of Python agree."""
    result = Run(recipe(operator={"name": "or"})).execute()
    plane = Plane()
    experts = [plane.load(expert, "cpu", "float32") for expert in recipe().experts]
    for step in sample(experts, Or(), karras_levels(40, 20.0, 0.02), batch=48, seed=0):
        pass
    assert np.allclose(result.samples["x"], step.samples.numpy())


def test_cancel_stops_within_one_step_and_keeps_what_there_is(tmp_path):
    run = Run(recipe(), tmp_path / "run")
    result = run.execute(lambda step: run.cancel() if step.index == 11 else None)
    assert run.state == "cancelled" and not result.complete and result.index == 11
    assert len(run.trace) == 12
    assert json.loads((run.folder / "status.json").read_text())["levels"] == 12
    assert pq.read_table(run.folder / "trace.parquet").num_rows == 12 * 2 * 49


def test_nan_at_step_37_names_it_and_keeps_the_trace(tmp_path, monkeypatch):
    exact, calls = GaussianMixture.score, []

    def broken(self, y, level):
        calls.append(level)
        return exact(self, y, level) * (math.nan if len(calls) == 2 * 37 + 2 else 1)

    monkeypatch.setattr(GaussianMixture, "score", broken)
    run = Run(recipe(), tmp_path / "run")
    with pytest.raises(ScoreError, match=r"Expert 2 \(Left pair\).*step 37, level"):
        run.execute()
    assert run.state == "failed" and "step 37" in run.message
    assert len(run.trace) == 37 and run.result.index == 36
    assert pq.read_table(run.folder / "trace.parquet").num_rows == 37 * 2 * 49
    assert "ScoreError" in (run.folder / "run.log").read_text()


def test_an_output_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    run = Run(recipe(), tmp_path / "file" / "run")
    with pytest.raises(OutputError, match="cannot be written"):
        run.execute()
    assert run.state == "failed"


def test_a_disk_that_fills_up_leaves_no_half_file_and_keeps_the_result(tmp_path, monkeypatch):
    """The third file hits a full disk: nothing half-written stays, the samples are still in memory."""
    real, written = os.fsync, []

    def full(descriptor):
        written.append(descriptor)
        if len(written) >= 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    run = Run(recipe(), tmp_path / "run")
    with pytest.raises(OutputError, match="No space left"):
        run.execute()
    assert run.state == "failed" and run.result.complete
    assert not any("partial" in path.name for path in run.folder.iterdir())
    assert not (run.folder / "status.json").exists()


def test_write_whole_keeps_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def fail(*_):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_device_that_is_not_there_is_named():
    missing = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(SuperDiffError, match=missing):
        devices.resolve_device(missing)


def test_bfloat16_is_refused_where_it_would_seem_to_hang(monkeypatch):
    monkeypatch.setattr(devices, "bfloat16_is_fast", lambda device="cpu": False)
    with pytest.raises(SuperDiffError, match="choose float32"):
        Run(recipe(domain="pictures", experts=[{"model": "garments_a"}], dtype="bfloat16")).execute()


def test_frames_are_bounded_and_end_with_the_newest():
    trace = Trace(2000, 2, 4)
    for index in range(1000):
        trace.add_frame(Frame(index, 1.0, Preview()))
    frames = trace.frames
    assert len(frames) <= MOST_FRAMES + 1 and frames[0].index == 0 and frames[-1].index == 999


def test_curves_are_thinned_and_keep_both_ends():
    run = Run(recipe(levels={"steps": 900}, batch=2))
    run.execute()
    curves = run.trace.curves(300)
    assert len(curves.index) <= 300 and curves.index[0] == 0 and curves.index[-1] == 900


def test_memory_does_not_grow_with_steps():
    """At step 3,500 of 4,000 the loop holds what it held at step 500; the trace's scalars were set aside before."""
    held = {}

    def measure(step):
        if step.index in (500, 3_500):
            gc.collect()
            tensors = [value for value in gc.get_objects() if isinstance(value, torch.Tensor)]
            held[step.index] = (sum(value.nbytes for value in tensors), tracemalloc.get_traced_memory()[0])

    run = Run(recipe(levels={"steps": 4_000}, batch=8, operator={"name": "average"}), previews=False)
    tracemalloc.start()
    run.execute(measure)
    tracemalloc.stop()
    assert held[3_500][0] == held[500][0]
    assert held[3_500][1] - held[500][1] < 40_000
