"""What a training step must not do on a GPU, seen without one: PyTorch's "meta" device, which has shapes and no numbers."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _OnlyMeta(TorchDispatchMode):
    """Every operation takes and gives tensors of the device "meta": none of the CPU comes in between."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, result)):
            if isinstance(value, torch.Tensor) and value.device.type != "meta":
                raise AssertionError(f"{function} works with a tensor {tuple(value.shape)} on {value.device}")
        return result


def step_on_meta(task, drawn):
    """Loss and gradients of a task with every tensor on "meta".

    Fails where something stayed on the CPU, and where a number would be read back (meta tensors have none): what would
    keep a CUDA graph from being captured. Returns the names of the parameters that have a gradient.
    """
    task.to("meta")
    given = {name: value.to("meta") for name, value in drawn.items()}
    with _OnlyMeta():
        task.loss(given).backward()
    return {name for name, value in task.network.named_parameters() if value.grad is not None}


def same_draws(task, seed=3):
    """Whether a task draws the same from the same seed; also that all of it is on the CPU."""
    first, second = (task.draw(torch.Generator().manual_seed(seed)) for _ in range(2))
    return first.keys() == second.keys() and all(
        value.device.type == "cpu" and torch.equal(value, second[name]) for name, value in first.items()
    )
