"""The cells of a grid: their runs' records, what is measured in them, and grids that come back from disk."""

import csv
import io
import json
import math
import shutil

import numpy as np
import pytest
from plane_recipes import PAIR, plane

from superdiff_engine.domains import get_domain
from superdiff_engine.errors import OutputError, RecordError, ScoreError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.axes import parse_axis, with_values
from superdiff_engine.runs.cells import cell_figures
from superdiff_engine.runs.folder import OutputFolder
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.run import Run
from superdiff_engine.runs.stored import read_record
from superdiff_engine.runs.stored_grid import read_grid

AXES = parse_axis("operator=or,average,fixed"), parse_axis("temperature=0,3")
ORIGIN = "20260101-000000-0123abcd"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A grid whose record and whose cells' are kept: (grid, the folder of both)."""
    library = tmp_path_factory.mktemp("library")
    grid = Sweep(plane(batch=24), *AXES, cells=library, origin=ORIGIN)
    grid.folder = library / grid.id
    grid.execute()
    return grid, library


def test_each_cell_is_a_run_by_hand_and_is_kept_as_one(kept):
    grid, library = kept
    runs = {place: cell.run for place, cell in grid.settled.items() if cell.run}
    assert [*runs] == [(0, 0), (1, 0)] and {path.name for path in library.iterdir()} == {grid.id, *runs.values()}
    for place, run in runs.items():
        stored = read_record(library / run)
        assert stored.state == "done" and stored.part_of == grid.id and len(stored.trace.frames) > 0
        recipe = with_values(plane(batch=24), grid.values_at(place))
        alone = Run(recipe).execute()
        assert stored.recipe == recipe
        np.testing.assert_array_equal(stored.result.samples["x"], alone.samples["x"])
        np.testing.assert_array_equal(stored.result.log_density, alone.log_density)
    # AND and the fixed weights have no temperature: their cells say so, and nothing was run for them.
    assert [*grid.failures] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert "has a temperature" in grid.failures[0, 1] and grid.state == "done"


def test_what_is_measured_is_what_the_records_say(kept):
    grid, library = kept
    for cell in grid.settled.values():
        if cell.failed:
            assert not cell.figures
            continue
        with np.load(library / cell.run / "samples.npz") as arrays:
            log_density, weights = arrays["log_density"], arrays["weights"]
        count = log_density.shape[1]
        gap = np.abs(log_density[0] - log_density[1])
        expected = {"gap": gap, "log_density 1": log_density[0], "log_density 2": log_density[1], "kappa 1": weights[0]}
        for name, values in expected.items():
            found = cell.figures[name]
            assert found.value == pytest.approx(values.mean())
            assert found.error == pytest.approx(values.std(ddof=1) / math.sqrt(count))
        status = json.loads((library / cell.run / "status.json").read_text())
        assert cell.figures["seconds"].value == pytest.approx(status["seconds"], abs=1e-3)
        own = get_domain("plane").measured(read_record(library / cell.run).result)
        assert {one.name: one.value for one in own}.items() <= {n: f.value for n, f in cell.figures.items()}.items()


def test_experts_are_measured_by_their_numbers():
    grid = Sweep(plane(), parse_axis("model 2=ring,grid"), parse_axis("lowest=0.02,0.2"))
    grid.execute()
    for cell in grid.settled.values():
        assert {"log_density 1", "log_density 2", "gap", "kappa 2", "seconds"} <= {*cell.figures}
    assert {*grid.figures} >= {"within/ring", "within/grid"} and grid.usual_figure


def test_a_corrected_cell_says_its_effective_sample_size():
    result = Run(plane(correction={"particles": 8}, batch=64)).execute()
    found, shares = cell_figures(result), result.importance
    assert found["effective_size"].value == pytest.approx(1 / np.square(shares).sum() / 64)
    assert found["log_density 1"].value == pytest.approx(result.log_density[0] @ shares)
    groups = (result.log_density[0] * shares * 8).reshape(8, 8).sum(1)
    assert found["log_density 1"].error == pytest.approx(groups.std(ddof=1) / math.sqrt(8))


