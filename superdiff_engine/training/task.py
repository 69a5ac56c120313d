"""What is trained, how long, and what came of it: a task, a plan, progress, and the facts for the model card."""

from __future__ import annotations

import os
import platform
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from ..system.devices import half_dtype

#: What a step leaves to chance, by name, on the CPU: numbers, rows of the data. Shapes may differ from step to step.
Draws = dict[str, Tensor]


class TrainingTask(ABC):
    """What the trainer needs of a model.

    Attributes:
        network: what learns.
        batch: samples a step.
    """

    network: nn.Module
    batch: int

    @abstractmethod
    def draw(self, generator: torch.Generator) -> Draws:
        """All that one step leaves to chance, on the CPU; new tensors each time."""

    @abstractmethod
    def loss(self, drawn: Draws) -> Tensor:
        """The mean loss of one batch, a scalar, of draws that are on the task's device.

        Nothing in it may wait for the device (no `float(...)`, no shape that depends on numbers) or be made on the CPU.
        """

    def to(self, device: str) -> None:
        """Move the network, and every tensor and module among the task's attributes, to a device."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor | nn.Module):
                setattr(self, name, value.to(device))


@dataclass(frozen=True)
class TrainingPlan:
    """How long and how to train. Times are in minutes of wall clock, summed over resumed runs; `float16` is whether
    matrix products may be in float16 where that is fastest (with a scaled loss, for its small range).
    """

    minutes: float = 60.0
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 200
    decay_fraction: float = 0.4
    ema_decay: float = 0.999
    gradient_norm: float = 1.0
    checkpoint_minutes: float = 10.0
    seed: int = 0
    float16: bool = False


@dataclass
class TrainingProgress:
    """Where a training stands: handed to `report` about every ten seconds. `fresh` is the step before which the
    optimizer knew nothing: 0, or where installed weights were taken up; `pace` is in samples a second, lately.
    """

    step: int = 0
    minutes: float = 0.0
    loss: float = float("nan")
    losses: list[tuple[int, float]] = field(default_factory=list)
    fresh: int = 0
    pace: float = 0.0

    def last_loss(self) -> float:
        """The mean of the last twenty reports."""
        recent = [loss for _, loss in self.losses[-20:]] or [self.loss]
        return sum(recent) / len(recent)


class TrainingFacts(BaseModel):
    """How an embedded model was trained: minutes of wall clock on `hardware`, optimizer steps of `batch` samples, and
    the mean loss of the last reports.
    """

    minutes: float
    steps: int
    batch: int
    loss: float
    hardware: str

    @classmethod
    def of(cls, progress: TrainingProgress, batch: int, float16: bool = False, device: str = "cpu") -> TrainingFacts:
        """What a training on this machine came to; `float16` as in its plan."""
        return cls(
            minutes=progress.minutes,
            steps=progress.step,
            batch=batch,
            loss=progress.last_loss(),
            hardware=hardware(device, float16),
        )

    def progress(self) -> TrainingProgress:
        """Where a training stands that takes up the weights which these facts describe."""
        return TrainingProgress(self.steps, self.minutes, self.loss, fresh=self.steps)


def hardware(device: str = "cpu", float16: bool = False) -> str:
    """What a training on `device` computes on and in which numbers, for model cards."""
    dtype = str(half_dtype(device, float16) or torch.float32).removeprefix("torch.")
    if torch.device(device).type == "cuda":
        return f"one {torch.cuda.get_device_name(device)}, {dtype}"
    return f"{os.cpu_count()} {platform.machine()} CPU cores, {dtype}"
