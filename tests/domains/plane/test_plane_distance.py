"""The exact target in the plane, against Gaussians worked out by hand and draws of numpy's."""

import math

import numpy as np
import pytest
import torch
from plane_recipes import plane

from studio.charts.live import TARGET_NAME, plane_option
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.colours import owners
from superdiff_engine.domains.plane.distance import CELLS, cell_masses, distance, floor, log_target, target_of
from superdiff_engine.domains.plane.domain import HALF_WIDTHS, to_view, view_half_width
from superdiff_engine.domains.plane.mixture import GaussianMixture
from superdiff_engine.recipes.formulas import parse_formula
from superdiff_engine.runs.run import Run

A, B = ([0.4, -0.2], 0.3), ([-0.5, 1.0], 0.6)
EXPERTS = [GaussianMixture([mean], [variance]) for mean, variance in (A, B)]


def joined(weights, level):
    """Mean and variance of N(a)^v N(b)^w: precisions add up, weighted."""
    precisions = [weight / (variance + level**2) for weight, (_, variance) in zip(weights, (A, B), strict=True)]
    means = np.array([A[0], B[0]])
    return precisions @ means / sum(precisions), 1 / sum(precisions)


@pytest.mark.parametrize(
    ("text", "weights", "level"),
    [("1 + 2", (1, 1), 0.02), ("2*1", (2, 0), 0.02), ("1 but not[0.5] 2", (1.5, -0.5), 1.5)],
)
def test_sums_of_two_gaussians_are_the_gaussian_worked_out_by_hand(text, weights, level):
    formula, scale = parse_formula(text, ["a", "b"]), to_view(level)
    mean, variance = joined(weights, level)
    axis = np.linspace(-4, 4, 64) / scale
    grid = np.stack(np.meshgrid(axis, axis), -1)  # row 0 has the lowest y
    squares = ((grid - mean) ** 2).sum(-1) / (2 * variance)
    points = torch.from_numpy(grid.reshape(-1, 2))
    log_density = np.stack([expert.log_density(points, level).view(64, 64).numpy() for expert in EXPERTS])
    above = log_target(formula, log_density) + squares
    np.testing.assert_allclose(above, above[0, 0], atol=1e-8)

    half_width, masses = cell_masses(formula, EXPERTS, level, scale)
    edges = np.linspace(-half_width, half_width, CELLS + 1) / scale
    below = [
        np.array([0.5 * (1 + math.erf((edge - middle) / math.sqrt(2 * variance))) for edge in edges]) for middle in mean
    ]
    expected = np.outer(np.diff(below[1]), np.diff(below[0]))
    np.testing.assert_allclose(masses, expected / expected.sum(), atol=2e-4)


def test_the_window_grows_to_hold_a_target_that_the_view_does_not():
    formula = parse_formula("1 but not 2", ["a", "b"])
    experts = [GaussianMixture([[x, 1.5]], [0.16]) for x in (1.5, -1.5)]
    half_width, masses = cell_masses(formula, experts, 0.02)  # its mode is at x = 2 * 1.5 + 1.5
    assert half_width == 8
    column = masses.sum(0).argmax()
    assert (column + 0.5) / CELLS * 16 - 8 == pytest.approx(4.5, abs=8 / CELLS)


@pytest.mark.parametrize("count", [50, 1000])
def test_the_floor_is_what_exact_samples_have(count):
    _, masses = cell_masses(parse_formula("1 + 2", ["a", "b"]), EXPERTS, 0.02)
    draws = np.random.default_rng(0).multinomial(count, masses.ravel(), 200) / count
    found = 0.5 * np.abs(draws - masses.ravel()).sum(1)
    assert floor(masses, count) == pytest.approx(found.mean(), abs=4 * found.std() / math.sqrt(200))
    assert floor(np.array([[1.0, 0.0]]), count) == 0


def test_exact_samples_are_as_far_as_the_floor_and_weights_count():
    formula = parse_formula("1 + 2", ["a", "b"])
    mean, variance = joined((1, 1), 0.02)
    rng = np.random.default_rng(1)
    draws = mean + math.sqrt(variance) * rng.standard_normal((12, 4000, 2))
    found = [distance(formula, EXPERTS, exact, 0.02) for exact in draws]
    assert np.mean([one.samples for one in found]) == pytest.approx(found[0].floor, rel=0.1)
    exact = draws[0]
    # Half of them moved away, and of no weight; then of all the weight.
    moved = np.concatenate([exact[:2000], exact[2000:] + 100])
    importance = np.repeat([1 / 2000, 0], 2000)
    assert distance(formula, EXPERTS, moved, 0.02, importance=importance).samples < 0.1
    assert distance(formula, EXPERTS, moved, 0.02, importance=importance[::-1]).samples == pytest.approx(1)


def test_the_figures_of_a_run_name_the_distance_where_there_is_a_target():
    def figures(**fields):
        run = Run(plane(batch=200, levels={"steps": 20}, **fields))
        result = run.execute()
        return get_domain("plane").describe(result)

    label = "total variation from the exact target (0 to 1)"
    text = {"name": "formula", "text": "1 + 2"}
    plain, corrected = figures(operator=text), figures(operator=text, correction={})
    assert 0 < corrected[label] < plain[label] <= 1
    assert not any("exact" in place for place in figures(operator={"name": "and"}))
    assert target_of(plane(operator={"name": "and"})) is None


def test_the_target_is_one_more_line_and_samples_of_a_product_belong_to_nobody():
    recipe = plane(operator={"name": "formula", "text": "1 + 2"})
    run = Run(recipe)
    run.execute()
    preview = run.trace.latest.preview
    target = log_target(target_of(recipe), preview.contours)
    option = plane_option(preview, ["1 a", "2 b"], ["#111", "#222"], "light", 360, target)
    lines = [series for series in option["series"] if series["type"] == "line"]
    assert [line["name"] for line in lines] == ["1 a", "2 b", TARGET_NAME] == option["legend"]["data"]
    assert len({line["color"] for line in lines}) == 3
    assert set(owners(preview.weights)) == {-1}


def test_the_view_holds_the_samples_that_not_leads_away():
    """All but 2 % of them; stray ones and those beyond the widest view stay outside."""
    near = np.random.default_rng(0).uniform(-3.9, 3.9, (100, 2))
    assert view_half_width(near) == 4
    near[:2, 0] = 40
    assert view_half_width(near) == 4
    near[2] = (0, -5)
    assert view_half_width(near) == 6
    assert view_half_width(near + 1e6) == HALF_WIDTHS[-1]
    pair = [{"model": "overlap_a"}, {"model": "overlap_b"}]
    recipe = plane(experts=pair, operator={"name": "formula", "text": "1 but not 2"}, levels={"steps": 40}, batch=64)
    run = Run(recipe)
    run.execute()
    preview = run.trace.latest.preview  # the mode left is at x = 2 * 1.5 + 1.5
    assert preview.extent.tolist() == [-6, 6, -6, 6]
    target = log_target(target_of(recipe), preview.contours)
    row, column = np.unravel_index(target.argmax(), target.shape)
    assert np.linspace(-6, 6, 64)[[column, row]] == pytest.approx((4.5, 1.5), abs=0.1)
