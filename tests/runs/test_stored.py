"""A run that is read back from its folder is the run that was made, and nothing that a folder holds can do harm."""

import json
import pickle
import zipfile

import numpy as np
import pytest

from superdiff_engine.arrays import Arrays
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import RecordError
from superdiff_engine.runs.run import Run
from superdiff_engine.runs.stored import read_record
from superdiff_engine.system.locks import take

CORRECTED = {
    "operator": {"name": "formula", "text": "1 + 2"},
    "levels": {"steps": 12},
    "batch": 12,
    "correction": {"particles": 6, "threshold": 0.9},
}


def recipe(domain="plane", models=("overlap_a", "overlap_b"), **fields):
    experts = [{"model": model} for model in models]
    return make_recipe({"domain": domain, "experts": experts, "levels": {"steps": 6}, "batch": 5} | fields)


@pytest.fixture
def made(tmp_path):
    run = Run(recipe(), tmp_path / "20261126-120000-0123abcd")
    run.execute()
    return run


@pytest.mark.parametrize(
    "asked",
    [
        recipe(),
        recipe("pictures", ("garments_a", "garments_b"), batch=3, levels={"steps": 2}),
        recipe("proteins", ("proteins_alpha", "proteins_beta"), batch=2, levels={"steps": 2}, residues=30),
        recipe(**CORRECTED),
    ],
    ids=lambda asked: asked.domain,
)
def test_what_is_read_is_what_was_made(asked, tmp_path):
    run = Run(asked, tmp_path / "20261126-120000-0123abcd")
    run.execute()
    found = read_record(run.folder)
    assert found.finished.is_set() and found.id == run.folder.name and found.recipe == run.recipe
    assert (found.state, found.titles, found.notes) == (run.state, run.titles, run.notes)
    assert found.seconds == pytest.approx(run.seconds, abs=1e-3)
    for part in ("samples", "denoised", "decoded"):
        before, after = by_name(getattr(run.result, part)), by_name(getattr(found.result, part))
        assert before.keys() == after.keys()
        for name, values in before.items():
            np.testing.assert_array_equal(values, after[name])
    for name in ("log_density", "weights", "level", "index", "complete", "importance"):
        np.testing.assert_array_equal(getattr(run.result, name), getattr(found.result, name))
    before, after = run.trace.curves(), found.trace.curves()
    for name in (
        "index",
        "level",
        "log_density",
        "weights",
        "mean_log_density",
        "mean_weights",
        "marks",
        "mark_levels",
    ):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    np.testing.assert_allclose(before.effective, after.effective, rtol=1e-6)
    assert [run.trace.ancestor(0, sample) for sample in range(asked.batch)] == [
        found.trace.ancestor(0, sample) for sample in range(asked.batch)
    ]
    assert before.components.keys() == after.components.keys()
    for name, values in before.components.items():
        np.testing.assert_array_equal(values, after.components[name])
    last, kept = run.trace.latest, found.trace.latest
    assert (last.index, last.level, type(last.preview)) == (kept.index, kept.level, type(kept.preview))
    for name, values in last.preview.arrays().items():
        np.testing.assert_array_equal(values, getattr(kept.preview, name))


def by_name(part):
    return {} if part is None else part.arrays() if isinstance(part, Arrays) else part


def test_a_cancelled_run_comes_back_where_it_stopped(tmp_path):
    run = Run(recipe(levels={"steps": 1000}), tmp_path / "20261126-120000-0123abcd")
    run.execute(lambda step: run.cancel() if step.index == 7 else None)
    found = read_record(run.folder)
    assert (found.state, found.result.index, found.result.complete) == ("cancelled", 7, False)
    assert found.result.level == run.result.level


def test_a_run_that_was_broken_off_comes_back_with_what_it_kept(made):
    with pytest.raises(RecordError, match="no record"):
        read_record(made.folder.parent)
    (made.folder / "status.json").unlink()
    held = take(made.folder / "run.lock")
    with pytest.raises(RecordError, match="has not ended"):
        read_record(made.folder)
    held.release()
    (made.folder / "samples.npz").unlink()
    found = read_record(made.folder)
    assert (found.state, found.result, len(found.trace)) == ("interrupted", None, 7)
    assert "broken off" in found.message and found.finished.is_set()
    for path in made.folder.iterdir():
        if path.name not in ("recipe.json", "begun.json"):
            path.unlink()
    assert read_record(made.folder).state == "interrupted"


