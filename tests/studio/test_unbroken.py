"""A drawing is broken off wherever Streamlit may do that: nothing that was asked for is lost, and the page is whole."""

import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData, ScriptRequests
from websockets.sync.client import connect

import studio
from studio import session
from studio.shelf import asked
from tests.browser.conftest import serving
from tests.studio_page import button, open_link, words

STUDIO = Path(studio.__file__).parent


def plane(seed):
    experts = [{"model": "overlap_a"}, {"model": "overlap_b"}]
    return {"domain": "plane", "experts": experts, "levels": {"steps": 3}, "batch": 4, "seed": seed}


def line_of_the_studio():
    """The line of the studio's own code that is at work, as one word; None where none is."""
    frame = sys._getframe(1)
    while frame is not None:
        if Path(frame.f_code.co_filename).is_relative_to(STUDIO):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return None


@contextmanager
def broken_off(monkeypatch, until=lambda: False):
    """As a browser that asks for another drawing at every line at which one can be broken off, once at each.

    Until `until` says that there is nothing left that could be lost.
    """
    lines, asked = set(), ScriptRequests.on_scriptrunner_yield

    def ask(self):
        line, context = line_of_the_studio(), get_script_run_ctx()
        if line is not None and line not in lines and context.script_requests is self and not until():
            lines.add(line)
            # Nothing has been pressed since.
            where = {"query_string": context.query_string, "page_script_hash": context.page_script_hash}
            self.request_rerun(RerunData(widget_states=WidgetStates(), **where))
        return asked(self)

    with monkeypatch.context() as patch:
        patch.setattr(ScriptRequests, "on_scriptrunner_yield", ask)
        yield lines


@pytest.fixture
def app(tmp_path, monkeypatch):
    yield open_link(plane(seed=7), tmp_path / "runs", monkeypatch)
    session.registry().end()


def is_whole(app):
    return not app.exception and not app.error


def test_a_page_opens_as_its_address_says(app, monkeypatch):
    with broken_off(monkeypatch) as lines:
        app.run()
    assert len(lines) > 100 and is_whole(app)
    assert app.session_state["f.seed"] == "7" and len(app.session_state["experts"]) == 2


def runs():
    return len(session.registry()._jobs)


@pytest.mark.parametrize("typed", ["", "11"])
def test_every_press_of_run_is_a_run_of_what_was_typed(app, monkeypatch, typed):
    app.run()
    app.session_state["presses"] = 3
    if typed:
        app.session_state["f.seed"] = typed
    with broken_off(monkeypatch, until=lambda: runs() == 3) as lines:
        app.run()
    assert len(lines) > 10 and is_whole(app)
    assert [job.recipe.seed for job in session.registry()._jobs.values()] == [int(typed or 7)] * 3


def test_a_click_does_all_that_it_is_for(app, monkeypatch):
    app.run()
    for key, done in (("run", runs), ("add-expert", lambda: len(app.session_state["experts"]) - 2)):
        button(app, key).click()
        with broken_off(monkeypatch, until=lambda done=done: done() == 1):
            app.run()
        assert is_whole(app) and done() == 1


def test_every_press_in_the_queue_is_done(app, monkeypatch):
    app.run()
    app.session_state["queue-asked"] = [("follow", True), ("pause", None)]
    with broken_off(monkeypatch, until=lambda: session.registry().paused) as lines:
        app.run()
    assert len(lines) > 30 and is_whole(app)
    assert session.registry().paused and app.session_state["queue-follow"]


def test_the_librarys_address_is_taken_in_whole(app, monkeypatch):
    app.query_params.clear()
    for name, value in (("q", "petals"), ("star", "1"), ("sort", asked.SORTS[-1]), ("look", asked.LOOKS[-1])):
        app.query_params[name] = value
    app.switch_page("screens/library.py")
    with broken_off(monkeypatch) as lines:
        app.run()
    assert len(lines) > 50 and is_whole(app)
    said = [app.session_state[key] for key in (asked.TEXT, asked.STAR, asked.SORT, asked.LOOK)]
    assert said == ["petals", True, asked.SORTS[-1], asked.LOOKS[-1]]


def test_a_button_that_opens_a_recipe_puts_it_into_the_form_and_turns_to_it(app, monkeypatch):
    app.run()
    app._page_hash = next(hash for hash, page in app._registered_pages.items() if page["url_pathname"] == "formula-not")
    app.run()
    app._page_hash = ""
    button(app, "open-formula").click()
    with broken_off(monkeypatch) as lines:
        app.run()
    assert len(lines) > 50 and is_whole(app)
    assert app.session_state["f.formula"] == "1 but not 2" and app.session_state["f.corrected"]
    assert "negotiate" in words(app)


SLOW = """
import time
from pathlib import Path
import streamlit as st
from studio.unbroken import unbroken

def note(word):
    with Path(__file__).with_name("drawn").open("a") as file:
        file.write(word + " ")

with unbroken():
    note("begun")
    time.sleep(0.3)
    st.session_state["seen"] = st.session_state.get("seen", 0) + 1
    note("ended")
"""


def test_a_drawing_that_is_asked_for_meanwhile_begins_after_it(tmp_path):
    """Of a page that is served as the studio's is: two that share a session would count a press twice, or never."""
    shutil.copytree(STUDIO / ".streamlit", tmp_path / ".streamlit")
    (tmp_path / "slow.py").write_text(SLOW)
    drawn = tmp_path / "drawn"
    with serving(tmp_path / "slow.py", tmp_path) as address:
        socket = address.replace("http", "ws") + "/_stcore/stream"
        with connect(socket, origin=address, subprotocols=["streamlit"], max_size=None) as tab:
            for _ in range(4):
                tab.send(BackMsg(rerun_script=ClientState()).SerializeToString())
                time.sleep(0.1)
            wanted = time.monotonic() + 60
            while time.monotonic() < wanted and (not drawn.exists() or drawn.read_text().count("ended") < 2):
                time.sleep(0.1)
            time.sleep(1)  # the last one ends
    words = drawn.read_text().split()
    assert len(words) >= 4 and words == ["begun", "ended"] * (len(words) // 2)
