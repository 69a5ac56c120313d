"""A scatter of any two properties of a run's samples, in which a lasso selects what the gallery and the files hold."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from superdiff_engine.domains.asked import Asked, groups_of
from superdiff_engine.result import Result

from ..charts.live import at_level
from ..charts.palette import GUIDE, NEUTRAL, TARGET, expert_colours, theme_name
from ..charts.scale import draw_plotly
from ..charts.scatter import SHAPES, Axis, Kind, scatter_config, scatter_figure
from ..guard import callback, plain
from ..job import Job
from ..part import told
from .chart_files import draw_chart_files
from .progress import names_of
from .sample import KEEP

if TYPE_CHECKING:
    from superdiff_engine.figures.charts import Sheet

__all__ = ["draw_scatter", "draw_selection", "selected_of"]


def selected_of(job: Job) -> tuple[int, ...] | None:
    """The numbers of the samples that are selected in the scatter of a run; None while none are."""
    found: tuple[int, ...] | None = st.session_state.get(f"selected-{job.id}")
    return found


def draw_selection(job: Job, one: str) -> None:
    """What is selected, where something is, with a button that undoes it; `one` is what a sample is called."""
    chosen = selected_of(job)
    if chosen is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        many = f"{len(chosen)} {one}{'' if len(chosen) == 1 else 's'}"
        st.markdown(f":material/lasso_select: {many} selected in the scatter below", width="content")
        st.button("Show all", key=f"select-none-{job.id}", on_click=callback(partial(_select, job.id, None)))


def draw_scatter(
    job: Job, result: Result, columns: Sequence[Axis], asked: Sequence[Asked], first: tuple[str, str], one: str
) -> None:
    """The scatter with the choice of its axes.

    Args:
        job: whose samples they are.
        result: of the job.
        columns: properties of the samples; log-densities and their difference are added.
        asked: what was asked of the samples.
        first: titles of the two axes to begin with.
        one: what a sample is called.
    """
    theme, colours = theme_name(), expert_colours(len(job.run.titles))
    axes = {one.title: one for one in [*_with_bounds(columns, asked, colours), *_densities(job, result)]}
    names, state = list(axes), st.session_state
    st.markdown(f"**Any two properties** · draw around {one}s to select them")
    with st.container(horizontal=True, gap="small"):
        across, up = (
            st.selectbox(title, names, key=told(f"scatter-{letter}-{job.id}", first[place]), persist_state=KEEP)
            for place, (title, letter) in enumerate([("Across", "x"), ("Up", "y")])
        )
    x, y = axes[across], axes[up]
    kinds = _kinds(asked, result.log_density.shape[1], colours, theme)
    if len(kinds) > 1:
        # For those who draw no lasso: whole groups.
        st.pills(
            "Select those that",
            [kind.name for kind in kinds],
            selection_mode="multi",
            key=told(f"scatter-groups-{job.id}"),
            on_change=callback(partial(_take_groups, job.id, {kind.name: kind.numbers for kind in kinds})),
        )
    key = f"scatter-{job.id}-{state.get(f'scatter-turn-{job.id}', 0)}-{names.index(across)}-{names.index(up)}"
    chosen = selected_of(job)
    # A selection that this chart was told of it shows by itself; redrawn, it would lose its lasso.
    elsewhere = None if state.get(f"selected-by-{job.id}") == key else chosen
    figure = scatter_figure(x, y, kinds, theme, elsewhere)
    draw_plotly(
        figure,
        key=key,
        on_select=callback(partial(_take, job.id, key)),
        selection_mode=("points", "box", "lasso"),
        config=scatter_config(),
        alt=f"{x.label} against {y.label} of all {one}s, by whose wishes they satisfy",
    )
    experts = [plain(name) for name in names_of(job)]
    lines = " Dashed lines are what was asked." if x.bounds or y.bounds else ""
    unknown = int((np.isnan(x.values) | np.isnan(y.values)).sum())
    missing = f" {unknown} without these values are not drawn." if unknown else ""
    st.caption(
        f"Experts: {', '.join(experts)}.{lines}{missing} What is selected is what the gallery shows and the files "
        "hold; a double click selects nothing again."
    )
    _files(job, x, y, kinds, theme)


def _select(job_id: str, numbers: Sequence[int] | None, by: str = "") -> None:
    state = st.session_state
    state[f"selected-{job_id}"] = None if numbers is None else tuple(sorted({int(one) for one in numbers}))
    state[f"selected-by-{job_id}"] = by
    if not by:
        # Another chart takes this one's place, without its lasso.
        state[f"scatter-turn-{job_id}"] = state.get(f"scatter-turn-{job_id}", 0) + 1
    if not by and numbers is None:
        state.pop(f"scatter-groups-{job_id}", None)


def _take(job_id: str, key: str) -> None:
    points = st.session_state[key].selection.points
    told = [point["customdata"] for point in points if "customdata" in point]
    numbers = [one[0] if isinstance(one, list) else one for one in told]
    _select(job_id, numbers or None, key)


def _take_groups(job_id: str, groups: dict[str, np.ndarray]) -> None:
    chosen = st.session_state[f"scatter-groups-{job_id}"]
    _select(job_id, np.concatenate([groups[name] for name in chosen]).tolist() if chosen else None)


def _with_bounds(columns: Sequence[Axis], asked: Sequence[Asked], colours: Sequence[str]) -> list[Axis]:
    """The properties, each with where what was asked of it begins or ends."""
    found = []
    for column in columns:
        bounds = []
        for one in asked:
            colour = "" if one.expert is None else colours[one.expert]
            # Whole numbers: the line stands between those that satisfy it and the others.
            shift = 0.5 if one.count else 0.0
            ends = [one.lowest, one.highest] if one.name == column.title else []
            bounds += [(float(end) - shift, colour) for end in ends if isinstance(end, int | float)]
        found.append(replace(column, bounds=tuple(dict.fromkeys(bounds))))
    return found


def _densities(job: Job, result: Result) -> list[Axis]:
    names, values = names_of(job), result.log_density
    found = [Axis(at_level(result.level, name), "nats", row) for name, row in zip(names, values, strict=True)]
    if len(values) > 1:
        found.append(Axis("log q₁ − log q₂", "nats", values[0] - values[1]))
        found += [Axis(f"weight κ of {name}", "", row) for name, row in zip(names, result.weights, strict=True)]
    return found


def _kinds(asked: Sequence[Asked], count: int, colours: Sequence[str], theme: str) -> list[Kind]:
    groups = groups_of(asked, count)
    shared = iter([NEUTRAL[theme]] if len(groups) == 1 else [])
    palette = {"satisfy all": TARGET[theme], "several, not all": NEUTRAL[theme]}
    return [
        Kind(
            name,
            next(shared, palette.get(name, GUIDE[theme]) if expert is None else colours[expert]),
            SHAPES[place % len(SHAPES)] if len(groups) > 1 else "circle",
            np.nonzero(members)[0],
        )
        for place, (name, expert, members) in enumerate(groups)
    ]


def _files(job: Job, x: Axis, y: Axis, kinds: Sequence[Kind], theme: str) -> None:
    recipe, title = job.run.recipe, f"{y.title} against {x.title}"

    def sheet() -> Sheet:
        from superdiff_engine.figures.charts import Group, properties_sheet  # not before it is asked for

        groups = [
            Group(kind.name, kind.colour, x.values[kind.numbers], y.values[kind.numbers], kind.shape) for kind in kinds
        ]
        bounds = [(letter, *bound) for letter, axis in (("x", x), ("y", y)) for bound in axis.bounds]
        lines = [(letter, where, colour or GUIDE[theme]) for letter, where, colour in bounds]
        return properties_sheet(title, recipe, groups, (x.label, y.label), theme, lines)

    def csv() -> bytes:
        text = io.StringIO()
        text.write("sample_from_0,across,up,group\n")
        for kind in kinds:
            for row in kind.numbers:
                values = ["" if np.isnan(axis.values[row]) else f"{axis.values[row]:.9g}" for axis in (x, y)]
                text.write(f'{row},{",".join(values)},"{kind.name}"\n')
        return text.getvalue().encode()

    draw_chart_files(job, "scatter", title, sheet, csv)
