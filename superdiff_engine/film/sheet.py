"""What a film shows, moment by moment: what was composed, the samples, where they stand, and curves beside them.

What stays is drawn once, by matplotlib; of the curves twice, pale and bold. A moment is put together of them: bold up
to its level, pale beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw, ImageFont

from ..domain import MomentPictures
from ..domains import get_domain
from ..domains.colours import NEUTRAL, TARGET, expert_colours
from ..figures.curves import draw_curves, draw_effective, draw_marks, over
from ..figures.paper import FONT, INK, drawing, new_sheet, to_image, write_within
from ..figures.quantities import EFFECTIVE_TITLE, EFFECTIVE_UNIT, UNITS
from ..figures.slide import MOST_POINTS, title_of
from ..recipes.document import Recipe
from ..result import Result
from ..trace import Curves, Frame, Trace
from .settings import FilmSettings

__all__ = ["FilmSheet"]

#: Dots of an inch of the sheets; points of an inch over pixels of one.
_DOTS = 100.0
_POINTS = 72 / _DOTS


@dataclass(frozen=True)
class _Layout:
    """Where things stand on a film, in pixels: the size of letters, the margin, where samples begin, how wide and high
    they may be, and the height of the foot.
    """

    letters: int
    margin: int
    top: int
    width: int
    height: int
    foot: int


class FilmSheet:
    """The pictures of a film.

    Args:
        frames: its moments, at least two.
        recipe: of the run.
        trace: of the run, for the curves.
        titles: of its experts.
        settings: of the film.
        result: of the run, if it has one.

    Attributes:
        size: of every picture, pixels; even both ways.
        colours: "#rrggbb" that a picture of few colours must have.
    """

    def __init__(
        self,
        frames: Sequence[Frame[Any]],
        recipe: Recipe,
        trace: Trace,
        titles: Sequence[str],
        settings: FilmSettings,
        result: Result[Any] | None = None,
    ) -> None:
        self.frames, self.recipe, self.settings = frames, recipe, settings
        self._dark = settings.theme == "dark"
        ink = INK[settings.theme]
        known = [ink.ground, ink.text, ink.pale, ink.frame, ink.grid, TARGET[settings.theme], NEUTRAL[settings.theme]]
        self.colours = [*known, *expert_colours(len(titles), settings.theme)]
        wide = settings.width // 2 * 2
        curves = trace.curves(most=MOST_POINTS) if len(trace) else None
        beside = settings.curves and curves is not None
        layout = self._layout = _layout(wide, beside, len(recipe.experts))
        domain = get_domain(recipe.domain)
        told = (frames, recipe, layout.width, layout.height, self._dark, result)
        self._pictures: MomentPictures | None = domain.moment_pictures(*told)
        first = None if self._pictures is None else self._pictures.draw(0)
        self._first = first
        alone = first is None and curves is not None
        high = wide * 9 // 16 if beside or first is None else layout.top + first.height + layout.foot
        self.size = (wide, high // 2 * 2)
        self._spans: list[tuple[Axes, float]] = []
        with drawing(settings.theme, layout.letters * _POINTS):
            figure = new_sheet(self.size[0] / _DOTS, self.size[1] / _DOTS, _DOTS)
            self._head(figure, titles)
            lines: list[Line2D] = []
            if curves is not None and (beside or alone):
                lines = self._curves(figure, curves, titles, alone)
            self._bold = to_image(figure, _DOTS)
            for line in lines:
                line.set_alpha(0.25 * (1.0 if line.get_alpha() is None else float(line.get_alpha() or 0)))
            self._pale = to_image(figure, _DOTS) if lines else self._bold
            self._cursors = [
                (
                    [float(axes.transData.transform((frame.level, 1.0))[0]) for frame in frames],
                    self.size[1] - float(axes.bbox.y1),
                    self.size[1] - float(axes.bbox.y0),
                )
                for axes, _ in self._spans
            ]

    def picture(self, moment: int) -> Image.Image:
        """The picture of a moment, RGB."""
        frame, layout, ink = self.frames[moment], self._layout, INK[self.settings.theme]
        sheet = self._pale.copy()
        pen = ImageDraw.Draw(sheet)
        for places, top, bottom in self._cursors:
            place = round(places[moment])
            box = (0, round(top) - 2, place, round(bottom) + 2)
            sheet.paste(self._bold.crop(box), box[:2])
            pen.line((place, top, place, bottom), ink.text, max(1, layout.letters // 9))
        if self._pictures is not None:
            made = self._first if moment == 0 and self._first is not None else self._pictures.draw(moment)
            room = self.size[1] - layout.top - layout.foot
            left = layout.margin + (layout.width - made.width) // 2
            sheet.paste(made.convert("RGB"), (left, layout.top + max(room - made.height, 0) // 2))
        self._foot(pen, frame)
        return sheet

    def _head(self, figure: Figure, titles: Sequence[str]) -> None:
        """What was composed, and the experts in their colours."""
        layout, ink, theme = self._layout, INK[self.settings.theme], self.settings.theme
        letters, room = layout.letters, self.size[0] - 2 * layout.margin
        said = self.settings.title or title_of(self.recipe, list(titles))
        self._say(figure, layout.margin, layout.margin, 1.35 * letters, ink.text, said, room, weight="bold")
        colours = expert_colours(len(titles), theme)
        columns = _columns(len(titles))
        longest = max(len(title) for title in titles) + 3
        each = min(room / columns, max(0.7 * letters * longest, 8 * letters))
        for place, title in enumerate(titles):
            row, column = divmod(place, columns)
            left = layout.margin + column * each
            down = layout.margin + (2.2 + 1.5 * row) * letters
            spot = ([(left + 0.4 * letters) / self.size[0]], [1 - (down + 0.55 * letters) / self.size[1]])
            size = 0.75 * letters * _POINTS
            figure.add_artist(
                Line2D(*spot, marker="o", markersize=size, color=colours[place], transform=figure.transFigure)
            )
            self._say(figure, left + 1.2 * letters, down, letters, ink.text, f"{place + 1} {title}", each - 2 * letters)

    def _say(
        self,
        figure: Figure,
        left: float,
        top: float,
        letters: float,
        colour: str,
        words: str,
        room: float,
        **style: Any,
    ) -> None:
        across, up = left / self.size[0], 1 - top / self.size[1]
        text = figure.text(across, up, "", fontsize=letters * _POINTS, color=colour, va="top", ha="left", **style)
        write_within(text, words, room)

    def _curves(self, figure: Figure, curves: Curves, titles: Sequence[str], alone: bool) -> list[Line2D]:
        """Draw the curves at the right; their lines."""
        layout, ink, theme, letters = self._layout, INK[self.settings.theme], self.settings.theme, self._layout.letters
        colours = expert_colours(len(titles), theme)
        corrected = self.recipe.correction is not None and curves.effective.size > 0
        parts = ["value", *(["weights"] if len(titles) > 1 else []), *(["effective"] if corrected else [])]
        left = layout.margin + (0 if alone else layout.width + layout.margin) + 5.0 * letters
        wide = self.size[0] - layout.margin - left
        below = 3.0 * letters  # ticks, and what the axis across is
        each = (self.size[1] - layout.top - layout.foot - below) / len(parts)
        lines: list[Line2D] = []
        for place, part in enumerate(parts):
            top, high = layout.top + place * each + 1.6 * letters, each - 2.6 * letters
            across, up = left / self.size[0], 1 - (top + high) / self.size[1]
            axes = figure.add_axes((across, up, wide / self.size[0], high / self.size[1]))
            if part == "effective":
                draw_effective(axes, curves, self.recipe, "level", theme)
                said, unit = EFFECTIVE_TITLE, EFFECTIVE_UNIT
            elif part == "weights":
                draw_curves(axes, curves, "weights", colours)
                said, unit = "Weights", UNITS["weights"]
            else:
                draw_curves(axes, curves, "value", colours)
                said, unit = "Log-density", UNITS["value"]
            lines += axes.lines
            draw_marks(axes, curves, "level", theme)
            over(axes, curves, "level", self.recipe)
            axes.set_ylabel(unit)
            axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
            axes.yaxis.set_label_coords(-4.2 * letters / wide, 0.5)
            if place < len(parts) - 1:
                axes.set_xlabel("")
                axes.tick_params(labelbottom=False)
            else:
                axes.set_xlabel("noise level s")
            self._say(figure, left, top - 1.5 * letters, letters, ink.text, said, wide)
            self._spans.append((axes, wide))
        return lines

    def _foot(self, pen: ImageDraw.ImageDraw, frame: Frame[Any]) -> None:
        """The step and the level of a moment, how far that is, and what the samples show."""
        layout, ink, steps = self._layout, INK[self.settings.theme], self.recipe.levels.steps
        wide, high = self.size
        letters, font = layout.letters, _font(layout.letters)
        top = high - layout.foot + round(0.5 * letters)
        pen.text(
            (layout.margin, top), f"step {frame.index} of {steps} · noise level s = {frame.level:.3g}", ink.text, font
        )
        note = "" if self._pictures is None else self._pictures.note
        small = _font(max(9, round(0.8 * letters)))
        left = wide - layout.margin - pen.textlength(note, small)
        taken = pen.textlength("step 0000 of 0000 · noise level s = 0.000e-00  ", font)
        if left > layout.margin + taken:
            pen.text((left, top + round(0.15 * letters)), note, ink.pale, small)
        bar = max(2, letters // 5)
        down = high - layout.margin // 2 - bar
        room = wide - 2 * layout.margin
        pen.rectangle((layout.margin, down, layout.margin + room, down + bar), ink.grid)
        done = room * frame.index / max(steps, 1)
        pen.rectangle((layout.margin, down, layout.margin + done, down + bar), ink.frame)


def _layout(wide: int, beside: bool, experts: int) -> _Layout:
    letters = round(min(max(wide / (62 if beside else 44), 9), 30))
    margin = max(8, round(0.025 * wide))
    rows = -(-experts // _columns(experts))
    top, foot = margin + round((2.4 + 1.5 * rows + 0.3) * letters), round(2.3 * letters) + margin // 2
    if beside:
        high = wide * 9 // 16
        return _Layout(letters, margin, top, round(0.47 * wide), high - top - foot, foot)
    return _Layout(letters, margin, top, wide - 2 * margin, wide - 2 * margin, foot)


def _columns(experts: int) -> int:
    """Columns in which experts are listed."""
    return min(experts, 2 if experts <= 4 else 3)


@cache
def _font(letters: int) -> ImageFont.FreeTypeFont:
    """The font of all figures, at a height in pixels."""
    return ImageFont.truetype(findfont(FontProperties(family=FONT)), letters)
