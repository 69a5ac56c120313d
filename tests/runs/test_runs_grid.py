"""Grids over parameters: what the cells are, what is kept of them, and grids that are cancelled or fail."""

import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image
from plane_recipes import PAIR, changed, plane

from superdiff_engine.cli import app as cli
from superdiff_engine.domains.checked import make_recipe, parse_recipe
from superdiff_engine.domains.picture_files import DecodedPictures
from superdiff_engine.errors import RecipeError, ScoreError, SuperDiffError
from superdiff_engine.result import Result
from superdiff_engine.runs.axes import parse_axis
from superdiff_engine.runs.grid import GRID_CHUNK, Sweep, grid_title
from superdiff_engine.runs.grid_picture import CELL
from superdiff_engine.runs.run import Run
from superdiff_engine.runs.stored import read_record
from superdiff_engine.runs.stored_grid import read_grid
from superdiff_engine.trace import Trace


def test_two_axes_vary_together_and_nothing_else_does():
    base = plane()
    grid = Sweep(base, parse_axis("temperature=0,1,10"), parse_axis("seed=3:5"))
    assert list(grid.recipes) == [(row, column) for row in range(2) for column in range(3)]
    assert changed(base.model_dump(), grid.recipes[1, 2].model_dump()) == {"operator.temperature": 10, "seed": 4}


def test_a_cell_equals_a_run_made_alone():
    grid = Sweep(plane(), parse_axis("temperature=0,5"), parse_axis("seed=0:2"))
    found = {(row, column): result for row, column, result in grid.results()}
    assert len(found) == 4
    for place, result in found.items():
        alone = Run(grid.recipes[place]).execute()
        np.testing.assert_array_equal(result.samples["x"], alone.samples["x"])
        np.testing.assert_array_equal(result.log_density, alone.log_density)
    assert not np.array_equal(found[0, 0].samples["x"], found[1, 0].samples["x"])


def drawn(recipe, pictures):
    """A result of the domain of pictures that did not need a network."""
    nothing = np.zeros((len(recipe.experts), len(pictures)))
    arrays = {"x": pictures}, {"x": pictures}, DecodedPictures(pictures)
    return Result(recipe, *arrays, nothing, nothing, 0.02, 2, True, 0.1, Trace(2, 1, len(pictures)), ["garments"])


@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 3)])
def test_a_sample_of_pictures_is_a_cell_of_its_own_pixels(monkeypatch, shape):
    recipe = make_recipe({"domain": "pictures", "experts": [{"model": "garments_a"}], "batch": 64})
    made = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    monkeypatch.setattr(Run, "execute", lambda run, on_step=None: drawn(run.recipe, made[[run.recipe.seed]]))
    grid = Sweep(recipe, parse_axis("seed=0,1"))
    assert changed(recipe.model_dump(), grid.recipe.model_dump()) == {"batch": 1}
    for column, cell in enumerate(grid.execute().values()):
        array = np.asarray(cell.convert("L" if len(shape) == 2 else "RGB"))
        factor = len(array) // shape[0]
        assert 96 <= len(array) <= CELL
        np.testing.assert_array_equal(array, made[column].repeat(factor, 0).repeat(factor, 1))


def test_samples_that_could_not_be_decoded_leave_a_cell_without_a_picture(monkeypatch):
    recipe = make_recipe({"domain": "pictures", "experts": [{"model": "garments_a"}]})
    bare = dataclasses.replace(drawn(recipe, np.zeros((1, 1, 28, 28), np.uint8)), decoded=None)
    monkeypatch.setattr(Run, "execute", lambda run, on_step=None: bare)
    grid = Sweep(recipe, parse_axis("seed=0"))
    assert "no picture" in grid.execute()[0, 0] and not grid.failures and grid.state == "done"
    assert grid.settled[0, 0].figures["seconds"].value == bare.seconds


def test_the_file_carries_recipe_and_axes():
    grid = Sweep(plane(), parse_axis("temperature=0,1.5"), parse_axis("seed=9007199254740993"))
    picture = Image.open(io.BytesIO(grid.png()))
    assert parse_recipe(picture.text["superdiff_recipe"]) == grid.recipe
    assert json.loads(picture.text[GRID_CHUNK]) == {
        "x": {"name": "temperature", "values": [0, 1.5]},
        "y": {"name": "seed", "values": [9007199254740993]},
    }


def test_the_title_names_what_the_axes_do_not_vary():
    title = grid_title(plane(seed=12), parse_axis("temperature=1,2"))
    assert "OR of rows_upper, rows_lower" in title and "seed = 12" in title and "steps = 6" in title
    assert "temperature" not in title and "bias" not in title
    both = grid_title(plane(operator={"name": "or", "bias": [0, 3]}), parse_axis("seed=1,2"))
    assert both == "OR of rows_upper, rows_lower; temperature T = 1; bias of expert 2 = 3; steps = 6"
    shares = grid_title(plane(operator={"name": "fixed", "weights": [0.25, 0.75]}), parse_axis("steps=1,2"))
    assert "weight of expert 1 = 0.25; weight of expert 2 = 0.75" in shares


def test_cancelling_keeps_the_finished_cells_and_drops_the_one_at_work(tmp_path):
    grid = Sweep(plane(), parse_axis("seed=0:5"), folder=tmp_path / "grid")
    seen = []

    def step(at):
        seen.append(at.index)
        if grid.done == 2 and at.index == 3:
            grid.cancel()

    grid.execute(step)
    assert grid.state == "cancelled" and grid.finished.is_set()
    assert list(grid.cells) == [(0, 0), (0, 1)] and not grid.failures
    assert len(seen) == 7 + 7 + 4
    status = json.loads((tmp_path / "grid" / "status.json").read_text())
    assert (status["state"], status["cells"], status["of"]) == ("cancelled", 2, 5)
    assert (tmp_path / "grid" / "grid.png").read_bytes() == grid.png()


