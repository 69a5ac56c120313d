"""The loop: the design's bars under OR and AND, invariances, guidance, order of accuracy, errors."""

import math

import pytest
import torch

from oracles import Pair, last, overlapping, separate
from superdiff_engine import (
    VE,
    And,
    Average,
    CoinFlip,
    ConditionedScore,
    DensityError,
    DiscreteVP,
    Euclidean,
    Fixed,
    Flow,
    Guidance,
    NetworkScore,
    Or,
    ScoreError,
    Single,
    StepError,
    SuperDiffError,
    karras_levels,
    sample,
)
from superdiff_engine.domains.plane import GaussianMixture

LEVELS = karras_levels(60, 20.0, 0.02)


@pytest.mark.parametrize(("steps", "bar"), [(25, 0.15), (100, 0.05), (400, 0.05), (1000, 0.05)])
def test_and_is_stable_and_ends_where_densities_agree(steps, bar, device):
    experts, largest = overlapping(), 0.0
    for step in sample(experts, And(), karras_levels(steps, 20.0, 0.02), batch=1024, device=device):
        largest = max(largest, step.weights.abs().max().item())
    samples = step.samples.cpu()
    assert samples.isfinite().all() and largest < 5
    exact = [expert.log_density(samples, step.level) for expert in experts]
    assert (exact[0] - exact[1]).abs().mean().item() < bar
    # and it is the shared mode that it finds
    assert (samples - torch.tensor([-1.5, 1.5])).norm(dim=1).median() < 0.7


def test_or_bias_sets_the_odds():
    experts = separate()
    step = last(sample(experts, Or(bias=[math.log(3), 0.0]), karras_levels(100, 20.0, 0.02), batch=4096))
    favoured = experts[0].log_density(step.samples, 0.02) > experts[1].log_density(step.samples, 0.02)
    assert favoured.double().mean().item() == pytest.approx(0.75, abs=0.03)


def test_or_samples_the_mixture():
    """T = 1: the mean and spread of the samples are those of the even mixture of the experts."""
    experts = separate()
    step = last(sample(experts, Or(), karras_levels(100, 20.0, 0.02), batch=4096))
    true = torch.cat([expert.sample(20_000) for expert in experts])
    assert torch.allclose(step.samples.mean(0), true.mean(0), atol=0.15)
    assert torch.allclose(step.samples.T.cov(), true.T.cov(), atol=0.3)


def test_or_draws_both_experts_alike_by_default_where_euler_maruyama_does_not():
    """In 32 dimensions and 100 steps, tight against wide modes: exact shares by responsibility, noise 0.011."""
    draw = torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    experts = [GaussianMixture(means, [variance] * 4) for means, variance in zip(draw, (0.2, 0.8), strict=True)]

    def share(**options):
        step = last(sample(experts, Or(), karras_levels(100, 80.0, 0.02), batch=2048, **options))
        exact = torch.stack([expert.log_density(step.samples, step.level) for expert in experts])
        return torch.softmax(exact, 0)[0].mean().item()

    assert share() == pytest.approx(0.5, abs=0.033)
    assert abs(share(solver="euler") - 0.5) > 0.06  # 0.596


@pytest.mark.parametrize("operator", [Or(2.0), And(), Average()])
def test_permuting_experts_permutes_weights(operator):
    a, b = overlapping()
    c = GaussianMixture([[0.0, 0.0]], [0.5])
    there = last(sample([a, b, c], operator, LEVELS, batch=64, seed=3))
    back = last(sample([c, a, b], operator, LEVELS, batch=64, seed=3))
    assert torch.allclose(there.samples, back.samples, atol=1e-8)
    assert torch.allclose(there.weights, back.weights[[1, 2, 0]], atol=1e-6)
    assert torch.allclose(there.log_density, back.log_density[[1, 2, 0]], atol=1e-6)


