"""Other charts of runs on paper: samples in the plane, one log-density against another, lineages, tables of colours.

Each is a `Sheet`, which makes an SVG or a PNG of itself; the same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from ..domains.colours import GUIDE, NEUTRAL, TARGET, expert_colours, owners
from ..recipes.document import Recipe
from ..trace import Curves
from .curves import curve_figure, effective_figure
from .descent import MOST_NUMBERS, SHADES, Lineage
from .paper import DOTS, drawing, head, legend, new_figure, numbered, to_png, to_svg, write
from .quantities import TARGET_NAME, Against, Shown, title_of
from .words import facts_of, run_title

__all__ = [
    "Group",
    "Sheet",
    "agreement_sheet",
    "curve_sheet",
    "groups_sheet",
    "lineage_sheet",
    "properties_sheet",
    "scatter_sheet",
    "table_sheet",
]

#: How far below a density's highest point its lines are, in nats: one, two and three deviations of a Gaussian.
DEPTHS = (4.5, 2.0, 0.5)
#: Samples up to which their points are large.
FEW = 100
#: Shapes of points by their names in plotly, which the studio draws with.
_SHAPES = {
    "circle": "o", "diamond": "D", "square": "s", "cross": "P", "triangle-up": "^", "star": "*", "x": "X",
}  # fmt: skip


@dataclass(frozen=True)
class Sheet:
    """A chart of a run, to be saved.

    Attributes:
        title: of the chart.
        recipe: of the run; it is put into the files.
        theme: "light" or "dark".
        draw: makes the figure; is called within `paper.drawing`.
    """

    title: str
    recipe: Recipe
    theme: str
    draw: Callable[[], Figure]

    def svg(self) -> bytes:
        """As an SVG, its text as text."""
        with drawing(self.theme):
            return to_svg(self.draw(), self.recipe, f"{self.title}: {run_title(self.recipe)}")

    def png(self, dots: float = DOTS) -> bytes:
        """As a PNG of `dots` pixels an inch, with the recipe inside."""
        with drawing(self.theme):
            return to_png(self.draw(), self.recipe, dots)


@dataclass(frozen=True)
class Group:
    """Points of one kind.

    Attributes:
        name: of the kind, for the legend.
        colour: "#rrggbb".
        x: [n].
        y: [n].
        shape: of the points, "circle" and so on.
    """

    name: str
    colour: str
    x: np.ndarray
    y: np.ndarray
    shape: str = "circle"


def curve_sheet(
    curves: Curves,
    recipe: Recipe,
    titles: Sequence[str],
    shown: Shown,
    theme: str,
    *,
    against: Against = "level",
    component: str | None = None,
    sample: int | None = None,
) -> Sheet:
    """Curves of a run, as `curves.curves_svg` draws them."""

    def draw() -> Figure:
        if shown == "effective":
            return effective_figure(curves, recipe, against=against, theme=theme)
        told: dict[str, Any] = {"against": against, "component": component, "sample": sample, "theme": theme}
        return curve_figure(curves, recipe, titles, shown, **told)

    return Sheet(title_of(shown, component, sample), recipe, theme, draw)


def agreement_sheet(
    title: str, recipe: Recipe, groups: Sequence[Group], axes: tuple[str, str], theme: str, note: str = ""
) -> Sheet:
    """One log-density of the samples against another, a group an expert, with the diagonal on which they agree.

    Args:
        title: of the chart.
        recipe: of the run.
        groups: across the one, up the other, in nats.
        axes: what each of the two is.
        theme: "light" or "dark".
        note: a line below the title.
    """

    def draw() -> Figure:
        figure = new_figure(7, 6.4)
        plot = figure.subplots()
        marks = _points(plot, groups)
        both = np.concatenate([np.concatenate([group.x, group.y]) for group in groups])
        both = both[np.isfinite(both)]
        ends = [float(both.min(initial=0)), float(both.max(initial=0))] if not len(both) else [both.min(), both.max()]
        (diagonal,) = plot.plot(ends, ends, "--", color=GUIDE[theme], linewidth=1.2, zorder=1)
        plot.set_xlabel(axes[0])
        plot.set_ylabel(axes[1])
        head(figure, title, _run(recipe), note)
        legend(figure, [*marks, diagonal], [*(group.name for group in groups), "agreement"])
        return figure

    return Sheet(title, recipe, theme, draw)


def groups_sheet(
    title: str,
    recipe: Recipe,
    groups: Sequence[Group],
    axes: tuple[str, str],
    theme: str,
    limits: tuple[float, float],
    ticks: float,
) -> Sheet:
    """Points of several kinds in a square, such as a Ramachandran plot.

    Args:
        title: of the chart.
        recipe: of the run.
        groups: the points.
        axes: what the two axes are.
        theme: "light" or "dark".
        limits: both axes' ends.
        ticks: from one tick to the next.
    """

    def draw() -> Figure:
        figure = new_figure(6.4, 6.8)
        plot = figure.subplots()
        marks = _points(plot, groups)
        plot.set(xlim=limits, ylim=limits, xlabel=axes[0], ylabel=axes[1], aspect="equal")
        for axis in (plot.xaxis, plot.yaxis):
            axis.set_major_locator(MultipleLocator(ticks))
        head(figure, title, _run(recipe))
        legend(figure, marks, [group.name for group in groups])
        return figure

    return Sheet(title, recipe, theme, draw)


def properties_sheet(
    title: str,
    recipe: Recipe,
    groups: Sequence[Group],
    axes: tuple[str, str],
    theme: str,
    bounds: Sequence[tuple[str, float, str]] = (),
    note: str = "",
) -> Sheet:
    """Points of several kinds, one quantity against another.

    Args:
        title: of the chart.
        recipe: of the run.
        groups: the points.
        axes: what the two axes are, with units.
        theme: "light" or "dark".
        bounds: dashed lines, each ("x" or "y", where, colour).
        note: a line below the title.
    """

    def draw() -> Figure:
        figure = new_figure(7.2, 5.8)
        plot = figure.subplots()
        marks = _points(plot, groups)
        for axis, where, colour in bounds:
            line = plot.axvline if axis == "x" else plot.axhline
            line(where, color=colour, linestyle="--", linewidth=1)
        write(plot.set_xlabel(""), axes[0])
        write(plot.set_ylabel(""), axes[1])
        head(figure, title, *filter(None, [_run(recipe), note]))
        legend(figure, marks, [group.name for group in groups])
        return figure

    return Sheet(title, recipe, theme, draw)


def table_sheet(
    title: str,
    recipe: Recipe,
    values: np.ndarray,
    axes: tuple[str, str],
    theme: str,
    *,
    first: tuple[int, int] = (0, 0),
    unit: str = "",
    span: tuple[float, float] = (0.0, 1.0),
    kinds: Sequence[tuple[str, str]] = (),
) -> Sheet:
    """A table of values as colours, row 0 uppermost.

    Args:
        title: of the chart.
        recipe: of the run.
        values: [rows, columns]; NaN leaves a place empty.
        axes: what columns and rows are.
        theme: "light" or "dark".
        first: numbers of the first column and row.
        unit: of the values.
        span: the values of the first and the last colour.
        kinds: (name, colour) of values 0, 1, ... where they stand for kinds; a legend says them.
    """

    def draw() -> Figure:
        rows, columns = values.shape
        square = rows == columns
        figure = new_figure(7, 6.6 if square else min(2.6 + 0.16 * rows, 9))
        plot = figure.subplots()
        plot.grid(False)
        told: dict[str, Any] = {"cmap": "viridis_r", "vmin": span[0], "vmax": span[1]}
        if kinds:
            palette = ListedColormap([colour for _, colour in kinds])
            told = {"cmap": palette, "norm": BoundaryNorm(np.arange(len(kinds) + 1) - 0.5, len(kinds))}
        edges = [np.arange(count + 1) + start - 0.5 for count, start in ((columns, first[0]), (rows, first[1]))]
        mesh = plot.pcolormesh(*edges, np.ma.masked_invalid(values), rasterized=values.size > 4096, **told)
        plot.invert_yaxis()
        plot.set(xlabel=axes[0], ylabel=axes[1])
        if square:
            plot.set_aspect("equal")
        head(figure, title, _run(recipe))
        if kinds:
            marks = [Line2D([], [], marker="s", linestyle="", markersize=9, color=colour) for _, colour in kinds]
            legend(figure, marks, [name for name, _ in kinds])
        else:
            bar = figure.colorbar(mesh, ax=plot, fraction=0.05)
            write(bar.ax.yaxis.label, unit)
        return figure

    return Sheet(title, recipe, theme, draw)


def scatter_sheet(
    recipe: Recipe,
    titles: Sequence[str],
    positions: np.ndarray,
    weights: np.ndarray,
    contours: np.ndarray,
    extent: np.ndarray,
    theme: str,
    *,
    target: np.ndarray | None = None,
    counts: np.ndarray | None = None,
    rows: np.ndarray | None = None,
    level: float | None = None,
) -> Sheet:
    """Samples in the plane over the contour lines of every expert.

    Args:
        recipe: of the run.
        titles: of the experts.
        positions: [n, 2].
        weights: of the experts, [experts, n]; who has nearly all of it gives a sample its colour.
        contours: log-densities of the experts on a grid, [experts, rows, columns]; row 0 is the lowest y.
        extent: x0, x1, y0, y1 of the grid, and of the chart.
        theme: "light" or "dark".
        target: log-density of the exact target on the grid; None draws none.
        counts: what each sample counts for beside the others, 1 on average, [n]: the area of its dot.
        rows: the samples to draw, int; None: all.
        level: at which they stand, for the line below the title.
    """
    title = "Samples in the plane"

    def draw() -> Figure:
        figure = new_figure(7, 7.6)
        plot = figure.subplots()
        colours, names = expert_colours(len(titles), theme), numbered(titles)
        x0, x1, y0, y1 = (float(value) for value in extent)
        grids = [*zip(contours, colours, [2.4, *[1.4] * len(colours)], strict=False)]
        grids += [] if target is None else [(target, TARGET[theme], 2.0)]
        marks = []
        for place, (grid, colour, width) in enumerate(grids):
            across, up = np.linspace(x0, x1, grid.shape[1]), np.linspace(y0, y1, grid.shape[0])
            heights = np.asarray(grid, float).max() - np.array(DEPTHS)
            lines = plot.contour(across, up, grid, heights, colors=colour, linewidths=width, linestyles="solid")
            lines.set_gid(f"contour-{place}")
            marks.append(Line2D([], [], color=colour, linewidth=width))
        chosen = np.arange(len(positions)) if rows is None else rows
        size = np.full(len(chosen), 10.0) if counts is None else 10 * counts[chosen]
        shades = np.array([*colours, NEUTRAL[theme]])[owners(weights)[chosen]]
        plot.scatter(
            positions[chosen, 0],
            positions[chosen, 1],
            s=size,
            c=shades,
            alpha=0.65,
            linewidths=0,
            zorder=3,
            gid="points",
        )
        plot.set(xlim=(x0, x1), ylim=(y0, y1), xlabel="x, plane units", ylabel="y, plane units", aspect="equal")
        at = "" if level is None else f"At level s = {level:.3g}. "
        depths = ", ".join(f"{depth:g}" for depth in sorted(DEPTHS))
        area = "" if counts is None else " The area of a dot is what its sample counts for."
        head(figure, title, _run(recipe), f"{at}Lines: {depths} nats below a density's highest point.{area}")
        legend(figure, marks, [*names, *([] if target is None else [TARGET_NAME])])
        return figure

    return Sheet(title, recipe, theme, draw)


def lineage_sheet(lineage: Lineage, recipe: Recipe, shares: np.ndarray, theme: str, note: str = "") -> Sheet:
    """Lines of descent of the final samples over the steps, which merge backwards.

    Args:
        lineage: what to draw.
        recipe: of the run.
        shares: what each sample of the run counts for within its group, [batch]: the area of its dot.
        theme: "light" or "dark".
        note: a line below the title.
    """
    title = "Lineage of the final samples"

    def draw() -> Figure:
        count, steps, shades = len(lineage.samples), recipe.levels.steps, SHADES[theme]
        figure = new_figure(8, float(np.clip(2.2 + 0.13 * count, 3.6, 8)))
        plot = figure.subplots()
        plot.grid(False)
        few = count <= MOST_NUMBERS
        for number, lines in enumerate(lineage.lines(steps)):
            x, y = np.concatenate(lines).T
            shade = shades[number % len(shades)]
            plot.plot(x, y, color=shade, linewidth=1.3 if few else 0.8, gid=f"family-{number}", clip_on=False)
        share, rows = shares[lineage.samples], np.arange(count)
        size = (6 * np.sqrt(share * recipe.group)).clip(1.5, 15) * (1 if few else 0.6)
        colours = [shades[number % len(shades)] for number in lineage.families]
        plot.scatter(np.full(count, steps), rows, s=size**2, c=colours, linewidths=0, clip_on=False, zorder=3)
        for border in np.nonzero(np.diff(lineage.samples // recipe.group))[0]:
            plot.axhline(border + 0.5, color=GUIDE[theme], linewidth=0.7, linestyle=":")
        plot.set(xlim=(0, steps), ylim=(count - 0.3, -0.7), xlabel="step")
        plot.set_ylabel("final sample" if few else "final samples")
        plot.set_yticks(rows if few else [], [str(sample) for sample in lineage.samples] if few else [])
        said = "Where lines meet, samples are copies of one particle. Area of a dot: what it counts for in its group."
        head(figure, title, _run(recipe), f"{note}. {said}" if note else said)
        return figure

    return Sheet(title, recipe, theme, draw)


def _points(plot: Axes, groups: Sequence[Group]) -> list[Line2D]:
    marks = []
    for number, group in enumerate(groups):
        shape, size = _SHAPES[group.shape], 3.0 if len(group.x) > FEW else 5.0
        (mark,) = plot.plot(
            group.x, group.y, shape, color=group.colour, markersize=size, alpha=0.6, markeredgewidth=0,
            gid=f"points-{number}",
        )  # fmt: skip
        marks.append(Line2D([], [], color=group.colour, marker=shape, linestyle="", markersize=7))
        mark.set_zorder(2)
    return marks


def _run(recipe: Recipe) -> str:
    return f"{run_title(recipe)} · {facts_of(recipe)}"
