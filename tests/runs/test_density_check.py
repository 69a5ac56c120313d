"""The fit of a run's log-densities: against exact densities of the plane, planted errors, and SciPy."""

import dataclasses
from itertools import combinations

import numpy as np
import pytest
import torch
from plane_recipes import plane
from scipy.stats import spearmanr

from superdiff_engine import Likelihoods
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.geometry import Euclidean
from superdiff_engine.runs.density_check import Checking, check_densities, compare_densities, rank_correlation
from superdiff_engine.runs.run import Run

EXPERTS = [{"model": "rows_upper"}, {"model": "rows_lower"}, {"model": "petal_a"}]


def likelihoods(paths):
    paths = torch.as_tensor(paths, dtype=torch.float64)
    return Likelihoods(paths.mean(0), torch.zeros_like(paths[0]), paths)  # the errors play no part


@pytest.fixture(scope="module")
def run():
    """A run of three experts with enough steps for its log-densities, and the exact ones of its samples."""
    recipe = plane(experts=EXPERTS, operator={"name": "average"}, levels={"steps": 200}, batch=256)
    result = Run(recipe, previews=False).execute()
    experts = get_domain("plane").prepare(recipe, "cpu").experts
    points = torch.from_numpy(result.samples["x"])
    return result, torch.stack([expert.log_density(points, result.level) for expert in experts]).numpy()


@pytest.fixture(scope="module")
def check(run):
    return check_densities(run[0])


def test_tracked_fresh_and_exact_agree(run, check):
    """What the check says of the tracked log q is what the exact densities say of it."""
    result, exact = run
    assert (check.level, check.samples, check.left_out, check.paths) == (result.level, 256, 0, 4)
    assert [fit.experts for fit in check.differences] == list(combinations(range(3), 2))
    wrong = result.log_density - exact
    for fit in [*check.experts, *check.differences]:
        truth = wrong[fit.experts[0]] - (wrong[fit.experts[1]] if len(fit.experts) > 1 else 0)
        assert abs(fit.bias - truth.mean()) < 4 * fit.bias_error
        assert abs(fit.bias) < 0.3 and fit.rank_correlation > 0.8
        assert abs(fit.spread - truth.std()) < 0.25
    assert np.abs(check.fresh - exact).mean() < 1


def test_a_planted_error_is_found(run, check):
    """5 nats and a scatter of half a nat on one expert's exact log-densities."""
    result, exact = run
    planted = exact.copy()
    planted[0] += 5 + 0.5 * np.random.default_rng(0).standard_normal(256)
    fresh = likelihoods(exact + 0.8 * np.random.default_rng(1).standard_normal((4, *exact.shape)))
    found = compare_densities(planted, fresh, result.level)
    first, second = found.experts[0], found.experts[1]
    assert first.bias == pytest.approx(5, abs=0.15) and abs(first.bias - 5) < 4 * first.bias_error
    assert first.spread == pytest.approx(0.5, abs=0.1) and first.noise == pytest.approx(0.4, abs=0.02)
    assert abs(second.bias) < 0.1 and second.spread < 0.2
    pair = found.differences[0]
    assert pair.bias == pytest.approx(5, abs=0.2) and pair.spread == pytest.approx(0.5, abs=0.15)
    # And through the whole check of a run: what its own log q had of error, and 5 nats.
    moved = result.log_density.copy()
    moved[0] += 5
    again = check_densities(dataclasses.replace(result, log_density=moved), steps=40, most=64)
    assert again.samples == 64 and again.left_out == 192
    assert again.experts[0].bias == pytest.approx(5, abs=0.6) and "too high" in again.sentences[1]


def test_ranks_are_scipys():
    values = np.random.default_rng(3)
    for first, second in [
        values.standard_normal((2, 40)),
        values.integers(0, 5, (2, 40)).astype(float),
        (np.arange(9.0), np.arange(9.0) ** 3),
    ]:
        assert rank_correlation(first, second) == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


def test_few_samples_and_one_path_say_what_they_do_not_know():
    values = np.arange(6.0).reshape(2, 3)
    noisy = likelihoods(values + np.random.default_rng(0).standard_normal((4, 2, 3)))
    for count in (1, 2, 3):
        part = Likelihoods(noisy.mean[:, :count], noisy.error[:, :count], noisy.paths[:, :, :count])
        found = compare_densities(values[:, :count], part, 0.1)
        assert np.isnan(found.experts[0].rank_correlation) == (count < 3) == ("at least 3" in found.sentences[-1])
        assert np.isnan(found.experts[0].spread) == np.isnan(found.experts[0].bias_error) == (count == 1)
        assert ("one sample" in found.sentences[1]) == (count == 1)
    alone = compare_densities(values, likelihoods(noisy.paths[:1]), 0.1)
    assert np.isnan(alone.experts[0].noise) and alone.experts[0].spread > 0


