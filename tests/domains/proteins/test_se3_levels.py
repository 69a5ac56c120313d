"""How FrameDiff and Proteus are noised, and their estimates as scores: against exact densities on the product space."""

import numpy as np
import pytest
import torch
from tiny_proteins import helix

from superdiff_engine import ArgumentError, Or, Single, sample, time_levels
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.domains.proteins import frames, model
from superdiff_engine.domains.proteins.se3 import schedules
from superdiff_engine.domains.proteins.se3.expert import FrameScore
from superdiff_engine.domains.proteins.se3.rigid import FrameEstimate
from superdiff_engine.errors import RecipeError
from superdiff_engine.recipes.document import Levels
from superdiff_engine.rotations import igso3_log_density, logarithm
from superdiff_engine.score import Remembering

VP = schedules.TRANSLATIONS


def times(*values):
    return torch.tensor(values, dtype=torch.float64)


class Known:
    """The network of data that are one turned chain, its positions blurred by a Gaussian of variance `spread`."""

    def __init__(self, turned, points, spread=0.0):
        self.turned, self.points, self.spread, self.times = turned, points, spread, []

    def __call__(self, rotation, positions, time, mask, previous=None):
        self.times.append(float(time[0]))
        level = VP.level(time.double())
        y = (positions / (model.ANGSTROM * VP.alpha(level).view(-1, 1, 1))).float()
        part = (self.spread / (self.spread + level.square())).view(-1, 1, 1).float()
        clean = self.points + part * (y - self.points)
        turned = self.turned.expand(rotation.shape)
        return FrameEstimate(turned, model.ANGSTROM * clean, clean[..., :2], {"alpha": clean})


def chain(residues):
    turned, alpha = frames.frames_of(helix(residues))
    return turned, (alpha - alpha.mean(0)) / model.ANGSTROM


def levels_at(time):
    grids = schedules.component_levels(VP.level(times(time)))
    return {name: float(grid[0]) for name, grid in grids.items()}


def test_times_and_levels_are_each_others_inverse_and_the_variance_is_the_rates_integral():
    t = torch.linspace(1e-4, 1, 400, dtype=torch.float64)
    assert (VP.time(VP.level(t)) - t).abs().max() < 1e-13
    level = VP.level(t)
    assert torch.allclose(VP.alpha(level).square() + VP.sigma(level).square(), torch.ones_like(t))
    # d log alpha^2 = -b dt, summed over a fine grid.
    fine = torch.linspace(0, 0.7, 20_001, dtype=torch.float64)
    b = 0.1 + fine * (20 - 0.1)
    assert float(VP.alpha(VP.level(times(0.7)))) ** 2 == pytest.approx(float(torch.exp(-torch.trapezoid(b, fine))))
    assert VP.highest == pytest.approx(152.167, abs=1e-3) and VP.lowest == pytest.approx(0.04469, abs=1e-5)


def test_rotations_share_the_time():
    r = schedules.rotation_level(VP.level(times(0.0, 0.002, 0.3, 1.0)))
    exact = [np.log(t * np.exp(1.5) + (1 - t) * np.exp(0.1)) for t in (0, 0.002, 0.3, 1)]
    assert np.allclose(r, exact, rtol=1e-12)


def test_the_papers_grid_is_a_recipes():
    """Even in t from 1 to 0.002, in steps of 1 / 500."""
    lowest = float(VP.level(times(schedules.COMPOSED_TO)))
    grid = Levels(steps=499, spacing="time", lowest=lowest).grid((VP.lowest, VP.highest), VP)
    assert np.allclose(VP.time(grid), np.linspace(0.002, 1.0, 500)[::-1], atol=1e-12)
    ours = Levels(steps=10, spacing="time").grid((VP.lowest, VP.highest), VP)
    assert np.allclose(VP.time(ours), np.linspace(0.01, 1.0, 11)[::-1]) and torch.equal(ours, time_levels(10, VP))


@pytest.mark.parametrize(("domain", "expert"), [("plane", "overlap_a"), ("proteins", "proteins")])
def test_levels_even_in_time_need_a_time(domain, expert, assets):
    with pytest.raises(RecipeError, match="a time of their own"):
        make_recipe({"domain": domain, "experts": [{"model": expert}], "levels": {"spacing": "time"}})


def test_an_estimate_that_knows_the_data_gives_the_exact_scores():
    turned, points = chain(6)
    expert = FrameScore(Known(turned, points, 0.3), "known", [6, 6])
    assert isinstance(expert, Remembering)
    level = levels_at(0.4)
    generator = torch.Generator().manual_seed(1)
    components = expert.space.components
    y = {name: part.prior(2, 2.0, generator, torch.float32, "cpu") for name, part in components.items()}
    found = expert.score(y, level)
    s2 = level["positions"] ** 2
    assert torch.allclose(found["positions"], -(y["positions"] - points) / (0.3 + s2), atol=1e-5)
    # The slope of the heat kernel along each tangent, by differences in float64.
    exact = torch.zeros(2, 6, 3, dtype=torch.float64)
    start = {"rotations": y["rotations"].double()}
    for axis in range(3):
        ends = []
        for sign in (1, -1):
            tangent = torch.zeros(2, 6, 3, dtype=torch.float64)
            tangent[..., axis] = sign * 1e-5
            moved = components["rotations"].move(start["rotations"], tangent)
            angle = logarithm(turned.double().mT @ moved).norm(dim=-1)
            ends.append(igso3_log_density(angle, level["rotations"] ** 2))
        exact[..., axis] = (ends[0] - ends[1]) / 2e-5
    assert torch.allclose(found["rotations"].double(), exact, atol=1e-4)
    assert expert.network.times == pytest.approx([0.4])