def test_a_run_whose_models_are_gone_can_still_be_looked_at(made):
    path = made.folder / "recipe.json"
    path.write_text(path.read_text().replace("overlap_a", "a_model_that_is_gone"))
    with np.load(made.folder / "samples.npz") as stored:
        arrays = dict(stored)
    text = str(arrays["recipe"]).replace("overlap_a", "a_model_that_is_gone")
    np.savez(made.folder / "samples.npz", **(arrays | {"recipe": text}))
    assert np.array_equal(read_record(made.folder).result.samples["x"], made.result.samples["x"])


def test_each_damaged_file_costs_its_own_part(made):
    whole = {path.name: path.read_bytes() for path in made.folder.iterdir()}
    for name in ("samples.npz", "trace.parquet", "replay.npz"):
        for content in (b"", b"PK\3\4 and no more", whole[name][: len(whole[name]) // 2], pickle.dumps([1])):
            (made.folder / name).write_bytes(content)
            found = read_record(made.folder)
            assert any(name in note for note in found.notes), (name, content[:10])
            assert (found.result is None) == (name == "samples.npz")
            assert (len(found.trace) == 0) == (name == "trace.parquet")
        (made.folder / name).write_bytes(whole[name])
    assert read_record(made.folder).notes == []


class _Harm:
    def __reduce__(self):
        return pytest.fail, ("a pickle was read",)


def test_nothing_is_unpickled_and_no_header_is_believed(made):
    path = made.folder / "samples.npz"
    good = dict(np.load(path))
    for harm in (np.array([_Harm()], object), np.zeros((2, 9)), np.zeros((7, 5)), np.zeros((2, 5), "M8[s]")[:, :4]):
        np.savez(path, **(good | {"log_density": harm}))
        assert read_record(made.folder).result is None
    np.savez(path, **(good | {"samples_x": np.zeros((4, 2))}))
    assert read_record(made.folder).result is None
    # A header that asks for a terabyte, with no bytes behind it.
    with zipfile.ZipFile(path, "w") as archive:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 68719476736), }\n"
        archive.writestr("log_density.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    assert read_record(made.folder).result is None


@pytest.mark.parametrize(
    "status",
    [b"", b"[]", b"{}", b'{"state": "running", "seconds": 1}', b'{"state": "done", "seconds": NaN}', b"[" * 100_000],
)
def test_a_damaged_status_is_one_sentence(made, status):
    (made.folder / "status.json").write_bytes(status)
    with pytest.raises(RecordError, match=r"status\.json"):
        read_record(made.folder)


@pytest.mark.parametrize("harm", [lambda good: 2 * good, lambda good: -good, lambda good: np.full_like(good, np.nan)])
def test_weights_that_are_none_cost_the_samples(harm, tmp_path):
    run = Run(recipe(**CORRECTED), tmp_path / "20261126-120000-0123abcd")
    run.execute()
    arrays = dict(np.load(run.folder / "samples.npz"))
    np.savez(run.folder / "samples.npz", **(arrays | {"importance": harm(arrays["importance"])}))
    found = read_record(run.folder)
    assert found.result is None and "samples.npz" in found.notes[0] and len(found.trace)


def test_samples_of_another_recipe_are_not_shown(made):
    text = json.loads((made.folder / "recipe.json").read_text()) | {"seed": 77}
    (made.folder / "recipe.json").write_text(json.dumps(text))
    assert read_record(made.folder).result is None


def test_arrays_that_are_not_the_domains_cost_their_part(made):
    """The plane's samples stand for themselves, and its previews have six arrays."""
    whole = {name: dict(np.load(made.folder / name)) for name in ("samples.npz", "replay.npz")}
    for name, harm in (
        ("samples.npz", {"pictures": np.zeros((5, 8, 8), np.uint8)}),
        ("replay.npz", {"frame_0_pictures": np.zeros((5, 8, 8), np.uint8)}),
    ):
        np.savez(made.folder / name, **(whole[name] | harm))
        found = read_record(made.folder)
        assert [name in note for note in found.notes] == [True]
        np.savez(made.folder / name, **whole[name])
    lacking = {name: array for name, array in whole["replay.npz"].items() if name != "frame_0_exact"}
    np.savez(made.folder / "replay.npz", **lacking)
    found = read_record(made.folder)
    assert ["replay.npz" in note for note in found.notes] == [True] and not found.trace.frames and found.result
