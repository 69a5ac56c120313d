"""Charts and contour lines, as far as they can be judged without looking."""

import base64
import io
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.charts import live as charts
from studio.charts import palette
from studio.charts.finished import curve_figure, gallery_figure, plane_figure
from studio.charts.mosaic import mosaic_png
from studio.stage.sample import last_moment
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.colours import owners
from superdiff_engine.domains.plane import drawing
from superdiff_engine.domains.plane.arrays import PlanePreview
from superdiff_engine.domains.plane.contours import contour_segments, density_lines
from superdiff_engine.domains.plane.domain import MIXTURES
from superdiff_engine.runs.run import Run


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
    plane = charts.plane_option(preview, ["1 a", "2 b"], colours, "light", 360)["series"]
    finished = curve_figure(curves, "weights", ["1 a", "2 b"], colours, "level").data
    assert [series["color"] for series in live] == colours
    assert [series["color"] for series in plane if series["type"] == "line"] == colours
    assert [trace.line.color for trace in finished if trace.name] == colours


def test_titles_of_models_are_text_not_markup(run):
    figure = plane_figure(run.trace.latest.preview, ["1 <b>a</b>", "2"], ["#111", "#222"], "light")
    assert "<b>" not in json.dumps(figure.to_plotly_json()["data"][0]["name"])


def test_samples_belong_to_an_expert_that_has_nearly_all_the_weight():
    weights = np.array([[0.9, 0.5, 0.0], [0.1, 0.5, 1.0]])
    assert owners(weights).tolist() == [0, -1, 1]


def test_a_grid_of_pictures_is_a_png_of_any_count():
    for count in (1, 5, 64):
        assert mosaic_png(np.zeros((count, 28, 28), np.uint8)).startswith(b"\x89PNG")
    assert mosaic_png(np.zeros((3, 32, 32, 3), np.uint8)).startswith(b"\x89PNG")


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
    config = tomllib.loads((Path(palette.__file__).parents[1] / ".streamlit/config.toml").read_text())
    assert config["theme"][theme]["chartCategoricalColors"] == palette.EXPERT_COLOURS[theme]
    assert config["server"]["address"] == "127.0.0.1"
    assert config["browser"]["gatherUsageStats"] is False


def test_the_plane_keeps_its_proportions_at_every_width():
    """For each width of a chart one rule applies, and its grid is square and within the chart."""
    none, extent = np.zeros((1, 0)), np.array([-4.0, 4.0, -4.0, 4.0])
    preview = PlanePreview(np.zeros((0, 2)), none, none, none, np.zeros((1, 8, 8)), extent)
    rules = charts.plane_option(preview, ["1 a"], ["#111"], "light", 360)["media"]
    for width in range(160, 2000):
        (grid,) = [
            rule["option"]["grid"]
            for rule in rules
            if rule["query"]["minWidth"] <= width <= rule["query"].get("maxWidth", width)
        ]
        assert grid["width"] == grid["height"] <= min(width - 78, 360 - 74)


def test_only_samples_with_curves_can_be_clicked(run):
    preview = run.trace.latest.preview
    figure = plane_figure(preview, ["1 a", "2 b"], ["#111", "#222"], "light", traced=10)
    points = [trace for trace in figure.data if trace.mode == "markers"]
    clicked = [trace for trace in points if trace.hoverinfo != "skip"]
    assert [int(number) for trace in clicked for number in trace.customdata] == list(range(10))
    shown = np.concatenate([np.column_stack([trace.x, trace.y]) for trace in points])
    assert sorted(map(tuple, shown)) == sorted(map(tuple, preview.positions))


def test_long_names_are_whole_in_hovers_and_short_in_legends(run):
    name = "1 " + "a very long title of a model " * 3
    for figure in (
        plane_figure(run.trace.latest.preview, [name, "2"], ["#111", "#222"], "light"),
        curve_figure(run.trace.curves(), "value", [name, "2"], ["#111", "#222"], "level"),
    ):
        named = [trace for trace in figure.data if trace.name and trace.name.startswith("1")]
        assert all(len(trace.name) <= 28 and trace.name.endswith("…") for trace in named)
        # Nothing above the plot but the tool bar: no title for a legend to run into.
        assert figure.layout.title.text is None and figure.layout.legend.yanchor == "bottom"
    assert any(name.strip() in trace.hovertemplate for trace in figure.data if trace.hovertemplate)


