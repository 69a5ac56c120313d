"""What was asked of one sample, what it has, and whether that satisfies it: a table below its drawing."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from superdiff_engine.domains.asked import Asked

from ..charts.palette import dot
from ..guard import plain

__all__ = ["draw_asked"]


def draw_asked(asked: Sequence[Asked], row: int) -> None:
    """A line for each thing that was asked of sample `row`; those of an expert have its colour."""
    if not asked:
        return
    lines = ["| what | asked | this one has | |", "| :--- | ---: | ---: | :--- |"]
    for one in asked:
        who = "" if one.expert is None else f"{dot(one.expert)} "
        cells = [f"{who}{plain(one.name)}", plain(one.bound(row)), plain(one.value(row))]
        verdict = ":green[✓ satisfied]" if one.holds[row] else ":red[✗ not satisfied]"
        lines.append("| " + " | ".join([*cells, verdict]) + " |")
    st.markdown("\n".join(lines))
