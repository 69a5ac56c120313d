"""Presentation mode: the samples of a run and two of its curves, as large as the window allows, and nothing else."""

from __future__ import annotations

import streamlit as st

from ..charts import live as charts
from ..charts.live import TITLES, Quantity
from ..charts.palette import dot, expert_colours, theme_name
from ..charts.scale import Screen, draw_echarts
from ..guard import plain
from ..job import Job
from ..views import view_of
from ..words import run_title
from .lineage import draw_effective_live
from .progress import names_of

#: Pixels at scale 1 above the samples and curves, while they form and once they are there; of a heading over a chart,
#: between charts, and around all.
_ABOVE_LIVE, _ABOVE, _HEADING, _GAP, _AROUND = 95, 52, 25, 12, 40

#: Room above a chart without a legend, in pixels at scale 1.
_NO_LEGEND = 8


def draw_short_heading(job: Job) -> None:
    """What was run, and its experts in their colours, in a line."""
    experts = "\u2003".join(f"{dot(place)} {plain(title)}" for place, title in enumerate(job.run.titles))
    st.markdown(f"**{plain(run_title(job.recipe))}**\u2003{experts}", width="content")


def draw_moment(job: Job, screen: Screen) -> None:
    """The samples of a run as they are now, live or finished, beside two of its curves.

    Args:
        job: whose samples they are.
        screen: what there is room on; all of it is in sight at once.
    """
    run, view = job.run, view_of(job.recipe.domain)
    frame, names = run.trace.latest, names_of(job)
    if frame is None:
        return
    finished = run.result is not None and job.finished
    room = screen.height - (_ABOVE if finished else _ABOVE_LIVE) * screen.scale
    side = round(min(room - (_HEADING + view.below_preview) * screen.scale, 0.6 * screen.width))
    wide = round(side + view.below_preview * screen.scale)  # switches need the fewer lines, the wider they are
    left, right = st.columns([wide, screen.width - wide - _AROUND], gap="small")
    with left, st.container(key="presented"):
        st.markdown(f"**Samples at level s = {frame.level:.3g}**")
        if finished and run.result is not None:
            view.draw_presented(job, run.result, side)
        else:
            view.draw_preview(frame, names, "presented", side, job.recipe)
    curves = run.trace.curves(most=charts.LIVE_POINTS)
    height = round((room - _GAP) / 2 - _HEADING * screen.scale)
    with right:
        quantities: list[Quantity] = ["value"] if curves.effective.size else ["value", "weights"]
        for place, quantity in enumerate(quantities):
            st.markdown(f"**{TITLES[quantity]}**")
            colours, steps = expert_colours(len(run.titles)), run.recipe.levels.steps
            option = charts.curve_option(curves, quantity, names, colours, steps, True, None, theme_name())
            if place:  # the colours are those of the first
                option = {name: part for name, part in option.items() if name != "legend"}
                option["grid"] = option["grid"] | {"top": _NO_LEGEND}
            alt = f"{TITLES[quantity]} against the step, one curve an expert"
            draw_echarts(option, f"presented-{quantity}", height, alt)
        draw_effective_live(curves, run.recipe, "presented", height)
