"""Figures and files of a run that was corrected to its exact target, against what its steps themselves say."""

import csv
import io
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from studio.charts import live as charts
from studio.charts.finished import curve_figure, effective_figure, gallery_figure, plane_figure
from studio.charts.lineage import copies_sentence, lineage_figure, lineage_of, lineage_sentence
from studio.stage.compare import variants, with_operator
from studio.words import run_title
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.recipes.document import CorrectionRecipe
from superdiff_engine.recipes.operators import AndRecipe, OrRecipe
from superdiff_engine.runs.axes import parse_axis
from superdiff_engine.runs.formats import lineage_csv, trace_columns, trace_csv, trace_parquet
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.run import Run

NAMES, COLOURS = ["1 a", "2 b"], ["#111111", "#222222"]
DOCUMENT = {
    "domain": "plane",
    "experts": [{"model": "overlap_a"}, {"model": "overlap_b"}],
    "levels": {"steps": 40},
    "operator": {"name": "formula", "text": "1 but not 2"},
    "batch": 32,
    "correction": {"particles": 8, "threshold": 0.9},
}


@pytest.fixture(scope="module")
def made():
    """(run, result, its steps)."""
    steps, run = [], Run(make_recipe(DOCUMENT))
    return run, run.execute(steps.append), steps


@pytest.fixture(scope="module")
def ancestors(made):
    """(places of the final samples' ancestors at every step, int [steps + 1, batch]; where they began)."""
    place, found = np.arange(32), []
    for step in reversed(made[2]):
        found.append(place)
        if step.parents is not None:
            place = step.parents.numpy()[place]
    return np.array(found[::-1]), place


def test_marks_stand_where_particles_were_resampled(made):
    run, _, steps = made
    expected = [step for step in steps if step.parents is not None]
    assert 2 < len(expected) < len(steps)
    curves = run.trace.curves(most=7)  # thinned, and every mark is there
    figures = {
        against: [
            curve_figure(curves, "weights", NAMES, COLOURS, against),
            effective_figure(curves, 8, 0.9, against, "dark"),
        ]
        for against in ("level", "step")
    }
    for against, values in (("level", [one.level for one in expected]), ("step", [one.index for one in expected])):
        for figure in figures[against]:
            (lines,) = [trace for trace in figure.data if trace.name == charts.RESAMPLED_NAME]
            np.testing.assert_allclose(lines.x[::3], values)
            np.testing.assert_allclose(lines.x[1::3], values)
            assert lines.yaxis == "y2" and np.isnan(np.asarray(lines.x[2::3], float)).all()
    for option in (
        charts.curve_option(curves, "value", NAMES, COLOURS, 40, thin=False),
        charts.effective_option(curves, 8, 0.9, 40, "light"),
    ):
        (series,) = [one for one in option["series"] if one.get("name") == charts.RESAMPLED_NAME]
        table = option["dataset"][series["datasetIndex"]]["source"].to_pydict()
        assert table["step"][::3] == [one.index for one in expected] and series["yAxisIndex"] == 1


def test_the_effective_sample_size_is_that_of_the_steps_in_per_cent_of_a_group(made):
    run, _, steps = made
    figure = effective_figure(run.trace.curves(), 8, 0.9, "step", "light")
    expected = np.array([step.effective.numpy() for step in steps]) / 8 * 100
    by_name = {trace.name: trace for trace in figure.data}
    np.testing.assert_allclose(by_name[charts.MEDIAN].y, np.median(expected, 1))
    np.testing.assert_allclose(by_name[charts.THRESHOLD].y, 90)
    thin = np.asarray(figure.data[0].y, float).reshape(4, -1)[:, :-1]
    np.testing.assert_allclose(thin, expected.T)


