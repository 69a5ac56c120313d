"""The field for a formula: a tree or a sentence for whatever is typed, choices by a click, numbers of experts."""

import json
import random
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import torch
from nasty import CONTROLS, NASTY
from studio_page import button, open_link, press

from studio.charts.palette import EXPERT_COLOURS
from studio.charts.tree import MOST_LEAVES, formula_svg
from studio.form.formula import choices, sum_text, wrong_place
from superdiff_engine.domains.checked import recipe_from_link
from superdiff_engine.recipes.formula_words import formula_in_latex, formula_in_words, total_in_words
from superdiff_engine.recipes.formulas import FormulaError, parse_formula, renumber_formula

FORMULAS = [
    "1 but not[0.5] 2",
    "(1 or 2) and[4] 3",
    "1 xor[2] (2 or[3] 3)",
    "1.5*1 - 0.5*2 + 0.25*3",
    "temperature(1 + 2 + 3, 3)",
    "((1 xor 2) or 0.5*(1 + 3)) but not[0.5] (temperature(1 or 2, 2) + 0.5*3)",
    "2*(1 or 2) - 1*3",
    "1 or[0] 2",
]
LETTERS = [*"123()[]*^+-,?&é猫\"\t\u202e", " and ", " or ", " xor ", " but not ", " not ", "0.5", "1e9", "temperature",
           '"a lion"', "<b>", "$x$", ":red[a]"]  # fmt: skip


def texts():
    draw = random.Random(0)
    return ["".join(draw.choices(LETTERS, k=draw.randint(0, 9))) for _ in range(200)]


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.said = set(), ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.said += data


def drawn(formula, names):
    """The words of a tree, which is well-formed and of our own elements."""
    root = ElementTree.fromstring(formula_svg(formula, names, EXPERT_COLOURS["light"] * 2, "light"))
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {"svg", "path", "rect", "circle", "text"}
    assert 0 < float(root.get("width")) < 2000 and 0 < float(root.get("height")) < 1000
    return ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]


def test_whatever_is_typed_gives_a_tree_or_a_sentence():
    names, kinds = ["a lion", "<script>alert(1)</script>", "$x$ & :red[y]\x00"], set()
    for text in texts():
        try:
            formula = parse_formula(text, names)
        except FormulaError as error:
            kinds.add("sentence")
            page = Tags()
            page.feed(wrong_place(text, error, "dark"))
            assert page.tags == {"div", "span"} and "script" not in page.tags
            assert str(error)[:20] in page.said and "\n" not in page.said
        else:
            kinds.add("tree")
            assert drawn(formula, names)
            assert formula_in_words(formula, names) and total_in_words(formula) and formula_in_latex(formula)
    assert kinds == {"sentence", "tree"}


@pytest.mark.parametrize("name", [NASTY, CONTROLS, "猫" * 60, "", "</text></svg><script>"])
def test_names_are_drawn_as_text(name):
    said = drawn(parse_formula("1 but not 2", [name, "b"]), [name, "b"])
    assert said[0] == "but not" and {"1", "2", "b", "not"} < set(said)


def test_a_formula_of_many_parts_has_a_small_tree():
    said = drawn(parse_formula(" or ".join("(1 and 2)" for _ in range(150)), ["a", "b"]), ["a", "b"])
    assert "…" in said and len([word for word in said if word in "12"]) <= MOST_LEAVES
    assert "…" in drawn(parse_formula("(1 or " * 12 + "1" + ")" * 12, ["a"]), ["a"])


@pytest.mark.parametrize("text", FORMULAS)
def test_the_latex_is_the_density(text):
    """Read as arithmetic, at random densities."""
    formula, densities = parse_formula(text, ["a", "b", "c"]), torch.rand(3, 5, dtype=torch.float64) + 0.5
    python = re.sub(r"q_\{(\d)\}", r"q[\1 - 1]", formula_in_latex(formula)).replace(r"\left", "").replace(r"\right", "")
    python = python.replace("{", "(").replace("}", ")").replace(r"\, ", "*").replace(")(", ")/(").replace(r"\frac", "")
    found = eval(python.replace("^", "**"), {"q": densities})
    torch.testing.assert_close(found, formula.at(densities.log()).value.exp(), rtol=2e-3, atol=0)


@pytest.mark.parametrize("text", [*FORMULAS, '"a lion" + 3^2', "1 and[2] 2 but not[3] 3"])
def test_numbers_follow_their_experts(text):
    """At any log-densities the value is the same once these have moved as the experts did."""
    names, log_density = ["a lion", "b", "c"], torch.randn(3, 5, dtype=torch.float64)
    places = [2, 0, 1]
    moved_names, moved = [""] * 3, torch.empty_like(log_density)
    for before, after in enumerate(places):
        moved_names[after], moved[after] = names[before], log_density[before]
    there = parse_formula(renumber_formula(text, places), moved_names).at(moved).value
    torch.testing.assert_close(there, parse_formula(text, names).at(log_density).value)


