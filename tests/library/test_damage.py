"""What may lie in a library, and what may befall it: each is listed with a sentence, and nothing on disk changes."""

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import threading
import time
import tracemalloc
from datetime import UTC, datetime

import numpy as np
import pytest
from plane_recipes import plane

from studio.jobs import Jobs
from superdiff_engine.errors import OutputError, RecordError, SuperDiffError
from superdiff_engine.library import Library, Query
from superdiff_engine.library import library as module
from superdiff_engine.library.entry import read_entry
from superdiff_engine.library.index import INDEX
from superdiff_engine.runs.axes import parse_axis
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.run import Run
from superdiff_engine.system import files
from superdiff_engine.system.locks import is_held, take

ID = "20261126-120000-0123abcd"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run, made once."""
    folder = tmp_path_factory.mktemp("kept")
    Run(plane(levels={"steps": 3}, batch=4), folder / ID, previews=False).execute()
    return folder


@pytest.fixture
def library(kept, tmp_path):
    shutil.copytree(kept, tmp_path / "library")
    found = Library(tmp_path / "library")
    found.refresh()
    return found


def listed(library, **query):
    library.refresh()
    return {one.id: one for one in library.find(Query(**query)).entries}


def test_pipes_and_devices_are_not_read(library):
    """Reading one would wait for ever."""
    folder = library.folder
    for name in ("labels.json", "recipe.json", "status.json", "begun.json", "grid.json", "preview.png", "run.lock"):
        shutil.copytree(folder / ID, folder / f"pipe-{name}")
        (folder / f"pipe-{name}" / name).unlink(missing_ok=True)
        os.mkfifo(folder / f"pipe-{name}" / name)
        shutil.copytree(folder / ID, folder / f"device-{name}")
        (folder / f"device-{name}" / name).unlink(missing_ok=True)
        (folder / f"device-{name}" / name).symlink_to("/dev/zero")
    found = []
    reader = threading.Thread(target=lambda: found.append(listed(library)), daemon=True)
    reader.start()
    reader.join(20)
    assert found and len(found[0]) == 15
    assert found[0]["pipe-labels.json"].state == "done" and "damaged" in found[0]["pipe-labels.json"].sentence
    library.label("pipe-labels.json", name="again")
    assert listed(library)["pipe-labels.json"].name == "again"
    assert set(library.thumbnails(found[0].values())) == found[0].keys() - {"pipe-preview.png", "device-preview.png"}


def test_samples_that_would_fill_the_memory_are_left_out(library):
    path = library.folder / ID / "samples.npz"
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez_compressed(path, **arrays | {"samples_x": np.zeros((4, 2**20, 2))})  # 64 MiB of zeros
    tracemalloc.start()
    run = library.open(ID)
    assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    tracemalloc.stop()
    assert run.result is None and any("samples.npz" in note for note in run.record.notes)
    assert len(run.trace) == 4  # the rest is there


def test_texts_that_are_none_are_listed_as_well(library):
    """Lone surrogates in JSON, times of the far future, numbers beyond any column."""
    folder = library.folder
    path = folder / ID / "status.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"message": "half \ud800 a letter\n\x1b[31m" + "x" * 9000}))
    path = folder / ID / "begun.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"part_of": "\udfff", "begun": "9999-12-31T23:59:59"}))
    os.utime(folder / ID, ns=(0, 2**33 * 10**9))
    entry = listed(library)[ID]
    assert entry.state == "done" and entry.sentence.isprintable() and len(entry.sentence) <= 1000
    assert datetime.fromtimestamp(entry.began, UTC).year == 9999
    path = folder / ID / "status.json"
    path.write_text(json.dumps(document | {"message": 3}))
    assert library.entry(ID).state == "damaged" and "status.json" in library.entry(ID).sentence


def test_a_name_that_is_no_text_is_listed(library):
    folder = library.folder
    (folder / os.fsdecode(b"caf\xe9")).mkdir()
    found = listed(library)
    assert found.keys() == {ID, "caf\\xe9"} and "Rename" in found["caf\\xe9"].sentence
    for act in (library.open, library.path, lambda id: library.delete([id]), lambda id: library.label(id, name="x")):
        with pytest.raises(RecordError):
            act("caf\\xe9")
    assert listed(library) == found
    assert (folder / os.fsdecode(b"caf\xe9")).is_dir()


def test_files_that_come_and_go_while_a_folder_is_read(library, monkeypatch):
    """A run at work writes beside its files; a folder that is deleted meanwhile is gone, not damaged."""
    real = os.scandir

    def ghost(path="."):
        entries = list(real(path))
        if os.fspath(path).endswith(ID):
            gone = path / ".samples.npz.0123abcd.partial"
            gone.touch()
            entries = list(real(path))
            gone.unlink()
        return contextlib.nullcontext(entries)

    monkeypatch.setattr(os, "scandir", ghost)
    assert library.entry(ID).state == "done"
    monkeypatch.undo()
    looked = module.read_entry

    def slow(path, binned=False):
        shutil.rmtree(path)
        return looked(path, binned)

    monkeypatch.setattr(module, "read_entry", slow)
    (library.folder / ID / "more.txt").write_text("x")
    assert listed(library) == {}


@pytest.mark.parametrize("place", ["middle", "rows", "tables", "entries"])
def test_an_index_that_is_damaged_inside_is_made_anew(library, place):
    for number in range(40):
        shutil.copytree(library.folder / ID, library.folder / f"copy-{number}")
    before = listed(library)
    path = library.folder / INDEX
    if place == "middle":
        content = bytearray(path.read_bytes())
        for start in range(4096, len(content), 4096):
            content[start : start + 300] = os.urandom(300)
        path.write_bytes(content)
    else:
        with sqlite3.connect(path) as connection:
            if place == "rows":
                connection.execute("UPDATE runs SET entry = CAST(x'ff00fe' AS TEXT)")
            elif place == "entries":
                connection.execute("UPDATE runs SET entry = '{\"id\": 3}'")
            else:
                connection.execute("DROP TABLE tags")
    again = Library(library.folder)
    assert again.find(Query(most=3)).total == 41
    assert listed(again) == before and again.counts()["state"] == {"done": 41}
    again.label(ID, name="named", add=["tag"])
    assert listed(again, tags=("tag",)).keys() == {ID}


def test_two_who_look_whether_a_folder_is_held_do_not_see_each_other(tmp_path):
    lock = tmp_path / "run.lock"
    lock.touch()
    said = []

    def look():
        for _ in range(3000):
            said.append(is_held(lock))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(said)
    hold = take(lock)
    assert hold is not None and is_held(lock)


def test_a_run_that_could_not_begin_holds_nothing(library, monkeypatch):
    real = files.os.replace

    def full(source, target):
        if str(target).endswith("begun.json"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    run = Run(plane(levels={"steps": 3}, batch=4), previews=False)
    run.folder = library.folder / run.id
    with pytest.raises(OutputError, match="No space"):
        run.execute()
    monkeypatch.undo()
    entry = listed(library)[run.id]
    assert (entry.kind, entry.state) == ("run", "interrupted") and "broken off" in entry.sentence
    assert library.delete([run.id]) == [run.id]


def test_what_a_run_leaves_that_was_killed_before_its_first_file(library):
    """An empty folder with a run's name, and one with a lock that nobody holds, are of a run; others are left alone."""
    for name in ("20261126-130000-0123abcd", "20261126-140000-0123abcd", "holiday"):
        (library.folder / name).mkdir()
    (library.folder / "20261126-140000-0123abcd" / "run.lock").touch()
    found = listed(library)
    assert [found[name].state for name in sorted(found)] == ["done", "interrupted", "interrupted", "foreign"]
    hold = take(library.folder / "20261126-140000-0123abcd" / "run.lock")
    assert library.entry("20261126-140000-0123abcd").state == "running"
    hold.release()