def test_splitting_an_expert_changes_nothing():
    a, b = overlapping()
    whole = last(sample([a, b], Or(bias=[0.4, 0.0]), LEVELS, batch=64))
    half = 0.4 - math.log(2)
    split = last(sample([a, a, b], Or(bias=[half, half, 0.0]), LEVELS, batch=64))
    assert torch.allclose(whole.samples, split.samples, atol=1e-9)
    assert torch.allclose(whole.weights[0], split.weights[0] + split.weights[1], atol=1e-9)


@pytest.mark.parametrize(
    ("schedule", "prediction"),
    [(DiscreteVP.linear(), "epsilon"), (DiscreteVP.cosine(), "v_prediction"), (VE(), "sample"), (Flow(), "flow")],
)
@pytest.mark.parametrize("operator", [Or(), And()])
def test_every_path_of_one_mixture_gives_the_same_trajectory(schedule, prediction, operator):
    """Experts on different schedules, mixed in one run, against the exact scores."""
    a, b = overlapping()
    wrapped = NetworkScore(a.through(schedule, prediction), schedule, prediction, (2,))
    plain = sample([a, b], operator, LEVELS, batch=32)
    through = sample([wrapped, b], operator, LEVELS, batch=32, dtype=torch.float64)
    for one, other in zip(plain, through, strict=True):
        assert torch.allclose(one.samples, other.samples, atol=1e-6)


@pytest.mark.parametrize("operator", [Or(), And(), Average()])
def test_two_equal_experts_are_one(operator):
    a, _ = overlapping()
    alone = last(sample([a], Single(0), LEVELS, batch=32))
    twice = last(sample([a, a], operator, LEVELS, batch=32))
    assert torch.allclose(alone.samples, twice.samples, atol=1e-9)


def test_coin_flip_is_each_sample_from_its_own_expert():
    """With one noise path, a coin flip is a choice between the runs of each expert alone."""
    experts = separate()
    runs = [last(sample(experts, Single(k), LEVELS, batch=64)) for k in (0, 1)]
    flip = last(sample(experts, CoinFlip(), LEVELS, batch=64))
    chosen = torch.where(flip.weights[0, :, None] == 1, runs[0].samples, runs[1].samples)
    assert torch.allclose(flip.samples, chosen)
    assert torch.allclose(flip.log_density[0][flip.weights[0] == 1], runs[0].log_density[0][flip.weights[0] == 1])


def test_same_seed_same_samples_other_seed_other_samples():
    a, b = overlapping()
    first, again = (last(sample([a, b], Or(), LEVELS, batch=16, seed=5)) for _ in range(2))
    other = last(sample([a, b], Or(), LEVELS, batch=16, seed=6))
    assert torch.equal(first.samples, again.samples)
    assert not torch.allclose(first.samples, other.samples)


@pytest.mark.parametrize(("solver", "order"), [("ode", 1), ("ode_heun", 2)])
def test_ode_solvers_have_their_order(solver, order):
    """Halving the step divides the error by 2^order, against a run with many steps."""
    mixture = GaussianMixture([[0.5, -0.5]], [1.0])

    def end(steps):
        levels = torch.linspace(4.0, 0.5, steps + 1, dtype=torch.float64)
        return last(sample([mixture], Single(0), levels, batch=16, estimator="none", solver=solver)).samples

    # Exact: along the ODE of one Gaussian, y - mu scales with the standard deviation.
    start = next(iter(sample([mixture], Single(0), torch.tensor([4.0, 0.5]), batch=16, estimator="none"))).samples
    mean = mixture.means[0]
    exact = mean + (start - mean) * math.sqrt(1.25 / 17.0)
    coarse, fine = ((end(steps) - exact).abs().mean().item() for steps in (40, 80))
    assert coarse / fine == pytest.approx(2**order, rel=0.15)


def test_ancestral_of_a_point_is_exact_in_one_step():
    """Where the data are one point, DDPM's posterior is the truth: variance s'^2 after a single step."""
    point = GaussianMixture([[1.0, 2.0]], [1e-12])
    step = last(sample([point], Single(0), torch.tensor([10.0, 1.0]), batch=20_000, solver="ancestral"))
    assert torch.allclose(step.samples.mean(0), torch.tensor([1.0, 2.0], dtype=torch.float64), atol=0.03)
    assert torch.allclose(step.samples.var(0), torch.ones(2, dtype=torch.float64), atol=0.05)


