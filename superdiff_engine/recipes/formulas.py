"""Formulas as text: `1 and not 2`, `(1 or 2) and 3`, `1.5*1 - 0.5*2`; parsed, and printed so that they parse again.

    formula = xor ("or" [T] xor)*                   OR at the inverse temperature T, 1 where none is given
    xor     = and ["xor" [g] and]                   one of two and not the other, with the strength g (1)
    and     = sum ("and" [T] sum | ("and" | "but") "not" [g] sum)*
                                                    soft AND of the sharpness T (1), and NOT of the strength g (1)
    sum     = ["-"] term (("+" | "-") term)*        log-densities added up: the product of densities
    term    = number "*" term | atom ["^" number]   a weight, which is a power of the density
    atom    = expert | "(" formula ")" | "temperature" "(" formula "," number ")"

A bracket after a word holds its number: `1 and[4] 2`, `1 or[10] 2`, `1 but not[0.5] 2`. An expert is its number (1 is
the first), its name, or its name in quotation marks: `"a lion" but not "a cat"`. "temperature" is a power too, 1 / T.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from ..errors import ArgumentError
from ..formula import Both, ButNot, Either, ExpertTerm, Formula, WeightedSum, Xor, tempered
from .parameters import short_number

#: Characters of a formula, and how deep its parentheses may nest.
LONGEST, DEEPEST = 2000, 40
#: The largest weight, power, sharpness or strength, either way.
LARGEST = 1000.0
#: The least sum of a formula's weights: the run starts with the variance s^2 over it.
LEAST_TOTAL = 0.01
_WORDS = ("or", "xor", "and", "but", "not", "temperature")
_ALSO = {"&": "and", "|": "or"}
_OTHER_SIGNS = {"−": "-", "–": "-", "×": "*", "·": "*", "“": '"', "”": '"', "„": '"'}
_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|(?P<quoted>"[^"]*"|'[^']*')"""
    r"""|(?P<word>[^\W\d]\w*)|(?P<sign>[()\[\]+\-*^,&|?])"""
)


class FormulaError(ArgumentError):
    """A text that is no formula, in one sentence; `position` is that of the character where it goes wrong, 0 first."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True)
class _Token:
    kind: str  # "number", "name", "word", "sign" or "end"
    text: str
    position: int

    @property
    def said(self) -> str:
        return "the formula ends" if self.kind == "end" else f"'{self.text}' stands there"


def parse_formula(text: str, names: Sequence[str]) -> Formula:
    """The formula that a text says.

    Args:
        text: as described above.
        names: of the experts, in their order; each can be meant by its number too.

    Raises:
        FormulaError: what was expected at which character, or why there is no such density, in one sentence.
    """
    if len(text) > LONGEST:
        raise FormulaError(f"The formula has {len(text)} characters; at most {LONGEST} are read.", LONGEST)
    return _Parser(_tokens(text), names).whole()


def renumber_formula(text: str, places: Sequence[int | None]) -> str:
    """The text after the experts have changed places, each number still that of its expert; as typed in all else.

    Args:
        text: a formula, or what is to become one.
        places: of each expert where it stands now, 0 first; None where it has gone, whose number becomes "?".
    """
    try:
        tokens = _tokens(text)
    except FormulaError:
        return text
    for before, token, after in reversed(list(zip([None, *tokens], tokens, tokens[1:], strict=False))):
        # A number in front of * is a weight; one after ^, [ or a comma is a power, a bracket's or a temperature.
        measures = after.text == "*" or (before is not None and before.kind == "sign" and before.text in "^[,")
        if token.kind != "number" or measures or not token.text.isdigit() or not 1 <= int(token.text) <= len(places):
            continue
        place = places[int(token.text) - 1]
        said = "?" if place is None else str(place + 1)
        text = text[: token.position] + said + text[token.position + len(token.text) :]
    return text


def print_formula(formula: Formula, names: Sequence[str] | None = None) -> str:
    """The text of a formula, which `parse_formula` reads as the same formula.

    Args:
        formula: of nodes that have a text.
        names: what to call the experts; None for their numbers.
    """
    return _printed(formula, names)[0]


def _plain(text: str) -> str:
    """With the keyboard's signs in place of the typographic ones."""
    return "".join(_OTHER_SIGNS.get(one, one) for one in text)


