"""Views: each domain has one, found by its name alone; a domain without one is shown by its numbers."""

from importlib.util import find_spec

import pytest
from studio_page import finish, open_link, press

from studio import views
from studio.views import View, view_of
from superdiff_engine.domains import domains

PLANE = {
    "domain": "plane",
    "experts": [{"model": "overlap_a"}, {"model": "overlap_b"}],
    "levels": {"steps": 4},
    "batch": 8,
}


def test_every_domain_has_a_view_of_its_own():
    found = [view_of(name) for name in domains()]
    assert len({type(view) for view in found}) == len(found) and View not in map(type, found)
    for view in found:
        # What a first run imports is there, under these names.
        assert all(find_spec(module) for module in view.first_needs) and bool(view.first_needs) == bool(view.loads)
        assert view.own is None or view.own.domain in domains()


def test_a_file_with_a_domains_name_is_its_view(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "__path__", [*views.__path__, str(tmp_path)])
    (tmp_path / "toy_view.py").write_text("from studio.views import View\nVIEW = View()\nVIEW.preview_note = 'toys'\n")
    (tmp_path / "toy_broken.py").write_text("import there_is_no_such_module\n")
    assert view_of("toy_view").preview_note == "toys"
    assert type(view_of("toy_without_a_file")) is View
    with pytest.raises(ModuleNotFoundError, match="there_is_no_such_module"):
        view_of("toy_broken")


def test_samples_that_nobody_has_drawn_are_shown_by_their_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "find_spec", lambda name: None)
    app = open_link(PLANE, tmp_path / "runs", monkeypatch)
    app.run()
    assert not app.exception and not app.error
    press(app, "run")
    (run,) = finish(app)
    for shown in ("Samples", "Replay", "Curves", "Table"):
        app.session_state["view"] = shown
        app.run()
        assert not app.exception and not app.error, shown
        if shown == "Samples":
            assert [found.key for found in app.number_input if found.label == "Sample"] == [f"pick-{run.id}"]
            assert any("κ" in frame.value for frame in app.dataframe)
    press(app, "run-beside")
    assert len(finish(app)) == 2
