"""The section "Grid over two parameters" without a browser, and grids among the jobs of a device."""

import io
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest
from studio_page import press

from studio import session
from studio.charts.heat import has_lines, heat_figure, lines_figure, place_of
from studio.guard import TURN
from studio.job import CLUSTER
from studio.jobs import Jobs
from studio.stage import grid_form
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.measured import Figure
from superdiff_engine.runs import waiting
from superdiff_engine.runs.axes import make_axis, parse_axis
from superdiff_engine.runs.cells import Cell, Grid
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.waiting import read_waiting, waiting_document
from superdiff_engine.system.workplaces.here import Here
from tests.studio.queue_panel import press_in_queue, queue

APP = Path(session.__file__).parent / "app.py"


def plane(steps=3, **fields):
    experts = [{"model": "overlap_a"}, {"model": "overlap_b"}]
    return make_recipe({"domain": "plane", "experts": experts, "levels": {"steps": steps}, "batch": 8} | fields)


def sweep(steps=3, seeds="0:3"):
    return Sweep(plane(steps), parse_axis(f"seed={seeds}"))


@pytest.fixture
def jobs(tmp_path):
    return Jobs(tmp_path / "runs")


def test_a_grid_waits_behind_a_run_and_keeps_a_record(jobs, tmp_path):
    run = jobs.submit(plane(steps=10_000))
    grid = jobs.submit_grid(sweep(), run.id)
    following = jobs.submit(plane())
    assert len(jobs.ahead(grid)) == 1 and len(jobs.ahead(following)) == 2
    jobs.cancel(run)
    assert following.run.finished.wait(60)
    assert grid.finished and grid.run.state == "done"
    assert (tmp_path / "runs" / grid.id / "grid.png").read_bytes() == grid.run.png()
    assert jobs.grids() == [grid] and jobs.find_grid(grid.id) is grid


def test_a_grid_is_never_taken_for_a_run(jobs):
    run = jobs.submit(plane(), save=False)
    grid = jobs.submit_grid(sweep(), run.id, save=False)
    assert grid.run.finished.wait(60)
    assert jobs.find(grid.id) is None and jobs.find_grid(run.id) is None


def test_a_waiting_grid_is_cancelled_at_once_and_a_running_one_keeps_its_cells(jobs):
    running = jobs.submit_grid(sweep(steps=300, seeds="0:12"), "")
    waiting = jobs.submit_grid(sweep(), "")
    jobs.cancel(waiting)
    assert waiting.finished and waiting.run.state == "cancelled" and waiting.run.cells == {}
    while not running.run.cells:
        time.sleep(0.005)
    jobs.cancel(running)
    assert running.run.finished.wait(60)
    assert running.run.state == "cancelled" and 0 < len(running.run.cells) < 12


def test_a_grid_for_a_cluster_waits_for_no_run_of_this_machine(jobs, monkeypatch):
    run = jobs.submit(plane(steps=10_000))
    grid = jobs.submit_grid(sweep(), run.id, cluster=True)
    assert jobs.ahead(grid) == [] and grid.run.finished.wait(60) and grid.run.state == "done" and not run.finished
    jobs.cancel(run)
    # What is kept of it names no address, which a forged file could: another server asks its own environment.
    document = waiting_document(grid.run, run.id, cluster=True)
    monkeypatch.setattr(waiting, "offered_cluster", lambda: "")
    left = read_waiting(document, "", Path("nowhere"))
    assert "SUPERDIFF_RAY names none" in left.problem
    monkeypatch.setattr(waiting, "offered_cluster", lambda: "10.0.0.5:6379")
    asked = []
    monkeypatch.setattr(waiting, "opens_at", asked.append)
    left = read_waiting(document, "", Path("nowhere"))
    assert left.cluster and not left.problem and left.work().recipes == grid.run.recipes
    assert asked == ["10.0.0.5:6379"]


@pytest.fixture
def app(tmp_path, monkeypatch):
    """The page with a link to a finished run, as a tab that is opened on it sees it."""
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path / "runs"))
    session.registry.clear()
    return open_tab(session.registry().submit(plane(), save=False))


