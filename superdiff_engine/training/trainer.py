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
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import TrainingError
from ..system.files import write_whole
from ..system.interrupts import Interrupted, asked, on_signal
from .steps import make_stepper
from .task import TrainingPlan, TrainingProgress, TrainingTask


def checkpoints_folder() -> Path:
    """Where trainings keep their checkpoints: the user's cache, which outlives a checkout."""
    return Path.home() / ".cache" / "superdiff" / "checkpoints"


def learning_rate_factor(step: int, spent: float, plan: TrainingPlan) -> float:
    """Linear warm-up in steps, then constant, then a linear decay in time over the last `decay_fraction`."""
    warm = min(1.0, (step + 1) / max(1, plan.warmup_steps))
    return warm * min(1.0, max(0.0, (1 - spent / plan.minutes) / plan.decay_fraction))


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
        TrainingError: if the loss stops being finite; the checkpoint stays as it was.
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
            raise TrainingError(checkpoint, progress.loss, progress.step)
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