def test_denoised_is_the_weighted_posterior_mean():
    a, b = overlapping()
    step = last(sample([a, b], Fixed([0.3, 0.7]), LEVELS, batch=8))
    mean = [step.samples + step.level**2 * e.score(step.samples, step.level) for e in (a, b)]
    assert torch.allclose(step.denoised, 0.3 * mean[0] + 0.7 * mean[1])


class LinearNetwork:
    """A shared network whose conditions are Gaussian mixtures."""

    def scores(self, y, level, conditions):
        return [condition.score(y, level) for condition in conditions]


@pytest.mark.parametrize("operator", [And(), Or(), Average()])
def test_guidance_of_one_is_no_guidance_and_and_steers_through_it(operator):
    a, b = overlapping()
    wide = GaussianMixture([[0.0, 0.0]], [4.0])
    network = LinearNetwork()
    experts = [ConditionedScore(network, mixture, mixture.space) for mixture in (a, b)]
    reference = ConditionedScore(network, wide, wide.space)
    options = {"batch": 256, "dtype": torch.float64}
    plain = last(sample(experts, operator, LEVELS, **options))
    one = last(sample(experts, operator, LEVELS, guidance=Guidance(reference, 1.0), **options))
    assert torch.allclose(plain.samples, one.samples, atol=1e-8)
    guided = last(sample(experts, operator, LEVELS, guidance=Guidance(reference, lambda level: 2.0), **options))
    assert guided.samples.isfinite().all()
    if isinstance(operator, And):
        gap = a.log_density(guided.samples, 0.02) - b.log_density(guided.samples, 0.02)
        assert gap.abs().mean().item() < 0.3


def test_fixed_weights_with_guidance_follow_the_formula():
    """S_0 + w (S - S_0): guidance by w towards a from b is Fixed([w, 1 - w]) without guidance."""
    a, b = overlapping()
    guided = last(sample([a], Single(0), LEVELS, batch=16, guidance=Guidance(b, 1.5)))
    fixed = last(sample([a, b], Fixed([1.5, -0.5]), LEVELS, batch=16))
    assert torch.allclose(guided.samples, fixed.samples, atol=1e-9)


def test_components_can_weigh_apart():
    a, b = separate()
    experts = [Pair(left=a, right=a), Pair(left=b, right=b)]
    joint = last(sample(experts, Or(), LEVELS, batch=256))
    apart = last(sample(experts, Or(), LEVELS, batch=256, per_component=True))

    def same(step):
        return ((step.samples["left"][:, 1] > 0) == (step.samples["right"][:, 1] > 0)).double().mean().item()

    assert same(joint) > 0.99  # one expert owns the whole sample
    assert same(apart) == pytest.approx(0.5, abs=0.12)  # each component chooses for itself


def test_a_score_that_is_not_finite_names_expert_step_and_level():
    a, b = overlapping()

    class Broken:
        title, space, dtype = "broken", b.space, b.dtype
        calls = 0

        def score(self, y, level):
            self.calls += 1
            return b.score(y, level) * (math.nan if self.calls == 38 else 1)

    seen = []
    with pytest.raises(ScoreError, match=r"Expert 2 \(broken\).*step 37, level") as caught:
        for step in sample([a, Broken()], Or(), LEVELS, batch=8):
            seen.append(step.index)
    assert seen == list(range(37))
    assert (caught.value.expert, caught.value.index) == (1, 37)
    assert caught.value.level == pytest.approx(LEVELS[37].item())


def test_exact_and_on_agreeing_experts_says_what_to_do():
    a, _ = overlapping()
    with pytest.raises(SuperDiffError, match=r"weights of 2 experts explode at step 0, level 20.*ridge above 0"):
        last(sample([a, a], And(ridge=0), LEVELS, batch=8))


