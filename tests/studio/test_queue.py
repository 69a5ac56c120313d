"""The queue: its order, its pause, what it foretells, and what is left of it when a server ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from studio import jobs as studio_jobs
from studio.jobs import Jobs
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import OutputError, SuperDiffError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs import waiting
from superdiff_engine.runs.axes import parse_axis
from superdiff_engine.runs.density_check import Checking
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.run import Run
from superdiff_engine.runs.waiting import QueueFile
from tests.studio.held_runs import HeldRun, release_all

EXPERTS = [{"model": "overlap_a"}, {"model": "overlap_b"}]


def plane(seed=0, **fields):
    document = {"domain": "plane", "experts": EXPERTS, "levels": {"steps": 5}, "batch": 8, "seed": seed}
    return make_recipe(document | fields)


@pytest.fixture
def held(monkeypatch):
    """Runs are held until they are released."""
    monkeypatch.setattr(studio_jobs, "Run", HeldRun)
    monkeypatch.setattr(waiting, "Run", HeldRun)
    yield
    release_all()


@pytest.fixture
def jobs(tmp_path, held):
    jobs = Jobs(tmp_path)
    yield jobs
    jobs.end()


def four(jobs, **named):
    """The first of four is at work."""
    made = [jobs.submit(plane(seed), **named) for seed in range(4)]
    assert made[0].run.began.wait(10)
    return made


def end(job):
    job.run.release()
    assert job.run.finished.wait(10)


def entries(folder):
    (path,) = (folder / "queue").glob("*.json")
    return json.loads(path.read_text())["entries"]


def test_the_order_can_be_changed_and_is_kept_and_runs_go_by_it(jobs, tmp_path):
    first, second, third, fourth = four(jobs)
    jobs.move(fourth.id, "first")
    jobs.move(second.id, "down")
    assert jobs.at_work() == [first, fourth, third, second]
    jobs.move(second.id, "up")
    jobs.move(fourth.id, "up")  # as far up as it goes
    jobs.move(third.id, "down")  # and as far down
    jobs.move(first.id, "down")  # it is at work
    jobs.move("nobody", "first")
    order = [first, fourth, second, third]
    assert jobs.at_work() == order and jobs.ahead(third) == order[:3]
    kept = entries(tmp_path)
    assert [entry["id"] for entry in kept] == [job.id for job in order]
    assert [entry["begun"] for entry in kept] == [True, False, False, False]
    for job in order:
        assert job.run.began.wait(10)
        assert [other.run.began.is_set() for other in order] == [
            order.index(other) <= order.index(job) for other in order
        ]
        end(job)


def test_a_paused_queue_begins_nothing_and_what_runs_goes_on(jobs):
    first, second, *_ = four(jobs)
    jobs.pause()
    end(first)
    added = jobs.submit(plane(9))
    assert not second.run.began.wait(0.1) and jobs.paused and jobs.at_work()[0] is second
    jobs.move(added.id, "first")
    jobs.resume()
    assert added.run.began.wait(10) and not second.run.began.is_set()


def test_a_tab_cancels_what_waits_of_its_own(jobs):
    mine, theirs = jobs.open_tab(), jobs.open_tab()
    running = jobs.submit(plane(), tab=mine)
    assert running.run.began.wait(10)
    waiting_of_mine = [jobs.submit(plane(seed), tab=mine) for seed in (1, 2)]
    other = jobs.submit(plane(3), tab=theirs)
    jobs.cancel_waiting(mine)
    assert [job.run.state for job in waiting_of_mine] == ["cancelled"] * 2
    assert jobs.at_work() == [running, other]
    assert [one.id for one in jobs.ended(mine)] == [job.id for job in reversed(waiting_of_mine)]
    assert jobs.ended(theirs) == []


def test_what_waits_is_foretold_by_what_its_like_took(jobs):
    """Two steps of an ended run take two seconds; other models, and other numbers of samples, are not its like."""
    jobs._paces.note("cpu", plane(), 2, 2.0, 2.5, "run")
    *_, fourth = four(jobs)
    found = jobs.forecasts()
    assert [one.takes for one in found.values()] == [pytest.approx(0.5 + 6)] * 4
    assert [one.begins for one in found.values()] == [pytest.approx(6.5 * place) for place in range(4)]
    longer = jobs.submit(plane(7, levels={"steps": 11}))
    other = jobs.submit(plane(8, batch=16))
    last = jobs.submit(plane(9))
    found = jobs.forecasts()
    assert found[longer.id].takes == pytest.approx(0.5 + 12) and found[longer.id].begins == pytest.approx(26)
    assert found[other.id].takes is None and found[other.id].begins == pytest.approx(38.5)
    assert found[last.id].takes == pytest.approx(6.5) and found[last.id].begins is None and found[last.id].ends is None
    assert found[fourth.id].ends == pytest.approx(26)


def test_ended_runs_give_the_pace():
    jobs = Jobs(None)
    for seed in range(2):
        assert jobs.submit(plane(seed)).run.finished.wait(60)
    jobs.pause()
    job = jobs.submit(plane(2))
    assert 0 < jobs.forecasts()[job.id].takes < 60


def test_what_waited_when_a_server_died_is_offered_and_keeps_its_id(tmp_path, held):
    """Nothing is lost and nothing comes twice, whoever dies next; what was at work is marked, and is another run."""
    first = Jobs(tmp_path)
    running, *rest = four(first)
    grid = first.submit_grid(Sweep(plane(5), parse_axis("temperature=1,2"), parse_axis("seed=0:3")), running.id)
    (tmp_path / running.id).mkdir()
    (tmp_path / running.id / "recipe.json").write_text(running.recipe.to_json())
    first.kept.close()  # as the process's end does
    second = Jobs(tmp_path)
    offered = second.offered()
    assert [entry.key for entry in offered] == [job.id for job in [running, *rest, grid]]
    assert [entry.begun for entry in offered] == [True, False, False, False, False]
    assert [entry.kind for entry in offered] == ["run"] * 4 + ["grid"] and not any(entry.problem for entry in offered)
    assert all(entry.recipe == job.recipe for entry, job in zip(offered, [running, *rest, grid], strict=True))
    assert len(list((tmp_path / "queue").glob("*.json"))) == 1
    with pytest.raises(SuperDiffError, match="waited when the studio ended"):
        second.recall(rest[0].id)
    second.kept.close()  # before anybody has looked
    third = Jobs(tmp_path)
    tab = third.open_tab()
    assert [entry.key for entry in third.offered()] == [entry.key for entry in offered]
    third.pause()
    queued = third.queue_again([rest[1].id, grid.id], tab)
    assert [job.id for job in queued] == [rest[1].id, grid.id] and all(job.tab == tab.key for job in queued)
    assert queued[1].run.recipes == grid.run.recipes and queued[1].origin == running.id
    assert third.recall(rest[1].id) is queued[0] and third.queue_again([rest[1].id]) == []
    (again,) = third.queue_again([running.id])
    assert again.id != running.id and again.recipe == running.recipe
    third.forget_offered([rest[0].id])
    assert [entry.key for entry in third.offered()] == [rest[2].id]
    third.kept.close()
    fourth = Jobs(tmp_path)
    left = {entry.key for entry in fourth.offered()}
    assert left == {rest[1].id, grid.id, again.id, rest[2].id}
    fourth.forget_offered(list(left))
    assert not (tmp_path / "queue").exists()
    for job in (running, queued[0]):
        job.run.cancel()


def test_a_server_that_is_ended_keeps_what_waits_and_not_what_ran(tmp_path, held):
    first = Jobs(tmp_path)
    running, *rest = four(first)
    first.end()
    assert running.run.state == "cancelled" and all(job.run.state == "cancelled" for job in rest)
    second = Jobs(tmp_path)
    assert [entry.key for entry in second.offered()] == [job.id for job in rest]
    assert not any(entry.begun for entry in second.offered())
    second.end()  # nothing was done about them
    assert len(Jobs(tmp_path).offered()) == 3


def test_two_servers_leave_each_other_alone(tmp_path, held):
    one, other = Jobs(tmp_path), Jobs(tmp_path)
    first, second = one.submit(plane(1)), other.submit(plane(2))
    assert first.run.began.wait(10) and second.run.began.wait(10)
    third = Jobs(tmp_path)
    assert one.offered() == other.offered() == third.offered() == []
    assert len(list((tmp_path / "queue").glob("*.json"))) == 2
    one.kept.close()
    assert [entry.key for entry in Jobs(tmp_path).offered()] == [first.id]
    assert len(list((tmp_path / "queue").glob("*.json"))) == 2
    for job in (first, second):
        end(job)


def test_what_ended_before_its_server_died_is_not_offered(tmp_path, held):
    """Its status is there, and the queue had not been told yet."""
    first = Jobs(tmp_path)
    running, *rest = four(first)
    (tmp_path / running.id).mkdir()
    (tmp_path / running.id / "status.json").write_text("{}")
    first.kept.close()
    assert [entry.key for entry in Jobs(tmp_path).offered()] == [job.id for job in rest]
    running.run.cancel()


def damaged(document):
    """Copies of a queue's file with something wrong, and the sentence that says so."""
    entry = document["entries"][0]
    yield b"", "damaged"
    yield json.dumps(document).encode()[:-40], "damaged"
    yield b"[" * 100_000, "damaged"
    yield json.dumps({"version": 1}).encode(), "damaged"
    yield json.dumps({"version": 2, "entries": [entry]}).encode(), "later SuperDiff Studio"
    for changed, sentence in (
        (["no entry"], "damaged"),
        ({**entry, "id": "../../elsewhere"}, "damaged"),
        ({**entry, "kind": "dance"}, "damaged"),
        ({**entry, "recipe": None}, "recipe cannot be read"),
        ({**entry, "recipe": {**entry["recipe"], "later": 1}}, "cannot be queued again as it was"),
        ({**entry, "recipe": {**entry["recipe"], "experts": [{"model": "gone"}]}}, "no model called 'gone'"),
        ({**entry, "kind": "grid", "x": {"name": "dance", "values": [1]}, "y": None}, "axis of its grid"),
        ({**entry, "kind": "file", "origin": ""}, "give the file again"),
    ):
        yield json.dumps({"version": 1, "entries": [changed, *document["entries"][1:]]}).encode(), sentence


