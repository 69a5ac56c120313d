"""Samples of several runs that are looked at together: one is picked in all of them, by number or by a click."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from superdiff_engine.result import Result

from ..charts import finished as figures
from ..job import Job
from .sample import draw_clickable, share_labels

#: Where the number of the picked sample is kept.
PICKED = "picked-together"
#: What a gallery beside others is about wide, in pixels.
_WIDTH, _NARROW = 460, 320


def pick_together(most: int) -> int:
    """A field for the number of the sample to look at in all runs, the largest of which has `most` samples."""
    state = st.session_state
    state[PICKED] = min(int(state.get(PICKED, 0)), most - 1)
    st.number_input(
        "Sample",
        min_value=0,
        max_value=most - 1,
        step=1,
        key=PICKED,
        width=150,
        help="Which sample to look at in all runs; galleries show the page that it is on. Runs of the same seed begin "
        "it from the same noise",
    )
    return int(state[PICKED])


def draw_clickable_together(job: Job, figure: go.Figure, alt: str, tool_bar: bool = True) -> None:
    """A figure of a run's samples, in which a click on one picks it in all runs; its points carry their numbers."""
    draw_clickable(job, figure, alt, tool_bar, PICKED)


def draw_gallery_together(
    job: Job, result: Result, pictures: np.ndarray, numbers: np.ndarray, picked: int, what: str, narrow: bool
) -> None:
    """A page of pictures of a run beside others, the picked one framed; see `gallery.draw_gallery`."""
    labels = share_labels(result, numbers)
    width = _NARROW if narrow else _WIDTH
    figure = figures.gallery_figure(pictures, numbers, picked, labels=labels, width=width)
    alt = f"{len(numbers)} {what} from number {numbers[0]} on, number {picked} framed"
    draw_clickable_together(job, figure, alt, tool_bar=False)


def one_sample_text(result: Result, picked: int, dots: Sequence[str]) -> str:
    """Log-density and weight of every expert for the picked sample, in one line of Markdown."""
    each = [
        f"{dot} {log_density:.2f} nats, κ {weight:.2f}".replace("-", "−")
        for dot, log_density, weight in zip(dots, result.log_density[:, picked], result.weights[:, picked], strict=True)
    ]
    return f"Sample {picked}, log q at s = {result.level:.3g}: {'   '.join(each)}"
