"""Runs go into a zip and come back byte by byte; nothing hostile comes in, and nothing of it is written elsewhere."""

import hashlib
import io
import json
import os
import shutil
import signal
import stat
import tempfile
import textwrap
import time
import zipfile
from pathlib import Path

import pytest
from plane_recipes import plane

from superdiff_engine.errors import NewerError, OutputError, RecordError
from superdiff_engine.library import Library, Query, export_zip, import_zip
from superdiff_engine.library import packed as bounds
from superdiff_engine.runs.run import Run

SMALL = {"levels": {"steps": 3}, "batch": 4}
NAMES = ["20261126-120000-0123abcd", "20261126-120001-0123abcd", "20261126-120002-0123abcd"]
GRID, CELL, OTHER = NAMES


def make(folder, name, part_of="", **fields):
    run = Run(plane(**(SMALL | fields)), previews=False, part_of=part_of)
    run.folder = folder / name
    run.execute()


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run, and a grid (by its record) with one cell."""
    folder = tmp_path_factory.mktemp("kept")
    make(folder, GRID)
    make(folder, CELL, part_of=GRID, seed=1)
    make(folder, OTHER, seed=2)
    cells = [{"row": 0, "column": 0, "run": CELL, "figures": {}}]
    axes = {"x": {"name": "seed", "values": [1]}, "y": None, "origin": OTHER, "figures": []}
    (folder / GRID / "grid.json").write_text(json.dumps(axes | {"cells": cells}))
    (folder / GRID / "grid.csv").write_text(f"row_from_0,run,problem\n0,{CELL},\n")
    Library(folder).label(OTHER, name="mine", note="a\nb", add=["x"], star=True)
    return folder


@pytest.fixture
def library(kept, tmp_path):
    shutil.copytree(kept, tmp_path / "library")
    found = Library(tmp_path / "library")
    found.refresh()
    return found


@pytest.fixture
def empty(tmp_path):
    return Library(tmp_path / "empty")


def content(folder):
    """All files of the runs in a folder, by their paths below it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.parent != folder
    }


def left_over(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".import")]


def packed(library, path, ids=(GRID, OTHER)):
    export_zip(library, ids, path)
    return path


def test_what_goes_out_comes_back_byte_by_byte(library, empty, tmp_path):
    seen = []
    done = export_zip(library, [GRID, OTHER], tmp_path / "runs.zip", lambda *told: seen.append(told))
    assert done.ids == NAMES and done.refused == [] and seen[-1] == (done.bytes, done.bytes)
    assert sum(entry.bytes for entry in library.find(Query(part_of=None)).entries) == done.bytes
    with zipfile.ZipFile(tmp_path / "runs.zip") as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()}.keys() == {
            *content(library.folder), "manifest.json"
        }  # fmt: skip
    seen.clear()
    imported = import_zip(empty, tmp_path / "runs.zip", lambda *told: seen.append(told))
    assert imported.came == {name: name for name in NAMES} and imported.refused == [] and seen[-1][0] == seen[-1][1]
    assert content(empty.folder) == content(library.folder) and left_over(empty.folder) == []
    assert empty.find(Query(part_of=GRID)).entries[0].id == CELL
    assert [entry.labels for entry in empty.find().entries] == [entry.labels for entry in library.find().entries]
    assert empty.open(OTHER).result.log_density.tolist() == library.open(OTHER).result.log_density.tolist()


def test_the_same_runs_give_the_same_zip(library, tmp_path):
    first, second = (
        packed(library, tmp_path / name, ids) for name, ids in (("a", (OTHER, GRID)), ("b", (GRID, OTHER)))
    )
    assert first.read_bytes() == second.read_bytes()
    buffer = io.BytesIO()
    export_zip(library, [GRID, OTHER], buffer)
    assert buffer.getvalue() == first.read_bytes()


def test_any_zip_program_reads_it_and_a_folder_is_taken_too(library, empty, tmp_path):
    packed(library, tmp_path / "runs.zip")
    shutil.unpack_archive(tmp_path / "runs.zip", tmp_path / "by hand" / "below", "zip")
    assert import_zip(empty, tmp_path / "by hand").came.keys() == set(NAMES)
    assert content(empty.folder) == content(library.folder)
    # A library as it lies there, without what is its own, and one run's folder alone.
    library.delete([OTHER])
    other = Library(tmp_path / "other")
    found = import_zip(other, library.folder)
    assert found.came.keys() == {GRID, CELL} and "bin" in found.refused[0] and len(found.refused) == 1
    alone = import_zip(other, library.folder / "bin" / OTHER)
    assert alone.came == {OTHER: OTHER} and alone.refused == []


