"""Figures and their errors, against the bootstrap, the binomial distribution and exact densities."""

import ast
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plane_recipes import plane

import superdiff_engine
from superdiff_engine.domains import domains, get_domain
from superdiff_engine.measured import SHARE, Figure, Sampled, difference, expert_keys, wilson
from superdiff_engine.recipes.document import CorrectionRecipe
from superdiff_engine.runs.run import Run

RNG = np.random.default_rng(0)


def bootstrap(values, weights, units, draws=4000):
    """The spread of the weighted mean when whole units are drawn anew."""
    labels = np.unique(units)
    tops = np.array([(values * weights)[units == one].sum() for one in labels])
    below = np.array([weights[units == one].sum() for one in labels])
    chosen = RNG.integers(0, len(labels), (draws, len(labels)))
    return (tops[chosen].sum(1) / below[chosen].sum(1)).std()


def test_the_error_of_equal_weights_is_the_standard_error():
    values = RNG.normal(size=50)
    mean, error = Sampled(50).mean(values)
    assert mean == pytest.approx(values.mean()) and error == pytest.approx(values.std(ddof=1) / math.sqrt(50))
    among = RNG.random(50) < 0.4
    mean, error = Sampled(50).mean(values, among)
    part = values[among]
    assert mean == pytest.approx(part.mean()) and error == pytest.approx(part.std(ddof=1) / math.sqrt(len(part)))
    # What is not meant may not be known at all.
    assert Sampled(50).mean(np.where(among, values, np.nan), among)[0] == pytest.approx(part.mean())
    assert math.isnan(Sampled(50).mean(values, np.zeros(50, bool))[0])