@pytest.mark.parametrize("case", range(13))
def test_what_cannot_be_read_is_marked_and_kept_until_it_is_removed(tmp_path, held, case):
    first = Jobs(tmp_path)
    running, *rest = four(first)
    first.kept.close()
    (path,) = (tmp_path / "queue").glob("*.json")
    content, sentence = list(damaged(json.loads(path.read_text())))[case]
    path.write_bytes(content)
    for _ in range(2):  # and so they are for the next server
        jobs = Jobs(tmp_path)
        bad, *good = jobs.offered()
        assert sentence in bad.problem and bad.problem.endswith(".") and not any(entry.problem for entry in good)
        assert [entry.key for entry in good] == ([] if case < 5 else [job.id for job in rest])
        jobs.queue_again([bad.key])
        assert jobs.at_work() == [] and jobs.offered()[0] == bad
        jobs.kept.close()
    jobs = Jobs(tmp_path)
    jobs.forget_offered([entry.key for entry in jobs.offered()])
    jobs.kept.close()
    assert Jobs(tmp_path).offered() == [] and not (tmp_path / "queue").exists()
    running.run.cancel()


def test_a_queue_that_cannot_be_kept_runs_and_says_so(tmp_path, held, monkeypatch):
    jobs = Jobs(tmp_path)
    write = waiting.write_whole

    def full(path, content):
        raise OutputError("The queue could not be kept: no space is left.")

    monkeypatch.setattr(waiting, "write_whole", full)
    first, *rest = four(jobs)
    assert "no space" in jobs.kept.problem
    monkeypatch.setattr(waiting, "write_whole", write)
    jobs.cancel(rest[0])
    assert jobs.kept.problem == "" and [entry["id"] for entry in entries(tmp_path)] == [
        job.id for job in [first, *rest[1:]]
    ]
    jobs.end()


