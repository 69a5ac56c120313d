"""A grid that was stopped goes on with the same command, and runs no finished cell again."""

import pytest
from plane_recipes import plane
from typer.testing import CliRunner

from superdiff_engine.cli.app import app
from superdiff_engine.errors import OutputError
from superdiff_engine.runs.axes import parse_axis
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.run import Run
from superdiff_engine.runs.unfinished import Unfinished

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
    expected = {"picture": [1, 2, 3], "cells": [0, 1, 2, 3], "about": [0, 1, 2, 3]}
    assert executed == expected[harm] if harm in expected else len(executed) == 3
    assert grid.state == "done" and out.read_bytes() == whole.png()


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
