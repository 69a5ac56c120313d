"""Experts with a memory: when the loop tells them to forget, remember and reorder, and what their runs are then."""

import pytest
import torch

from superdiff_engine import Average, Correction, Euclidean, Guidance, Or, estimate_log_density, karras_levels, sample
from superdiff_engine.score import Remembering

LEVELS = karras_levels(12, 10.0, 0.05)


class Told:
    """A Gaussian around a mean that moves by `pull` times what it denoised to at the level before."""

    title, dtype = "told", torch.float64

    def __init__(self, mean=1.0, pull=0.3, variance=1.0):
        self.mean, self.pull, self.variance, self.space = mean, pull, variance, Euclidean((2,))
        self.previous, self.latest, self.log = None, None, []

    def score(self, y, level):
        self.log.append(("score", level, None if self.previous is None else self.previous.clone()))
        shift = 0 if self.previous is None else self.pull * self.previous
        score = -(y - self.mean - shift) / (self.variance + level**2)
        self.latest = (y + level**2 * score).detach()
        return score

    def forget(self):
        self.log.append(("forget",))
        self.previous = self.latest = None

    def remember(self):
        self.log.append(("remember",))
        self.previous = self.latest

    def reorder(self, parents):
        self.log.append(("reorder", parents.tolist()))
        self.previous = self.previous[parents]


def run(experts, operator=None, **told):
    return list(sample(experts, operator or Or(), LEVELS, batch=8, seed=3, **told))


def calls(expert, what):
    return [entry for entry in expert.log if entry[0] == what]


def test_a_memory_lasts_for_a_run_and_two_runs_are_alike():
    experts = [Told(1.0), Told(-1.0)]
    assert all(isinstance(expert, Remembering) for expert in experts)
    first, second = run(experts)[-1], run(experts)[-1]
    assert torch.equal(first.samples, second.samples) and torch.equal(first.log_density, second.log_density)
    fresh = run([Told(1.0), Told(-1.0)])[-1]
    assert torch.equal(first.samples, fresh.samples)
    assert not torch.equal(run([Told(1.0, 0.0), Told(-1.0, 0.0)])[-1].samples, first.samples)
    log = experts[0].log
    assert [entry[0] for entry in log] == (["forget"] + ["score", "remember"] * len(LEVELS)) * 2
    # What a level is told is what was said at the level before.
    asked = calls(experts[0], "score")[: len(LEVELS)]
    assert asked[0][2] is None and all(entry[2] is not None for entry in asked[1:])


def test_an_expert_that_is_no_remembering_one_needs_none_of_it():
    class Plain:
        title, dtype, space = "plain", torch.float64, Euclidean((2,))

        def score(self, y, level):
            return -y / (1 + level**2)

    assert not isinstance(Plain(), Remembering)
    assert run([Plain()])[-1].samples.isfinite().all()


@pytest.mark.parametrize(
    ("told", "evaluations"),
    [({"solver": "ode_heun", "estimator": "hutchinson"}, 2), ({"solver": "euler", "estimator": "hutchinson"}, 1)],
)
def test_a_second_evaluation_is_told_the_same_and_is_not_remembered(told, evaluations):
    """Heun's correction, and divergences, which are taken of one evaluation."""
    expert = Told()
    run([expert], **told)
    assert len(calls(expert, "remember")) == len(LEVELS)
    steps = len(LEVELS) - 1
    asked = calls(expert, "score")
    assert len(asked) == len(LEVELS) + (evaluations - 1) * steps
    if evaluations == 2:  # the correction at the next level is told what its step's beginning said
        pairs = [entry for entry in asked if entry[2] is not None]
        at = {level: [told for _, where, told in pairs if where == level] for level in LEVELS[1:].tolist()}
        assert all(len(found) == 2 and torch.equal(*found) for found in at.values())


def test_an_expert_that_is_never_asked_remembers_nothing_and_a_reference_does():
    quiet, heard, reference = Told(), Told(), Told(0.0)
    from superdiff_engine import Single

    run([heard, quiet], Single(0), estimator="none", guidance=Guidance(reference, 2.0))
    assert quiet.log == []
    assert len(calls(reference, "remember")) == len(calls(heard, "remember")) == len(LEVELS)


def test_resampled_particles_take_their_memory_along():
    """A correction that resamples at every level: each particle goes on with the memory of its parent."""
    experts = [Told(2.0), Told(-2.0, variance=0.2)]
    steps = run(experts, Average(), correction=Correction(threshold=1.0))
    parents = [step.parents.tolist() for step in steps if step.parents is not None]
    assert parents and any(places != sorted(set(places)) for places in parents)
    assert [entry[1] for entry in calls(experts[0], "reorder")] == parents
    # The memory that the next level is told belongs to the samples as they stand: it is their own denoised mean.
    for number, step in enumerate(steps[1:-1], start=1):
        told = calls(experts[0], "score")[number + 1][2]
        before = calls(experts[0], "score")[number][2]
        moved = before if step.parents is None else before[step.parents]
        s2 = step.level**2
        own = step.samples - s2 / (1 + s2) * (step.samples - 2.0 - 0.3 * moved)
        torch.testing.assert_close(told, own)


def test_given_samples_are_judged_without_a_memory():
    """The density of the expert without one, which is a Gaussian that is known."""
    expert = Told()
    run([expert])
    points = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = estimate_log_density([expert], points, karras_levels(80, 30.0, 0.05), paths=8)
    exact = -0.5 * (points - 1).square().sum(1) / 1.0025 - torch.log(torch.tensor(2 * torch.pi * 1.0025))
    assert (found.mean[0] - exact).abs().max() < 4 * found.error.max()
    assert not calls(expert, "score")[-1][2]