def test_the_lineage_is_what_the_parents_of_the_steps_give(made, ancestors):
    run, result, _ = made
    stepwise, founders = ancestors
    lineage = lineage_of(run.trace.resamplings, 32)
    assert sorted(lineage.samples) == list(range(32)) and lineage.founders == len(set(founders))
    np.testing.assert_array_equal(lineage.places[0], founders[lineage.samples])
    for index in range(41):
        assert [run.trace.ancestor(index, sample) for sample in range(32)] == stepwise[index].tolist()
    for stretch, step in zip(lineage.places[1:], lineage.steps, strict=True):
        np.testing.assert_array_equal(stretch, stepwise[step][lineage.samples])
        # The lines of one ancestor lie side by side: none crosses another.
        assert (np.diff(stretch) != 0).sum() == len(set(stretch)) - 1
    figure = lineage_figure(lineage, 40, "light", 8, result.shares)
    dots = figure.data[-1]
    assert dots.customdata[:, 0].tolist() == lineage.samples.tolist()
    np.testing.assert_allclose(dots.customdata[:, 1], 100 * result.shares[lineage.samples])
    assert lineage_sentence(lineage, 8) == f"{len(set(founders))} distinct ancestors of 32 samples, in 4 groups"
    few = lineage_of(run.trace.resamplings, 32, most=10)
    assert len(few.samples) == 10 and (few.founders, few.parents) == (lineage.founders, lineage.parents)
    last = lineage.steps[-1]
    assert f"at step {last}, they were {len(set(stepwise[last - 1]))} distinct" in copies_sentence(lineage)


def test_an_ancestor_is_right_or_not_known_where_resamplings_were_joined():
    steps, asked = [], {"levels": {"steps": 300}, "batch": 8, "correction": {"threshold": 1}}
    run = Run(make_recipe(DOCUMENT | asked))
    run.execute(steps.append)
    assert len(run.trace.resamplings) < len(run.trace.marks)
    place, known = np.arange(8), 0
    for step in reversed(steps):
        found = [run.trace.ancestor(step.index, sample) for sample in range(8)]
        assert found in ([None] * 8, place.tolist())
        known += found[0] is not None
        if step.parents is not None:
            place = step.parents.numpy()[place]
    assert 50 < known < 300


def test_the_lineage_file_says_the_same(made, ancestors):
    _, result, steps = made
    rows = list(csv.DictReader(io.StringIO(lineage_csv(result).decode())))
    marks = [step.index for step in steps if step.parents is not None]
    assert len(rows) == 32 * len(marks)
    for number, mark in enumerate(marks):
        block = rows[32 * number : 32 * (number + 1)]
        assert {row["step"] for row in block} == {str(mark)}
        assert float(block[0]["level"]) == pytest.approx(steps[mark].level)
        # Before the resampling a place is that of the step before.
        assert [int(row["ancestor_from_0"]) for row in block] == ancestors[0][mark - 1].tolist()
        np.testing.assert_allclose([float(row["importance"]) for row in block], result.importance, rtol=1e-6)


