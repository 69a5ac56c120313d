"""The queue on the page without a browser: what its panel says, shows, offers and follows."""

import pytest

from studio import jobs as studio_jobs
from studio import session
from studio.jobs import Jobs
from studio.stage.progress import standstill_text
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.runs import waiting
from tests.studio.held_runs import HeldRun, release_all
from tests.studio.queue_panel import panel, press_in_queue, queue
from tests.studio_page import open_link, press


def plane(seed):
    experts = [{"model": "overlap_a"}, {"model": "overlap_b"}]
    return {"domain": "plane", "experts": experts, "levels": {"steps": 3}, "batch": 4, "seed": seed}


def texts(app, *parts):
    return [row["text"] for row in queue(app, *parts)]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setattr(studio_jobs, "Run", HeldRun)
    monkeypatch.setattr(waiting, "Run", HeldRun)
    yield tmp_path / "runs"
    session.registry().end()
    release_all()


def test_the_panel_says_what_waits_for_what_and_the_stage_follows_if_wanted(runs, monkeypatch):
    app = open_link(plane(1), runs, monkeypatch)
    app.run()
    assert panel(app)["line"] == "Queue: empty" and panel(app)["work"] == 0
    for _ in range(3):
        press(app, "run")
    first, second, third = session.registry().at_work()
    assert first.run.began.wait(10)
    app.run()
    assert panel(app)["line"] == "Queue: 1 running, 2 waiting" and panel(app)["work"] == 3 and panel(app)["mine"] == 2
    assert texts(app)[1:] == [
        "2nd in line · takes an unknown time · this tab",
        "3rd in line · takes an unknown time · this tab",
    ]
    assert app.session_state["shown"] == [first.id]
    press_in_queue(app, "up", third.id)
    press_in_queue(app, "pause")
    assert "The queue is paused" in panel(app)["warnings"][0] and panel(app)["line"].startswith("Queue paused")
    assert [row["id"] for row in queue(app)] == [first.id, third.id, second.id]
    assert texts(app)[1].startswith("begins when the queue goes on")
    assert "the queue is paused" in standstill_text(third)
    press_in_queue(app, "follow", True)
    press_in_queue(app, "resume")
    first.run.release()
    assert third.run.began.wait(10)
    app.run()
    assert app.session_state["shown"] == [third.id] and panel(app)["follow"]
    press_in_queue(app, "follow", False)
    third.run.release()
    assert second.run.began.wait(10)
    app.run()
    assert app.session_state["shown"] == [third.id]
    press_in_queue(app, "show", second.id)
    assert app.session_state["shown"] == [second.id]
    second.run.release()
    assert second.run.finished.wait(10)
    app.run()
    told = panel(app)
    assert told["work"] == 0 and told["ended"] == "All 3 have ended." and told["line"] == "Queue: empty"
    assert {run[0] for run in told["compare"]["runs"]} == {first.id, second.id, third.id}
    press_in_queue(app, "show", "20200101-000000-00000000")
    assert "not in the library" in panel(app)["warnings"][0]


def test_what_waited_is_offered_and_a_link_to_it_finds_it_once_it_is_queued_again(runs, monkeypatch):
    dead = Jobs(runs)
    made = [dead.submit(make_recipe(plane(seed))) for seed in range(3)]
    assert made[0].run.began.wait(10)
    dead.kept.close()
    app = open_link(plane(1), runs, monkeypatch)
    app.query_params["run"] = made[2].id
    app.run()
    assert "waited when the studio ended" in app.error[0].value
    (part,) = (part for part in panel(app)["parts"] if part["name"] == "offered")
    assert part["title"] == "2 runs waited, 1 was at work when the studio ended"
    assert panel(app)["line"] == "Queue: 3 from before"
    assert [row["buttons"][0][1] for row in part["rows"]] == ["Run again", "Queue again", "Queue again"]
    press_in_queue(app, "forget", made[1].id)
    press_in_queue(app, "again", [row["id"] for row in part["rows"]])
    again, found = session.registry().at_work()
    assert found.id == made[2].id and again.id != made[0].id and again.recipe == made[0].recipe
    assert app.session_state["shown"] == [found.id] and not app.error and "from before" not in panel(app)["line"]
    assert "Waiting\\: 1 run ahead" in app.get("progress")[0].proto.text
    made[0].run.cancel()
