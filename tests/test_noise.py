"""Schedules against diffusers' own, and their inverses."""

import pytest
import torch
from diffusers import DDPMScheduler

from superdiff_engine import VE, DiscreteVP, Flow, karras_levels, log_levels, time_levels

OURS = {
    "linear": (DiscreteVP.linear(), "linear", {}),
    "scaled_linear": (DiscreteVP.scaled_linear(), "scaled_linear", {"beta_start": 0.00085, "beta_end": 0.012}),
    "cosine": (DiscreteVP.cosine(), "squaredcos_cap_v2", {}),
}


@pytest.mark.parametrize("name", OURS)
def test_levels_match_diffusers(name):
    """At every whole time, s^2 = (1 - alphas_cumprod) / alphas_cumprod of diffusers' scheduler."""
    ours, theirs, options = OURS[name]
    table = DDPMScheduler(beta_schedule=theirs, **options).alphas_cumprod.double()
    levels = ours.level(torch.arange(1000, dtype=torch.float64))
    assert torch.allclose(levels, ((1 - table) / table).sqrt(), rtol=2e-3)  # theirs is computed in float32
    assert torch.allclose(ours.alpha(levels) ** 2 + ours.sigma(levels) ** 2, torch.ones(1000, dtype=torch.float64))


@pytest.mark.parametrize("schedule", [DiscreteVP.linear(), DiscreteVP.cosine(), VE(), Flow(), Flow(times=1000)])
def test_time_and_level_are_inverse(schedule):
    levels = log_levels(50, schedule.highest * 0.999, schedule.lowest * 1.001)
    assert torch.allclose(schedule.level(schedule.time(levels)), levels, rtol=1e-9)


def test_flow_is_a_straight_path():
    """Alpha = 1 - t and sigma = t."""
    time = torch.linspace(0.01, 0.99, 9, dtype=torch.float64)
    level = Flow().level(time)
    assert torch.allclose(Flow().alpha(level), 1 - time) and torch.allclose(Flow().sigma(level), time)


def test_zero_terminal_snr_keeps_levels_finite():
    schedule = DiscreteVP([0.9, 0.5, 0.1, 0.0])
    assert schedule.highest == pytest.approx(3.0)


@pytest.mark.parametrize("grid", [karras_levels, log_levels])
def test_grids_have_their_ends_and_fall(grid):
    levels = grid(10, 20.0, 0.02)
    assert len(levels) == 11 and bool((levels.diff() < 0).all())
    assert levels[0].item() == pytest.approx(20.0) and levels[-1].item() == pytest.approx(0.02)


def test_time_levels_are_even_in_time():
    schedule = DiscreteVP.linear()
    times = schedule.time(time_levels(10, schedule))
    assert torch.allclose(times.diff(), times.diff()[0].expand(10), atol=1e-6)


@pytest.mark.parametrize("arguments", [(0, 20.0, 0.02), (10, 0.02, 20.0), (10, 20.0, 0.0), (10, float("inf"), 0.1)])
def test_impossible_grids_are_refused(arguments):
    with pytest.raises(ValueError, match="grid"):
        karras_levels(*arguments)


@pytest.mark.parametrize("table", [[0.5, 0.9], [0.9], [1.2, 0.5]])
def test_wrong_tables_are_refused(table):
    with pytest.raises(ValueError, match="alphas_cumprod"):
        DiscreteVP(table)
