"""Given samples judged at a level of choice, and a run's own at the level where they stand, against exact densities."""

import numpy as np
import pytest

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.runs.estimation import Estimation
from superdiff_engine.runs.run import Run

RECIPE = {
    "domain": "plane",
    "experts": [{"model": "rows_upper"}, {"model": "rows_lower"}],
    "operator": {"name": "average"},
    "solver": "ancestral",
    "batch": 48,
}


@pytest.mark.parametrize("noise_scale", [1.0, 0.5])
@pytest.mark.parametrize("lowest", [0.02, 0.5])
def test_a_runs_numbers_and_their_estimate_anew_stand_at_one_level(noise_scale, lowest):
    """Both are log q of the same samples at the run's last level, as is the exact density there."""
    recipe = make_recipe(RECIPE | {"levels": {"steps": 200, "lowest": lowest}, "noise_scale": noise_scale})
    result = Run(recipe).execute()
    estimation = Estimation(recipe, result, paths=16)
    found = estimation.execute()
    assert estimation.level == result.level == pytest.approx(lowest)
    experts = get_domain("plane").prepare(recipe, "cpu").experts
    points = np.stack(list(result.samples.values()))[0]
    for place, expert in enumerate(experts):
        exact = expert.log_density(found.mean.new_tensor(points), lowest)
        wrong = found.mean[place] - exact
        assert (wrong.abs() < 5 * found.error[place] + 0.05).all()
        tracked = found.mean.new_tensor(result.log_density[place]) - exact
        assert abs(wrong.mean().item()) < 0.3 and abs(tracked.mean().item()) < 0.5
    difference = found.paths[:, 0] - found.paths[:, 1]
    run = result.log_density[0] - result.log_density[1]
    gap = difference.mean(0).numpy() - run
    assert abs(gap.mean()) < 4 * gap.std() / len(gap) ** 0.5 + 0.1


def test_another_level_is_another_number():
    """The same points with more noise in the densities: the exact log q of that level."""
    recipe = make_recipe(RECIPE | {"levels": {"steps": 20}})
    result = Run(recipe).execute()
    estimation = Estimation(recipe, result, paths=16, level=1.5)
    found = estimation.execute()
    points = np.stack(list(result.samples.values()))[0]
    for place, expert in enumerate(get_domain("plane").prepare(recipe, "cpu").experts):
        wrong = found.mean[place] - expert.log_density(found.mean.new_tensor(points), 1.5)
        assert estimation.level == 1.5 and (wrong.abs() < 5 * found.error[place] + 0.05).all()


@pytest.mark.parametrize("level", [0.0, -1.0, 1e6, float("nan")])
def test_a_level_outside_the_range_is_one_sentence(level):
    recipe = make_recipe(RECIPE | {"levels": {"steps": 4}})
    estimation = Estimation(recipe, Run(recipe).execute(), level=level)
    with pytest.raises(SuperDiffError, match="judged at a level above 0"):
        estimation.execute()
    assert estimation.state == "failed"