def centred_on_one_point(dimension, modes, seed):
    """Experts that agree far out: mixtures of the same mean and covariance, so that their scores differ at 1/s^5."""
    generator = torch.Generator().manual_seed(seed)
    half = torch.randn(modes, dimension, generator=generator, dtype=torch.float64)
    means = torch.cat([half, -half])
    values, vectors = torch.linalg.eigh(means.T @ means / len(means))
    whitened = means @ vectors @ (values + 1e-9).rsqrt().diag() @ vectors.T
    return GaussianMixture(whitened, [0.02] * len(means))


@pytest.mark.parametrize("steps", [25, 100])
@pytest.mark.parametrize("dimension", [2, 32])
def test_exact_and_whose_weights_explode_never_claims_a_gap_of_zero(dimension, steps):
    """Where the experts all but agree the paper's system is singular, and the run says so."""
    experts = [centred_on_one_point(dimension, dimension, seed) for seed in (1, 2)]
    with pytest.raises(StepError, match=r"weights of 2 experts explode at step \d+, level .*ridge above 0"):
        last(sample(experts, And(ridge=0), karras_levels(steps, 80.0, 0.02), batch=512))
    step = last(sample(experts, And(), karras_levels(steps, 80.0, 0.02), batch=128))
    assert step.weights.abs().max().item() < 100  # what the sentence advises runs


@pytest.mark.parametrize("dimension", [2, 32])
def test_exact_and_holds_the_true_gap_where_the_experts_differ(dimension):
    """The paper's case: no ridge, and the exact log-densities agree in the end."""
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(2, 4, dimension, generator=generator, dtype=torch.float64)
    experts = separate() if dimension == 2 else [GaussianMixture(means, [0.05] * 4) for means in draw]
    largest = 0.0
    for step in sample(experts, And(ridge=0), karras_levels(400, 20.0, 0.02), batch=256):
        largest = max(largest, step.weights.abs().max().item())
    exact = [expert.log_density(step.samples, step.level) for expert in experts]
    assert largest < 500
    assert (exact[0] - exact[1]).abs().mean().item() < 1.0  # 0.2 and 0.6; of several hundred nats under average


class Counting:
    """An expert that counts its calls, and those that were differentiated."""

    def __init__(self, expert):
        self.expert, self.title, self.space, self.dtype = expert, expert.title, expert.space, expert.dtype
        self.calls = self.differentiable = 0

    def score(self, y, level):
        self.calls += 1
        self.differentiable += y.requires_grad
        return self.expert.score(y, level)


@pytest.mark.parametrize(("solver", "calls"), [("ode", 11), ("ode_heun", 21), ("ancestral", 11)])
@pytest.mark.parametrize(("estimator", "passes"), [("hutchinson", 1), ("exact", 2)])
def test_divergences_are_worked_out_once_a_level(solver, calls, estimator, passes, monkeypatch):
    """10 steps, 11 levels: Heun's correction costs a call a step more, and no backward pass."""
    backward, plain = [], torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *args, **more: backward.append(1) or plain(*args, **more))
    experts = [Counting(expert) for expert in overlapping()]
    last(sample(experts, Or(), karras_levels(10, 20.0, 0.02), batch=4, solver=solver, estimator=estimator))
    for expert in experts:
        assert (expert.calls, expert.differentiable) == (calls, 11)
    assert len(backward) == 11 * passes * len(experts)


@pytest.mark.parametrize("estimator", ["trapezoid", "ito", "hutchinson", "exact"])
@pytest.mark.parametrize("operator", [Or(), And(), CoinFlip(), Single(1), Fixed([2.0, -1.0, *[0.0] * 6])])
def test_one_step_of_one_sample_of_eight_experts(operator, estimator):
    experts = [*overlapping(), *separate()] * 2
    step = last(sample(experts, operator, torch.tensor([3.0, 0.5]), batch=1, estimator=estimator, noise_scale=1.0))
    assert step.log_density.shape == (8, 1) and step.log_density.isfinite().all() and step.samples.isfinite().all()


