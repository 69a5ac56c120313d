"""The numbers of a run: the domain's figures, and the log-densities and weights of every sample."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from superdiff_engine.domains import get_domain
from superdiff_engine.figures.meanings import MEANINGS, WEIGHT_OF_SAMPLE
from superdiff_engine.result import Result

from ..charts.live import at_level
from ..charts.scale import presented
from ..guard import plain
from ..job import Job
from .measured import figures_of
from .progress import names_of

_SHARE = "counts for, % of its group"
#: Rows that are shown while the tab presents.
_FOR_A_ROOM = 20


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
    if presented() is not None:  # a grid's letters have one size
        shown = {plain(name): values[:_FOR_A_ROOM] for name, values in columns.items()}
        alt = "Log-densities at the last level and weights of the first samples"
        st.table(pd.DataFrame(shown).style.format(precision=3), hide_index=True, alt=alt)
        return
    density = st.column_config.NumberColumn(format="%.3f", help=MEANINGS["value"].sentence)
    weight = st.column_config.NumberColumn(format="%.3f", help=MEANINGS["weights"].sentence)
    share = st.column_config.NumberColumn(format="%.3f", help=WEIGHT_OF_SAMPLE.sentence)
    config = {at_level(result.level, name): density for name in names} | {f"κ of {name}": weight for name in names}
    st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        column_config=config | {_SHARE: share},
        height=420,
        alt="Log-densities at the last level and weights of all samples",
    )


def draw_figures_of(job: Job, result: Result) -> None:
    """What the domain can say about the finished samples, as a short table; computed once a run."""
    known = figures_of(job)
    said = get_domain(job.recipe.domain).describe(result, known)
    if said:
        meanings = {one.label or one.title: one.meaning for one in known}
        rows = [
            (label, f"{value:.3g}" if isinstance(value, float) else str(value), meanings.get(label, ""))
            for label, value in said.items()
        ]
        table = pd.DataFrame(rows, columns=["measured", "value", "what it is"])
        if presented() is not None:
            st.table(table.map(plain), hide_index=True, alt="Figures about the samples, with what each is")
            return
        st.dataframe(
            table,
            hide_index=True,
            column_config={"what it is": st.column_config.TextColumn(width=720)},
            alt="Figures about the samples, with what each is",
        )
