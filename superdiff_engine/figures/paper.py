"""Sheets of paper to draw on: matplotlib by its objects alone, the same style, fonts and bytes wherever it is drawn.

matplotlib's settings are global, and it says of itself that two threads must not draw at once. So everything here is
drawn within `drawing`, one sheet at a time, with settings of its own that are put back afterwards.
"""

from __future__ import annotations

import io
import logging
import textwrap
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from unicodedata import bidirectional, east_asian_width

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, fontManager, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from ..domains.picture_files import png
from ..recipes.document import Recipe
from ..system.visible_text import visible

#: Letters of an expert's name in a legend, of a title.
LONGEST_NAME, LONGEST_TITLE = 40, 84
#: Dots per inch of a PNG, unless another number is asked for.
DOTS = 160
#: The font that everything is written in; it comes with matplotlib.
FONT = "DejaVu Sans"
#: Is not seen, and says that the line it begins runs from left to right.
LEFT_TO_RIGHT = "\u200e"
#: Draws any character's kind where no font has it.
_LAST_RESORT = "Last Resort High-Efficiency"


@dataclass(frozen=True)
class Ink:
    """Colours "#rrggbb" of a theme: the ground, what is written, what is said beside, frames, the grid."""

    ground: str
    text: str
    pale: str
    frame: str
    grid: str


INK = {
    "light": Ink("#ffffff", "#1d2a33", "#5b6973", "#8a97a1", "#e4e9ed"),
    "dark": Ink("#10171c", "#dfe7ec", "#9aa8b2", "#74828d", "#26323a"),
}

_lock = threading.RLock()


@contextmanager
def drawing(theme: str, size: float = 10.0) -> Iterator[Ink]:
    """Make and draw figures in here: nobody else does meanwhile, and no setting of the user's has a say.

    Args:
        theme: "light" or "dark".
        size: of the letters, in points.
    """
    ink = INK[theme]
    settings: dict[Any, Any] = {
        "font.family": ["sans-serif"],
        "font.sans-serif": [FONT],
        "font.size": size,
        # What anybody typed is shown as typed: no TeX, no mathematics between dollars.
        "text.usetex": False,
        "text.parse_math": False,
        "text.color": ink.text,
        "axes.labelcolor": ink.text,
        "axes.edgecolor": ink.frame,
        "axes.facecolor": ink.ground,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.labelsize": "medium",
        "axes.titlesize": "medium",
        "axes.unicode_minus": True,
        "grid.color": ink.grid,
        "grid.linewidth": 0.8,
        "xtick.color": ink.frame,
        "ytick.color": ink.frame,
        "xtick.labelcolor": ink.text,
        "ytick.labelcolor": ink.text,
        "xtick.labelsize": "small",
        "ytick.labelsize": "small",
        "figure.facecolor": ink.ground,
        "legend.frameon": False,
        "legend.fontsize": "small",
        "lines.solid_joinstyle": "round",
        # Letters as they are drawn, not moved onto pixels: at small sizes these would look like another font.
        "text.hinting": "no_hinting",
        "path.simplify": False,
        # Text that can be searched and edited, and the same names of parts in the same picture.
        "svg.fonttype": "none",
        "svg.hashsalt": "superdiff",
    }
    with _lock, matplotlib.rc_context(), _quiet_fonts():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield ink


