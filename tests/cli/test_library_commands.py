"""superdiff library as a user types it: lists, facts, labels, zips, pruning by hand-made dates; and runs kept in it."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from plane_recipes import plane
from typer.testing import CliRunner

from superdiff_engine.cli.app import app
from superdiff_engine.cli.library import parse_size
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.library import Library, Query
from superdiff_engine.library.prune import Rules, plan
from superdiff_engine.runs.run import Run
from superdiff_engine.system.files import write_whole

SMALL = {"levels": {"steps": 3}, "batch": 4}
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
#: How many days ago each began.
AGES = {"20261125-120000-aaaaaaaa": 1, "20261116-120000-bbbbbbbb": 10, "20261017-120000-cccccccc": 40}
A, B, C = AGES
OPERATORS = ("or", "and", "average")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    for (name, days), operator in zip(AGES.items(), OPERATORS, strict=True):
        run = Run(plane(**SMALL, operator={"name": operator}), previews=False)
        run.folder = folder / name
        run.execute()
        age(folder / name, days)
    return folder


def age(path, days, **more):
    begun = json.loads((path / "begun.json").read_text())
    begun |= {"begun": (NOW - timedelta(days=days)).isoformat()} | more
    write_whole(path / "begun.json", json.dumps(begun).encode())


@pytest.fixture
def library(kept, tmp_path, monkeypatch):
    shutil.copytree(kept, tmp_path / "library")
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path / "library"))
    monkeypatch.setenv("COLUMNS", "200")
    found = Library(tmp_path / "library")
    found.refresh()
    return found


def superdiff(*arguments):
    found = CliRunner().invoke(app, list(map(str, arguments)))
    assert found.exit_code == 0, (found.output, found.exception)
    return found.output


def complaint(*arguments):
    found = CliRunner().invoke(app, list(map(str, arguments)))
    assert isinstance(found.exception, SuperDiffError), (found.output, found.exception)
    return str(found.exception)


def ids(library, **query):
    library.refresh()
    return {entry.id for entry in library.find(Query(part_of=None, **query)).entries}


def listed(*arguments):
    return [one["id"] for one in json.loads(superdiff("library", "list", "--json", *arguments))]


def test_list_filters_sorts_and_speaks_json(library):
    assert listed() == [A, B, C] and listed("--sort", "oldest", "--most", "2") == [C, B]
    assert listed("--operator", "or", "--operator", "and") == [A, B] and listed("--domain", "molecules") == []
    superdiff("library", "label", A, "--name", "first \x1b[31m one", "--star", "--tag", "x", "--tag", "y y")
    assert listed("--star") == listed("--tag", "y y") == listed("--text", "FIRST one") == [A]
    shown = superdiff("library", "list")
    assert all(id in shown for id in AGES) and "3 runs" in shown and "#y y" in shown and "\x1b" not in shown
    assert shown.count("finished") == 3 and "…" not in shown  # in 80 columns
    assert "\x1b" not in superdiff("library", "list", "--json")
    assert "2 are shown" in superdiff("library", "list", "--most", "2")
    assert "newest" in complaint("library", "list", "--sort", "x") and "done" in complaint(
        "library", "list", "--state", "x"
    )
    assert listed("--library", library.folder / "nowhere") == [] and not (library.folder / "nowhere").exists()


def test_an_id_may_be_a_beginning_or_a_name(library):
    superdiff("library", "label", "20261125", "--name", "the first")
    assert library.entry(A).labels.name == "the first"
    superdiff("library", "label", "The First", "--note", "two\nlines", "--untag", "none")
    assert library.entry(A).labels.note == "two\nlines"
    assert "begins the ids of 2 runs" in complaint("library", "show", "202611")
    superdiff("library", "label", B, "--name", "the first")
    assert "is the name of 2 runs" in complaint("library", "show", "the first")
    assert "no run 'x" in complaint("library", "show", "x\x1b") and "no run" in complaint("library", "show", "..")
    assert "Say what" in complaint("library", "label", A)


def test_show_says_what_is_known(library):
    superdiff("library", "label", A, "--note", "mine", "--star")
    shown = superdiff("library", "show", A)
    for word in (A, "finished", "mine", "yes", "steps", "seed", "samples.npz", str(library.folder / A)):
        assert word in shown, word
    told = json.loads(superdiff("library", "show", A, "--json"))
    assert told["recipe"]["operator"]["name"] == "or" and told["files"]["samples.npz"] > 0
    (library.folder / A / "recipe.json").write_text("{")
    shown = superdiff("library", "show", A)
    assert "damaged" in shown and "cannot be read" in shown and "samples.npz" in shown


def test_export_and_import(library, tmp_path):
    out = tmp_path / "out.zip"
    assert "2 runs" in superdiff("library", "export", "20261125", B, "--out", out)
    assert "is there already" in complaint("library", "export", A, "--out", out)
    assert "no run fits" in complaint("library", "export", "--star", "--out", tmp_path / "none.zip")
    for wrong in (["--all", A], [], [A, "--star"]):
        assert "one of the three" in complaint("library", "export", *wrong, "--out", tmp_path / "none.zip")
    other = tmp_path / "other"
    superdiff("library", "import", out, "--library", other)
    assert ids(Library(other)) == {A, B}
    superdiff("library", "export", "--all", "--out", out, "--replace")
    said = superdiff("library", "import", out, library.folder / C, "--library", other)
    assert "2 runs were there already" in said and ids(Library(other)) == set(AGES)
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    assert "no zip" in complaint("library", "import", tmp_path / "bad.zip")
    found = CliRunner().invoke(app, ["library", "import", str(tmp_path / "bad.zip"), str(out)])
    assert found.exit_code == 1 and "3 runs were there already" in found.output


def test_delete_restore_and_the_bin(library):
    superdiff("library", "delete", A, "20261116")
    assert ids(library) == {C} and listed("--bin") == [A, B]
    superdiff("library", "restore", "20261125")
    assert ids(library) == {A, C}
    assert "--yes" in superdiff("library", "empty-bin") and ids(library, binned=True) == {B}
    assert "free" in superdiff("library", "empty-bin", "--yes") and ids(library, binned=True) == set()
    assert "empty" in superdiff("library", "empty-bin")


def test_reindex(library):
    assert "3 entries" in superdiff("library", "reindex")


def planned(library, **rules):
    return [entry.id for entry in plan(library, Rules(**rules), NOW.timestamp()).entries]


def test_prune_by_age_state_and_size(library):
    sizes = {id: library.entry(id).bytes for id in AGES}
    assert planned(library, older=0.5) == [C, B, A] and planned(library, older=5) == [C, B]
    assert planned(library, older=40.1) == [] and planned(library, older=39.9) == [C]
    assert planned(library, larger=sum(sizes.values())) == [] and planned(library, larger=0) == [C, B, A]
    assert planned(library, larger=sizes[A] + sizes[B]) == [C]
    assert planned(library, larger=sizes[A], older=20) == [C]  # what is younger stays, though all take more
    assert plan(library, Rules(older=5), NOW.timestamp()).bytes == sizes[B] + sizes[C]
    (library.folder / B / "status.json").unlink()
    assert planned(library, states=("interrupted",)) == [B] and planned(library, states=("failed",)) == []
    # What has a star or a name stays, and is the last to go where it may.
    library.label(C, star=True)
    library.label(B, name="mine")
    assert planned(library, older=5) == [] and planned(library, older=5, starred=True) == [C]
    assert planned(library, older=5, named=True) == [B] and planned(library, older=5, named=True, starred=True) == [
        C,
        B,
    ]
    total = sum(library.entry(id).bytes for id in AGES)
    assert planned(library, larger=total - 1, named=True, starred=True) == [A]
    for wrong in ({}, {"states": ("running",)}):
        with pytest.raises(SuperDiffError):
            Rules(**wrong)


def test_prune_takes_a_grid_with_its_cells_and_nothing_that_is_no_run(library):
    (library.folder / C / "grid.json").write_text("{}")
    age(library.folder / A, 1, part_of=C)
    (library.folder / "holiday").mkdir()
    assert planned(library, older=0.5) == [C, B]  # a cell goes when its grid does
    assert plan(library, Rules(older=20), NOW.timestamp()).bytes == sum(library.entry(id).bytes for id in (A, C))
    library.label(A, star=True)
    assert planned(library, older=0.5) == [B]


def test_prune_lists_first_and_then_does_it(library):
    shown = superdiff("library", "prune", "--older", "5")
    assert C in shown and "--yes" in shown and ids(library) == set(AGES)
    superdiff("library", "prune", "--larger", "1B", "--older", "20", "--yes")
    assert ids(library) == {A, B} and ids(library, binned=True) == {C}
    superdiff("library", "prune", "--state", "done", "--older", "5", "--yes", "--forever")
    assert ids(library) == {A} and ids(library, binned=True) == {C}
    assert "Nothing fits" in superdiff("library", "prune", "--state", "failed")
    assert "Say what" in complaint("library", "prune") and "no size" in complaint("library", "prune", "--larger", "big")


@pytest.mark.parametrize(
    ("text", "size"), [("12", 12), ("1.5 GiB", 1610612736), ("500MB", 500_000_000), ("2 kb", 2000)]
)
def test_sizes(text, size):
    assert parse_size(text) == size


def test_sample_keeps_its_run_in_the_library(library, tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(plane(**SMALL, seed=7).to_json())
    said = superdiff("sample", path, "--name", "kept", "--tag", "x")
    (id,) = ids(library) - set(AGES)
    entry = library.entry(id)
    assert f"http://127.0.0.1:8501/?run={id}" in said and (entry.name, entry.labels.tags) == ("kept", ("x",))
    assert entry.state == "done" and entry.part_of == "" and library.open(id).trace.frames
    out = tmp_path / "other"
    superdiff("sample", path, "--library", out)
    assert len(ids(Library(out))) == 1
    assert "two places" in complaint("sample", path, "--library", out, "--out", tmp_path / "x")
    assert "--out" in complaint("sample", path, "--replace")
    assert "200" in complaint("sample", path, "--name", "x" * 201) and len(ids(library)) == 4
    # A record that is there keeps its labels, too.
    superdiff("sample", path, "--out", tmp_path / "mine", "--name", "first")
    assert "--replace" in complaint("sample", path, "--out", tmp_path / "mine", "--name", "second")
    assert json.loads((tmp_path / "mine" / "labels.json").read_text())["name"] == "first"
