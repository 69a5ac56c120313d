"""One trainer for every embedded model: a budget in minutes, bf16 autocast where it is fast, EMA, checkpoints, resume.

A *task* knows its network, its data and its loss; the trainer knows time and the device. What a step leaves to chance
is *drawn* on the CPU from one seeded generator, whatever device computes: a task's `draw` decides, its `loss` computes.

    drawn = task.draw(generator)        numbers and rows, on the CPU
    loss  = task.loss(drawn)            of the data and the drawn numbers, all on the task's device

So the device never changes what is learned, and a step reads nothing back: on a GPU its numbers are sent while the
step before is still being computed, and the whole step (loss, gradients, clipping, AdamW) is one CUDA graph for each
set of shapes that a task draws.

The learning rate warms up, stays, and decays to zero over the last part of the budget, whatever number of steps the
machine makes of it. The best weights for sampling are the exponential moving average (EMA), which is what a task saves
at the end.
"""

from __future__ import annotations

import io
import os
import platform
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from ..noise import Schedule
from ..system.devices import half_dtype
from ..system.files import write_whole
from ..system.interrupts import Interrupted, asked, on_signal

#: What a step leaves to chance, by name, on the CPU: numbers, rows of the data. Shapes may differ from step to step.
Draws = dict[str, Tensor]
#: Steps by themselves that a GPU makes of each set of shapes before it captures one: lazy initialisations are over.
STEPS_BEFORE_CAPTURE = 3
#: A GPU is waited for after so many steps, so that the clock tells what is done and not what is asked for.
STEPS_AHEAD = 10


def checkpoints_folder() -> Path:
    """Where trainings keep their checkpoints: the user's cache, which outlives a checkout."""
    return Path.home() / ".cache" / "superdiff" / "checkpoints"


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


def learning_rate_factor(step: int, spent: float, plan: TrainingPlan) -> float:
    """Linear warm-up in steps, then constant, then a linear decay in time over the last `decay_fraction`."""
    warm = min(1.0, (step + 1) / max(1, plan.warmup_steps))
    return warm * min(1.0, max(0.0, (1 - spent / plan.minutes) / plan.decay_fraction))


class _Stepper:
    """Steps of AdamW with a clipped gradient, one after another.

    Args:
        task: whose network and data are on the device already.
        plan: how to train.
        device: of the task.
    """

    def __init__(self, task: TrainingTask, plan: TrainingPlan, device: str) -> None:
        self.task, self.plan, self.device = task, plan, device
        self.half = half_dtype(device, plan.float16)
        self.network = task.network
        self.rate = self._first_rate()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), self.rate, **self._adam())
        self.scaler = torch.amp.GradScaler(
            torch.device(device).type, init_scale=4096.0, growth_interval=1000, enabled=self.half is torch.float16
        )
        #: The sum of the losses since it was last asked for.
        self._total = torch.zeros((), device=device, dtype=torch.float64)
        self._count = 0

    def _first_rate(self) -> float | Tensor:
        return self.plan.learning_rate

    def _adam(self) -> dict[str, Any]:
        return {"betas": (0.9, 0.99), "weight_decay": self.plan.weight_decay, "fused": True}

    def step(self, drawn: Draws, factor: float) -> None:
        """One step at `factor` times the plan's learning rate."""
        self._set_rate(self.plan.learning_rate * factor)
        self._advance(drawn)
        self._count += 1

    def _set_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _advance(self, drawn: Draws) -> None:
        self._plain({name: value.to(self.device) for name, value in drawn.items()})

    def _plain(self, drawn: Draws) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self._compute(drawn, cached=True)

    def _compute(self, drawn: Draws, cached: bool) -> None:
        """Loss, gradient and step; nothing in here waits for a GPU."""
        kind = torch.device(self.device).type
        with torch.autocast(kind, self.half, enabled=self.half is not None, cache_enabled=cached):
            loss = self.task.loss(drawn)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.gradient_norm)
        self.scaler.step(self.optimizer)  # not where float16 overflowed
        self.scaler.update()
        self._total += loss.detach()

    def mean_loss(self) -> float:
        """The mean loss of the steps since this was last asked; waits for them."""
        mean = float(self._total) / max(1, self._count)
        self._total.zero_()
        self._count = 0
        return mean

    def load(self, optimizer: dict, scaler: dict | None) -> None:
        """Take up what a checkpoint, of whatever device, knows of the optimizer."""
        self.optimizer.load_state_dict(optimizer)
        self.optimizer.param_groups[0].update({"lr": self.rate, **self._adam()})
        self.scaler.load_state_dict(scaler or self.scaler.state_dict())


