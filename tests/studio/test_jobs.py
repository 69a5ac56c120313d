"""The job registry: order, waiting, cancelling, forgetting."""

import gc
import time

import numpy as np
import pytest

from studio.jobs import Jobs
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.runs.density_check import Checking
from superdiff_engine.runs.stored import StoredRun


def plane(steps=5, **fields):
    experts = [{"model": "overlap_a"}, {"model": "overlap_b"}]
    return make_recipe({"domain": "plane", "experts": experts, "levels": {"steps": steps}, "batch": 8} | fields)


def finish(job):
    assert job.run.finished.wait(60), "the run did not end"
    return job


@pytest.fixture
def jobs(tmp_path):
    return Jobs(tmp_path / "runs")


def test_a_job_runs_to_its_end_and_keeps_a_record(jobs, tmp_path):
    job = jobs.submit(plane())
    finish(job)
    assert job.run.state == "done"
    assert (tmp_path / "runs" / job.id / "status.json").is_file()
    assert jobs.find(job.id) is job


def test_a_run_need_not_be_saved(jobs, tmp_path):
    job = jobs.submit(plane(), save=False)
    finish(job)
    assert job.run.result is not None
    assert not (tmp_path / "runs").exists()


def test_the_second_waits_for_the_first_and_can_be_cancelled_meanwhile(jobs):
    first = jobs.submit(plane(steps=10_000))
    second = jobs.submit(plane())
    assert jobs.ahead(second) == [first] and jobs.ahead(first) == []
    jobs.cancel(second)
    assert second.finished
    assert second.run.state == "cancelled"
    assert second.run.result is None
    jobs.cancel(first)
    finish(first)


def test_cancelling_keeps_what_was_made(jobs):
    job = jobs.submit(plane(steps=10_000))
    while len(job.run.trace) < 3:
        assert not job.run.finished.wait(0.01)
    jobs.cancel(job)
    finish(job)
    assert job.run.state == "cancelled"
    assert job.run.result is not None
    assert not job.run.result.complete
    assert len(job.run.trace) >= 3


def test_jobs_run_in_the_order_in_which_they_came(jobs):
    ended = []
    made = [jobs.submit(plane(seed=seed)) for seed in range(3)]
    for job in made:
        finish(job)
        ended.append([other.finished for other in made])
    assert [row[: place + 1] for place, row in enumerate(ended)] == [[True], [True, True], [True, True, True]]


