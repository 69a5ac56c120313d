"""The page Library: what it lists, finds, opens and puts away agrees with the folders, whatever was typed."""

import json
import shutil
import time
import zipfile
from urllib.parse import parse_qs

import pytest
from plane_recipes import plane
from streamlit.testing.v1 import AppTest

from studio import session
from superdiff_engine.library import Library, Query
from superdiff_engine.runs.run import Run
from tests.studio.test_tabs import APP
from tests.studio_page import press, words

NASTY = "<img src=x onerror=alert(1)> **b** :material/delete: 🌻 שלום " + "长" * 140


def make(folder, seed, **fields):
    run = Run(plane(levels={"steps": 3}, batch=4, seed=seed, **fields), previews=False)
    run.folder = folder / f"20261126-12000{seed}-0123abcd"
    run.execute()
    return run.folder.name


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    for seed, operator in enumerate(("or", "and", "average")):
        make(folder, seed, operator={"name": operator})
    return folder


@pytest.fixture
def library(kept, tmp_path, monkeypatch):
    """A library of three runs, and its server, which has just been started."""
    shutil.copytree(kept, tmp_path / "runs")
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path / "runs"))
    session.registry.clear()
    return Library(tmp_path / "runs")


def ids(library, **query):
    library.refresh()
    return [entry.id for entry in library.find(Query(**query)).entries]


def open_page(**query):
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page("screens/library.py").run()
    assert not app.exception
    return app


def data(app, name="superdiff_library"):
    (found,) = [one.proto for one in app.get("bidi_component") if one.proto.component_name == name]
    return json.loads(found.json if found.HasField("json") else found.mixed.json)


def entries(app):
    return {entry["id"]: entry for entry in data(app)["entries"]}


def choose(app, *chosen):
    app.session_state["shelf"].choose(chosen)
    app.run()


def test_all_that_lies_there_is_listed_newest_first(library):
    newest, middle, oldest = ids(library)
    (library.folder / "notes.txt").write_text("mine")
    (library.folder / middle / "status.json").unlink()
    (library.folder / oldest / "recipe.json").write_bytes(b"{")
    (library.folder / oldest / "more").touch()
    app = open_page()
    while session.registry().library.drawing:  # small pictures, by a thread
        time.sleep(0.01)
    app.run()
    found = entries(app)
    assert list(found)[1:] == [newest, middle, oldest]  # a file is as old as it is
    assert {id: entry["state"] for id, entry in found.items()} == {
        "notes.txt": "foreign", newest: "done", middle: "interrupted", oldest: "damaged",
    }  # fmt: skip
    assert found[newest]["picture"] and not found["notes.txt"]["picture"] and not found["notes.txt"]["can"]
    assert all(entry["sentence"].endswith(".") for id, entry in found.items() if id != newest)
    assert [entry["opens"] for entry in found.values()] == ["panel", "open", "open", "panel"]


def test_what_is_asked_for_is_in_the_address(library):
    newest, middle, _ = ids(library)
    library.label(middle, name="to find", star=True, add=["a & b"])
    app = open_page(q="FIND to", tag="a & b", star="1", sort="oldest", look="rows")
    assert list(entries(app)) == [middle] and data(app)["look"] == "rows"
    query = parse_qs(data(app, "superdiff_tab")["query"])
    assert (query["q"], query["tag"], query["star"], query["sort"]) == (["FIND to"], ["a & b"], ["1"], ["oldest"])
    press(app, "shelf-clear")
    assert len(entries(app)) == 3 and "q" not in parse_qs(data(app, "superdiff_tab")["query"])
    app.text_input(key="library-search").set_value("nothing has this").run()
    assert "Nothing here" in words(app)
    assert "superdiff_library" not in [one.proto.component_name for one in app.get("bidi_component")]
    app.text_input(key="library-search").set_value("").run()
    app.multiselect(key="shelf-operators").set_value(["average"]).run()
    assert list(entries(app)) == [newest]


def test_delete_undo_bin_and_for_good(library):
    first, second, third = ids(library)
    app = open_page()
    choose(app, first, third)
    press(app, "shelf-bar-delete")
    assert ids(library) == [second] == list(entries(app)) and "2 runs were put into the bin" in words(app)
    press(app, "shelf-undo")
    assert ids(library) == [first, second, third] == list(entries(app))
    assert "shelf-undo" not in {button.key for button in app.button}
    choose(app, first, third)
    press(app, "shelf-bar-delete")

    linked = AppTest.from_file(str(APP), default_timeout=60)
    linked.query_params["run"] = third
    linked.run()
    assert "bin" in linked.error[0].value
    press(linked, "put-back")
    assert not linked.error and linked.session_state["shown"] == [third] and "Finished" in words(linked)

    app.button_group(key="shelf-place").set_value("Bin").run()
    assert list(entries(app)) == [first] and entries(app)[first]["opens"] == "panel"
    press(app, "shelf-empty")
    assert (library.folder / "bin" / first).is_dir() and "for good?" in words(app)
    press(app, "shelf-sure-no")
    press(app, "shelf-empty")
    press(app, "shelf-sure-yes")
    assert not (library.folder / "bin" / first).exists() and ids(library) == [second, third]


def test_name_note_and_tags_are_kept_as_typed_and_found(library):
    first = ids(library)[0]
    app = open_page()
    app.session_state["shelf"].panel = first
    app.run()
    app.text_input(key=f"label-name-{first}").set_value(NASTY[:200]).run()
    app.text_area(key=f"label-note-{first}").set_value("one\n<b>two</b>").run()
    press(app, f"label-star-{first}")
    labels = library.entry(first).labels
    assert (labels.name, labels.note, labels.star) == (" ".join(NASTY[:200].split()), "one\n<b>two</b>", True)
    assert entries(app)[first]["name"] == labels.name and entries(app)[first]["star"]
    for text in ("onerror", "שלום", "🌻", "长长", "<B>TWO"):
        app.text_input(key="library-search").set_value(text).run()
        assert list(entries(app)) == [first]
    # Another tab's change is seen in the fields.
    library.label(first, name="other")
    app.run()
    assert app.text_input(key=f"label-name-{first}").value == "other" and not app.exception and not app.error


def test_export_holds_what_was_selected(library):
    first, second, _ = ids(library)
    app = open_page()
    choose(app, first, second)
    press(app, "shelf-bar-folder_zip")
    export = app.session_state["shelf-export"]
    assert export._ended.wait(30)
    app.run()
    assert not export.problem and not app.exception
    with zipfile.ZipFile(export.path) as archive:
        held = {name.split("/")[0] for name in archive.namelist()}
        assert held - {"manifest.json"} == {first, second}
        name = f"{first}/samples.npz"
        assert archive.read(name) == (library.folder / name).read_bytes()
    press(app, "shelf-export-close")
    assert "shelf-export" not in app.session_state
