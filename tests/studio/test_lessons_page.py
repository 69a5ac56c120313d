"""The page Lessons: every lesson from its question to its answer, through the real page, with its claims."""

import json

import pytest
from streamlit.testing.v1 import AppTest
from studio_page import APP, button, finish, press, words

from studio import session
from studio.guard import plain
from studio.teach.doing import Doing
from superdiff_engine.lessons import read_lessons
from superdiff_engine.lessons.shelf import embedded_folder
from superdiff_engine.library import Library, Query

LESSONS = {lesson.name: lesson for lesson in read_lessons([embedded_folder()]).lessons}


def opened(name, tmp_path, monkeypatch):
    """A tab of a fresh studio with a lesson."""
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path / "runs"))
    session.registry.clear()
    app = AppTest.from_file(str(APP), default_timeout=90)
    app.query_params["lesson"] = name
    app.run()
    app._page_hash = next(name for name, page in app._registered_pages.items() if page["url_pathname"] == "lessons")
    app.run()
    assert not app.exception and not app.error
    return app


def _control(app, value):
    app.button_group(key="control-two-runs--temperature").set_value(value).run()


def keys(app):
    return {found.key.split("~")[0] for found in app.button}


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_from_question_to_answer(name, tmp_path, monkeypatch):
    lesson = LESSONS[name]
    app = opened(name, tmp_path, monkeypatch)
    assert plain(lesson.title) in words(app)
    press(app, "lesson-onward")
    # Nothing runs before the prediction, and no reason is given away.
    assert "lesson-run" not in keys(app) and "lesson-onward" not in keys(app)
    assert button(app, "lesson-answer").disabled and button(app, "lesson-part-2").disabled
    wrong = next(place for place, choice in enumerate(lesson.choices) if not choice.right)
    app.radio[0].set_value(wrong).run()
    press(app, "lesson-answer")
    press(app, "lesson-run")
    runs = finish(app)
    assert len(runs) == len(lesson.runs)
    press(app, "lesson-onward")
    assert not app.exception and not app.error
    said = words(app)
    assert "you predicted" in said and lesson.choices[lesson.right].text in said
    assert said.count(":material/check: holds]") == len(lesson.statements) and "not this time" not in said
    assert "–" not in [part for part in said.split() if part == "–"], "a figure is not known"
    press(app, "lesson-onward")
    assert not app.exception and not app.error
    library = Library(tmp_path / "runs")
    library.refresh()
    listed = library.find(Query(tags=("lesson",))).entries
    assert {entry.id for entry in listed} == {run.id for run in runs}
    press(app, "lesson-list")
    assert f"1 of {len(LESSONS)} done" in words(app)


def test_changed_controls_are_run_and_said(tmp_path, monkeypatch, two_runs):
    app = opened("two-runs", tmp_path, monkeypatch)
    press(app, "lesson-onward")
    app.radio[0].set_value(0).run()
    press(app, "lesson-answer")
    _control(app, 10)
    press(app, "lesson-run")
    runs = finish(app)
    assert [run.recipe.operator.temperature for run in runs] == [10, 10]
    _control(app, 1)
    assert "controls were changed" in words(app)
    press(app, "lesson-onward")
    assert "as you predicted" in words(app) and "not this time" in words(app) and "temperature T \\= 10" in words(app)
    assert "**bold** \\<b\\>" not in words(app)
    press(app, "lesson-reset")
    assert keys(app) >= {"lesson-onward", "lesson-list"} and app.session_state["lessons-done"]["two-runs"] == Doing()


@pytest.fixture
def two_runs(tmp_path, monkeypatch):
    """A lesson of a teacher's own, whose claim holds at T = 1 alone, and beside it one that is wrong."""
    folder = tmp_path / "own" / "two-runs"
    folder.mkdir(parents=True)
    recipe = {
        "domain": "plane",
        "experts": [{"model": "rows_upper"}, {"model": "rows_lower"}],
        "levels": {"steps": 4},
        "batch": 16,
    }
    (folder / "or.json").write_text(json.dumps(recipe))
    (folder / "lesson.md").write_text(
        "---\ntitle: <b>Two</b> **runs**\nsummary: s\nminutes: 5\norder: 0\ndomain: plane\n---\n## Read\nText.\n"
        "## Predict\nWhich?\n- [x] This.\n- [ ] That.\n## Run\nGo.\n```toml\n[runs.one]\nrecipe = 'or.json'\n"
        "[runs.two]\nrecipe = 'or.json'\nwith = { seed = 3 }\n[controls]\ntemperature = [1, 10]\n```\n"
        "## Explain\nT was {one[temperature]}.\n```toml\n[[claims]]\nsays = 'Cool.'\nholds = 'one[temperature] < 2'\n"
        "```\n## Try\nMore.\n"
    )
    (folder.parent / "wrong").mkdir()
    (folder.parent / "wrong" / "lesson.md").write_text("nothing")
    monkeypatch.setenv("SUPERDIFF_LESSONS", str(folder.parent))


def test_a_wrong_lesson_is_named_and_typed_text_stays_text(tmp_path, monkeypatch, two_runs):
    app = opened("", tmp_path, monkeypatch)
    assert f"{tmp_path / 'own' / 'wrong' / 'lesson.md'}:1: " in app.text[0].value
    assert plain("<b>Two</b> **runs**") in words(app)
    app = opened("none-such", tmp_path, monkeypatch)
    assert "no lesson called" in words(app)


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (None, Doing()),
        ({"part": 3, "furthest": 4}, Doing(1, 1)),
        ({"part": 9, "furthest": "x", "answer": True, "runs": []}, Doing()),
        ({"part": 4, "furthest": 3, "answer": 1}, Doing(3, 3, 1)),
        (
            {"answer": 0, "runs": {"a": "../../etc", "b": "20261126-120001-0123abcd"}},
            Doing(answer=0, runs={"b": "20261126-120001-0123abcd"}),
        ),
    ],
)
def test_what_a_browser_has_kept_is_taken_as_far_as_it_makes_sense(kept, expected):
    assert Doing.from_kept(kept) == expected
