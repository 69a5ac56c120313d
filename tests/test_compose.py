"""Operators: what they must do to weights, against closed forms and invariances."""

import math

import pytest
import torch

from superdiff_engine import And, Average, CoinFlip, Fixed, Or, Prediction, Single


def start(operator, experts, batch=5, seed=0):
    operator.start(experts, batch, torch.Generator().manual_seed(seed))
    return operator


def a_prediction(experts, batch=5):
    drifts = torch.randn(experts, batch, 7, dtype=torch.float64)
    constant = torch.randn(experts, batch, dtype=torch.float64)
    return Prediction(constant, torch.einsum("ibd,jbd->ijb", drifts, drifts))


@pytest.mark.parametrize("experts", [1, 2, 3, 5])
def test_all_weights_sum_to_one_over_experts(experts):
    bias = [0.3 * k for k in range(experts)]
    operators = [Or(2.0, bias), And(bias), And(ridge=0), Average(), Single(experts - 1), CoinFlip(bias)]
    operators.append(Fixed([1.5] + [-0.5 / (experts - 1)] * (experts - 1) if experts > 1 else [1.0]))
    log_density = torch.randn(experts, 5, dtype=torch.float64) * 10
    for operator in operators:
        weights = start(operator, experts).weights(log_density, a_prediction(experts))
        assert weights.shape == (experts, 5)
        assert torch.allclose(weights.sum(0), torch.ones(5, dtype=torch.float64), atol=1e-9), operator


def test_or_applies_the_temperature_to_log_density_alone():
    log_density = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    weights = start(Or(3.0, [0.0, 2.0]), 2).weights(log_density, None)
    assert weights[0].item() == pytest.approx(1 / (1 + math.exp(2 - 3)))


@pytest.mark.parametrize("experts", [2, 3, 4])
def test_and_without_ridge_closes_the_gap_in_one_step(experts):
    """The paper's exact system: after the predicted change all log q_i - l_i are equal."""
    bias = [0.5 * k for k in range(experts)]
    prediction, log_density = a_prediction(experts), torch.randn(experts, 5, dtype=torch.float64)
    weights = start(And(bias, ridge=0), experts).weights(log_density, prediction)
    after = log_density + prediction.at(weights) - torch.tensor(bias, dtype=torch.float64)[:, None]
    assert torch.allclose(after, after.mean(0).expand_as(after), atol=1e-8)


def test_and_of_two_is_the_closed_form():
    """C = -(gap + n) / (D + lam), D = |drift_1 - drift_2|^2 / var, for the half difference's worth of each expert."""
    prediction, log_density, ridge = a_prediction(2), torch.randn(2, 5, dtype=torch.float64), 0.7
    weights = start(And(ridge=ridge), 2).weights(log_density, prediction)
    even = torch.full((2, 5), 0.5, dtype=torch.float64)
    gap = (log_density + prediction.at(even)).diff(dim=0)[0] / 2
    g = prediction.slope
    difference = (g[0, 0] - 2 * g[0, 1] + g[1, 1]) / 2
    assert torch.allclose(weights[1] - 0.5, -gap / (difference + ridge))


def test_and_lets_go_below_its_lowest_level():
    found, log_density = a_prediction(3), torch.randn(3, 5, dtype=torch.float64)
    held = start(And(), 3).weights(log_density, found)
    operator = start(And(lowest=1.5), 3)
    for level, expected in ((1.5, held), (1.49, torch.full_like(held, 1 / 3))):
        weights = operator.weights(log_density, Prediction(found.constant, found.slope, level))
        assert torch.equal(weights, expected)


def test_and_stays_even_where_experts_agree():
    agreeing = Prediction(torch.zeros(3, 4, dtype=torch.float64), torch.ones(3, 3, 4, dtype=torch.float64))
    weights = start(And(), 3, 4).weights(torch.zeros(3, 4, dtype=torch.float64), agreeing)
    assert torch.allclose(weights, torch.full_like(weights, 1 / 3))


def test_and_is_equivariant_under_permutation():
    prediction, log_density, order = a_prediction(4), torch.randn(4, 5, dtype=torch.float64), [2, 0, 3, 1]
    bias = [0.0, 1.0, 2.0, 3.0]
    weights = start(And(bias), 4).weights(log_density, prediction)
    permuted = Prediction(prediction.constant[order], prediction.slope[order][:, order])
    again = start(And([bias[k] for k in order]), 4).weights(log_density[order], permuted)
    assert torch.allclose(again, weights[order])


def test_coin_flip_keeps_its_choice_and_its_odds():
    operator = start(CoinFlip([math.log(3), 0.0]), 2, batch=20_000)
    first = operator.weights(torch.zeros(2, 20_000, dtype=torch.float64), None)
    assert torch.equal(first, operator.weights(torch.randn(2, 20_000, dtype=torch.float64), None))
    assert first[0].mean().item() == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Or(-1.0), "temperature"),
        (lambda: And(ridge=-1), "ridge"),
        (lambda: And(lowest=-1), "lowest level"),
        (lambda: Fixed([0.5, 0.6]), "sum to 1"),
        (lambda: start(Or(bias=[0.0]), 2), "bias needs 2"),
        (lambda: start(Fixed([1.0]), 2), "weights needs 2"),
        (lambda: start(Single(2), 2), "no expert 2"),
    ],
)
def test_wrong_parameters_are_named(make, word):
    with pytest.raises(ValueError, match=word):
        make()
