"""Other charts on paper, and the CSV of all of them, read back against the numbers that they are of."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from nasty import NASTY
from PIL import Image
from plane_recipes import plane
from read_svg import SVG, raw, texts, ticks

from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.picture_files import RECIPE_CHUNK
from superdiff_engine.figures.charts import (
    Group,
    agreement_sheet,
    curve_sheet,
    groups_sheet,
    lineage_sheet,
    properties_sheet,
    scatter_sheet,
    table_sheet,
)
from superdiff_engine.figures.curves import curves_svg
from superdiff_engine.figures.descent import lineage_of
from superdiff_engine.figures.numbers import curves_csv, effective_csv, pairs_csv, table_csv
from superdiff_engine.runs.run import Run


@pytest.fixture(scope="module")
def run():
    """A corrected run of the plane."""
    made = Run(
        plane(
            operator={"name": "formula", "text": "1 but not 2"},
            experts=[{"model": "overlap_a"}, {"model": "overlap_b"}],
            levels={"steps": 30},
            batch=32,
            correction={"particles": 8, "threshold": 0.9},
        )
    )
    made.execute()
    return made


def read(content):
    """(the head, the numbers [rows, columns]) of a CSV."""
    head, *rows = csv.reader(io.StringIO(content.decode()))
    return head, np.array(rows, float)


def marks(svg, name):
    """The places of a series of marks, [n, 2], by the ticks of the axes."""
    group = next(one for one in ElementTree.fromstring(svg).iter(f"{SVG}g") if one.get("id") == name)
    used = [[float(one.get("x")), float(one.get("y"))] for one in group.iter(f"{SVG}use")]
    outlines = [
        np.array(re.findall(r"-?[\d.]+", one.get("d")), float).reshape(-1, 2) for one in group.iter(f"{SVG}path")
    ]
    points = np.array(used or [(outline.min(0) + outline.max(0)) / 2 for outline in outlines])
    for column, axis in enumerate("xy"):
        points[:, column] = np.polyval(np.polyfit(*ticks(svg, axis), 1), points[:, column])
    return points


def test_agreement_has_a_point_a_sample_and_the_names_as_typed(run):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 2, 20))
    groups = [Group(NASTY[:30], "#0072b2", x[0], y[0]), Group("2 $x$ <b>", "#d55e00", x[1], y[1], "diamond")]
    sheet = agreement_sheet("Title & $y$", run.recipe, groups, ("of the run, nats", "afresh, nats"), "light", "A note")
    svg = sheet.svg()
    assert svg == sheet.svg()
    for number, group in enumerate(groups):
        np.testing.assert_allclose(marks(svg, f"points-{number}"), np.stack([group.x, group.y], 1), atol=2e-3)
    assert {"Title & $y$", "2 $x$ <b>", "of the run, nats", "afresh, nats", "A note", "agreement"} <= set(texts(svg))
    head, table = read(pairs_csv(("run_nats", "afresh_nats"), list(zip(x, y, strict=True))))
    assert head == ["curve_from_0", "sample_from_0", "run_nats", "afresh_nats"]
    np.testing.assert_allclose(table[20:, 2:], np.stack([x[1], y[1]], 1), rtol=1e-8)
    np.testing.assert_array_equal(table[:, :2], [(curve, row) for curve in range(2) for row in range(20)])


def test_two_properties_stand_at_their_values_with_what_was_asked(run):
    x, y = np.random.default_rng(1).normal(size=(2, 2, 12))
    groups = [Group("satisfy all", "#0072b2", x[0], y[0], "star"), Group(NASTY[:30], "#d55e00", x[1], y[1], "diamond")]
    bounds = [("x", 0.25, "#0072b2"), ("y", -0.5, "#d55e00")]
    svg = properties_sheet("TPSA & $y$", run.recipe, groups, ("TPSA, Å²", "$rings$"), "dark", bounds).svg()
    for number, group in enumerate(groups):
        np.testing.assert_allclose(marks(svg, f"points-{number}"), np.stack([group.x, group.y], 1), atol=2e-2)
    assert {"TPSA & $y$", "TPSA, Å²", "$rings$", "satisfy all"} <= set(texts(svg))
    assert svg.count(b"stroke-dasharray" if isinstance(svg, bytes) else "stroke-dasharray") == 2


def test_samples_in_the_plane_stand_at_their_places(run):
    preview = run.trace.latest.preview
    counts = run.result.shares * 8
    told = (run.recipe, run.titles, preview.positions, preview.weights, preview.contours, preview.extent)
    svg = scatter_sheet(*told, "dark", counts=counts, rows=np.arange(3, 30)).svg()
    np.testing.assert_allclose(marks(svg, "points"), preview.positions[3:30], atol=2e-3)
    sheet = scatter_sheet(*told, "dark", target=preview.contours[0], counts=counts, level=0.02)
    svg = sheet.svg()
    assert {"1 Upper pair", "2 Left pair", "exact target", "x, plane units"} <= set(texts(svg))
    assert any("area of a dot" in text for text in texts(svg))
    image = Image.open(io.BytesIO(sheet.png(100)))
    assert make_recipe(json.loads(image.text[RECIPE_CHUNK])) == run.recipe
    assert image.getpixel((2, 2)) == (0x10, 0x17, 0x1C)


def test_a_lineage_ends_in_its_samples_and_begins_with_its_founders(run):
    lineage = lineage_of(run.trace.resamplings, 32)
    svg = lineage_sheet(lineage, run.recipe, run.result.shares, "light", "Of a note").svg()
    last, first = (np.polyval(np.polyfit(*ticks(svg, "x")[::-1], 1), step) for step in (run.recipe.levels.steps, 0))
    places, numbers = ticks(svg, "y")
    for family in range(lineage.founders):
        points = raw(svg, f"family-{family}")
        ends = points[np.abs(points[:, 0] - last) < 0.01, 1]
        # The samples at whose numbers its lines end.
        found = {int(numbers[np.abs(places - end).argmin()]) for end in ends}
        assert found == set(lineage.samples[lineage.families == family].tolist())
        assert (np.abs(points[:, 0] - first) < 0.01).sum() == 1
    assert set(map(str, lineage.samples)) <= set(texts(svg))


def test_tables_and_groups_say_their_units(run):
    values = np.arange(12.0).reshape(3, 4)
    values[1, 1] = np.nan
    sheet = table_sheet("Distances", run.recipe, values, ("residue", "protein"), "light", unit="Å", span=(0, 11))
    assert {"Distances", "residue", "protein", "Å"} <= set(texts(sheet.svg()))
    kinds = [("helix", "#a8448c"), ("strand", "#d69600")]
    told = np.array([[0.0, 1.0, np.nan]])
    svg = table_sheet("Structure", run.recipe, told, ("residue", "protein"), "light", kinds=kinds).svg()
    assert {"helix", "strand"} <= set(texts(svg)) and b"#a8448c" in svg and b"#d69600" in svg
    groups = [Group("helix", "#a8448c", np.array([-60.0, 30.0]), np.array([-45.0, 90.0]))]
    svg = groups_sheet("Torsions", run.recipe, groups, ("phi", "psi"), "light", (-180, 180), 90).svg()
    np.testing.assert_allclose(marks(svg, "points-0"), [[-60, -45], [30, 90]], atol=0.5)
    assert table_csv(values).decode().splitlines() == ["0,1,2,3", "4,,6,7", "8,9,10,11"]
    assert table_csv(values[:1], "a,b,c,d").startswith(b"a,b,c,d\n0,1")


def test_a_charts_numbers_are_those_of_the_trace(run):
    curves = run.trace.curves()
    head, table = read(curves_csv(curves, "weights"))
    assert head[:4] == ["step", "level", "mean_weights_of_expert_0", "mean_weights_of_expert_1"]
    np.testing.assert_allclose(table[:, 0], curves.index)
    np.testing.assert_allclose(table[:, 1], curves.level, rtol=1e-8)
    np.testing.assert_allclose(table[:, 3], curves.mean_weights[:, 1], rtol=1e-8)
    place = head.index("weights_of_expert_1_sample_15")
    np.testing.assert_allclose(table[:, place], curves.weights[:, 1, 15], rtol=1e-6)
    head, table = read(curves_csv(curves, "value", sample=20))
    assert head[2:] == ["value_of_expert_0_sample_20", "value_of_expert_1_sample_20"]
    np.testing.assert_allclose(table[:, 2:], curves.log_density[:, :, 20], rtol=1e-6)
    head, table = read(effective_csv(curves, 8))
    np.testing.assert_allclose(table[:, 3:], 100 * curves.effective / 8, rtol=1e-8)


@pytest.mark.parametrize("shown", ["value", "effective"])
def test_a_sheet_of_curves_is_what_curves_svg_draws(run, shown):
    curves = run.trace.curves()
    sheet = curve_sheet(curves, run.recipe, run.titles, shown, "dark", against="step")
    assert sheet.svg() == curves_svg(curves, run.recipe, run.titles, shown, against="step", theme="dark")


def test_nobody_waits_for_matplotlib_who_draws_nothing():
    """Whatever the studio's pages and the commands import when they start, it is not there; it takes a second."""
    root = Path(__file__).parents[2]
    paths = [path for folder in ("studio", "superdiff_engine/cli") for path in (root / folder).rglob("*.py")]
    paths = [path for path in paths if path.parent.name != "screens" and path.stem not in ("app", "serve", "__main__")]
    names = [
        ".".join(path.relative_to(root).with_suffix("").parts)
        for path in [*paths, root / "superdiff_engine/cli/app.py"]
    ]
    script = "import sys\nfrom importlib import import_module\n" + "".join(
        f"import_module({name!r}); assert 'matplotlib' not in sys.modules, {name!r}\n" for name in sorted(names)
    )
    assert len(names) > 100
    environment = os.environ | {"PYTHONPATH": str(root)}
    found = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-400:]
