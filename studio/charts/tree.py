"""A formula as a tree, in SVG: its root on the left, the experts with their numbers and colours on the right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from unicodedata import east_asian_width

from superdiff_engine.domains.colours import rgb
from superdiff_engine.formula import Both, ButNot, Either, ExpertTerm, Formula, WeightedSum, Xor
from superdiff_engine.recipes.formula_words import even_weight, number_words
from superdiff_engine.system.visible_text import visible

#: Leaves and levels that are drawn; what lies beyond them is a node "…".
MOST_LEAVES, MOST_LEVELS = 24, 7
#: Letters of an expert's name.
LONGEST_NAME = 24
_ROW, _MARGIN, _FONT, _DOT = 28, 3, 13, 10
_GAP, _LABELLED_GAP = 20, 44


@dataclass(frozen=True)
class Ink:
    """Colours "#rrggbb" of words, of lines, and of the pills that the words stand on."""

    text: str
    line: str
    pill: str


INK = {"light": Ink("#1d2a33", "#8a97a1", "#e6edf2"), "dark": Ink("#dfe7ec", "#74828d", "#2a3842")}


def formula_svg(formula: Formula, names: Sequence[str], colours: Sequence[str], theme: str) -> str:
    """The drawing, as wide and high as it needs to be, in pixels.

    Args:
        formula: of nodes that have a text.
        names: of the experts; any text.
        colours: "#rrggbb" of the experts.
        theme: "light" or "dark".
    """
    root = _tree(formula, names, colours, 1)
    columns: dict[int, float] = {}
    _measure(root, 0, columns)
    starts = {0: float(_MARGIN)}
    for depth in range(len(columns) - 1):
        gap = _LABELLED_GAP if depth + 1 in _labelled(root, 0) else _GAP
        starts[depth + 1] = starts[depth] + columns[depth] + gap
    rows = _place(root, 0)
    width, height = starts[max(starts)] + columns[max(starts)] + _MARGIN, rows * _ROW + 2 * _MARGIN
    if len(columns) > 1:
        # A leaf of a low depth may reach further than the last column.
        width = max(width, _reach(root, 0, starts) + _MARGIN)
    lines: list[str] = []
    marks: list[str] = []
    _draw(root, 0, starts, columns, INK[theme], lines, marks)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif" '
        f'font-size="{_FONT}">{"".join(lines)}{"".join(marks)}</svg>'
    )


@dataclass
class _Node:
    """A node to draw: an operator's word, or an expert with its number and colour."""

    word: str
    parts: Sequence[_Node] = ()
    number: str = ""
    colour: str = ""
    label: str = ""  # of the line that leads to it
    avoided: bool = False
    row: float = 0.0

    @property
    def width(self) -> float:
        if self.number:
            return 2 * _DOT + (6 + _text_width(self.word) if self.word else 0)
        return _text_width(self.word) + 16


def _text_width(text: str) -> float:
    """In pixels, with room to spare, whatever the font."""
    return sum(_FONT if east_asian_width(letter) in "WF" else 0.58 * _FONT for letter in text)


def _tree(formula: Formula, names: Sequence[str], colours: Sequence[str], level: int) -> _Node:
    if isinstance(formula, ExpertTerm):
        name = visible(" ".join(names[formula.index].split()))
        name = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
        return _Node(name, (), str(formula.index + 1), colours[formula.index])
    if level >= MOST_LEVELS:
        return _Node("…")
    parts = [_tree(part, names, colours, level + 1) for part in formula.parts]

    def with_number(word: str, letter: str, number: float) -> _Node:
        return _Node(word if number == 1 else f"{word}, {letter} = {number_words(number)}", parts)

    match formula:
        case Either(_, temperature, _):
            root = with_number("or", "T", temperature)
        case Both(_, sharpness):
            root = with_number("and", "T", sharpness)
        case Xor(_, _, strength):
            root = with_number("xor", "g", strength)
        case ButNot(_, _, strength):
            root = with_number("but not", "g", strength)
            parts[1].avoided, parts[1].label = True, "not"
        case WeightedSum(_, weights):
            root = _Node(_sum_word(formula), parts)
            for part, weight in zip(parts, weights, strict=True):
                part.avoided = weight < 0
                part.label = number_words(weight) if root.word == "sum" else ""
        case _:
            raise TypeError(f"{type(formula).__name__} is not drawn.")
    return _few_leaves(root)


