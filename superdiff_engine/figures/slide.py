"""A run on one slide, 16:9: what was composed, the samples as their domain draws them, curves, and the facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..domains import get_domain
from ..domains.colours import expert_colours
from ..recipes.document import Recipe
from ..recipes.formula_words import formula_in_words
from ..recipes.formulas import parse_formula
from ..result import Result
from ..solvers import get_solver
from ..trace import Trace
from .curves import draw_curves, draw_effective, draw_marks, over
from .paper import INK, Ink, drawing, new_sheet, to_png, write_within
from .quantities import EFFECTIVE_TITLE, EFFECTIVE_UNIT, RESAMPLED_NAME, UNITS
from .words import facts_of, run_title

__all__ = ["SIZE", "slide_figure", "slide_png"]

#: Pixels of a slide, and to an inch.
SIZE, DOTS = (1920, 1080), 100.0
#: Of the slide, in pixels: what is left free at its sides and at its foot, where the curves begin.
MARGIN, BOTTOM, MIDDLE = 70, 128, 1090
#: Pixels from one row of experts to the next, between them and what is below; how long a line may be.
_ROW, _AIR, _ROOM = 38, 24, SIZE[0] - 2 * MARGIN
#: Sizes of letters, in points of 1/72 inch: title, experts, what is said of parts, axes, facts.
TITLE, EXPERT, PART, AXES, FACTS = 34.0, 19.0, 16.0, 14.0, 14.0
#: Rows of the curves of a slide.
MOST_POINTS = 600
_SIGNED = "SuperDiff Studio · arXiv 2412.17762"


def slide_png(
    result: Result[Any],
    trace: Trace | None = None,
    titles: Sequence[str] | None = None,
    *,
    title: str = "",
    state: str = "",
    theme: str = "light",
) -> bytes:
    """A run as a PNG of 1920 x 1080 pixels with the recipe inside: the same run gives the same bytes.

    Args:
        result: of the run, whether it reached its end or not.
        trace: of the run; None for the result's own.
        titles: of the experts; None for the result's own.
        title: of the slide; "" for what was composed, in words.
        state: how the run ended, where that is to be said ("cancelled").
        theme: "light" or "dark".
    """
    with drawing(theme, AXES):
        return to_png(slide_figure(result, trace, titles, title=title, state=state, theme=theme), result.recipe, DOTS)


def slide_figure(
    result: Result[Any],
    trace: Trace | None = None,
    titles: Sequence[str] | None = None,
    *,
    title: str = "",
    state: str = "",
    theme: str = "light",
) -> Figure:
    """The same as a figure of `DOTS` pixels an inch; within `paper.drawing` with letters of `AXES` points."""
    recipe, names, ink = result.recipe, list(result.titles if titles is None else titles), INK[theme]
    figure = new_sheet(SIZE[0] / DOTS, SIZE[1] / DOTS, DOTS)
    top = _head(figure, ink, recipe, names, title, theme) + _AIR
    wide = _samples(figure, ink, result, theme, top)
    _curves(figure, ink, recipe, result.trace if trace is None else trace, names, theme, wide, top)
    _foot(figure, ink, result, state)
    return figure


def _head(figure: Figure, ink: Ink, recipe: Recipe, names: Sequence[str], title: str, theme: str) -> int:
    """Title, what the operator does, and the experts; how far down that reaches, in pixels."""
    said = title or title_of(recipe, names)
    _say(figure, MARGIN, 46, TITLE, ink.text, said, weight="bold")
    _say(figure, MARGIN, 112, PART, ink.pale, _line(recipe))
    across, down, colours = float(MARGIN), 158, expert_colours(len(names), theme)
    # Many long prompts would leave the samples no room.
    room = _ROOM - 30 if len(names) <= 4 else (_ROOM - 50) / 2 - 30
    for place, name in enumerate(names):
        text = _say(figure, across + 30, down, EXPERT, ink.text, f"{place + 1} {name}", room=room)
        wide = text.get_window_extent().width
        if across > MARGIN and across + 30 + wide > SIZE[0] - MARGIN:
            across, down = float(MARGIN), down + _ROW
            text.set_position(((across + 30) / SIZE[0], 1 - down / SIZE[1]))
        spot = ([(across + 9) / SIZE[0]], [1 - (down + 13) / SIZE[1]])
        dot = Line2D(*spot, marker="o", markersize=13, color=colours[place], transform=figure.transFigure)
        figure.add_artist(dot)
        across += 30 + wide + 50
    return down + _ROW


def _line(recipe: Recipe) -> str:
    """What the operator does, or its formula as it was typed."""
    composed = recipe.operator.composed
    return f"Formula: {composed[0]}" if composed else recipe.operator.line


def title_of(recipe: Recipe, names: Sequence[str]) -> str:
    """What was composed, in words: a formula with its experts' names, else the operator with its numbers."""
    composed = recipe.operator.composed
    if not composed:
        return run_title(recipe)
    said = formula_in_words(parse_formula(composed[0], recipe.names), names)
    numbers = [words for words in recipe.operator.words()[1:] if words != composed[0]]
    corrected = [] if recipe.correction is None else ["corrected"]
    return ", ".join([f"{said[:1].upper()}{said[1:]}", *numbers, *corrected])