def _tokens(text: str) -> list[_Token]:
    plain = _plain(text)
    found, place = [], 0
    while place < len(plain):
        match = _TOKEN.match(plain, place)
        if match is None:
            if plain[place] in "\"'":
                raise FormulaError(
                    f"At character {place + 1} a name begins whose closing quotation mark is missing.", place
                )
            raise FormulaError(
                f"At character {place + 1} stands '{text[place]}', which means nothing in a formula; use and, or, not, "
                "xor, + - * ^ ( ) and experts' numbers or names.",
                place,
            )
        kind, said = str(match.lastgroup), match.group()
        if kind == "quoted":
            found.append(_Token("name", said[1:-1], place))
        elif kind == "word":
            word = said.lower() in _WORDS
            found.append(_Token("word" if word else "name", said.lower() if word else said, place))
        elif said in _ALSO:
            found.append(_Token("word", _ALSO[said], place))
        elif kind != "space":
            found.append(_Token(kind, said, place))
        place = match.end()
    return [*found, _Token("end", "", len(text))]


class _Parser:
    """One text being read, token by token."""

    def __init__(self, tokens: list[_Token], names: Sequence[str]) -> None:
        self.tokens, self.names, self.place, self.depth = tokens, names, 0, 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.place]

    def fail(self, expected: str) -> NoReturn:
        raise FormulaError(
            f"At character {self.token.position + 1} of the formula {expected} is expected, but {self.token.said}.",
            self.token.position,
        )

    def take(self, *texts: str) -> _Token | None:
        """The token, if it is a word or sign among these."""
        token = self.token
        if token.kind in ("word", "sign") and token.text in texts:
            self.place += 1
            return token
        return None

    def need(self, text: str, what: str) -> None:
        if self.take(text) is None:
            self.fail(what)

    def whole(self) -> Formula:
        """The formula of all tokens."""
        if self.token.kind == "end":
            raise FormulaError("The formula is empty; write, for example, 1 and not 2.", 0)
        formula = self.formula()
        if self.token.kind != "end":
            self.fail("and, or, not, xor, + or - or the end")
        try:
            formula.check(len(self.names))
        except ArgumentError as error:
            raise FormulaError(str(error), 0) from None
        if not LEAST_TOTAL <= formula.total <= LARGEST:
            raise FormulaError(
                f"The formula's weights sum to {formula.total:.4g}; they may sum to {LEAST_TOTAL:g} up to {LARGEST:g}.",
                0,
            )
        return formula

    def formula(self) -> Formula:
        start = self.token.position
        parts, bracket = [self.xor()], 0.0
        while self.take("or"):
            number = self.bracket(0.0, "the inverse temperature of 'or'", 1.0)
            if len(parts) > 1 and number != bracket:
                parts = [self.made(start, lambda of=tuple(parts), t=bracket: Either(of, t))]
            bracket = number
            parts.append(self.xor())
        return parts[0] if len(parts) == 1 else self.made(start, lambda: Either(tuple(parts), bracket))

    def xor(self) -> Formula:
        start = self.token.position
        first = self.conjunction()
        if not self.take("xor"):
            return first
        strength = self.bracket(1e-6, "the strength of 'xor'", 1.0)
        second = self.conjunction()
        if self.token.text == "xor" and self.token.kind == "word":
            raise FormulaError(
                f"At character {self.token.position + 1} a third formula follows 'xor', which takes two; set two of "
                "them in parentheses.",
                self.token.position,
            )
        return self.made(start, lambda: Xor(first, second, strength))

    def conjunction(self) -> Formula:
        start = self.token.position
        parts, bracket = [self.sum()], 0.0

        def joined() -> Formula:
            if len(parts) == 1:
                return parts[0]
            return self.made(start, lambda of=tuple(parts), t=bracket: Both(of, t))

        while True:
            if self.take("but"):
                self.need("not", "'not'")
                negated = True
            elif self.take("and"):
                negated = self.take("not") is not None
            elif self.take("not"):
                negated = True
            else:
                return joined()
            if negated:
                strength = self.bracket(1e-6, "the strength of 'not'", 1.0)
                kept, avoided = joined(), self.sum()
                parts = [self.made(start, lambda a=kept, b=avoided, g=strength: ButNot(a, b, g))]
                continue
            sharpness = self.bracket(1e-6, "the sharpness of 'and'", 1.0)
            if len(parts) > 1 and sharpness != bracket:
                parts = [joined()]
            bracket = sharpness
            parts.append(self.sum())

    def sum(self) -> Formula:
        start = self.token.position
        sign = -1.0 if self.take("-") else 1.0
        parts, weights = [], []
        while True:
            weight, part = self.term()
            parts.append(part)
            weights.append(sign * weight)
            follows = self.take("+", "-")
            if follows is None:
                break
            sign = -1.0 if follows.text == "-" else 1.0
        if weights == [1.0]:
            return parts[0]
        return self.made(start, lambda: WeightedSum(tuple(parts), tuple(weights)))

    def term(self) -> tuple[float, Formula]:
        """A weight and what it weighs."""
        after = self.tokens[self.place + 1] if self.token.kind == "number" else self.token
        if self.token.kind == "number" and after.kind == "sign" and after.text == "*":
            weight = self.number(0.0, "a weight")
            self.place += 1
            inner, part = self.term()
            return weight * inner, part
        part = self.atom()
        if self.take("^"):
            return self.number(0.0, "a power"), part
        return 1.0, part

    def atom(self) -> Formula:
        token = self.token
        if token.kind == "number":
            self.place += 1
            if not token.text.isdigit():
                raise FormulaError(
                    f"At character {token.position + 1} stands {token.text}, which is no expert's number; a weight is "
                    f"followed by *, as in {token.text}*1.",
                    token.position,
                )
            return self.expert(int(token.text[:9]), token)
        if token.kind == "name":
            self.place += 1
            return self.named(token)
        if self.take("?"):
            raise FormulaError(
                f"At character {token.position + 1} stands '?' for an expert that was taken out; write another one in "
                "its place.",
                token.position,
            )
        if self.take("("):
            inner = self.nested()
            self.need(")", "a closing parenthesis")
            return inner
        if self.take("temperature"):
            self.need("(", "a parenthesis after 'temperature'")
            inner = self.nested()
            self.need(",", "a comma and the temperature")
            temperature = self.number(1e-3, "a temperature")
            self.need(")", "a closing parenthesis")
            return self.made(token.position, lambda: tempered(inner, temperature))
        if token.kind == "word" and token.text == "not":
            raise FormulaError(
                f"At character {token.position + 1} 'not' has nothing to take from; write, for example, 1 and not 2.",
                token.position,
            )
        return self.fail("an expert's number or name, or a parenthesis,")

    def nested(self) -> Formula:
        self.depth += 1
        if self.depth > DEEPEST:
            raise FormulaError(f"The formula nests more than {DEEPEST} parentheses.", self.token.position)
        inner = self.formula()
        self.depth -= 1
        return inner

    def expert(self, number: int, token: _Token) -> Formula:
        if not 1 <= number <= len(self.names):
            there = "there is one expert" if len(self.names) == 1 else f"there are {len(self.names)} experts"
            raise FormulaError(
                f"At character {token.position + 1} stands expert {token.text}, but {there} (1 is the first).",
                token.position,
            )
        return ExpertTerm(number - 1)

    def named(self, token: _Token) -> Formula:
        wanted = token.text.strip().casefold()
        places = [place for place, name in enumerate(self.names) if _plain(name).strip().casefold() == wanted]
        if len(places) == 1:
            return ExpertTerm(places[0])
        if places:
            said = f"several experts are called '{token.text}'; use their numbers"
        else:
            known = ", ".join(f"{place + 1} ({name})" for place, name in enumerate(self.names))
            said = f"no expert is called '{token.text}'; there are {known}"
        raise FormulaError(f"At character {token.position + 1}: {said}.", token.position)

    def bracket(self, least: float, what: str, default: float) -> float:
        if not self.take("["):
            return default
        number = self.number(least, what)
        self.need("]", "a closing bracket")
        return number

    def number(self, least: float, what: str) -> float:
        token = self.token
        if token.kind != "number":
            self.fail(f"{what}, a number,")
        self.place += 1
        value = float(token.text)
        if not least <= value <= LARGEST:
            raise FormulaError(
                f"At character {token.position + 1}: {what} must be from {least:g} to {LARGEST:g}, got {token.text}.",
                token.position,
            )
        return value

    def made(self, start: int, make: object) -> Formula:
        """What `make` makes, with the place in the text where it cannot be."""
        assert callable(make)
        try:
            formula = make()
        except ArgumentError as error:
            said = str(error)
            said = said if said[1:2].isupper() else said[:1].lower() + said[1:]  # OR stays OR
            raise FormulaError(f"At character {start + 1}: {said}", start) from None
        assert isinstance(formula, Formula)
        return formula