@pytest.mark.parametrize(
    ("moved", "scatter", "words"),
    [
        ((0, 0), 0.0, ["known to ±0.0", "or better", "shows no bias"]),
        ((12, 12), 2.0, ["known to ±2", "is 12 nats too high", "off by ±2"]),
        ((-12, -14), 0.0, ["log q of 1 less that of 2 is 2 nats too high", "is 12 to 14 nats too low"]),
        ((150, -3), 0.0, ["known to ±153 nats", "from 3 nats too low to 150 nats too high"]),
    ],
)
def test_what_it_means_is_said_in_plain_words(moved, scatter, words):
    numbers = np.random.default_rng(0)
    truth = 10 * numbers.standard_normal((2, 4000))
    noise = 0.1 * numbers.standard_normal((4, 2, 4000))
    tracked = truth + np.array(moved)[:, None] + np.array([[1.0], [0.0]]) * scatter * numbers.standard_normal(4000)
    found = " ".join(compare_densities(tracked, likelihoods(truth + noise), 0.1).sentences)
    assert all(word in found for word in words), found


def test_samples_that_are_not_finite_are_left_out(run):
    result, _ = run
    broken, lost = result.samples["x"].copy(), result.log_density.copy()
    broken[0], lost[1, 2] = np.nan, np.inf
    part = dataclasses.replace(result, samples={"x": broken}, log_density=lost)
    found = check_densities(part, steps=8, paths=2)
    assert (found.samples, found.left_out) == (254, 2) and "2 samples were left out." in found.sentences
    assert np.isfinite(found.tracked).all() and np.isfinite(found.fresh).all()
    with pytest.raises(SuperDiffError, match="None of the run's samples is finite"):
        check_densities(dataclasses.replace(result, samples={"x": broken * np.nan}), steps=8)


def test_a_run_without_log_densities_is_one_sentence(run):
    with pytest.raises(SuperDiffError, match=r"did not follow its log-densities"):
        check_densities(dataclasses.replace(run[0], log_density=np.zeros((3, 256))))


def test_a_run_that_was_cancelled_is_checked_where_it_stands():
    """At its last level; before its first step there is nothing to check, in one sentence."""
    for step in (0, 3):
        run = Run(plane(levels={"steps": 40}, batch=64), previews=False)
        result = run.execute(lambda made, run=run, step=step: run.cancel() if made.index == step else None)
        if step == 0:
            with pytest.raises(SuperDiffError, match="stopped before its first step"):
                check_densities(result)
        else:
            found = check_densities(result, steps=20)
            assert found.level == result.level > 5 and abs(found.experts[0].bias) < 0.5


def test_the_noise_is_not_the_runs(monkeypatch):
    """The same seed, and not one draw in common."""
    draws = []
    noise = Euclidean.noise

    def recorded(self, *arguments):
        draws.append(noise(self, *arguments))
        return draws[-1]

    monkeypatch.setattr(Euclidean, "noise", recorded)
    result = Run(plane(seed=7), previews=False).execute()
    of_run = {value for draw in draws for value in draw.flatten().tolist()}
    draws.clear()
    check_densities(result, steps=8, paths=2)
    assert draws and not of_run & {value for draw in draws for value in draw.flatten().tolist()}


def test_it_reports_and_can_be_cancelled():
    result, shares = Run(plane(), previews=False).execute(), []
    check_densities(result, steps=8, paths=2, report=shares.append)
    assert shares == sorted(shares) and len(shares) == 16 and shares[-1] == 1
    checking = Checking(result, steps=8)
    checking.execute(lambda share: checking.cancel())
    assert checking.state == "cancelled" and checking.check is None and checking.fraction < 1


@pytest.mark.parametrize(
    ("name", "models"), [("molecules", ["molecules_rings", "molecules_chains"]), ("proteins", ["proteins"])]
)
def test_samples_of_many_sizes_are_placed_as_the_run_had_them(name, models):
    """Some samples alone have the scores that they have among all: each keeps its number of atoms or residues."""
    experts = [{"model": model} for model in models]
    fields = {"domain": name, "experts": experts, "operator": {"name": "average"}, "levels": {"steps": 1}}
    recipe, rows = make_recipe(fields | {"batch": 4, "seed": 1}), [1, 3]
    result, domain = Run(recipe, previews=False).execute(), get_domain(name)
    state = {part: torch.from_numpy(value) for part, value in result.samples.items()}
    placed, some = domain.place_sampled(recipe, state, rows, "cpu")
    level = {part: float(grid[-1]) for part, grid in _levels(domain, result.level, state, placed).items()}
    for one, other in zip(domain.prepare(recipe, "cpu").experts, placed, strict=True):
        whole, alone = one.score(state, level), other.score(some, level)
        for part, values in alone.items():
            torch.testing.assert_close(values, whole[part][rows][:, : values.shape[1]], rtol=1e-4, atol=1e-4)


def _levels(domain, level, state, experts):
    """The grid of each component that ends at a level."""
    grids = domain.component_levels(torch.tensor([2 * level, level]), experts)
    return grids if isinstance(grids, dict) else dict.fromkeys(state, grids)


def test_a_check_leaves_out_one_protein():
    """Of several lengths, the longest one broken."""
    recipe = make_recipe({"domain": "proteins", "experts": [{"model": "proteins"}], "operator": {"name": "average"}})
    recipe = recipe.model_copy(update={"levels": recipe.levels.model_copy(update={"steps": 2}), "batch": 3, "seed": 1})
    result = Run(recipe, previews=False).execute()
    broken = {name: value.copy() for name, value in result.samples.items()}
    broken["positions"][int(np.argmax(result.decoded.residues))] = np.nan
    found = check_densities(dataclasses.replace(result, samples=broken), steps=4, paths=1)
    assert (found.samples, found.left_out, found.differences) == (2, 1, [])
