"""NOT, XOR and nested formulas of emoji: the rule of the pairs, weighted figures by hand, the same cost in all rows."""

import re
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from test_prompts_evaluate import CONCEPTS, NAMES, TWO_PAIRS, ColourJudge, house  # noqa: F401, a fixture

from superdiff_engine.domains.prompts import evaluate as module
from superdiff_engine.domains.prompts import logic, table_runs
from superdiff_engine.domains.prompts.domain import Prompts
from superdiff_engine.domains.prompts.emoji.concepts import NOT_PAIRS
from superdiff_engine.domains.prompts.emoji.vocabulary import LEARNED
from superdiff_engine.domains.prompts.judge.classifier import load_classifier
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipes.operators import FormulaRecipe
from superdiff_engine.tables.table import read_table
from superdiff_engine.walk import walk

Settings = partial(
    table_runs.Settings,
    dtype="float32",
    seeds=3,
    model="local/tiny",
    pairs=TWO_PAIRS,
    not_pairs=TWO_PAIRS,
    nested=("cat", "dog", "lemon"),
)


@pytest.fixture
def quick(house, monkeypatch):  # noqa: F811
    """Few steps and runs."""
    monkeypatch.setattr(logic, "EVALUATIONS", 12)
    monkeypatch.setattr(logic, "RUNS_OF_SHARES", 2)
    return house


def test_the_pairs_are_those_of_the_rule():
    known = load_classifier()
    rows = known.network.head[1].weight.double()
    rows = torch.nn.functional.normalize(rows - rows.mean(0), dim=1)
    index = {one.name: place for place, one in enumerate(known.concepts)}
    found = []
    for listed in LEARNED.values():
        names = " ".join(listed.split()).split(", ")
        words = [set(re.findall(r"\w+", name)) for name in names]
        alike = [
            (float(rows[index[one]] @ rows[index[other]]), one, other)
            for place, one in enumerate(names)
            for later, other in enumerate(names[place + 1 :], place + 1)
            if not words[place] & words[later]
        ]
        found += [max(alike)] if alike else []
    found.sort(reverse=True)
    assert (("lion", "cat"), *((one, other) for _, one, other in found[:19])) == NOT_PAIRS


def test_all_rows_cost_the_same_and_share_their_noise():
    settings = Settings(seeds=8)
    for row, method in logic.METHODS.items():
        assert method.steps * method.evaluations == logic.EVALUATIONS
        assert method.cost == logic.EVALUATIONS * (logic.PARTICLES if method.corrected else 1)
        assert [run.seed for run in logic.runs_of(row, settings)][:2] == [0, 1]
        recipe = logic.runs_of(row, settings)[0].recipe(settings)
        assert recipe.batch == 8 and recipe.group == (4 if method.corrected else 1)
        assert (len(recipe.experts) + (recipe.guidance is not None)) == method.evaluations


def test_a_negative_prompt_is_but_not_without_guidance(quick):
    run = logic.LogicRun("not/negative", ("cat", "dog"), 0)
    negative = run.recipe(Settings())
    both = logic.LogicRun("not/plain", ("cat", "dog"), 0).recipe(Settings())
    bare = {"operator": FormulaRecipe(text="1 but not[3] 2"), "levels": negative.levels, "guidance": None}
    formula = both.model_copy(update=bare)
    ends = []
    for recipe in (negative, formula):
        assert recipe.experts[0].prompt == "a cat"
        *_, last = walk(recipe, Prompts(), Prompts().prepare(recipe, "cpu"), densities=False)
        ends.append(last.samples)
    assert ends[0].abs().max() > 1 and torch.allclose(*ends, atol=1e-3 * float(ends[0].abs().max()))


