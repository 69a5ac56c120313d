"""What goes wrong on the page is a sentence: in every callback, whatever it raises."""

import ast
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from studio_page import button, press

import studio
from studio import session
from studio.form import slots
from superdiff_engine.errors import SuperDiffError

STUDIO = Path(studio.__file__).parent


def test_every_callback_of_the_page_is_guarded():
    """`on_click=callback(...)`, or a word of Streamlit's own that calls nothing."""
    seen = 0
    for path in STUDIO.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.keyword) or node.arg not in (
                "on_click",
                "on_change",
                "on_select",
                "on_dismiss",
            ):
                continue
            seen += 1
            guarded = isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "callback"
            said = isinstance(node.value, ast.Constant)
            assert guarded or said, f"{path.name}, line {node.value.lineno}: {ast.unparse(node.value)}"
    assert seen > 15


def test_no_press_is_asked_for_in_the_middle_of_a_drawing():
    """A drawing that is broken off before it comes to `if st.button(...)` loses the press; a callback's is kept."""
    seen = 0
    for path in STUDIO.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("st.button", "st.form_submit_button"):
                given = ast.unparse(node)
                seen += 1
                assert "on_click=" in given or "**once(" in given, f"{path.name}, line {node.lineno}"
    assert seen > 50


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SuperDiffError("There is no such thing."), "There is no such thing"),
        (KeyError("f.slot"), "Something unexpected went wrong"),
        (MemoryError(), "memory ran out"),
    ],
)
def test_a_callback_that_raises_is_a_sentence_and_the_page_stays(tmp_path, monkeypatch, error, words):
    def fail():
        raise error

    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path))
    session.registry.clear()
    monkeypatch.setattr(slots, "add_expert", fail)
    app = AppTest.from_file(str(STUDIO / "app.py"), default_timeout=60).run()
    press(app, "add-expert")
    assert not app.exception
    (shown,) = app.error
    assert words in shown.value.replace("\\", "")
    assert not button(app, "run").disabled


def test_a_click_that_is_told_twice_counts_once(tmp_path, monkeypatch):
    """As Streamlit's page tells a click that meets the tick of a fragment."""
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path))
    session.registry.clear()
    app = AppTest.from_file(str(STUDIO / "app.py"), default_timeout=60).run()
    experts = len(app.session_state["experts"])
    for key, count in (
        ("run", lambda: len(session.registry()._jobs)),
        ("add-expert", lambda: len(app.session_state["experts"]) - experts),
    ):
        for presses in (1, 2):
            button(app, key).click()
            told = app._tree.get_widget_states()
            app._run(told)
            app._run(told)
            assert not app.exception and count() == presses
    for job in session.registry()._jobs.values():
        assert job.run.finished.wait(60)
