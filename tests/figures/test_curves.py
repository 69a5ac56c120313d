"""Curves as SVG and PNG, read back: by the XML of the SVG and its ticks, and by the pixels and chunks of the PNG."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from nasty import NASTY
from PIL import Image
from plane_recipes import plane
from read_svg import SVG, line, texts

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.colours import expert_colours
from superdiff_engine.domains.picture_files import RECIPE_CHUNK
from superdiff_engine.figures import paper
from superdiff_engine.figures.curves import curves_png, curves_svg, draw_curves, over
from superdiff_engine.figures.quantities import TITLES, UNITS
from superdiff_engine.runs.run import Run

NAMES = [
    "<script>alert(1)</script>",
    "$x^2$ & \"q\" 'r'",
    "日本語 中文",
    "😀 🦁 emoji",
    "العربية שלום",
    "x" * 300,
    NASTY,
    "_hidden",
]


@pytest.fixture(scope="module")
def run():
    """A corrected run of the plane, with groups of particles."""
    recipe = plane(
        operator={"name": "formula", "text": "1 but not 2"},
        experts=[{"model": "overlap_a"}, {"model": "overlap_b"}],
        levels={"steps": 30},
        batch=32,
        correction={"particles": 8, "threshold": 0.9},
    )
    made = Run(recipe)
    made.execute()
    return made


@pytest.mark.parametrize("against", ["level", "step"])
def test_lines_are_the_numbers_of_the_trace(run, against):
    curves = run.trace.curves()
    x = curves.level if against == "level" else curves.index
    wanted = {
        "value": (curves.mean_log_density, curves.log_density),
        "weights": (curves.mean_weights, curves.weights),
        "difference": (
            curves.mean_log_density - curves.mean_log_density.mean(1)[:, None],
            curves.log_density - curves.log_density.mean(1)[:, None],
        ),
    }
    for quantity, (means, singles) in wanted.items():
        svg = curves_svg(curves, run.recipe, run.titles, quantity, against=against)
        assert {TITLES[quantity], UNITS[quantity], *paper.numbered(run.titles), "resampled"} <= set(texts(svg))
        across = "noise level s (plane units), from noise to data" if against == "level" else "step"
        assert across in texts(svg)
        height = float(np.ptp(np.append(means, singles[np.isfinite(singles)])))
        for expert in range(2):
            found = line(svg, f"mean-{expert}", log=against == "level")
            np.testing.assert_allclose(found[:, 0], x, rtol=2e-4, atol=2e-3)
            np.testing.assert_allclose(found[:, 1], means[:, expert], atol=1e-4 * height)
            thin = line(svg, f"samples-{expert}", log=against == "level")
            known = singles[:, expert, :16].T
            np.testing.assert_allclose(thin[:, 1], known[np.isfinite(known)], atol=1e-4 * height)
        picked = line(curves_svg(curves, run.recipe, run.titles, quantity, against=against, sample=3), "mean-1")
        np.testing.assert_allclose(picked[:, 1], singles[:, 1, 3], atol=1e-4 * height)


def test_effective_sizes_and_marks(run):
    curves = run.trace.curves()
    assert len(curves.marks)
    svg = curves_svg(curves, run.recipe, run.titles, "effective", against="step")
    found = line(svg, "mean-0")
    np.testing.assert_allclose(found[:, 1], np.median(curves.effective, 1) / 8 * 100, atol=0.02)
    np.testing.assert_allclose(np.unique(line(svg, "resampled")[:, 0].round(2)), curves.marks)
    with pytest.raises(ValueError, match="Only a corrected run"):
        curves_svg(curves, run.recipe.model_copy(update={"correction": None}), run.titles, "effective")


def test_names_stand_as_text_and_as_nothing_else(run):
    curves = run.trace.curves()
    svg = curves_svg(curves, run.recipe, NAMES[:2], "weights")
    plain = curves_svg(curves, run.recipe, ["a", "b"], "weights")
    root = ElementTree.fromstring(svg)
    assert {one.tag for one in root.iter()} == {one.tag for one in ElementTree.fromstring(plain).iter()}
    assert {"1 <script>alert(1)</script>", f"2 {NAMES[1]}"} <= set(texts(svg))


def test_names_of_any_script_and_length(run):
    recipe = make_recipe({"domain": "plane", "experts": [{"model": "ring"}] * 8, "levels": {"steps": 2}, "batch": 2})
    made = Run(recipe)
    made.execute()
    svg = curves_svg(made.trace.curves(), recipe, NAMES)
    written = [text.removeprefix(paper.LEFT_TO_RIGHT) for text in texts(svg)]
    for place, name in enumerate(NAMES, start=1):
        whole = f"{place} {name}"
        assert any(text == whole or (text.endswith("…") and whole.startswith(text[:-1])) for text in written)
    with paper.drawing("light"):
        # Where a font of this machine has a letter, the letter is drawn by that font.
        assert all(
            ord(letter) in paper._letters_of(paper.FONT) or paper._font_with(ord(letter)) in paper.families(name)
            for name in NAMES
            for letter in name
            if paper._font_with(ord(letter))
        )
    png = curves_png(made.trace.curves(), recipe, NAMES, theme="dark")
    assert Image.open(io.BytesIO(png)).size == (1280, 800)


def test_components_of_other_domains(run):
    """A part of the log-density, on axes with its domain's unit."""
    curves, recipe = run.trace.curves(), run.recipe.model_copy(update={"domain": "proteins"})
    part = np.stack([curves.mean_log_density[:, 0] * 2, curves.mean_log_density[:, 1] - 1], 1)
    curves.components["rotations"] = part
    svg = curves_svg(curves, recipe, run.titles, "value", component="rotations", against="step")
    assert f"{TITLES['value']} (rotations)" in texts(svg)
    np.testing.assert_allclose(line(svg, "mean-1")[:, 1], part[:, 1], atol=1e-3 * np.ptp(part))
    svg = curves_svg(curves, recipe, run.titles, "value", component="rotations")
    assert f"noise level s ({get_domain('proteins').level_unit}), from noise to data" in texts(svg)
    del curves.components["rotations"]


