"""Runs side by side on one slide, 16:9: what differs, samples of each, curves on shared axes, figures with errors."""

from __future__ import annotations

import io
import json
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from PIL.Image import Resampling
from PIL.PngImagePlugin import PngInfo

from ..domains import get_domain
from ..domains.colours import NEUTRAL, RUN_COLOURS, expert_colours
from ..runs.comparison import Comparison, FigureRow
from ..runs.run import Run
from .curves import over
from .paper import INK, Ink, drawing, new_sheet, to_image, write
from .quantities import UNITS, Quantity, select
from .words import facts_of

__all__ = ["SIZE", "comparison_figure", "comparison_png"]

#: Pixels of a slide, and to an inch; what is free at its sides and at its foot; between two runs.
SIZE, DOTS = (1920, 1080), 100.0
MARGIN, BOTTOM, GAP = 70, 96, 28
#: The text chunk of the PNG that holds the recipes, a JSON list in the order of the runs.
RECIPES_CHUNK = "superdiff_recipes"
#: Sizes of letters in points: what differs, titles, what is said beside, the table by the number of runs.
HEAD, TITLE, SMALL = 23.0, 18.0, 13.0
_TABLE = {2: 15.0, 3: 15.0, 4: 13.0, 5: 12.0, 6: 11.0}
#: Pixels by the number of runs: of the table's columns, and of its first one; of a row.
_COLUMN = {2: 200, 3: 195, 4: 170, 5: 154, 6: 140}
_FIRST = {2: 430, 3: 430, 4: 390, 5: 350, 6: 330}
_ROW = 33
#: By how much larger samples are drawn than shown, by the number of runs: their letters are smaller then.
_LARGER = {2: 1.0, 3: 1.25, 4: 1.4, 5: 1.6, 6: 1.7}
#: Pixels down to which samples may reach, and rows of curves.
_SAMPLES, MOST_POINTS = 610, 600
#: Of the range of all log-densities: what ends nearer together cannot be told apart.
_ALIKE = 0.05
Dash = Literal["-", "--", ":", "-."]
#: Of the experts, in their order; after the last the first again.
DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.")
_SIGNED = "SuperDiff Studio · arXiv 2412.17762"


def comparison_png(compared: Comparison, *, title: str = "", theme: str = "light") -> bytes:
    """Two to six runs as a PNG of 1920 x 1080 pixels, their recipes inside: the same runs give the same bytes.

    Args:
        compared: the runs, with their titles.
        title: of the slide; "" for what differs.
        theme: "light" (white) or "dark".
    """
    with drawing(theme, SMALL):
        image = to_image(comparison_figure(compared, title=title, theme=theme), DOTS)
    told = PngInfo()
    recipes = [recipe.model_dump(mode="json", exclude_none=True) for recipe in compared.recipes]
    told.add_itxt(RECIPES_CHUNK, json.dumps(recipes))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=told)
    return buffer.getvalue()


def comparison_figure(compared: Comparison, *, title: str = "", theme: str = "light") -> Figure:
    """The same as a figure of `DOTS` pixels an inch; within `paper.drawing` with letters of `SMALL` points."""
    figure, ink = new_sheet(SIZE[0] / DOTS, SIZE[1] / DOTS, DOTS), INK[theme]
    top = _head(figure, ink, title, compared.sentence)
    colours = RUN_COLOURS[theme]
    _samples(figure, ink, compared, colours, theme, top)
    count = len(compared.runs)
    width = _FIRST[count] + _COLUMN[count] * count
    _table(figure, ink, compared, colours, SIZE[0] - MARGIN - width)
    _curves(figure, ink, compared, colours, theme, SIZE[0] - 2 * MARGIN - width - 50)
    note = "Values ± one standard error; ↑ higher is better, ↓ lower is better."
    _say(figure, MARGIN, SIZE[1] - 52, SMALL, ink.pale, note, 1000)
    signed = _say(figure, SIZE[0] - MARGIN, SIZE[1] - 52, SMALL, ink.pale, _SIGNED, 700)
    signed.set_horizontalalignment("right")
    return figure


def _head(figure: Figure, ink: Ink, title: str, sentence: str) -> int:
    """What differs, in at most three lines; how far down that reaches, in pixels."""
    room, top = SIZE[0] - 2 * MARGIN, 42.0
    if title:
        _say(figure, MARGIN, 40, 27.0, ink.text, title, room, weight="bold")
        top = 96
    size = 16.0 if title or len(sentence) > 190 else 19.0 if len(sentence) > 100 else HEAD
    return int(
        _lines(figure, MARGIN, top, size, ink.text, sentence, room, 3, weight="normal" if title else "bold") + 16
    )


