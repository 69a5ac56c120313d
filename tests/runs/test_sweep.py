"""Grids over parameters: what the cells are, where they go on the picture, and what is said of wrong axes."""

import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image

from superdiff_engine.cli import app as cli
from superdiff_engine.domain import Result
from superdiff_engine.domains.checked import make_recipe, parse_recipe
from superdiff_engine.errors import RecipeError, ScoreError, SuperDiffError
from superdiff_engine.runs import sweep as sweeps
from superdiff_engine.runs.grid_picture import CELL, compose_grid
from superdiff_engine.runs.run import Run
from superdiff_engine.runs.sweep import GRID_CHUNK, Sweep, make_axis, parse_axis, parse_values, varied
from superdiff_engine.trace import Trace

PAIR = [{"model": "rows_upper"}, {"model": "rows_lower"}]


def plane(**fields):
    return make_recipe({"domain": "plane", "experts": PAIR, "levels": {"steps": 6}, "batch": 16} | fields)


def changed(before, after, path=""):
    """The dotted paths at which two nested dictionaries differ, with the new values."""
    found = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found |= changed(old, new, f"{path}{key}.")
        elif old != new:
            found[path + key] = new
    return found


@pytest.mark.parametrize(
    ("axis", "operator", "path", "values"),
    [
        ("temperature=0,2.5", {"name": "or"}, "operator.temperature", [0, 2.5]),
        ("bias=-2,1", {"name": "or", "bias": [0.5, 1.1]}, "operator.bias", [[-2, 1.1], [1, 1.1]]),
        ("bias=-2,1", {"name": "and"}, "operator.bias", [[-2, 0], [1, 0]]),
        ("ridge=0,3", {"name": "and"}, "operator.ridge", [0, 3]),
        ("weight=0.25,2", {"name": "fixed", "weights": [0.5, 0.5]}, "operator.weights", [[0.25, 0.75], [2, -1]]),
        ("steps=2,4", {"name": "average"}, "levels.steps", [2, 4]),
        ("seed=7,9223372036854775807", {"name": "average"}, "seed", [7, 2**63 - 1]),
    ],
)
def test_a_cells_recipe_is_the_base_but_for_the_axis(axis, operator, path, values):
    base = plane(operator=operator)
    grid = Sweep(base, parse_axis(axis))
    for column, value in enumerate(values):
        assert changed(base.model_dump(), grid.recipes[0, column].model_dump()) == {path: value}


def test_guidance_is_changed_alone_and_added_where_there_is_none():
    prompts = {"domain": "prompts", "experts": [{"model": "hub/a/b", "prompt": "a cat"}], "operator": {"name": "and"}}
    guided = make_recipe(prompts | {"guidance": {"weight": 4, "negative_prompt": "blurry"}})
    derived = Sweep(guided, parse_axis("guidance=1.5"), batch=64).recipes[0, 0]
    assert changed(guided.model_dump(), derived.model_dump()) == {"guidance.weight": 1.5}
    assert Sweep(make_recipe(prompts), parse_axis("guidance=1.5")).recipes[0, 0].guidance.weight == 1.5


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
    arrays = {"x": pictures}, {"x": pictures}, {"pictures": pictures}
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


def test_samples_that_could_not_be_decoded_leave_an_empty_cell(monkeypatch):
    recipe = make_recipe({"domain": "pictures", "experts": [{"model": "garments_a"}]})
    bare = dataclasses.replace(drawn(recipe, np.zeros((1, 28, 28), np.uint8)), decoded={})
    monkeypatch.setattr(Run, "execute", lambda run, on_step=None: bare)
    grid = Sweep(recipe, parse_axis("seed=0"))
    with pytest.raises(SuperDiffError, match="no picture"):
        grid.execute()


def unlike(height, width, count):
    """Noise in colours that neither the labels nor the frames have, so that it can be found again."""
    generator = np.random.default_rng(0)
    return [generator.integers(1, 200, (height, width, 3), np.uint8) * [1, 0, 1] for _ in range(count)]


def places(sheet, cell):
    """Where on the sheet the array stands, pixel for pixel: (left, top) of every place."""
    first = (sheet[: -len(cell) + 1 or None, : -cell.shape[1] + 1 or None] == cell[0, 0]).all(-1)
    found = []
    for top, left in np.argwhere(first):
        if np.array_equal(sheet[top : top + cell.shape[0], left : left + cell.shape[1]], cell):
            found.append((int(left), int(top)))
    return found


@pytest.mark.parametrize(("height", "width", "factor"), [(28, 28, 5), (64, 64, 2), (100, 40, 1), (160, 160, 1)])
def test_every_cell_stands_in_its_row_and_column(height, width, factor):
    x, y = parse_axis("temperature=0,1,10"), parse_axis("bias=-2,2")
    arrays = [array.astype(np.uint8) for array in unlike(height, width, 6)]
    cells = {divmod(index, 3): Image.fromarray(array) for index, array in enumerate(arrays)}
    sheet = np.asarray(compose_grid(cells, x, y, "A title"))
    corners = {}
    for index, array in enumerate(arrays):
        (corners[divmod(index, 3)],) = places(sheet, array.repeat(factor, 0).repeat(factor, 1))
    lefts, tops = sorted({left for left, _ in corners.values()}), sorted({top for _, top in corners.values()})
    assert corners == {(row, column): (lefts[column], tops[row]) for row in range(2) for column in range(3)}
    assert min(np.diff(lefts)) > width * factor and min(np.diff(tops)) > height * factor


