"""What a corrected run's page adds to its curves: effective sample sizes, marks of resampling, and where samples came
from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from superdiff_engine.figures.meanings import LINEAGE, MEANINGS
from superdiff_engine.figures.numbers import effective_csv
from superdiff_engine.figures.quantities import Against
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.result import Result
from superdiff_engine.runs.formats import lineage_csv
from superdiff_engine.trace import Curves

from ..charts import finished as figures
from ..charts import live as charts
from ..charts.lineage import MOST_ROWS, Lineage, copies_sentence, lineage_figure, lineage_of, lineage_sentence
from ..charts.palette import theme_name
from ..charts.scale import draw_echarts, draw_plotly
from ..job import Job
from .chart_files import draw_chart_files

if TYPE_CHECKING:
    from superdiff_engine.figures.charts import Sheet


def draw_effective_live(curves: Curves, recipe: Recipe, key: str, height: int) -> None:
    """The effective sample size over the steps, for a page that ticks; nothing without a correction."""
    if recipe.correction is None or not curves.effective.size:
        return
    st.markdown(f"**{charts.EFFECTIVE_TITLE}**", help=MEANINGS["effective"].markdown)
    steps, threshold = recipe.levels.steps, recipe.correction.threshold
    option = charts.effective_option(curves, recipe.group, threshold, steps, theme_name())
    alt = "Effective sample size in per cent of a group against the step, with the threshold of resampling"
    draw_echarts(option, f"{key}-effective", height, alt)


def draw_effective(job: Job, curves: Curves, against: Against) -> None:
    """The same of an ended run, in a cell of its curves."""
    recipe = job.run.recipe
    if recipe.correction is None or not curves.effective.size:
        return
    figure = figures.effective_figure(curves, recipe.group, recipe.correction.threshold, against, theme_name())
    alt = f"Effective sample size in per cent of a group against the {against}, with the threshold of resampling"
    with st.container(gap="xxsmall"):
        st.markdown(f"**{charts.EFFECTIVE_TITLE}**", help=MEANINGS["effective"].markdown)
        draw_plotly(figure, key=f"effective-{job.id}", config=figures.config(), alt=alt)
        _effective_files(job, against)


def _effective_files(job: Job, against: Against) -> None:
    trace, recipe, titles, theme = job.run.trace, job.run.recipe, job.run.titles, theme_name()

    def sheet() -> Sheet:
        from superdiff_engine.figures.charts import curve_sheet  # not before it is asked for: it takes a second

        return curve_sheet(trace.curves(), recipe, titles, "effective", theme, against=against)

    numbers = charts.EFFECTIVE_TITLE
    draw_chart_files(job, "effective", numbers, sheet, lambda: effective_csv(trace.curves(), recipe.group))


def marks_note(curves: Curves, recipe: Recipe) -> str:
    """What the marks on the curves are, in a sentence or two; empty without a correction."""
    if recipe.correction is None:
        return ""
    groups, count = recipe.batch // recipe.group, len(curves.marks)
    if not count:
        return "No particles have been resampled."
    lines = "Thin upright lines" if count <= charts.MOST_LINES else "Ticks at the foot"
    lines = "Thin upright line" if count == 1 else lines
    where = "particles" if groups == 1 else f"particles of one or more of the {groups} groups"
    steps = "the step" if count == 1 else f"the {count} steps"
    shown = charts.THIN_CURVES if groups > charts.THIN_CURVES else groups
    thin = f" Thin curves of the effective sample size: {shown} of {groups} groups." if groups > 1 else ""
    return (
        f"{lines}: {steps} at which {where} were resampled; curves are those of the survivors, and "
        f"bold means are weighted.{thin}"
    )


def _lineage_files(job: Job, lineage: Lineage, result: Result, shares: np.ndarray) -> None:
    recipe, theme = result.recipe, theme_name()

    def sheet() -> Sheet:
        from superdiff_engine.figures.charts import lineage_sheet

        return lineage_sheet(lineage, recipe, shares, theme, lineage_sentence(lineage, recipe.group))

    draw_chart_files(job, "lineage", "Lineage", sheet, lambda: lineage_csv(result))


def draw_lineage(job: Job, result: Result) -> None:
    """From which particles the final samples came; nothing without a correction."""
    shares, recipe = result.shares, result.recipe
    if shares is None:
        return
    resamplings = job.run.trace.resamplings
    with st.container(border=True, key="lineage"):
        if not resamplings:
            st.markdown("**Lineage:** no particles were resampled, so each sample is its own ancestor.")
            return
        lineage = lineage_of(resamplings, recipe.batch)
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small"):
            st.markdown(
                f"**Lineage: {lineage_sentence(lineage, recipe.group)}**", width="content", help=LINEAGE.markdown
            )
            _lineage_files(job, lineage, result, shares)
        figure = lineage_figure(lineage, recipe.levels.steps, theme_name(), recipe.group, shares)
        alt = f"Lines of descent of the final samples over the steps: {lineage_sentence(lineage, recipe.group)}"
        draw_plotly(figure, key=f"lineage-{job.id}", config=figures.config(), alt=alt)
        few = f" Shown are {MOST_ROWS} of {recipe.batch} samples, evenly over the tree; ancestors are counted over all."
        thinned = few if recipe.batch > MOST_ROWS else ""
        joined = (
            " There were too many resamplings to keep each: neighbours stand as one."
            if len(resamplings) < len(job.run.trace.marks)
            else ""
        )
        st.caption(
            f"{copies_sentence(lineage)} Read backwards from the final samples at the right: where lines meet, they "
            "are copies of one particle. A colour is an ancestor at the start, and the area of a dot is what the "
            f"sample counts for within its group.{thinned}{joined}"
        )
