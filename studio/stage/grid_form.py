"""What a grid under a finished run is to vary: two parameters, their values, the samples of each cell."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import streamlit as st

from superdiff_engine.domains import get_domain
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.axes import Axis, make_axis, parameter, varied, with_value
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.values import MOST_VALUES, Choice, Texts, Value
from superdiff_engine.system.workplaces.choice import offered_cluster, opens_at

from .. import session
from ..guard import once, plain, show_sentence
from ..job import Job

_SINGLE_ROW = "none"


def draw_grid_form(job: Job, busy: bool) -> None:
    """The choice, and the button that queues the grid; `busy`: while one is at work."""
    recipe = job.recipe
    names = varied(recipe)
    sweep, problem = None, ""
    across: Axis | None = None
    down: Axis | None = None
    with st.grid(columns=2, min_column_width=260, gap="small"):
        with st.container():
            x = st.selectbox(
                "Across",
                names,
                format_func=_title,
                key=f"grid-x-{job.id}",
                help="The parameter that changes from column to column",
            )
            read = _values("across", x, job)
        try:
            across = make_axis(x, read())
        except SuperDiffError as error:
            problem = str(error)
        with st.container():
            rest = [name for name in _of_rows(recipe, names, across) if name != x]
            y = st.selectbox(
                "Down",
                [*rest, _SINGLE_ROW],
                index=rest.index("seed") if "seed" in rest else 0,
                format_func=_title,
                key=f"grid-y-{job.id}",
                help="The parameter that changes from row to row",
            )
            read = _nothing if y == _SINGLE_ROW else _values("down", y, job)
        try:
            down = None if y == _SINGLE_ROW else make_axis(y, read())
        except SuperDiffError as error:
            problem = problem or str(error)
    samples, cluster = _samples(job, [x, y]), _where(job)
    try:
        sweep = None if problem or across is None else Sweep(recipe, across, down, samples)
    except SuperDiffError as error:
        problem = str(error)
    asked = None if sweep is None else (sweep.x, sweep.y, samples, cluster)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Run grid",
            icon=":material/grid_on:",
            **once(f"run-grid-{job.id}", _run),
            args=(job.id, asked),
            disabled=busy or sweep is None,
            help="One run for each cell, all else as in this run; it waits its turn like any run",
        )
        if sweep is not None:
            st.caption(plain(_size(sweep)))
    if problem:
        show_sentence(problem)
    if st.session_state.get(f"grid-problem-{job.id}"):
        show_sentence(st.session_state[f"grid-problem-{job.id}"])


def _of_rows(recipe: Recipe, names: list[str], across: Axis | None) -> list[str]:
    """What can vary down: what the recipe has, and what it has with another value across, such as its operator's."""
    found = dict.fromkeys(names)
    if across is not None and parameter(across.name).early:
        for value in across.values:
            with suppress(SuperDiffError):
                found |= dict.fromkeys(varied(with_value(recipe, across.name, value)))
    return list(found)


def _nothing() -> list[Value]:
    return []


def _values(side: str, name: str, job: Job) -> Callable[[], list[Value]]:
    """The field of a parameter's values; what it returns reads them, and raises SuperDiffError."""
    told = parameter(name)
    # A key for each parameter: choosing another one brings its own values.
    label, key, start = f"Values {side}", f"grid-{side}-{name}-{job.id}", list(told.suggest(job.recipe))
    match told.kind:
        case Choice():
            titles = told.options(job.recipe)
            chosen: list[Value] = list(
                st.multiselect(
                    label,
                    list(titles),
                    default=[value for value in start if value in titles],
                    format_func=lambda value: titles.get(value, value),
                    max_selections=MOST_VALUES,
                    key=key,
                    help=told.kind.hint,
                )
            )
            return lambda: chosen
        case Texts():
            text = st.text_area(
                label, value=told.kind.entered(start), max_chars=25_000, key=key, help=told.kind.hint, height="content"
            )
        case _:
            text = st.text_input(label, value=told.kind.entered(start), max_chars=300, key=key, help=told.kind.hint)
    return lambda: told.kind.read_entered(text)


def _samples(job: Job, axes: list[str]) -> int | None:
    """How many samples each cell has; None where an axis decides it."""
    recipe = job.recipe
    if any(name != _SINGLE_ROW and parameter(name).groups for name in axes):
        return None
    usual = recipe.group if get_domain(recipe.domain).sample_is_picture else recipe.batch
    return st.number_input(
        "Samples in each cell",
        min_value=recipe.group,
        max_value=16_384 // recipe.group * recipe.group,
        value=usual,
        step=recipe.group,
        key=f"grid-samples-{job.id}",
        width=260,
        help="More samples give numbers with smaller errors",
    )


def _title(name: str) -> str:
    return "Nothing: a single row" if name == _SINGLE_ROW else _capital(parameter(name).label)


def _capital(title: str) -> str:
    """With a capital letter first; "T" stays one."""
    return title[:1].upper() + title[1:]


def _size(sweep: Sweep) -> str:
    cells, samples = len(sweep.recipes), sweep.recipe.batch
    each = (
        ""
        if any(parameter(axis.name).groups for axis in sweep.axes)
        else f" of {samples} sample{'s' * (samples > 1)} each"
    )
    said = f"{cells} cell{'s' if cells > 1 else ''}{each}"
    if sweep.unfit:
        said += f"; {len(sweep.unfit)} of {sweep.size} cannot be run: {next(iter(sweep.unfit.values()))}"
    return said


def _where(job: Job) -> bool:
    """Whether the cells are for the cluster that is offered; asked for where there is one."""
    address = offered_cluster()
    if not address:
        return False
    return st.selectbox(
        "Where",
        [False, True],
        format_func=lambda cluster: f"Ray cluster at {address}" if cluster else "This machine",
        key=f"grid-where-{job.id}",
        width=360,
        help="A cluster runs as many cells side by side as it has room for; they do not wait for this machine's runs",
    )


def _run(job_id: str, asked: tuple[Axis, Axis | None, int | None, bool]) -> None:
    """Queue the grid (a callback)."""
    state, registry = st.session_state, session.registry()
    state[f"grid-problem-{job_id}"] = ""
    x, y, samples, cluster = asked
    try:
        opens = opens_at(offered_cluster() if cluster else None)
        grid = Sweep(registry.recall(job_id).recipe, x, y, samples, opens=opens)
        registry.submit_grid(grid, job_id, state["f.save"], session.this_tab(), cluster)
    except SuperDiffError as error:
        state[f"grid-problem-{job_id}"] = str(error)
