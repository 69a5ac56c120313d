"""One trainer for every embedded model: a budget in minutes, bf16 autocast where it is fast, EMA, checkpoints, resume.

A *task* knows its network and its loss; the trainer knows time. The learning rate warms up, stays, and decays to
zero over the last part of the budget, whatever number of steps the machine makes of it. The best weights for
sampling are the exponential moving average (EMA), which is what a task saves at the end.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from .assets import assets_folder
from .devices import half_dtype
from .errors import ModelError
from .noise import Schedule


def checkpoints_folder() -> Path:
    """Where trainings keep their checkpoints: the user's cache, which outlives a checkout."""
    return Path.home() / ".cache" / "superdiff" / "checkpoints"


class TrainingTask(Protocol):
    """What the trainer needs of a model: its network and one batch's loss."""

    network: nn.Module

    def loss(self, generator: torch.Generator) -> Tensor:
        """The mean loss of one freshly drawn batch; a scalar."""


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
    optimizer knew nothing: 0, or where installed weights were taken up.
    """

    step: int = 0
    minutes: float = 0.0
    loss: float = float("nan")
    losses: list[tuple[int, float]] = field(default_factory=list)
    fresh: int = 0

    def last_loss(self) -> float:
        """The mean of the last twenty reports."""
        recent = [loss for _, loss in self.losses[-20:]] or [self.loss]
        return sum(recent) / len(recent)


class TrainingFacts(BaseModel):
    """How an embedded model was trained: minutes of wall clock on `hardware`, optimizer steps of `batch` pictures, and
    the mean loss of the last reports.
    """

    minutes: float
    steps: int
    batch: int
    loss: float
    hardware: str

    @classmethod
    def of(cls, progress: TrainingProgress, batch: int, float16: bool = False) -> TrainingFacts:
        """What a training on this machine's CPU came to; `float16` as in its plan."""
        dtype = str(half_dtype("cpu", float16) or torch.float32).removeprefix("torch.")
        return cls(
            minutes=progress.minutes,
            steps=progress.step,
            batch=batch,
            loss=progress.last_loss(),
            hardware=f"{os.cpu_count()} {platform.machine()} CPU cores, {dtype}",
        )

    def progress(self) -> TrainingProgress:
        """Where a training stands that takes up the weights which these facts describe."""
        return TrainingProgress(self.steps, self.minutes, self.loss, fresh=self.steps)


def training_target(
    name: str, minutes: float | None, budgets: Mapping[str, float], folder: Path | None
) -> tuple[float, Path]:
    """The budget of a training in minutes (`minutes`, or its own), and the folder that it writes.

    Raises:
        ModelError: for a name that has no budget.
    """
    if name not in budgets:
        raise ModelError(f"There is no training for '{name}'; choose {', '.join(budgets)}.")
    return budgets[name] if minutes is None else minutes, (assets_folder() if folder is None else folder) / name


def cannot_refine(name: str) -> ModelError:
    """What is said of a model that is trained from the start, in one go."""
    return ModelError(f"The training of '{name}' is short and begins anew; leave --refine out.")


def learning_rate_factor(step: int, spent: float, plan: TrainingPlan) -> float:
    """Linear warm-up in steps, then constant, then a linear decay in time over the last `decay_fraction`."""
    warm = min(1.0, (step + 1) / max(1, plan.warmup_steps))
    return warm * min(1.0, max(0.0, (1 - spent / plan.minutes) / plan.decay_fraction))


