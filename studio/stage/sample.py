"""One sample of a run: how it is picked, its own curves, and what every expert says about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from superdiff_engine.figures.meanings import MEANINGS, WEIGHT_OF_SAMPLE
from superdiff_engine.figures.numbers import curves_csv
from superdiff_engine.figures.quantities import title_of
from superdiff_engine.result import Result
from superdiff_engine.trace import Frame

from .. import looked
from ..charts import finished as figures
from ..charts.live import TITLES, Quantity, at_level
from ..charts.palette import expert_colours, theme_name
from ..charts.scale import draw_plotly
from ..guard import callback
from ..job import Job
from ..part import told
from .chart_files import draw_chart_files
from .progress import names_of

if TYPE_CHECKING:
    from superdiff_engine.figures.charts import Sheet

#: Points of a curve in a finished figure.
FIGURE_POINTS = 300
#: What is chosen of a run (a sample, a curve, an order) stays while another view is looked at.
KEEP: Literal["session"] = "session"
#: What the choice of one sample a group means.
ONE_A_GROUP = "Of every group of particles one sample, drawn by what they count for: independent samples of the target"


def pick(job: Job, count: int) -> int:
    """A field for the number of the sample to look at; `count` is how many there are."""
    key = looked.pick_key(job.id)
    st.number_input(
        "Sample",
        min_value=0,
        max_value=count - 1,
        step=1,
        key=told(key, 0),
        help="Which sample to look at",
        persist_state=KEEP,
        on_change=callback(looked.take_pick),
        args=(job.id,),
    )
    return int(st.session_state[key])


def draw_clickable(job: Job, figure: go.Figure, alt: str, tool_bar: bool = True, picked: str = "") -> None:
    """A figure of all samples of a job, in which a click on one picks it; its points carry the samples' numbers.

    Args:
        job: whose samples they are.
        figure: see above.
        alt: what it shows, for those who do not see it.
        tool_bar: whether it has plotly's.
        picked: where the session keeps the number of the picked sample, where that is not the job's own.
    """
    key = f"{picked or 'samples'}-{job.id}"
    draw_plotly(
        figure,
        key=key,
        on_select=callback(partial(_take_click, key, picked, job.id)),
        selection_mode="points",
        config=figures.config() | ({} if tool_bar else {"displayModeBar": False}),
        alt=alt,
    )


def _take_click(key: str, picked: str, job_id: str) -> None:
    for point in st.session_state[key].selection.points:
        # A click that merely clears the selection brings no point, and the contour lines carry no number.
        if "customdata" in point:
            chosen = point["customdata"]
            sample = int(chosen[0] if isinstance(chosen, list) else chosen)
            if picked:
                st.session_state[picked] = sample
            else:
                looked.choose(job_id, sample)


def ancestry(job: Job, picked: int, shown: Callable[[Any], int]) -> list[tuple[Frame[Any], int]]:
    """The kept moments of a sample, each with the row in which its ancestor stands there.

    Args:
        job: whose sample it is.
        picked: its number.
        shown: how many samples a preview shows.
    """
    trace = job.run.trace
    found = [(frame, trace.ancestor(frame.index, picked)) for frame in trace.frames]
    return [(frame, row) for frame, row in found if row is not None and row < shown(frame.preview)]


def last_moment(result: Result) -> str:
    """What the samples of a result are, for the end of a slider."""
    return "finished" if result.complete else f"stopped at step {result.index}, s = {result.level:.2g}"


def share_labels(result: Result, rows: np.ndarray) -> list[str]:
    """What some samples count for within their groups, for labels; none where all count the same."""
    shares = result.shares
    return [] if shares is None else [percent(shares[row]) for row in rows]


def percent(share: float) -> str:
    """A share for people: "12 %", "0.78 %", and "<0.01 %" for less that is not nothing."""
    if 0 < share < 0.0001:
        return "<0.01 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 or not share else f"{100 * share:.2g} %"


def labels_note(result: Result) -> str:
    """What `share_labels` mean, as a sentence and a space; empty where there are none."""
    if result.importance is None:
        return ""
    return f"The label is what a sample counts for within its group of {result.recipe.group}. "


def choose_one_a_group(job: Job, result: Result) -> np.ndarray:
    """The samples to show: all, or of each group one that is drawn by what they count for, where that is chosen."""
    everything = np.arange(result.log_density.shape[1])
    if result.importance is None:
        return everything
    chosen = st.toggle("One a group", key=told("one-a-group"), persist_state=KEEP, help=ONE_A_GROUP)
    return result.one_a_group() if chosen else everything


@dataclass(frozen=True)
class Weighing:
    """How a scatter shows what samples count for: `sized` by the area of their dots, or of every group only `one`."""

    title: str
    meaning: str
    sized: bool = False
    one: bool = False

    def counts(self, result: Result, shown: int) -> np.ndarray | None:
        """What each of the first `shown` samples counts for, 1 on average; None where all are drawn alike."""
        return result.shares[:shown] * result.recipe.group if self.sized and result.shares is not None else None

    def rows(self, result: Result) -> np.ndarray | None:
        """The samples that are drawn; None: all."""
        return result.one_a_group() if self.one else None

    def note(self, result: Result) -> str:
        """What it means, as a sentence and a space; empty where all samples count the same."""
        if result.importance is None:
            return ""
        return f"{self.meaning} "


AS_DRAWN = Weighing("as drawn", "Dots are the particles as drawn, without their weights: not yet the target.")
BY_WEIGHT = Weighing("by weight", "The area of a dot is what its sample counts for within its group.", sized=True)
_WEIGHINGS = {one.title: one for one in (BY_WEIGHT, AS_DRAWN, Weighing("one a group", f"{ONE_A_GROUP}.", one=True))}


def choose_weighing(job: Job, result: Result) -> Weighing:
    """The choice of how a scatter shows what samples count for; without a correction there is none."""
    if result.importance is None:
        return AS_DRAWN
    chosen: str = st.segmented_control(
        "Samples",
        list(_WEIGHINGS),
        default=BY_WEIGHT.title,
        required=True,
        key=told("weighing"),
        persist_state=KEEP,
        label_visibility="collapsed",
    )
    return _WEIGHINGS[chosen]


def importance_text(job: Job, result: Result, picked: int) -> str:
    """What one sample counts for and where it came from, as sentences; empty where all count the same."""
    shares, size = result.shares, result.recipe.group
    if shares is None:
        return ""
    came = job.run.trace.ancestor(-1, picked)  # before any resampling at the first level
    began = "" if came is None else f" It began as particle {came}."
    group = f"group {picked // size}; " if len(shares) > size else ""
    return (
        f"Sample {picked} counts for {percent(shares[picked])} of its group of {size} ({group}an even share is "
        f"{percent(1 / size)}).{began}"
    )


def draw_one_sample(job: Job, result: Result, picked: int) -> None:
    """Log-density and weight of every expert for one sample, and its curve."""
    if result.importance is not None:
        st.caption(importance_text(job, result, picked), help=WEIGHT_OF_SAMPLE.markdown)
    quantities: dict[str, Quantity] = {at_level(result.level): "value", "difference": "difference", "κ": "weights"}
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
            name: st.column_config.NumberColumn(format="%.3f", help=MEANINGS[quantity].sentence)
            for name, quantity in quantities.items()
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
        key=told("curve"),
        persist_state=KEEP,
        label_visibility="collapsed",
    )
    st.caption(f"Sample {picked} alone", help=MEANINGS[quantity].markdown)
    figure = figures.curve_figure(
        curves, quantity, names, colours, "level", sample=picked, height=270, theme=theme_name()
    )
    figure.update_layout(showlegend=False)
    draw_plotly(
        figure,
        key=f"one-{job.id}",
        config=figures.config(),
        alt=f"{TITLES[quantity]} of sample {picked} against the level",
    )
    _curve_files(job, quantity, picked)


def _curve_files(job: Job, quantity: Quantity, picked: int) -> None:
    trace, recipe, titles, theme = job.run.trace, job.run.recipe, job.run.titles, theme_name()

    def sheet() -> Sheet:
        from superdiff_engine.figures.charts import curve_sheet  # not before it is asked for: it takes a second

        return curve_sheet(trace.curves(), recipe, titles, quantity, theme, sample=picked)

    name, title = f"{quantity}-{picked:05d}", title_of(quantity, sample=picked)
    draw_chart_files(job, name, title, sheet, lambda: curves_csv(trace.curves(), quantity, sample=picked))
