"""A grid over two parameters of a finished run: what to vary, the grid while its cells come in, and its file."""

from __future__ import annotations

import streamlit as st

from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.axes import MOST_VALUES, PARAMETERS, Axis, make_axis, parse_values, varied
from superdiff_engine.runs.grid import Sweep

from .. import session
from ..guard import callback, guarded, plain, show_sentence
from ..jobs import GridJob, Job
from ..words import STATES, other_than_usual, run_title
from .progress import TICK, draw_progress, loading_text, pace_texts, seconds_text, standstill_text

_SINGLE_ROW = "none"


def draw_grid(job: Job) -> None:
    """The choice of two parameters under a finished run, and below it the newest grid that was made so."""
    grid = session.newest_grid(job)
    with st.expander("Grid over two parameters", icon=":material/grid_on:", key=f"grid-{job.id}"):
        _choice(job, busy=grid is not None and not grid.finished)
    if grid is None:
        return
    with st.container(border=True, key="grid"):
        if grid.finished:
            _finished(grid)
        else:
            # As in the live view of a run: nothing greys out that is about to be redrawn.
            st.html("<style>.st-key-grid [data-stale='true'] { opacity: 1 !important; }</style>")
            _tick(grid.id)


def _choice(job: Job, busy: bool) -> None:
    recipe = job.recipe
    names = varied(recipe)
    with st.grid(columns=2, min_column_width=260, gap="small"):
        x = st.selectbox(
            "Across",
            names,
            format_func=_title,
            key=f"grid-x-{job.id}",
            help="The parameter that changes from column to column",
        )
        across = _values("across", x, job)
        rest = [name for name in names if name != x]
        y = st.selectbox(
            "Down",
            [*rest, _SINGLE_ROW],
            index=rest.index("seed") if "seed" in rest else 0,
            format_func=_title,
            key=f"grid-y-{job.id}",
            help="The parameter that changes from row to row",
        )
        down = "" if y == _SINGLE_ROW else _values("down", y, job)
    sweep, problem = None, ""
    try:
        sweep = Sweep(recipe, _axis(x, across), None if y == _SINGLE_ROW else _axis(y, down))
    except SuperDiffError as error:
        problem = str(error)
    axes = None if sweep is None else (sweep.x, sweep.y)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Run grid",
            icon=":material/grid_on:",
            key=f"run-grid-{job.id}",
            on_click=callback(_run),
            args=(job.id, axes),
            disabled=busy or sweep is None,
            help="One run for each cell, all else as in this run; it waits its turn like any run",
        )
        if sweep is not None:
            st.caption(_size(sweep))
    if problem:
        show_sentence(problem)
    if st.session_state.get(f"grid-problem-{job.id}"):
        show_sentence(st.session_state[f"grid-problem-{job.id}"])


def _values(side: str, name: str, job: Job) -> str:
    # A key for each parameter: choosing another one brings its own values.
    return st.text_input(
        f"Values {side}",
        value=PARAMETERS[name].suggested,
        max_chars=300,
        key=f"grid-{side}-{name}-{job.id}",
        help=f"Up to {MOST_VALUES} numbers such as 0, 1, 10; 0:4 is 0, 1, 2, 3",
    )


def _title(name: str) -> str:
    return "Nothing: a single row" if name == _SINGLE_ROW else PARAMETERS[name].label.capitalize()


def _axis(name: str, values: str) -> Axis:
    return make_axis(name, parse_values(values))


def _size(sweep: Sweep) -> str:
    cells, samples = len(sweep.recipes), sweep.recipe.batch
    return f"{cells} cell{'s' if cells > 1 else ''} of {samples} sample{'s' if samples > 1 else ''} each"


def _run(job_id: str, axes: tuple[Axis, Axis | None]) -> None:
    """Queue the grid (a callback)."""
    state = st.session_state
    state[f"grid-problem-{job_id}"] = ""
    try:
        recipe = session.registry().recall(job_id).recipe
        session.registry().submit_grid(Sweep(recipe, *axes), job_id, state["f.save"], session.this_tab())
    except SuperDiffError as error:
        state[f"grid-problem-{job_id}"] = str(error)


@st.fragment(run_every=TICK)
def _tick(grid_id: str) -> None:
    grid = session.registry().find_grid(grid_id)
    if grid is None or grid.finished:
        st.rerun()
        return
    with guarded("the grid"):
        draw_progress(grid, _progress_text(grid), "Cancel grid", "the finished cells")
        _picture(grid)


def _progress_text(grid: GridJob) -> str:
    """Where a grid is, in one line."""
    sweep = grid.run
    still = standstill_text(grid)
    if still:
        return plain(f"Grid: {still[0].lower()}{still[1:]}")
    cells, current = len(sweep.recipes), sweep.current
    parts = [f"Grid: cell {min(sweep.done + 1, cells)} of {cells}"]
    if current is not None and current.state == "loading":
        text = loading_text(grid)
        parts.append(f"{text[0].lower()}{text[1:]}")
    elif current is not None:
        parts.append(f"step {max(len(current.trace) - 1, 0)} of {current.recipe.levels.steps}")
    return plain(" · ".join([*parts, *pace_texts(sweep)]))


def _picture(grid: GridJob) -> None:
    sweep = grid.run
    axes = " and ".join(axis.label for axis in (sweep.x, sweep.y) if axis is not None)
    # The same bytes as at the last look unless a cell was added: the browser has them already, and nothing flickers.
    st.image(
        sweep.png(),
        width="content",
        output_format="PNG",
        alt=f"A grid over {axes}, {sweep.done} of {len(sweep.recipes)} cells settled",
    )


def _finished(grid: GridJob) -> None:
    sweep = grid.run
    if sweep.message:
        show_sentence(sweep.message)
    if sweep.done == len(sweep.failures):
        if sweep.state == "cancelled":
            st.info("The grid was cancelled before its first cell was finished, so there is nothing to show.")
        return
    _picture(grid)
    st.caption(_caption(grid.recipe, sweep))
    if not sweep.message:
        for sentence in dict.fromkeys(sweep.failures.values()):
            show_sentence(sentence)
    st.download_button(
        "Grid (PNG)",
        data=sweep.png,
        file_name=f"{grid.id}-grid.png",
        mime="image/png",
        key=f"download-{grid.id}",
        on_click="ignore",
        icon=":material/download:",
        help="With labelled axes; the recipe and the axes are inside, and the form can load them again",
    )


def _caption(recipe: Recipe, sweep: Sweep) -> str:
    axes = [f"across: {_axis_text(sweep.x)}"]
    if sweep.y is not None:
        axes.append(f"down: {_axis_text(sweep.y)}")
    made = sweep.done - len(sweep.failures)
    ended = f"{STATES[sweep.state]}: {made} of {len(sweep.recipes)} cells in {seconds_text(sweep.seconds)}"
    seed = "" if "seed" in (sweep.x.name, sweep.y.name if sweep.y else "") else f"seed {recipe.seed}"
    experts = ", ".join(expert.prompt or expert.model for expert in recipe.experts)
    return plain(
        " · ".join(part for part in (ended, run_title(recipe), experts, *axes, seed, *other_than_usual(recipe)) if part)
    )


def _axis_text(axis: Axis) -> str:
    return f"{axis.label} {', '.join(axis.texts)}"