@pytest.mark.parametrize("group", [1, 8])
def test_the_error_of_weights_is_the_bootstraps(group):
    """Of groups of particles too, which share what one of them has."""
    count = 400
    units = np.arange(count) // group
    values = RNG.normal(size=count) + np.repeat(RNG.normal(size=count // group), group)
    raw = RNG.exponential(size=count).reshape(-1, group)
    weights = raw / raw.sum(1, keepdims=True) if group > 1 else raw
    weights = (weights / weights.sum()).ravel()
    mean, error = Sampled(count, weights, group).mean(values)
    assert mean == pytest.approx(values @ weights)
    assert error == pytest.approx(bootstrap(values, weights, units), rel=0.1)
    holds = values > 0.3
    share, error = Sampled(count, weights, group).share(holds)
    assert share == pytest.approx(holds @ weights)
    assert error == pytest.approx(bootstrap(holds.astype(float), weights, units), rel=0.1)


def test_one_group_has_the_error_of_its_particles():
    weights = RNG.exponential(size=300)
    weights /= weights.sum()
    values = RNG.normal(size=300)
    _, error = Sampled(300, weights, 300).mean(values)
    assert error == pytest.approx(bootstrap(values, weights, np.arange(300)), rel=0.15)
    assert Sampled(300, weights, 300).effective() == pytest.approx(1 / np.square(weights).sum())


def test_what_next_to_nothing_counts_for_is_not_known_to_the_last_digit():
    weights = np.r_[np.full(20, 1.0), np.full(20, 1e-12)]
    share, error = Sampled(40, weights / weights.sum(), 40).share(np.arange(40) >= 20)
    assert share < 1e-11 and error == pytest.approx(wilson(0, 20), rel=1e-3)


@pytest.mark.parametrize(("share", "count"), [(0.0, 8), (0.3, 20), (0.5, 400), (1.0, 64)])
def test_a_share_has_wilsons_error(share, count):
    """Half of the interval whose ends p solve |share - p| = sqrt(p (1 - p) / n)."""
    ends = [
        (share * count + 0.5 + sign * math.sqrt(share * (1 - share) * count + 0.25)) / (count + 1) for sign in (-1, 1)
    ]
    for end in ends:
        assert abs(share - end) == pytest.approx(math.sqrt(end * (1 - end) / count), abs=1e-9)
    holds = np.arange(count) < round(share * count)
    found, error = Sampled(count).share(holds)
    assert found == pytest.approx(share) and error == pytest.approx((ends[1] - ends[0]) / 2)
    if count > 300:
        assert error == pytest.approx(np.random.default_rng(1).binomial(count, share, 20_000).std() / count, rel=0.03)
    assert wilson(share, count) > 0


def test_figures_in_words():
    def text(value, error=None, unit=""):
        return Figure(name="a", title="a", value=value, error=error, unit=unit).text()

    assert text(0.62345, 0.0321, SHARE) == "62.3 ± 3.2" and text(-3.14159, 0.02) == "−3.142 ± 0.020"
    assert text(1234.5, 21) == "1234 ± 21" and text(0.5) == "0.5" and text(math.nan) == "–"
    assert text(12345.6) == "12346" and text(0.0, 0.001) == "0.0000 ± 0.0010"
    one, other = (Figure(name="a", title="a", value=value, error=error) for value, error in ((3, 0.3), (1, 0.4)))
    assert difference(one, other).value == 2 and difference(one, other).error == pytest.approx(0.5)
    assert expert_keys(["cat", "dog", "cat"]) == ["cat", "dog", "cat #3"]


def figures(**fields):
    result = Run(plane(**fields)).execute()
    return result, {one.name: one for one in get_domain("plane").figures(result)}


def test_samples_of_one_mixture_lie_within_its_modes():
    """1 - exp(-2) of a Gaussian lies within two standard deviations of its middle; its log-density is its entropy."""
    mixture = {"means": [[-3, 0], [3, 0]], "variances": [0.1, 0.1]}
    recipe = plane(experts=[{"model": "custom", "mixture": mixture}], operator={"name": "average"}, batch=2)
    made, expert = Run(recipe).execute(), get_domain("plane").load(recipe.experts[0], "cpu", "float32")
    y = expert.sample(4000, 0, made.level)
    log_density = expert.log_density(y, made.level).numpy()[None]
    result = replace(made, samples={"x": y.numpy()}, log_density=log_density, weights=np.ones((1, 4000)))
    found = {one.name: one for one in get_domain("plane").figures(result)}
    share = found["within/custom"]
    assert share.value == pytest.approx(1 - math.exp(-2), abs=4 * share.error) and share.error < 0.01
    assert found["modes/custom"].value == 1 and "within_all" not in found and "weight/custom" not in found
    expected = -(1 + math.log(2 * math.pi * (0.1 + result.level**2))) - math.log(2)
    density = found[f"log_density/custom@{result.level:.3g}"]
    assert density.value == pytest.approx(expected, abs=4 * density.error) and density.unit == "nats"


def test_what_a_page_says_is_read_off_the_figures():
    result, found = figures(batch=64, levels={"steps": 20})
    domain = get_domain("plane")
    said = domain.describe(result)
    assert said == domain.describe(result, domain.figures(result))
    gap = np.abs(result.log_density[0] - result.log_density[1])
    assert found["gap@0.02"].value == pytest.approx(gap.mean())
    assert found["gap@0.02"].error == pytest.approx(gap.std(ddof=1) / 8)
    weights = [one.value for name, one in found.items() if name.startswith("weight/")]
    assert len(weights) == 2 and sum(weights) == pytest.approx(1)
    assert len({one.name for one in found.values()}) == len(found)


def test_figures_of_a_corrected_run_are_weighted():
    result, _ = figures(batch=64, levels={"steps": 20})
    importance = RNG.exponential(size=64)
    importance /= importance.sum()
    recipe = result.recipe.model_copy(update={"correction": CorrectionRecipe()})
    weighted = replace(result, recipe=recipe, importance=importance)
    found = {one.name: one for one in get_domain("plane").figures(weighted)}
    gap = np.abs(result.log_density[0] - result.log_density[1])
    assert found["gap@0.02"].value == pytest.approx(gap @ importance)
    assert found["effective_size"].value == pytest.approx(1 / np.square(importance).sum() / 64)


def test_every_domain_has_figures():
    for domain in domains().values():
        assert callable(domain.figures) and callable(domain.measured)


def test_every_figure_says_what_it_is():
    """Where figures are made: in the domains, and in what all of them have."""
    engine, seen = Path(superdiff_engine.__file__).parent, 0
    for path in (engine / "domain.py", engine / "result.py", *(engine / "domains").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Figure":
                seen += 1
                given = {keyword.arg for keyword in node.keywords}
                assert given & {"meaning", None}, f"{path.name}, line {node.lineno}"
    assert seen > 12
    for one in get_domain("plane").figures(Run(plane(batch=4)).execute()):
        assert one.meaning.endswith("."), one
