"""The correction to the exact target: its rate against the equation it comes from, particles, and exact targets."""

import math
import random
from itertools import pairwise

import pytest
import torch
from test_formula import NESTED, ONE, THREE, TWO, drawn, random_formula

from oracles import CentredGaussian, Pair, RotationMixture, overlapping
from superdiff_engine import karras_levels, log_levels, sample
from superdiff_engine.compose import And, Average, CoinFlip, Composed, Or
from superdiff_engine.correction import Correction, Particles, Reference, normalised, rate, shortfall, systematic
from superdiff_engine.domains.plane import GaussianMixture
from superdiff_engine.errors import ArgumentError, StepError
from superdiff_engine.formula import Both, ButNot, Either, ExpertTerm, WeightedSum, Xor
from superdiff_engine.geometry import Centred
from superdiff_engine.rotations import igso3_log_density, logarithm
from superdiff_engine.score import Guidance
from superdiff_engine.trace import Trace

MIXTURES = (
    *overlapping(),
    GaussianMixture([[0.0, 1.0], [1.0, -1.0], [0.3, 0.2]], [0.5, 0.3, 0.8], [1.0, 2.0, 0.5]),
)
LEVELS = karras_levels(60, 20.0, 0.02)


def last(experts, operator, levels=LEVELS, **asked):
    """(the last step, the particles' normalised weights)."""
    asked = {"batch": 2000, "seed": 3, "correction": Correction()} | asked
    for step in sample(experts, operator, levels, **asked):
        pass
    share = torch.full((asked["batch"],), 1 / asked["batch"], dtype=torch.float64)
    return step, share if step.log_importance is None else normalised(step.log_importance)


def mean_and_variance(values, share):
    """Of weighted values [batch, ...], and the standard error of the mean by the effective sample size."""
    share = share.view(-1, *(1,) * (values.ndim - 1))
    mean = (share * values).sum(0)
    variance = (share * (values - mean) ** 2).sum(0)
    return mean, variance, (variance * share.square().sum()).sqrt()


def parts_at(y, s):
    """Log q_i, <S_i, S_j> of the mixtures at y [batch, 2]."""
    log_density = torch.stack([one.log_density(y, s) for one in MIXTURES])
    scores = torch.stack([one.score(y, s) for one in MIXTURES])
    return log_density, torch.einsum("ibd,jbd->ijb", scores, scores)


@pytest.mark.parametrize("guided", [None, 2.5])
def test_the_rate_is_what_the_fokker_planck_equation_lacks(guided):
    """D log w / dtau = df/dtau + (Laplace f + |grad f|^2) / 2 for tau = -s^2, all of it by automatic derivatives."""
    rng = random.Random(2)
    reference = GaussianMixture([[0.5, 0.5]], [1.5])

    def target(formula, y, squared):
        s = squared.sqrt()
        value = formula.at(torch.stack([one.log_density(y[None], s) for one in MIXTURES])).value[0]
        return value if guided is None else (1 - guided) * reference.log_density(y[None], s)[0] + guided * value

    for number in range(12):
        formula = NESTED if number == 0 else random_formula(rng, 3)
        y = drawn(1, number)[:2, 0]
        squared = torch.tensor(0.2 + rng.random(), dtype=torch.float64)
        slope, change = torch.autograd.functional.jacobian(lambda a, b, f=formula: target(f, a, b), (y, squared))
        hessian = torch.autograd.functional.hessian(lambda a, f=formula, v=squared: target(f, a, v), y)
        expected = -change + 0.5 * (hessian.trace() + slope @ slope)
        log_density, inner = parts_at(y[None], float(squared.sqrt()))
        guide = None
        if guided is not None:
            own = reference.score(y[None], float(squared.sqrt()))
            scores = torch.stack([one.score(y[None], float(squared.sqrt())) for one in MIXTURES])
            guide = Reference(guided, own.square().sum(1), (scores * own).sum(2))
        assert float(rate(formula.at(log_density), inner, guide)) == pytest.approx(float(expected), rel=1e-6, abs=1e-8)


