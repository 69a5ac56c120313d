"""Work done in this process, in processes beside it, and by a Ray cluster of two workers is the same to the digit."""

import contextlib
import importlib.util
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import cluster_work
import numpy as np
import psutil
import pytest
from plane_recipes import PAIR, plane

from superdiff_engine.errors import SuperDiffError
from superdiff_engine.runs.axes import parse_axis
from superdiff_engine.runs.cell_run import CellAsked, make_cell
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.stored import read_record
from superdiff_engine.runs.stored_grid import read_grid
from superdiff_engine.runs.unfinished import Unfinished
from superdiff_engine.system.workplaces import cluster
from superdiff_engine.system.workplaces.choice import opens_at
from superdiff_engine.system.workplaces.cluster import Cluster
from superdiff_engine.system.workplaces.cluster_task import run_task, versions
from superdiff_engine.system.workplaces.here import Here
from superdiff_engine.system.workplaces.processes import Processes
from superdiff_engine.system.workplaces.workplace import Task
from superdiff_engine.tables.pool import make_missing

with_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.fixture(scope="module")
def place():
    """A local cluster of two workers, for this file; whoever leaves it does not close it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, Path(__file__).parents[:2])), prepend=os.pathsep)
        found = Cluster("auto", 2)
    close, found.close = found.close, lambda broken=False: None
    yield found
    close()


@pytest.fixture
def asking(monkeypatch):
    monkeypatch.setattr(cluster_work, "SIDE", "asking")


def until(condition, seconds=120):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come to that"
        time.sleep(0.02)


def processes_of(place):
    return psutil.Process(place._process.pid).children(recursive=True)


def check_contract(place):
    """Results, errors, news and plain functions, of any workplace."""
    heard = []
    tasks = [Task(cluster_work.count, (3,)), Task(cluster_work.refuse), Task(cluster_work.count, (5,))]
    futures = [place.start(task, heard.append) for task in tasks]
    assert set(place.as_completed(futures)) == set(futures)
    assert [futures[0].result()[1], futures[2].result()[1]] == [2, 4]
    with pytest.raises(ValueError, match="no"):
        futures[1].result()
    assert list(place.map(abs, [-1, 2, -3])) == [1, 2, 3]
    return heard


def check_cancel(place):
    """What has begun hears of it, what has not is not done."""
    begun = threading.Event()
    tasks = [Task(cluster_work.count, (100_000, 0.01)) for _ in range(8)]
    futures = [place.start(task, lambda news: begun.set()) for task in tasks]
    threading.Thread(target=lambda: (begun.wait(), place.cancel()), daemon=True).start()
    ended = list(place.as_completed(futures))
    assert len(ended) == 8
    numbers = [future.result()[1] for future in ended if not future.cancelled()]
    assert all(number < 99_999 for number in numbers) and any(future.cancelled() for future in ended)
    return numbers


def test_this_process():
    with Here() as here:
        assert check_contract(here) == [0, 1, 2, 0, 1, 2, 3, 4]  # in order, every one
        assert check_cancel(here) and here.takes("cuda")


def test_processes(monkeypatch, tmp_path):
    alone = {(row, column): result for row, column, result in Sweep(plane(), parse_axis("seed=0:2")).results()}
    with Processes(2) as pool:
        assert 0 in check_contract(pool) and not pool.takes("cuda")
        with monkeypatch.context() as patch:
            patch.setattr(pool, "close", lambda broken=False: None)
            for row, column, result in Sweep(plane(), parse_axis("seed=0:2"), opens=lambda stopped: pool).results():
                np.testing.assert_array_equal(result.samples["x"], alone[row, column].samples["x"])
        check_cancel(pool)
    with Processes(1) as pool:
        (future,) = pool.as_completed([pool.start(Task(cluster_work.die, (tmp_path, 9)))])
        with pytest.raises(SuperDiffError, match="the same command goes on"):
            future.result()


@with_ray
def test_a_cluster(place):
    check_contract(place)
    heard = []
    future = place.start(Task(cluster_work.count, (20, 0.05)), heard.append)
    assert future.result()[1] == 19 and heard == sorted(heard) and 0 < len(heard) < 20  # at a bounded rate
    assert (place.workers, place.gpus, place.shares_disk) == (2, 0, False)
    future = place.start(Task(cluster_work.count, (1,), device="cuda"))
    with pytest.raises(SuperDiffError, match="has no GPU"):
        future.result()


@with_ray
def test_a_local_cluster_listens_on_this_machine_alone(place):
    listening = [
        connection.laddr.ip
        for process in [psutil.Process(place._process.pid), *processes_of(place)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening and set(listening) <= LOOPBACK
    # Processes that name themselves write over what they were given.
    told = {process.environ().get("RAY_USAGE_STATS_ENABLED") for process in processes_of(place)}
    assert told <= {"0", None} and "0" in told


@with_ray
def test_a_grid_on_a_cluster_is_the_same_to_the_last_digit(place, tmp_path):
    axes = parse_axis("seed=0:2"), parse_axis("temperature=0,3")
    alone = Sweep(plane(batch=24), *axes)
    found = {(row, column): result for row, column, result in alone.results()}
    seen = []
    grid = Sweep(plane(batch=24), *axes, cells=tmp_path, opens=lambda stopped: place)
    grid.folder = tmp_path / grid.id
    grid.execute(seen.append)
    assert grid.state == "done" and not grid.failures and len(found) == 4 and grid.fraction == 1
    assert all(0 <= news.index <= 6 for news in seen)
    # The records of all cells came here, and nothing else is left.
    assert {path.name for path in tmp_path.iterdir()} == {grid.id, *(cell.run for cell in grid.settled.values())}
    for at, result in found.items():
        stored = read_record(tmp_path / grid.settled[at].run)
        assert stored.state == "done" and stored.part_of == grid.id and stored.trace.frames
        np.testing.assert_array_equal(stored.result.samples["x"], result.samples["x"])
        np.testing.assert_array_equal(stored.result.log_density, result.log_density)
        whole, there = result.trace.curves(), stored.trace.curves()
        np.testing.assert_array_equal(there.log_density, whole.log_density)


@with_ray
def test_a_lost_worker_is_replaced_and_the_file_of_a_part_comes_back(place, tmp_path, asking):
    (tmp_path / "once").mkdir()
    (tmp_path / "always").mkdir()
    (tmp_path / "parts").mkdir()
    once = place.start(Task(cluster_work.die, (tmp_path / "once", 1)))
    always = place.start(Task(cluster_work.die, (tmp_path / "always", 99)))
    said = []
    wanted = [(tmp_path / "parts", number) for number in range(3)]
    (tmp_path / "parts" / "asking").mkdir()
    cluster_work.kept(*wanted[1]).write_bytes(b"there already")
    make_missing("row", wanted, cluster_work.kept, cluster_work.make, place, said.append)
    # None of them twice, and nothing that was there.
    made = sorted(path.name.split(" by ")[0] for path in (tmp_path / "parts").glob("made *"))
    assert made == ["made 0", "made 2"] and len(said) == 2 and said[-1].startswith("row: 3 of 3 chunks")
    assert [cluster_work.kept(*each).read_bytes() for each in wanted] == [b"part 0", b"there already", b"part 2"]
    assert once.result() == 2
    with pytest.raises(SuperDiffError, match="begun 4 times on the Ray cluster, and each time its worker was lost"):
        always.result()
    assert len({path.read_text() for path in (tmp_path / "always").iterdir()}) == 4


@with_ray
def test_a_driver_that_was_killed_goes_on(place, tmp_path):
    """The command is killed in mid-grid, and the grid goes on: no cell is run twice, and the picture is the same."""
    recipe = plane(experts=PAIR, levels={"steps": 150}, batch=128)
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    axis, out, library = parse_axis("seed=0:4"), tmp_path / "grid.png", tmp_path / "library"
    library.mkdir()
    gcs = next(process for process in processes_of(place) if process.name().startswith("gcs_server"))
    arguments = ["grid", tmp_path / "recipe.json", "--x", "seed=0:4", "--out", out, "--keep", library]
    command = [sys.executable, "-m", "superdiff_engine.cli.app", *arguments, "--ray", f"127.0.0.1:{port_of(gcs)}"]
    environment = os.environ | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    driver = subprocess.Popen([*map(str, command)], env=environment, text=True, **pipes)
    kept = tmp_path / "grid.png.unfinished" / "cells.json"
    until(lambda: (kept.is_file() and json.loads(kept.read_text())["cells"]) or driver.poll() is not None)
    assert driver.poll() is None, driver.communicate()[0]
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    finished = {cell["run"] for cell in json.loads(kept.read_text())["cells"]}
    assert 0 < len(finished) < 4
    _, alive = psutil.wait_procs(children, 30)
    assert children and not alive  # what spoke with the cluster is gone, and what it asked for with it
    grid = Sweep(recipe, axis, cells=library, opens=lambda stopped: place)
    grid.folder = library / grid.id
    assert grid.go_on(Unfinished(out, grid.recipe, axis, None, library))
    assert {cell.run for cell in grid.settled.values()} == finished
    grid.execute(out=out)
    runs = {path.name for path in library.iterdir()}
    assert finished < runs and runs == {grid.id, *(cell.run for cell in grid.settled.values())} and len(runs) == 5
    assert read_grid(library / grid.id).state == "done" and not kept.parent.exists()
    assert {read_record(library / name).part_of for name in runs - {grid.id}} == {grid.id}
    alone = Sweep(recipe, axis)
    alone.execute()
    assert out.read_bytes() == alone.png()


def port_of(process):
    """The one port on which a process listens."""
    (port,) = {one.laddr.port for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN}
    return port


@with_ray
def test_a_cluster_that_asks_for_a_token_is_not_found_without_one_and_that_is_said(place, monkeypatch):
    """A local cluster asks for one; Ray itself says no more than that it failed to connect."""
    gcs = next(process for process in processes_of(place) if process.name().startswith("gcs_server"))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    with pytest.raises(SuperDiffError, match=r"could not be used at 127.* set RAY_AUTH_MODE=token"):
        Cluster(f"127.0.0.1:{port_of(gcs)}")


@with_ray
def test_cancelling_on_a_cluster(place):
    """The last one: this workplace takes nothing any more."""
    grid = Sweep(plane(levels={"steps": 10_000}), parse_axis("seed=0:4"), opens=lambda stopped: place)
    grid.execute(lambda news: grid.cancel())
    assert grid.state == "cancelled" and not grid.settled and grid.finished.is_set() and grid.message == ""


def test_a_cancel_while_a_cluster_begins(monkeypatch):
    begun = []

    def opens(stopped):
        begun.append(stopped())
        grid.cancel()
        raise cluster.Interrupted

    grid = Sweep(plane(), parse_axis("seed=0:2"), opens=opens)
    grid.execute()
    assert begun == [False] and grid.state == "cancelled" and not grid.settled


def test_what_cannot_be_a_cluster_is_one_sentence(monkeypatch):
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(cluster, "ray_is_installed", lambda: True)
    sentences = {
        "ray://a:1": r"Ray's client \(ray://\) is not used",
        "no address": "A Ray cluster's address is HOST:PORT",
        "--help:1/../x": "A Ray cluster's address is HOST:PORT",
        f"127.0.0.1:{port}": "Nothing answers at 127.0.0.1:.*ray start --head",
        "127.0.0.1:99999": "Nothing answers",
    }
    for address, sentence in sentences.items():
        with pytest.raises(SuperDiffError, match=sentence):
            opens_at(address)(lambda: False)
    monkeypatch.setattr(cluster, "ray_is_installed", lambda: False)
    with pytest.raises(SuperDiffError, match=r"pip install 'superdiff-studio\[ray\]'"):
        opens_at("auto")


def test_a_machine_of_other_versions_or_without_the_model_says_so():
    how, error = pickle.loads(run_task(b"", 0, versions() | {"torch": "1.0"}, None))
    assert how == "failed" and f"The machine {socket.gethostname()} of the Ray cluster has torch" in str(error)
    mine = [one.model_copy(update={"model": "local/mine", "prompt": "a cat"}) for one in plane().experts]
    recipe = plane().model_copy(update={"domain": "prompts", "experts": mine})
    made = make_cell(CellAsked(recipe.to_json(), "", elsewhere=True))
    assert made.cell.failed and "'mine'" in made.cell.problem and socket.gethostname() in made.cell.problem
