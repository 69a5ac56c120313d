"""The pace of runs on the page without a browser: who begins slowed, and what a paused run says in the queue."""

import json

import pytest

from studio import session
from studio.stage.progress import progress_text
from superdiff_engine.domains import domains, get_domain
from superdiff_engine.domains.checked import make_recipe
from tests.studio.queue_panel import press_in_queue, queue
from tests.studio_page import button, open_link, press, words


def plane(steps=200, seed=1):
    experts = [{"model": "overlap_a"}, {"model": "overlap_b"}]
    return {"domain": "plane", "experts": experts, "levels": {"steps": steps}, "batch": 4, "seed": seed}


@pytest.fixture
def app(tmp_path, monkeypatch):
    yield open_link(plane(), tmp_path / "runs", monkeypatch)
    session.registry().end()


def asked_by_a_browser(app):
    """Run, as the tab's script asks for it; returns the run's job."""
    app.session_state["presses"] = 1
    app.run()
    assert not app.exception
    return session.registry().at_work()[-1]


def test_a_browsers_first_run_is_slowed_its_speed_is_kept_and_what_is_not_watched_is_not(app):
    app.run()
    first = asked_by_a_browser(app)
    assert first.run.tempo.rate == get_domain("plane").first_pace(first.recipe) == 25
    beside = asked_by_a_browser(app)  # waits behind it, and is not on the stage
    assert beside.run.tempo.rate is None
    assert "A first run is slowed" in transport_note(app, first)
    # What waits may wait for long: the queue says so, and whoever sees it may end that.
    first.run.tempo.pause()
    app.run()
    assert "paused" in queue(app, "running")[0]["text"]
    assert queue(app, "waiting")[0]["text"].startswith("2nd in line ·")  # nobody knows when it begins
    press_in_queue(app, "go-on", first.id)
    assert not first.run.tempo.paused
    app.run()
    assert [name for name, *_ in queue(app, "running")[0]["buttons"]] == ["show", "full-speed", "cancel"]
    press_in_queue(app, "full-speed", first.id)
    for job in (first, beside):
        assert job.run.finished.wait(60) and job.run.state == "done"
    app.run()
    assert asked_by_a_browser(app).run.tempo.rate is None  # no first run any more
    session.registry().at_work()[-1].run.finished.wait(60)
    app.session_state["rates"] = {"plane": 80.0}  # as the bar's slider says it
    app.run()
    chosen = asked_by_a_browser(app)
    assert chosen.run.tempo.rate == 80 and transport_note(app, chosen) == ""


def transport_note(app, job):
    found = [one for one in app.get("bidi_component") if one.proto.component_name.endswith("superdiff_transport")]
    data = json.loads(found[-1].proto.json)
    assert data["run"] == job.id and data["rate"] == job.run.tempo.rate
    return data["note"]


def test_a_paused_run_says_so_and_is_cancelled(app):
    app.run()
    job = asked_by_a_browser(app)
    job.run.tempo.pause()
    while job.run.trace.latest is None:
        assert not job.run.finished.wait(0.01)
    app.run()
    assert progress_text(job).startswith("Paused")
    button(app, f"cancel-{job.id}").click()
    app.run()
    assert job.run.finished.wait(10) and job.run.state == "cancelled"
    app.run()
    assert "Cancelled at step" in words(app)


def test_a_run_that_no_browser_asks_for_is_as_quick_as_it_can(app):
    app.run()
    press(app, "run")
    job = next(iter(session.registry()._jobs.values()))
    assert job.run.tempo.rate is None and job.run.finished.wait(60)


@pytest.mark.parametrize("domain", [one.name for one in domains().values() if not one.absent])
def test_a_first_pace_ends_within_seconds(domain):
    """Only where steps are quicker than the eye; a long run is not held up for minutes."""
    recipe = next(iter(get_domain(domain).examples().values()))
    for steps in (20, 200, 10_000):
        rate = get_domain(domain).first_pace(recipe.model_copy(update={"levels": make_recipe(plane(steps)).levels}))
        assert rate is None or (rate >= 20 and steps / rate <= 10)