def test_a_failed_run_frees_the_device(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    jobs = Jobs(blocked)
    failed = jobs.submit(plane())
    finish(failed)
    assert failed.run.state == "failed"
    assert "cannot be written" in failed.run.message
    following = jobs.submit(plane(), save=False)
    finish(following)
    assert following.run.state == "done"


def test_old_finished_runs_are_forgotten_and_the_last_looked_at_stays(tmp_path):
    jobs = Jobs(tmp_path, keep=2)
    made = []
    for seed in range(4):
        job = jobs.submit(plane(seed=seed), save=False)
        finish(job)
        made.append(job)
        jobs.find(made[0].id)
    last = jobs.submit(plane(seed=9), save=False)
    finish(last)
    assert jobs.find(made[0].id) is made[0]
    assert jobs.find(made[1].id) is None


def made(jobs, tab, save, seed):
    job = jobs.submit(plane(seed=seed), save, tab)
    tab.shown = (job.id,)
    finish(job)
    return job


@pytest.mark.parametrize("save", [True, False])
def test_what_twenty_tabs_show_stays_while_they_live(tmp_path, save):
    """And beyond that from disk, if there is a record; only the newest runs stay in memory."""
    jobs = Jobs(tmp_path, keep=2)
    tabs = [jobs.open_tab() for _ in range(20)]
    shown = [made(jobs, tab, save, seed) for seed, tab in enumerate(tabs)]
    for _ in range(5):
        finish(jobs.submit(plane(), save=False))
    assert [jobs.find(job.id) for job in shown] == shown
    del tabs[:10]
    gc.collect()
    for _ in range(4):
        finish(jobs.submit(plane(), save=False))
    assert [jobs.find(job.id) for job in shown[10:]] == shown[10:]
    assert sum(job is not None and not isinstance(job.run, StoredRun) for job in jobs._jobs.values()) <= 10 + 2 + 1
    for job in shown[:10]:
        found = jobs.find(job.id)
        assert (found is not None) == save
        if save:
            np.testing.assert_array_equal(found.run.result.samples["x"], job.run.result.samples["x"])


def test_many_bytes_go_to_disk_though_they_are_shown_and_what_has_no_record_stays(tmp_path):
    jobs = Jobs(tmp_path, most=1)
    tabs = [jobs.open_tab() for _ in range(4)]
    shown = [made(jobs, tab, seed % 2 == 0, seed) for seed, tab in enumerate(tabs)]
    for job in shown:
        jobs.find(job.id)
    finish(jobs.submit(plane(), save=False))
    found = [jobs.find(job.id) for job in shown]
    assert [one is job for one, job in zip(found, shown, strict=True)] == [False, True, False, True]
    for one, job in zip(found, shown, strict=True):
        np.testing.assert_array_equal(one.run.result.samples["x"], job.run.result.samples["x"])


def test_a_new_server_knows_the_runs_of_the_last_one(tmp_path):
    first = Jobs(tmp_path)
    job = first.submit(plane())
    finish(job)
    found = Jobs(tmp_path).recall(job.id)
    assert found.finished and found.recipe == job.recipe and found.run.state == "done"
    (tmp_path / job.id / "status.json").unlink()
    assert Jobs(tmp_path).recall(job.id).run.state == "interrupted"
    for unknown in ("20200101-000000-00000000", "..", f"{job.id}/.."):
        with pytest.raises(SuperDiffError, match="not in the library"):
            first.recall(unknown)


def test_what_is_at_work_is_in_the_order_of_the_queue(jobs):
    running, waiting, last = (jobs.submit(plane(steps=10_000)) for _ in range(3))
    assert jobs.at_work() == [running, waiting, last] and jobs.ahead(last) == [running, waiting]
    for job in (waiting, running, last):
        jobs.cancel(job)
        finish(job)
    assert jobs.at_work() == []


def test_a_device_that_is_not_there_is_refused_at_once(jobs, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SuperDiffError, match="no cuda device"):
        jobs.submit(plane(device="cuda"))


@pytest.mark.parametrize("text", ["", "..", "../../etc", "20261123-120000-0000000g", "20261123-120000-00000000/.."])
def test_what_is_not_an_id_is_not_taken_for_one(jobs, text):
    finish(jobs.submit(plane()))
    with pytest.raises(SuperDiffError, match="not in the library"):
        jobs.recall(text)


def test_a_check_gives_way_to_runs_and_goes_on(jobs):
    """It stands still while its device has a run to do, which never waits for it; a cancel reaches it there, too."""
    result = finish(jobs.submit(plane(), save=False)).run.result
    slow, check, waiting = plane(5000, seed=1), Checking(result, steps=2000), Checking(result, steps=2000)
    asked = jobs.submit_estimation(check, origin="a run")
    while check.fraction == 0:
        time.sleep(0.001)
    run = jobs.submit(slow, save=False)
    queued = jobs.submit_estimation(waiting, origin="a run")
    while run.run.fraction < 0.01 or not check.waiting:
        time.sleep(0.001)
    share, seconds = check.fraction, check.seconds
    while run.run.fraction < 0.05:
        time.sleep(0.001)
    assert run.run.state == "running" and check.fraction == share and check.seconds == pytest.approx(seconds, abs=0.05)
    assert jobs.ahead(asked) == [run] and jobs.ahead(queued) == [run, asked] and jobs.ahead(run) == []
    jobs.cancel(queued)
    jobs.cancel(run)
    while check.fraction == share:
        time.sleep(0.001)
    jobs.cancel(asked)
    assert finish(asked).run.state == waiting.state == "cancelled" and check.check is None