def test_a_png_has_its_size_and_the_recipe(run):
    png = curves_png(run.trace.curves(), run.recipe, run.titles, size=(6, 4), dots=100)
    image = Image.open(io.BytesIO(png))
    assert image.size == (600, 400) and image.mode == "RGB"
    assert json.loads(image.text[RECIPE_CHUNK]) == json.loads(run.recipe.to_json())
    svg = ElementTree.fromstring(curves_svg(run.trace.curves(), run.recipe, run.titles))
    (told,) = svg.iter("{http://purl.org/dc/elements/1.1/}description")
    assert make_recipe(json.loads(told.text)) == run.recipe
    assert svg.find(f"{SVG}title").text.startswith(TITLES["value"])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_theme_has_its_ground_and_its_experts_colours(run, theme):
    content = curves_png(run.trace.curves(), run.recipe, run.titles, theme=theme, size=(5, 3), dots=100)
    image = Image.open(io.BytesIO(content))
    pixels = np.asarray(image).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    hexes = {"#{:02x}{:02x}{:02x}".format(*colour) for colour in colours}
    assert paper.INK[theme].ground == "#{:02x}{:02x}{:02x}".format(*colours[counts.argmax()])
    assert set(expert_colours(2, theme)) <= hexes


def test_the_same_bytes_whoever_draws_whenever(run):
    """Of a user's own settings none has a say, none is changed, and threads may draw at once."""
    curves = run.trace.curves()

    def make(number):
        kind, theme = (curves_svg, curves_png)[number % 2], ("light", "dark")[number // 2 % 2]
        return kind(curves, run.recipe, run.titles, "value", theme=theme)

    first = [make(number) for number in range(4)]
    assert b"dc:date" not in first[0]
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": False, "text.parse_math": True}):
        before = dict(matplotlib.rcParams)
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(make, [0, 3, 1, 2]))
        assert dict(matplotlib.rcParams) == before
    assert found == [first[0], first[3], first[1], first[2]]


def test_several_runs_on_the_same_axes(run):
    curves = run.trace.curves()
    with paper.drawing("light"):
        figure = paper.new_figure(6, 4)
        axes = figure.subplots()
        for key, style in (("a-", "-"), ("b-", "--")):
            drawn = draw_curves(axes, curves, "weights", expert_colours(2, "light"), style=style, key=key, thin=0)
            assert len(drawn) == 2
        over(axes, curves, "level", run.recipe)
        svg = paper.to_svg(figure, run.recipe, "two")
    np.testing.assert_allclose(line(svg, "a-mean-1", log=True), line(svg, "b-mean-1", log=True))