def test_a_run_without_a_record_and_an_empty_queue_leave_no_file(tmp_path, held):
    jobs = Jobs(tmp_path / "library")
    for job in four(jobs, save=False):
        end(job)
    assert not (tmp_path / "library").exists()
    job = jobs.submit(plane())
    assert job.run.began.wait(10) and len(list((tmp_path / "library" / "queue").iterdir())) == 2
    end(job)
    jobs.end()
    assert not (tmp_path / "library" / "queue").exists()


def test_a_check_that_waited_is_made_again_of_the_same_samples(tmp_path):
    first = Jobs(tmp_path)
    run = first.submit(plane())
    assert run.run.finished.wait(60)
    first.pause()
    first.submit_estimation(Checking(run.run.result), origin=run.id)
    first.kept.close()
    second = Jobs(tmp_path)
    (entry,) = second.offered()
    assert entry.kind == "check" and entry.origin == run.id
    (job,) = second.queue_again([entry.key])
    assert isinstance(job.run, Checking) and job.run.finished.wait(60) and job.run.check is not None


SERVER = """
import sys
from pathlib import Path
from studio.jobs import Jobs
from superdiff_engine.domains.checked import make_recipe
jobs = Jobs(Path(sys.argv[1]))
experts = [{"model": "overlap_a"}, {"model": "overlap_b"}]
recipe = {"domain": "plane", "experts": experts, "batch": 8, "levels": {"steps": 10_000}}
made = [jobs.submit(make_recipe(recipe | {"seed": seed})) for seed in range(3)]
while len(made[0].run.trace) < 3:
    assert not made[0].run.finished.wait(0.01)
print(*(job.id for job in made), flush=True)
made[0].run.finished.wait()
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL of POSIX")
def test_a_server_that_is_killed_leaves_its_queue(tmp_path):
    command = [sys.executable, "-c", SERVER, str(tmp_path)]
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": root}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        ids = server.stdout.readline().split()
        assert Jobs(tmp_path).offered() == []  # it lives
        server.send_signal(signal.SIGKILL)
    offered = Jobs(tmp_path).offered()
    assert [(entry.key, entry.begun) for entry in offered] == [(ids[0], True), (ids[1], False), (ids[2], False)]
    assert all(isinstance(entry.recipe, Recipe) and isinstance(entry.work(), Run) for entry in offered)


def test_a_file_that_is_taken_over_goes_only_when_its_entries_are_kept(tmp_path, monkeypatch):
    """Whoever dies between the two leaves both, and each entry is offered once."""
    entry = {**waiting.waiting_document(Run(plane())), "begun": False, "asked": 1.0}
    dead = QueueFile(tmp_path / "queue", tmp_path)
    dead.write([entry])
    dead.close()
    heir = QueueFile(tmp_path / "queue", tmp_path)
    assert [one.key for one in heir.take_over()] == [entry["id"]] and dead.path.exists()
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
    heir.write([entry])
    heir.close()
    monkeypatch.undo()
    assert len(list((tmp_path / "queue").glob("*.json"))) == 2
    assert [one.key for one in Jobs(tmp_path).offered()] == [entry["id"]]
