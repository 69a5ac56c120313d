"""Formulas as text: round trips, meanings by hand, and one sentence for whatever is no formula."""

import random

import pytest
from drawn_formulas import ONE, THREE, TWO, random_formula

from superdiff_engine.errors import ArgumentError
from superdiff_engine.formula import Both, ButNot, Either, WeightedSum, Xor
from superdiff_engine.recipes.formulas import FormulaError, parse_formula, print_formula

NAMES = ["a lion", "rings", "not a “cat”"]


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("1", ONE),
        ("1 and not 2", ButNot(ONE, TWO)),
        ("1 but not[0.5] 2", ButNot(ONE, TWO, 0.5)),
        ("(1 or 2) and 3", Both((Either((ONE, TWO)), THREE))),
        ("1 or 2 and 3", Either((ONE, Both((TWO, THREE))))),
        ("1 and 2 and not 3", ButNot(Both((ONE, TWO)), THREE)),
        ("1 or[10] 2 or[10] 3", Either((ONE, TWO, THREE), 10.0)),
        ("1 and[4] 2 and 3", Both((Both((ONE, TWO), 4.0), THREE))),
        ("1.5*1 - 0.5*2", WeightedSum((ONE, TWO), (1.5, -0.5))),
        ("-.5*1+1.5×2", WeightedSum((ONE, TWO), (-0.5, 1.5))),
        ("1 + 2", WeightedSum((ONE, TWO), (1.0, 1.0))),
        ("1^2", WeightedSum((ONE,), (2.0,))),
        ("2*1 + 3", WeightedSum((ONE, THREE), (2.0, 1.0))),
        ("1 + 2 and not 3", ButNot(WeightedSum((ONE, TWO), (1.0, 1.0)), THREE)),
        ("temperature(1 or 2, 0.5)", WeightedSum((Either((ONE, TWO)),), (2.0,))),
        ("1 XOR 2", Xor(ONE, TWO)),
        ('"a lion" but not rings', ButNot(ONE, TWO)),
        ("'A Lion' | RINGS & 3", Either((ONE, Both((TWO, THREE))))),
        ("“a lion” and 1", Both((ONE, ONE))),
        ("'not a “cat”' and 1", Both((THREE, ONE))),
    ],
)
def test_a_text_means_what_it_says(text, formula):
    assert parse_formula(text, NAMES) == formula
    assert parse_formula(print_formula(formula), NAMES) == formula
    assert parse_formula(print_formula(formula, NAMES), NAMES) == formula


def test_random_formulas_survive_print_and_parse():
    rng = random.Random(0)
    for _ in range(300):
        formula = random_formula(rng, 4)
        for names in (None, NAMES, ["same", "same", "3"]):
            text = print_formula(formula, names)
            again = parse_formula(text, names or NAMES)
            # "1 and 2 and 3" is one node with three parts, however it was put together: the same text, the same value.
            assert print_formula(again, names) == text
            assert again.experts == formula.experts
            assert again.total == pytest.approx(formula.total)


@pytest.mark.parametrize(
    ("text", "sentence", "position"),
    [
        ("", "empty", 0),
        ("1 and", "character 6 .* an expert's number or name", 5),
        ("not 2", "character 1 'not' has nothing to take from", 0),
        ("1 and but 2", "'but' stands there", 6),
        ("4 and 1", "character 1 stands expert 4, but there are 3 experts", 0),
        ("1 and 0", "stands expert 0", 6),
        ("zebra", "no expert is called 'zebra'", 0),
        ("1.5", "no expert's number; a weight is followed by", 0),
        ("((1", "closing parenthesis", 3),
        ("1 or[x] 2", "the inverse temperature of 'or', a number", 5),
        ("1 and[0] 2", "the sharpness of 'and' must be from", 6),
        ("1 § 2", "stands '§'", 2),
        ('"a lion', "closing quotation mark", 0),
        ("1 xor 2 xor 3", "a third formula", 8),
        ("3 + (1 xor (1 + 2))", "At character 6: the parts of 'xor' must have the same total weight", 5),
        ("1 - 2", "sum to 0", 0),
        ("1e9*1", "must be from 0 to 1000", 0),
        ("(1 + 2) or 3", "same total weight", 0),
        ("1 2", "and, or, not, xor", 2),
        ("(" * 60 + "1" + ")" * 60, "nests more than 40", 41),
        ("0.001*1", "may sum to 0.01 up to 1000", 0),
        ("1 " * 2000, "at most 2000", 2000),
    ],
)
def test_an_error_names_the_place_and_what_was_expected(text, sentence, position):
    with pytest.raises(FormulaError, match=sentence) as found:
        parse_formula(text, NAMES)
    assert found.value.position == position


def test_a_thousand_malformed_formulas_give_one_sentence_each():
    rng, failed = random.Random(3), 0
    pieces = [
        "1",
        "2",
        "3",
        "9",
        "0.5",
        "1e400",
        "or",
        "and",
        "not",
        "xor",
        "but",
        "(",
        ")",
        "[",
        "]",
        "*",
        "+",
        "-",
        "^",
    ]
    pieces += ["temperature", ",", '"', "'", "rings", '"a lion"', "§", "\x00", "٣", "²", "<b>", "\n", "🦁", "−", "½"]
    while failed < 1000:
        if rng.random() < 0.5:
            text = " ".join(rng.choice(pieces) for _ in range(rng.randint(0, 12)))
        else:
            text = list(print_formula(random_formula(rng, 3)))
            for _ in range(rng.randint(1, 3)):
                place = rng.randrange(len(text))
                text[place : place + rng.randint(0, 2)] = rng.choice(pieces)
            text = "".join(text)
        try:
            formula = parse_formula(text, NAMES)
        except ArgumentError as error:
            failed += 1
            said = str(error)
            assert isinstance(error, FormulaError), text
            assert said[0].isupper() and said.endswith(".") and ". " not in said.replace("'. ", ""), said
            assert "\n" not in said and 0 <= error.position <= len(text), said
        else:
            formula.check(3)


def test_a_name_that_means_two_experts_is_refused():
    with pytest.raises(FormulaError, match="several experts are called 'cat'; use their numbers"):
        parse_formula("cat and 1", ["cat", "Cat"])
