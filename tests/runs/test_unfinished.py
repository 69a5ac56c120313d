"""A grid that was stopped goes on with the same command, and runs no finished cell again."""

import json
import os

import pytest
from plane_recipes import plane
from typer.testing import CliRunner

from superdiff_engine.cli.app import app
from superdiff_engine.errors import OutputError
from superdiff_engine.runs.axes import parse_axis
from superdiff_engine.runs.folder import LOCK
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.run import Run
from superdiff_engine.runs.unfinished import Unfinished
from superdiff_engine.system.locks import take

BEGINNING = "20200101-000000-00000004"
AXIS = parse_axis("seed=0:4")


@pytest.fixture
def executed(monkeypatch):
    """The seeds of the runs that are executed."""
    seeds, execute = [], Run.execute
    monkeypatch.setattr(Run, "execute", lambda run, step=None: seeds.append(run.recipe.seed) or execute(run, step))
    return seeds


def begun(out, recipe=None, axis=AXIS, cells=None):
    """(grid, whether it goes on, what is kept of it)."""
    grid = Sweep(plane() if recipe is None else recipe, axis, cells=cells)
    kept = Unfinished(out, grid.recipe, axis, None, cells)
    return grid, grid.go_on(kept), kept


def stopped(out, cells=None):
    """The same after two cells."""
    grid, again, kept = begun(out, cells=cells)
    grid.execute(lambda news: grid.cancel() if grid.done == 2 else None, out)
    assert not again and grid.state == "cancelled" and grid.done == 2
    return kept


@pytest.fixture(scope="module")
def whole():
    grid = Sweep(plane(), AXIS)
    grid.execute()
    return grid


def test_the_command_goes_on(tmp_path, executed, whole):
    out = tmp_path / "grid.png"
    (tmp_path / "recipe.json").write_text(plane().to_json())
    kept = stopped(out)
    command = ["grid", str(tmp_path / "recipe.json"), "--x", "seed=0:4", "--out", str(out)]
    executed.clear()
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and "Going on: 2 of 4 cells are there." in done.output, done.output
    assert executed == [2, 3] and out.read_bytes() == whole.png() and not kept.folder.exists()
    # It is whole: what is there is not replaced unasked.
    assert CliRunner().invoke(app, command).exit_code == 1
    assert CliRunner().invoke(app, [*command, "--replace"]).exit_code == 0 and executed == [2, 3, 0, 1, 2, 3]


def test_only_the_same_grid_goes_on(tmp_path, executed):
    out = tmp_path / "grid.png"
    stopped(out)
    for changed in (
        {"recipe": plane(batch=17)},
        {"axis": parse_axis("seed=0:5")},
        {"cells": tmp_path},
    ):
        assert not begun(out, **changed)[1]
    grid, again, _ = begun(out)
    assert again and [*grid.settled] == [(0, 0), (0, 1)] and grid.fraction == 0.5
    other, again, _ = begun(out, recipe=plane(batch=17))
    executed.clear()
    other.execute(out=out)
    assert not again and executed == [0, 1, 2, 3]


@pytest.mark.parametrize("harm", ["picture", "cells", "about", "record"])
def test_what_is_damaged_is_run_again(tmp_path, executed, whole, harm):
    out, library = tmp_path / "grid.png", tmp_path / "library"
    kept = stopped(out, library)
    runs = sorted(path for path in library.iterdir())
    {
        "picture": lambda: (kept.folder / "0-1.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture"),
        "cells": lambda: (kept.folder / "cells.json").write_text("[" * 9999),
        "about": lambda: (kept.folder / "about.json").write_text('{"key": 3}'),
        "record": lambda: (runs[0] / "status.json").unlink(),
    }[harm]()
    grid, again, _ = begun(out, cells=library)
    assert again == (harm != "about")
    executed.clear()
    grid.execute(out=out)
    # What its record still says is taken from there.
    expected = {"picture": [2, 3], "cells": [2, 3], "about": [0, 1, 2, 3]}
    assert executed == expected[harm] if harm in expected else len(executed) == 3
    assert grid.state == "done" and out.read_bytes() == whole.png()
    if harm != "about":
        assert {path.name for path in library.iterdir()} == {cell.run for cell in grid.settled.values()}


