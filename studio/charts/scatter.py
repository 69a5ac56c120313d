"""One property of the samples against another, by whose wishes they satisfy; a lasso selects some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from .finished import as_typed, config, lay_out
from .palette import GUIDE

__all__ = ["SHAPES", "Axis", "Kind", "scatter_config", "scatter_figure"]

#: Of groups of points, in their order: they differ not by colour alone.
SHAPES = ("star", "diamond", "circle", "square", "cross", "triangle-up", "x")


@dataclass(frozen=True, eq=False)
class Axis:
    """A property: its title, its unit or "", and of each sample its value, [n], NaN where it has none."""

    title: str
    unit: str
    values: np.ndarray
    #: (where, colour) of lines that mark what was asked.
    bounds: tuple[tuple[float, str], ...] = ()

    @property
    def label(self) -> str:
        """The title with the unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


@dataclass(frozen=True, eq=False)
class Kind:
    """Samples of one group: its name, colour and shape, and the numbers of its samples."""

    name: str
    colour: str
    shape: str
    numbers: np.ndarray


def scatter_config() -> dict[str, Any]:
    """What the tool bar offers: lasso and box select."""
    kept = [one for one in config()["modeBarButtonsToRemove"] if one not in ("select2d", "lasso2d")]
    return config() | {"modeBarButtonsToRemove": kept}


def scatter_figure(
    x: Axis, y: Axis, kinds: Sequence[Kind], theme: str, selected: Sequence[int] | None = None, height: int = 380
) -> go.Figure:
    """Dots of all samples that have both values.

    Args:
        x: across.
        y: up.
        kinds: the samples by groups.
        theme: "light" or "dark".
        selected: numbers of those that are shown as selected; None where all are alike.
        height: in pixels.
    """
    figure, size = go.Figure(), 9 if len(x.values) <= 200 else 6
    for kind in kinds:
        known = kind.numbers[~np.isnan(x.values[kind.numbers]) & ~np.isnan(y.values[kind.numbers])]
        chosen = None if selected is None else np.nonzero(np.isin(known, np.asarray(selected, int)))[0].tolist()
        figure.add_scatter(
            x=x.values[known],
            y=y.values[known],
            mode="markers",
            name=f"{as_typed(kind.name)} ({len(known)})",
            customdata=known,
            marker={
                "size": size,
                "color": kind.colour,
                "symbol": kind.shape,
                "opacity": 0.8,
            },
            selectedpoints=chosen,
            unselected={"marker": {"opacity": 0.15}},
            hovertemplate=f"sample %{{customdata}}: {as_typed(x.title)} %{{x:.4g}}, {as_typed(y.title)} %{{y:.4g}}"
            f"<extra>{as_typed(kind.name)}</extra>",
        )
    dash = {"dash": "dash", "width": 1.4}
    for where, colour in x.bounds:
        figure.add_vline(where, line={"color": colour or GUIDE[theme]} | dash)
    for where, colour in y.bounds:
        figure.add_hline(where, line={"color": colour or GUIDE[theme]} | dash)
    lay_out(figure, height, as_typed(y.label))
    figure.update_xaxes(title_text=as_typed(x.label))
    figure.update_layout(dragmode="lasso", hovermode="closest")
    return figure
