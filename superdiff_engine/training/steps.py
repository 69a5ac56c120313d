"""Steps of AdamW, one after another, and on a GPU as CUDA graphs: one graph a set of shapes that a task draws."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..system.devices import half_dtype
from .task import Draws, TrainingPlan, TrainingTask

#: Steps by themselves that a GPU makes of each set of shapes before it captures one: lazy initialisations are over.
STEPS_BEFORE_CAPTURE = 3
#: A GPU is waited for after so many steps, so that the clock tells what is done and not what is asked for.
STEPS_AHEAD = 10


class Stepper:
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


class GraphStepper(Stepper):
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


def make_stepper(task: TrainingTask, plan: TrainingPlan, device: str) -> Stepper:
    """Moves a task to a device, and gives what makes its steps there."""
    task.to(device)
    return (GraphStepper if torch.device(device).type == "cuda" else Stepper)(task, plan, device)