def train(
    task: TrainingTask,
    plan: TrainingPlan,
    checkpoint: Path,
    report: Callable[[TrainingProgress], None] = lambda progress: None,
    device: str = "cpu",
    begin: TrainingProgress | None = None,
) -> tuple[nn.Module, TrainingProgress]:
    """Train `task.network` for `plan.minutes`, resuming from `checkpoint` when it is there.

    Args:
        task: what to learn.
        plan: how long and how.
        checkpoint: a file, written now and then and at the end.
        report: called about every ten seconds.
        device: to train on.
        begin: where the training of the task's weights stands, if they are not new.

    Returns:
        The network with its EMA weights, and the progress at the end.

    Raises:
        RuntimeError: if the loss stops being finite.
    """
    network = task.network.to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(), plan.learning_rate, (0.9, 0.99), weight_decay=plan.weight_decay, fused=True
    )
    ema = {name: value.detach().clone() for name, value in network.state_dict().items()}
    half = half_dtype(device, plan.float16)
    scaler = torch.amp.GradScaler(device, init_scale=4096.0, growth_interval=1000, enabled=half is torch.float16)
    generator = torch.Generator().manual_seed(plan.seed)
    progress = TrainingProgress() if begin is None else begin
    if checkpoint.is_file():
        stored = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(stored["network"])
        optimizer.load_state_dict(stored["optimizer"])
        scaler.load_state_dict(stored.get("scaler") or scaler.state_dict())
        ema = stored["ema"]
        generator.set_state(stored["generator"])
        progress = TrainingProgress(**stored["progress"])

    def save() -> None:
        state = {
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scaler": scaler.state_dict(),
            "ema": ema,
            "generator": generator.get_state(),
            "progress": asdict(progress),
        }
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, checkpoint)

    network.train()
    started, already = time.monotonic(), progress.minutes
    reported = saved = started
    recent: list[float] = []
    while progress.minutes < plan.minutes:
        factor = learning_rate_factor(progress.step - progress.fresh, progress.minutes, plan)
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * factor
        with torch.autocast(device, half, enabled=half is not None):
            loss = task.loss(generator)
        scaler.scale(loss).backward()
        value = float(loss.detach())
        if value != value or value == float("inf"):
            raise RuntimeError(f"The loss became {value} at step {progress.step}: lower the learning rate and resume.")
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(network.parameters(), plan.gradient_norm)
        scaler.step(optimizer)  # not where float16 overflowed
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        # A short horizon at first, so that the average does not drag the random start along.
        decay = min(plan.ema_decay, (1 + progress.step) / (10 + progress.step))
        for name, current in network.state_dict().items():
            if current.is_floating_point():
                ema[name].lerp_(current, 1 - decay)
            else:
                ema[name].copy_(current)
        progress.step += 1
        recent.append(value)
        now = time.monotonic()
        progress.minutes = already + (now - started) / 60
        if now - reported > 10:
            progress.loss = sum(recent) / len(recent)
            progress.losses.append((progress.step, progress.loss))
            recent, reported = [], now
            report(progress)
        if now - saved > plan.checkpoint_minutes * 60:
            save()
            saved = now
    save()
    network.load_state_dict(ema)
    return network.eval(), progress


def denoising_loss(
    network: Callable[[Tensor, Tensor], Tensor],
    data: Tensor,
    schedule: Schedule,
    generator: torch.Generator,
    log_mean: float = -0.8,
    log_std: float = 1.2,
) -> Tensor:
    """Squared error of the v-prediction at levels with log s ~ N(log_mean, log_std^2).

    With a VP schedule v = alpha eps - sigma x_0 (Salimans and Ho 2022, arXiv 2202.00512), and its unweighted squared
    error is Karras et al.'s weighting of the denoising error with sigma_data = 1 (arXiv 2206.00364, Table 1).

    Args:
        network: maps (x_t [batch, ...], time [batch]) to v [batch, ...].
        data: x_0, [batch, ...].
        schedule: the forward process to train on.
        generator: of levels and noise.
        log_mean: mean of log s.
        log_std: its standard deviation.
    """
    draw = torch.randn(len(data), generator=generator, dtype=torch.float64)
    levels = (log_mean + log_std * draw).exp().clamp(schedule.lowest, schedule.highest)
    noise = torch.randn(data.shape, generator=generator).to(data)
    shape = (-1,) + (1,) * (data.ndim - 1)
    alpha = schedule.alpha(levels).view(shape).to(data)
    sigma = schedule.sigma(levels).view(shape).to(data)
    predicted = network(alpha * data + sigma * noise, schedule.time(levels).to(data))
    return (predicted.float() - (alpha * noise - sigma * data)).square().mean()