def test_a_bin_that_is_emptied_halfway_holds_nothing_that_says_done(library, monkeypatch):
    library.delete([ID])
    removed = []
    real = os.unlink

    def killed(path, *more, **options):
        if len(removed) == 1:
            raise KeyboardInterrupt
        removed.append(path)
        real(path, *more, **options)

    monkeypatch.setattr(os, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        library.empty_bin()
    monkeypatch.undo()
    assert listed(library, binned=True)[ID].state == "interrupted"
    assert library.empty_bin() == 1


def test_cells_whose_grid_lies_elsewhere_are_listed_by_themselves(library):
    folder = library.folder
    shutil.copytree(folder / ID, folder / "grid")
    (folder / "grid" / "grid.json").write_text("{}")
    for name, grid in (("cell", "grid"), ("orphan", "gone"), ("itself", "itself")):
        shutil.copytree(folder / ID, folder / name)
        path = folder / name / "begun.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"part_of": grid}))
    assert listed(library).keys() == {ID, "grid", "orphan", "itself"}
    assert library.counts()["state"] == {"done": 4}
    # Killed in the middle: whoever deletes or puts back once more gets all of it.
    for act in (library.delete, library.restore):
        moved = []
        real = module.Path.rename

        def once(path, target, moved=moved, real=real):
            if moved:
                raise KeyboardInterrupt
            moved.append(path)
            return real(path, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module.Path, "rename", once)
            with pytest.raises(KeyboardInterrupt):
                act(["grid"])
        library.refresh()
        assert act(["grid"])[-1] == "grid"
        assert (folder / "bin" / "grid").is_dir() == (folder / "bin" / "cell").is_dir() == (act == library.delete)
    assert listed(library, part_of=None).keys() == {ID, "grid", "cell", "orphan", "itself"}


def test_a_search_for_a_whole_long_note(library):
    note = " ".join(str(number) for number in range(1000, 2990))[:10_000]
    library.label(ID, note=note)
    assert listed(library, text=note).keys() == {ID}
    assert listed(library, text=f"{note} missing") == {}


def test_pictures_of_runs_that_are_gone_leave_the_index(library):
    library.thumbnails(library.find().entries)
    shutil.rmtree(library.folder / ID)
    library.refresh()
    with sqlite3.connect(library.folder / INDEX) as connection:
        assert connection.execute("SELECT count(*) FROM thumbnails").fetchone() == (0,)


def test_labels_that_were_damaged_before_are_not_overwritten(library):
    for number in range(3):
        (library.folder / ID / "labels.json").write_text(f"[{number}")
        library.label(ID, name=f"name {number}")
    kept = sorted(path.read_text() for path in (library.folder / ID).glob("damaged-labels*"))
    assert kept == ["[0", "[1", "[2"]


def test_a_disk_that_is_full_or_may_not_be_written(library, monkeypatch):
    """One sentence each; what the folders hold stays, and is found once there is room again."""

    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    real = open

    def no_lock(path, *mode, **options):
        if str(path).endswith(module.LABELLING):
            refuse()
        return real(path, *mode, **options)

    before = {path: path.read_bytes() for path in library.folder.rglob("*") if path.is_file() and path.name != INDEX}
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", no_lock)
        for act in (lambda: library.label(ID, name="x"), lambda: library.delete([ID])):
            with pytest.raises(OutputError) as raised:
                act()
            assert str(raised.value).endswith(".") and "Read-only" in str(raised.value)
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", refuse)
        with pytest.raises(OutputError):
            library.label(ID, name="x")
    assert {path: path.read_bytes() for path in before} == before
    # The index alone cannot be written: the label is kept all the same.
    with monkeypatch.context() as patch:
        patch.setattr(module.Index, "put", lambda *_: (_ for _ in ()).throw(OutputError("The disk is full.")))
        library.label(ID, name="kept")
        assert library.delete([ID]) == [ID]
        with pytest.raises(OutputError):
            library.refresh()
    assert listed(library, binned=True)[ID].name == "kept"


def test_libraries_that_are_none(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "missing", tmp_path / ("x" * 300)):
        library = Library(folder)
        try:
            library.refresh()
            assert library.find().total == 0 and library.counts() == {} and library.bytes == 0
        except SuperDiffError as error:
            assert str(error).endswith(".")
        for act in (lambda one=library: one.label("x", name="y"), lambda one=library: one.delete(["x"])):
            with pytest.raises(SuperDiffError):
                act()
    with pytest.raises(OutputError):
        Library(tmp_path / "file").reindex()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / INDEX).mkdir()
    with pytest.raises(OutputError):
        Library(tmp_path / "odd").refresh()


