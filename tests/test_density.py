"""Estimators against exact densities: the design's bars on Gaussian mixtures, other spaces, ODE and SDE."""

import math

import pytest
import torch

from oracles import CentredGaussian, Pair, RotationMixture, brute_force_trace, in_64_dimensions, last, overlapping
from superdiff_engine import Or, Single, karras_levels, log_levels, sample
from superdiff_engine.density import ESTIMATORS, Exact
from superdiff_engine.domains.plane import GaussianMixture
from superdiff_engine.rotations import uniform
from superdiff_engine.solvers import SOLVERS


def error_of_difference(experts, step):
    exact = [expert.log_density(step.samples.cpu(), step.level) for expert in experts]
    return ((step.log_density[0] - step.log_density[1]) - (exact[0] - exact[1])).abs().mean().item()


def test_trapezoid_meets_its_bar_in_64_dimensions(device):
    """At 100 steps: at most 12 nats, and at least 7 times below the Ito estimator."""
    experts, levels = in_64_dimensions(), karras_levels(100, 20.0, 0.02)
    errors = {
        name: error_of_difference(
            experts, last(sample(experts, Or(), levels, batch=1024, estimator=name, device=device))
        )
        for name in ("ito", "trapezoid")
    }
    assert errors["trapezoid"] <= 12
    assert errors["ito"] >= 7 * errors["trapezoid"]


def test_ito_has_the_right_sign_of_its_quadratic_term():
    """One Gaussian in 16-D, drawn from its own score: the estimate has no bias of tens of nats."""
    expert = GaussianMixture(torch.zeros(1, 16), [1.0])
    step = last(sample([expert], Single(0), karras_levels(400, 20.0, 0.02), batch=512, estimator="ito"))
    bias = (step.log_density[0] - expert.log_density(step.samples, step.level)).mean().item()
    assert abs(bias) < 1.5


@pytest.mark.parametrize("estimator", ["ito", "trapezoid", "hutchinson", "exact"])
def test_estimates_converge_with_steps(estimator):
    experts = overlapping()
    errors = []
    for steps in (30, 300):
        levels = karras_levels(steps, 20.0, 0.05)
        step = last(sample(experts, Or(), levels, batch=256, estimator=estimator))
        errors.append(error_of_difference(experts, step))
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("solver", ["euler", "ancestral"])
def test_trapezoid_is_unbiased_in_absolute_terms(solver):
    """Also where the noise has less variance than the step removes; each sample by the expert it belongs to."""
    experts = in_64_dimensions()
    step = last(sample(experts, Or(), karras_levels(100, 20.0, 0.02), batch=512, solver=solver))
    for expert, estimate, weight in zip(experts, step.log_density, step.weights, strict=True):
        error = (estimate - expert.log_density(step.samples, step.level))[weight > 0.5]
        assert abs(error.mean().item()) < 3


@pytest.mark.parametrize("estimator", ["trapezoid", "hutchinson"])
def test_scaled_noise_is_told_to_the_estimator(estimator):
    """Half of the noise leaves a Gaussian narrower than its own density; log q stays that of the density itself."""
    expert = GaussianMixture(torch.zeros(1, 32), [1.0])
    arguments = {"batch": 512, "estimator": estimator, "noise_scale": 0.5}
    step = last(sample([expert], Single(0), karras_levels(400, 20.0, 0.05), **arguments))
    assert step.samples.square().mean().item() < 0.75  # the full noise leaves 1.0025
    error = step.log_density[0] - expert.log_density(step.samples, step.level)
    assert abs(error.mean().item()) < 1.5  # 72 with the estimator left to assume the full noise


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"estimator": "ito", "noise_scale": 0.5}, "assumes the full noise"),
        ({"estimator": "exact", "solver": "ode", "noise_scale": 0.5}, "has no noise"),
        ({"noise_scale": 0.0}, "above 0"),
    ],
)
def test_scaled_noise_is_refused_where_it_means_nothing(arguments, words):
    with pytest.raises(ValueError, match=words):
        last(sample(overlapping(), Or(), karras_levels(3, 20.0, 0.05), batch=2, **arguments))


def test_large_steps_do_not_favour_the_wider_expert():
    """In 784 dimensions and 50 steps, tight against wide modes: OR still gives each about half of the samples."""
    tight = GaussianMixture(0.7 * torch.randn(8, 784), [0.02] * 8)
    wide = GaussianMixture(0.5 * torch.randn(8, 784), [0.1] * 8)
    step = last(sample([tight, wide], Or(), karras_levels(50, 80.0, 0.02), batch=256, solver="ancestral"))
    error = step.log_density - torch.stack([e.log_density(step.samples, step.level) for e in (tight, wide)])
    assert abs((error[0] - error[1]).mean().item()) < 150  # 490 with the arithmetic mean and no correction


