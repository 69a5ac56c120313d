"""What moves samples of the plane, against finite differences of the densities and against the loop itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from superdiff_engine.domains.plane.arrays import PlanePreview
from superdiff_engine.domains.plane.distance import log_target
from superdiff_engine.domains.plane.domain import DOMAIN, to_view
from superdiff_engine.domains.plane.field import Field, composed_score, scores_at
from superdiff_engine.recipes.document import CorrectionRecipe, Expert, Levels, Recipe
from superdiff_engine.recipes.operators import AndRecipe, FormulaRecipe, OrRecipe
from superdiff_engine.walk import walk

POINTS = torch.tensor([[0.0, 0.0], [1.3, -0.4], [-2.1, 1.7], [3.0, 3.0]], dtype=torch.float64)
LEVELS = (0.03, 0.5, 6.0)


def recipe(operator, models=("ring", "petal_a"), **also):
    also = {"batch": 64, "levels": Levels(steps=12)} | also
    return Recipe(domain="plane", experts=[Expert(model=model) for model in models], operator=operator, **also)


def slopes(value, y, level):
    """Central differences of a function of points and level, [n, 2]."""
    width = 1e-5 * (1 + level)
    steps = width * torch.eye(2, dtype=torch.float64)
    return torch.stack([(value(y + step) - value(y - step)) / (2 * width) for step in steps], -1)


@pytest.mark.parametrize("level", LEVELS)
def test_scores_are_the_slopes_of_the_log_densities(level):
    field = Field(recipe(OrRecipe()), 4.0)
    y = POINTS / to_view(level)
    found = scores_at(field.experts, y, level)
    for expert, score in zip(field.experts, found, strict=True):
        expected = slopes(lambda at, one=expert: one.log_density(at, level), y, level)
        torch.testing.assert_close(score, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "operator",
    [OrRecipe(temperature=0.7, bias=[0.5, -0.5]), *(FormulaRecipe(text=text) for text in ("1 but not 2", "1 xor 2"))],
    ids=["or", "but not", "xor"],
)
def test_the_mix_at_a_point_is_the_slope_of_the_composed_density(operator, level):
    field, y = Field(recipe(operator), 4.0), POINTS / to_view(level)

    def composed(at):
        log_density = torch.stack([one.log_density(at, level) for one in field.experts])
        return torch.from_numpy(log_target(field.formula, log_density[:, :, None].numpy())[:, 0])

    found = composed_score(field.formula, field.experts, y, level)
    torch.testing.assert_close(found, slopes(composed, y, level), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("solver", ["ancestral", "euler", "ode"])
@pytest.mark.parametrize("operator", [AndRecipe(), OrRecipe()], ids=["and", "or"])
def test_share_of_the_mix_and_noise_are_the_step_that_the_loop_takes(operator, solver):
    asked = recipe(operator, solver=solver, estimator="hutchinson" if solver == "ode" else "trapezoid")
    follows_the_loop(asked, resampled=False)


def test_also_where_particles_are_resampled():
    asked = recipe(FormulaRecipe(text="1 and 2"), batch=256, correction=CorrectionRecipe(threshold=0.9))
    follows_the_loop(asked, resampled=True)


def follows_the_loop(asked, resampled):
    prepared = DOMAIN.prepare(asked, "cpu")
    field, before, expected, moves = Field(asked, 4.0), None, None, 0
    for step in walk(asked, DOMAIN, prepared):
        preview = DOMAIN.preview(step, prepared.experts, asked.batch)
        moment = field.moment(preview, step.index, step.level)
        if before is not None:
            rows = slice(None) if step.parents is None else step.parents.numpy()
            moves += step.parents is not None
            np.testing.assert_allclose(preview.positions / to_view(step.level), expected[rows], rtol=3e-5, atol=3e-5)
        # The way to the mean of what it may become, as the loop has it.
        denoised = (preview.positions + moment.samples.mix / field.total) / to_view(step.level)
        np.testing.assert_allclose(denoised, step.denoised, rtol=3e-5, atol=3e-5)
        before = moment
        noise = np.zeros((1, 2)) if moment.noise is None else moment.noise
        expected = (preview.positions + moment.share * moment.samples.mix + noise) / to_view(step.level)
    assert before.noise is None and (moves > 0) == resampled


def test_the_lattice_knows_the_mix_only_where_the_operator_is_a_formula():
    for operator, known in ((AndRecipe(), False), (OrRecipe(), True)):
        field = Field(recipe(operator), 4.0)
        none = np.zeros((2, 0))
        empty = PlanePreview(np.zeros((0, 2)), none, none, none, np.zeros((2, 2, 2)), field.extent)
        moment = field.moment(empty, 0, 1.0)
        assert (moment.lattice.mix is not None) == known == (moment.target is not None)
        assert moment.noise is None and moment.samples.mix.shape == (0, 2)
        # Rows upwards: the second point lies right of the first.
        np.testing.assert_allclose(moment.lattice.positions[:2], [[-4, -4], [-3.5, -4]])
        assert moment.lattice.experts.shape == (2, 17 * 17, 2)


def test_records_without_noise_are_read():
    arrays = {name: np.zeros((1, 1)) for name in PlanePreview.names() if name != "noise"}
    assert PlanePreview.of(arrays).noise.shape == (0, 2)
    assert replace(PlanePreview.of(arrays), noise=np.ones((1, 2))).noise.sum() == 2
