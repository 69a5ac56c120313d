"""Formulas for people: in words, as LaTeX of the densities, and what the sum of their weights means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ..formula import Both, ButNot, Either, ExpertTerm, Formula, WeightedSum, Xor


def number_words(value: float) -> str:
    """A number to four digits, with a minus sign."""
    return f"{value:.4g}".replace("-", "−")


def even_weight(formula: Formula) -> float | None:
    """The weight that every expert of a linear formula has, where all have the same; else None."""
    weights = list(linear_weights(formula).values()) if formula.linear else []
    return weights[0] if weights and all(math.isclose(weight, weights[0]) for weight in weights) else None


def linear_weights(formula: Formula) -> dict[int, float]:
    """The weights of a linear formula by the experts' positions, wherever these stand."""
    gradient = formula.at(torch.zeros(max(formula.experts) + 1, 1, dtype=torch.float64)).gradient[:, 0].tolist()
    return {index: gradient[index] for index in sorted(formula.experts)}


def formula_in_words(formula: Formula, names: Sequence[str]) -> str:
    """What samples of the formula are like, with the experts' names: "a lion but not a cat".

    Args:
        formula: of nodes that have a text.
        names: of the experts, in their order.
    """
    return _said(formula, names)


def total_in_words(formula: Formula) -> str:
    """What a formula's weights sum to, and what that means: "weights sum to 2: a product"."""
    total, even = formula.total, even_weight(formula)
    said = f"weights sum to {number_words(total)}"
    many = len(formula.experts) > 1
    if many and even is not None and math.isclose(even, 1):
        return f"{said}: a product"
    if math.isclose(total, 1):
        if many and formula.linear and min(linear_weights(formula).values()) > 0:
            return f"{said}: a geometric mean"
        return said
    sharper = "sharper" if total > 1 else "flatter"
    return f"{said}: {sharper} than one expert"


def formula_in_latex(formula: Formula) -> str:
    r"""The density p of a formula up to a factor, in the experts' densities q_1, q_2: "\frac{q_1^{2}}{q_2}"."""
    return _latex(formula)[0]


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _said(formula: Formula, names: Sequence[str]) -> str:
    def inside(part: Formula) -> str:
        said = _said(part, names)
        return said if isinstance(part, ExpertTerm) else f"({said})"

    def extra(what: str, number: float) -> str:
        return "" if number == 1 else f", {what} {number_words(number)}"

    match formula:
        case ExpertTerm(index):
            return names[index]
        case Either(of, temperature, _):
            return " or ".join(map(inside, of)) + extra("at T =", temperature)
        case Both(of, sharpness):
            return " and ".join(map(inside, of)) + extra("with the sharpness", sharpness)
        case ButNot(kept, avoided, strength):
            return f"{inside(kept)} but not {inside(avoided)}" + extra("with the strength", strength)
        case Xor(first, second, strength):
            return f"either {inside(first)} or {inside(second)}, not both" + extra("with the strength", strength)
        case WeightedSum(of, weights):
            even = even_weight(formula)
            listed = [names[index] for index in sorted(formula.experts)]
            if even is not None and len(listed) > 1:
                if math.isclose(even, 1):
                    return f"the product of {_listed(listed)}"
                if math.isclose(even * len(listed), 1):
                    return f"the geometric mean of {_listed(listed)}"
            return " times ".join(
                inside(part) + ("" if weight == 1 else f" to the power {number_words(weight)}")
                for part, weight in zip(of, weights, strict=True)
            )
    raise TypeError(f"{type(formula).__name__} has no words.")


#: How tightly LaTeX binds, loosest first.
_SUM, _PRODUCT, _POWER, _ATOM = range(4)


def _latex(formula: Formula) -> tuple[str, int]:
    match formula:
        case ExpertTerm(index):
            return f"q_{{{index + 1}}}", _ATOM
        case Either(of, temperature, _):
            if temperature == 0:
                return _product([(part, 1 / len(of)) for part in of])
            return _powered_sum(of, temperature)
        case Both(of, sharpness):
            return _powered_sum(of, -sharpness)
        case ButNot(kept, avoided, strength):
            return _product([(kept, 1 + strength), (avoided, -strength)])
        case Xor():
            return _latex(formula.either())
        case WeightedSum(of, weights):
            return _product(list(zip(of, weights, strict=True)))
    raise TypeError(f"{type(formula).__name__} has no formula.")


def _powered_sum(of: Sequence[Formula], power: float) -> tuple[str, int]:
    """(sum_k p_k^T)^(1/T)."""
    terms = " + ".join(_powered(part, power) for part in of)
    if power == 1:
        return terms, _SUM
    # As a fraction where it is not short as a number: 1/3.
    inverse = f"{1 / power:g}" if len(f"{1 / power:g}") < 5 else f"{'-' if power < 0 else ''}1/{abs(power):g}"
    return rf"\left({terms}\right)^{{{inverse}}}", _POWER


def _powered(part: Formula, power: float) -> str:
    text, tightness = _latex(part)
    if power == 1:
        return text
    base = text if tightness == _ATOM else rf"\left({text}\right)"
    return rf"{base}^{{{power:.4g}}}"


def _product(factors: Sequence[tuple[Formula, float]]) -> tuple[str, int]:
    def side(chosen: list[tuple[Formula, float]], alone: bool) -> str:
        texts = []
        for part, power in chosen:
            text, tightness = _latex(part)
            loose = power == 1 and tightness == _SUM and not (alone and len(chosen) == 1)
            texts.append(rf"\left({text}\right)" if loose else _powered(part, power))
        return r" \, ".join(texts) or "1"

    below = [(part, -power) for part, power in factors if power < 0]
    above = [(part, power) for part, power in factors if power > 0]
    if below:
        return rf"\frac{{{side(above, True)}}}{{{side(below, True)}}}", _PRODUCT
    if len(above) == 1 and above[0][1] == 1:
        return _latex(above[0][0])
    return side(above, False), _PRODUCT