def _samples(figure: Figure, ink: Ink, compared: Comparison, colours: Sequence[str], theme: str, top: int) -> None:
    """The samples of every run below its title, its facts and its experts."""
    count, size = len(compared.runs), TITLE if len(compared.runs) < 5 else 14.0
    width = (SIZE[0] - 2 * MARGIN - GAP * (count - 1)) // count
    left = [MARGIN + place * (width + GAP) for place in range(count)]
    below = top
    for place, title in enumerate(compared.titles):
        _square(figure, left[place] + 9, top + 13, colours[place])
        reached = _lines(figure, left[place] + 28, top, size, ink.text, title, width - 28, 2, weight="bold")
        below = max(below, int(reached))
    for place, run in enumerate(compared.runs):
        _say(figure, left[place], below + 2, 11.0, ink.pale, facts_of(run.recipe), width)
        _experts(figure, ink, run, theme, left[place], below + 26, width)
        result = run.result
        assert result is not None  # a comparison has none without
        height, larger = _SAMPLES - below - 58, _LARGER[count]
        wanted = (int(width * larger), int(height * larger))
        made = get_domain(run.recipe.domain).slide_picture(result, *wanted, theme == "dark")
        if made is not None:
            image = made.image.convert("RGB")
            if larger > 1:
                image = image.resize((round(image.width / larger), round(image.height / larger)), Resampling.LANCZOS)
            across, down = left[place] + (width - image.width) // 2, below + 58 + (height - image.height) // 2
            # Pixel for pixel: nothing is scaled here.
            figure.figimage(np.asarray(image), across, SIZE[1] - down - image.height, origin="upper")


def _experts(figure: Figure, ink: Ink, run: Run, theme: str, left: float, top: float, width: float) -> None:
    """The experts of a run on one line, each by its dot, as far as there is room."""
    across, end = left, left + width
    for name, colour in zip(run.titles, expert_colours(len(run.titles), theme), strict=True):
        if end - across < 60:
            return
        place = ([(across + 7) / SIZE[0]], [1 - (top + 10) / SIZE[1]])
        figure.add_artist(Line2D(*place, marker="o", markersize=7, color=colour, transform=figure.transFigure))
        text = _say(figure, across + 18, top, SMALL, ink.text, name, end - across - 18)
        across += 18 + text.get_window_extent().width + 16


def _table(figure: Figure, ink: Ink, compared: Comparison, colours: Sequence[str], left: float) -> None:
    """The main figures, as many as there is room for."""
    count = len(compared.runs)
    size, column, first, top = _TABLE[count], _COLUMN[count], _FIRST[count], _SAMPLES + 30.0
    below = top
    for place, title in enumerate(compared.titles):
        across = left + first + place * column
        _square(figure, across + 7, top + 11, colours[place], 9)
        below = max(below, _lines(figure, across + 20, top, size, ink.text, title, column - 28, 2, weight="bold"))
    for number, row in enumerate(_chosen(compared.rows, int((SIZE[1] - BOTTOM - below) / _ROW))):
        down = below + 8 + _ROW * number
        ends, height = [left / SIZE[0], 1 - MARGIN / SIZE[0]], [1 - (down - 5) / SIZE[1]] * 2
        figure.add_artist(Line2D(ends, height, color=ink.grid, linewidth=1, transform=figure.transFigure))
        _say(figure, left, down, size, ink.text, _named(row), first - 12)
        for place, one in enumerate(row.figures):
            words = "–" if one is None else one.text()
            _say(figure, left + first + place * column, down, size, ink.text, words, column - 6)


def _chosen(rows: Sequence[FigureRow], most: int) -> list[FigureRow]:
    """The main figures that most runs have, and the first ones of each run before its later ones; in their order."""
    main = [row for row in rows if row.main]
    runs = range(len(main[0].figures) if main else 0)
    own = [[row for row in main if row.figures[place] is not None] for place in runs]

    def rank(row: FigureRow) -> tuple[int, int]:
        have = [place for place in runs if row.figures[place] is not None]
        return -len(have), min(own[place].index(row) for place in have)

    return sorted(sorted(main, key=rank)[:most], key=main.index)


def _named(row: FigureRow) -> str:
    unit = next(one.shown_unit for one in row.figures if one is not None)
    better = {"higher": " ↑", "lower": " ↓", "": ""}[row.better]
    return f"{row.title}{f', {unit}' if unit else ''}{better}"