def test_the_weights_follow_the_chosen_component():
    """Weights by component: each component's curve is that of its own weights, and their mean is the joint curve."""
    recipe = {
        "domain": "proteins",
        "experts": [{"model": "proteins_alpha"}, {"model": "proteins_beta"}],
        "levels": {"steps": 3},
        "batch": 2,
        "residues": 30,
        "per_component": True,
    }
    run, steps = Run(make_recipe(recipe), previews=False), []
    run.execute(steps.append)
    curves = run.trace.curves()
    for name in ("positions", "rotations"):
        shown, singles = charts.select(curves, "weights", name)
        np.testing.assert_allclose(shown, [step.component_weights[name].double().mean(1) for step in steps])
        assert singles.shape[2] == 0
    both = [charts.select(curves, "weights", name)[0] for name in ("positions", "rotations")]
    np.testing.assert_allclose(np.mean(both, 0), charts.select(curves, "weights")[0], atol=1e-6)
    assert np.abs(both[0] - both[1]).max() > 1e-3


def test_the_end_of_a_cancelled_run_is_not_called_finished(run):
    assert last_moment(run.result) == "finished"
    assert last_moment(replace(run.result, complete=False, index=7, level=1.25)) == "stopped at step 7, s = 1.2"


def _lighter(colour):
    parts = (0.65 * int(colour[k : k + 2], 16) + 0.35 * 255 for k in (1, 3, 5))
    return "#" + "".join(f"{round(part):02x}" for part in parts)


def test_the_planes_picture_has_the_pages_colours_axes_and_contours(tmp_path):
    """Where a density is at one of the depths, the picture has its expert's colour; where nothing is, it has not."""
    recipe = make_recipe({"domain": "plane", "experts": [{"model": "petal_a"}, {"model": "petal_b"}], "batch": 64})
    run = Run(make_recipe(recipe.model_dump() | {"levels": {"steps": 20}}), tmp_path / "run")
    result = run.execute()
    picture = Image.open(tmp_path / "run" / "preview.png").convert("RGB")
    pixels = np.asarray(picture).astype(int)
    left, top, side = drawing.LEFT, drawing.TOP, drawing.SIDE

    def near(colour, place, reach=2):
        wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
        column, row = left + (place[0] + 4) / 8 * side, top + (4 - place[1]) / 8 * side
        patch = pixels[int(row) - reach : int(row) + reach + 1, int(column) - reach : int(column) + reach + 1]
        return np.abs(patch - wanted).sum(-1).min() < 60

    light = palette.EXPERT_COLOURS["light"]
    axis = np.linspace(-3.9, 3.9, 400)
    for model, colour in zip(("petal_a", "petal_b"), light, strict=False):
        mixture = MIXTURES[model][2]
        variance = mixture.variances[0] + result.level**2
        grid = np.stack(np.meshgrid(axis, axis), -1)
        density = np.log(sum(np.exp(-((grid - mean) ** 2).sum(-1) / 2 / variance) for mean in mixture.means))
        for depth in (0.5, 2.0, 4.5):
            on = np.argwhere(np.abs(density - density.max() + depth) < 0.01)[::7]
            hit = [near(colour, (axis[column], axis[row])) for row, column in on]
            # The other expert's lines and the samples cover some of it.
            assert len(on) > 10 and np.mean(hit) > 0.6, (model, depth)
    # Samples are drawn with 0.65 of their colour, as on the page.
    shades = [_lighter(colour) for colour in (*light[:2], palette.NEUTRAL["light"])]
    owned = zip(owners(result.weights), result.samples["x"], strict=True)
    assert np.mean([near(shades[who], place) for who, place in owned]) > 0.9
    # Axes: something is written below the plane and left of it, and a line for each expert stands below.
    assert (pixels[top + side + 5 : top + side + 18, left:] < 128).any()
    assert (pixels[top : top + side, : left - 8] < 128).any()
    for row, colour in enumerate(light[:2]):
        middle = top + side + drawing.BELOW + drawing.LINE * row + drawing.LINE // 2
        assert "#" + "".join(f"{part:02x}" for part in pixels[middle, left + 5]) == colour
