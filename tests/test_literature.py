"""The benchmark beside the literature's numbers: its mixtures, measures and formulas, each against something exact."""

import math

import pytest
import torch

from benchmarks import literature
from superdiff_engine import sample
from superdiff_engine.compose import Composed
from superdiff_engine.correction import Correction
from superdiff_engine.formula import ExpertTerm, WeightedSum


def test_the_product_of_mixtures_is_the_product_of_their_densities():
    upper = literature.corners([(-1.5, 1.5), (1.5, 1.5)], 0.4)
    lower = literature.corners([(-1.5, -1.5), (1.0, -0.5)], 0.7)
    found, points = literature.product(upper, lower, least=0), literature.lattice(4.0, 201)
    gap = found.log_density(points, 0.0) - upper.log_density(points, 0.0) - lower.log_density(points, 0.0)
    assert gap.max() - gap.min() < 1e-9
    assert float(found.log_density(points, 0.0).exp().sum()) * (8 / 200) ** 2 == pytest.approx(1, abs=1e-6)
    cube = literature.power(lower, 3)
    gap = cube.log_density(points, 0.0) - 3 * lower.log_density(points, 0.0)
    assert gap[points.abs().amax(-1) < 2].std() < 1e-6


def test_the_settings_are_the_papers():
    before = torch.random.get_rng_state()
    mixture, levels = literature.forty(), literature.geometric_levels()
    assert torch.equal(before, torch.random.get_rng_state())
    # The first of the forty modes that torch draws with seed 0, and softplus(2).
    assert mixture.means[0].tolist() == pytest.approx([-0.2995, 21.4577], abs=1e-4)
    assert mixture.variances[0] == pytest.approx(math.log1p(math.exp(2)) ** 2)
    assert len(levels) == 1001 and levels[0] == pytest.approx(500, rel=1e-5) and bool((levels.diff() < 0).all())
    assert literature.preserving_levels()[0] == pytest.approx(math.exp(5.025))


def test_measures_of_samples_against_what_is_known():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(300, 2, generator=generator, dtype=torch.float64)
    moved = points + torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert literature.transport(points, moved) == pytest.approx((5, 5))  # a shift moves every point by its length
    assert literature.variation(points, points) == 0
    assert literature.variation(points + 100, points) == 1
    squares = torch.cdist(torch.cat([points, moved]), torch.cat([points, moved])).square()
    kernel = sum(torch.exp(-squares / (2 * width**2)) for width in (0.5, 2.0))
    direct = kernel[:300, :300].mean() + kernel[300:, 300:].mean() - 2 * kernel[:300, 300:].mean()
    assert literature.kernel_distance(points, moved, (0.5, 2.0)) == pytest.approx(float(direct))


def test_boxes_say_which_corners_hold_the_mass():
    points = torch.tensor([[2.0, 2.0], [-2.1, 2.0], [2.0, -2.0], [0.0, 0.0]], dtype=torch.float64)
    weights = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)
    right, inside, even = literature.boxes(points, weights, ((1, -1), (-1, 1)))
    assert (right, inside, even) == pytest.approx((6 / 7, 7 / 8, 1))
    assert literature.boxes(points[3:], weights[3:], ((1, -1),)) == (0, 0, 0)


def test_sharp_xor_of_exact_densities_holds_the_two_right_corners():
    formula, right = literature.clauses(100.0)["1 xor 2"]
    points = literature.lattice(count=201)
    share, _, even = literature.boxes(points, literature.exact_density(literature.halves(), formula, points), right)
    assert share > 0.9 and even == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("independent", [True, False])
def test_and_of_properties_that_are_independent_needs_no_correction(independent):
    """LOGDIFF's condition (arXiv 2602.05549, prop. 3.1): then p(x | A, B) is p(x | A) p(x | B) / p(x) at all levels."""
    first, second, _ = literature.halves()
    places = [(x, y) for x in (-2.0, 2.0) for y in (-2.0, 2.0)]
    base = literature.corners(places if independent else places[1:], 0.5)
    *_, last = sample(
        [first, second, base],
        Composed(WeightedSum(tuple(ExpertTerm(i) for i in range(3)), (1.0, 1.0, -1.0))),
        literature.preserving_levels(100),
        batch=500,
        solver="euler",
        estimator="none",
        correction=Correction(threshold=0),
    )
    spread = float(last.log_importance.std())
    if independent:
        assert spread < 1e-6
        assert (last.samples - 2).abs().max() < 3  # all in the corner of both
    else:
        assert spread > 0.1