class Killed(BaseException):
    """The end of a process, as far as what it leaves goes."""


def test_a_cell_that_was_recorded_but_not_told_of_is_not_run_again(tmp_path, executed, whole, monkeypatch):
    """A process may end between the two; and what it left of the cell that was at work goes."""
    out, library = tmp_path / "grid.png", tmp_path / "library"
    keep = Unfinished.keep

    def ends(kept, cells):
        if len(cells) == 3:
            raise Killed
        keep(kept, cells)

    with monkeypatch.context() as patched:
        patched.setattr(Unfinished, "keep", ends)
        first, _, _ = begun(out, cells=library)
        with pytest.raises(Killed):
            first.execute(out=out)
    recorded = {cell.run for cell in first.settled.values()}
    assert {path.name for path in library.iterdir()} == recorded and len(recorded) == 3
    # A fourth, that was broken off; and another grid's, and a folder of somebody's, which are none of its business.
    source = library / min(recorded)
    for name, part_of in (("20200101-000000-00000000", first.id), ("20200101-000000-00000001", "")):
        (library / name).mkdir()
        (library / name / "recipe.json").write_bytes((source / "recipe.json").read_bytes())
        (library / name / "begun.json").write_text(json.dumps({"id": name, "part_of": part_of}))
    (library / "holiday").mkdir()
    # Two whose process was ended before they said whose they are, and one that a process is just beginning.
    for name, file in (("20200101-000000-00000002", ".begun.json.0123abcd.partial"), (BEGINNING, LOCK)):
        (library / name).mkdir()
        (library / name / file).touch()
    (library / "20200101-000000-00000003").mkdir()
    for folder in library.glob("20200101-*"):
        os.utime(folder, (0, 0))
    hold = take(library / BEGINNING / LOCK)
    grid, again, kept = begun(out, cells=library)
    assert again and {cell.run for cell in grid.settled.values()} == recorded
    for place, cell in grid.settled.items():
        figures = first.settled[place].figures
        assert cell.figures.keys() == figures.keys()
        for name, figure in cell.figures.items():
            assert figure.value == pytest.approx(figures[name].value, abs=1e-3 if name == "seconds" else 1e-12)
    executed.clear()
    grid.execute(out=out)
    assert executed == [3] and out.read_bytes() == whole.png() and not kept.folder.exists()
    runs = {cell.run for cell in grid.settled.values()}
    assert {path.name for path in library.iterdir()} == runs | {"20200101-000000-00000001", BEGINNING, "holiday"}
    hold.release()


def test_a_grid_that_another_process_finished_meanwhile_is_left_alone(tmp_path):
    out, library = tmp_path / "grid.png", tmp_path / "library"
    stopped(out, library)
    late, again, kept = begun(out, cells=library)
    assert again
    first, _, _ = begun(out, cells=library)
    first.execute(out=out)
    with pytest.raises(OutputError, match="Another process has just finished this grid"):
        late.execute(out=tmp_path / "late.png")
    assert not kept.folder.exists()
    assert {path.name for path in library.iterdir()} == {cell.run for cell in first.settled.values()}


def test_two_commands_do_not_work_on_one_grid(tmp_path):
    out = tmp_path / "grid.png"
    first, _, _ = begun(out)
    problems = []

    def second(news):
        if not problems:
            other = begun(out)[0]
            with pytest.raises(OutputError, match="Another process is at work on this grid") as raised:
                other.execute(out=tmp_path / "other.png")
            problems.append(raised.value)

    first.execute(second, out)
    assert problems and first.state == "done"
