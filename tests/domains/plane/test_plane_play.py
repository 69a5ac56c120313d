"""Direct play in the plane: against a whole run, torch's own mixtures, and lineages followed by hand."""

import numpy as np
import pytest
import torch
from torch import distributions

from studio.playground.sketch import MOST_SAMPLES, offered, recipe_of, sketch_of
from superdiff_engine.domains import domains, get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import RecipeError
from superdiff_engine.recipes.document import CorrectionRecipe, Mixture
from superdiff_engine.recipes.operators import OPERATORS, AndRecipe
from superdiff_engine.walk import walk

PLANE = get_domain("plane")
PLAYING = PLANE.playing
SMALL = {"batch": 60, "levels": {"steps": 24}}


def recipe(**more):
    return make_recipe(PLAYING.begin().model_dump(exclude_none=True) | SMALL | more)


def of_torch(mixture, level):
    """The same mixture with noise, by torch's distributions."""
    spread = (torch.tensor(mixture.variances, dtype=torch.float64) + level**2).sqrt()[:, None].expand(-1, 2)
    modes = distributions.Independent(distributions.Normal(torch.tensor(mixture.means, dtype=torch.float64), spread), 1)
    masses = torch.tensor(mixture.masses, dtype=torch.float64)
    return distributions.MixtureSameFamily(distributions.Categorical(masses), modes)


def test_only_the_plane_is_played_with():
    assert [name for name, domain in domains().items() if domain.playing is not None] == [PLAYING.domain] == ["plane"]


def test_what_is_played_is_the_run_itself_with_exact_densities():
    asked = recipe()
    played = PLAYING.play(asked, 9, 60)
    steps = list(walk(asked, PLANE, PLANE.prepare(asked, "cpu")))
    assert played.index[0] == 0 and played.index[-1] == 24 and len(played.index) == 9 and not played.problem
    for row, index in enumerate(played.index):
        step = steps[index]
        np.testing.assert_array_equal(played.positions[row], step.samples.numpy().astype(np.float32))
        np.testing.assert_allclose(played.log_density[row], step.log_density.mean(1), rtol=1e-12)
        np.testing.assert_allclose(played.weights[row], step.weights.mean(1), rtol=1e-12)
        exact = [of_torch(expert.mixture, step.level).log_prob(step.samples).mean() for expert in asked.experts]
        np.testing.assert_allclose(played.exact[row], exact, rtol=1e-9)
    final = steps[-1].weights.numpy()
    np.testing.assert_array_equal(played.owners[-1] >= 0, final.max(0) >= 0.75)
    assert played.counts is None and 0 < played.distance[1] < played.distance[0] < 1
    # OR at T = 1 aims at the mixture of both, whose highest point is at the narrowest, heaviest mode.
    row, column = np.unravel_index(played.target.argmax(), played.target.shape)
    top = np.linspace(-played.reach, played.reach, len(played.target))[[column, row]]
    np.testing.assert_allclose(top, [1.6, -0.4], atol=0.15)


def test_a_corrected_sample_brings_its_own_past_along():
    asked = recipe(operator={"name": "formula", "text": "1 and 2"}, correction={"threshold": 0.9})
    played = PLAYING.play(asked, 25, 60)
    steps = list(walk(asked, PLANE, PLANE.prepare(asked, "cpu")))
    assert any(step.parents is not None for step in steps)
    line = np.arange(60)
    for step in reversed(steps):
        np.testing.assert_array_equal(played.positions[step.index], step.samples.numpy()[line].astype(np.float32))
        line = line if step.parents is None else step.parents.numpy()[line]
    assert played.counts.sum() == pytest.approx(60)


def test_an_operator_without_a_target_says_so_and_a_run_that_breaks_off_keeps_what_it_had():
    played = PLAYING.play(recipe(operator={"name": "and"}), 9, 60)
    assert played.target is None and played.distance is None and played.untold == AndRecipe.no_target
    far = [{"model": "bar_lying"}, {"model": "petal_a"}]
    wild = PLAYING.drawn(recipe(operator={"name": "fixed", "weights": [100.0, -99.0]}, experts=far))
    broken = PLAYING.play(wild, 25, 60)
    assert "steps are too large" in broken.problem and broken.distance is None
    assert 0 < len(broken.index) == len(broken.positions) < 25


def test_what_takes_too_long_is_given_up():
    with pytest.raises(RecipeError, match="choose fewer samples"):
        PLAYING.play(recipe(), 9, -1.0)


