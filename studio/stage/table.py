"""The numbers of a run: the domain's figures, and the log-densities and weights of every sample."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from superdiff_engine.domain import Result
from superdiff_engine.domains import get_domain

from ..charts.live import at_level
from ..job import Job
from .measured import figures_of
from .progress import names_of

_SHARE = "counts for, % of its group"


def draw_table(job: Job, result: Result) -> None:
    """All numbers of an ended run."""
    draw_figures_of(job, result)
    count = result.log_density.shape[1]
    columns: dict[str, np.ndarray] = {"sample": np.arange(count)}
    if result.shares is not None:
        columns["group"] = np.arange(count) // result.recipe.group
        columns[_SHARE] = 100 * result.shares
    names = names_of(job)
    for name, values in zip(names, result.log_density, strict=True):
        columns[at_level(result.level, name)] = values
    for name, values in zip(names, result.weights, strict=True):
        columns[f"κ of {name}"] = values
    number = st.column_config.NumberColumn(format="%.3f")
    plain = ("sample", "group")
    st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        column_config=dict.fromkeys([name for name in columns if name not in plain], number),
        height=420,
        alt="Log-densities at the last level and weights of all samples",
    )


def draw_figures_of(job: Job, result: Result) -> None:
    """What the domain can say about the finished samples, as a short table; computed once a run."""
    said = get_domain(job.recipe.domain).describe(result, figures_of(job))
    if said:
        rows = [(label, f"{value:.3g}" if isinstance(value, float) else str(value)) for label, value in said.items()]
        st.dataframe(
            pd.DataFrame(rows, columns=["measured", "value"]), hide_index=True, alt="Figures about the samples"
        )
