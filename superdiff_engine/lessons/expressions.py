r"""What a lesson says in numbers: references to figures of its runs, and comparisons of them. Nothing runs as Python.

    even.share_1               a figure of the run `even` (`figures.FIGURES`)
    even["within_all"]         a figure of its domain, by its key (`Domain.figures`)
    even[steps]                the value of a parameter in its recipe (`runs.fields.PARAMETERS`)

A claim is one comparison or a chain of them, of sums and products:

    claim      = sum (("<" | "<=" | ">" | ">=") sum)+
    sum        = product (("+" | "-") product)*
    product    = factor (("*" | "/") factor)*
    factor     = number | reference | "-" factor | "(" sum ")" | "abs" "(" sum ")"
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import RecipeError, quoted

#: Letters of a claim, which bounds how deep it is nested.
LONGEST = 300

_NAME = r"[A-Za-z][A-Za-z0-9_]*"
_REFERENCE = rf'({_NAME})(?:\.({_NAME})|\["([^"\n]+)"\]|\[([A-Za-z0-9_ ]+)\])'
#: In Markdown: what is no reference because it is a formula or code, or a reference in braces.
_IN_TEXT = re.compile(rf"(\$\$.*?\$\$|\$[^$\n]*\$|`[^`\n]*`)|\{{{_REFERENCE}\}}", re.DOTALL)
_TOKEN = re.compile(rf"\s*(?:([0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)|{_REFERENCE}|(abs\b)|(<=|>=|[-+*/()<>]))")

_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SUMS: dict[str, Callable[[float, float], float]] = {"+": operator.add, "-": operator.sub}
_PRODUCTS: dict[str, Callable[[float, float], float]] = {"*": operator.mul, "/": operator.truediv}


@dataclass(frozen=True)
class Reference:
    """Something of a run that is named.

    Attributes:
        run: its name in the lesson.
        kind: "figure", a "key" of the domain's figures, or a "setting" of the recipe.
        name: of it.
    """

    run: str
    kind: Literal["figure", "key", "setting"]
    name: str

    def __str__(self) -> str:
        form = {"figure": ".{}", "key": '["{}"]', "setting": "[{}]"}[self.kind]
        return self.run + form.format(self.name)


#: The value of a reference; NaN where it is not known.
Lookup = Callable[[Reference], float]
Sum = Callable[[Lookup], float]


@dataclass(frozen=True)
class Claim:
    """A chain of comparisons.

    Attributes:
        text: as it was written.
        references: that stand in it.
        sides: that are compared, two or more.
        signs: between them.
    """

    text: str
    references: tuple[Reference, ...]
    sides: tuple[Sum, ...]
    signs: tuple[str, ...]

    def holds(self, lookup: Lookup) -> bool:
        """Whether all comparisons are true; false where a value is not known, or by zero is divided."""
        try:
            values = [side(lookup) for side in self.sides]
        except (ZeroDivisionError, OverflowError):
            return False
        # No comparison with NaN is true.
        pairs = zip(self.signs, values[:-1], values[1:], strict=True)
        return all(_ORDER[sign](first, second) for sign, first, second in pairs)


def _reference(parts: Sequence[str | None]) -> Reference:
    run, figure, key, setting = parts
    assert run is not None
    if figure is not None:
        return Reference(run, "figure", figure)
    return (
        Reference(run, "key", key) if key is not None else Reference(run, "setting", " ".join((setting or "").split()))
    )


def references_in(text: str) -> Iterator[tuple[int, Reference]]:
    """(offset, reference) of everything in Markdown that `fill` would replace."""
    for found in _IN_TEXT.finditer(text):
        if found[1] is None:
            yield found.start(), _reference(found.groups()[1:])


def unfilled_in(text: str, runs: Sequence[str]) -> Iterator[tuple[int, str]]:
    """(offset, words) of what names a run in braces outside of code, and that `fill` would leave as it is."""
    for found in _IN_TEXT.finditer(text):
        if found[0].startswith("$"):
            for inner in re.finditer(rf"\{{({_REFERENCE})\}}", found[0]):
                if inner[2] in runs:
                    yield found.start() + inner.start(), inner[0]
    plain = _IN_TEXT.sub(lambda found: " " * len(found[0]), text)
    for found in re.finditer(rf"\{{\s*({_NAME})\b[^{{}}\n]*\}}", plain):
        if found[1] in runs:
            yield found.start(), found[0]


def fill(text: str, said: Callable[[Reference], str]) -> str:
    """Markdown with every reference in braces replaced by what is said of it; formulas and code stay as they are."""
    return _IN_TEXT.sub(lambda found: found[0] if found[1] is not None else said(_reference(found.groups()[1:])), text)


def parse_claim(text: str) -> Claim:
    """Read a claim.

    Raises:
        RecipeError: what is wrong with it, in a sentence.
    """
    return _Reader(text).claim()


class _Reader:
    """A claim, token by token."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise RecipeError(f"A claim has at most {LONGEST} letters, this one has {len(text)}.")
        self.text, self.place = text, 0
        self.references: list[Reference] = []
        self._read()

    def _read(self) -> None:
        """The next token: `kind` is "number", "reference", "abs", a sign, or "" at the end."""
        found = _TOKEN.match(self.text, self.place)
        self.before = self.place
        if found is None:
            rest = self.text[self.place :].strip()
            if rest:
                raise RecipeError(
                    f"'{quoted(rest)}' cannot be read; write comparisons of numbers and figures, such as a.gap > 2 * "
                    "b.gap, where a and b are runs."
                )
            self.kind, self.value = "", ""
            return
        number, *reference, absolute, sign = found.groups()
        self.place = found.end()
        self.kind = "number" if number else "abs" if absolute else sign or "reference"
        self.value = number or ""
        self.reference = None if reference[0] is None else _reference(reference)

    def claim(self) -> Claim:
        sides, signs = [self._sum()], []
        while self.kind in _ORDER:
            signs.append(self.kind)
            self._read()
            sides.append(self._sum())
        if self.kind:
            raise self._unexpected()
        if not signs:
            raise RecipeError(f"'{quoted(self.text)}' compares nothing; it needs one of <, <=, >, >=.")
        return Claim(self.text, tuple(self.references), tuple(sides), tuple(signs))

    def _unexpected(self) -> RecipeError:
        rest = self.text[self.before :].strip()
        after = self.text[: self.before].strip()
        where = f" after '{quoted(after)}'" if after else ""
        return RecipeError(f"Something is missing{where}{f', before {quoted(rest)!r}' if rest else ''}.")

    def _chain(self, part: Callable[[], Sum], signs: dict[str, Callable[[float, float], float]]) -> Sum:
        whole = part()
        while self.kind in signs:
            act = signs[self.kind]
            self._read()
            whole = _joined(act, whole, part())
        return whole

    def _sum(self) -> Sum:
        return self._chain(self._product, _SUMS)

    def _product(self) -> Sum:
        return self._chain(self._factor, _PRODUCTS)

    def _factor(self) -> Sum:
        kind = self.kind
        if kind == "number":
            value = float(self.value)
            self._read()
            return lambda lookup: value
        if kind == "reference" and self.reference is not None:
            reference = self.reference
            self.references.append(reference)
            self._read()
            return lambda lookup: lookup(reference)
        if kind == "-":
            self._read()
            inner = self._factor()
            return lambda lookup: -inner(lookup)
        if kind in ("(", "abs"):
            self._read()
            if kind == "abs":
                self._skip("(")
            inner = self._sum()
            self._skip(")")
            return (lambda lookup: abs(inner(lookup))) if kind == "abs" else inner
        raise self._unexpected()

    def _skip(self, sign: str) -> None:
        if self.kind != sign:
            raise self._unexpected()
        self._read()


def _joined(act: Callable[[float, float], float], first: Sum, second: Sum) -> Sum:
    return lambda lookup: act(first(lookup), second(lookup))
