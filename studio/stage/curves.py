"""Curves of a run over its levels or steps, and its estimated log-densities against exact ones, live and finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from superdiff_engine.figures.meanings import AGREEMENT, MEANINGS
from superdiff_engine.figures.numbers import curves_csv
from superdiff_engine.figures.quantities import Against, title_of
from superdiff_engine.trace import Curves

from ..charts import finished as figures
from ..charts import live as charts
from ..charts.live import TITLES, Quantity
from ..charts.palette import expert_colours, theme_name
from ..charts.scale import draw_echarts, draw_plotly
from ..guard import guarded
from ..job import Job
from ..part import told
from ..views import Compared, view_of
from .chart_files import draw_agreement_files, draw_chart_files
from .check import draw_check
from .lineage import draw_effective, draw_lineage, marks_note
from .progress import names_of
from .sample import FIGURE_POINTS, KEEP

if TYPE_CHECKING:
    from superdiff_engine.figures.charts import Sheet


def draw_component_choice(curves: Curves, key: str) -> str | None:
    """Which part of the log-densities to show; None for their sum."""
    whole = "sum"
    # Each kind of sample has components of its own, and a choice of its own that stays from run to run.
    key = "-".join([key, *curves.components])
    chosen = st.segmented_control(
        "Log-densities of",
        [whole, *curves.components],
        default=whole,
        required=True,
        format_func=lambda name: "all components" if name == whole else name,
        key=told(key),
        persist_state=KEEP,
        label_visibility="collapsed",
    )
    return None if chosen == whole else str(chosen)


def draw_agreement(compared: Compared, names: list[str], key: str, height: int) -> None:
    """Estimated against exact log-density, with the mean error of the difference in the title."""
    error = charts.pair_error(compared.estimated, compared.exact)
    note = "" if error is None else f" · error {error:.2g} nats"
    st.markdown(f"**Estimated against exact**{note}", help=AGREEMENT.markdown)
    colours = expert_colours(len(names))
    option = charts.agreement_option(compared.estimated, compared.exact, names, colours, theme_name())
    alt = "Estimated against exact log-density of the samples; on the diagonal they agree"
    draw_echarts(option, f"{key}-agreement", height, alt)


def _curve_files(job: Job, quantity: Quantity, against: Against, component: str | None) -> None:
    """What a chart of curves can be saved as: of all the run's steps, not only those that the page shows."""
    trace, recipe, titles, theme = job.run.trace, job.run.recipe, job.run.titles, theme_name()

    def sheet() -> Sheet:
        from superdiff_engine.figures.charts import curve_sheet  # not before it is asked for: it takes a second

        return curve_sheet(trace.curves(), recipe, titles, quantity, theme, against=against, component=component)

    name = quantity if component is None else f"{quantity}-{component}"
    title = title_of(quantity, component)
    draw_chart_files(job, name, title, sheet, lambda: curves_csv(trace.curves(), quantity, component=component))


def draw_curves(job: Job) -> None:
    """All curves of an ended run, and the check of its log-densities."""
    names, colours = names_of(job), expert_colours(len(job.run.titles))
    against: Against = st.segmented_control(
        "Against",
        ["level", "step"],
        default="level",
        required=True,
        format_func={"level": "against the level", "step": "against the step"}.__getitem__,
        key=told("against"),
        persist_state=KEEP,
        label_visibility="collapsed",
    )
    curves = job.run.trace.curves(most=FIGURE_POINTS)
    component = draw_component_choice(curves, "component") if curves.components else None
    frame = job.run.trace.latest
    compared = None if frame is None else view_of(job.recipe.domain).compared(frame)
    quantities: list[Quantity] = ["value", "difference", "weights"]
    with st.grid(columns=2, min_column_width=320, gap="small"):
        for quantity in quantities:
            figure = figures.curve_figure(
                curves, quantity, names, colours, against, component=component, theme=theme_name()
            )
            alt = f"{TITLES[quantity]} against the {against}; bold: mean over all samples, thin: single samples"
            with st.container(gap="xxsmall"):
                part = "" if component is None else f" ({component})"
                st.markdown(f"**{TITLES[quantity]}{part}**", help=MEANINGS[quantity].markdown)
                draw_plotly(figure, key=f"{quantity}-{job.id}", config=figures.config(), alt=alt)
                _curve_files(job, quantity, against, component)
        draw_effective(job, curves, against)
        if compared is not None:
            figure = figures.agreement_figure(compared.estimated, compared.exact, names, colours, theme_name())
            alt = "Estimated against exact log-density of the finished samples; on the diagonal they agree"
            with st.container(gap="xxsmall"):
                st.markdown("**Estimated against exact log-density**", help=AGREEMENT.markdown)
                draw_plotly(figure, key=f"agreement-{job.id}", config=figures.config(), alt=alt)
                draw_agreement_files(
                    job,
                    "agreement",
                    "Estimated against exact log-density",
                    (compared.estimated, compared.exact),
                    names,
                    colours,
                    ("estimated log q, nats", "exact log q, nats"),
                )
    if marks_note(curves, job.run.recipe):
        st.caption(marks_note(curves, job.run.recipe))
    if job.run.result is not None:
        with guarded("the lineage"):
            draw_lineage(job, job.run.result)
        with guarded("the check of the log-densities"):
            draw_check(job, job.run.result, names)
