"""One sample of a run: how it is picked, its own curves, and what every expert says about it."""

from __future__ import annotations

from functools import partial
from typing import Literal

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from superdiff_engine.domain import Result

from ..charts import finished as figures
from ..charts.live import TITLES, Quantity, at_level
from ..charts.palette import expert_colours
from ..guard import callback
from ..jobs import Job
from .progress import names_of

#: Points of a curve in a finished figure.
FIGURE_POINTS = 300
#: What is chosen of a run (a sample, a curve, an order) stays while another view is looked at.
KEEP: Literal["session"] = "session"


def pick(job: Job, count: int) -> int:
    """A field for the number of the sample to look at; `count` is how many there are."""
    key = f"pick-{job.id}"
    st.session_state.setdefault(key, 0)
    st.number_input(
        "Sample", min_value=0, max_value=count - 1, step=1, key=key, help="Which sample to look at", persist_state=KEEP
    )
    return int(st.session_state[key])


def draw_clickable(job: Job, figure: go.Figure, alt: str, tool_bar: bool = True) -> None:
    """A figure of all samples of a job, in which a click on one picks it; its points carry the samples' numbers."""
    st.plotly_chart(
        figure,
        key=f"samples-{job.id}",
        on_select=callback(partial(_take_click, job.id)),
        selection_mode="points",
        config=figures.config() | ({} if tool_bar else {"displayModeBar": False}),
        alt=alt,
    )


def _take_click(job_id: str) -> None:
    points = st.session_state[f"samples-{job_id}"].selection.points
    for point in points:
        # A click that merely clears the selection brings no point, and the contour lines carry no number.
        if "customdata" in point:
            chosen = point["customdata"]
            st.session_state[f"pick-{job_id}"] = int(chosen[0] if isinstance(chosen, list) else chosen)


def last_moment(result: Result) -> str:
    """What the samples of a result are, for the end of a slider."""
    return "finished" if result.complete else f"stopped at step {result.index}, s = {result.level:.2g}"


def draw_one_sample(job: Job, result: Result, picked: int) -> None:
    """Log-density and weight of every expert for one sample, and its curve."""
    st.dataframe(
        pd.DataFrame(
            {
                "expert": names_of(job),
                at_level(result.level): result.log_density[:, picked],
                "difference": result.log_density[:, picked] - result.log_density[:, picked].mean(),
                "κ": result.weights[:, picked],
            }
        ),
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.3f") for name in (at_level(result.level), "difference", "κ")
        },
        alt=f"Log-density at the last level and weight of every expert for sample {picked}",
    )
    curves = job.run.trace.curves(most=FIGURE_POINTS)
    if picked >= curves.log_density.shape[2]:
        traced = job.run.trace.traced
        st.caption(f"Curves are kept of the first {traced} samples, 0 to {traced - 1}.")
        return
    names, colours = names_of(job), expert_colours(len(job.run.titles))
    quantity: Quantity = st.segmented_control(
        "Its curve",
        ["value", "difference", "weights"],
        format_func={"value": "log-density", "difference": "difference", "weights": "weights κ"}.__getitem__,
        default="value",
        required=True,
        key=f"curve-{job.id}",
        persist_state=KEEP,
        label_visibility="collapsed",
    )
    figure = figures.curve_figure(curves, quantity, names, colours, "level", sample=picked, height=270)
    figure.update_layout(showlegend=False)
    st.plotly_chart(
        figure,
        key=f"one-{job.id}",
        config=figures.config(),
        alt=f"{TITLES[quantity]} of sample {picked} against the level",
    )