def test_an_expert_that_has_gone_is_missed_by_the_formula():
    assert renumber_formula("(1 or 2) and[2] 2*3", [0, None, 1]) == "(1 or ?) and[2] 2*2"
    with pytest.raises(FormulaError, match="taken out") as error:
        parse_formula("(1 or ?) and[2] 2", ["a", "b"])
    assert error.value.position == 6
    assert renumber_formula("(1 or ?) and 2 §", [1, 0]) == "(1 or ?) and 2 §"  # what cannot be read stays


@pytest.mark.parametrize("experts", range(1, 9))
def test_choices_are_formulas_and_are_what_they_are_called(experts):
    names = [f"expert {number}" for number in range(1, experts + 1)]
    made = {title or text: parse_formula(text, names) for text, title in choices(experts).items()}
    assert len({str(formula) for formula in made.values()}) == len(made) == len(choices(experts))
    if experts > 1:
        assert made["product"].total == experts and made["geometric mean"].total == pytest.approx(1)
        log_density = torch.randn(experts, 4, dtype=torch.float64)
        torch.testing.assert_close(made["geometric mean"].at(log_density).value, log_density.mean(0))
        torch.testing.assert_close(made["product"].at(log_density).value, log_density.sum(0))


def test_weights_make_a_sum():
    assert sum_text([1.5, -0.5]) == "1.5*1 - 0.5*2" and sum_text([0.0, 1.0]) == "2" and sum_text([0.0]) == ""
    for weights in ([1.0, 1.0], [-1.0, 2.0, 0.0], [1e-3, 50.125]):
        formula = parse_formula(sum_text(weights), ["a", "b", "c"])
        log_density = torch.randn(3, 4, dtype=torch.float64)
        expected = sum(weight * log_density[index] for index, weight in enumerate(weights))
        torch.testing.assert_close(formula.at(log_density).value, expected)
    assert total_in_words(parse_formula("1 + 2", ["a", "b"])) == "weights sum to 2: a product"


RECIPE = {
    "domain": "plane",
    "experts": [{"model": "petal_a"}, {"model": "petal_b"}, {"model": "petal_c"}],
    "operator": {"name": "formula", "text": "(1 or 2) and[4] 3"},
    "levels": {"steps": 3},
    "batch": 16,
}


def of_key(app, kind, key):
    return next(found for found in app.get(kind) if found.key == key)


def wrong(app):
    return [element.value for element in app.get("html") if "role=" in element.value and "<style" not in element.value]


def test_the_field_on_the_page(tmp_path, monkeypatch):
    app = open_link(RECIPE, tmp_path, monkeypatch).run()
    assert not app.exception and not app.error and not wrong(app)
    (caption,) = [found.value for found in app.caption if "propto" in found.value]
    assert "Petal 1 or Petal 2" in caption and "q_{3}" in caption
    first, second, third = app.session_state["experts"]

    # Numbers follow their experts; one that goes is missed, and is not lost with the rest.
    press(app, f"up-{third}")
    assert app.session_state["f.formula"] == "(1 or 3) and[4] 2" and not app.error
    press(app, f"remove-{second}")
    assert app.session_state["f.formula"] == "(1 or ?) and[4] 2"
    assert len(app.error) == 1 and "taken out" in app.error[0].value and len(wrong(app)) == 1
    of_key(app, "text_input", "f.formula").set_value("1 but not <b>")
    app.run()
    (shown,) = wrong(app)
    assert "&lt;" in shown and "<b>" not in shown and button(app, "run").disabled

    # A click writes a formula.
    pills = next(found for found in app.get("button_group") if found.proto.id.endswith("choice-f.formula"))
    pills.set_value("1 xor 2")
    app.run()
    assert app.session_state["f.formula"] == "1 xor 2" and not app.error and not wrong(app)

    # So do weights.
    for slot, weight in ((first, 1.5), (third, -0.5)):
        of_key(app, "number_input", f"weigh.{slot}").set_value(weight)
    app.run()
    press(app, "write-sum")
    (tab,) = [found for found in app.get("bidi_component") if "tab-script" in found.proto.id]
    recipe = recipe_from_link(json.loads(tab.proto.json)["query"].removeprefix("recipe="))
    assert recipe.operator.text == "1.5*1 - 0.5*2" and not app.exception
    press(app, "add-expert")
    assert app.session_state["f.formula"] == "1.5*1 - 0.5*2" and not app.error


def test_a_formula_out_of_use_begins_again_with_the_experts(tmp_path, monkeypatch):
    recipe = RECIPE | {"operator": {"name": "or"}}
    app = open_link(recipe, tmp_path, monkeypatch).run()
    for slot in app.session_state["experts"][1:]:
        press(app, f"remove-{slot}")
    assert app.session_state["f.formula"] == "1"
    press(app, "add-expert")
    app.session_state["f.operator"] = "formula"
    app.run()
    assert app.session_state["f.formula"] == "1 and not 2" and not app.error and not app.exception
