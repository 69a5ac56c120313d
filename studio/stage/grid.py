"""A grid over fields of a recipe, below a finished run: while its cells come in, when it has ended, and stored ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import streamlit as st

from superdiff_engine.errors import SuperDiffError
from superdiff_engine.runs.cells import Grid
from superdiff_engine.runs.grid_file import GRID, MOST_BYTES
from superdiff_engine.runs.stored_grid import StoredGrid, read_grid
from superdiff_engine.runs.work import is_id
from superdiff_engine.system.files import read_bounded

from .. import session
from ..guard import callback, guarded, plain, show_sentence
from ..job import GridJob, Job
from .grid_cells import draw_cells, draw_picture
from .grid_form import draw_grid_form
from .looks import looked_at
from .progress import draw_progress, loading_text, pace_texts, standstill_text

#: Grids of the library that stay in memory, for the pages that show them.
_STORED = 16


def draw_grid(job: Job) -> None:
    """The choice of what to vary under a finished run, and below it the newest grid that was made so.

    Below a run that is a cell of a grid it is that grid, unless a newer one was made under it.
    """
    grid = session.newest_grid(job)
    with st.expander("Grid over two parameters", icon=":material/grid_on:", key=f"grid-{job.id}"):
        draw_grid_form(job, busy=grid is not None and not grid.finished)
    if grid is None:
        home = _grid_of(job)
        if isinstance(home, Path):
            draw_stored_grid(home, job.id)
            return
        grid = home
    if grid is None:
        return
    with st.container(border=True, key="grid"):
        if grid.finished:
            _finished(grid.run, job.id)
        else:
            # As in the live view of a run: nothing greys out that is about to be redrawn.
            st.html("<style>.st-key-grid [data-stale='true'] { opacity: 1 !important; }</style>")
            _draw_progress(grid.id)


def draw_stored_grid(folder: Path, shown: str = "") -> None:
    """A grid of the library, given its folder, with all that can be done with it.

    Args:
        folder: of its record.
        shown: the id of the run below which it stands; "" for none.
    """
    with st.container(border=True, key="grid"), guarded("the grid"):
        _finished(_stored(str(folder), _stamp(folder / "status.json")), shown)


@st.cache_resource(show_spinner=False, max_entries=_STORED)
def _stored(folder: str, stamp: int) -> StoredGrid:
    """The grid in a folder, as its status of this time has it; raises RecordError."""
    return read_grid(Path(folder))


def _stamp(path: Path) -> int:
    """When a file was last written; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _grid_of(job: Job) -> GridJob | Path | None:
    """The grid that a run is a cell of, or the newest in the library that was asked for under it."""
    folder = session.registry().folder
    if job.run.part_of:
        return session.registry().find_grid(job.run.part_of) or _home(job.run.part_of)
    return None if folder is None else _home(_asked_under(str(folder), _stamp(folder)).get(job.id, ""))


def _home(grid_id: str) -> Path | None:
    """The folder of a grid of the library; None where there is none."""
    folder = session.registry().folder
    if folder is None or not is_id(grid_id) or not (folder / grid_id / GRID).is_file():
        return None
    return folder / grid_id


def draw_way_back(jobs: list[Job]) -> None:
    """Beside runs that are cells of one grid: the way back to it."""
    (grid_id, *others) = {job.run.part_of for job in jobs}
    if others or not grid_id:
        return
    if session.registry().find_grid(grid_id) is None and _home(grid_id) is None:
        return
    st.button(
        "Back to the grid of these cells",
        icon=":material/arrow_back:",
        key=f"grid-of-{grid_id}",
        on_click=callback(_go_back),
        args=(grid_id, jobs[0].id),
    )


def _go_back(grid_id: str, cell: str) -> None:
    """Show the run of a grid, or where that is gone one of its cells, below which the grid stands (a callback)."""
    found, home = session.registry().find_grid(grid_id), _home(grid_id)
    origin = found.origin if found is not None else "" if home is None else read_grid(home).origin
    session.show([origin if session.registry().find(origin) is not None else cell])


@st.cache_data(show_spinner=False, max_entries=1)
def _asked_under(folder: str, stamp: int) -> dict[str, str]:
    """The newest grid of the library that was asked for under each run, by their ids; `stamp`: its last change."""
    try:
        grids = sorted(entry.name for entry in os.scandir(folder) if is_id(entry.name))
    except OSError:
        return {}
    stamps = {name: _stamp(Path(folder, name, GRID)) for name in grids}
    origins = {name: _origin(f"{folder}/{name}/{GRID}", stamp) for name, stamp in stamps.items() if stamp}
    return {origin: name for name, origin in origins.items() if origin}


@st.cache_data(show_spinner=False, max_entries=4096)
def _origin(path: str, stamp: int) -> str:
    """The id of the run that a grid was asked for under, as its grid.json of this time says; "" for none."""
    try:
        origin = json.loads(read_bounded(Path(path), MOST_BYTES)).get("origin", "")
    except (SuperDiffError, ValueError, AttributeError, RecursionError):
        return ""
    return origin if isinstance(origin, str) and is_id(origin) else ""


@looked_at(lambda grid_id: session.registry().find_grid(grid_id))
def _draw_progress(grid: GridJob) -> None:
    with guarded("the grid"):
        draw_progress(grid, _progress_text(grid), "Cancel grid", "the finished cells")
        draw_picture(grid.run)


def _progress_text(grid: GridJob) -> str:
    """Where a grid is, in one line."""
    sweep = grid.run
    still = standstill_text(grid)
    if still:
        return plain(f"Grid: {still[0].lower()}{still[1:]}")
    cells, at_work = sweep.size, list(sweep.at_work.values())
    parts = [f"Grid: cell {min(sweep.done + 1, cells)} of {cells}"]
    if len(at_work) > 1:
        parts = [f"Grid: {sweep.done} of {cells} cells", f"{len(at_work)} at work"]
    if sweep.state == "loading" or (at_work and all(cell.index < 0 for cell in at_work)):
        text = loading_text(grid)
        parts.append(f"{text[0].lower()}{text[1:]}")
    elif len(at_work) == 1:
        parts.append(f"step {at_work[0].index} of {at_work[0].steps}")
    return plain(" · ".join([*parts, *pace_texts(sweep)]))


def _finished(grid: Grid, shown: str) -> None:
    if shown and grid.origin and grid.origin != shown and session.registry().find(grid.origin) is not None:
        st.button(
            "Back to the run of this grid",
            icon=":material/arrow_back:",
            key=f"origin-{grid.id}",
            on_click=callback(session.show),
            args=([grid.origin],),
            help="The run below which this grid was asked for; the run above is one of its cells",
        )
    if grid.message:
        show_sentence(grid.message)
    if grid.done == len(grid.failures):
        if grid.state == "cancelled":
            st.info("The grid was cancelled before its first cell was finished, so there is nothing to show.")
        return
    draw_cells(grid, shown)
