"""What differs between recipes is found place by place and nothing else is; figures of runs stand in one table."""

import io
import math
import random

import numpy as np
import pandas as pd
import pytest
from plane_recipes import plane

from superdiff_engine.domains import domains, get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import ArgumentError, RecordError
from superdiff_engine.measured import SHARE
from superdiff_engine.runs.comparison import (
    MOST,
    Comparison,
    compare,
    differences_between,
    distinct,
    in_one_line,
    rows_of,
    titles_of,
)
from superdiff_engine.runs.run import Run

MOLECULES = make_recipe(
    {
        "domain": "molecules",
        "experts": [{"model": "molecules", "prompt": "high TPSA"}, {"model": "molecules", "prompt": "high QED"}],
        "operator": {"name": "and"},
        "guidance": {"weight": 8},
    }
)


def with_field(recipe, place, value):
    """The recipe with another value at a place such as "levels.steps" or "experts.1.prompt"."""
    document = recipe.model_dump()
    *path, last = place.split(".")
    inner = document
    for part in path:
        inner = inner[int(part) - 1] if isinstance(inner, list) else inner[part]
    inner[last] = value
    return make_recipe(document)


#: Fields that can be changed alone, with values that all differ.
FREE = {
    "experts.1.prompt": ["high logP", "high fraction sp3", "aromatic ring"],
    "operator.ridge": [0.0, 2.0, 3.5],
    "operator.bias": [[0, 1], [0, 2], [1, 2]],
    "levels.steps": [50, 60, 70],
    "levels.lowest": [0.03, 0.04, 0.05],
    "batch": [4, 5, 6],
    "seed": [7, 8, 9],
    "guidance.weight": [2.0, 3.0, 5.0],
    "guidance.negative_prompt": ["low QED", "low logP", "low TPSA"],
    "atoms": [9, 12, 15],
    "dtype": ["bfloat16"],
    "device": ["cpu"],
    "draws": ["device"],
    "cuda_graphs": [True],
    "per_component": [True],
}


@pytest.mark.parametrize("seed", range(25))
def test_only_the_changed_fields_are_named(seed):
    """Whichever fields of whichever recipes are changed, in whatever order the recipes stand."""
    rng = random.Random(seed)
    count, changed, recipes = rng.randint(2, MOST), rng.sample(sorted(FREE), rng.randint(0, 5)), []
    recipes = [MOLECULES] * count
    for place in changed:
        for other in rng.sample(range(count), rng.randint(1, count - 1)):
            recipes[other] = with_field(recipes[other], place, rng.choice(FREE[place]))
    rng.shuffle(recipes)
    found = differences_between(recipes)
    assert {one.place for one in found} == set(changed)
    assert all(len(one.values) == count and len(set(one.values)) > 1 for one in found)
    sentence = in_one_line(recipes, found)
    assert all(one.name in sentence for one in found) and sentence.endswith("equal.") and "\n" not in sentence
    titles = titles_of(recipes, found)
    assert len(set(titles)) == count and all(titles)
    # Alike are those that differ by a number alone.
    for title, recipe in zip(titles, recipes, strict=True):
        first = titles[recipes.index(recipe)]
        assert title == first or title.startswith(f"{first} (")


def test_the_sentence_says_what_differs():
    one, two, three = (
        plane(operator={"name": name}, seed=seed) for name, seed in [("or", 0), ("and", 0), ("average", 7)]
    )
    assert in_one_line([one, two, three]) == (
        "They differ in operator (OR, AND, Average) and seed (0, 7); everything else is equal."
    )
    assert titles_of([one, two, three]) == ["OR, seed 0", "AND, seed 0", "Average, seed 7"]
    assert in_one_line([one, two]) == "They differ in operator (OR, AND); everything else is equal."
    assert titles_of([one, two]) == ["OR", "AND"]
    assert in_one_line([one, one]) == "Their recipes are equal." and differences_between([one, one, one]) == []
    sharp = plane(operator={"name": "or", "temperature": 2})
    assert in_one_line([one, sharp]) == "They differ in temperature (1, 2); everything else is equal."
    assert titles_of([one, sharp]) == ["OR, T = 1", "OR, T = 2"] and titles_of([sharp, two]) == ["OR, T = 2", "AND"]
    formula = plane(operator={"name": "formula", "text": "1 but not 2"})
    corrected = plane(operator={"name": "formula", "text": "1 but not 2"}, correction={})
    assert titles_of([one, formula, corrected])[1:] == [
        "1 but not 2, not corrected",
        "1 but not 2, corrected, all samples one group",
    ]
    assert "operator (OR, 1 but not 2) and correction (none, all samples" in in_one_line([one, formula, corrected])


