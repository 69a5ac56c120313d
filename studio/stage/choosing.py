"""Which samples of a gallery are shown, in which order, and which one is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import streamlit as st

from superdiff_engine.result import Result

from ..charts.live import at_level
from ..job import Job
from ..part import told
from .progress import names_of
from .sample import KEEP, ONE_A_GROUP
from .scatter import selected_of


def choose_rows(
    job: Job,
    result: Result[Any],
    filters: Mapping[str, tuple[str, Callable[[], np.ndarray]]],
    orders: Mapping[str, np.ndarray],
) -> np.ndarray:
    """The numbers of the samples that filters and selection leave, in the order that was chosen.

    Args:
        job: of the run.
        result: of it; where it is corrected, one of every group can be asked for.
        filters: key -> (its words, what tells which samples pass, bool [n]).
        orders: words -> values to sort by, [n]; log-densities and the like are added.
    """
    asked = dict(filters)
    count = result.log_density.shape[1]
    if result.importance is not None:
        asked["one"] = "one a group", lambda: np.isin(np.arange(count), result.one_a_group())
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        wanted = st.pills(
            "Show only",
            list(asked),
            format_func=lambda key: asked[key][0],
            help=None if result.importance is None else ONE_A_GROUP,
            selection_mode="multi",
            key=told(f"filter-{job.id}"),
            persist_state=KEEP,
        )
        known: dict[str, np.ndarray] = {"number": np.arange(count), **orders}
        for name, values in zip(names_of(job), result.log_density, strict=True):
            known[at_level(result.level, name)] = values
        if result.shares is not None:
            known["what they count for"] = result.shares
        by = st.selectbox("Sort by", list(known), key=told(f"sort-{job.id}"), persist_state=KEEP, width=220)
        down = st.toggle("highest first", key=told(f"down-{job.id}"), persist_state=KEEP, disabled=by == "number")
    keep = np.ones(count, bool)
    for key in wanted:
        keep &= asked[key][1]()
    chosen = selected_of(job)
    if chosen is not None:
        keep &= np.isin(np.arange(count), chosen)
    values = known[by].astype(float)
    # Samples without a value go last, whichever end comes first.
    values = np.where(np.isnan(values), np.inf, -values if down and by != "number" else values)
    order = np.argsort(values, kind="stable")
    return order[keep[order]]


def picked_row(job: Job, rows: np.ndarray, merit: np.ndarray) -> int:
    """The sample that was clicked, while it is among `rows`; else the first of highest merit, [n]."""
    key = f"pick-{job.id}"
    if len(rows) and st.session_state.get(key) not in rows:
        st.session_state[key] = int(rows[int(merit[rows].argmax())])
    return int(st.session_state.get(key, 0))