def _samples(figure: Figure, ink: Ink, result: Result[Any], theme: str, top: int) -> bool:
    """Draw the samples at the left; whether there are none, and the curves have all the room."""
    width, height = MIDDLE - 2 * MARGIN, SIZE[1] - top - BOTTOM
    made = get_domain(result.recipe.domain).slide_picture(result, width, height, theme == "dark")
    if made is None:
        return True
    image = made.image.convert("RGB")
    left = MARGIN + (width - image.width) // 2
    # Pixel for pixel: nothing is scaled here.
    figure.figimage(
        np.asarray(image), left, SIZE[1] - top - image.height - (height - image.height) // 2, origin="upper"
    )
    if made.note:
        _say(figure, MARGIN, SIZE[1] - BOTTOM + 12, FACTS, ink.pale, made.note, room=width)
    return False


def _curves(
    figure: Figure, ink: Ink, recipe: Recipe, trace: Trace, names: Sequence[str], theme: str, wide: bool, top: int
) -> None:
    if not len(trace):
        return
    curves, colours = trace.curves(most=MOST_POINTS), expert_colours(len(names), theme)
    left = (MARGIN if wide else MIDDLE) + 116
    corrected = recipe.correction is not None and curves.effective.size > 0
    parts = ["value", *(["weights"] if len(names) > 1 else []), *(["effective"] if corrected else [])]
    room = SIZE[1] - top - BOTTOM - 34  # below stands what the axis across is
    each = room / len(parts)
    marks: list[Line2D] = []
    for place, part in enumerate(parts):
        above = top + place * each + 34
        axes = _axes(figure, left, above, SIZE[0] - MARGIN - left, each - 34 - 34)
        if part == "effective":
            draw_effective(axes, curves, recipe, "level", theme)
            said, unit = f"{EFFECTIVE_TITLE}, {EFFECTIVE_UNIT}", "%"
        elif part == "weights":
            draw_curves(axes, curves, "weights", colours)
            said, unit = "Weights", UNITS["weights"]
        else:
            draw_curves(axes, curves, "value", colours)
            mean = "weighted mean" if corrected else "mean"
            said, unit = f"Log-density (bold: {mean} over the samples)", UNITS["value"]
        marks = draw_marks(axes, curves, "level", theme) or marks
        over(axes, curves, "level", recipe)
        axes.set_ylabel(unit)
        axes.yaxis.set_major_locator(MaxNLocator(5 if len(parts) < 3 else 4, steps=[1, 2, 5, 10]))
        axes.yaxis.set_label_coords(-98 / (SIZE[0] - MARGIN - left), 0.5)
        if place < len(parts) - 1:
            axes.set_xlabel("")
            axes.tick_params(labelbottom=False)
        _say(figure, left, above - 32, PART, ink.text, said)
    if marks:
        colour = str(marks[0].get_color())
        text = _say(figure, SIZE[0] - MARGIN, above - 30, FACTS, colour, f"upright lines: {RESAMPLED_NAME}")
        text.set_horizontalalignment("right")


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes whose frame has this place, in pixels from the slide's upper left corner."""
    return figure.add_axes((left / SIZE[0], 1 - (top + height) / SIZE[1], width / SIZE[0], height / SIZE[1]))


def _foot(figure: Figure, ink: Ink, result: Result[Any], state: str) -> None:
    recipe = result.recipe
    models = _models(recipe)
    parts = [
        facts_of(recipe, result.index),
        *([state] if state else []),
        *([f"model {models}"] if models else []),
        get_solver(recipe.solver).title,
        f"samples at level s = {result.level:.3g}",
    ]
    lines = [""]
    for part in dict.fromkeys(parts):
        joined = f"{lines[-1]} · {part}" if lines[-1] else part
        # The signature stands at the end of the second line.
        lines[-1:] = [joined] if len(joined) <= (150, 108)[len(lines) - 1] or not lines[-1] else [lines[-1], part]
        if len(lines) > 2:
            lines[1:] = [f"{lines[1]} …"]
            break
    for place, line in enumerate(lines):
        _say(figure, MARGIN, SIZE[1] - 78 + 26 * place, FACTS, ink.pale, line)
    signed = _say(figure, SIZE[0] - MARGIN, SIZE[1] - 52, FACTS, ink.pale, _SIGNED)
    signed.set_horizontalalignment("right")


def _models(recipe: Recipe) -> str:
    """The models that prompts are of; "" where experts are named after their models."""
    asked = dict.fromkeys(expert.model for expert in recipe.experts if expert.prompt is not None)
    known = {info.id: info.title for info in get_domain(recipe.domain).models()} if asked else {}
    return ", ".join(known.get(model, model) for model in asked)


def _say(
    figure: Figure, left: float, top: float, size: float, colour: str, words: str, room: float = _ROOM, **style: Any
) -> Any:
    """Write a line whose upper left corner has this place, cut to the room there is, in pixels."""
    text = figure.text(left / SIZE[0], 1 - top / SIZE[1], "", fontsize=size, color=colour, va="top", ha="left", **style)
    return write_within(text, words, room)