def test_or_at_temperature_1_needs_no_correction():
    scores = 10 * torch.randn(3, 7, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inner = torch.einsum("ibd,jbd->ijb", scores, scores)
    nested = Either((Either((ONE, TWO)), THREE), 1.0, (0.0, 1.0))
    for formula in (Either((ONE, TWO, THREE), 1.0, (0.3, 0.0, -1.0)), nested, THREE):
        assert rate(formula.at(drawn(7)), inner).abs().max() < 1e-10 * inner.max()
    step, share = last(MIXTURES, Or(), batch=50)
    assert float(step.effective) == pytest.approx(50)
    assert torch.allclose(share, torch.full((50,), 0.02, dtype=torch.float64))


def test_systematic_resampling_is_unbiased_and_keeps_the_number():
    shares = torch.tensor([0.03, 0.3, 0.0, 0.17, 0.5], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    counts = torch.stack([systematic(shares, generator) for _ in range(4000)])
    assert (counts.sum(1) == 5).all()
    assert ((counts - 5 * shares).abs() < 1).all()  # never further than that from its expectation
    assert (counts.double().mean(0) - 5 * shares).abs().max() < 4 * 0.5 / math.sqrt(4000)


def test_resampling_leaves_weighted_means_as_they_are():
    """The weighted mean over many draws is that before them, with its normaliser; groups do not mix."""
    log_weights = 2 * drawn(8)[:1].flatten().repeat(2) + torch.arange(16) / 10
    values = torch.arange(16, dtype=torch.float64) ** 2
    before = (log_weights.exp() * values).sum()
    found = []
    for seed in range(3000):
        particles = Particles(Correction(8, threshold=1.0), log_weights, torch.Generator().manual_seed(seed))
        parents = particles.resample(1.0)
        assert (parents // 8 == torch.arange(16) // 8).all()
        kept = parents == torch.arange(16)
        assert kept[parents].all()  # whoever is drawn keeps its own place
        found.append((particles.log_weights.exp() * values[parents]).sum())
    found = torch.stack(found)
    assert (found.mean() - before).abs() < 4 * found.std() / math.sqrt(3000)
    groups = particles.log_weights.view(2, 8)
    assert torch.allclose(groups.logsumexp(1), log_weights.view(2, 8).logsumexp(1))


def test_particles_are_resampled_only_where_it_is_due():
    log_weights = torch.tensor([0.0, 0.0, 0.0, 9.0], dtype=torch.float64)

    def resampled(level, **asked):
        return Particles(Correction(**asked), log_weights, torch.Generator()).resample(level) is not None

    assert resampled(1.0)
    assert not resampled(1.0, threshold=0.2)
    assert not resampled(1.0, lowest=2.0)
    assert not resampled(1.0, highest=0.5)


def test_what_belongs_to_a_particle_travels_with_it_and_so_do_its_curves():
    """Survivors' samples, log-densities and curves, against a path that is followed back step by step."""
    operator = Composed(ButNot(ONE, TWO))
    asked = {"batch": 24, "correction": Correction(8, threshold=0.95), "seed": 1, "estimator": "ito"}
    steps = list(sample(MIXTURES[:2], operator, LEVELS, **asked))
    assert sum(step.parents is not None for step in steps) > 3
    trace = Trace(len(steps) - 1, 2, 24, groups=3)
    for step in steps:
        trace.append(step)
        if step.parents is not None:
            assert (step.parents // 8 == torch.arange(24) // 8).all()
            for place, parent in enumerate(step.parents.tolist()):
                # A copy and the particle that it was copied from are one.
                twin = (step.parents == parent).nonzero()[0]
                for value in (step.samples[:, 0], *step.log_density, *step.weights, step.denoised[:, 1]):
                    assert value[place] == value[twin]
    # A path is continuous only if log q and y were copied together: the Ito formula gives log q from y alone.
    place = torch.arange(24)
    path = [(steps[-1].samples, steps[-1].log_density)]
    for step, before in zip(reversed(steps), reversed(steps[:-1]), strict=False):
        place = place if step.parents is None else step.parents[place]
        path.append((before.samples[place], before.log_density[:, place]))
    curves = trace.curves()
    assert torch.equal(
        torch.from_numpy(curves.log_density).double(), torch.stack([q for _, q in path[::-1]]).float().double()
    )
    for (y, q), (before, q_before), step in zip(path, path[1:], reversed(steps[:-1]), strict=False):
        lower = steps[step.index + 1].level
        scores = torch.stack([expert.score(before, step.level) for expert in MIXTURES[:2]])
        change = (scores * (y - before)).sum(2) - 0.5 * (step.level**2 - lower**2) * scores.square().sum(2)
        assert torch.allclose(q - q_before, change, atol=1e-9)
    # Resamplings joined to one lead to the same ancestors.
    ancestors = torch.arange(24)
    for one in reversed(trace.resamplings):
        ancestors = torch.from_numpy(one.parents)[ancestors]
    assert torch.equal(ancestors, place)
    assert trace.marks == [step.index for step in steps if step.parents is not None]


def test_a_group_is_a_run_of_its_own():
    """Another group's weights change nothing: two groups under one noise path, resampled apart or together."""
    operator = Composed(WeightedSum((ONE, TWO), (1.0, 1.0)))
    apart, _ = last(MIXTURES[:2], operator, batch=64, correction=Correction(32))
    assert apart.effective.shape == (2,)
    plain, _ = last(MIXTURES[:2], operator, batch=64, correction=Correction(32, threshold=0))
    weights = plain.log_importance.view(2, 32)
    assert torch.allclose(plain.effective, 1 / torch.softmax(weights, 1).square().sum(1))


GAUSSIANS = (GaussianMixture([[0.0, 0.0]], [1.0]), GaussianMixture([[2.0, 0.0]], [0.5]))


def gaussian_target(weights):
    """(mean, variance, log of the integral) of the Gaussians' densities to powers, in the plane, at level 0.02."""
    means = torch.tensor([[0.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    variances = torch.tensor([1.0, 0.5], dtype=torch.float64) + 0.02**2
    powers = torch.tensor(weights, dtype=torch.float64) / variances
    precision, mean = powers.sum(), (powers[:, None] * means).sum(0) / powers.sum()
    constant = -sum(a * math.log(2 * math.pi * float(v)) for a, v in zip(weights, variances, strict=True))
    exponent = -0.5 * float((powers[:, None] * means**2).sum() - precision * (mean**2).sum())
    return mean, 1 / float(precision), constant + exponent + math.log(2 * math.pi / float(precision))


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.2, -0.2), (0.5, 0.0)])
@pytest.mark.parametrize("solver", ["euler", "ancestral"])
def test_powers_and_products_of_gaussians_are_exact_with_their_normaliser(weights, solver):
    mean, variance, log_integral = gaussian_target(weights)
    operator = Composed(WeightedSum((ONE, TWO), weights))
    levels = log_levels(240, 20.0, 0.02)
    step, share = last(GAUSSIANS, operator, levels, solver=solver, batch=3000)
    found, spread, error = mean_and_variance(step.samples, share)
    assert ((found - mean).abs() < 5 * error + 0.02).all()
    assert float(spread.mean()) == pytest.approx(variance, rel=0.1)
    if solver == "ancestral":  # its steps are right for powers of point masses too, which a normaliser begins as
        estimate = step.log_importance.logsumexp(0) - math.log(3000)
        assert float(estimate) == pytest.approx(log_integral, abs=0.35)


def test_without_log_densities_a_linear_formula_is_corrected_likewise():
    operator = Composed(WeightedSum((ONE, TWO), (1.0, 1.0)))
    followed, _ = last(GAUSSIANS, operator, batch=200)
    blind, _ = last(GAUSSIANS, operator, batch=200, estimator="none")
    assert torch.equal(followed.samples, blind.samples)
    # log q is followed with a few digits of its own; the weights of a linear formula do not depend on it.
    assert torch.allclose(followed.log_importance, blind.log_importance, atol=1e-9)


def test_guidance_of_a_formula_has_the_target_that_it_says():
    """q_0^(1 - w) p^w of Gaussians, p their product."""
    reference, w = GaussianMixture([[-1.0, 0.0]], [2.0]), 1.5
    operator = Composed(WeightedSum((ONE, TWO), (0.5, 0.5)))
    precisions = torch.tensor([0.5 * w, 0.5 * w, 1 - w]) / (torch.tensor([1.0, 0.5, 2.0]) + 0.02**2)
    mean = float((precisions * torch.tensor([0.0, 2.0, -1.0])).sum() / precisions.sum())
    levels = log_levels(240, 20.0, 0.02)
    step, share = last(GAUSSIANS, operator, levels, guidance=Guidance(reference, w), batch=3000)
    found, spread, error = mean_and_variance(step.samples, share)
    assert abs(float(found[0]) - mean) < 5 * float(error[0]) + 0.02
    assert float(spread.mean()) == pytest.approx(1 / float(precisions.sum()), rel=0.12)
    with pytest.raises(ArgumentError, match="same weight at all levels"):
        last(GAUSSIANS, operator, guidance=Guidance(reference, lambda s: 1.5 if s < 1 else 1.0))


def test_point_clouds_of_zero_centre_and_rotations_have_their_exact_targets():
    """Squares of densities: half the variance for points, and the squared heat kernel's angles, together and alone."""
    mask = torch.tensor([True, True, False, True])
    places = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)) * 2
    points = CentredGaussian(places, 0.5, mask)
    square = Composed(WeightedSum((ONE,), (2.0,)))
    step, share = last([points], square, log_levels(160, 20.0, 0.02), batch=1500)
    distance = (step.samples - points.places).square().sum((1, 2)) / points.space.dimensions(1)
    assert (step.samples[:, 2] == 0).all()
    assert float((share * distance).sum()) == pytest.approx(0.25, rel=0.12)

    turns = RotationMixture(torch.eye(3, dtype=torch.float64)[None], 0.3)
    angles = torch.linspace(1e-4, math.pi, 4000, dtype=torch.float64)
    density = (2 * igso3_log_density(angles, 0.3 + 0.02**2)).exp() * (1 - angles.cos())
    expected = float((density * angles).sum() / density.sum())
    step, share = last([turns], square, log_levels(120, 4.0, 0.02), batch=1500)
    assert float((share * logarithm(step.samples).norm(dim=1)).sum()) == pytest.approx(expected, rel=0.06)

    both = Pair(points=points, turns=turns)
    step, share = last([both], square, log_levels(200, 4.0, 0.02), batch=1200)
    first, second = step.samples.values()
    distance = (first - points.places).square().sum((1, 2)) / points.space.dimensions(1)
    assert float((share * distance).sum()) == pytest.approx(0.25, rel=0.16)
    assert float((share * logarithm(second).norm(dim=1)).sum()) == pytest.approx(expected, rel=0.08)


def test_the_step_of_ancestral_is_right_for_a_power_of_a_point_mass():
    """What its noise lacks is what its drift adds: with few steps the variance is exact where Euler's is not."""
    point = [GaussianMixture([[0.0, 0.0]], [1e-8])]
    levels = log_levels(40, 20.0, 1.0)
    for power in (2.0, 0.5):
        operator = Composed(WeightedSum((ONE,), (power,)))
        ratio = {}
        for solver in ("euler", "ancestral"):
            step, share = last(point, operator, levels, solver=solver, batch=8000)
            ratio[solver] = float((share[:, None] * step.samples**2).sum() / 2) * power
        assert abs(ratio["ancestral"] - 1) < 0.06
        assert abs(ratio["euler"] - 1) > 2 * abs(ratio["ancestral"] - 1)


@pytest.mark.parametrize("formula", [Both((ONE, TWO), 4.0), Xor(ONE, TWO), Either((ONE, TWO), 2.0)])
def test_corrected_samples_have_the_targets_mean_by_quadrature(formula):
    axis = torch.linspace(-5, 5, 201, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    experts = (
        GaussianMixture([[-0.5, 0.5], [0.5, 0.3]], [0.3, 0.3]),
        GaussianMixture([[-0.3, -0.5], [0.8, -0.2]], [0.3, 0.3], [1.0, 3.0]),
    )
    density = torch.softmax(formula.at(torch.stack([one.log_density(grid, 0.02) for one in experts])).value, 0)
    step, share = last(experts, Composed(formula), batch=4000)
    mean, _, error = mean_and_variance(step.samples, share)
    assert ((mean - density @ grid).abs() < 5 * error + 0.05).all()


@pytest.mark.parametrize(
    ("operator", "asked", "sentence"),
    [
        (And(), {}, "no density"),
        (CoinFlip(), {}, "right as it is"),
        (Average(), {"solver": "ode", "estimator": "exact"}, "needs a solver with noise"),
        (Average(), {"noise_scale": 0.5}, "full noise"),
        (Average(), {"batch": 10, "correction": Correction(4)}, "multiple of 4"),
        (Average(), {"batch": 1}, "at least two"),
        (Average(), {"correction": Correction(threshold=1.5)}, "from 0 to 1"),
        (Average(), {"correction": Correction(lowest=2.0, highest=1.0)}, "below its highest"),
        (Composed(WeightedSum((ONE,), (0.5,))), {"guidance": Guidance(MIXTURES[0], 3.0)}, "weights sum to -0.5"),
    ],
)
def test_what_cannot_be_corrected_is_refused_in_a_sentence(operator, asked, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        last(MIXTURES[:2], operator, **asked)


def test_steps_that_overshoot_end_the_run_with_a_sentence():
    """At 1000 times the score, 20 steps fling samples ever further out."""
    formula = Composed(WeightedSum((ExpertTerm(0),), (1000.0,)))
    with pytest.raises(StepError, match=r"The steps are too large .* at step .* try more steps"):
        last(MIXTURES[:1], formula, levels=log_levels(20, 10.0, 0.02))


def test_weights_that_overflow_end_the_run_with_a_sentence():
    class Steep(GaussianMixture):
        def score(self, y, level):
            return 1e160 * super().score(y, level) if level < 1 else super().score(y, level)

    experts = [Steep([[0.0, 0.0]], [1.0]), MIXTURES[0]]
    with pytest.raises(StepError, match="The particles' weights are no longer finite at step"):
        last(experts, Average(), batch=8, estimator="none")


def test_steps_that_are_too_long_for_a_formulas_bends_are_told():
    """What the steps miss is the formula's whole change less its first two orders, added up; sharp bends miss much."""
    formula = Both((ONE, TWO), 30.0)
    steps = list(sample(MIXTURES[:2], Composed(formula), LEVELS, batch=20, correction=Correction(threshold=0)))
    values = [formula.at(step.log_density) for step in steps]
    foreseen = torch.zeros(20, dtype=torch.float64)
    for (before, after), (here, there) in zip(pairwise(steps), pairwise(values), strict=True):
        change = after.log_density - before.log_density
        second = torch.einsum("ijb,ib,jb->b", here.hessian + there.hessian, change, change) / 4
        foreseen += (here.gradient * change).sum(0) + second
    assert torch.allclose(steps[-1].missed, values[-1].value - values[0].value - foreseen, atol=1e-9)
    said = {}
    for name, operator in (("soft", Both((ONE, TWO))), ("sharp", Both((ONE, TWO), 1000.0)), ("or", Either((ONE, TWO)))):
        step, _ = last(MIXTURES[:2], Composed(operator), batch=200)
        said[name] = shortfall(step.log_importance, step.missed)
    assert said["soft"] == said["or"] == ""
    assert "The steps are too long for this formula" in said["sharp"]


def test_particles_of_different_sizes_do_not_compete():
    class Points:
        title, dtype = "points", torch.float64

        def __init__(self, mask):
            self.space = Centred((3, 2), mask)

        def score(self, y, level):
            return -y / level**2

    sizes = torch.tensor([[True, True, False], [True, True, True]])

    def run(mask):
        return list(sample([Points(mask)], Average(), LEVELS[:4], batch=len(mask), correction=Correction(2)))

    assert len(run(sizes.repeat_interleave(2, 0))) == 4
    with pytest.raises(ArgumentError, match="of one size"):
        run(sizes)


def test_expert_terms_alone_are_the_experts():
    """A formula of one expert is that expert alone, bit by bit, with and without a correction."""
    plain = list(sample(MIXTURES[:2], Composed(ExpertTerm(1)), LEVELS, batch=20, seed=5))[-1]
    corrected, share = last(MIXTURES[:2], Composed(ExpertTerm(1)), batch=20, seed=5)
    assert torch.equal(plain.samples, corrected.samples)
    assert torch.allclose(share, torch.full((20,), 0.05, dtype=torch.float64))
