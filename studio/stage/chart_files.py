"""Charts to keep: below each of them a quiet row of SVG, PNG and CSV, made when they are pressed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from superdiff_engine.figures.numbers import pairs_csv

from ..charts.palette import theme_name
from ..job import Job

if TYPE_CHECKING:
    from superdiff_engine.figures.charts import Sheet
    from superdiff_engine.runs.cells import Grid


def draw_chart_files(
    job: Job | Grid, name: str, title: str, sheet: Callable[[], Sheet], csv: Callable[[], bytes] | None = None
) -> None:
    """The row of one chart.

    Args:
        job: or grid that the chart is of.
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


def draw_agreement_files(
    job: Job,
    name: str,
    title: str,
    pair: tuple[np.ndarray, np.ndarray],
    names: Sequence[str],
    colours: Sequence[str],
    axes: tuple[str, str],
    symbols: Sequence[str] | None = None,
    note: str = "",
) -> None:
    """The row of a chart of one log-density against another, as `figures.agreement_figure` draws it.

    Args:
        job: that the chart is of.
        name: see `draw_chart_files`.
        title: of the chart.
        pair: what stands across and what up, [curves, n] each, nats.
        names: of the curves.
        colours: of the curves.
        axes: what the two are.
        symbols: of the curves; None for circles.
        note: a line below the title.
    """
    recipe, theme = job.run.recipe, theme_name()
    shapes = ["circle"] * len(names) if symbols is None else symbols

    def sheet() -> Sheet:
        from superdiff_engine.figures.charts import Group, agreement_sheet

        found = zip(names, colours, *pair, shapes, strict=True)
        return agreement_sheet(title, recipe, [Group(*one) for one in found], axes, theme, note)

    draw_chart_files(
        job, name, title, sheet, lambda: pairs_csv(("across_nats", "up_nats"), list(zip(*pair, strict=True)))
    )
