"""Lessons are read from their folders; what is wrong with one is named by file and line."""

import json
import shutil

import pytest

from superdiff_engine.lessons import LessonError, read_lesson, read_lessons
from superdiff_engine.lessons.expressions import fill, parse_claim
from superdiff_engine.lessons.shelf import embedded_folder

HEAD = """---
title: Two rows
summary: Who makes how many?
minutes: 6
order: 3
domain: plane
---
"""
LESSON = (
    HEAD
    + """
## Read

Weighs by $\\kappa$.

![A row](row.png)

## Predict

How many?

- [ ] All. :: No.
- [x] A half. :: Yes.

## Run

```toml
[runs.even]
recipe = "or.json"
show = ["samples", "weights"]

[runs.biased]
recipe = "or.json"
with = { bias = 1.1, "bias 2" = 0 }
controls = { bias = [0, 1.1] }

[controls]
steps = [4, 8]
```

## Explain

It got {even.share_1} in {even[steps]} steps; $x_{even}$ and `{even.share_1}` stay.

```toml
[[claims]]
says = "More: {biased.share_1}."
holds = "biased.share_1 > even.share_1 - 0.1"
```

## Try

More.
"""
)
RECIPE = {
    "domain": "plane",
    "experts": [{"model": "rows_upper"}, {"model": "rows_lower"}],
    "operator": {"name": "or"},
    "levels": {"steps": 8},
    "batch": 64,
}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "two-rows"
    made.mkdir()
    (made / "lesson.md").write_text(LESSON)
    (made / "or.json").write_text(json.dumps(RECIPE))
    (made / "row.png").write_bytes(b"x")
    return made


def test_a_lesson_is_read(folder):
    lesson = read_lesson(folder)
    assert (lesson.name, lesson.title, lesson.minutes, lesson.order) == ("two-rows", "Two rows", 6, 3)
    assert lesson.right == 1 and [choice.why for choice in lesson.choices] == ["No.", "Yes."]
    assert lesson.read[1].alt == "A row" and lesson.read[1].path == folder / "row.png"
    assert [run.show for run in lesson.runs] == [("samples", "weights"), ("samples",)]
    assert lesson.run("biased").recipe.operator.bias == [1.1, 0.0]
    made = lesson.recipes({"steps": 4}, {"biased": {"bias": 0}}, seed=5)
    assert [recipe.levels.steps for recipe in made.values()] == [4, 4]
    assert made["biased"].operator.bias == [0.0, 0.0] and made["even"].seed == 5


#: What is put in the place of what, the line that is named (None: the file), and a word of the sentence.
WRONG = [
    ("minutes: 6", "minutes: six", 4, "whole number from 1 to 60"),
    ("domain: plane", "domain: cheese", 6, "one of plane"),
    ("domain: plane", "domain: pictures", 26, "of the domain plane"),
    ("order: 3\n", "", 1, "lacks 'order'"),
    ("## Try\n\nMore.", "", 8, "## Try is missing"),
    ("## Try", "## More", 48, "'## More' is no section"),
    ("row.png", "http://example.com/row.png", 13, "a file of the lesson's folder"),
    ("row.png", "../row.png", 13, "a file of the lesson's folder"),
    ("row.png", "other.png", 13, "no file 'other.png'"),
    ("- [x]", "- [ ]", 19, "marked [x], not 0"),
    ("- [ ] All. :: No.\n", "", 15, "2 to 6 choices, not 1"),
    ('recipe = "or.json"\nshow', 'recipe = "none.json"\nshow', 26, "no file 'none.json'"),
    ('recipe = "or.json"\nshow', 'recipe = "../or.json"\nshow', 26, "of the lesson's folder"),
    ("[runs.biased]", "[runs.biased", 29, "not TOML"),
    ('"weights"]', '"wights"]', 27, "'wights' cannot be shown"),
    ("with = { bias", "with = { bas", 31, "no parameter 'bas'"),
    ("with = { bias = 1.1", "with = { bias = 2.2", 32, "lacks 2.2"),
    ("bias = [0, 1.1]", "ridge = [0, 1]", 32, "only 'and' has a ridge"),
    ("steps = [4, 8]", "steps = [4, 9]", 35, "lacks 8"),
    ("steps = [4, 8]", "steps = 8", 35, "2 or more values"),
    ("{even.share_1}", "{odd.share_1}", 40, "of no run"),
    ("{even.share_1}", "{even.share_3}", 40, "2 expert(s)"),
    ("{even.share_1}", "{even.shares}", 40, "no figure 'shares'"),
    ("{even[steps]}", "{even[stairs]}", 40, "no parameter 'stairs'"),
    ("$x_{even}$", "$x_{even.share_1}$", 40, "'{even.share_1}' would stand as it is; outside of formulas"),
    ("{even[steps]}", "{ even[steps] }", 40, "'{ even[steps] }' would stand as it is"),
    ("even.share_1 - 0.1", "even.share_1 -", 45, "missing after"),
    ("> even", "and even", 45, "cannot be read"),
    ("{biased.share_1}", "{biased.share_9}", 44, "2 expert(s)"),
    ("More.", "More, {even.gap}.", 50, "figures go into ## Explain"),
    ("Weighs by", "<\x07", 11, "control character"),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), WRONG)
