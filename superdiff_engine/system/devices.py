"""What this machine computes on, and in which numbers."""

from __future__ import annotations

import platform
from typing import Literal

import torch

from ..errors import SuperDiffError


def resolve_device(name: str) -> str:
    """The device to run on; "auto" takes CUDA, then MPS, then the CPU. Raises SuperDiffError if it is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device, available in there.items() if available)
    if not there[name]:
        raise SuperDiffError(f"This machine has no {name} device for torch; choose 'auto' or 'cpu'.")
    return name


def training_device(name: str) -> str:
    """The device to train on; "auto" takes CUDA, else the CPU. Raises SuperDiffError if it is not there.

    Trainings run on these two: MPS has no float64 sums.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise SuperDiffError(f"There is no training on '{name}'; choose auto, cpu or cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise SuperDiffError("This machine has no cuda device for torch; train with --device cpu or auto.")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def bfloat16_is_fast(device: str = "cpu") -> bool:
    """Whether matrix products in bfloat16 take no longer than in float32.

    On an x86 CPU without AVX-512 torch has nothing but a reference for them, which takes a hundred times as long.
    """
    if torch.device(device).type != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    return torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "AMX"))


def fast_dtype(device: str = "cpu") -> Literal["float32", "bfloat16"]:
    """bfloat16 where that is fast, else float32, by name: for tables, which take long."""
    return "bfloat16" if bfloat16_is_fast(device) else "float32"


def half_dtype(device: str = "cpu", float16: bool = False) -> torch.dtype | None:
    """What matrix products of a training are computed in: bfloat16 where that is fast, None for full precision.

    Args:
        device: of the training.
        float16: whether float16 is welcome where the CPU multiplies in it natively (AVX-512 FP16).
    """
    if float16 and torch.device(device).type == "cpu" and torch.cpu.get_capabilities().get("avx512_fp16"):
        return torch.float16
    return torch.bfloat16 if bfloat16_is_fast(device) else None


def check_dtype(dtype: str, device: str) -> None:
    """Raises SuperDiffError for numbers in which a run on this device would seem to hang."""
    if dtype == "bfloat16" and not bfloat16_is_fast(device):
        raise SuperDiffError(
            "Networks in bfloat16 take about a hundred times as long on this CPU, which lacks AVX-512; choose float32."
        )