def test_a_library_that_is_deleted_while_a_run_is_at_work(library):
    """The run says so and stays in memory; the next one makes the library anew."""
    run = Run(plane(levels={"steps": 3}, batch=4), previews=False)
    run.folder = library.folder / run.id
    with pytest.raises(OutputError, match="No such file"):
        run.execute(lambda step: shutil.rmtree(library.folder, ignore_errors=True))
    assert run.result is not None and run.state == "failed" and "kept in memory" in run.message
    library.refresh()
    assert library.find().total == 0 and library.counts() == {}
    with pytest.raises(RecordError):
        library.label(run.id, name="x")
    again = Run(plane(levels={"steps": 3}, batch=4), previews=False)
    again.folder = library.folder / again.id
    again.execute()
    assert listed(library).keys() == {again.id}


def test_a_folder_that_cannot_be_read_is_said_in_a_sentence(library, monkeypatch):
    def refuse(path="."):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", refuse)
    jobs = Jobs(library.folder)
    with pytest.raises(OutputError, match="Permission denied"):
        jobs.library.refresh()
    assert read_entry(library.folder / ID).state == "damaged"


def test_a_clock_that_jumps_back_hides_nothing(library, monkeypatch):
    """What was written before the jump, and after it with an earlier time, is as the folders have it."""
    folder = library.folder / ID
    later = time.time_ns() + 3600 * 10**9
    os.utime(folder, ns=(later, later))
    assert listed(library)[ID].name != "earlier"
    monkeypatch.setattr(module.time, "time_ns", lambda: later + 10 * 10**9)
    assert listed(library)[ID].state == "done"  # read after it had settled
    monkeypatch.undo()
    (folder / "labels.json").write_text(json.dumps({"name": "earlier"}))
    os.utime(folder, ns=(later - 10**9, later - 10**9))
    assert listed(library)[ID].name == "earlier"


def test_a_grid_that_breaks_off_is_not_at_work_for_ever(library):
    grid = Sweep(plane(levels={"steps": 3}, batch=4), parse_axis("temperature=0.5,1"))
    grid.folder = library.folder / grid.id

    def broken(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grid.execute(broken)
    assert library.entry(grid.id).state == "interrupted"