def test_what_is_wrong_is_named_by_line(folder, old, new, line, words):
    assert old in LESSON
    text = LESSON.replace(old, new, 1)
    (folder / "lesson.md").write_text(text)
    with pytest.raises(LessonError) as caught:
        read_lesson(folder)
    said = [str(problem) for problem in caught.value.problems]
    expected = f"{folder / 'lesson.md'}{'' if line is None else f':{line}'}: "
    assert any(one.startswith(expected) and words in one for one in said), said


def test_a_wrong_recipe_is_named_by_its_own_file(folder):
    (folder / "or.json").write_text('{\n "domain": "plane",\n "experts" []\n}')
    with pytest.raises(LessonError) as caught:
        read_lesson(folder)
    assert [str(one) for one in caught.value.problems] == [
        f"{folder / 'or.json'}:3: This is not a recipe: it is not valid JSON."
    ]


def test_one_wrong_lesson_costs_no_other(folder, monkeypatch):
    other = shutil.copytree(folder, folder.parent / "another")
    (other / "lesson.md").write_text("nothing")
    monkeypatch.setenv("SUPERDIFF_LESSONS", str(folder.parent))
    found = read_lessons()
    assert found.find("two-rows") is not None and len(found.lessons) == 1 + len(
        read_lessons([embedded_folder()]).lessons
    )
    assert {problem.path for problem in found.problems} == {other / "lesson.md"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a.gap > 2 * 3 - -1 * (b.gap + 1)", False),
        ("abs(b.gap - a.gap) / 2 < a.gap <= 3", True),
        ("a.gap < b.gap < 4", False),
        ("a.gap / 0 < 1", False),
        ("c.gap < 1", False),
        ("c.gap > 1", False),
        ('b["a key/with <signs>"] >= 4.0e0', True),
    ],
)
def test_claims_are_sums_that_are_compared(text, holds):
    values = {"a.gap": 3.0, "b.gap": 4.0, 'b["a key/with <signs>"]': 4.0}
    assert parse_claim(text).holds(lambda reference: values.get(str(reference), float("nan"))) is holds


def test_references_are_filled_but_formulas_and_code_stay():
    text = "$x_{a.gap}$ `{a.gap}` {a.gap} {a[bias 2]} $$\n{a.gap}\n$$ {\\bf x}"
    assert fill(text, lambda reference: f"<{reference}>") == (
        "$x_{a.gap}$ `{a.gap}` <a.gap> <a[bias 2]> $$\n{a.gap}\n$$ {\\bf x}"
    )
