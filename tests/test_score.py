"""Every wrapper against the exact score of a mixture put through that path."""

import math

import pytest
import torch

from oracles import overlapping
from superdiff_engine import VE, ConditionedScore, DiscreteVP, EDMScore, Flow, NetworkScore, ScoreModel
from superdiff_engine.score import scores_of

PATHS = {
    "vp_linear": DiscreteVP.linear(),
    "vp_cosine": DiscreteVP.cosine(),
    "vp_scaled": DiscreteVP.scaled_linear(),
    "ve": VE(0.002, 80),
    "flow": Flow(),
    "flow_1000": Flow(times=1000),
}


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample", "flow"])
@pytest.mark.parametrize("path", PATHS)
def test_wrappers_recover_the_exact_score(path, prediction):
    mixture, _ = overlapping()
    expert = NetworkScore(mixture.through(PATHS[path], prediction), PATHS[path], prediction, (2,))
    for level in (0.05, 1.0, 8.0):
        y = mixture.sample(32, level=level)
        assert torch.allclose(expert.score(y, level), mixture.score(y, level), rtol=1e-7, atol=1e-7)


def test_flow_is_finite_at_its_noisiest_level():
    mixture, _ = overlapping()
    schedule = Flow()
    expert = NetworkScore(mixture.through(schedule, "flow"), schedule, "flow", (2,))
    assert expert.score(torch.randn(8, 2, dtype=torch.float64) * schedule.highest, schedule.highest).isfinite().all()


def test_edm_preconditioning_recovers_the_exact_score():
    mixture, _ = overlapping()
    data = 0.5

    def network(x, noise):
        level = (4 * noise[:, None]).exp()
        total = level**2 + data**2
        y = x * total.sqrt()
        denoised = y + level**2 * mixture.score(y, level)
        return (denoised - data**2 / total * y) * total.sqrt() / (level * data)

    expert = EDMScore(network, (2,), data)
    y = mixture.sample(32, level=0.7)
    assert torch.allclose(expert.score(y, 0.7), mixture.score(y, 0.7), rtol=1e-7, atol=1e-7)


def test_mixture_score_is_the_gradient_of_its_density():
    mixture, _ = overlapping()
    y = mixture.sample(16, level=0.5).requires_grad_()
    (gradient,) = torch.autograd.grad(mixture.log_density(y, 0.5).sum(), y)
    assert torch.allclose(gradient, mixture.score(y.detach(), 0.5))


def test_mixture_density_integrates_to_one():
    mixture, _ = overlapping()
    axis = torch.linspace(-6, 6, 601, dtype=torch.float64)
    density = mixture.log_density(torch.cartesian_prod(axis, axis), 0.3).exp()
    assert density.sum().item() * (axis[1] - axis[0]).item() ** 2 == pytest.approx(1, abs=1e-6)


def test_experts_that_share_a_network_are_evaluated_in_one_call():
    calls = []

    class Shared:
        def scores(self, y, level, conditions):
            calls.append(list(conditions))
            return [condition * y for condition in conditions]

    network, (plain, _) = Shared(), overlapping()
    experts = [ConditionedScore(network, 2.0, plain.space), plain, ConditionedScore(network, 3.0, plain.space)]
    y = torch.randn(4, 2, dtype=torch.float64)
    scores = scores_of(experts, y, 1.0)
    assert calls == [[2.0, 3.0]]
    assert torch.equal(scores[0], 2 * y) and torch.equal(scores[2], 3 * y)
    assert torch.equal(scores[1], plain.score(y, 1.0))
    assert math.isfinite(float(scores[1].sum()))


def test_an_unknown_prediction_is_refused():
    with pytest.raises(ValueError, match="v_prediction"):
        NetworkScore(lambda x, t: x, VE(), "noise", (2,))


def test_every_expert_says_what_a_run_asks_of_it():
    mixture, _ = overlapping()
    network = NetworkScore(lambda x, t: x, VE(), "epsilon", (2,))
    condition = ConditionedScore(None, None, mixture.space)
    experts = [mixture, network, EDMScore(lambda y, noise: y, (2,)), condition]
    assert all(isinstance(expert, ScoreModel) for expert in experts)
    assert [expert.dtype for expert in experts] == [torch.float64, *[torch.float32] * 3]