def test_log_densities_along_a_run_are_the_exact_ones_and_samples_reach_the_data():
    """Positions and rotations each: a Gaussian around the chain, and the heat kernel at its frames."""
    residues, spread, batch = 4, 0.3, 32
    turned, points = chain(residues)
    expert = FrameScore(Known(turned, points, spread), "known", [residues] * batch)
    grids = schedules.component_levels(Levels(steps=120, spacing="time").grid((VP.lowest, VP.highest), VP))
    rows = {}
    for step in sample([expert], Single(0), grids, batch=batch, solver="ancestral", seed=2):
        s, r = (float(grids[name][step.index]) for name in ("positions", "rotations"))
        away = (step.samples["positions"] - points).double()
        variance, size = spread + s * s, 3 * (residues - 1)
        gauss = -0.5 * (away.square().sum((1, 2)) / variance + size * np.log(2 * np.pi * variance))
        angle = logarithm(turned.double().mT @ step.samples["rotations"].double()).norm(dim=-1)
        exact = {"positions": gauss, "rotations": igso3_log_density(angle, r * r).sum(1)}
        rows[step.index] = {name: step.component_log_density[name][0] - value for name, value in exact.items()}
    # Uniform rotations are not the kernel of r = 1.5: what is followed is the change from there.
    for name in ("positions", "rotations"):
        error = rows[120][name] - rows[0][name]
        assert abs(float(error.mean())) < 4 * float(error.std()) / 32**0.5 + 0.2, name
        assert float(error.std()) < 2.5
    assert angle.mean() < 2.5 * r
    assert step.samples["positions"].mean(1).abs().max() < 1e-4


def test_scores_turn_with_the_frames():
    """Positions' by the turn, rotations' not at all: they stand in the body frame."""
    turned, points = chain(5)
    other = points.flip(0)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    turn = turn * torch.linalg.det(turn)
    grids = schedules.component_levels(time_levels(8, VP))
    level = {name: float(grid[0]) for name, grid in grids.items()}
    generator = torch.Generator().manual_seed(4)
    found = []
    for q in (torch.eye(3), turn):
        experts = [FrameScore(Known(q @ turned, x @ q.T, 0.2), "known", [5] * 2) for x in (points, other)]
        if not found:
            start = {
                name: part.prior(2, level[name], generator, torch.float32, "cpu")
                for name, part in experts[0].space.components.items()
            }
        y = {"positions": start["positions"] @ q.T, "rotations": q @ start["rotations"]}
        scores = [expert.score(y, level) for expert in experts]
        found.append([scores[0]["positions"] @ q, scores[0]["rotations"], scores[1]["positions"] @ q])
    for plain, moved in zip(*found, strict=True):
        assert torch.allclose(plain, moved, atol=1e-6)


def test_experts_that_are_noised_differently_are_refused(assets):
    turned, points = chain(5)
    domain = get_domain("proteins")
    recipe = make_recipe({"domain": "proteins", "experts": [{"model": "proteins"}], "batch": 2, "residues": 40})
    embedded = domain.prepare(recipe, "cpu").experts[0]
    framed = FrameScore(Known(turned, points), "Known frames", [5])
    levels = time_levels(4, VP)
    assert float(domain.component_levels(levels, [framed, framed])["rotations"][0]) == pytest.approx(1.5)
    assert domain.level_range([framed]) == (VP.lowest, VP.highest)
    with pytest.raises(ArgumentError, match=r"Known frames and .*cannot be walked together.*FrameDiff with Proteus"):
        domain.component_levels(levels, [framed, embedded])


def test_runs_of_an_expert_with_a_memory_are_alike():
    turned, points = chain(5)

    class Learning(Known):
        def __call__(self, rotation, positions, time, mask, previous=None):
            found = super().__call__(rotation, positions, time, mask)
            if previous is None:
                return found
            clean = found.positions + 0.5 * (previous["alpha"] - found.positions / model.ANGSTROM)
            return FrameEstimate(found.rotation, clean, found.psi, {"alpha": clean / model.ANGSTROM})

    experts = [FrameScore(Learning(turned, x, 0.2), "learning", [5] * 3) for x in (points, points.flip(0))]
    grids = schedules.component_levels(time_levels(8, VP))
    first, second = (list(sample(experts, Or(), grids, batch=3, seed=1))[-1] for _ in range(2))
    assert torch.equal(first.samples["positions"], second.samples["positions"])
    assert torch.equal(first.samples["rotations"], second.samples["rotations"])
    assert torch.equal(first.log_density, second.log_density)