@pytest.mark.parametrize("solver", ["ode", "ode_heun", "ancestral"])
def test_exact_trace_gives_absolute_density_on_any_path(solver):
    """Along the ODE, and along ancestral steps whose noise is less than the step removes."""
    mixture = GaussianMixture([[-1.0, 0.5], [1.0, -0.5]], [0.3, 0.2])
    levels = karras_levels(800, 20.0, 0.05)
    step = last(sample([mixture], Single(0), levels, batch=128, estimator="exact", solver=solver))
    error = step.log_density[0] - mixture.log_density(step.samples, step.level)
    assert error.abs().mean().item() < 0.1


def test_hutchinson_is_an_unbiased_trace():
    """Its mean over many samples is the exact trace's result; one probe a step scatters around it."""
    mixture = GaussianMixture(torch.randn(3, 8), [0.3, 0.4, 0.5])
    levels = karras_levels(200, 20.0, 0.05)
    runs = {
        name: last(sample([mixture], Single(0), levels, batch=512, estimator=name, solver="ode"))
        for name in ("hutchinson", "exact")
    }
    assert torch.allclose(runs["hutchinson"].samples, runs["exact"].samples)
    difference = (runs["hutchinson"].log_density - runs["exact"].log_density)[0]
    standard_error = difference.std().item() / math.sqrt(512)
    assert abs(difference.mean().item()) < 4 * standard_error + 1e-3


def test_exact_trace_refuses_large_samples():
    expert = GaussianMixture(torch.zeros(1, 300), [1.0])
    with pytest.raises(ValueError, match="at most 256"):
        last(sample([expert], Single(0), karras_levels(2, 20.0, 0.05), batch=2, estimator="exact", solver="ode"))


def rotation_experts():
    centres = uniform((4,), torch.Generator().manual_seed(3))
    return [RotationMixture(centres[:2], 0.05, "first"), RotationMixture(centres[2:], 0.05, "second")]


@pytest.mark.parametrize("estimator", ["ito", "trapezoid"])
def test_estimators_follow_the_isotropic_gaussian_on_so3(estimator):
    """Log q of mixtures of IGSO(3), absolutely and in difference, after a walk from the uniform prior."""
    experts = rotation_experts()
    step = last(sample(experts, Or(), log_levels(600, 3.5, 0.2), batch=256, estimator=estimator))
    for expert, estimate in zip(experts, step.log_density, strict=True):
        exact = expert.log_density(step.samples, step.level)
        near = exact > exact.median()
        assert (estimate - exact)[near].abs().mean().item() < 0.35
    assert error_of_difference(experts, step) < 2.0


def test_exact_trace_follows_so3_along_the_ode():
    experts = rotation_experts()[:1]
    step = last(sample(experts, Single(0), log_levels(300, 3.5, 0.2), batch=32, estimator="exact", solver="ode"))
    error = step.log_density[0] - experts[0].log_density(step.samples, step.level)
    assert error.abs().mean().item() < 0.1


def test_centred_points_are_followed_and_stay_centred():
    """The trace within the subspace gives absolute densities; the trapezoid has no bias beyond its own scatter."""
    mask = torch.tensor([True, True, True, True, False])
    places = torch.randn(2, 5, 3, dtype=torch.float64)
    experts = [CentredGaussian(place, 0.2, mask) for place in places]
    levels = karras_levels(400, 200.0, 0.05)  # high: the start density N(0, s^2) is then exact
    step = last(sample(experts, Or(), levels, batch=64, estimator="exact", solver="ode"))
    assert step.samples.sum(1).abs().max() < 1e-5 and (step.samples[:, 4] == 0).all()
    for expert, estimate, weight in zip(experts, step.log_density, step.weights, strict=True):
        error = (estimate - expert.log_density(step.samples, step.level))[weight > 0.5]
        assert error.abs().mean().item() < 0.1
    step = last(sample(experts[:1], Single(0), levels, batch=512))
    error = step.log_density[0] - experts[0].log_density(step.samples, step.level)
    assert abs(error.mean().item()) < 4 * error.std().item() / math.sqrt(512) + 0.05


def test_points_of_different_numbers_have_the_trace_of_their_own_space():
    """Masks by sample: along the ODE from high up, log q is the Gaussian's own in 3 (n - 1) dimensions each."""
    mask = torch.arange(6) < torch.tensor([2, 3, 6, 6]).unsqueeze(1)
    expert = CentredGaussian(torch.randn(6, 3, dtype=torch.float64), 0.2, mask)
    expert.places = expert.space.project(expert.places.expand(4, 6, 3))
    levels = karras_levels(300, 200.0, 0.05)
    exact = last(sample([expert], Single(0), levels, batch=4, estimator="exact", solver="ode"))
    truth = expert.log_density(exact.samples, exact.level)
    assert torch.allclose(exact.log_density[0], truth, atol=0.2)
    # Of an isotropic Gaussian every probe but for its part along the centre is the trace; masked points add nothing.
    probed = last(sample([expert], Single(0), levels, batch=4, estimator="hutchinson", solver="ode"))
    assert torch.equal(probed.samples, exact.samples)
    assert ((probed.log_density[0] - truth).abs() < 4.0).all()


