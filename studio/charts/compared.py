"""Curves of several runs on shared axes: one colour a run and one dash an expert, or a figure a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from superdiff_engine.trace import Curves

from .finished import as_typed, label_of, lay_out, over
from .live import EFFECTIVE_UNIT, UNITS, Quantity, select
from .palette import NEUTRAL

#: Of the experts, in their order; after the last the first again.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True, eq=False)
class RunCurves:
    """The curves of a run, and how they are told from those of others.

    Attributes:
        title: of the run.
        curves: of its trace.
        names: of its experts.
        colours: of its experts, the same for the same expert in all runs.
        colour: of the run.
        particles: of a group; 1 without a correction.
    """

    title: str
    curves: Curves
    names: Sequence[str]
    colours: Sequence[str]
    colour: str
    particles: int = 1

    @property
    def corrected(self) -> bool:
        """Whether it has an effective sample size."""
        return self.particles > 1 and bool(self.curves.effective.size)


def together(runs: Sequence[RunCurves], quantity: Quantity, theme: str, height: int = 340) -> go.Figure:
    """The means of runs of the same experts in one figure, against the level: a colour a run, a dash an expert."""
    figure = go.Figure()
    for run in runs:
        means, _ = select(run.curves, quantity)
        for expert, name in enumerate(run.names):
            figure.add_scatter(
                x=run.curves.level,
                y=means[:, expert],
                mode="lines",
                line={"color": run.colour, "width": 2.2, "dash": DASHES[expert % len(DASHES)]},
                hovertemplate=f"%{{y:.4g}}<extra>{as_typed(f'{run.title}: {name}')}</extra>",
                showlegend=False,
            )
    lay_out(figure, height, UNITS[quantity])
    over(figure, _levels(runs), "level")
    _keys(figure, runs, theme)
    return figure


def _keys(figure: go.Figure, runs: Sequence[RunCurves], theme: str) -> None:
    """A legend of the runs by their colours, and of the experts by their dashes."""
    entries = [(run.title, run.colour, "solid") for run in runs]
    if len(runs[0].names) > 1:
        entries += [(name, NEUTRAL[theme], DASHES[k % len(DASHES)]) for k, name in enumerate(runs[0].names)]
    for name, colour, dash in entries:
        line = {"color": colour, "width": 2.2, "dash": dash}
        figure.add_scatter(x=[None], y=[None], mode="lines", name=label_of(name), line=line, hoverinfo="skip")


def apart(runs: Sequence[RunCurves], quantity: Quantity, height: int = 270) -> list[go.Figure]:
    """The means of runs of other experts against the level, a figure each, all on the same axes; a colour an expert.

    They are not panels of one figure: on a phone they stand below each other.
    """
    values = [select(run.curves, quantity)[0] for run in runs]
    every = np.concatenate([one.ravel() for one in values])
    low, high = float(every.min()), float(every.max())
    room = 0.05 * (high - low) or 0.1
    levels = np.log10(_levels(runs))
    figures = []
    for run, means in zip(runs, values, strict=True):
        figure = go.Figure()
        for expert, (name, colour) in enumerate(zip(run.names, run.colours, strict=True)):
            figure.add_scatter(
                x=run.curves.level,
                y=means[:, expert],
                mode="lines",
                name=label_of(name),
                line={"color": colour, "width": 3.4 if expert == 0 else 1.8},
                hovertemplate=f"%{{y:.4g}}<extra>{as_typed(name)}</extra>",
            )
        lay_out(figure, height, UNITS[quantity])
        over(figure, _levels(runs), "level")
        figure.update_xaxes(autorange=False, range=[float(levels.max()), float(levels.min())])
        figure.update_yaxes(range=[low - room, high + room])
        figure.update_layout(showlegend=True)
        figures.append(figure)
    return figures


def effective(runs: Sequence[RunCurves], height: int = 340) -> go.Figure:
    """The effective sample size of the corrected ones among some runs, the median of their groups, in % of a group."""
    figure = go.Figure()
    for run in runs:
        if run.corrected:
            figure.add_scatter(
                x=run.curves.level,
                y=100 * np.median(run.curves.effective, 1) / run.particles,
                mode="lines",
                name=label_of(run.title),
                line={"color": run.colour, "width": 2.2},
                hovertemplate=f"%{{y:.0f}} %<extra>{as_typed(run.title)}</extra>",
            )
    lay_out(figure, height, EFFECTIVE_UNIT)
    figure.update_yaxes(range=[0, 104])
    over(figure, _levels([run for run in runs if run.corrected]), "level")
    figure.update_layout(showlegend=True)
    return figure


def _levels(runs: Sequence[RunCurves]) -> np.ndarray:
    return np.concatenate([run.curves.level for run in runs])