def test_a_grid_comes_back_from_its_folder(kept):
    grid, library = kept
    found = read_grid(library / grid.id)
    assert (found.id, found.state, found.message, found.origin) == (grid.id, "done", "", ORIGIN)
    assert (found.x, found.y, found.recipe, found.title) == (grid.x, grid.y, grid.recipe, grid.title)
    assert (found.done, found.size, found.failures) == (6, 6, grid.failures)
    assert found.png() == grid.png() == (library / grid.id / "grid.png").read_bytes()
    assert found.seconds == pytest.approx(grid.seconds, abs=1e-3) and found.finished.is_set()
    for place, cell in grid.settled.items():
        again = found.settled[place]
        assert (again.run, again.problem, again.failed, [*again.figures]) == (
            cell.run, cell.problem, cell.failed, [*cell.figures],
        )  # fmt: skip
        for name, figure in cell.figures.items():
            back = again.figures[name]
            assert (back.title, back.unit, back.main, back.text()) == (
                figure.title,
                figure.unit,
                figure.main,
                figure.text(),
            )
    assert found.usual_figure == grid.usual_figure
    # The picture is one part of the record: without it the cells are still there.
    shutil.copytree(library / grid.id, library.parent / "bare")
    (library.parent / "bare" / "grid.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    assert (
        read_grid(library.parent / "bare").png().startswith(b"\x89PNG") and read_grid(library.parent / "bare").done == 6
    )


def test_the_table_holds_all_numbers(kept):
    grid, library = kept
    rows = list(csv.DictReader(io.StringIO((library / grid.id / "grid.csv").read_text())))
    assert len(rows) == 6
    for row, (place, cell) in zip(rows, sorted(grid.settled.items()), strict=True):
        assert (int(row["row_from_0"]), int(row["column_from_0"])) == place
        assert (float(row["temperature"]), row["operator"]) == (grid.y.values[place[0]], grid.x.values[place[1]])
        assert (row["run"], row["problem"]) == (cell.run, cell.problem)
        if cell.failed:
            assert row["gap (nats)"] == "" == row["error of seconds (s)"]
        else:
            assert float(row["gap (nats)"]) == pytest.approx(cell.figures["gap"].value)
            assert float(row["error of gap (nats)"]) == pytest.approx(cell.figures["gap"].error)


def test_grids_of_older_versions_are_read(tmp_path):
    axes = {"x": {"name": "temperature", "values": [0, 1.5]}, "y": {"name": "seed", "values": [9007199254740993]}}
    (tmp_path / "grid.json").write_text(json.dumps(axes) + "\n")
    (tmp_path / "recipe.json").write_text(plane().to_json())
    (tmp_path / "status.json").write_text(json.dumps({"id": "a", "state": "done", "message": "", "cells": 2, "of": 2}))
    found = read_grid(tmp_path)
    assert found.y.values == [9007199254740993] and found.settled == {} and found.size == 2 and found.state == "done"
    assert found.png().startswith(b"\x89PNG") and found.usual_figure == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["cells"][0].update(row=2),
        lambda found: found["cells"][1].update(row=0, column=0),
        lambda found: found["cells"][0].update(run="../../etc"),
        lambda found: found["cells"][0].update(figures={"unknown": [1, 2]}),
        lambda found: found["cells"][0]["figures"].update(gap=[1]),
        lambda found: found["cells"][0].update(problem=3),
        lambda found: found["x"]["values"].append("nor"),
        lambda found: found.update(origin="x"),
        lambda found: found.update(cells=[found["cells"][0]] * 145),
        lambda found: found["figures"].append(found["figures"][0]),
        lambda found: found.pop("x"),
    ],
)
def test_a_forged_grid_is_one_sentence(kept, tmp_path, change):
    grid, library = kept
    shutil.copytree(library / grid.id, tmp_path / "grid")
    found = json.loads((tmp_path / "grid" / "grid.json").read_text())
    change(found)
    (tmp_path / "grid" / "grid.json").write_text(json.dumps(found))
    with pytest.raises(RecordError, match=r"grid\.json of the grid grid is damaged\."):
        read_grid(tmp_path / "grid")


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"[" * 10**5, b"\xff", b'{"x": NaN}', b"1e999"])
def test_a_damaged_grid_is_one_sentence(kept, tmp_path, text):
    grid, library = kept
    shutil.copytree(library / grid.id, tmp_path / "grid")
    (tmp_path / "grid" / "grid.json").write_bytes(text)
    with pytest.raises(RecordError, match="damaged"):
        read_grid(tmp_path / "grid")