def _sum_word(formula: WeightedSum) -> str:
    if len(formula.of) == 1:
        return f"power {number_words(formula.weights[0])}"
    if all(weight == 1 for weight in formula.weights):
        return "product"
    even = even_weight(formula)
    alone = all(isinstance(part, ExpertTerm) for part in formula.of)
    return "mean" if alone and even is not None and math.isclose(even * len(formula.of), 1) else "sum"


def _few_leaves(root: _Node) -> _Node:
    if _leaves(root) <= MOST_LEAVES:
        return root
    kept: list[_Node] = []
    for part in root.parts:
        if sum(map(_leaves, kept)) + _leaves(part) >= MOST_LEAVES:
            break
        kept.append(part)
    return _Node(root.word, [*kept, _Node("…")])


def _leaves(node: _Node) -> int:
    return sum(map(_leaves, node.parts)) or 1


def _measure(node: _Node, depth: int, columns: dict[int, float]) -> None:
    """Of each depth the width of its widest node that has parts, or of its widest leaf where none has."""
    for part in node.parts:
        _measure(part, depth + 1, columns)
    columns[depth] = max(columns.get(depth, 0.0), node.width if node.parts or depth + 1 not in columns else 0.0)


def _labelled(node: _Node, depth: int) -> set[int]:
    """The depths to which a line with a label leads."""
    found = {depth} if node.label else set()
    return found.union(*(_labelled(part, depth + 1) for part in node.parts))


def _reach(node: _Node, depth: int, starts: dict[int, float]) -> float:
    own = starts[depth] + node.width
    return max([own, *(_reach(part, depth + 1, starts) for part in node.parts)])


def _place(node: _Node, row: int) -> int:
    """Give a node and its parts their rows from `row` on; returns the next free row."""
    if not node.parts:
        node.row = row
        return row + 1
    for part in node.parts:
        row = _place(part, row)
    node.row = (node.parts[0].row + node.parts[-1].row) / 2
    return row


def _draw(
    node: _Node,
    depth: int,
    starts: dict[int, float],
    columns: dict[int, float],
    ink: Ink,
    lines: list[str],
    marks: list[str],
) -> None:
    x, y = starts[depth], _height(node)
    base = 'dominant-baseline="central"'
    if node.number:
        marks.append(f'<circle cx="{x + _DOT:.1f}" cy="{y:.1f}" r="{_DOT}" fill="{node.colour}"/>')
        marks.append(
            f'<text x="{x + _DOT:.1f}" y="{y:.1f}" {base} text-anchor="middle" font-weight="600" font-size="12" '
            f'fill="{_on(node.colour)}">{node.number}</text>'
        )
        marks.append(
            f'<text x="{x + 2 * _DOT + 6:.1f}" y="{y:.1f}" {base} fill="{ink.text}">{escape(node.word)}</text>'
        )
    else:
        marks.append(
            f'<rect x="{x:.1f}" y="{y - 10:.1f}" width="{node.width:.1f}" height="20" rx="6" fill="{ink.pill}"/>'
            f'<text x="{x + node.width / 2:.1f}" y="{y:.1f}" {base} text-anchor="middle" font-weight="600" '
            f'fill="{ink.text}">{escape(node.word)}</text>'
        )
    for part in node.parts:
        begin, end, level = x + node.width, starts[depth + 1], _height(part)
        turn = starts[depth] + columns[depth] + _GAP / 2
        dashes = ' stroke-dasharray="3 3"' if part.avoided else ""
        lines.append(
            f'<path d="M{begin:.1f} {y:.1f} H{turn - 6:.1f} C{turn:.1f} {y:.1f} {turn - 4:.1f} {level:.1f} '
            f'{turn + 4:.1f} {level:.1f} H{end:.1f}" fill="none" stroke="{ink.line}" stroke-width="1.5"{dashes}/>'
        )
        if part.label:
            marks.append(
                f'<text x="{end - 4:.1f}" y="{level - 5:.1f}" text-anchor="end" font-size="11" '
                f'fill="{ink.text}">{escape(part.label)}</text>'
            )
        _draw(part, depth + 1, starts, columns, ink, lines, marks)


def _height(node: _Node) -> float:
    return _MARGIN + (node.row + 0.5) * _ROW


def _on(colour: str) -> str:
    """Black or white, whichever stands out more on a colour (relative luminance, WCAG 2)."""
    linear = [(part / 255) ** 2.2 for part in rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"
