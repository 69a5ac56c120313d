"""The denoising loss, with the levels and the noise that it leaves to chance; a level weighs as often as it comes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..noise import Schedule
from .task import Draws


def noisy_draws(
    shape: torch.Size | tuple[int, ...],
    schedule: Schedule,
    generator: torch.Generator,
    log_mean: float = -0.8,
    log_std: float = 1.2,
) -> Draws:
    """What `denoising_loss` leaves to chance: noise, and levels with log s ~ N(log_mean, log_std^2).

    Args:
        shape: of the data, [batch, ...].
        schedule: the forward process to train on.
        generator: of levels and noise.
        log_mean: mean of log s.
        log_std: its standard deviation.

    Returns:
        "noise" [batch, ...]; "alpha", "sigma" and the model's "time", each [batch]; float32.
    """
    draw = torch.randn(shape[0], generator=generator, dtype=torch.float64)
    levels = (log_mean + log_std * draw).exp().clamp(schedule.lowest, schedule.highest)
    return {
        "noise": torch.randn(shape, generator=generator),
        "alpha": schedule.alpha(levels).float(),
        "sigma": schedule.sigma(levels).float(),
        "time": schedule.time(levels).float(),
    }


def denoising_loss(network: Callable[[Tensor, Tensor], Tensor], data: Tensor, drawn: Draws) -> Tensor:
    """Squared error of the v-prediction at the levels and with the noise of `noisy_draws`.

    With a VP schedule v = alpha eps - sigma x_0 (Salimans and Ho 2022, arXiv 2202.00512), and its unweighted squared
    error is Karras et al.'s weighting of the denoising error with sigma_data = 1 (arXiv 2206.00364, Table 1).

    Args:
        network: maps (x_t [batch, ...], time [batch]) to v [batch, ...].
        data: x_0, [batch, ...].
        drawn: of `noisy_draws`, on the data's device.
    """
    shape = (-1,) + (1,) * (data.ndim - 1)
    noise, alpha, sigma = drawn["noise"], drawn["alpha"].view(shape), drawn["sigma"].view(shape)
    predicted = network(alpha * data + sigma * noise, drawn["time"])
    return (predicted.float() - (alpha * noise - sigma * data)).square().mean()