def open_tab(job):
    assert job.run.finished.wait(60)
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params["run"] = job.id
    app.run()
    assert not app.exception and not app.error
    return app


def run_id():
    return next(job_id for job_id in list(session.registry()._jobs) if session.registry().find(job_id))


def widget(app, kind, key):
    return next(found for found in app.get(kind) if found.key.split(TURN)[0] == f"{key}-{run_id()}")


def choose(app, x, across, y, down):
    widget(app, "selectbox", "grid-x").set_value(x)
    app.run()
    widget(app, "selectbox", "grid-y").set_value(y)
    app.run()
    widget(app, "text_input", f"grid-across-{x}").set_value(across)
    if down:
        widget(app, "text_input", f"grid-down-{y}").set_value(down)
    app.run()


def run_grid(app):
    widget(app, "button", "run-grid").click()
    app.run()
    (grid,) = session.registry().grids()
    return grid


def words(app):
    found = " ".join(element.value for kind in ("markdown", "error", "info", "caption") for element in app.get(kind))
    return found.replace("\\", "")


def pictures(app):
    return [image for image in app.get("image") if "grid over" in image.proto.imgs[0].alt.lower()]


def test_a_cluster_is_offered_where_there_is_one(app, monkeypatch):
    assert not [found for found in app.get("selectbox") if found.label == "Where"]
    monkeypatch.setattr(grid_form, "offered_cluster", lambda: "**10.0.0.5**:6379")
    asked = []
    monkeypatch.setattr(grid_form, "opens_at", lambda ray: lambda stopped: asked.append(ray) or Here())
    app.run()
    where = widget(app, "selectbox", "grid-where")
    assert where.options == ["This machine", "Ray cluster at **10.0.0.5**:6379"]  # as typed
    where.set_value(True)
    choose(app, "bias", "-1, 2.5", "seed", "3:5")
    grid = run_grid(app)
    assert grid.run.finished.wait(60) and grid.run.state == "done" and grid.device == CLUSTER
    assert asked == ["**10.0.0.5**:6379"] and len(grid.run.cells) == 4
    app.run()
    assert not app.exception and len(pictures(app)) == 1


def test_two_parameters_are_chosen_run_and_shown(app):
    choose(app, "bias", "-1, 2.5", "seed", "3:5")
    assert "4 cells of 8 samples each" in words(app)
    grid = run_grid(app)
    assert grid.run.finished.wait(60)
    app.run()
    assert not app.exception and not app.error
    assert list(grid.run.cells) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert grid.run.recipes[1, 0].operator.bias == [-1, 0] and grid.run.recipes[1, 0].seed == 4
    assert len(pictures(app)) == 1
    assert "across: bias of expert 1 (nats) -1, 2.5" in words(app) and "down: seed 3, 4" in words(app)
    made = Image.open(io.BytesIO(grid.run.png()))
    assert np.asarray(made).std() > 0
    (download,) = (found for found in app.get("download_button") if f"download-{grid.id}" in found.proto.id)
    assert download.proto.label == "Grid (PNG)"


def test_a_single_row_needs_no_second_parameter(app):
    choose(app, "steps", "1:4", "none", "")
    grid = run_grid(app)
    assert grid.run.finished.wait(60)
    assert [recipe.levels.steps for recipe in grid.run.recipes.values()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("across", "sentence"), [("<b>", "'<b>' is no number"), ("1,1", "stands in it twice"), ("2:2", "is no range")]
)
def test_wrong_values_are_one_sentence_and_nothing_runs(app, across, sentence):
    choose(app, "bias", across, "seed", "0")
    assert len(app.error) == 1 and sentence in words(app)
    assert widget(app, "button", "run-grid").disabled
    choose(app, "bias", "0", "seed", "0")
    assert not app.error and not widget(app, "button", "run-grid").disabled


def test_what_users_type_is_shown_as_typed(app):
    choose(app, "bias", "[a](http://b)", "seed", "0")
    # As Markdown; what a browser makes of it is seen in tests/browser/test_typed_texts.py.
    assert "\\[a\\]\\(http:color[\\:]//b\\)" in app.error[0].value