def test_ready_mixtures_are_drawn_upon_and_other_domains_refused():
    for example in PLANE.examples().values():
        drawn = PLAYING.drawn(example)
        pairs = zip(PLANE.prepare(example, "cpu").experts, PLANE.prepare(drawn, "cpu").experts, strict=True)
        assert all(torch.equal(one.means, other.means) for one, other in pairs)
        assert make_recipe(drawn.model_dump(exclude_none=True)) == drawn
    with pytest.raises(RecipeError, match="another domain"):
        PLAYING.drawn(next(iter(get_domain("pictures").examples().values())))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_fit_finds_the_modes_that_points_come_from(seed):
    rng = np.random.default_rng(seed)
    centres, widths = np.array([[-2.0, 0.0], [1.0, 1.5], [1.5, -1.5]]), np.array([0.3, 0.5, 0.2])
    which = rng.choice(3, 900, p=[0.5, 0.3, 0.2])
    fitted = PLAYING.fit(centres[which] + widths[which, None] * rng.normal(size=(900, 2)), 8)
    assert len(fitted.means) == 3
    nearest = [np.linalg.norm(np.array(fitted.means) - centre, axis=1).argmin() for centre in centres]
    np.testing.assert_allclose(np.array(fitted.means)[nearest], centres, atol=0.12)
    # A fitted mode never gets narrower than a stroke; that adds to the variance.
    np.testing.assert_allclose(np.sqrt(np.array(fitted.variances)[nearest]), np.hypot(widths, 0.08), rtol=0.12)
    np.testing.assert_allclose(np.array(fitted.masses)[nearest] / sum(fitted.masses), [0.5, 0.3, 0.2], atol=0.05)


def test_a_fit_takes_what_a_hand_draws():
    dot = PLAYING.fit(np.tile([[1.0, 2.0]], (40, 1)), 8)
    assert dot.means == [[1.0, 2.0]] and isinstance(dot, Mixture)
    for points in (np.zeros((3, 2)), np.full((50, 2), np.nan), np.full((50, 2), 99.0)):
        with pytest.raises(RecipeError, match="too small"):
            PLAYING.fit(points, 8)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_sketch_is_a_recipe_and_back(name):
    document = {"name": name} | {"formula": {"text": "1 but not 2"}, "fixed": {"weights": [0.3, 0.7]}}.get(name, {})
    asked = recipe(operator=document)
    again = recipe_of(sketch_of(asked), "plane")
    assert again.operator == asked.operator and (again.batch, again.seed, again.levels) == (60, 0, asked.levels)
    for one, other in zip(again.experts, asked.experts, strict=True):
        np.testing.assert_allclose(one.mixture.means, other.mixture.means)
        np.testing.assert_allclose(one.mixture.variances, other.mixture.variances)
    told = next(one for one in offered()["operators"] if one["name"] == name)
    assert {one["field"] for one in told["parameters"]} == {one.field for one in OPERATORS[name].parameters}


def test_a_sketch_without_noise_has_an_estimator_that_fits():
    sketch = sketch_of(recipe())
    assert recipe_of(sketch | {"solver": "ode"}, "plane").estimator in PLANE.estimators_for("ode", 1.0, None)
    assert recipe_of(sketch | {"corrected": True}, "plane").correction == CorrectionRecipe()


def test_what_a_sketch_does_not_say_stays_as_it_was():
    levels = {"steps": 12, "highest": 10.0, "lowest": 0.05, "spacing": "log"}
    asked = recipe(noise_scale=0.5, estimator="exact", levels=levels)
    sketch = sketch_of(asked)
    assert recipe_of(sketch, "plane", asked) == asked
    quiet = recipe_of(sketch | {"solver": "ode"}, "plane", asked)
    assert quiet.noise_scale == 1 and quiet.levels == asked.levels
    assert quiet.estimator in PLANE.estimators_for("ode", 1.0, None)
    assert recipe_of(sketch | {"corrected": True}, "plane", asked).noise_scale == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"experts": 3},
        {"experts": [{}]},
        {"experts": [{"modes": [{"x": 1e300, "y": 0, "width": 1e300, "mass": 1}]}]},
        {"experts": [{"modes": [{"x": float("nan"), "y": 0, "width": 1, "mass": 1}]}]},
        {"operator": None},
        {"operator": {"name": "formula", "text": "1 und 2"}},
        {"solver": ["ode"]},
        {"solver": "none"},
        {"steps": 10_000},
        {"samples": MOST_SAMPLES + 1},
        {"seed": -1},
    ],
)
def test_a_wrong_sketch_costs_one_sentence(wrong):
    with pytest.raises(RecipeError) as caught:
        recipe_of(sketch_of(recipe()) | wrong, "plane")
    assert "\n" not in str(caught.value) and len(str(caught.value)) > 20