class _GraphStepper(_Stepper):
    """The same steps on a GPU, each a replay of one CUDA graph for its shapes.

    The graphs share their memory: none of them leaves anything there but gradients, which the next one makes anew.
    """

    def __init__(self, task: TrainingTask, plan: TrainingPlan, device: str) -> None:
        super().__init__(task, plan, device)
        self._seen: dict[tuple, int] = {}
        self._graphs: dict[tuple, tuple[torch.cuda.CUDAGraph, Draws]] = {}
        self._side, self._pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()
        self._steps = 0

    def _first_rate(self) -> Tensor:
        return torch.tensor(self.plan.learning_rate, device=self.device)  # read by the graph at every replay

    def _adam(self) -> dict[str, Any]:
        return {**super()._adam(), "capturable": True}

    def _set_rate(self, rate: float) -> None:
        torch.as_tensor(self.rate).fill_(rate)

    def _advance(self, drawn: Draws) -> None:
        shapes = tuple((name, tuple(value.shape)) for name, value in sorted(drawn.items()))
        if shapes not in self._graphs:
            self._seen[shapes] = self._seen.get(shapes, 0) + 1
            if self._seen[shapes] <= STEPS_BEFORE_CAPTURE:
                self._side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(self._side):
                    super()._advance(drawn)
                torch.cuda.current_stream().wait_stream(self._side)
                return
            self._graphs[shapes] = self._captured(drawn)
        graph, given = self._graphs[shapes]
        for name, value in drawn.items():
            given[name].copy_(value.pin_memory(), non_blocking=True)
        graph.replay()
        self._steps += 1
        if self._steps % STEPS_AHEAD == 0:
            torch.cuda.current_stream().synchronize()

    def _captured(self, drawn: Draws) -> tuple[torch.cuda.CUDAGraph, Draws]:
        given = {name: value.to(self.device) for name, value in drawn.items()}
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            self._compute(given, cached=False)
        return graph, given


def make_stepper(task: TrainingTask, plan: TrainingPlan, device: str) -> _Stepper:
    """Moves a task to a device, and gives what makes its steps there."""
    task.to(device)
    return (_GraphStepper if torch.device(device).type == "cuda" else _Stepper)(task, plan, device)


class _Average:
    """The exponential moving average of a network's weights, and of its buffers."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}
        current = network.state_dict()  # the very tensors that a step changes in place
        moving = [name for name, value in current.items() if value.is_floating_point()]
        self._current = [current[name] for name in moving]
        self._moving = [self.state[name] for name in moving]
        self._copied = [(self.state[name], value) for name, value in current.items() if name not in moving]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow step number `step` (from 0); a short horizon at first, so that the start is not dragged along."""
        torch._foreach_lerp_(self._moving, self._current, 1 - min(self.decay, (1 + step) / (10 + step)))
        for kept, current in self._copied:
            kept.copy_(current)

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from a checkpoint's."""
        for name, value in state.items():
            self.state[name].copy_(value)


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
        task: what to learn; it is moved to the device and, at the end, back to the CPU.
        plan: how long and how.
        checkpoint: a file, written now and then and at the end; one device can go on with another's.
        report: called about every ten seconds.
        device: to train on, such as "cpu" or "cuda".
        begin: where the training of the task's weights stands, if they are not new.

    Returns:
        The network with its EMA weights, on the CPU, and the progress at the end.

    Raises:
        RuntimeError: if the loss stops being finite.
        OutputError: if the checkpoint cannot be written.
        Interrupted: if a signal asked this process to stop, after the checkpoint was written.
    """
    network = task.network
    stepper = make_stepper(task, plan, device)
    average = _Average(network, plan.ema_decay)
    generator = torch.Generator().manual_seed(plan.seed)
    progress = TrainingProgress() if begin is None else begin
    if checkpoint.is_file():
        stored = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(stored["network"])
        stepper.load(stored["optimizer"], stored.get("scaler"))
        average.load(stored["ema"])
        generator.set_state(stored["generator"].cpu())
        progress = TrainingProgress(**stored["progress"])

    seen = progress.step

    def look(since: float) -> None:
        """Wait for the steps that were asked for, and see what became of them in the seconds `since` the last look."""
        nonlocal seen
        progress.loss = stepper.mean_loss()
        if not abs(progress.loss) < float("inf"):
            raise RuntimeError(
                f"The loss became {progress.loss} by step {progress.step}: lower the learning rate and resume."
            )
        progress.pace = (progress.step - seen) * task.batch / max(since, 1e-9)
        progress.losses.append((progress.step, progress.loss))
        seen = progress.step
        report(progress)

    def save() -> None:
        state = {
            "network": network.state_dict(),
            "optimizer": stepper.optimizer.state_dict(),
            "scaler": stepper.scaler.state_dict(),
            "ema": average.state,
            "generator": generator.get_state(),
            "progress": asdict(progress),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        write_whole(checkpoint, buffer.getvalue())

    network.train()
    started, already = time.monotonic(), progress.minutes
    looked = saved = started
    with on_signal(lambda: None):  # the step at hand is finished, and all steps are kept
        while progress.minutes < plan.minutes and asked() is None:
            factor = learning_rate_factor(progress.step - progress.fresh, progress.minutes, plan)
            stepper.step(task.draw(generator), factor)
            average.update(progress.step)
            progress.step += 1
            now = time.monotonic()
            progress.minutes = already + (now - started) / 60
            due = now - saved > plan.checkpoint_minutes * 60
            if due or now - looked > 10:
                look(now - looked)
                looked = now
            if due:
                save()
                saved = now
        if progress.step > seen:
            look(time.monotonic() - looked)
        save()
    if asked() is not None:
        raise Interrupted
    network.load_state_dict(average.state)
    task.to("cpu")
    return network.eval(), progress


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