def chart(app):
    (found,) = [one.proto for one in app.get("plotly_chart") if "grid-chart" in one.proto.id]
    return json.loads(found.spec)


def choose_figure(app, grid, name):
    next(box for box in app.selectbox if box.key == f"grid-figure-{grid.id}").set_value(name)
    app.run()
    assert not app.exception and not app.error


def test_operators_are_chosen_and_cells_are_measured_and_opened(app, tmp_path):
    app.session_state["f.save"] = True
    widget(app, "selectbox", "grid-x").set_value("operator")
    app.run()
    widget(app, "multiselect", "grid-across-operator").set_value(["or", "and"])
    # What another operator has, the rows may vary too.
    widget(app, "selectbox", "grid-y").set_value("ridge")
    app.run()
    widget(app, "text_input", "grid-down-ridge").set_value("0.5, 5")
    widget(app, "number_input", "grid-samples").set_value(12)
    app.run()
    assert "2 cells of 12 samples each; 2 of 4 cannot be run: The axis 'ridge'" in words(app)
    grid = run_grid(app)
    assert grid.run.finished.wait(60)
    origin = run_id()
    app.run()
    assert [*grid.run.failures] == [(0, 0), (1, 0)] and len(app.error) == 1
    cells = grid.run.settled
    choose_again = next(box for box in app.selectbox if box.key == f"grid-figure-{grid.id}")
    choose_again.set_value("gap")
    app.run()
    spec = chart(app)
    values = [[None, cells[row, 1].figures["gap"].value] for row in range(2)]
    assert spec["data"][0]["z"] == values and spec["layout"]["xaxis"]["title"]["text"] == "operator"
    assert spec["data"][0]["colorbar"]["title"]["text"] == "nats"
    assert spec["data"][0]["text"][0][1].replace("<br>", " ") == cells[0, 1].figures["gap"].text()
    hovers = spec["data"][1]["hovertext"]
    assert "only 'and' has a ridge" in hovers[0].replace("<br>", " ") and "ridge = 5" in hovers[3]
    # Its cells are runs: one of them is opened in place of the run above, then the grid's own run again.
    runs = [cells[row, 1].run for row in range(2)]
    chosen = next(box for box in app.multiselect if box.key == f"grid-chosen-{grid.id}")
    assert chosen.options == ["operator = AND, ridge = 0.5", "operator = AND, ridge = 5"]
    chosen.set_value(runs[1:])
    app.run()
    press(app, f"grid-open-{grid.id}")
    assert app.session_state["shown"] == runs[1:] and session.registry().find(runs[1]).run.part_of == grid.id
    assert len(pictures(app)) == 1 and not app.exception
    press(app, f"origin-{grid.id}")
    assert app.session_state["shown"] == [origin] and len(pictures(app)) == 1
    next(box for box in app.multiselect if box.key == f"grid-chosen-{grid.id}").set_value(runs)
    app.run()
    press(app, f"grid-open-{grid.id}")
    assert app.session_state["shown"] == runs and not app.exception
    press(app, f"grid-of-{grid.id}")
    assert app.session_state["shown"] == [origin]


def test_a_grid_is_there_again_after_a_restart(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path / "runs"))
    session.registry.clear()
    job = session.registry().submit(plane())
    assert job.run.finished.wait(60)
    grid = session.registry().submit_grid(Sweep(plane(), parse_axis("bias=-1,0,1")), job.id)
    assert grid.run.finished.wait(60) and grid.run.state == "done"
    session.registry.clear()
    app = open_tab(job)
    assert not session.registry().grids() and len(pictures(app)) == 1
    assert "3 of 3 cells" in words(app)
    choose_figure(app, grid.run, "log_density 2")
    spec, figures = chart(app), [cell.figures["log_density 2"] for cell in grid.run.settled.values()]
    # A row of numbers is a line, with its errors.
    (line,) = spec["data"]
    assert line["x"] == [-1, 0, 1] and line["y"] == [figure.value for figure in figures]
    assert line["error_y"]["array"] == [figure.error for figure in figures]
    # A cell's own page shows its grid; what is gone of it cannot be chosen.
    runs = [cell.run for cell in grid.run.settled.values()]
    shutil.rmtree(tmp_path / "runs" / runs[0])
    cell = open_tab(session.registry().recall(runs[1]))
    assert len(pictures(cell)) == 1
    assert len(next(box for box in cell.multiselect if box.key == f"grid-chosen-{grid.id}").options) == 2


