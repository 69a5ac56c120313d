"""Samples laid onto the one that is looked at: which ones, their colours, and how far they are from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from ..charts.palette import run_colours
from ..job import Job
from ..part import told
from .sample import KEEP

__all__ = ["MOST_LAID", "choose_laid", "draw_laid_table", "legend_of"]

#: Samples that are laid onto another one at once: each has a colour of its own.
MOST_LAID = 5


def choose_laid(job: Job, offered: np.ndarray, picked: int, one: str) -> list[int]:
    """The numbers of the samples that are to be laid onto `picked`, of those that are offered.

    Args:
        job: whose samples they are.
        offered: numbers of the samples that can be.
        picked: the number of the one that stays.
        one: what a sample is called.
    """
    others = [int(row) for row in offered if row != picked]
    key = f"superpose-{job.id}"
    state = st.session_state
    before = state.get(key, [])
    there = [row for row in before if row in others]
    if there != before:  # what is put in goes to the browser, and over what was chosen there meanwhile
        state[key] = there
    chosen: list[int] = st.multiselect(
        f"Which {one}s to lay onto {one} {picked}",
        others,
        key=told(key),
        max_selections=MOST_LAID,
        persist_state=KEEP,
        placeholder=f"Numbers of {one}s, at most {MOST_LAID}",
    )
    return list(chosen)


def legend_of(numbers: Sequence[int]) -> tuple[list[str], str]:
    """A colour for each sample, the first of which stays, and a line of Markdown that says them."""
    colours = run_colours(1 + MOST_LAID)[: len(numbers)]
    words = [
        f':color[●]{{foreground="{colour}"}} {number}{"" if place else " (stays)"}'
        for place, (number, colour) in enumerate(zip(numbers, colours, strict=True))
    ]
    return colours, "\u2003".join(words)


def draw_laid_table(columns: dict[str, Sequence[object]], alt: str) -> None:
    """A row for each sample that was laid onto the other."""
    st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.2f") for name in columns if "Å" in name or "TM" in name
        },
        alt=alt,
    )