@contextmanager
def _quiet_fonts() -> Iterator[None]:
    """A font that lends a few letters may have no bold ones; that is no news."""
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches, whose parts keep clear of each other; within `drawing`."""
    apart = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06, wspace=0.04, hspace=0.05)
    return Figure(figsize=(width, height), layout=apart)


def new_sheet(width: float, height: float, dots: float) -> Figure:
    """An empty figure, inches of so many pixels, on which everything is put into its place; within `drawing`."""
    return Figure(figsize=(width, height), dpi=dots)


def head(figure: Figure, title: str, *facts: str) -> None:
    """The title of a figure, and paler lines of facts below it, each shortened to what there is room for."""
    size = matplotlib.rcParams["font.size"]
    points = 72 * figure.get_figwidth()
    words = shortened(title, min(LONGEST_TITLE, int(points / (0.7 * 1.25 * size))))
    write(figure.suptitle("", x=0.012, ha="left", fontsize=1.25 * size, fontweight="bold"), words)
    room = int((points - 50) / (0.54 * 0.82 * size))  # letters of a line, about
    lines = [line for fact in facts for line in wrapped(fact, room, 2)]
    if lines:
        below = figure.axes[0].set_title("", loc="left", fontsize=0.82 * size, color=_ink_of(figure).pale, pad=8)
        write(below, "\n".join(lines))


def _ink_of(figure: Figure) -> Ink:
    ground = matplotlib.colors.to_hex(figure.get_facecolor())
    return next(ink for ink in INK.values() if ink.ground == ground)


def legend(figure: Figure, lines: Sequence[Any], names: Sequence[str], columns: int | None = None) -> None:
    """A legend below everything, in which the names stand as typed; long ones are shortened.

    Args:
        figure: that it belongs to.
        lines: artists, one for each name.
        names: of any script.
        columns: of the legend; None for as many as there is room for.
    """
    if not lines:
        return
    short = [shortened(name, LONGEST_NAME) for name in names]
    if columns is None:
        room = figure.get_figwidth() * 72 / (0.62 * 0.84 * matplotlib.rcParams["font.size"])
        columns = max(1, min(len(short), int(room / (6 + max(map(len, short))))))
    # A label that begins with "_" would be left out: every one gets its text afterwards.
    made = figure.legend(lines, [f"{place}" for place in range(len(lines))], loc="outside lower left", ncols=columns)
    for text, name in zip(made.get_texts(), short, strict=True):
        write(text, name)


def write(text: Text, words: str) -> Text:
    """Put words of any script into a text of a figure, as they are, in fonts that have their letters."""
    shown = visible(words, keep="\n")
    text.set_fontfamily(families(shown))
    # A line that a script from right to left begins in would put the expert's number at its end.
    mixed = any(bidirectional(letter) in ("R", "AL") for letter in shown)
    text.set_text(f"{LEFT_TO_RIGHT}{shown}" if mixed else shown)
    return text


def shortened(words: str, most: int) -> str:
    """Words on one line, cut to the room of at most so many letters, with a sign that they were."""
    line = " ".join(words.split())
    most = int(most / _breadth(line))
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def wrapped(words: str, letters: int, most: int) -> list[str]:
    """Words in at most so many lines of so many letters; what has no room ends in a sign that it goes on."""
    return textwrap.wrap(words, int(letters / _breadth(words)), max_lines=most, placeholder=" …")


def _breadth(words: str) -> float:
    """How broad a letter is on average, where those of the Latin script are 1 and full-width ones 2."""
    wide = sum(east_asian_width(letter) in "WF" for letter in words)
    return 1 + wide / max(len(words), 1)


def write_within(text: Text, words: str, width: float) -> Text:
    """Write words as `write` does, cut until they are no broader than `width` pixels."""
    line = " ".join(words.split())
    most = len(line)
    write(text, line)
    while most > 1 and (found := text.get_window_extent().width) > width:
        most = min(most - 1, max(1, int(most * width / found)))
        write(text, f"{line[: most - 1].rstrip()}…")
    return text


def families(words: str) -> list[str]:
    """The fonts to write words with, first the usual one, then those that have what it lacks, as far as any does."""
    missing = sorted({ord(letter) for letter in words if not letter.isspace()} - _letters_of(FONT))
    found = [font for font in dict.fromkeys(_font_with(code) for code in missing) if font]
    others = [_LAST_RESORT] if missing and _LAST_RESORT in _fonts() else []
    return [FONT, *found, *others, "sans-serif"] if missing else ["sans-serif"]


@cache
def _fonts() -> dict[str, FontEntry]:
    """The upright fonts of normal weight of this machine by their names, those for reading on screens first."""
    plain = [one for one in fontManager.ttflist if one.style == "normal" and str(one.weight) in ("400", "normal")]
    plain.sort(key=lambda one: ("Sans" not in one.name, "Mono" in one.name, one.name, one.fname))
    found: dict[str, FontEntry] = {}
    for one in plain:
        found.setdefault(one.name, one)
    return found


@cache
def _letters_of(font: str) -> frozenset[int]:
    entry = _fonts().get(font)
    if entry is None:
        return frozenset()
    try:
        return frozenset(get_font(entry.fname).get_charmap())
    except (OSError, RuntimeError):  # a font that cannot be read draws nothing
        return frozenset()


@cache
def _font_with(code: int) -> str:
    """The first font that has a letter; "" where none does."""
    names = [name for name in _fonts() if name not in (FONT, _LAST_RESORT)]
    return next((name for name in names if code in _letters_of(name)), "")


def single(axes: Axes, x: np.ndarray, values: np.ndarray, **style: Any) -> Line2D:
    """Columns of values [k, n] as one line, with a gap after each."""
    gap = np.full((1, values.shape[1]), np.nan)
    (line,) = axes.plot(
        np.tile(np.append(x, np.nan), values.shape[1]), np.concatenate([values, gap]).T.ravel(), **style
    )
    return line


def number(value: float) -> str:
    """A number of an axis: 0.05, 2, 1000."""
    return f"{value:g}".replace("-", "−")


def to_image(figure: Figure, dots: float = DOTS) -> Image.Image:
    """The figure as an RGB picture, `dots` pixels an inch; within `drawing`."""
    figure.set_dpi(dots)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def to_png(figure: Figure, recipe: Recipe, dots: float = DOTS) -> bytes:
    """The figure as a PNG with the recipe inside; within `drawing`."""
    return png(to_image(figure, dots), recipe)


def to_svg(figure: Figure, recipe: Recipe, title: str) -> bytes:
    """The figure as an SVG, its text as text; title and recipe (as JSON, and as the end of an address) are in its
    metadata. Without a date: the same figure is the same bytes. Within `drawing`.
    """
    buffer = io.StringIO()
    told: dict[str, Any] = {
        "Title": visible(title, keep=""),
        "Creator": "SuperDiff Studio, arXiv 2412.17762",
        "Description": recipe.to_json(),
        "Source": f"?recipe={recipe.to_link()}",
        "Date": None,
    }
    FigureCanvasSVG(figure).print_svg(buffer, metadata=told)
    return buffer.getvalue().encode()


def numbered(titles: Iterable[str]) -> list[str]:
    """What experts are called in charts: their number and title, so that two of a kind can be told apart."""
    return [f"{position} {title}" for position, title in enumerate(titles, start=1)]
