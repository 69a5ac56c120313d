"""Several tabs of one server, and a tab that outlives its server."""

import gc
import time
import weakref
from pathlib import Path

import pytest
from streamlit.runtime.scriptrunner import StopException
from streamlit.testing.v1 import AppTest

import studio
from studio import session
from superdiff_engine.domains.checked import make_recipe
from tests.studio.queue_panel import press_in_queue, queue
from tests.studio_page import button, press, words

APP = Path(studio.__file__).parent / "app.py"


@pytest.fixture(autouse=True)
def server(tmp_path, monkeypatch):
    """A server that has just been started."""
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path / "runs"))
    session.registry.clear()


def open_tab(seed=0, steps=3, **query):
    experts = [{"model": "overlap_a"}, {"model": "overlap_b"}]
    recipe = {"domain": "plane", "experts": experts, "levels": {"steps": steps}, "batch": 4, "seed": seed}
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in (query or {"recipe": make_recipe(recipe).to_link()}).items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def finish():
    for job in session.registry()._jobs.values():
        assert job.run.finished.wait(60)


def test_more_tabs_than_runs_are_remembered_keep_their_results():
    """Each shows its own run at its next click, whatever the others have run since, with and without a record."""
    session.registry()._keep = 2
    tabs = [open_tab(seed) for seed in range(6)]
    for seed, tab in enumerate(tabs):
        tab.session_state["f.save"] = seed % 2 == 0
        press(tab, "run")
        finish()
    for seed, tab in enumerate(tabs):
        tab.run()
        assert not tab.exception and not tab.error
        assert "Finished" in words(tab) and f"seed {seed}" in words(tab)


def test_a_tab_lets_go_of_the_runs_that_it_no_longer_shows():
    """Streamlit keeps what a tab's buttons are called with as long as the tab lives: never the runs themselves."""
    session.registry()._keep = 2
    tab, seen = open_tab(), []
    for _ in range(8):
        press(tab, "run")
        finish()
        tab.run()
        seen.extend(weakref.ref(job.run) for job in session.registry()._jobs.values())
    gc.collect()
    assert len({id(run) for ref in seen if (run := ref()) is not None}) <= 4


def test_a_run_comes_back_from_disk_on_a_new_server_with_all_its_views():
    tab = open_tab(seed=7)
    press(tab, "run")
    finish()
    (job_id,) = session.registry()._jobs
    tab.run()
    before = [frame.value.to_dict() for frame in tab.dataframe]
    session.registry.clear()
    again = open_tab(run=job_id)
    assert not again.error and "Finished" in words(again) and "seed 7" in words(again)
    assert again.session_state["f.seed"] == "7"
    assert [frame.value.to_dict() for frame in again.dataframe] == before
    for view in ("Replay", "Curves", "Table", "Samples"):
        again.session_state["view"] = view
        again.run()
        assert not again.exception and not again.error, view
    press(again, "run-beside")
    finish()
    again.run()
    assert words(again).count("3 steps in ") == 2


def test_a_run_that_ended_with_its_server_says_so(tmp_path):
    tab = open_tab()
    press(tab, "run")
    finish()
    (job_id,) = session.registry()._jobs
    (tmp_path / "runs" / job_id / "status.json").unlink()
    session.registry.clear()
    again = open_tab(run=job_id)
    assert len(again.error) == 1 and "broken off" in again.error[0].value
    assert not button(again, "run").disabled


def test_any_tab_sees_and_cancels_what_is_at_work():
    """A run that waits names the one before it; a third tab stops both."""
    first, second, third = open_tab(steps=10_000, seed=1), open_tab(steps=10_000, seed=2), open_tab()
    press(first, "run")
    press(second, "run")
    running, waiting = session.registry().at_work()
    while len(running.run.trace) < 3:
        time.sleep(0.01)
    second.run()
    texts = [bar.proto.text for bar in second.get("progress")]
    assert "Waiting\\: 1 run ahead, now OR" in texts[0] and "Plane" in texts[0] and "another tab" in texts[0]
    third.run()
    assert [(row["id"], row["text"].split(" · ")[-1]) for row in queue(third)] == [
        (running.id, "another tab"),
        (waiting.id, "another tab"),
    ]
    for job in (waiting, running):
        press_in_queue(third, "cancel", job.id)
        assert job.run.finished.wait(60) and job.run.state == "cancelled"
    third.run()
    assert queue(third) == []
    first.run()
    assert "Cancelled at step" in words(first)
    second.run()
    assert "cancelled before its first step" in words(second)


def test_a_drawing_that_ends_amid_presses_leaves_the_rest_to_the_next(monkeypatch):
    """What a slow page draws ends at the next word to the browser, a toast, where a press comes meanwhile."""
    tab = open_tab(steps=10_000)
    press(tab, "run")
    toast, told = session.st.toast, []

    def ends_once(*arguments, **named):
        toast(*arguments, **named)
        told.append(arguments)
        if len(told) == 2:
            raise StopException

    monkeypatch.setattr(session.st, "toast", ends_once)
    tab.session_state["presses"] = 4
    tab.run()
    assert len(session.registry().at_work()) == 3
    tab.session_state["presses"] = 2
    tab.run()
    assert len(session.registry().at_work()) == 7 and len(told) == 6
    for job in session.registry().at_work():
        session.registry().cancel(job)
    finish()


def test_run_adds_to_the_queue_while_something_runs_and_every_press_of_the_keyboard_counts():
    """What is shown stays while it is at work; presses that reach the server together are so many runs."""
    tab = open_tab(steps=10_000)
    press(tab, "run")
    (running,) = session.registry().at_work()
    assert tab.session_state["shown"] == [running.id]
    assert not button(tab, "run").disabled
    tab.session_state["f.steps"] = 3
    press(tab, "run")
    assert [toast.value for toast in tab.toast] == ["Added to the queue: 2nd in line"]
    tab.session_state["presses"] = 2  # of Ctrl+Enter
    tab.run()
    assert tab.session_state["shown"] == [running.id] and "presses" not in tab.session_state
    assert [job.recipe.levels.steps for job in session.registry().at_work()] == [10_000, 3, 3, 3]
    tab.session_state["f.seed"] = "none"  # nothing that can be run
    tab.session_state["presses"] = 1
    tab.run()
    assert len(session.registry().at_work()) == 4 and "presses" not in tab.session_state
    session.registry().cancel(running)
    finish()
    tab.run()
    tab.session_state["f.seed"] = "5"
    tab.run()
    press(tab, "run")
    finish()
    tab.run()
    assert "Finished" in words(tab) and "seed 5" in words(tab)
