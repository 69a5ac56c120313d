"""What goes between the CPU and a device without either waiting for the other.

A copy from ordinary memory makes the CPU wait until the device has done all that it was given before, and so does
every value that is read. So what is sent lies in pinned memory, constants are sent once, and what is read (`Reading`)
is asked for early and taken later.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


def home(device: torch.device | str) -> torch.device:
    """Where float64 sums of tensors on this device live: there, but for MPS, which has no float64."""
    there = torch.device(device)
    return torch.device("cpu") if there.type == "mps" else there


def sent(values: Tensor, device: torch.device | str) -> Tensor:
    """Values on a device; those of the CPU go there without anything waiting."""
    there = torch.device(device)
    if values.device.type == "cpu" and there.type == "cuda":
        return values.pin_memory().to(there, non_blocking=True)
    return values.to(there)


@lru_cache(512)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers [n] on a device, made there once; nobody may change them in place."""
    return torch.tensor(values, dtype=dtype, device=device)


class Reading:
    """Small tensors on their way from a device; until `values` takes them nobody waits.

    Args:
        tensors: float64 or bool, all on one device.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._shapes = [(tensor.shape, tensor.dtype) for tensor in tensors]
        # One copy for all of them; the numbers of each lie one after another.
        self._flat = torch.cat([tensor.detach().reshape(-1).double() for tensor in tensors])
        self._there: torch.cuda.Event | None = None
        if self._flat.device.type == "cuda":
            pinned = torch.empty(self._flat.shape, dtype=self._flat.dtype, pin_memory=True)
            pinned.copy_(self._flat, non_blocking=True)
            self._flat, self._there = pinned, torch.cuda.Event()
            self._there.record()

    def values(self) -> list[Tensor]:
        """The tensors, on the CPU, of their shapes and types."""
        if self._there is not None:
            self._there.synchronize()
        flat = self._flat.cpu()
        parts = flat.split([shape.numel() for shape, _ in self._shapes])
        return [part.view(shape).to(dtype) for part, (shape, dtype) in zip(parts, self._shapes, strict=True)]
