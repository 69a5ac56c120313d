"""Formulas: values, gradients and Hessians against finite differences, hand-written ones, and their invariances."""

import random

import pytest
import torch
from drawn_formulas import NESTED, ONE, SHARP, THREE, TWO, drawn, random_formula

from superdiff_engine.compose import Average, Composed, Fixed, Or, Single
from superdiff_engine.errors import ArgumentError
from superdiff_engine.formula import Biased, Both, ButNot, Either, ExpertTerm, WeightedSum, Xor, tempered

#: Formulas with what they mean, written out by hand.
WRITTEN = {
    "or": (Either((ONE, TWO)), lambda a, b, c: torch.log(a.exp() + b.exp())),
    "or_sharp": (SHARP, lambda a, b, c: torch.log((2 * a + 0.5).exp() + (2 * b).exp()) / 2),
    "or_flat": (Either((ONE, TWO), 0.0), lambda a, b, c: (a + b) / 2),
    "and": (Both((ONE, TWO), 4.0), lambda a, b, c: -torch.log((-4 * a).exp() + (-4 * b).exp()) / 4),
    "not": (ButNot(ONE, TWO, 0.5), lambda a, b, c: 1.5 * a - 0.5 * b),
    "xor": (Xor(ONE, TWO), lambda a, b, c: torch.log((2 * a - b).exp() + (2 * b - a).exp())),
    "product": (WeightedSum((ONE, TWO), (1.0, 1.0)), lambda a, b, c: a + b),
    "tempered": (tempered(Either((ONE, TWO)), 0.5), lambda a, b, c: 2 * torch.log(a.exp() + b.exp())),
    "biased": (Biased(Either((ONE, THREE)), (1, 0, -1)), lambda a, b, c: torch.log((a + 1).exp() + (c - 1).exp())),
    "nested": (Both((Either((ONE, TWO)), THREE)), lambda a, b, c: -torch.log(1 / (a.exp() + b.exp()) + (-c).exp())),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_value_gradient_and_hessian_are_those_of_the_formula_written_out(name):
    formula, written = WRITTEN[name]
    log_density = drawn()
    found = formula.at(log_density)
    for sample in range(log_density.shape[1]):
        point = log_density[:, sample]
        assert found.value[sample] == pytest.approx(float(written(*point)), abs=1e-12)
        gradient = torch.autograd.functional.jacobian(lambda q: written(*q), point)
        assert torch.allclose(found.gradient[:, sample], gradient, atol=1e-12)
        hessian = torch.autograd.functional.hessian(lambda q: written(*q), point)
        mine = torch.zeros(3, 3, dtype=torch.float64) if found.hessian is None else found.hessian[:, :, sample]
        assert torch.allclose(mine, hessian, atol=1e-12)


def test_gradients_and_hessians_agree_with_finite_differences():
    rng, step = random.Random(0), 1e-4
    for number in range(40):
        formula = NESTED if number == 0 else random_formula(rng, 4)
        log_density = drawn(4, number)
        found = formula.at(log_density)
        hessian = torch.zeros(3, 3, 4, dtype=torch.float64) if found.hessian is None else found.hessian
        for index in range(3):
            moved = torch.zeros(3, 1, dtype=torch.float64)
            moved[index] = step
            above, below = formula.at(log_density + moved), formula.at(log_density - moved)
            scale = 1 + hessian.abs().amax((0, 1))
            assert ((above.value - below.value) / (2 * step) - found.gradient[index]).abs().max() < 1e-5 * scale.max()
            change = (above.gradient - below.gradient) / (2 * step)
            assert ((change - hessian[index]) / scale).abs().max() < 1e-4


def test_a_shift_of_all_log_densities_shifts_the_value_by_the_total_weight():
    rng = random.Random(1)
    for number in range(40):
        formula = random_formula(rng, 4)
        if number % 2:
            formula = WeightedSum((formula,), (2.5,))
        log_density = drawn(4, number)
        here, there = formula.at(log_density), formula.at(log_density + 7)
        assert torch.allclose(there.value - here.value, torch.full((4,), 7 * formula.total, dtype=torch.float64))
        assert torch.allclose(here.gradient.sum(0), torch.full((4,), formula.total, dtype=torch.float64))
        if here.hessian is not None:
            assert here.hessian.sum(0).abs().max() < 1e-9 * (1 + here.hessian.abs().max())
            assert torch.allclose(here.hessian, here.hessian.transpose(0, 1))


def test_permuting_experts_permutes():
    order = [2, 0, 1]  # the expert that is now at each place

    def permuted(formula):
        if isinstance(formula, ExpertTerm):
            return ExpertTerm(order.index(formula.index))
        if isinstance(formula, Either | Both | WeightedSum):
            return type(formula)(tuple(map(permuted, formula.parts)), *list(vars(formula).values())[1:])
        return type(formula)(*map(permuted, formula.parts), formula.strength)

    log_density = drawn()
    here, there = NESTED.at(log_density), permuted(NESTED).at(log_density[order])
    assert torch.allclose(here.value, there.value)
    assert torch.allclose(here.gradient[order], there.gradient)
    assert torch.allclose(here.hessian[order][:, order], there.hessian)


def test_operators_that_are_formulas_weigh_as_they_always_did_to_the_last_digit():
    log_density = 40 * drawn(50)
    bias = [0.3, -2.0, 0.0]
    column = torch.tensor(bias, dtype=torch.float64)[:, None]
    for temperature in (0.0, 0.7, 1.0, 30.0):
        weights = Or(temperature, bias).weights(log_density, None)
        assert torch.equal(weights, torch.softmax(temperature * log_density + column, 0))
    assert torch.equal(Average().weights(log_density, None), torch.full_like(log_density, 1 / 3))
    fixed = torch.tensor([0.7, 0.6, -0.3], dtype=torch.float64)[:, None].expand(3, 50)
    assert torch.equal(Fixed([0.7, 0.6, -0.3]).weights(log_density, None), fixed)
    assert Single(1).weights(log_density, None).tolist() == [[0.0] * 50, [1.0] * 50, [0.0] * 50]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Either((WeightedSum((ONE, TWO), (1.0, 1.0)), THREE)), "same total weight"),
        (lambda: Xor(ONE, WeightedSum((TWO,), (0.5,))), "same total weight"),
        (lambda: Both((ONE, TWO), 0.0), "above 0"),
        (lambda: ButNot(ONE, TWO, -1.0), "above 0"),
        (lambda: Either((ONE, TWO), -1.0), "negative"),
        (lambda: WeightedSum((ONE,), (1.0, 2.0)), "a weight for each part"),
        (lambda: WeightedSum((ONE,), (float("nan"),)), "finite"),
        (lambda: tempered(ONE, 0.0), "above 0"),
        (lambda: Composed(WeightedSum((ONE, TWO), (1.0, -1.0))).start(2, 1, torch.Generator()), "more than 0"),
        (lambda: Composed(THREE).start(2, 1, torch.Generator()), "names expert 3"),
        (lambda: Composed(Biased(ONE, (1.0,))).start(2, 1, torch.Generator()), "bias needs 2"),
    ],
)
def test_what_is_no_density_is_refused_in_a_sentence(make, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        make()