def test_a_zip_of_one_runs_files_is_taken(library, empty, tmp_path):
    shutil.make_archive(str(tmp_path / "one run"), "zip", library.folder / OTHER)
    assert import_zip(empty, tmp_path / "one run.zip").came == {"one run": "one run"}
    assert empty.entry("one run").can_open


def test_what_is_there_stays_and_other_content_gets_a_new_name(library, empty, tmp_path):
    path = packed(library, tmp_path / "runs.zip")
    import_zip(empty, path)
    empty.label(OTHER, name="renamed here")
    before = content(empty.folder)
    again = import_zip(empty, path)
    assert again.came == {} and sorted(again.there) == NAMES and content(empty.folder) == before

    # Another grid of the same name: it and its cell come beside, and name each other.
    shutil.rmtree(empty.folder / GRID)
    make(empty.folder, GRID, seed=9)
    before = content(empty.folder)
    third = import_zip(empty, path)
    assert third.there == [OTHER] and third.came.keys() == {GRID, CELL}
    grid, cell = third.came[GRID], third.came[CELL]
    assert len({grid, cell, *NAMES}) == 5 and grid[:16] == GRID[:16] and len(grid) == len(GRID)
    assert [entry.id for entry in empty.find(Query(part_of=grid)).entries] == [cell]
    document = json.loads((empty.folder / grid / "grid.json").read_text())
    assert document["cells"][0]["run"] == cell and document["origin"] == OTHER
    assert cell in (empty.folder / grid / "grid.csv").read_text()
    assert {name: part for name, part in content(empty.folder).items() if name in before} == before
    # And once more nothing is new.
    fourth = import_zip(empty, path)
    assert fourth.came == {} and sorted(fourth.there) == sorted([OTHER, grid, cell])


def test_a_cell_whose_grid_is_nowhere_is_listed_until_the_grid_comes(library, empty, tmp_path):
    packed(library, tmp_path / "cell.zip", [CELL])
    import_zip(empty, tmp_path / "cell.zip")
    assert [entry.id for entry in empty.find().entries] == [CELL]
    assert import_zip(empty, tmp_path / "cell.zip").there == [CELL]
    whole = import_zip(empty, packed(library, tmp_path / "runs.zip"))
    assert whole.there == [CELL] and whole.came.keys() == {GRID, OTHER}
    assert content(empty.folder) == content(library.folder) and CELL not in [one.id for one in empty.find().entries]


def test_what_is_at_work_or_no_run_is_left_out_with_a_sentence(library, tmp_path):
    from superdiff_engine.system.locks import take

    (library.folder / "holiday").mkdir()
    (library.folder / OTHER / "status.json").unlink()
    hold = take(library.folder / OTHER / "run.lock")
    done = export_zip(library, [GRID, OTHER, "holiday"], tmp_path / "runs.zip")
    assert done.ids == [GRID, CELL] and len(done.refused) == 2 and "at work" in " ".join(done.refused)
    with pytest.raises(RecordError, match="at work"):
        export_zip(library, [OTHER], tmp_path / "none.zip")
    refused = import_zip(Library(tmp_path / "empty"), library.folder).refused
    assert any("at work" in sentence for sentence in refused)
    hold.release()
    with pytest.raises(RecordError, match="not in the library"):
        export_zip(library, ["../library"], tmp_path / "none.zip")
    assert not (tmp_path / "none.zip").exists()


def test_broken_off_by_its_progress_it_leaves_nothing(library, empty, tmp_path):
    class Enough(BaseException):
        pass

    def stop(done, total):
        if done > total / 2:
            raise Enough

    with pytest.raises(Enough):
        export_zip(library, [OTHER], tmp_path / "half.zip", stop)
    assert [path.name for path in tmp_path.iterdir() if "half" in path.name] == []
    packed(library, tmp_path / "runs.zip")
    with pytest.raises(Enough):
        import_zip(empty, tmp_path / "runs.zip", stop)
    assert content(empty.folder) == {} and left_over(empty.folder) == []


def rewritten(source, target, change=None, add=(), manifest=True):
    """A copy of a zip with members changed by name (None drops one) and others added, (ZipInfo or name, bytes)."""
    change = change or {}
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            if info.filename == "manifest.json" and not manifest:
                continue
            content = change.get(info.filename, old.read(info))
            if content is not None:
                new.writestr(info.filename, content)
        for name, content in add:
            new.writestr(name, content)
    return target


def link(name, mode=stat.S_IFLNK | 0o777):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


