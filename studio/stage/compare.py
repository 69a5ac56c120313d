"""Runs side by side: the same recipe and seed with only the operator changed."""

from __future__ import annotations

from contextlib import suppress

import pandas as pd
import streamlit as st

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import RecipeError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.recipes.operators import COMPARED, OPERATORS, OperatorRecipe, each_alone, of_one_expert

from .. import session
from ..charts import finished as figures
from ..charts.live import TITLES, Quantity
from ..charts.palette import expert_colours, theme_name
from ..guard import callback, guarded
from ..jobs import Job
from ..views import view_of
from .exports import draw_downloads
from .heading import draw_heading
from .lineage import marks_note
from .live import draw_small_progress
from .progress import names_of
from .sample import FIGURE_POINTS
from .table import draw_figures_of

#: Up to so many runs are shown with their curves; more are a strip of samples, so many in a row.
_SIDE_BY_SIDE, _STRIP = 3, 4


def with_operator(recipe: Recipe, operator: OperatorRecipe) -> Recipe:
    """The same recipe with another operator, without its correction where that one has no exact target; raises
    RecipeError where it does not fit.
    """
    document = recipe.model_dump() | {"operator": operator.model_dump()}
    return make_recipe(document | ({"correction": None} if operator.no_target else {}))


def variants(recipe: Recipe) -> list[Recipe]:
    """What to see a run beside: itself without its correction, AND, OR, average, a joint prompt and every expert alone,
    but for what it is itself.
    """
    found, count = [], len(recipe.experts)
    if recipe.correction is not None:
        found.append(recipe.model_copy(update={"correction": None}))
    for operator in COMPARED:
        with suppress(RecipeError):  # AND of properties that exclude each other
            found.append(with_operator(recipe, operator.like(recipe.operator, count)))
    wording = get_domain(recipe.domain).wording
    if wording is not None and recipe.experts[0].prompt is not None and count > 1:
        joint = wording.between.join(expert.prompt for expert in recipe.experts if expert.prompt)
        document = recipe.model_dump() | {
            "experts": [{"model": recipe.experts[0].model, "prompt": joint}],
            "operator": of_one_expert().model_dump(),
        }
        with suppress(RecipeError):  # properties that exclude each other have no joint prompt
            found.append(make_recipe(document))
    found += [with_operator(recipe, operator) for operator in each_alone(count)]
    return [other for other in found if _composition(other) != _composition(recipe)]


def _composition(recipe: Recipe) -> tuple[object, ...]:
    """What is composed how, but for numbers."""
    # Without a correction where there can be none, an operator is another all the same.
    return (*recipe.operator.choice(), len(recipe.experts), recipe.correction is not None)


def draw_run_beside(job: Job) -> None:
    """The choice of another operator, and the button that runs it beside."""
    with st.container(border=True, key="beside"):
        _choice(job, "Compare: run again with only the operator changed")


def _choice(job: Job, label: str) -> None:
    others = [name for name in OPERATORS if name != job.recipe.operator.name]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox(
            label, others, format_func=lambda other: OPERATORS[other].title, key=f"other-{job.id}", width=330
        )
        st.button(
            "Run beside",
            icon=":material/compare:",
            key="run-beside",
            on_click=callback(lambda: _run_other(job, name)),
            disabled=len(st.session_state["shown"]) >= session.MOST_COMPARED,
            help=f"Same experts, same seed, another operator; up to {session.MOST_COMPARED} side by side"
            f"{'' if job.recipe.correction is None else '. One without an exact target runs without a correction'}",
        )
        rest = variants(job.recipe)[: session.MOST_COMPARED - len(st.session_state["shown"])]
        if rest and len(st.session_state["shown"]) == 1:
            titles = ["The same without its correction"] if job.recipe.correction is not None else []
            titles += [kind.title if kind.title.isupper() else kind.title.lower() for kind in COMPARED]
            st.button(
                "Run all beside",
                icon=":material/view_column:",
                key="run-all-beside",
                on_click=callback(lambda: session.run_beside(*rest)),
                help=f"{', '.join(titles)}, joint prompt and each expert alone, on the same seed, in one press",
            )


def _run_other(job: Job, name: str) -> None:
    try:
        operator = OPERATORS[name].like(job.recipe.operator, len(job.recipe.experts))
        session.run_beside(with_operator(job.recipe, operator))
    except RecipeError as error:
        st.session_state["problem"] = str(error)


def draw_comparison(jobs: list[Job]) -> None:
    """Two or more runs in columns, then their figures below each other."""
    wide = len(jobs) if len(jobs) <= _SIDE_BY_SIDE else _STRIP
    for start in range(0, len(jobs), wide):
        row = jobs[start : start + wide]
        for job, column in zip(row, st.columns(wide, gap="medium"), strict=False):
            with column, guarded("a run of the comparison"):
                _column(job, brief=len(jobs) > _SIDE_BY_SIDE)
    _choice(jobs[0], "Add another operator")


def _column(job: Job, brief: bool) -> None:
    if not job.finished:
        draw_small_progress(job)
        return
    draw_heading(job, save=False)
    with st.container(horizontal=True, gap="small"):
        draw_downloads(job)
        st.button(
            "Close",
            icon=":material/close:",
            key=f"close-{job.id}",
            on_click=callback(session.remove),
            args=(job.id,),
            help="Take this run out of the comparison",
        )
    result = job.run.result
    if result is None:
        return
    names, colours = names_of(job), expert_colours(len(job.run.titles))
    view_of(job.recipe.domain).draw_small(job, result, brief)
    means = {
        # In a strip only the numbers have room; the heading says whose they are.
        "expert": [str(place) for place in range(1, len(names) + 1)] if brief else names,
        "log q, nats": result.mean(result.log_density),
        "κ": result.mean(result.weights),
    }
    column = st.column_config
    if result.importance is None:
        st.caption(f"Means at level s = {result.level:.3g}")
    else:
        st.caption(f"{view_of(job.recipe.domain).small_note} Means are weighted, at level s = {result.level:.3g}")
    st.dataframe(
        pd.DataFrame(means),
        hide_index=True,
        column_config={
            "expert": column.TextColumn(width=50 if brief else None),
            "log q, nats": column.NumberColumn(format="%.3f", width=76),
            "κ": column.NumberColumn(format="%.3f", width=52),
        },
        alt="Final log-density and weight of every expert, means over the samples",
    )
    if brief:
        return
    draw_figures_of(job, result)
    curves = job.run.trace.curves(most=FIGURE_POINTS)
    quantities: tuple[Quantity, ...] = ("difference", "weights")
    for quantity in quantities:
        st.markdown(f"**{TITLES[quantity]}**")
        figure = figures.curve_figure(curves, quantity, names, colours, "level", height=260, theme=theme_name())
        figure.update_layout(showlegend=False)
        st.plotly_chart(
            figure, key=f"{quantity}-{job.id}", config=figures.config(), alt=f"{quantity} against the level"
        )
    if marks_note(curves, job.run.recipe):
        st.caption(marks_note(curves, job.run.recipe))
