"""Charts and contour lines, as far as they can be judged without looking."""

import base64
import io
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio import charts, palette
from studio.contours import contour_segments, density_lines
from studio.figures import curve_figure, gallery_figure, plane_figure
from studio.pictures import grid_png
from superdiff_engine.recipe import make_recipe
from superdiff_engine.run import Run


@pytest.fixture(scope="module")
def run():
    experts = [{"model": "overlap_a"}, {"model": "overlap_b"}]
    recipe = make_recipe({"domain": "plane", "experts": experts, "levels": {"steps": 20}, "batch": 32})
    run = Run(recipe)
    run.execute()
    return run


def test_contour_lines_lie_at_their_height():
    axis = np.linspace(-3, 3, 121)
    x, y = np.meshgrid(axis, axis)
    segments = contour_segments(-(x**2 + 2 * y**2), np.array([-3, 3, -3, 3]), np.array([-1.0, -4.0]))
    heights = -(segments[..., 0] ** 2 + 2 * segments[..., 1] ** 2)
    assert len(segments) > 100
    assert np.abs(heights[:, :, None] - [-1, -4]).min(-1).max() < 5e-3


def test_contour_lines_are_closed():
    """Inside the grid every end of a segment is the end of another one, saddles included."""
    values = np.random.default_rng(0).normal(size=(30, 30))
    ends = contour_segments(values, np.array([0, 29, 0, 29]), np.array([0.3])).reshape(-1, 2).round(9)
    places, counts = np.unique(ends, axis=0, return_counts=True)
    on_border = ((places == 0) | (places == 29)).any(1)
    assert (counts[~on_border] == 2).all()


def test_a_flat_density_has_no_lines():
    assert density_lines(np.zeros((8, 8)), np.array([0, 1, 0, 1])).shape == (0, 2)


def test_live_charts_thin_long_runs(run):
    curves = run.trace.curves(10)
    option = charts.curve_option(curves, "value", ["1 a", "2 b"], ["#111", "#222"], 20, thin=True)
    assert option["dataset"][0]["source"].num_rows == 10
    assert option["animation"] is False
    bold = [series for series in option["series"] if "name" in series]
    assert [series["name"] for series in bold] == ["1 a", "2 b"]


def test_the_difference_is_to_the_mean_of_the_experts(run):
    means, singles = charts.select(run.trace.curves(), "difference")
    np.testing.assert_allclose(means.sum(1), 0, atol=1e-9)
    np.testing.assert_allclose(singles.sum(1), 0, atol=1e-3)


def test_the_same_colour_for_an_expert_in_every_chart(run):
    colours = ["#111111", "#222222"]
    preview = run.trace.latest.preview
    curves = run.trace.curves()
    live = charts.curve_option(curves, "weights", ["1 a", "2 b"], colours, 20, thin=False)["series"]
    plane = charts.plane_option(preview, ["1 a", "2 b"], colours, "light")["series"]
    finished = curve_figure(curves, "weights", ["1 a", "2 b"], colours, "level").data
    assert [series["color"] for series in live] == colours
    assert [series["color"] for series in plane if series["type"] == "line"] == colours
    assert [trace.line.color for trace in finished if trace.name] == colours


def test_titles_of_models_are_text_not_markup(run):
    figure = plane_figure(run.trace.latest.preview, ["1 <b>a</b>", "2"], ["#111", "#222"], "light")
    assert "<b>" not in json.dumps(figure.to_plotly_json()["data"][0]["name"])


def test_samples_belong_to_an_expert_that_has_nearly_all_the_weight():
    weights = np.array([[0.9, 0.5, 0.0], [0.1, 0.5, 1.0]])
    assert charts.owners(weights).tolist() == [0, -1, 1]


def test_a_grid_of_pictures_is_a_png_of_any_count():
    for count in (1, 5, 64):
        assert grid_png(np.zeros((count, 28, 28), np.uint8)).startswith(b"\x89PNG")
    assert grid_png(np.zeros((3, 32, 32, 3), np.uint8)).startswith(b"\x89PNG")


def test_a_click_in_the_gallery_finds_the_picture_under_it():
    """The unseen points lie in the middle of the pictures as the drawn grid has them, numbered over all pages."""
    pictures = np.arange(1, 8, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8) * 30
    figure = gallery_figure(pictures, np.arange(64, 64 + len(pictures)), 69)
    image = figure.layout.images[0]
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(image.source.partition(",")[2]))))
    points = figure.data[0]
    for x, y, number in zip(points.x, points.y, points.customdata, strict=True):
        row, column = int(y / image.sizey * drawn.shape[0]), int(x / image.sizex * drawn.shape[1])
        assert drawn[row, column, 0] == pictures[number - 64, 0, 0]
    frame = figure.layout.shapes[0]
    assert (frame.x0 + 0.5, frame.y0 + 0.5) == (points.x[5], points.y[5])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_streamlits_own_charts_use_the_experts_colours(theme):
    config = tomllib.loads((Path(palette.__file__).parent / ".streamlit/config.toml").read_text())
    assert config["theme"][theme]["chartCategoricalColors"] == palette.EXPERT_COLOURS[theme]
    assert config["server"]["address"] == "127.0.0.1"
    assert config["browser"]["gatherUsageStats"] is False