def _curves(figure: Figure, ink: Ink, compared: Comparison, colours: Sequence[str], theme: str, width: float) -> None:
    """The experts' mean log-densities on shared axes: a colour a run, a dash an expert.

    Where all end alike on the scale of their way, what tells them apart is drawn: the difference to the experts' mean.
    """
    runs = [(run, colour) for run, colour in zip(compared.runs, colours, strict=False) if len(run.trace)]
    if not runs:
        return
    left, top = MARGIN + 96, _SAMPLES + 76
    height = SIZE[1] - BOTTOM - top - 62
    drawn = [(run, colour, run.trace.curves(most=MOST_POINTS)) for run, colour in runs]
    values = [select(curves, "value")[0] for _, _, curves in drawn]
    ends, every = np.concatenate([one[-1] for one in values]), np.concatenate([one.ravel() for one in values])
    alike = np.ptp(ends) < _ALIKE * np.ptp(every) and all(one.shape[1] > 1 for one in values)
    quantity: Quantity = "difference" if alike else "value"
    said = "Difference of each log-density to the experts' mean" if alike else "Log-density, mean over the samples"
    _say(figure, MARGIN, top - 36, 15.0, ink.text, said, width)
    axes: Axes = figure.add_axes(
        (left / SIZE[0], 1 - (top + height) / SIZE[1], (width - 96) / SIZE[0], height / SIZE[1])
    )
    spans = []
    for run, colour, curves in drawn:
        means, _ = select(curves, quantity)
        for expert in range(means.shape[1]):
            axes.plot(curves.level, means[:, expert], DASHES[expert % len(DASHES)], color=colour, linewidth=2.0)
        over(axes, curves, "level", run.recipe)
        spans.append((curves.level.max(), curves.level.min()))
    axes.set_xlim(max(high for high, _ in spans) * 1.03, min(low for _, low in spans) / 1.03)
    axes.set_ylabel(UNITS[quantity])
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_label_coords(-80 / (width - 96), 0.5)
    axes.set_xlabel("noise level s, from noise to data")
    _dashes(axes, [run for run, _ in runs], theme)


def _dashes(axes: Axes, runs: Sequence[Run], theme: str) -> None:
    """A legend of the dashes: the experts' names where all runs have the same, else their places."""
    most = max(runs, key=lambda run: len(run.titles))
    if len(most.titles) < 2:
        return
    alike = all(run.recipe.names == most.recipe.names[: len(run.titles)] for run in runs)
    names = most.titles if alike else [f"expert {place}" for place in range(1, len(most.titles) + 1)]
    lines = [Line2D([], [], linestyle=DASHES[k % len(DASHES)], color=NEUTRAL[theme]) for k in range(len(names))]
    # A label that begins with "_" would be left out: every one gets its text afterwards.
    made = axes.legend(lines, [str(k) for k in range(len(lines))], loc="best", fontsize=11)
    for text, name in zip(made.get_texts(), names, strict=True):
        write(text, name if len(name) <= 28 else f"{name[:27].rstrip()}…")


def _square(figure: Figure, across: float, down: float, colour: str, size: float = 12) -> None:
    place = ([across / SIZE[0]], [1 - down / SIZE[1]])
    figure.add_artist(Line2D(*place, marker="s", markersize=size, color=colour, transform=figure.transFigure))


def _say(
    figure: Figure, left: float, top: float, size: float, colour: str, words: str, room: float, **style: Any
) -> Text:
    """Write a line whose upper left corner has this place, in pixels, cut to what there is room for."""
    text = figure.text(left / SIZE[0], 1 - top / SIZE[1], "", fontsize=size, color=colour, va="top", ha="left", **style)
    line = " ".join(words.split())
    write(text, line)
    while len(line) > 1 and (wide := text.get_window_extent().width) > room:
        line = line[: max(1, min(len(line) - 2, int(len(line) * room / wide)))].rstrip(" …")
        write(text, f"{line}…")
        line += "…"
    return text


def _lines(
    figure: Figure, left: float, top: float, size: float, colour: str, words: str, room: float, most: int, **style: Any
) -> float:
    """Write words on as many lines as they need, at most so many; how far down these reach, in pixels."""
    line = " ".join(words.split())
    text = figure.text(0, 0, "", fontsize=size, **style)
    write(text, line)
    wide = text.get_window_extent().width
    text.remove()
    letters = max(1, int(0.97 * len(line) * room / max(wide, 1.0)))
    parts = textwrap.wrap(line, letters, max_lines=most, placeholder=" …", break_long_words=True) or [""]
    apart = 1.8 * size
    for place, part in enumerate(parts):
        _say(figure, left, top + place * apart, size, colour, part, room, **style)
    return top + len(parts) * apart
