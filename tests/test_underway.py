"""A loop that is ahead of what it yields: nothing is read within a step, samples stay, errors name their step."""

import math
from collections import Counter
from typing import ClassVar

import pytest
import torch

from oracles import overlapping
from superdiff_engine import And, CoinFlip, DensityError, Or, ScoreError, StepError, karras_levels, sample, sampling
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.plane import GaussianMixture
from superdiff_engine.trace import Trace
from superdiff_engine.transfers import Reading
from superdiff_engine.walk import walk

LEVELS = karras_levels(12, 20.0, 0.02)
#: What makes a device's values known to the CPU.
READS = {
    "__bool__", "__contains__", "__float__", "__index__", "__int__", "allclose", "cpu", "equal", "is_nonzero", "item",
    "masked_select", "nonzero", "numpy", "tolist", "unique",
}  # fmt: skip


class Far(torch.Tensor):
    """A tensor of a device that is far away: what is computed from it is there as well, and each reading is counted."""

    found: ClassVar[Counter[str]] = Counter()

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        name = function.__name__
        masks = name == "__getitem__" and isinstance(args[1], torch.Tensor) and args[1].dtype == torch.bool
        if name in READS or masks:
            cls.found[name] += 1
        return super().__torch_function__(function, types, args, kwargs)


@pytest.fixture
def far(monkeypatch):
    """Samples and noise on a device of which every reading is counted, but those that are asked for early."""
    Far.found = Counter()
    values = Reading.values
    monkeypatch.setattr("superdiff_engine.geometry.sent", lambda values, device: values.as_subclass(Far))
    monkeypatch.setattr(sampling, "_ahead", lambda device, correction: 2)

    def read(self):
        self._flat = self._flat.as_subclass(torch.Tensor)
        return values(self)

    monkeypatch.setattr(Reading, "values", read)
    return Far.found


@pytest.mark.parametrize("name", ["plane", "pictures", "molecules", "proteins", "prompts"])
def test_nothing_is_read_from_the_device_within_a_step(name, far):
    domain = get_domain(name)
    recipe = next(iter(domain.examples().values())).model_dump(mode="json")
    recipe["levels"]["steps"], recipe["batch"], recipe["residues"] = 4, 2, 40 if name == "proteins" else None
    recipe = domain.resolve(make_recipe(recipe))
    trace = Trace(4, len(recipe.experts), 2)
    for step in walk(recipe, domain, domain.prepare(recipe, "cpu")):
        trace.append(step)
        whole = step.samples if isinstance(step.samples, dict) else {"": step.samples}
        assert all(isinstance(one, Far) for one in whole.values()) and not isinstance(step.log_density, Far)
    assert len(trace) == 5 and not far


@pytest.mark.parametrize(
    ("operator", "fields"),
    [
        (And(bias=[0.3, 0.0]), {}),
        (Or(bias=[0.3, 0.0]), {"solver": "euler", "estimator": "ito"}),
        (Or(), {"estimator": "hutchinson"}),
        (CoinFlip(), {"solver": "ode_heun", "estimator": "exact"}),
    ],
)
def test_these_runs_read_nothing_and_are_the_same_ahead_or_not(operator, fields, far):
    ahead = list(sample(overlapping(), operator, LEVELS, batch=16, **fields))
    assert not far
    for one, other in zip(ahead, sample(overlapping(), operator, LEVELS, batch=16, ahead=0, **fields), strict=True):
        assert one.index == other.index
        for name in ("samples", "denoised", "log_density", "weights"):
            assert torch.equal(getattr(one, name).as_subclass(torch.Tensor), getattr(other, name))
        assert torch.equal(one.component_weights[""], other.component_weights[""])


class Sick(GaussianMixture):
    """Wrong from one call on."""

    calls, since, factor = 0, 6, math.nan

    def score(self, y, level):
        self.calls += 1
        return super().score(y, level) * (self.factor if self.calls > self.since else 1)


def mixture(kind):
    return kind([[0.0, 0.0]], [1.0])


def until_it_breaks(experts, operator, ahead, **fields):
    seen = []
    with pytest.raises(StepError) as error:
        for step in sample(experts, operator, LEVELS, batch=4, ahead=ahead, **fields):
            seen.append(step.index)
    return seen, error.value


@pytest.mark.parametrize("ahead", [0, 1, 3, 40])
def test_what_is_late_still_names_expert_step_and_level(ahead):
    sick = mixture(Sick)
    seen, error = until_it_breaks([mixture(GaussianMixture), sick], Or(), ahead)
    assert isinstance(error, ScoreError) and seen == list(range(6))
    assert f"step 6, level {float(LEVELS[6]):.4g}" in str(error) and sick.title in str(error)
    assert (error.expert, error.index) == (1, 6)


@pytest.mark.parametrize("ahead", [0, 3])
def test_an_expert_that_fails_on_what_is_not_finite_does_not_hide_why(ahead):
    class Strict(GaussianMixture):
        def score(self, y, level):
            if not y.isfinite().all():
                raise ZeroDivisionError("this network cannot take NaN")
            return super().score(y, level)

    seen, error = until_it_breaks([mixture(Strict), mixture(Sick)], Or(), ahead)
    assert isinstance(error, ScoreError) and error.index == 6 and seen == list(range(6))


@pytest.mark.parametrize("ahead", [0, 3])
def test_an_error_of_its_own_comes_after_the_steps_before_it(ahead):
    class Broken(Sick):
        def score(self, y, level):
            if self.calls == 5:
                raise ZeroDivisionError("of its own")
            return super().score(y, level)

    seen = []
    with pytest.raises(ZeroDivisionError, match="of its own"):
        for step in sample([mixture(Broken)], Or(), LEVELS, batch=4, ahead=ahead):
            seen.append(step.index)
    assert seen == list(range(5))


@pytest.mark.parametrize("ahead", [0, 3])
def test_weights_that_explode_and_samples_that_run_away_are_late_too(ahead):
    alike = [mixture(GaussianMixture), mixture(GaussianMixture)]
    seen, error = until_it_breaks(alike, And(ridge=0.0), ahead)
    assert "explode at step" in str(error) and len(seen) == error.index
    wild = mixture(Sick)
    wild.factor, wild.since = -1e12, 2
    seen, error = until_it_breaks([wild], Or(), ahead)
    assert len(seen) == error.index > 2 and not isinstance(error, DensityError | ScoreError)


def test_numbers_drawn_on_the_device_are_a_noise_path_of_their_own():
    """On the CPU it is the same generator; a device has its own (run where there is one)."""
    run = {"operator": Or(), "levels": LEVELS, "batch": 8, "seed": 5}
    first, second = (list(sample(overlapping(), draws=draws, **run))[-1] for draws in ("cpu", "device"))
    assert torch.equal(first.samples, second.samples)
    with pytest.raises(ValueError, match="draws must be one of cpu, device"):
        sample(overlapping(), draws="gpu", **run)
