"""Figures of lessons against numbers that scipy and numpy reckon from the same samples, and claims against the runs."""

import numpy as np
import pytest
from plane_recipes import plane
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, sem

from superdiff_engine.lessons import read_lessons, try_lesson
from superdiff_engine.lessons.expressions import Reference
from superdiff_engine.lessons.figures import figure_of, names_of
from superdiff_engine.lessons.lesson import Findings, Made
from superdiff_engine.lessons.shelf import embedded_folder
from superdiff_engine.runs.run import Run


@pytest.fixture(scope="module")
def result():
    return Run(plane(batch=40, levels={"steps": 12}, operator={"name": "or", "bias": [1.0, 0.0]})).execute()


def exact(result):
    """Log q of two rows of three modes with variance 0.09, noise included; [experts, batch]."""
    spread = (0.09 + result.level**2) * np.eye(2)
    rows = [[multivariate_normal([x, y], spread).logpdf(result.samples["x"]) for x in (-2, 0, 2)] for y in (1, -1)]
    return np.stack([logsumexp(modes, 0) - np.log(3) for modes in rows])


def test_figures_are_those_of_the_samples(result):
    estimated, off = result.log_density, result.log_density - exact(result)
    curves = result.trace.curves()
    path = curves.log_density[:, 0] - curves.log_density[:, 1]
    expected = {
        "gap": np.abs(estimated[0] - estimated[1]),
        "difference": estimated[0] - estimated[1],
        "log_density_2": estimated[1],
        "weight_1": result.weights[0],
        "density_error": np.abs(off).mean(0),
        "density_bias": off.mean(0),
        "difference_error": np.abs(off[0] - off[1]),
        "widest_gap": np.abs(path).mean(1).max(),
        "largest_weight": curves.weights.max(),
        "smallest_weight": curves.weights.min(),
        "path_weight_2": curves.mean_weights[:, 1].mean(),
        "share_1": np.mean(estimated[0] > estimated[1]),
        "won_2": np.mean(result.weights[1] > result.weights[0]),
        "made": 1.0,
        "effective": 1.0,
    }
    assert {*expected, "share_2", "won_1", "weight_2", "log_density_1", "path_weight_1", "seconds"} == {
        *names_of(result)
    }
    for name, values in expected.items():
        found = figure_of(result, name)
        assert found.value == pytest.approx(np.mean(values), abs=1e-6), name
        if np.ndim(values):
            assert found.error == pytest.approx(sem(values)), name
    assert figure_of(result, "share_3") is None and figure_of(result, "gap_1") is None


def test_what_is_said_of_a_run(result):
    findings = Findings({"one": Made(result.recipe, result)}, write=lambda text: f"<{text}>")
    share = figure_of(result, "share_1")
    assert findings.fill("{one.share_1} {one[bias]} {one[steps]} {two.gap}") == f"{share.text()}\u202f% <1> <12> –"
    within = findings.number(Reference("one", "key", "within_all"))
    centres = np.array([[[x, y] for x in (-2, 0, 2)] for y in (1, -1)])
    distance = np.square(result.samples["x"][None, None] - centres[:, :, None]).sum(-1)
    assert within == pytest.approx((distance <= 4 * (0.09 + result.level**2)).any(1).all(0).mean())
    assert np.isnan(findings.number(Reference("one", "key", "none"))) and np.isnan(
        findings.number(Reference("one", "setting", "solver"))
    )


def test_embedded_lessons_are_right():
    found = read_lessons([embedded_folder()])
    assert found.problems == () and found.lessons


def test_a_run_that_stops_is_measured(tmp_path):
    (tmp_path / "and.json").write_text(
        plane(
            experts=[{"model": "overlap_a"}, {"model": "overlap_b"}],
            operator={"name": "and", "ridge": 0},
            levels={"steps": 100},
            batch=64,
        ).to_json()
    )
    (tmp_path / "lesson.md").write_text(
        "---\ntitle: t\nsummary: s\nminutes: 5\norder: 0\ndomain: plane\n---\n## Read\nT.\n"
        "## Predict\nW?\n- [x] A\n- [ ] B\n"
        "## Run\n```toml\n[runs.solve]\nrecipe = 'and.json'\n```\n## Explain\n{solve.made}\n```toml\n[[claims]]\n"
        "says = 'It stops.'\nholds = '0 < solve.made < 1'\n```\n## Try\nM.\n"
    )
    folder = tmp_path.rename(tmp_path.parent / "stops")
    (lesson,) = read_lessons([folder]).lessons
    trial = try_lesson(lesson)
    assert trial.holds and not trial.made["solve"].result.complete