def test_figures_are_weighted_by_the_particles(quick):
    settings = Settings()
    judge = ColourJudge()
    rows = ["not/kept", "not/corrected", "nested/plain", "xor/corrected"]
    out = quick / "prompts.json"
    written = module.EVALUATION.run(settings, rows, out, lambda line: None, workers=1)
    assert written == [quick / "prompts_logic.json"]
    table = read_table(written[0])
    assert [row.name for row in table.rows] == rows
    assert table.command.count("--row") == 4 and "pair by pair" not in table.notes
    corrected = table.row("not/corrected").values
    by_hand, kept = [], []
    for index, pair in enumerate(TWO_PAIRS):
        run = logic.LogicRun("not/corrected", pair, index)
        with np.load(run.file(settings)) as stored:
            weights, pictures = stored["importance"], stored["pictures"]
            assert stored["ancestors"].shape == stored["effective"].shape == (1,)
        assert len(pictures) == 4 and weights.sum() == pytest.approx(1) and weights.std() > 1e-6
        scores = judge.scores(pictures).numpy()
        by_hand.append(sum(w * score for w, score in zip(weights, scores[:, NAMES.index(pair[1])], strict=True)))
        kept.append(sum(w * score for w, score in zip(weights, scores[:, NAMES.index(pair[0])], strict=True)))
    assert corrected["negated"].value == pytest.approx(np.mean(by_hand))
    assert corrected["negated"].error == pytest.approx(abs(by_hand[0] - by_hand[1]) / 2)
    assert corrected["kept"].value == pytest.approx(np.mean(kept))
    assert 1 <= corrected["ancestors"].value <= 4 and 1 <= corrected["effective"].value <= 4
    assert corrected["cost"].value == 48 and table.row("not/kept").values["cost"].value == 12
    assert table.row("nested/plain").samples == 8
    assert table.row("nested/plain").values["all"].value == 1  # five concepts of about the same score
    assert "ancestors" not in table.row("nested/plain").values
    shares = table.row("xor/corrected").values
    assert sum(shares[name].value for name in ("one", "both", "none")) == pytest.approx(1)
    module.EVALUATION.run(settings, ["not/plain"], out, lambda line: None, workers=1)
    table = read_table(written[0])
    change = table.row("not/corrected").values["negated"].value - table.row("not/plain").values["negated"].value
    assert f"corrected minus but not {change:+.2f} ±" in table.notes


def test_what_is_seen_has_a_tenth_of_the_probability():
    scores = np.log(np.array([[0.5, 0.2, 0.1, 0.1, 0.06, 0.04], [0.04, 0.06, 0.1, 0.1, 0.3, 0.4]])) + 3.0
    assert logic._of_xor(scores, [0, 5])["one"].tolist() == [1, 1]
    assert logic._of_xor(scores, [0, 1])["both"].tolist() == [1, 0]
    assert logic._of_xor(scores, [0, 1])["none"].tolist() == [0, 1]
    assert logic._of_nested(scores, [5, 0, 1])["all"].tolist() == [1, 0]
    assert logic._of_nested(scores, [0, 1, 5])["last"].tolist() == [0, 1]
    assert logic._of_not(scores, [0, 1])["top1"].tolist() == [1, 0]


def test_the_sheet_shows_a_line_a_row(quick, monkeypatch):
    monkeypatch.setattr(logic, "SHEET", quick / "sheet.png")
    monkeypatch.setattr(logic, "SHEET_COLUMNS", 4)
    written = module.EVALUATION.run(
        Settings(sheet=True, seeds=4), ["xor/plain"], quick / "prompts.json", lambda line: None, workers=1
    )
    assert written == [quick / "prompts_logic.json", quick / "sheet.png"]
    with Image.open(quick / "sheet.png") as drawn:
        assert drawn.size == (210 + 4 * 64, 8 * 66)


def test_concepts_that_the_judge_does_not_know_are_one_sentence(quick):
    with pytest.raises(SuperDiffError, match="does not know griffin"):
        module.EVALUATION.run(
            Settings(nested=("cat", "dog", "griffin")), ["xor/plain"], quick / "x.json", lambda line: None, workers=1
        )
    assert {one.name for one in CONCEPTS} == set(NAMES)
