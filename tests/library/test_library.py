"""The library: its folders are the truth, its index agrees with them, and what users note is kept and found again."""

import json
import shutil
import sqlite3
import threading
import unicodedata

import numpy as np
import pytest
from PIL import Image
from plane_recipes import plane

from superdiff_engine.errors import OutputError, RecordError
from superdiff_engine.library import LabelError, Library, Query
from superdiff_engine.library.index import INDEX, SORTS, Index
from superdiff_engine.library.thumbnails import THUMBNAIL
from superdiff_engine.runs.run import Run
from superdiff_engine.system.locks import take

SMALL = {"levels": {"steps": 3}, "batch": 4}


def make(folder, name=None, part_of="", **fields):
    run = Run(plane(**(SMALL | fields)), previews=False, part_of=part_of)
    run.folder = folder / (name or run.id)
    run.execute()
    return run


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A few runs, made once."""
    folder = tmp_path_factory.mktemp("kept")
    for seed, operator in enumerate(("or", "and", "average")):
        make(folder, f"20261126-12000{seed}-0123abcd", seed=seed, operator={"name": operator})
    return folder


@pytest.fixture
def library(kept, tmp_path):
    shutil.copytree(kept, tmp_path / "library")
    found = Library(tmp_path / "library")
    found.refresh()
    return found


def ids(library, **query):
    return [one.id for one in library.find(Query(**query)).entries]


def agree(library):
    """Whether the index, as it is and made anew, says what the folders say."""
    library.refresh()
    everything = [library.find(Query(part_of=None, binned=binned, sort="oldest")) for binned in (False, True)]
    anew = Library(library.folder)
    anew.reindex()
    again = [anew.find(Query(part_of=None, binned=binned, sort="oldest")) for binned in (False, True)]
    for first, second in zip(everything, again, strict=True):
        assert first == second
        for entry in first.entries:
            path = library.folder / "bin" / entry.id if entry.binned else library.folder / entry.id
            assert sum(file.stat().st_size for file in path.iterdir()) == entry.bytes
            status = path / "status.json"
            said = json.loads(status.read_text())["state"] if status.is_file() else None
            assert (entry.state == "done") == (said == "done")
    return [entry for found in everything for entry in found.entries]


def test_entries_say_what_the_runs_were(library):
    newest = library.find().entries[0]
    run = library.open(newest.id)
    assert (newest.operator, newest.seed, newest.steps, newest.samples) == ("average", 2, 3, 4)
    assert newest.domain == run.recipe.domain and newest.experts == tuple(run.titles)
    assert newest.can_open and newest.seconds == run.seconds
    assert len(agree(library)) == 3


def test_filters_and_orders(library):
    assert len(ids(library, sort="newest")) == 3 and ids(library, sort="newest") == ids(library, sort="oldest")[::-1]
    assert ids(library, operators=("and", "or")) == ids(library)[1:]
    assert ids(library, domains=("molecules",)) == ids(library, states=("failed",)) == []
    assert ids(library, start=1, most=1) == ids(library)[1:2]
    assert library.find(Query(most=1)).total == 3
    for sort in SORTS:
        assert sorted(ids(library, sort=sort)) == sorted(ids(library))
    assert library.counts()["operator"] == {"or": 1, "and": 1, "average": 1}


def test_what_changes_on_disk_is_seen_by_the_next_refresh(library):
    first, second, third = ids(library)
    shutil.rmtree(library.folder / first)
    (library.folder / second / "status.json").unlink()
    make(library.folder, "a-run-with-a-name-of-its-own", seed=9)
    library.refresh()
    found = {one.id: one for one in library.find().entries}
    assert found.keys() == {second, third, "a-run-with-a-name-of-its-own"}
    assert (found[second].state, found[second].can_open) == ("interrupted", True)
    assert library.open(second).result is not None  # its samples were written before it was broken off
    agree(library)


def test_whatever_lies_there_is_listed_with_a_sentence_and_stays(library):
    folder, (good, damaged, newer) = library.folder, ids(library)
    (folder / "notes.txt").write_text("mine")
    (folder / "holiday").mkdir()
    (folder / "holiday" / "beach.jpg").write_bytes(b"sand")
    document = json.loads((folder / newer / "recipe.json").read_text())
    for id, text in ((damaged, "{" * 100), (newer, json.dumps(document | {"version": 2, "magic": True}))):
        (folder / id / "recipe.json").unlink()  # a new file, as what changes a run leaves one
        (folder / id / "recipe.json").write_text(text)
    (folder / "elsewhere").symlink_to(folder.parent)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and INDEX not in path.name}
    library.refresh()
    states = {one.id: (one.state, one.sentence) for one in library.find().entries}
    assert {id: state for id, (state, _) in states.items()} == {
        good: "done", damaged: "damaged", newer: "newer", "notes.txt": "foreign", "holiday": "foreign",
        "elsewhere": "foreign",
    }  # fmt: skip
    assert all(sentence.endswith(".") for state, sentence in states.values() if state != "done")
    assert "newer" in states[newer][1]
    for name in (damaged, newer, "holiday", "notes.txt", "elsewhere", "..", "", "/etc", f"{good}/../{good}"):
        with pytest.raises(RecordError):
            library.open(name)
    for name in ("holiday", "notes.txt", "..", "bin", INDEX):
        with pytest.raises(RecordError):
            library.delete([name])
        with pytest.raises(RecordError):
            library.label(name, name="mine")
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_of_a_later_layout_is_left_alone(library):
    first = ids(library)[0]
    path = library.folder / first / "begun.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layout": 2}))
    assert (library.entry(first).state, library.entry(first).kind) == ("newer", "run")
    with pytest.raises(RecordError, match="newer one"):
        library.open(first)


def test_a_run_at_work_and_one_that_was_broken_off(tmp_path):
    library = Library(tmp_path)
    run = Run(plane(**SMALL), tmp_path / "one", previews=False)
    seen = []
    run.execute(lambda step: seen.append(library.entry("one").state))
    assert set(seen) == {"running"} and library.entry("one").state == "done"
    (tmp_path / "two").mkdir()
    hold = take(tmp_path / "two" / "run.lock")
    shutil.copy(tmp_path / "one" / "recipe.json", tmp_path / "two")
    library.refresh()
    assert {one.id: one.state for one in library.find().entries} == {"one": "done", "two": "running"}
    with pytest.raises(RecordError, match="at work"):
        library.delete(["two"])
    hold.release()
    library.refresh()
    assert {one.id: one.state for one in library.find().entries} == {"one": "done", "two": "interrupted"}


def test_names_notes_stars_and_tags(library):
    first, second, _ = ids(library)
    library.label(first, name="Two\n  lines", note="a\nb", star=True, add=["for the talk", "Ring"])
    library.label(second, add=["ring"])
    assert library.entry(first).labels == library.find(Query(star=True)).entries[0].labels
    assert library.entry(first).name == "Two lines" and library.entry(first).labels.note == "a\nb"
    assert ids(library, tags=("RING",)) == [first, second]
    assert ids(library, tags=("ring", "for the talk")) == [first] == ids(library, text="lines TWO")
    library.label(first, star=False, remove=["Ring"], note="")
    assert library.entry(first).labels.tags == ("for the talk",) and ids(library, star=True) == []
    for wrong in ({"name": "x" * 201}, {"note": "x" * 10_001}, {"add": ["x" * 61]}, {"add": map(str, range(30))}):
        with pytest.raises(LabelError):
            library.label(first, **wrong)
    assert library.entry(first).name == "Two lines"
    agree(library)


def test_damaged_labels_cost_no_run_and_are_kept(library):
    first = ids(library)[0]
    (library.folder / first / "labels.json").write_text("[1, 2")
    library.refresh()
    assert library.find().entries[0].state == "done" and "damaged" in library.find().entries[0].sentence
    library.label(first, name="again")
    assert (library.folder / first / "damaged-labels.json").read_text() == "[1, 2"
    assert library.entry(first).name == "again"


def random_names(count, seed=0):
    """Texts of letters from everywhere in Unicode, with markup, spaces and letters that are no characters."""
    rng = np.random.default_rng(seed)
    pieces = [
        "<b>",
        "</script>",
        "**",
        "`",
        "$x^2$",
        ":smile:",
        "[a](b)",
        "'",
        '"',
        "%",
        "_",
        "\\",
        "ß",
        "İ",
        "ﬁ",
        "\0",
        "\n",
    ]
    scripts = [(0x20, 0x7F), (0xA0, 0x24F), (0x370, 0x3FF), (0x5D0, 0x5EA), (0x600, 0x6FF), (0x900, 0x97F),
               (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1F300, 0x1FAFF), (0xD800, 0xDFFF), (0x0, 0x10FFFF)]  # fmt: skip
    for number in range(count):
        letters = []
        for _ in range(rng.integers(1, 12)):
            low, high = scripts[rng.integers(len(scripts))]
            letters.append(pieces[rng.integers(len(pieces))] if rng.random() < 0.2 else chr(rng.integers(low, high)))
        yield f"{''.join(letters)} {number}x"


def test_ten_thousand_random_names_are_found_again(library):
    entry = library.find().entries[0]
    names = list(random_names(10_000))
    labelled = [type(entry)(**(vars(entry) | {"id": str(n), "labels": entry.labels.changed(name=name)}))
                for n, name in enumerate(names)]  # fmt: skip
    index = Index(library.folder / "another.sqlite3")
    known = next(iter(library.index.known().values()))
    index.put([(one, known) for one in labelled])
    for number in range(0, 10_000, 397):
        found = index.find(Query(text=names[number])).entries
        assert str(number) in {one.id for one in found}
        assert index.entry(str(number)).labels.name == labelled[number].labels.name
        upper = unicodedata.normalize("NFD", labelled[number].labels.name)
        assert str(number) in {one.id for one in index.find(Query(text=upper)).entries}
    assert index.find(Query(text="9700x")).total == 1
    # And through a folder.
    for name in names[:40]:
        library.label(entry.id, name=name)
        assert entry.id in ids(library, text=name)


def test_deleting_putting_back_and_emptying(library):
    first, second, third = ids(library)
    content = {path.name: path.read_bytes() for path in (library.folder / first).iterdir()}
    assert library.delete([first, second]) == [first, second]
    assert ids(library) == [third] and set(ids(library, binned=True)) == {first, second}
    with pytest.raises(RecordError, match="bin"):
        library.open(first)
    assert library.restore([first]) == [first]
    assert {path.name: path.read_bytes() for path in (library.folder / first).iterdir()} == content
    library.label(first, name="kept")
    library.delete([first])
    make(library.folder, first, seed=5)  # another of the same name, while the first is in the bin
    library.refresh()
    assert library.restore([first]) == [f"{first}-2"] and library.entry(f"{first}-2").name == "kept"
    assert library.empty_bin() == 1 and ids(library, binned=True) == []
    assert set(ids(library)) == {first, f"{first}-2", third}
    agree(library)


def test_a_grid_goes_with_its_cells(library):
    first = ids(library)[0]
    (library.folder / first / "grid.json").write_text("{}")
    cell = make(library.folder, part_of=first, seed=7)
    library.refresh()
    assert cell.id not in ids(library) and ids(library, part_of=first) == [cell.id]
    library.delete([first])
    assert (
        ids(library, part_of=None, binned=True) == [cell.id, first] or len(ids(library, part_of=None, binned=True)) == 2
    )
    library.restore([first])
    assert ids(library, part_of=first) == [cell.id]


def test_two_who_write_at_once_lose_nothing(library):
    """Threads with objects of their own, as tabs and commands have them, change different things of the same runs."""
    names = ids(library)
    raised = []

    def act(number):
        try:
            mine = Library(library.folder)
            for turn in range(8):
                for id in names:
                    mine.label(id, add=[f"{number}-{turn}"], **({"star": True} if number else {"name": f"turn {turn}"}))
                    mine.refresh()
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=act, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    for entry in agree(library):
        assert (entry.name, entry.labels.star) == ("turn 7", True)
        assert set(entry.labels.tags) == {f"{number}-{turn}" for number in range(2) for turn in range(8)}


@pytest.mark.parametrize("harm", [b"", b"no database at all" * 500, None])
def test_a_damaged_index_is_made_anew(library, harm):
    before = ids(library)
    path = library.folder / INDEX
    if harm is None:
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 99")
    else:
        path.write_bytes(harm)
    again = Library(library.folder)
    again.refresh()
    assert ids(again) == before


def test_thumbnails_are_small_pictures_of_the_preview(library):
    entries = library.find().entries
    found = library.thumbnails(entries)
    assert found.keys() == {one.id for one in entries}
    for id, content in found.items():
        path = library.folder / "thumbnail"
        path.write_bytes(content)
        with Image.open(path) as small, Image.open(library.folder / id / "preview.png") as whole:
            assert max(small.size) <= THUMBNAIL
            same = np.asarray(whole.convert("RGB").resize(small.size, Image.Resampling.LANCZOS), float)
            assert np.abs(np.asarray(small.convert("RGB"), float) - same).mean() < 6
        path.unlink()
    (library.folder / entries[0].id / "preview.png").write_bytes(b"no picture")
    assert entries[0].id not in library.thumbnails(library.find().entries)


def test_a_file_in_the_librarys_place_is_said(tmp_path):
    (tmp_path / "file").write_text("mine")
    for ask in (Library.find, Library.refresh, Library.counts):
        with pytest.raises(OutputError, match="SUPERDIFF_LIBRARY"):
            ask(Library(tmp_path / "file"))


def test_older_runs_without_a_beginning_are_read(library):
    first = ids(library)[0]
    (library.folder / first / "begun.json").unlink()
    entry = library.entry(first)
    assert entry.state == "done" and entry.part_of == "" and entry.began > 0
    assert library.open(first).result is not None