def test_a_damaged_grid_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path / "runs"))
    session.registry.clear()
    job = session.registry().submit(plane())
    assert job.run.finished.wait(60)
    grid = session.registry().submit_grid(Sweep(plane(), parse_axis("bias=-1,0")), job.id)
    assert grid.run.finished.wait(60)
    found = json.loads((tmp_path / "runs" / grid.id / "grid.json").read_text())
    (tmp_path / "runs" / grid.id / "grid.json").write_text(json.dumps(found | {"cells": 3}))
    session.registry.clear()
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params["run"] = job.id
    app.run()
    assert not app.exception and [error.value for error in app.error] == [
        f"grid.json of the grid {grid.id} is damaged.".replace("-", "\\-")
    ]


def test_a_chart_shows_prompts_as_typed_and_says_what_its_points_are():
    grid = Grid(plane(), make_axis("formula", ["<b>1</b>", "$1$ or 2"]), make_axis("steps", [5, 2]), None)
    figures = {"gap": Figure(name="gap", title="gap <i>", value=0.5, error=None, unit="share")}
    grid._cells = {(0, 0): Cell(figures=figures), (1, 1): Cell(problem="No <b> way.", failed=True)}
    spec = heat_figure(grid, "gap", "light").to_dict()
    assert list(spec["layout"]["xaxis"]["ticktext"]) == ["&lt;b&gt;1&lt;/b&gt;", "&#36;1&#36; or 2"]
    hovers = spec["data"][1]["hovertext"]
    assert "gap &lt;i&gt;: 50 %" in hovers[0] and "not made" in hovers[1] and "No &lt;b&gt; way." in hovers[3]
    assert [
        place_of({"x": float(x), "y": float(y)}) for x, y in zip(*(spec["data"][1][i] for i in "xy"), strict=True)
    ] == grid.places
    grid = Grid(plane(), grid.y, grid.x, None)
    grid._cells = {(0, 1): Cell(figures=figures)}
    first, second = lines_figure(grid, "gap", "dark").data
    # In the order of the numbers, each with its own cell.
    assert list(first.x) == [2, 5] and list(first.y) == [50, None]
    assert [place_of({"customdata": one}) for one in second.customdata] == [(1, 1), (1, 0)]
    assert has_lines(grid) and not has_lines(Grid(plane(), grid.y, None, None))


def test_a_grid_survives_a_reload_and_is_cancelled_from_another_tab(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERDIFF_LIBRARY", str(tmp_path / "runs"))
    session.registry.clear()
    first = session.registry().submit(plane(steps=400), save=False)
    app = open_tab(first)
    choose(app, "bias", "0:12", "seed", "0:12")
    grid = run_grid(app)
    while not grid.run.cells:
        time.sleep(0.005)
    again = open_tab(first)
    assert len(pictures(again)) == 1 and widget(again, "button", "run-grid").disabled
    elsewhere = AppTest.from_file(str(APP), default_timeout=60)
    elsewhere.run()
    assert not elsewhere.exception and not pictures(elsewhere)
    (row,) = queue(elsewhere)
    assert row["title"].startswith("Grid of OR") and "of 144" in row["text"] and row["id"] == grid.id
    press_in_queue(elsewhere, "cancel", grid.id)
    assert grid.run.finished.wait(60)
    elsewhere.run()
    assert queue(elsewhere) == []
    again.run()
    assert len(pictures(again)) == 1 and "Cancelled: " in words(again) and "of 144 cells" in words(again)
    assert not widget(again, "button", "run-grid").disabled
