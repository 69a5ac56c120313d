"""Networks called as one CUDA graph each: where many small kernels wait for the CPU to start them one by one.

A graph is recorded at a network's first call with tensors of given shapes, and played again with the contents of later
ones. What is recorded must not read values of the device; a network that does is called as it is, and a note says so.
Reference: https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

#: Shapes of which one network keeps graphs; each holds the memory of its call.
MOST_GRAPHS = 4
#: Calls before the recording, in which libraries choose their kernels.
WARM_UP = 3


@dataclass(frozen=True)
class _Recorded:
    graph: Any
    given: list[Tensor]
    found: Any


class Graphed:
    """A network's `forward` that plays graphs.

    Args:
        forward: what is recorded; it takes and gives tensors, in any structure.

    Attributes:
        problem: why it could not be recorded, in a sentence; "" as long as it could.
    """

    def __init__(self, forward: Callable[..., Any]) -> None:
        self._forward = forward
        self._recorded: dict[Any, _Recorded] = {}
        self.problem = ""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        leaves, structure = tree_flatten((arguments, named))
        given = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        on_device = bool(given) and all(tensor.device.type == "cuda" for tensor in given)
        if self.problem or not on_device or torch.is_grad_enabled():
            return self._forward(*arguments, **named)
        # Whatever else it is told, and how it computes, is part of what was recorded.
        told = [(leaf.shape, leaf.dtype, leaf.device) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        key = repr((structure, told, torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")))
        if key not in self._recorded:
            if len(self._recorded) >= MOST_GRAPHS:
                return self._forward(*arguments, **named)
            try:
                self._recorded[key] = self._record(leaves, structure)
            except RuntimeError as error:
                first = (str(error).strip().splitlines() or [type(error).__name__])[0]
                self.problem = f"A network could not be recorded as a CUDA graph ({first}); it ran without."
                return self._forward(*arguments, **named)
        recorded = self._recorded[key]
        for there, tensor in zip(recorded.given, given, strict=True):
            there.copy_(tensor)
        recorded.graph.replay()
        # The next call writes where this one's answer lies.
        return tree_map(_copied, recorded.found)

    def _record(self, leaves: Sequence[Any], structure: Any) -> _Recorded:
        own = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        arguments, named = tree_unflatten(own, structure)
        current, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self._forward(*arguments, **named)
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = self._forward(*arguments, **named)
        return _Recorded(graph, [leaf for leaf in own if isinstance(leaf, Tensor)], found)


def _copied(leaf: Any) -> Any:
    """A copy of a tensor, or of a dataclass of tensors; anything else as it is."""
    if isinstance(leaf, Tensor):
        return leaf.clone()
    if not is_dataclass(leaf) or isinstance(leaf, type):
        return leaf
    return replace(leaf, **{one.name: tree_map(_copied, getattr(leaf, one.name)) for one in fields(leaf)})


@contextmanager
def cuda_graphs(networks: Sequence[nn.Module], device: str) -> Iterator[list[str]]:
    """Have networks called as CUDA graphs in this block; the list holds, after it, what to know of that in sentences.

    Args:
        networks: that are called in the block, without gradients.
        device: where they are.
    """
    notes: list[str] = []
    if torch.device(device).type != "cuda":
        notes.append(f"CUDA graphs are for CUDA devices, and this run is on '{device}'; its networks ran without.")
        yield notes
        return
    if not networks:
        notes.append("The experts of this run have no network to record as a CUDA graph.")
    with ExitStack() as stack:
        graphed = [_replaced(network, stack) for network in networks if "forward" not in vars(network)]
        yield notes
        notes += dict.fromkeys(one.problem for one in graphed if one.problem)


def _replaced(network: nn.Module, stack: ExitStack) -> Graphed:
    """The network with a graphed `forward` of its own, until the stack closes."""
    graphed = Graphed(network.forward)
    network.forward = graphed
    stack.callback(delattr, network, "forward")
    return graphed