def test_large_pictures_are_shrunk_and_keep_their_shape():
    picture = Image.new("RGB", (512, 384), "#c000c0")
    sheet = np.asarray(compose_grid({(0, 0): picture}, parse_axis("seed=0")))
    rows, columns = np.nonzero((sheet == (0xC0, 0, 0xC0)).all(-1))
    assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == (CELL, CELL * 3 // 4)


def test_labels_are_drawn_for_every_value_and_do_not_touch_the_cells():
    cells = {(row, column): Image.new("RGB", (112, 112), "#c000c0") for row in range(2) for column in range(2)}
    x, y = parse_axis("seed=9223372036854775806,9223372036854775807"), parse_axis("ridge=0,0.5")
    sheet = np.asarray(compose_grid(cells, x, y))
    inside = (sheet == (0xC0, 0, 0xC0)).all(-1)
    assert inside.sum() == 4 * 112 * 112
    rows, columns = np.nonzero(inside.any(1))[0], np.nonzero(inside.any(0))[0]
    above, beside = sheet[: rows[0] - 1].min(-1) < 128, sheet[rows, : columns[0] - 1].min(-1) < 128
    starts = [columns[0], *columns[1:][np.diff(columns) > 1]]
    # Nineteen digits are wider than a picture: each label is ink around its own column, with white in between.
    lines = above[rows[0] - 23 : rows[0] - 2]
    middle = (starts[0] + 112 + starts[1]) // 2
    assert lines[:, :middle].any() and lines[:, middle:].any() and not lines[:, middle - 2 : middle + 2].any()
    assert beside[:112].any() and beside[112:].any()


def test_a_row_alone_has_no_labels_beside_it():
    with_rows = compose_grid({}, parse_axis("seed=0:6"), parse_axis("ridge=1"))
    assert compose_grid({}, parse_axis("seed=0:6")).width < with_rows.width


def test_the_file_carries_recipe_and_axes():
    grid = Sweep(plane(), parse_axis("temperature=0,1.5"), parse_axis("seed=9007199254740993"))
    picture = Image.open(io.BytesIO(grid.png()))
    assert parse_recipe(picture.text["superdiff_recipe"]) == grid.recipe
    assert json.loads(picture.text[GRID_CHUNK]) == {
        "x": {"name": "temperature", "values": [0, 1.5]},
        "y": {"name": "seed", "values": [9007199254740993]},
    }


def test_the_title_names_what_the_axes_do_not_vary():
    title = sweeps.grid_title(plane(seed=12), parse_axis("temperature=1,2"))
    assert "OR of rows_upper, rows_lower" in title and "seed = 12" in title and "steps = 6" in title
    assert "temperature" not in title


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


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0, 1, 10", [0, 1, 10]),
        ("0:4", [0, 1, 2, 3]),
        ("10:50:10", [10, 20, 30, 40]),
        ("-1.5,1e-3", [-1.5, 1e-3]),
        ("0:2, 7", [0, 1, 7]),
        ("9223372036854775807", [2**63 - 1]),
    ],
)
def test_values_are_read(text, values):
    found = parse_values(text)
    assert found == values and [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize("text", ["", "1,,2", "a", "nan", "inf", "1:a", "4:0", "0:4:0", "1:2:3:4", "0:1000000000000"])
def test_values_that_are_none_are_one_sentence(text):
    with pytest.raises(RecipeError) as raised:
        parse_values(text)
    assert str(raised.value).endswith(".") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("axis", "fields", "words"),
    [
        ("colour=1", {}, "no parameter 'colour'"),
        ("temperature", {}, "is no axis"),
        ("seed=1,1", {}, "stands in it twice"),
        ("seed=0.5", {}, "whole numbers"),
        ("steps=0", {}, "'levels.steps'"),
        ("temperature=-1", {}, "'operator.temperature'"),
        ("seed=9223372036854775808", {}, "'seed'"),
        ("temperature=1", {"operator": {"name": "and"}}, "only 'or' has a temperature"),
        ("ridge=1", {}, "only 'and' has a ridge"),
        ("guidance=2", {}, "only prompts are guided"),
        ("bias=1", {"experts": PAIR[:1]}, "one expert alone"),
        (
            "weight=0.5",
            {"experts": [*PAIR, {"model": "ring"}], "operator": {"name": "fixed", "weights": [1, 0, 0]}},
            "there are 3 experts",
        ),
    ],
)
def test_axes_that_do_not_fit_are_one_sentence(axis, fields, words):
    with pytest.raises(RecipeError, match=words) as raised:
        Sweep(plane(**fields), parse_axis(axis))
    assert str(raised.value).endswith(".") and "\n" not in str(raised.value)


def test_the_same_parameter_twice_is_refused():
    with pytest.raises(RecipeError, match="two different"):
        Sweep(plane(), parse_axis("seed=0"), parse_axis("seed=1"))


def test_axes_hold_up_to_twelve_numbers():
    assert len(make_axis("seed", list(range(12))).values) == 12
    for values in ([], list(range(13)), [True], ["1"]):
        with pytest.raises(RecipeError):
            make_axis("seed", values)


def test_only_what_makes_a_difference_is_offered():
    assert varied(plane()) == ["temperature", "bias", "steps", "seed"]
    assert varied(plane(operator={"name": "and"})) == ["bias", "ridge", "steps", "seed"]
    assert varied(plane(operator={"name": "fixed", "weights": [1, 0]})) == ["weight", "steps", "seed"]


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