def test_a_grid_that_was_broken_off_comes_back_with_its_cells(tmp_path, monkeypatch):
    grid = Sweep(plane(), parse_axis("seed=0:3"), folder=tmp_path / "grid", cells=tmp_path)
    results = grid.results()
    grid._begin_record(None, None)
    next(results)
    grid._save_cells()
    with pytest.raises(RecordError, match="has not ended"):
        read_grid(tmp_path / "grid")
    grid._output.release()
    found = read_grid(tmp_path / "grid")
    assert found.state == "interrupted" and "broken off" in found.message and [*found.settled] == [(0, 0)]
    assert read_record(tmp_path / found.settled[0, 0].run).part_of == grid.id
    with pytest.raises(RecordError, match="no record of a grid"):
        read_grid(tmp_path / found.settled[0, 0].run)


@pytest.mark.parametrize("late", [False, True])
def test_a_full_disk_costs_a_cell_s_record_and_nothing_else(tmp_path, monkeypatch, late):
    begin, write, library = OutputFolder.begin, OutputFolder.write, tmp_path / "library"

    library.mkdir()

    def full(folder, *arguments):
        if folder.path.parent == library and len(list(library.iterdir())) == 1:
            raise OutputError("samples.npz could not be written: no space is left.")
        begin(folder, *arguments)

    def fill(folder, name, make):
        if name == "samples.npz" and len(list(library.iterdir())) == 2:
            folder.problem = "samples.npz could not be written: no space is left."
            folder._waiting[name] = make
            return False
        return write(folder, name, make)

    monkeypatch.setattr(OutputFolder, *(("write", fill) if late else ("begin", full)))
    grid = Sweep(plane(), parse_axis("seed=0:3"), folder=tmp_path / "grid", cells=library)
    grid.execute()
    settled = grid.settled
    assert grid.state == "done" and not grid.failures and all("gap" in cell.figures for cell in settled.values())
    assert len(grid.notes) == 1 and "no space is left" in grid.notes[0]
    assert {path.name for path in library.iterdir()} == {cell.run for cell in settled.values()} - {""}
    assert "" in {cell.run for cell in settled.values()}
    assert read_grid(tmp_path / "grid").notes == grid.notes


def test_cells_that_fail_or_are_cancelled(tmp_path, monkeypatch):
    execute = Run.execute

    def fail_for_one(run, on_step=None):
        def step(at):
            if run.recipe.seed == 1 and at.index == 2:
                raise ScoreError(0, "rows_upper", 2, 0.5)
            on_step(at)

        return execute(run, step)

    monkeypatch.setattr(Run, "execute", fail_for_one)
    grid = Sweep(plane(), parse_axis("seed=0:4"), folder=tmp_path / "grid", cells=tmp_path / "cells")
    grid.execute(lambda at: grid.cancel() if grid.done == 2 and at.index == 3 else None)
    # One that failed is kept, as far as it came; the one at work when the grid was cancelled is not.
    assert [*grid.settled] == [(0, 0), (0, 1)] and grid.state == "cancelled"
    runs = [cell.run for cell in grid.settled.values()]
    assert {path.name for path in (tmp_path / "cells").iterdir()} == {*runs}
    assert read_record(tmp_path / "cells" / runs[1]).state == "failed"
    assert read_grid(tmp_path / "grid").failures == grid.failures and "not finite" in grid.failures[0, 1]


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grid = Sweep(Recipe(**plane().model_dump()), parse_axis("seed=0:2"))
    grid.execute()
    assert not list(tmp_path.iterdir()) and {cell.run for cell in grid.settled.values()} == {""}
    assert all(len(cell.figures) > 4 for cell in grid.settled.values())
    one = Sweep(plane(experts=PAIR[:1]), parse_axis("seed=0:2"))
    one.execute()
    assert "gap" not in one.figures and "log_density 1" in one.figures
