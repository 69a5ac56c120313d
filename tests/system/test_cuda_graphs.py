"""CUDA graphs: left out with a note where there is no CUDA; recorded and played by a stand-in of CUDA."""

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import pytest
import torch
from plane_recipes import plane

from superdiff_engine.runs.run import Run
from superdiff_engine.system import cuda_graphs as module
from superdiff_engine.system.cuda_graphs import MOST_GRAPHS, WARM_UP, Graphed, cuda_graphs


def test_a_run_without_cuda_says_so_and_has_the_same_samples():
    plain, asked = Run(plane(levels={"steps": 3}, batch=4)), Run(plane(levels={"steps": 3}, batch=4, cuda_graphs=True))
    assert (plain.execute().samples["x"] == asked.execute().samples["x"]).all()
    assert any("CUDA graphs are for CUDA devices" in note for note in asked.notes) and not plain.notes


class Recording:
    """What torch.cuda records: here a call, which is made again, and its answer written where the first lies."""

    def __init__(self):
        self.played = 0

    def replay(self):
        self.played += 1
        answer = self.call()
        self.found.sum.copy_(answer.sum)
        self.found.parts[0].copy_(answer.parts[0])


@dataclass(frozen=True)
class Answer:
    sum: torch.Tensor
    parts: list[torch.Tensor]


@pytest.fixture
def stand_in(monkeypatch):
    """Tensors of the CPU pass for CUDA's; recording is a call that is repeated."""
    graphs = []

    @contextmanager
    def graph(recording):
        graphs.append(recording)
        yield

    class Stream:
        def wait_stream(self, other):
            pass

    class Device:
        type = "cuda"

        def __repr__(self):
            return "cuda"

    class There(torch.Tensor):
        device = Device()

    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Recording)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    record = Graphed._record

    def recorded(self, leaves, structure):
        found = record(self, leaves, structure)
        arguments, named = module.tree_unflatten([*found.given, *leaves[len(found.given) :]], structure)
        found.graph.call = lambda: self._forward(*arguments, **named)
        found.graph.found = found.found
        return found

    monkeypatch.setattr(Graphed, "_record", recorded)
    return graphs, lambda values: torch.tensor(values).as_subclass(There)


@torch.no_grad()
def test_a_network_is_recorded_once_a_shape_and_answers_keep_their_numbers(stand_in):
    graphs, there = stand_in
    calls = []

    def forward(x, scale):
        calls.append(len(x))
        return Answer(x + scale, [x * scale])

    graphed = Graphed(forward)
    first = graphed(there([1.0, 2.0]), 3.0)
    second = graphed(there([5.0, 6.0]), 3.0)
    assert first.parts[0].tolist() == [3.0, 6.0] and first.sum.tolist() == [4.0, 5.0]  # though others were played since
    assert second.parts[0].tolist() == [15.0, 18.0]
    assert len(graphs) == 1 and graphs[0].played == 2
    assert graphed(there([1.0]), 3.0).sum.tolist() == [4.0] and graphed(there([1.0]), 4.0).sum.tolist() == [5.0]
    assert len(graphs) == 3
    for size in range(5, 9):
        assert len(graphed(there([1.0] * size), 1.0).sum) == size
    assert len(graphs) == MOST_GRAPHS and len(calls) > WARM_UP
    with torch.enable_grad():  # divergences differentiate the network
        graphed(there([1.0, 2.0]), 3.0)
    assert graphs[0].played == 2


@torch.no_grad()
def test_what_cannot_be_recorded_runs_without_and_says_why(stand_in, monkeypatch):
    _, there = stand_in
    network = torch.nn.Identity()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: (_ for _ in ()).throw(RuntimeError("operation not permitted")))
    with cuda_graphs([network, network], "cuda") as notes:
        assert network(there([1.0])).tolist() == [1.0] and not notes
    assert len(notes) == 1 and "operation not permitted" in notes[0]
    assert "forward" not in vars(network) and network(torch.ones(1)).item() == 1
