"""Curves of runs on paper: log-densities, their difference, weights and effective sample sizes, as SVG and PNG.

    with drawing("light"):
        figure = curve_figure(run.trace.curves(), recipe, titles, "weights")
        open("weights.svg", "wb").write(to_svg(figure, recipe, "Weights"))

`curves_svg` and `curves_png` do just that. Who wants several runs on the same axes draws each with `draw_curves`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from ..domains.colours import NEUTRAL, RESAMPLED, expert_colours
from ..recipes.document import Recipe
from ..trace import Curves
from .paper import DOTS, drawing, head, legend, new_figure, number, numbered, single, to_png, to_svg
from .quantities import (
    EFFECTIVE_TITLE,
    EFFECTIVE_UNIT,
    MEDIAN,
    RESAMPLED_NAME,
    SIZE,
    THIN_CURVES,
    THRESHOLD,
    UNITS,
    Against,
    Quantity,
    Shown,
    mark_height,
    select,
    title_of,
)
from .words import facts_of, level_axis, run_title

__all__ = [
    "curve_figure",
    "curves_png",
    "curves_svg",
    "draw_curves",
    "draw_effective",
    "draw_marks",
    "effective_figure",
    "over",
]

#: Inches of a figure.
SIZE_INCHES = (8.0, 5.0)


def curves_svg(
    curves: Curves,
    recipe: Recipe,
    titles: Sequence[str],
    shown: Shown = "value",
    *,
    against: Against = "level",
    component: str | None = None,
    sample: int | None = None,
    theme: str = "light",
    size: tuple[float, float] = SIZE_INCHES,
) -> bytes:
    """Curves of a run as an SVG with title, axes and legend, its text as text; the same run gives the same bytes.

    Args:
        curves: of the run's trace.
        recipe: of the run; it is put into the file.
        titles: of the experts.
        shown: "value" (log-densities), "difference", "weights", or of a corrected run "effective".
        against: "level" or "step".
        component: the part of the log-density that is drawn; None for their sum.
        sample: draw this sample alone, in place of the mean and some samples behind it.
        theme: "light" or "dark".
        size: width and height in inches.
    """
    with drawing(theme):
        figure = _figure(curves, recipe, titles, shown, against, component, sample, theme, size)
        return to_svg(figure, recipe, f"{title_of(shown, component, sample)}: {run_title(recipe)}")


def curves_png(
    curves: Curves,
    recipe: Recipe,
    titles: Sequence[str],
    shown: Shown = "value",
    *,
    against: Against = "level",
    component: str | None = None,
    sample: int | None = None,
    theme: str = "light",
    size: tuple[float, float] = SIZE_INCHES,
    dots: float = DOTS,
) -> bytes:
    """The same as a PNG with the recipe inside, of `dots` pixels an inch."""
    with drawing(theme):
        return to_png(_figure(curves, recipe, titles, shown, against, component, sample, theme, size), recipe, dots)


def _figure(
    curves: Curves,
    recipe: Recipe,
    titles: Sequence[str],
    shown: Shown,
    against: Against,
    component: str | None,
    sample: int | None,
    theme: str,
    size: tuple[float, float],
) -> Figure:
    if shown == "effective":
        return effective_figure(curves, recipe, against=against, theme=theme, size=size)
    return curve_figure(
        curves, recipe, titles, shown, against=against, component=component, sample=sample, theme=theme, size=size
    )


def curve_figure(
    curves: Curves,
    recipe: Recipe,
    titles: Sequence[str],
    quantity: Quantity,
    *,
    against: Against = "level",
    component: str | None = None,
    sample: int | None = None,
    theme: str = "light",
    size: tuple[float, float] = SIZE_INCHES,
) -> Figure:
    """One quantity with title, axes and legend; within `paper.drawing`. Arguments as of `curves_svg`."""
    figure = new_figure(*size)
    axes = figure.subplots()
    names, colours = numbered(titles), expert_colours(len(titles), theme)
    lines = draw_curves(axes, curves, quantity, colours, against=against, component=component, sample=sample)
    marks = draw_marks(axes, curves, against, theme)
    axes.set_ylabel(UNITS[quantity])
    over(axes, curves, against, recipe)
    head(
        figure,
        title_of(quantity, component, sample),
        *_below(curves, recipe, _lines_note(curves, recipe, component, sample)),
    )
    legend(figure, [*lines, *marks], [*names, *[RESAMPLED_NAME] * len(marks)])
    return figure


def effective_figure(
    curves: Curves,
    recipe: Recipe,
    *,
    against: Against = "level",
    theme: str = "light",
    size: tuple[float, float] = SIZE_INCHES,
) -> Figure:
    """The effective sample size of a corrected run, its threshold, and where it was resampled; within `drawing`.

    Raises:
        ValueError: when the run was not corrected.
    """
    figure = new_figure(*size)
    axes = figure.subplots()
    lines, names = draw_effective(axes, curves, recipe, against, theme)
    marks = draw_marks(axes, curves, against, theme)
    over(axes, curves, against, recipe)
    groups = curves.effective.shape[1]
    few = f"; thin: {min(groups, THIN_CURVES)} of them" if groups > 1 else ""
    note = f"Of {recipe.group} particles a group. Bold: median of the groups{few}" if groups > 1 else ""
    head(figure, EFFECTIVE_TITLE, *_below(curves, recipe, note))
    legend(figure, [*lines, *marks], [*names, *[RESAMPLED_NAME] * len(marks)])
    return figure


def draw_curves(
    axes: Axes,
    curves: Curves,
    quantity: Quantity,
    colours: Sequence[str],
    *,
    against: Against = "level",
    component: str | None = None,
    sample: int | None = None,
    thin: int = THIN_CURVES,
    style: str = "-",
    key: str = "",
) -> list[Line2D]:
    """Draw a run's quantity onto axes: for every expert the mean bold, and single samples thin behind it.

    Axes may hold several runs: `style` tells their lines apart, and `over` and the axis up are set once for all.

    Args:
        axes: to draw on; within `paper.drawing`.
        curves: of the run's trace.
        quantity: which.
        colours: of the experts, "#rrggbb".
        against: "level" or "step".
        component: the part of the log-density that is drawn; None for their sum.
        sample: draw this sample alone.
        thin: how many single samples are drawn behind the mean.
        style: of the bold lines, as matplotlib names it: "-", "--", ":", "-.".
        key: begins the ids of the lines in an SVG, "{key}mean-0" and "{key}samples-0".

    Returns:
        The bold lines, one an expert, for a legend.
    """
    means, singles = select(curves, quantity, component)
    x = curves.level if against == "level" else curves.index.astype(float)
    lines = []
    for expert, colour in enumerate(colours):
        if sample is None and thin and singles.shape[2]:
            values = singles[:, expert, :thin].astype(float)
            single(axes, x, values, color=colour, linewidth=0.6, alpha=0.25, zorder=2, gid=f"{key}samples-{expert}")
    for expert, colour in enumerate(colours):
        # The first expert's line is broader, so that lines on top of each other show both colours.
        (line,) = axes.plot(
            x,
            means[:, expert] if sample is None else singles[:, expert, sample],
            style,
            color=colour,
            linewidth=3.2 if expert == 0 else 1.7,
            zorder=3,
            gid=f"{key}mean-{expert}",
        )
        lines.append(line)
    return lines


def draw_effective(
    axes: Axes, curves: Curves, recipe: Recipe, against: Against, theme: str
) -> tuple[list[Line2D], list[str]]:
    """Draw the effective sample size of a corrected run in % of a group: the median bold, groups thin; the threshold.

    Returns:
        (lines, what they are called).

    Raises:
        ValueError: when the run was not corrected.
    """
    if recipe.correction is None or not curves.effective.size:
        raise ValueError("Only a corrected run has effective sample sizes.")
    share, colour = 100 * curves.effective / recipe.group, NEUTRAL[theme]
    x = curves.level if against == "level" else curves.index.astype(float)
    several = share.shape[1] > 1
    if several:
        single(axes, x, share[:, :THIN_CURVES], color=colour, linewidth=0.6, alpha=0.4, gid="samples-0")
    (median,) = axes.plot(x, np.median(share, 1), color=colour, linewidth=2.0, gid="mean-0")
    (below,) = axes.plot(
        x[[0, -1]], np.full(2, 100 * recipe.correction.threshold), "--", color=RESAMPLED[theme], linewidth=1.2
    )
    axes.set_ylim(0, 104)
    axes.set_ylabel(EFFECTIVE_UNIT)
    return [median, below], [MEDIAN if several else SIZE, THRESHOLD]


def draw_marks(axes: Axes, curves: Curves, against: Against, theme: str) -> list[Line2D]:
    """Draw thin upright lines where particles were resampled; the line for a legend, none where none were."""
    marks = curves.mark_levels if against == "level" else curves.marks.astype(float)
    if not len(marks):
        return []
    top = mark_height(len(marks))
    # From bottom to top whatever the curves' range.
    (line,) = axes.plot(
        np.stack([marks, marks, np.full_like(marks, np.nan)], 1).ravel(),
        np.tile([0.0, top, np.nan], len(marks)),
        color=RESAMPLED[theme],
        linewidth=0.8,
        alpha=0.55,
        zorder=1,
        transform=axes.get_xaxis_transform(),
        gid="resampled",
    )
    return [line]


def over(axes: Axes, curves: Curves, against: Against, recipe: Recipe) -> None:
    """Set the axis across: the level, from noise to data and logarithmic, or the step.

    Args:
        axes: that the curves are drawn on.
        curves: of the run that spans the axis.
        against: "level" or "step".
        recipe: of the run, whose domain has a unit of levels.
    """
    if against == "step":
        axes.set_xlim(0, max(float(curves.index.max()), 1.0))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("step")
        return
    axes.set_xscale("log")
    high, low = float(curves.level.max()), float(curves.level.min())
    axes.set_xlim(high * 1.03, low / 1.03)
    # A run that was cut short spans less than a decade or two: label 2 and 5 as well there.
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 300 * low else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: number(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(level_axis(recipe))


def _below(curves: Curves, recipe: Recipe, shown: str) -> tuple[str, str]:
    """What is said below a title: the run, and what the lines are."""
    return f"{run_title(recipe)} · {facts_of(recipe, int(curves.index[-1]))}", shown


def _lines_note(curves: Curves, recipe: Recipe, component: str | None, sample: int | None) -> str:
    if sample is not None:
        return ""
    mean = "weighted mean" if recipe.correction is not None else "mean"
    thin = min(THIN_CURVES, curves.log_density.shape[2]) if component is None else 0
    return f"Bold: {mean} over all samples" + (f"; thin: {thin} single samples" if thin else "")