def test_a_cell_that_fails_says_why_and_the_others_go_on(monkeypatch):
    execute = Run.execute

    def fail_for_one(run, on_step=None):
        if run.recipe.seed == 1:
            raise ScoreError(0, "rows_upper", 3, 0.5)
        return execute(run, on_step)

    monkeypatch.setattr(Run, "execute", fail_for_one)
    grid = Sweep(plane(), parse_axis("seed=0:3"))
    cells = grid.execute()
    assert grid.state == "done" and grid.message == ""
    assert "not finite at step 3" in cells[0, 1] and list(grid.failures) == [(0, 1)]
    assert all(isinstance(cells[0, column], Image.Image) for column in (0, 2))


def test_a_grid_without_a_single_cell_fails_with_the_reason():
    twins = [PAIR[0], PAIR[0]]
    grid = Sweep(plane(experts=twins, operator={"name": "and", "ridge": 0}), parse_axis("seed=0:2"))
    with pytest.raises(SuperDiffError, match="ridge above 0"):
        grid.execute()
    assert grid.state == "failed" and "ridge above 0" in grid.message and grid.finished.is_set()


def test_progress_weighs_cells_by_their_steps():
    grid = Sweep(plane(), parse_axis("steps=1,3,5"))
    assert grid.fraction == 0 and grid.eta is None
    fractions = []
    grid.execute(lambda _: fractions.append(grid.fraction))
    # A run of n steps makes n + 1 calls; 2 + 4 + 6 of them in all.
    assert fractions == pytest.approx([count / 12 for count in range(1, 13)])
    assert grid.fraction == 1 and grid.eta is None


def test_the_same_parameter_twice_is_refused():
    with pytest.raises(RecipeError, match="two different"):
        Sweep(plane(), parse_axis("seed=0"), parse_axis("seed=1"))


@pytest.fixture
def superdiff(monkeypatch, capsys):
    """The command line in this process: (exit code, output, errors) for arguments."""
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["superdiff", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capsys.readouterr()

    return call


def test_the_command_line_writes_the_grid(superdiff, tmp_path):
    (tmp_path / "recipe.json").write_text(plane().to_json())
    axes = ("--x", "temperature=0,1", "--y", "seed=0:2")
    code, output, _ = superdiff("grid", tmp_path / "recipe.json", *axes, "--out", tmp_path / "grid.png")
    assert code == 0 and "Finished: 4 of 4 cells" in output.replace("\n", " ")
    grid = Sweep(plane(), parse_axis("temperature=0,1"), parse_axis("seed=0:2"))
    grid.execute()
    assert (tmp_path / "grid.png").read_bytes() == grid.png()


def test_the_command_line_keeps_cells_and_writes_what_was_measured(superdiff, tmp_path):
    (tmp_path / "recipe.json").write_text(plane().to_json())
    files = ("--out", tmp_path / "grid.png", "--csv", tmp_path / "grid.csv", "--keep", tmp_path / "kept")
    arguments = ("grid", tmp_path / "recipe.json", "--x", "operator=or,average", "--y", "model 1=ring|grid", *files)
    code, _, errors = superdiff(*arguments)
    assert code == 1 and "'experts.1.model'" in errors and not (tmp_path / "kept").exists()
    arguments = ("grid", tmp_path / "recipe.json", "--x", "operator=or,average", "--y", "model 1=ring,grid", *files)
    code, output, _ = superdiff(*arguments, "--metric", "gap", "--chart", tmp_path / "gap.svg")
    assert b"nats" in (tmp_path / "gap.svg").read_bytes()
    assert code == 0 and "gap between the experts' log q (nats):" in output.replace("\n", " ")
    assert "operator = Average, model 1 = grid: " in " ".join(output.split())
    (grid,) = [read_grid(path) for path in (tmp_path / "kept").iterdir() if (path / "grid.json").is_file()]
    runs = [cell.run for cell in grid.settled.values()]
    assert len(runs) == 4 and all(read_record(tmp_path / "kept" / run).part_of == grid.id for run in runs)
    table = (tmp_path / "grid.csv").read_text().splitlines()
    assert len(table) == 5 and [line.split(",")[2:4] for line in table[1:3]] == [["ring", "or"], ["ring", "average"]]
    assert all(run in line for run, line in zip(runs, table[1:], strict=True))
    code, _, errors = superdiff(*arguments)
    assert code == 1 and "is there already" in errors
    code, _, errors = superdiff(*arguments, "--replace", "--metric", "beauty")
    assert code == 1 and "no cell has a metric 'beauty'; there are within/" in errors.lower().replace("\n", " ")


@pytest.mark.parametrize(
    ("out", "y", "word"),
    [("grid.jpg", "seed=1", ".png"), ("grid.png", "ridge=1", "ridge"), ("a/b.png", "seed=1", "b.png")],
)
def test_a_wrong_command_is_one_sentence_and_writes_nothing(superdiff, tmp_path, out, y, word):
    (tmp_path / "recipe.json").write_text(plane().to_json())
    axes = ("--x", "temperature=0,1", "--y", y)
    code, _, errors = superdiff("grid", tmp_path / "recipe.json", *axes, "--out", tmp_path / out)
    assert code == 1 and "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1 and word in errors
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]
