"""The lineage of a corrected run's final samples: from which particles they came, at every resampling on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from superdiff_engine.trace import Resampling

from .palette import GUIDE

#: Final samples that are drawn; of more, so many evenly in the order of the tree.
MOST_ROWS = 128
#: Rows up to which each has its number at the side.
MOST_NUMBERS = 40
#: Of neighbouring ancestors, in turn; none of the experts' colours.
SHADES = {
    "light": ["#7a4fbf", "#2a8f83", "#9c5a2e", "#4a6fa5", "#a23b72", "#6b7f1f"],
    "dark": ["#b79bf0", "#6fcfc2", "#d9a077", "#93b4e6", "#e48fbb", "#b9cc6a"],
}


@dataclass(frozen=True, eq=False)
class Lineage:
    """Where the ancestors of some final samples stood, k resamplings parting the run into k + 1 stretches.

    Attributes:
        samples: the final samples, in an order in which no two lines of descent cross, int [n].
        places: their ancestors' places in each stretch, the last of which are the samples themselves, int [k + 1, n].
        steps: of the resamplings, int [k].
        total: samples of the run.
        founders: distinct ancestors of all samples where the run began.
        parents: the same just before the last resampling.
    """

    samples: np.ndarray
    places: np.ndarray
    steps: np.ndarray
    total: int
    founders: int
    parents: int


def lineage_of(resamplings: Sequence[Resampling], batch: int, most: int = MOST_ROWS) -> Lineage:
    """The lineage of a run's samples, of `most` of them at most.

    Args:
        resamplings: of the run, oldest first.
        batch: samples of the run.
        most: samples that are kept, evenly in their order.
    """
    places = np.empty((len(resamplings) + 1, batch), np.int64)
    places[-1] = np.arange(batch)
    for stretch in range(len(resamplings), 0, -1):
        places[stretch - 1] = resamplings[stretch - 1].parents[places[stretch]]
    order = np.lexsort(places[::-1])  # by the first ancestor, then by the next
    kept = order[np.unique(np.linspace(0, batch - 1, min(batch, most)).round().astype(int))]
    steps = np.array([one.index for one in resamplings], np.int64)
    founders, parents = (len(np.unique(places[stretch])) for stretch in (0, max(len(places) - 2, 0)))
    return Lineage(kept, places[:, kept], steps, batch, founders, parents)


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
    bounds = np.concatenate([[0], lineage.steps, [steps]]).astype(float)
    founder = np.unique(lineage.places[0], return_inverse=True)[1]
    drawn: list[list[np.ndarray]] = [[] for _ in shades]
    heights = []
    for stretch, places in enumerate(lineage.places):
        # A line stands in the middle of the samples that come of it.
        _, first, which, sizes = np.unique(places, return_index=True, return_inverse=True, return_counts=True)
        height = (np.bincount(which, rows) / sizes)[which]
        heights.append(height)
        for row in first:
            path = [(bounds[stretch], height[row]), (bounds[stretch + 1], height[row]), (np.nan, np.nan)]
            if stretch:
                path.insert(0, (bounds[stretch], heights[stretch - 1][row]))
            drawn[founder[row] % len(shades)].append(np.array(path))
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


def lineage_sentence(lineage: Lineage, group: int) -> str:
    """How many distinct ancestors the samples have where the run began."""
    groups = lineage.total // group
    whose = "" if groups == 1 else f", in {groups} groups"
    plural = "" if lineage.founders == 1 else "s"
    return f"{lineage.founders} distinct ancestor{plural} of {lineage.total} samples{whose}"


def copies_sentence(lineage: Lineage) -> str:
    """How many particles the samples are copies of, since the last resampling; empty without one."""
    if not len(lineage.steps):
        return ""
    return (
        f"Before the last resampling, at step {lineage.steps[-1]}, they were {lineage.parents} distinct "
        f"particle{'' if lineage.parents == 1 else 's'}."
    )
