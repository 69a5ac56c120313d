"""FrameDiff with Proteus as the paper composes them: against recordings of its code (tests/recordings/README.md).

Where the rule is the same, our loop gives the same numbers. What the recorded code does otherwise is undone here, each
in its place:

1. One noise serves positions and rotations.
2. It is scaled down while log q is followed as if it were not.
3. Neither noise nor scores are centred, only the positions after a step.
4. OR's temperature multiplies the bias as well. (AND's offset, which is scaled by a level of its own, is left at 0.)
5. Log q counts the volume of x_t, which shrinks with alpha, once more for each dimension: alike for both.
6. The drift of the variance preserving process is part of a step, where canonical coordinates have none.
7. Scores of rotations fade where the heat kernel's density is below 1e-4, and are read at the level below in a table.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from superdiff_engine import SO3, And, Euclidean, Or, Product, sample
from superdiff_engine.domains.proteins import model
from superdiff_engine.domains.proteins.se3 import schedules
from superdiff_engine.rotations import igso3_log_density, igso3_score, logarithm

RECORDINGS = Path(__file__).parents[2] / "recordings"
NAMES = ("positions", "rotations")
CASES = ("or", "or_bias", "and", "and_late")


def recorded(case, file="composition.npz"):
    with np.load(RECORDINGS / file) as kept:
        return {name.split("/")[1]: kept[name].astype(np.float64) for name in kept if name.startswith(f"{case}/")}


def matrices(quaternion):
    w, x, y, z = np.moveaxis(quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


class Scripted:
    """Mixed into a space: its prior and its noise are given."""

    def prior(self, *args):
        return self.start

    def noise(self, *args):
        return next(self.draws)


class ScriptedPositions(Scripted, Euclidean):
    """Not centred (3)."""


class ScriptedRotations(Scripted, SO3):
    pass


class Said:
    """An expert whose scores are recorded, an end of a step each."""

    dtype = torch.float64

    def __init__(self, title, scores, levels, space):
        self.title, self.scores, self.levels, self.space = title, scores, levels, space

    def score(self, y, level):
        place = self.levels.index(level["positions"])
        last = {name: torch.zeros_like(values[0]) for name, values in self.scores.items()}
        return {name: values[place] if place < len(values) else last[name] for name, values in self.scores.items()}


@pytest.mark.parametrize("case", CASES)
def test_steps_are_those_of_the_papers_code(case):
    kept = recorded(case)
    bias, temperature, noise_scale = kept["settings"]
    residues, steps = kept["scores"].shape[-2], len(kept["kappa"])
    t = kept["t"][:steps]
    dt = 1 / len(kept["t"])
    rate = 0.1 + t * 19.9
    alpha = schedules.TRANSLATIONS.alpha(schedules.TRANSLATIONS.level(torch.from_numpy(t))).numpy()
    r = np.log(t * np.exp(1.5) + (1 - t) * np.exp(0.1))
    removed = {
        "positions": rate * dt / alpha**2,
        "rotations": 2 * r * (np.exp(1.5) - np.exp(0.1)) * np.exp(-r) * dt,
    }
    # Any grid will do that removes this variance: where a run begins is the same for both experts.
    grids = {name: np.sqrt(1 + np.append(np.cumsum(h[::-1])[::-1], 0)) for name, h in removed.items()}
    eps = torch.from_numpy(kept["eps"][:steps] * noise_scale)  # (1), (2): 'ito' below is told of full noise
    spaces = {"positions": ScriptedPositions((residues, 3)), "rotations": ScriptedRotations((residues,))}
    frames = np.concatenate([kept["start"][None], kept["frames"]])
    spaces["positions"].start = torch.from_numpy(frames[0, ..., 4:]) / model.ANGSTROM / alpha[0]
    spaces["rotations"].start = torch.from_numpy(matrices(frames[0, ..., :4]))
    for space in spaces.values():
        space.draws = iter(eps)
    factor = {"positions": alpha, "rotations": np.ones_like(alpha)}  # S of y is alpha times that of x_t
    experts = [
        Said(
            title,
            {
                name: [torch.from_numpy(factor[name][i] * kept["scores"][i, number, place])[None] for i in range(steps)]
                for place, name in enumerate(NAMES)
            },
            grids["positions"].tolist(),
            Product(spaces),
        )
        for number, title in enumerate(("Proteus", "FrameDiff"))
    ]
    operator = And(ridge=0) if case.startswith("and") else Or(temperature, [temperature * bias, 0])  # (4)
    levels = {name: torch.from_numpy(grid) for name, grid in grids.items()}
    made = list(sample(experts, operator, levels, batch=1, estimator="ito", solver="euler", per_component=True))
    x = frames[0, 0, :, 4:]
    for i in range(steps):
        for place, name in enumerate(NAMES):
            kappa = float(made[i].component_weights[name][0, 0])
            assert kappa == pytest.approx(kept["kappa"][i, place], rel=2e-5, abs=2e-6)
            change = made[i + 1].component_log_density[name] - made[i].component_log_density[name]
            theirs = kept["dll"][i, :, place]
            if name == "positions":
                theirs = theirs + (3 * residues) ** 2 * dt * rate[i] / 2  # (5)
            # Theirs are sums in float32, of numbers as large as the volume's.
            assert change[:, 0].numpy() == pytest.approx(theirs, abs=2e-3 if name == "positions" else 2e-5)
        moved = (made[i + 1].samples["positions"] - made[i].samples["positions"])[0].numpy()
        x = x * (1 + rate[i] * dt / 2) + model.ANGSTROM * alpha[i] * moved  # (6)
        x = x - x.mean(0)  # (3)
        assert np.abs(x - frames[i + 1, 0, :, 4:]).max() < 1e-4 * np.abs(x).max()
        turned = made[i + 1].samples["rotations"][0].numpy()
        assert np.abs(turned - matrices(frames[i + 1, 0, :, :4])).max() < 1e-5


@pytest.mark.parametrize("case", ["small_plain", "small_again", "small_middle", "large_plain", "large_again"])
def test_scores_of_estimates_are_those_of_framediffs_code(case):
    """To 1e-5; of rotations where (7) is undone, as far as float32 had it, which is from t = 0.3."""
    kept = recorded(case, "framediff.npz")
    table = np.linspace(0, 1, 1000)
    table = np.log(table * np.exp(1.5) + (1 - table) * np.exp(0.1))
    for row, time in enumerate(kept["time"]):
        there = kept["mask"][row].astype(bool)
        level = schedules.TRANSLATIONS.level(torch.tensor(time, dtype=torch.float64)).item()
        alpha = (1 + level**2) ** -0.5
        y = kept["positions"][row] / model.ANGSTROM / alpha
        ours = (kept["clean_positions"][row] / model.ANGSTROM - y) / level**2
        theirs = alpha * kept["trans_score"][row]
        assert np.abs(ours - theirs)[there].max() < 1e-5 * np.abs(theirs).max()
        if time < 0.29:
            continue
        r = np.log(time * np.exp(1.5) + (1 - time) * np.exp(0.1))
        assert schedules.rotation_level(torch.tensor(level, dtype=torch.float64)).item() == pytest.approx(r, rel=1e-6)
        r = table[np.digitize(r, table) - 1]
        apart = torch.from_numpy(kept["clean_rotation"][row].swapaxes(-1, -2) @ kept["rotation"][row])[there]
        density = igso3_log_density(logarithm(apart).norm(dim=-1), r**2).exp().unsqueeze(-1)
        exact, recorded_score = igso3_score(apart, r**2), torch.from_numpy(kept["rot_score"][row][there])
        largest = recorded_score.abs().max()
        assert (exact * density / (density + 1e-4) - recorded_score).abs().max() < 1e-5 * largest
        near = (density > 0.1).squeeze(-1)
        assert near.sum() > 10 and (exact - recorded_score)[near].abs().max() < 1e-3 * largest