#: How tightly nodes bind, loosest first.
_OR, _XOR, _AND, _SUM, _ATOM = range(5)


def _printed(formula: Formula, names: Sequence[str] | None) -> tuple[str, int]:
    """(text, how tightly its outermost sign binds)."""

    def inside(part: Formula, least: int) -> str:
        text, tightness = _printed(part, names)
        return text if tightness >= least else f"({text})"

    match formula:
        case ExpertTerm(index):
            return _called(index, names), _ATOM
        case Either(of, temperature, None):
            word = f" or{_bracket(temperature)} "
            return word.join(inside(part, _XOR) for part in of), _OR
        case Xor(first, second, strength):
            return f"{inside(first, _AND)} xor{_bracket(strength)} {inside(second, _AND)}", _XOR
        case ButNot(kept, avoided, strength):
            # On its left a NOT or an AND reads as it stands.
            return f"{inside(kept, _AND)} and not{_bracket(strength)} {inside(avoided, _SUM)}", _AND
        case Both(of, sharpness):
            word = f" and{_bracket(sharpness)} "
            return word.join(inside(part, _SUM) for part in of), _AND
        case WeightedSum(of, weights):
            text = ""
            for weight, part in zip(weights, of, strict=True):
                sign = ("-" if weight < 0 else "") if not text else (" - " if weight < 0 else " + ")
                factor = "" if abs(weight) == 1 and len(of) > 1 else f"{short_number(abs(weight))}*"
                text += sign + factor + inside(part, _ATOM)
            return text, _SUM
    raise ArgumentError(f"{type(formula).__name__} has no text.")


def _bracket(number: float) -> str:
    return "" if number == 1 else f"[{short_number(number)}]"


def _called(index: int, names: Sequence[str] | None) -> str:
    """An expert's name where it means that expert alone, else its number."""
    if names is None:
        return str(index + 1)
    plain = [_plain(name).strip() for name in names]
    name = plain[index]
    alone = [one.casefold() for one in plain].count(name.casefold()) == 1
    if not alone or not name or '"' in name:
        return str(index + 1)
    bare = re.fullmatch(r"[^\W\d]\w*", name) and name.lower() not in _WORDS
    return name if bare else f'"{name}"'
