"""A slide of every domain: its size, what is written on it and where, and its samples pixel for pixel."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from nasty import NASTY
from PIL import Image
from plane_recipes import plane
from typer.testing import CliRunner

from superdiff_engine.cli.app import app
from superdiff_engine.domains import domains, get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.picture_files import RECIPE_CHUNK, DecodedPictures
from superdiff_engine.domains.slides import cells_for, share_text
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.figures import paper
from superdiff_engine.figures.slide import AXES, DOTS, SIZE, slide_figure, slide_png
from superdiff_engine.runs.run import Run

WITH_MODELS = [name for name, domain in domains().items() if not domain.absent]


def made(recipe, folder=None):
    return Run(recipe, folder, previews=False).execute()


@pytest.fixture(scope="module")
def results():
    """A short run of each domain; where a network would take long, its pictures are noise."""
    found = {"plane": made(plane(experts=[{"model": "ring"}, {"model": "petal_a"}]))}
    for name in ("molecules", "proteins"):
        document = next(iter(get_domain(name).examples().values())).model_dump(mode="json")
        found[name] = made(make_recipe(document | {"batch": 2, "levels": {"steps": 2}}))
    rng = np.random.default_rng(0)
    for name, shape in (("pictures", (16, 28, 28)), ("prompts", (16, 64, 64, 3))):
        document = next(iter(get_domain(name).examples().values())).model_dump(mode="json")
        recipe = make_recipe(document | {"batch": 16, "levels": {"steps": 6}})
        pictures = DecodedPictures(rng.integers(0, 256, shape, np.uint8))
        found[name] = replace(found["plane"], recipe=recipe, decoded=pictures)
    return found


def drawn(result, **told):
    """(what is written, with its frame in pixels; the figure)."""
    with paper.drawing(told.get("theme", "light"), AXES):
        figure = slide_figure(result, **told)
        texts = [(text.get_text(), text.get_window_extent()) for text in figure.texts if text.get_text()]
    return texts, figure


@pytest.mark.parametrize(("name", "theme"), zip(WITH_MODELS, ["light", "dark"] * len(WITH_MODELS), strict=False))
def test_every_domain_has_a_slide(results, name, theme):
    result, domain = results[name], get_domain(name)
    texts, figure = drawn(result, theme=theme)
    with paper.drawing(theme, AXES):
        content = paper.to_png(figure, result.recipe, DOTS)
    image = Image.open(io.BytesIO(content))
    assert image.size == SIZE == (1920, 1080)
    assert make_recipe(json.loads(image.text[RECIPE_CHUNK])) == result.recipe
    assert "#{:02x}{:02x}{:02x}".format(*image.getpixel((0, 0))) == paper.INK[theme].ground
    # The samples stand in it as the domain draws them, unscaled.
    (samples,) = figure.images
    pixels = np.asarray(samples.get_array())[..., :3]
    height, width = pixels.shape[:2]
    top, left = SIZE[1] - round(samples.oy) - height, round(samples.ox)
    np.testing.assert_array_equal(np.asarray(image)[top : top + height, left : left + width], pixels)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
    written = " ".join(text for text, _ in texts)
    for word in (domain.title, f"seed {result.recipe.seed}", f"{result.recipe.batch} samples", "arXiv 2412.17762"):
        assert word in written
    for place, title in enumerate(result.titles, start=1):
        assert f"{place} {title}" in written


def test_the_same_run_is_the_same_slide(results):
    assert slide_png(results["pictures"]) == slide_png(results["pictures"])


def test_pictures_on_a_slide_are_the_runs_own(results):
    """Every cell, reduced to the size of its picture, is that picture."""
    result = results["pictures"]
    made = get_domain("pictures").slide_picture(result, 950, 700)
    cells = cells_for(16, 950, 700, 80)
    assert cells.count == 16 and (cells.columns, cells.rows) == (4, 4)
    for row, picture in enumerate(result.decoded.pictures):
        left, top = row % 4 * (cells.width + 8), row // 4 * (cells.height + 8)
        cell = made.image.crop((left, top, left + cells.width, top + cells.height)).convert("L")
        middles = ((np.arange(28) + 0.5) * cells.width / 28).astype(int)
        np.testing.assert_array_equal(np.asarray(cell)[np.ix_(middles, middles)], picture)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 16, 17, 64, 1000])
@pytest.mark.parametrize(("aspect", "below"), [(1.0, 0), (2.0, 30), (0.4, 0)])
def test_cells_fit_and_are_large_enough(count, aspect, below):
    cells = cells_for(count, 1000, 700, 90, aspect, below)
    assert 1 <= cells.count <= count
    assert cells.columns * cells.width + 8 * (cells.columns - 1) <= 1000
    assert cells.rows * cells.height + 8 * (cells.rows - 1) <= 700
    assert cells.width >= 90 or cells.count == 1
    assert cells.count == count or cells.count >= 10


def test_a_formula_is_said_with_the_experts_names():
    recipe = plane(
        experts=[{"model": "ring"}, {"model": "petal_a"}],
        operator={"name": "formula", "text": "1 but not[0.5] 2"},
        batch=16,
        correction={"particles": 8, "threshold": 0.9},
    )
    result = made(recipe)
    written = [text for text, _ in drawn(result)[0]]
    assert written[0] == "Ring but not Petal 1, with the strength 0.5, corrected"
    assert written[1] == "Formula: 1 but not[0.5] 2"
    assert any("what it counts for" in text for text in written)
    assert any("weighted mean" in text for text in written)
    assert any(text.startswith("Effective sample size") for text in written)
    assert any("8 particles a group" in text for text in written)
    # What pictures of a corrected run count for stands below them.
    pictures = DecodedPictures(np.zeros((16, 28, 28), np.uint8))
    other = replace(result, recipe=recipe.model_copy(update={"domain": "pictures"}), decoded=pictures)
    plain = get_domain("pictures").slide_picture(replace(other, importance=None), 900, 700)
    weighed = get_domain("pictures").slide_picture(other, 900, 700)
    assert "its group of 8" in weighed.note and not plain.note
    assert [share_text(share) for share in (0.0, 0.001, 0.125, 1.0)] == ["0 %", "<1 %", "12.5 %", "100 %"]


def test_names_of_any_kind_keep_to_their_places(results):
    """Eight experts, with markup, in several scripts, very long: all on the slide, and nothing lies over another."""
    names = ["<b>x</b> $x^2$", "日本語" * 90, "العربية שלום", "😀 & co", "m" * 300, NASTY, "_a", "z " * 90]
    result = made(plane(experts=[{"model": "ring"}] * 8, operator={"name": "average"}, levels={"steps": 2}))
    texts, _ = drawn(result, titles=names, title="A title $t$ " * 30, state="cancelled")
    for place, name in enumerate(names, start=1):
        whole = " ".join(f"{place} {name}".split())
        mark = paper.LEFT_TO_RIGHT if "שלום" in name else ""
        assert any(
            text == f"{mark}{whole}" or (text.endswith("…") and whole.startswith(text[:-1])) for text, _ in texts
        )
    assert any("cancelled" in text for text, _ in texts)
    for number, (text, frame) in enumerate(texts):
        assert frame.x0 >= 0 and frame.x1 <= SIZE[0] and frame.y0 >= 0 and frame.y1 <= SIZE[1], text
        assert not [other for other, place in texts[:number] if frame.count_overlaps([place])], text


def test_a_run_without_samples_to_show_has_its_curves(results, monkeypatch):
    monkeypatch.setattr(type(get_domain("plane")), "slide_picture", lambda *told, **more: None)
    figure = drawn(results["plane"])[1]
    assert not figure.images and len(figure.axes) == 2 and figure.axes[0].get_position().width > 0.8


def test_a_domain_without_a_slide_picture_shows_its_preview(results):
    from superdiff_engine.domain import Domain

    result, domain = results["plane"], get_domain("plane")
    found = Domain.slide_picture(domain, result, 400, 300)
    assert found.image.height == 300 and found.image.width < 400


def test_the_command_draws_a_slide_of_a_record(tmp_path):
    made(plane(), tmp_path / "run")
    out = tmp_path / "slide.png"
    found = CliRunner().invoke(app, ["slide", str(tmp_path / "run"), "--out", str(out), "--title", "Two rows"])
    assert found.exit_code == 0, found.output
    assert Image.open(out).size == SIZE
    for words, said in (
        ([str(tmp_path / "run"), "--out", str(out)], "is there already"),
        ([str(tmp_path), "--out", str(tmp_path / "b.png")], "no record"),
        ([str(tmp_path / "run"), "--out", str(tmp_path / "b.jpg")], "ends in .png"),
    ):
        found = CliRunner().invoke(app, ["slide", *words])
        assert isinstance(found.exception, SuperDiffError) and said in str(found.exception)
