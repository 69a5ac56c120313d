"""How often the page looks at work that goes on: seldom where the browser takes the cores that it computes on."""

import psutil
import pytest
import torch

from studio import session
from studio.stage import looks
from studio.stage.looks import LOOK, SELDOM, until_next
from superdiff_engine.domains import get_domain
from superdiff_engine.runs.run import Run
from tests.studio_page import open_link

EXPERTS = [{"model": "overlap_a"}, {"model": "overlap_b"}]
RECIPE = {"domain": "plane", "experts": EXPERTS, "levels": {"steps": 10_000}, "batch": 4}


@pytest.fixture
def at_work(tmp_path, monkeypatch):
    """(page, its run) of a plane that has made steps and goes on."""
    app = open_link(RECIPE, tmp_path / "runs", monkeypatch)
    app.session_state["presses"] = 1
    app.run()
    job = session.registry().at_work()[-1]
    job.run.tempo.slow(None)
    while job.run.eta is None:
        assert not job.run.finished.wait(0.01)
    yield app, job
    session.registry().end()


@pytest.fixture
def cores(monkeypatch):
    return lambda count: monkeypatch.setattr(psutil, "cpu_count", lambda: count)


def test_a_run_that_leaves_a_core_is_looked_at_often(at_work, cores):
    _, job = at_work
    cores(2)
    assert until_next(job) == LOOK  # the plane computes on one
    cores(1)
    assert until_next(job) == SELDOM


def test_the_last_look_comes_when_the_run_is_expected_to_end(at_work, cores, monkeypatch):
    _, job = at_work
    cores(1)
    for left, after in ((30.0, SELDOM), (0.5, 0.5 + LOOK / 2), (0.0, LOOK)):
        monkeypatch.setattr(Run, "eta", property(lambda run, left=left: left))
        assert until_next(job) == after


def test_a_run_that_computes_nothing_now_is_looked_at_often(at_work, cores):
    _, job = at_work
    cores(1)
    job.run.tempo.slow(20.0)
    assert until_next(job) == LOOK
    job.run.tempo.slow(None)
    job.run.tempo.pause()
    assert until_next(job) == LOOK
    job.run.tempo.go_on()
    assert until_next(job) == SELDOM


def test_one_that_waits_behind_another_is_looked_at_seldom(at_work, cores):
    _, job = at_work
    behind = session.registry().submit(job.recipe)
    cores(8)
    assert until_next(behind) == SELDOM and until_next(job) == LOOK


def test_other_domains_compute_on_as_many_threads_as_torch_has(at_work, cores, monkeypatch):
    _, job = at_work
    monkeypatch.setattr(type(get_domain("plane")), "threads", None)
    cores(torch.get_num_threads())
    assert job.takes_all_cores
    cores(2 * torch.get_num_threads())  # two to a core: torch takes one of them
    assert not job.takes_all_cores
    monkeypatch.setattr(job, "device", "cuda")
    cores(1)
    assert not job.takes_all_cores


def test_the_page_takes_the_pace_that_the_run_leaves_it(at_work, cores, monkeypatch):
    """What Streamlit is told: a quick part within a seldom one, at each of whose looks the quick one's pace is anew."""
    app, _ = at_work
    told, part = [], looks.part
    monkeypatch.setattr(
        looks, "part", lambda draw, run_every: told.append(run_every) or part(draw, run_every=run_every)
    )
    for count, expected in ((2, LOOK), (1, looks.NEVER), (2, LOOK)):
        cores(count)
        app.run()
        assert told.pop() == expected and not told and not app.exception