#: Where a zip with a whole path in it would write.
ABSOLUTE = (Path(tempfile.gettempdir()) / "superdiff-outside").as_posix()
HOSTILE = [
    ("../../outside", "outside"),
    (f"../{OTHER}/samples.npz", "outside"),
    (ABSOLUTE, "outside"),
    (f"{GRID}/../../outside", "outside"),
    (f"{GRID}\\..\\..\\outside", "outside"),
    ("C:/outside/recipe.json", "outside"),
    (f"{GRID}/evil.py", "code"),
    (f"{GRID}/.hidden", "hidden"),
    ("index.sqlite3", "no index"),
    ("a\x1b[31m/recipe.json", "{}"),
    ("bin/recipe.json", "{}"),
    ("manifest.json/recipe.json", "{}"),
    ("x" * 150 + "/recipe.json", "{}"),
]


@pytest.mark.parametrize(("name", "text"), HOSTILE, ids=range(len(HOSTILE)))
def test_names_that_no_run_has_are_left_out(library, empty, tmp_path, name, text):
    packed(library, tmp_path / "good.zip")
    rewritten(tmp_path / "good.zip", tmp_path / "bad.zip", add=[(name, text)])
    outside = {path for path in tmp_path.rglob("*") if empty.folder not in path.parents}
    found = import_zip(empty, tmp_path / "bad.zip")
    assert found.came.keys() == set(NAMES) and content(empty.folder) == content(library.folder)
    told = [sentence for sentence in found.refused if sentence.endswith(".") and "\x1b" not in sentence]
    assert len(told) == len(found.refused) == (0 if name in (f"{GRID}/.hidden", "index.sqlite3") else 1)
    after = {path for path in tmp_path.rglob("*") if empty.folder not in path.parents}
    assert after - outside <= {empty.folder} and not Path(ABSOLUTE).exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"add": [(link(f"{OTHER}/preview2.png"), "/etc/passwd")]}, "is a link"),
        ({"add": [(link(f"{OTHER}/grid.png", stat.S_IFIFO), "")]}, "is no file"),
        ({"add": [(f"{OTHER}/samples.npz", "again")]}, "twice"),
        ({"add": [(f"{OTHER}/begun.json", "{}")]}, "twice"),
        ({"change": {f"{OTHER}/samples.npz": b"forged"}}, "not what was exported"),
        ({"change": {f"{OTHER}/recipe.json": None}}, "missing"),
        ({"change": {f"{OTHER}/recipe.json": b"{", "manifest.json": None}}, "recipe.json"),
        ({"change": {f"{OTHER}/status.json": b"[]", "manifest.json": None}}, "status.json"),
        ({"change": {f"{OTHER}/begun.json": b'{"layout": 2}', "manifest.json": None}}, "newer one"),
        ({"change": {f"{OTHER}/trace.parquet": bytes(16 * 1024**2), "manifest.json": None}}, "100 times"),
        ({"add": [(f"{OTHER.upper()}/recipe.json", "{}")]}, "two runs"),
    ],
    ids=range(11),
)
def test_a_run_that_is_wrong_is_refused_and_the_others_come(library, empty, tmp_path, monkeypatch, how, word):
    monkeypatch.setattr(bounds, "RATIO_FROM", 1024**2)
    packed(library, tmp_path / "good.zip")
    rewritten(tmp_path / "good.zip", tmp_path / "bad.zip", **how)
    found = import_zip(empty, tmp_path / "bad.zip")
    assert len(found.refused) == 1 and word in found.refused[0] and found.refused[0].endswith(".")
    assert found.came.keys() >= {GRID, CELL} and left_over(empty.folder) == []
    if word != "two runs":
        assert OTHER not in found.came and not (empty.folder / OTHER).exists()


@pytest.mark.parametrize(
    "change",
    [
        b"[", b"[" * 100_000, b'{"format": "superdiff-library"}',
        b'{"format": "superdiff-library", "layout": 1, "runs": [{"id": "x", "files": 3}]}',
    ],
    ids=range(4),
)  # fmt: skip
def test_a_damaged_manifest_is_a_sentence(library, empty, tmp_path, change):
    packed(library, tmp_path / "good.zip")
    rewritten(tmp_path / "good.zip", tmp_path / "bad.zip", {"manifest.json": change})
    with pytest.raises(RecordError, match="manifest"):
        import_zip(empty, tmp_path / "bad.zip")
    assert not empty.folder.exists()


