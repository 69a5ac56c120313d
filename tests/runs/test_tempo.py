"""How fast a run goes: paused, step by step, slowed, cancelled meanwhile; its samples are the same at every pace."""

import threading
import time

import numpy as np
import pytest

from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import ArgumentError
from superdiff_engine.runs.run import Run
from superdiff_engine.runs.tempo import Tempo


def recipe(steps=20):
    experts = [{"model": "overlap_a"}, {"model": "overlap_b"}]
    return make_recipe({"domain": "plane", "experts": experts, "levels": {"steps": steps}, "batch": 8, "seed": 3})


def until(holds):
    """Wait until it does."""
    for _ in range(2000):
        if holds():
            return
        time.sleep(0.005)
    raise AssertionError("It never did.")


@pytest.fixture
def begin():
    """Begins a run in a thread of its own; whatever happens to the test, the run ends."""
    runs = []

    def begin(run):
        thread = threading.Thread(target=run.execute)
        thread.start()
        runs.append((run, thread))
        return thread

    yield begin
    for run, thread in runs:
        run.cancel()
        thread.join(20)
        assert not thread.is_alive()


def test_a_paused_run_takes_the_steps_that_are_asked_for_and_no_others(begin):
    run = Run(recipe())
    run.tempo.pause()
    thread = begin(run)
    until(lambda: len(run.trace) == 1)
    time.sleep(0.1)
    assert len(run.trace) == 1 and run.eta is None
    for asked in range(1, 4):
        run.tempo.step()
        until(lambda asked=asked: len(run.trace) == 1 + asked)
    for _ in range(3):  # asked for at once, each counts
        run.tempo.step()
    until(lambda: len(run.trace) == 7)
    time.sleep(0.1)
    assert len(run.trace) == 7
    assert [frame.index for frame in run.trace.frames] == list(range(7))  # each of them was to be seen
    run.tempo.go_on()
    thread.join(20)
    assert run.state == "done" and len(run.trace) == 21
    assert np.array_equal(run.result.samples["x"], Run(recipe()).execute().samples["x"])


def test_a_pause_shows_the_step_that_it_stops_at(begin):
    """A run at full speed is drawn five times a second; where it stops is drawn as well."""
    run = Run(recipe(5000))
    begin(run)
    until(lambda: len(run.trace) > 3)
    run.tempo.pause()
    until(lambda: run.trace.latest.index == len(run.trace) - 1)
    seen = len(run.trace)
    time.sleep(0.1)
    assert len(run.trace) == seen and run.state == "running"


def test_one_step_of_a_run_at_work_pauses_it(begin):
    run = Run(recipe(5000))
    begin(run)
    until(lambda: len(run.trace) > 3)
    run.tempo.step()
    assert run.tempo.paused
    time.sleep(0.1)  # the step that it was at is done, shown or not, and the one that was asked for
    until(lambda: run.trace.latest.index == len(run.trace) - 1)
    seen = len(run.trace)
    time.sleep(0.1)
    assert len(run.trace) == seen


def test_a_slow_run_keeps_its_rate_and_waiting_is_no_time_of_its_own(begin):
    run = Run(recipe(10))
    run.tempo.slow(10.0)
    begun = time.monotonic()
    begin(run).join(60)
    took = time.monotonic() - begun
    assert took >= 9 / 10  # the first step is due at once
    assert run.waited > 0.1 and run.seconds + run.waited <= took
    assert run.seconds < took - 0.1
    assert len(run.trace.frames) == 11
    assert run.result.seconds == pytest.approx(run.seconds, abs=0.05)
    assert np.array_equal(run.result.samples["x"], Run(recipe(10)).execute().samples["x"])


def test_time_to_go_is_by_the_pace_that_is_asked_for(begin):
    run = Run(recipe(1000))
    run.tempo.slow(5.0)
    begin(run)
    until(lambda: len(run.trace) > 4)
    assert run.eta == pytest.approx((1001 - len(run.trace)) / 5, rel=0.3)
    run.tempo.slow(None)
    until(lambda: run.finished.is_set())


@pytest.mark.parametrize("ask", [lambda tempo: tempo.pause(), lambda tempo: tempo.slow(0.01)])
def test_a_run_that_waits_is_cancelled_at_once(ask, begin):
    run = Run(recipe())
    ask(run.tempo)
    thread = begin(run)
    until(lambda: len(run.trace) > 0)
    begun = time.monotonic()
    run.cancel()
    thread.join(20)
    assert time.monotonic() - begun < 2
    assert run.state == "cancelled" and run.result is not None and not run.result.complete


def test_a_cancel_that_nobody_told_of_is_seen():
    """By a signal's handler that sets the event alone, say."""
    tempo, cancel = Tempo(paused=True), threading.Event()
    threading.Timer(0.05, cancel.set).start()
    tempo.wait(cancel)
    assert cancel.is_set() and 0.04 < tempo.waited < 5


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ArgumentError, match="steps a second"):
        Tempo().slow(rate)


def test_a_paused_run_goes_on_when_its_watcher_has_gone(begin):
    run = Run(recipe(6))
    run.tempo.slow(2.0)
    run.tempo.pause()
    run.tempo.attend(60)
    thread = begin(run)
    until(lambda: len(run.trace) == 1)
    for _ in range(4):  # as long as somebody says so it stands still
        run.tempo.attend(0.5)
        time.sleep(0.2)
    assert len(run.trace) == 1 and run.tempo.paused
    thread.join(20)
    assert run.state == "done" and not run.tempo.watched