def test_experts_and_domains_that_differ_are_said():
    prompts = domains()["prompts"].examples()
    three, pair = prompts["Three prompts: AND"], prompts["AND: a sunflower that is a lemon"]
    said = "prompts ('a cat' + 'a pumpkin' + 'a moon', 'a sunflower' + 'a lemon')"
    assert in_one_line([three, pair]) == f"They differ in {said}; everything else is equal."
    assert titles_of([three, pair]) == ["a cat + a pumpkin + a moon", "a sunflower + a lemon"]
    other = plane(operator={"name": "and"}, batch=16)
    said = in_one_line([other, MOLECULES])
    assert said.startswith("They are of different domains (Plane, Molecules) and differ in steps (6, 100)")
    assert "guidance" not in said and "expert" not in said and said.endswith("settings that they share are equal.")
    assert [title.split(",")[0] for title in titles_of([other, MOLECULES])] == ["Plane", "Molecules"]
    mine = [{"model": "custom", "mixture": {"means": [[0, 0]], "variances": [variance]}} for variance in (1, 2)]
    (found,) = differences_between([plane(experts=[one]) for one in mine])
    assert found.place == "experts.1.mixture" and "variance 2" in found.values[1]


def test_titles_are_told_apart():
    assert distinct(["a", "b", "a", "a (2)", "a"]) == ["a", "b", "a (2)", "a (2) (2)", "a (3)"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    found = []
    for place, fields in enumerate(({}, {"operator": {"name": "and"}}, {"experts": [{"model": "ring"}]})):
        operator = {"operator": {"name": "average"}} if "experts" in fields else {}
        run = Run(plane(**fields, **operator), tmp_path_factory.mktemp("runs") / f"run-{place}")
        run.execute()
        found.append(run)
    return found


def test_the_table_is_read_back_by_pandas(runs):
    titles = ['mine, "quoted"', "=1+1", "Ähnlich 日本"]
    found = Comparison(runs, titles)
    table = pd.read_csv(io.StringIO(found.csv()))
    assert list(table.columns[:6]) == ["run", "title", "figure", "value", "error", "unit"]
    assert list(dict.fromkeys(table["title"])) == titles and list(dict.fromkeys(table["run"])) == [r.id for r in runs]
    for run, title in zip(runs, titles, strict=True):
        mine = table[table["title"] == title].set_index("figure")
        for figure in get_domain("plane").figures(run.result):
            row = mine.loc[figure.title]
            assert row["value"] == pytest.approx(figure.value)
            assert math.isnan(row["error"]) if figure.error is None else row["error"] == pytest.approx(figure.error)
            assert figure.unit != SHARE or 0 <= row["value"] <= 1
    assert dict(table.groupby("title")["recipe: operator"].first()) == dict(
        zip(titles, ["OR", "AND", "Average"], strict=True)
    )


def test_figures_stand_in_one_row_by_name(runs):
    rows = {row.name: row for row in Comparison(runs).rows}
    weight = rows["weight/rows_upper"].figures
    assert weight[0] is not None and weight[1] is not None and weight[2] is None  # a ring alone has no such expert
    assert rows["within/ring"].figures[:2] == (None, None)
    gap = rows["gap@0.02"]
    first, second = (np.abs(np.subtract(*run.result.log_density)) for run in runs[:2])
    less = gap.less_the_first().figures
    assert less[0] == gap.figures[0] and less[2] is None
    assert less[1].value == pytest.approx(second.mean() - first.mean())
    assert less[1].error == pytest.approx(math.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 16))
    every = [get_domain("plane").figures(run.result) for run in runs]
    names = [row.name for row in rows_of(every)]
    for one in every:  # each run's own order holds
        places = [names.index(figure.name) for figure in one]
        assert places == sorted(places)


def test_runs_are_compared_from_their_folders(runs):
    found = compare([runs[0].folder, str(runs[1].folder), runs[2]], ["", " two  words ", "c"])
    assert found.titles == [compare(runs).titles[0], "two words", "c"]
    assert found.rows == Comparison(runs).rows and "operator (OR, AND, Average)" in found.sentence
    with pytest.raises(ArgumentError, match="From 2 to 6 runs"):
        compare(runs[:1])
    with pytest.raises(ArgumentError, match="give every run one"):
        compare(runs, ["a"])
    with pytest.raises(ArgumentError, match="no samples to compare"):
        compare([runs[0], Run(plane())])
    with pytest.raises(RecordError):
        compare([runs[0], runs[0].folder / "nothing"])
