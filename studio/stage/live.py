"""The live view of a run: one fragment that looks at the trace a few times a second and never touches the run."""

from __future__ import annotations

import streamlit as st

from superdiff_engine.figures.meanings import MEANINGS

from ..charts import live as charts
from ..charts.palette import expert_colours, theme_name
from ..charts.scale import presented
from ..guard import guarded
from ..job import Job
from ..session import registry
from ..views import view_of
from .curves import draw_agreement, draw_component_choice
from .lineage import draw_effective_live, marks_note
from .looks import looked_at
from .presented import draw_moment
from .progress import draw_progress, names_of, progress_text
from .transport import draw_transport

_CHART_HEIGHT = 225
_PREVIEW = 370
_ALIKE = "Particles, each drawn alike whatever it counts for now; the finished samples are shown with their weights"


def draw_live(job: Job) -> None:
    """Progress, charts and preview of a job that has not ended; starts the page over when it ends."""
    with st.container(key="live"):
        # A machine under load may take longer than half a second for a look: without this the page would grey out what
        # is about to be redrawn, and flicker.
        st.html("<style>.st-key-live [data-stale='true'] { opacity: 1 !important; }</style>")
        _draw(job.id)


def draw_small_progress(job: Job) -> None:
    """Only the progress and the preview of a job, for a column beside others."""
    _draw(job.id, small=True)


@looked_at(lambda job_id: registry().find(job_id))
def _draw(job: Job, small: bool = False) -> None:
    with guarded("the live view"):
        draw_progress(job, progress_text(job))
        screen = presented()
        if not small:
            draw_transport(job)
        frame = job.run.trace.latest
        if screen is not None and not small:
            draw_moment(job, screen)
        elif small and frame is not None:
            view_of(job.recipe.domain).draw_preview(frame, names_of(job), f"small-{job.id}", 400, job.recipe)
        elif not small and len(job.run.trace):
            _charts(job)


def _charts(job: Job) -> None:
    run = job.run
    names, colours = names_of(job), expert_colours(len(run.titles))
    curves = run.trace.curves(most=charts.LIVE_POINTS)
    frame = run.trace.latest
    steps = run.recipe.levels.steps
    view = view_of(job.recipe.domain)
    compared = None if frame is None else view.compared(frame)
    thin = st.session_state.get("live-thin", True)

    component = draw_component_choice(curves, "component") if curves.components else None

    def curve(quantity: charts.Quantity, height: int, switch: bool = False) -> None:
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            part = f" ({component})" if component else ""
            st.markdown(f"**{charts.TITLES[quantity]}{part}**", width="content", help=MEANINGS[quantity].markdown)
            if switch and component is None:
                st.toggle("single samples", value=True, key="live-thin", help="Thin curves behind the bold means")
        option = charts.curve_option(curves, quantity, names, colours, steps, thin, component, theme_name())
        alt = f"{charts.TITLES[quantity]} against the step, one curve an expert"
        st.echarts_chart(option, key=f"live-{quantity}", height=height, alt=alt)

    above = st.columns([_PREVIEW, 520], gap="medium")
    with above[0]:
        st.markdown("**Samples now**", help=_ALIKE if curves.effective.size else None)
        if frame is not None:
            view.draw_preview(frame, names, "live", _PREVIEW - 10, job.recipe)
    with above[1]:
        curve("value", _PREVIEW - 10, switch=True)
    if curves.effective.size:
        # Four charts are too many for a row.
        below = [*st.columns(2, gap="medium"), *st.columns(2, gap="medium")]
        with below[2]:
            draw_effective_live(curves, run.recipe, "live", _CHART_HEIGHT)
    else:
        below = list(st.columns(2 if compared is None else 3, gap="medium"))
    with below[0]:
        curve("difference", _CHART_HEIGHT)
    with below[1]:
        curve("weights", _CHART_HEIGHT)
    if compared is not None:
        with below[-1]:
            draw_agreement(compared, names, "live", _CHART_HEIGHT)
    if curves.effective.size:
        st.caption(marks_note(curves, run.recipe))
