"""A run's own samples judged once more, at the level where they stand, along fresh noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from superdiff_engine.domain import Result
from superdiff_engine.runs.estimation import Estimation

from ..charts.live import at_level
from ..guard import callback, show_sentence
from ..jobs import Job
from ..session import registry, this_tab
from .given import difference
from .progress import draw_estimation_progress


def draw_anew(job: Job, result: Result, names: list[str]) -> None:
    """The button, the progress, and the estimates beside those of the run."""
    started = st.session_state.get(f"anew-{job.id}")
    estimation = registry().find_estimation(started) if started else None
    st.button(
        "Estimate anew",
        icon=":material/query_stats:",
        key=f"estimate-anew-{job.id}",
        on_click=callback(_start),
        args=(job.id,),
        disabled=estimation is not None and not estimation.finished,
        help="How likely each expert finds these samples at the level where they stand, from four paths of fresh "
        "noise, with an error. It takes about four runs of 100 steps. The run's own numbers stand at the same level, "
        "along the path by which it made the samples.",
    )
    if estimation is None:
        return
    if not estimation.finished:
        draw_estimation_progress(estimation.id)
    elif estimation.run.state == "failed":
        show_sentence(estimation.run.message)
    elif estimation.run.result is not None:
        likelihoods = estimation.run.result
        columns: dict[str, np.ndarray] = {"sample": np.arange(likelihoods.mean.shape[1])}
        for place, name in enumerate(names):
            columns[f"{at_level(result.level, name)}, anew"] = likelihoods.mean[place].numpy()
            columns[f"± of {name}"] = likelihoods.error[place].numpy()
        if len(names) > 1:
            columns["log q₁ − log q₂ of the run"] = result.log_density[0] - result.log_density[1]
            columns["log q₁ − log q₂ anew"], columns["± of the difference"] = difference(likelihoods)
        st.dataframe(
            pd.DataFrame(columns),
            hide_index=True,
            column_config=dict.fromkeys(list(columns)[1:], st.column_config.NumberColumn(format="%.2f")),
            alt="Log-densities of all samples estimated anew, at the level where they stand",
        )
        st.caption("± is the standard error over four paths; twice as much holds the value in six of seven cases.")


def _start(job_id: str) -> None:
    result = registry().recall(job_id).run.result
    if result is None:  # its record was taken away since
        return
    estimation = Estimation(result.recipe, result)  # the run's own recipe, whatever the form says by now
    st.session_state[f"anew-{job_id}"] = registry().submit_estimation(estimation, this_tab()).id