def test_a_score_without_gradients_is_refused_where_a_divergence_is_asked_for():
    """A divergence of 0 would be wrong, and silent."""
    a, b = overlapping()

    class Detached:
        title, space, dtype = "detached", b.space, b.dtype

        def score(self, y, level):
            return b.score(y, level).detach()

    with pytest.raises(SuperDiffError, match=r"expert 2 \(detached\) cannot be differentiated.*'trapezoid'"):
        last(sample([a, Detached()], Or(), LEVELS, batch=2, estimator="hutchinson"))
    assert last(sample([a, Detached()], Or(), LEVELS, batch=2)).log_density.isfinite().all()


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ([1.0 + 2**-52, 1.0, 1.0], "further apart"),
        ([1.0, 1e-170], "at least 1e-12"),
        ([math.inf, 1.0], "finite"),
        ([1.0, math.nan], "finite"),
    ],
)
def test_levels_that_numbers_cannot_tell_apart_are_refused(levels, words):
    with pytest.raises(SuperDiffError, match=words):
        last(sample(overlapping(), Or(), torch.tensor(levels, dtype=torch.float64), batch=2))


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ("density", DensityError, r"log-density under expert 2 \(far\) is not finite at step 4, level .*estimator"),
        ("samples", StepError, "samples are no longer finite at step 5, level .*more steps"),
    ],
)
def test_what_is_not_finite_ends_the_run_before_it_is_shown(wrong, error, words):
    a, b = overlapping()

    class Far:
        """Finite scores, of which one is so large that its square, or the step along it, is not."""

        title, space, dtype = "far", b.space, b.dtype
        calls = 0

        def score(self, y, level):
            self.calls += 1
            large = {"density": 1e200, "samples": 1e308}[wrong] if self.calls == 5 else 1.0
            return torch.full_like(y, large) if large > 1 else b.score(y, level)

    operator = Average() if wrong == "density" else Fixed([0.0, 1.0])
    estimator = "trapezoid" if wrong == "density" else "none"
    seen = []
    with pytest.raises(error, match=words):
        for step in sample([a, Far()], operator, LEVELS, batch=2, estimator=estimator):
            seen.append(step)
    assert all(step.log_density.isfinite().all() and step.samples.isfinite().all() for step in seen)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"experts": []}, "no experts"),
        ({"batch": 0}, "batch"),
        ({"solver": "rk4"}, "solver"),
        ({"estimator": "magic"}, "estimator"),
        ({"solver": "ode"}, "needs the noise.*choose 'hutchinson' or 'exact'"),
        ({"estimator": "none"}, "needs log-densities"),
        ({"levels": torch.tensor([1.0, 2.0])}, "decreasing"),
        ({"levels": torch.tensor([1.0])}, "at least two"),
        ({"operator": Or(bias=[1.0])}, "bias"),
    ],
)
def test_arguments_that_do_not_fit_are_named(change, word):
    arguments = {"experts": overlapping(), "operator": Or(), "levels": LEVELS, "batch": 4} | change
    with pytest.raises(ValueError, match=word):
        last(sample(arguments.pop("experts"), arguments.pop("operator"), arguments.pop("levels"), **arguments))


def test_and_with_a_lowest_level_is_average_from_there_on():
    """Above it the samples are AND's own; below it average walks on from where they stand, with the same noise."""
    experts, lowest = overlapping(), 2.0
    whole, part, even = (
        list(sample(experts, operator, LEVELS, batch=64)) for operator in (And(), And(lowest=lowest), Average())
    )
    for index, step in enumerate(part):
        if step.level >= lowest:
            assert torch.equal(step.weights, whole[index].weights)
            assert torch.equal(step.samples, whole[index].samples)
        elif index < len(part) - 1:
            assert torch.equal(step.weights, even[index].weights)
    assert not torch.equal(part[-1].samples, whole[-1].samples)


def test_an_expert_needs_no_more_than_a_score_and_a_space():
    """As the README says: samples are then of float32, and a Gaussian's have its variance."""

    class Bare:
        space = Euclidean((3,))

        def score(self, y, level):
            return -y / (0.25 + level**2)

    *_, step = sample([Bare()], Single(0), karras_levels(400, 20.0, 0.02), batch=4096, seed=0)
    assert step.samples.dtype == torch.float32
    assert step.samples.var(0).numpy() == pytest.approx([0.25 + 0.02**2] * 3, rel=0.08)