def test_a_forged_manifest_lets_nothing_in(library, empty, tmp_path):
    """It names files beyond the run's folder, the lock, and a run that is not there."""
    packed(library, tmp_path / "good.zip")
    with zipfile.ZipFile(tmp_path / "good.zip") as archive:
        document = json.loads(archive.read("manifest.json"))
    told = {"bytes": 4, "sha256": hashlib.sha256(b"evil").hexdigest()}
    names = ["../evil", "run.lock", "/evil", ".evil"]
    document["runs"][2]["files"] |= dict.fromkeys(names, told)
    document["runs"].append({"id": "../../elsewhere", "files": {}})
    add = [(f"{OTHER}/{name}", "evil") for name in names]
    rewritten(tmp_path / "good.zip", tmp_path / "bad.zip", {"manifest.json": json.dumps(document)}, add)
    found = import_zip(empty, tmp_path / "bad.zip")
    assert found.came.keys() == {GRID, CELL} and len(found.refused) == 3
    assert list(tmp_path.rglob("*evil*")) == []
    later = document | {"layout": 2}
    rewritten(tmp_path / "good.zip", tmp_path / "later.zip", {"manifest.json": json.dumps(later)})
    with pytest.raises(NewerError, match="newer one"):
        import_zip(empty, tmp_path / "later.zip")


def test_bounds_on_the_whole(library, empty, tmp_path, monkeypatch):
    path = packed(library, tmp_path / "good.zip")
    for name, value, word in (
        ("MOST_FILES", 3, "at most 3"), ("MOST_LISTING", 100, "no zip"), ("MOST_UNPACKED", 100, "in parts"),
    ):  # fmt: skip
        with monkeypatch.context() as patched, pytest.raises(RecordError, match=word):
            patched.setattr(bounds, name, value)
            import_zip(empty, path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 5))
    with pytest.raises(OutputError, match="free space"):
        import_zip(empty, path)
    assert content(empty.folder) == {}


def test_overlapping_files_and_false_sizes_are_refused(library, empty, tmp_path):
    """A zip whose listing names the same bytes many times, and one that says less than a file holds."""
    path = tmp_path / "overlap.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/recipe.json", os.urandom(10_000))
        first = archive.filelist[0]
        for number in range(50):
            info = zipfile.ZipInfo(f"a{number}/recipe.json")
            for name in ("CRC", "compress_size", "file_size", "header_offset", "compress_type"):
                setattr(info, name, getattr(first, name))
            archive.filelist.append(info)
        archive._didModify = True
    with pytest.raises(RecordError, match="overlap"):
        import_zip(empty, path)
    packed(library, tmp_path / "good.zip")
    content_ = (tmp_path / "good.zip").read_bytes()
    at = content_.rindex(f"{OTHER}/samples.npz".encode()) - 46  # its line in the listing
    short = content_[: at + 24] + (5).to_bytes(4, "little") + content_[at + 28 :]
    (tmp_path / "short.zip").write_bytes(short)
    found = import_zip(empty, tmp_path / "short.zip")
    assert found.came.keys() == {GRID, CELL} and len(found.refused) == 1


def test_bytes_that_are_no_zip_are_a_sentence(empty, library, tmp_path):
    whole = packed(library, tmp_path / "good.zip").read_bytes()
    for content_ in (b"", b"PK\x05\x06", b"no zip" * 1000, whole[: len(whole) // 2], whole[:-10]):
        with pytest.raises(RecordError, match=r"no zip|no run"):
            import_zip(empty, io.BytesIO(content_), name="it.zip")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(RecordError, match="no run in"):
        import_zip(empty, tmp_path / "nothing")
    with pytest.raises(RecordError, match="no file or folder"):
        import_zip(empty, tmp_path / "gone.zip")
    with pytest.raises(RecordError, match="the library itself"):
        import_zip(library, library.folder)


def test_killed_in_the_middle_it_leaves_nothing_half(library, empty, tmp_path):
    path = packed(library, tmp_path / "runs.zip")
    heard, said = os.pipe()

    def slow(done, total):
        if done > total * 0.6:
            os.write(said, b"now")
            time.sleep(60)

    child = os.fork()
    if child == 0:
        try:
            import_zip(empty, path, slow)
        finally:
            os._exit(1)
    os.read(heard, 3)
    assert left_over(empty.folder)
    # While it lives, another import leaves its folder alone.
    assert import_zip(empty, packed(library, tmp_path / "one.zip", [OTHER])).came == {OTHER: OTHER}
    assert left_over(empty.folder)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert [entry.id for entry in empty.find(Query(part_of=None)).entries] == [OTHER]
    assert import_zip(empty, path).came.keys() == {GRID, CELL} and left_over(empty.folder) == []
    assert content(empty.folder) == content(library.folder)


def test_the_example_of_the_package_runs_as_written(library, tmp_path, monkeypatch):
    import superdiff_engine.library as package

    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(library.folder))
    monkeypatch.chdir(tmp_path)
    example = [line for line in package.__doc__.splitlines() if line.startswith("    ")]
    exec(textwrap.dedent("\n".join(example)), {"Path": Path})
    (entry,) = library.find(Query(tags=("seen",))).entries
    assert entry.id == OTHER and entry.labels.star and (tmp_path / "runs.zip").is_file()
