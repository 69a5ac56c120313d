"""What the networks of molecules and proteins are made of besides torch's own modules, in as few passes over memory as
it takes: on a CPU half of their time is not arithmetic.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

#: Gaussians are at least exp of minus this: exponentials that underflow take a CPU many times as long.
_DEEPEST = 80.0


@lru_cache(maxsize=64)
def _ones_and_zeros(width: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.ones(width, dtype=dtype, device=device), torch.zeros(width, dtype=dtype, device=device)


@lru_cache(maxsize=64)
def _centres(count: int, scale: float, farthest: float, device: torch.device) -> Tensor:
    return torch.linspace(0, farthest, count, device=device) * scale


def normalised(x: Tensor) -> Tensor:
    """Layer normalisation of the last dimension without learned numbers; shape of `x`.

    With ones and zeros for them: torch's kernel for CPUs is a third faster where it is given some.
    """
    ones, zeros = _ones_and_zeros(x.shape[-1], x.dtype, x.device)
    return functional.layer_norm(x, x.shape[-1:], ones, zeros)


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """`x`, normalised, times 1 + `scale`, and `shift` (Peebles and Xie 2022, arXiv 2212.09748); shape of `x`."""
    return torch.addcmul(shift, normalised(x), 1 + scale)


def bells(distance: Tensor, count: int, farthest: float) -> Tensor:
    """Gaussians of distances [..., 1] around `count` centres from 0 to `farthest`, [..., count]."""
    scale = math.sqrt(0.5) * (count - 1) / farthest
    apart = distance * scale - _centres(count, scale, farthest, distance.device)
    return apart.square().clamp_max(_DEEPEST).neg_().exp_()
