"""Trainings elsewhere, seen from here: steps on PyTorch's "meta" device, which like a GPU is no CPU and reads no number
back, and Python without the libraries that a machine with a GPU may lack.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

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


def trained(trainings, name, **asked):
    """The folder that the training of one model writes, when these options are asked for."""
    return trainings[name].train(trainings[name].options(**asked))


def same_draws(task, seed=3):
    """Whether a task draws the same from the same seed; also that all of it is on the CPU."""
    first, second = (task.draw(torch.Generator().manual_seed(seed)) for _ in range(2))
    return first.keys() == second.keys() and all(
        value.device.type == "cpu" and torch.equal(value, second[name]) for name, value in first.items()
    )


#: What reads sources, draws pictures and shows pages: a machine that trains from a pack has none of it.
NOT_FOR_TRAINING = (
    "cairosvg", "gemmi", "pandas", "plotly", "pyarrow", "pydssp", "rdkit", "rich", "scipy", "streamlit", "tmtools",
    "typer",
)  # fmt: skip

_WITHOUT = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        absent = name.partition(".")[0] in {modules!r}
        return None if absent else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


def run_without(modules, code, home):
    """Run Python code in a process of its own that has none of some modules, and return what it printed.

    Args:
        modules: their top names, such as NOT_FOR_TRAINING.
        code: of a script; it may be indented.
        home: the home folder that it sees, where its checkpoints and caches go.
    """
    script = _WITHOUT.format(modules=tuple(modules)) + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2],
        env=os.environ | {"HOME": str(home)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
