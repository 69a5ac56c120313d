"""Charts to keep: below each of them a quiet row of SVG, PNG and CSV, made when they are pressed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from ..jobs import Job

if TYPE_CHECKING:
    from superdiff_engine.figures.charts import Sheet


def draw_chart_files(
    job: Job, name: str, title: str, sheet: Callable[[], Sheet], csv: Callable[[], bytes] | None = None
) -> None:
    """The row of one chart.

    Args:
        job: that the chart is of.
        name: of the chart, for the files' names: made of ids and nothing that anybody typed.
        title: of the chart, for the buttons' help.
        sheet: makes the chart on paper; it may import what takes long.
        csv: makes its numbers, where there are some.
    """
    files: list[tuple[str, str, Callable[[], bytes], str]] = [
        ("SVG", "image/svg+xml", lambda: sheet().svg(), "lines and text, to be edited"),
        ("PNG", "image/png", lambda: sheet().png(), "pixels, with the recipe inside"),
    ]
    if csv is not None:
        files.append(("CSV", "text/csv", csv, "the numbers; samples and experts count from 0"))
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key=f"chart-files-{name}-{job.id}"):
        st.caption("Save", width="content")
        for kind, mime, make, meaning in files:
            st.download_button(
                kind,
                data=make,
                file_name=f"{job.id}-{name}.{kind.lower()}",
                mime=mime,
                key=f"chart-{kind}-{name}-{job.id}",
                on_click="ignore",
                type="tertiary",
                help=f"{title}: {meaning}",
            )
