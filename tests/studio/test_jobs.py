"""The job registry: order, waiting, cancelling, forgetting."""

import pytest

from studio.jobs import Jobs, is_job_id
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipe import make_recipe


def plane(steps=5, **fields):
    experts = [{"model": "overlap_a"}, {"model": "overlap_b"}]
    return make_recipe({"domain": "plane", "experts": experts, "levels": {"steps": steps}, "batch": 8} | fields)


def finish(job):
    assert job.run.finished.wait(60), "the run did not end"


@pytest.fixture
def jobs(tmp_path):
    return Jobs(tmp_path / "runs")


def test_a_job_runs_to_its_end_and_keeps_a_record(jobs, tmp_path):
    job = jobs.submit(plane())
    finish(job)
    assert job.run.state == "done"
    assert is_job_id(job.id)
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
    assert jobs.ahead(second) == 1
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


def test_a_device_that_is_not_there_is_refused_at_once(jobs, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SuperDiffError, match="no cuda device"):
        jobs.submit(plane(device="cuda"))


@pytest.mark.parametrize("text", ["", "..", "../../etc", "20261123-120000-0000000g", "20261123-120000-00000000/.."])
def test_what_is_not_an_id_is_not_taken_for_one(text):
    assert not is_job_id(text)
