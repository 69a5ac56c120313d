"""The lineage of a corrected run's final samples as a figure: `superdiff_engine.figures.descent`, in plotly."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from superdiff_engine.figures.descent import (
    MOST_NUMBERS,
    MOST_ROWS,
    SHADES,
    Lineage,
    copies_sentence,
    lineage_of,
    lineage_sentence,
)

from .palette import GUIDE

__all__ = ["MOST_ROWS", "Lineage", "copies_sentence", "lineage_figure", "lineage_of", "lineage_sentence"]


def lineage_figure(lineage: Lineage, steps: int, theme: str, group: int, shares: np.ndarray) -> go.Figure:
    """Lines of descent over the steps, that merge backwards; at their ends the final samples.

    Args:
        lineage: what to draw.
        steps: of the run.
        theme: "light" or "dark".
        group: particles of a group.
        shares: what each sample of the run counts for within its group: the area of its dot.
    """
    figure, shades = go.Figure(), SHADES[theme]
    count = len(lineage.samples)
    rows = np.arange(count, dtype=float)
    founder = lineage.families
    drawn: list[list[np.ndarray]] = [[] for _ in shades]
    for number, lines in enumerate(lineage.lines(steps)):
        drawn[number % len(shades)] += lines
    for shade, paths in zip(shades, drawn, strict=True):
        if paths:
            x, y = np.concatenate(paths).T
            line = {"color": shade, "width": 1.6 if count <= MOST_NUMBERS else 1.0}
            figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)
    share = shares[lineage.samples]
    figure.add_scatter(
        x=np.full(count, float(steps)),
        y=rows,
        mode="markers",
        marker={
            "size": (7 * np.sqrt(share * group)).clip(2, 18) * (1 if count <= MOST_NUMBERS else 0.6),
            "color": [shades[number % len(shades)] for number in founder],
            "line": {"width": 0},
        },
        customdata=np.stack([lineage.samples, 100 * share, lineage.samples // group, lineage.places[0]], 1),
        hovertemplate="sample %{customdata[0]:d}: %{customdata[1]:.1f} % of group %{customdata[2]:d}, "
        "began as particle %{customdata[3]:d}<extra></extra>",
        showlegend=False,
        cliponaxis=False,
    )
    for border in np.nonzero(np.diff(lineage.samples // group))[0]:
        figure.add_hline(y=border + 0.5, line={"color": GUIDE[theme], "width": 0.8, "dash": "dot"})
    figure.update_layout(
        height=int(np.clip(120 + 11 * count, 240, 520)),
        margin={"l": 8, "r": 16, "t": 34, "b": 8},
        hovermode="closest",
    )
    figure.update_xaxes(title_text="step", range=[0, steps], showgrid=False)
    numbered = count <= MOST_NUMBERS
    figure.update_yaxes(
        title_text="final sample" if numbered else "final samples",
        range=[count - 0.3, -0.7],
        showgrid=False,
        zeroline=False,
        showticklabels=numbered,
        tickvals=rows if numbered else [],
        ticktext=[str(sample) for sample in lineage.samples] if numbered else [],
    )
    return figure
