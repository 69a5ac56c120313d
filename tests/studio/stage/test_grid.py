"""The section "Grid over two parameters" without a browser, and grids among the jobs of a device."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from studio import session
from studio.jobs import Jobs
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.runs.axes import parse_axis
from superdiff_engine.runs.grid import Sweep

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
    return next(found for found in app.get(kind) if found.key == f"{key}-{run_id()}")


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
    next(found for found in elsewhere.button if found.key == f"cancel-{grid.id}").click()
    elsewhere.run()
    assert grid.run.finished.wait(60)
    elsewhere.run()
    assert not any(found.key == f"cancel-{grid.id}" for found in elsewhere.button)
    again.run()
    assert len(pictures(again)) == 1 and "Cancelled: " in words(again) and "of 144 cells" in words(again)
    assert not widget(again, "button", "run-grid").disabled