def test_dots_have_the_area_of_what_samples_count_for(made):
    run, result, _ = made
    preview = run.trace.latest.preview
    drawn = plane_figure(preview, NAMES, COLOURS, "light", counts=result.shares * 8)
    (dots,) = [trace for trace in drawn.data if trace.name == "samples"]
    areas, shares = np.asarray(dots.marker.size) ** 2, result.shares
    kept = (areas > 1.5) & (areas < 500)
    np.testing.assert_allclose(areas[kept] / areas[kept].max(), shares[kept] / shares[kept].max())
    (plain,) = [trace for trace in plane_figure(preview, NAMES, COLOURS, "light").data if trace.name == "samples"]
    assert plain.marker.size == 6
    few = plane_figure(preview, NAMES, COLOURS, "light", rows=result.one_a_group())
    (dots,) = [trace for trace in few.data if trace.name == "samples"]
    assert (np.asarray(dots.customdata) // 8).tolist() == [0, 1, 2, 3]


def test_one_a_group_is_drawn_by_what_samples_count_for(made):
    _, result, _ = made
    shares = np.tile([0.1, 0.6, 0.0, 0.3], 2000)
    recipe = result.recipe.model_copy(update={"batch": 8000, "correction": CorrectionRecipe(particles=4)})
    many = replace(result, recipe=recipe, importance=shares / 2000)
    np.testing.assert_allclose(many.shares, shares)
    chosen = many.one_a_group()
    assert (chosen // 4 == np.arange(2000)).all() and (chosen == many.one_a_group()).all()
    np.testing.assert_allclose(np.bincount(chosen % 4, minlength=4) / 2000, shares[:4], atol=0.04)
    values = np.random.default_rng(0).normal(size=(2, 8000))
    np.testing.assert_allclose(many.mean(values), np.average(values, axis=1, weights=shares))


def test_a_gallery_says_what_each_picture_counts_for_and_parts_no_group():
    pictures = np.zeros((8, 4, 4), np.uint8)
    figure = gallery_figure(pictures, np.arange(8), 0, labels=[f"{k} %" for k in range(8)], group=4)
    assert [one.text for one in figure.layout.annotations] == [f"{k} %" for k in range(8)]
    assert [(one.x, one.y) for one in figure.layout.annotations][4] == (0.5, 1.03)  # the second group's first
    assert not gallery_figure(pictures, np.arange(8), 0).layout.annotations


def test_files_of_a_corrected_run_carry_the_importance_and_others_are_as_they_were(made):
    run, result, steps = made
    plain = replace(result, importance=None)
    for make in (trace_csv, trace_parquet):
        assert make(run.trace, plain) == make(run.trace)
    columns = trace_columns(run.trace, result)
    assert [*trace_columns(run.trace), "importance", "effective"] == list(columns)
    table = pq.read_table(io.BytesIO(trace_parquet(run.trace, result))).to_pydict()
    rows = [k for k, (step, sample) in enumerate(zip(table["step"], table["sample"], strict=True)) if step == 9]
    for row in rows:
        sample = table["sample"][row]
        effective = steps[9].effective.numpy()
        assert table["importance"][row] == pytest.approx(1 if sample < 0 else result.importance[sample])
        assert table["effective"][row] == pytest.approx(effective.mean() if sample < 0 else effective[sample // 8])
    files = {
        kind: {export.name: export.make() for export in get_domain("plane").exports(one)}
        for kind, one in (("corrected", result), ("plain", plain))
    }
    corrected, bare = (list(csv.reader(io.StringIO(files[kind]["samples.csv"].decode()))) for kind in files)
    assert [row[:-3] for row in corrected] == bare
    assert corrected[0][-3:] == ["group_from_0", "share_of_group", "importance"] and bare[0][-1] == "level"
    np.testing.assert_allclose([float(row[-1]) for row in corrected[1:]], result.importance, rtol=1e-5)
    assert files["corrected"]["samples.png"] != files["plain"]["samples.png"]


def test_comparisons_and_grids_of_corrected_runs_run(made):
    recipe = make_recipe(DOCUMENT)
    assert run_title(recipe).endswith(", corrected")
    assert with_operator(recipe, AndRecipe()).correction is None  # the paper's AND has no target
    assert with_operator(recipe, OrRecipe()).correction == recipe.correction
    first, *others = variants(recipe)
    assert first.correction is None and first.operator == recipe.operator and len(others) >= 4
    short = make_recipe(DOCUMENT | {"levels": {"steps": 4}})
    grid = Sweep(short, parse_axis("seed=0:2"))
    assert len(grid.execute()) == 2 and not grid.failures
    prompts = make_recipe(
        DOCUMENT
        | {"domain": "molecules", "experts": [{"model": "molecules", "prompt": ""}] * 2, "solver": "euler"}
    )  # fmt: skip
    assert Sweep(prompts, parse_axis("seed=0:2")).recipe.batch == 8  # a group, not a sample of none