def test_a_component_that_stands_still_has_no_divergence_and_leaves_the_others_alone():
    a, b = overlapping()

    class Still:
        space, dtype = a.space, a.dtype

        def score(self, y, level):
            return torch.ones_like(y)

    y = {"one": torch.randn(5, 2, dtype=torch.float64), "other": torch.randn(5, 2, dtype=torch.float64)}
    levels, generator = {"one": 0.7, "other": 0.7}, torch.Generator().manual_seed(0)
    for half in (Still(), b):
        pair = Pair(one=a, other=half)
        _, found = Exact().divergences([pair], pair.space, y, levels, generator)
        truth = brute_force_trace(pair.score, pair.space, y, levels, 5)
        for name in y:
            assert torch.allclose(found[name][0], truth[name], rtol=1e-6, atol=1e-8)


def test_log_densities_add_up_over_a_product():
    """Components have grids of their own, and each log-density is that of its own component."""
    plane, points = overlapping()[0], CentredGaussian(torch.randn(4, 3, dtype=torch.float64), 0.2)
    pair = Pair(plane=plane, points=points)
    levels = {"plane": karras_levels(400, 200.0, 0.05), "points": log_levels(400, 300.0, 0.1)}
    step = last(sample([pair, pair], Or(), levels, batch=32, estimator="exact", solver="ode", per_component=True))
    parts = step.component_log_density
    assert torch.allclose(step.log_density, parts["plane"] + parts["points"])
    assert (parts["plane"][0] - plane.log_density(step.samples["plane"], 0.05)).abs().mean().item() < 0.1
    assert (parts["points"][0] - points.log_density(step.samples["points"], 0.1)).abs().mean().item() < 0.15


def pair_in(dimensions):
    """A tight and a wide mixture, whose log-densities part by tens of nats."""
    draw = torch.randn(2, 3, dimensions, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return GaussianMixture(draw[0], [0.05] * 3), GaussianMixture(draw[1], [0.2] * 3)


@pytest.mark.parametrize("noise_scale", [1.0, 0.7, 0.3])
@pytest.mark.parametrize("solver", ["euler", "ancestral"])
@pytest.mark.parametrize(("dimensions", "most"), [(2, 0.2), (32, 1.5), (100, 2.5)])
def test_scaled_noise_biases_neither_log_densities_nor_their_difference(dimensions, most, solver, noise_scale):
    """100 steps. With the divergence of the step's end alone: 22 nats in 100 dimensions at 0.3, 6 in the difference."""
    experts = pair_in(dimensions)
    arguments = {"batch": 256, "solver": solver, "noise_scale": noise_scale}
    step = last(sample(experts, Single(0), karras_levels(100, 20.0, 0.02), **arguments))
    error = step.log_density - torch.stack([expert.log_density(step.samples, step.level) for expert in experts])
    for wrong in (error[0], error[0] - error[1]):
        assert abs(wrong.mean().item()) < most + 3 * wrong.std().item() / math.sqrt(256)


@pytest.mark.parametrize("noise_scale", [1.0, 0.7])
def test_hutchinson_is_unbiased_along_noisy_steps(noise_scale):
    """In 100 dimensions and 100 steps; 26 and 12 nats are missing where the noise meets the end's divergence alone."""
    experts = pair_in(100)
    arguments = {"batch": 64, "estimator": "hutchinson", "noise_scale": noise_scale}
    step = last(sample(experts, Single(0), karras_levels(100, 20.0, 0.02), **arguments))
    assert abs((step.log_density[0] - experts[0].log_density(step.samples, step.level)).mean().item()) < 2.5


@pytest.mark.parametrize("noise_scale", [1.0, 0.5])
def test_rotations_at_levels_of_their_own_keep_their_log_density_under_scaled_noise(noise_scale):
    centres = uniform((4, 2), torch.Generator().manual_seed(3))
    places = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    experts = [
        Pair(points=CentredGaussian(places[k], 0.05), turn=RotationMixture(centres[2 * k], (0.05, 0.15)[k]))
        for k in range(2)
    ]
    levels = karras_levels(200, 20.0, 0.02)
    grids = {"points": levels, "turn": 3.6 * levels / (1.8 + levels)}
    arguments = {"batch": 256, "solver": "ancestral", "noise_scale": noise_scale}
    step = last(sample(experts, Or(), grids, **arguments))
    ends = {name: float(grid[-1]) for name, grid in grids.items()}
    for name, part in step.component_log_density.items():
        exact = torch.stack([expert.parts[name].log_density(step.samples[name], ends[name]) for expert in experts])
        own = ((part - exact) * step.weights).sum(0)
        assert abs(own.mean().item()) < 0.3 + 3 * own.std().item() / 16


def test_an_estimator_says_where_its_numbers_are_biased():
    """Only Ito's takes the noise's variance to be the step's, and only the ancestral solver's is less."""
    cautious = {(e.name, s.name) for e in ESTIMATORS.values() for s in SOLVERS.values() if e.caution(s)}
    assert cautious == {("ito", "ancestral")}
    assert ESTIMATORS["ito"].caution(SOLVERS["ancestral"]).startswith("The ancestral solver adds less noise than")
