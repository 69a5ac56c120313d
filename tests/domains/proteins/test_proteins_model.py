"""Proteins: frames and their atoms, heat kernels, the network's symmetries, scores, and a training in small."""

import math
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from test_proteins_data import write_database
from tiny_proteins import helix, save_tiny, small_network, whole_helix
from training_device import same_draws, step_on_meta, trained

from oracles import brute_force_trace
from superdiff_engine import karras_levels, rotations, sample
from superdiff_engine.compose import Single
from superdiff_engine.density import Exact, Hutchinson
from superdiff_engine.domains import embedded, get_domain
from superdiff_engine.domains.proteins import catalogue, frames, model, network, train
from superdiff_engine.domains.proteins.pack import Backbones
from superdiff_engine.domains.sizes import draw_sizes
from superdiff_engine.errors import ModelError
from superdiff_engine.rotations import HeatKernels
from superdiff_engine.training import training
from superdiff_engine.training.task import TrainingProgress


def angle(first, middle, last):
    a, b = first - middle, last - middle
    return torch.rad2deg(((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))).acos())


def noisy(residues, seed=0):
    generator = torch.Generator().manual_seed(seed)
    turned = rotations.uniform((len(residues), max(residues)), generator, torch.float32)
    points = torch.randn(len(residues), max(residues), 3, generator=generator)
    return turned, points, model.residue_mask(residues)


def test_frames_of_a_backbone_give_it_back():
    turned, alpha = frames.frames_of(helix(12))
    assert torch.allclose(turned @ turned.mT, torch.eye(3).expand(12, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(turned), torch.ones(12), atol=1e-5)
    atoms = frames.backbone_of(turned, alpha)
    again = frames.frames_of(atoms)
    assert torch.allclose(again[0], turned, atol=1e-5) and torch.equal(again[1], alpha)
    assert (atoms[:, :3] - helix(12)).norm(dim=-1).max() < 0.15  # the helix is not quite ideal


def test_bond_lengths_and_angles_are_those_of_proteins():
    """Engh and Huber 1991: lengths in Angstrom to 0.02, angles in degrees to 4; the carbonyl lies in its plane."""
    atoms = frames.backbone_of(*frames.frames_of(helix(12)))
    n, alpha, c, o = atoms.unbind(1)
    for first, second, length in ((n, alpha, 1.460), (alpha, c, 1.525), (c, o, 1.231)):
        assert torch.allclose((first - second).norm(dim=-1), torch.full((12,), length), atol=0.02)
    assert torch.allclose(angle(n, alpha, c), torch.full((12,), 111.0), atol=4)
    assert torch.allclose(angle(alpha[:-1], c[:-1], o[:-1]), torch.full((11,), 120.5), atol=4)
    assert torch.allclose(angle(o[:-1], c[:-1], n[1:]), torch.full((11,), 122.7), atol=4)
    assert angle(alpha[-1], c[-1], o[-1]) == pytest.approx(120.5, abs=4)
    normal = torch.linalg.cross(alpha[:-1] - c[:-1], n[1:] - c[:-1])
    assert ((o[:-1] - c[:-1]) * normal).sum(-1).abs().max() < 1e-4


def test_heat_kernels_draw_brownian_motion_and_know_its_score():
    levels = torch.tensor([0.02, 0.3, 1.0, 3.4], dtype=torch.float64)
    table = HeatKernels(levels)
    generator = torch.Generator().manual_seed(0)
    index = torch.arange(4)
    drawn = table.draw(index, 4000, generator)
    for row, level in enumerate(levels.tolist()):
        walked = torch.eye(3, dtype=torch.float64).expand(4000, 3, 3)
        for _ in range(100):
            kick = torch.randn(4000, 3, generator=generator, dtype=torch.float64)
            walked = walked @ rotations.exponential(level / 10 * kick)
        ours, theirs = drawn[row].norm(dim=1), rotations.logarithm(walked).norm(dim=1)
        assert float(ours.mean()) == pytest.approx(float(theirs.mean()), rel=0.03)
        assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.06)
        exact = rotations.igso3_score(rotations.exponential(drawn[row].double()), level**2)
        assert (table.score(drawn, index)[row] - exact).abs().max() < 1e-4 * exact.abs().max()
        assert float(exact.square().mean().sqrt()) == pytest.approx(float(table.spread[row]), rel=0.05)


def test_levels_of_rotations_follow_those_of_positions():
    levels = torch.tensor(karras_levels(50, model.HIGHEST_LEVEL, model.LOWEST_LEVEL).tolist())
    turns = model.rotation_level(levels)
    assert (turns.diff() < 0).all()
    assert float(turns[-1]) == pytest.approx(0.02, rel=0.01)
    # The heat kernel at the highest level is uniform to a thousandth.
    far = rotations.igso3_log_density(torch.linspace(0.01, math.pi, 50).double(), float(turns[0]) ** 2)
    assert far.abs().max() < 1e-3
    grid, table = model.kernels()
    between = (grid[100] * grid[101]).sqrt()
    expected = HeatKernels(model.rotation_level(between).view(1)).spread[0]
    assert float(model.spread(between.view(1))[0]) == pytest.approx(float(expected), rel=1e-4)
    assert float(model.spread(grid[:1])[0]) == pytest.approx(float(table.spread[0]))


def test_turning_and_shifting_noisy_frames_turns_and_shifts_what_is_said_of_them():
    net = small_network()
    turned, points, mask = noisy([14, 9])
    levels = torch.tensor([0.3, 2.0])
    found = model.estimate(net, turned, points, levels, mask)
    turn = rotations.uniform((), torch.Generator().manual_seed(5), torch.float32)
    shift = torch.tensor([3.0, -1.0, 2.0])
    keep = model.factors(levels)[0].view(-1, 1, 1)
    moved = model.estimate(net, turn @ turned, points @ turn.T, levels, mask)
    assert (moved.positions - found.positions @ turn.T).abs().max() < 1e-4
    assert (moved.turn - found.turn).abs().max() < 1e-4
    assert found.turn.abs().max() > 0.1  # it says something
    away = model.estimate(net, turned, points + shift, levels, mask)
    assert (away.positions - found.positions).abs().max() < 1e-4
    assert (away.frames.positions - found.frames.positions - keep * shift).abs().max() < 1e-4


def test_residues_that_are_not_there_play_no_part():
    net = small_network()
    turned, points, mask = noisy([14, 9])
    levels = torch.tensor([0.3, 2.0])
    found = model.estimate(net, turned, points, levels, mask)
    points[1, 9:] += 5
    turned[1, 9:] = turned[1, 9:] @ rotations.exponential(torch.ones(3))
    other = model.estimate(net, turned, points, levels, mask)
    assert torch.equal(other.positions[1, :9], found.positions[1, :9]) and torch.equal(
        other.turn[1, :9], found.turn[1, :9]
    )
    alone = model.estimate(net, turned[1:, :9], points[1:, :9], levels[1:], mask[1:, :9])
    assert (alone.positions[0] - found.positions[1, :9]).abs().max() < 1e-5


class Known:
    """The network that knows that the clean frames are these."""

    def __init__(self, turned, points):
        self.turned, self.points = turned, points

    def __call__(self, rotation, y, log_level, factors, mask):
        keep, out, _ = (factor.view(-1, 1, 1) for factor in factors)
        level = float(log_level[0].exp())
        r = float(model.rotation_level(torch.tensor(level)))
        score = rotations.igso3_score(self.turned.mT.double() @ rotation.double(), r * r)
        turn = (score / model.spread(torch.tensor([level]))).float()
        return network.Estimate((self.points - keep * y) / out, turn, network.Frames(rotation, y))


def expert(net, residues):
    settings = model.ProteinSettings(title="test", description="", network={}, lengths={max(residues): 1})
    return model.ProteinScore(model.ProteinModel(net, settings), residues)


def test_a_network_that_knows_the_frames_gives_their_scores_and_samples():
    turned, alpha = frames.frames_of(helix(10))
    points = (alpha - alpha.mean(0)) / model.ANGSTROM
    known = expert(Known(turned, points), [10, 10])
    noisy_turned, noisy_points, _ = noisy([10, 10], seed=3)
    level = {"positions": 0.4, "rotations": float(model.rotation_level(torch.tensor(0.4)))}
    found = known.score({"positions": noisy_points, "rotations": noisy_turned}, level)
    assert torch.allclose(found["positions"], (points - noisy_points) / 0.4**2, atol=1e-3)
    exact = rotations.igso3_score(turned.mT.double() @ noisy_turned.double(), level["rotations"] ** 2)
    assert torch.allclose(found["rotations"].double(), exact, atol=1e-3)
    levels = karras_levels(40, model.HIGHEST_LEVEL, model.LOWEST_LEVEL)
    grids = {"positions": levels, "rotations": model.rotation_level(levels)}
    for step in sample([known], Single(0), grids, batch=2, solver="ancestral"):
        assert step.samples["positions"].mean(1).abs().max() < 1e-4
    atoms = model.decode(step.denoised)
    centred = helix(10) - alpha.mean(0)
    assert (atoms[:, :, :3] - centred).norm(dim=-1).max() < 0.2
    # Positions and rotations each have their log-density, and the whole is their sum.
    parts = step.component_log_density
    assert torch.allclose(parts["positions"] + parts["rotations"], step.log_density)


def test_divergences_are_the_trace_of_each_component_for_chains_of_different_lengths():
    """Against differences along every basis tangent, which float32 gives to a few parts in a thousand."""
    learned = expert(small_network(), [3, 5])
    _, points, _ = noisy([3, 5], seed=1)
    parts, generator = learned.space.components, torch.Generator().manual_seed(0)
    y = {
        "positions": parts["positions"].project(points),
        "rotations": parts["rotations"].prior(2, 2.0, generator, torch.float32, "cpu"),
    }
    level = {"positions": 0.8, "rotations": float(model.rotation_level(torch.tensor(0.8)))}
    with torch.no_grad():  # as in the loop
        _, exact = Exact().divergences([learned], learned.space, y, level, generator)
        truth = brute_force_trace(learned.score, learned.space, y, level, 2, step=1e-2)
    for name, value in truth.items():
        assert torch.allclose(exact[name][0], value, rtol=1e-2, atol=2e-2), name
    probed = torch.stack(
        [sum(Hutchinson().divergences([learned], learned.space, y, level, generator)[1].values())[0] for _ in range(64)]
    )
    assert ((probed.mean(0) - sum(truth.values())).abs() < 4 * probed.std(0) / 8 + 0.05).all()


def backbones(lengths, wobble=0.0):
    """Helices of these numbers of residues, one after another; `wobble` in Angstrom moves every atom at random."""
    atoms = np.concatenate([helix(length).numpy() for length in lengths])
    atoms += wobble * np.random.default_rng(0).normal(size=atoms.shape)
    return Backbones(atoms.astype(np.float32), np.array(lengths), np.ones(len(lengths)), np.zeros(len(lengths)))


def test_the_loss_of_a_batch_is_that_of_its_chains_by_themselves(monkeypatch):
    """Chain by chain, without padding or tables, in the formulas' own form, the scores by the exact heat kernel."""
    monkeypatch.setattr(train, "FEWEST_RESIDUES", 9)
    monkeypatch.setattr(train, "PADDED", (14,))
    chains, net = backbones([14, 9, 12], wobble=0.3), small_network()
    task = train.ProteinTask(net, chains, batch=5, log_level=(-1.0, 0.7))
    drawn = task.draw(torch.Generator().manual_seed(2))
    sums, counts = dict.fromkeys(train.WEIGHTS, 0.0), dict.fromkeys(train.WEIGHTS, 0.0)
    assert (drawn["levels"] < train.BONDS_BELOW).any() and (drawn["levels"] > train.BONDS_BELOW).any()
    for row, (first, n) in enumerate(zip(drawn["first"].tolist(), drawn["residues"].tolist(), strict=True)):
        assert first in chains.first and n == chains.residues[chains.first.tolist().index(first)]
        s, turned = drawn["levels"][row], drawn["turned"][row]
        rotation, alpha = frames.frames_of(torch.from_numpy(chains.atoms[first : first + n]) @ turned.T)
        clean = (alpha - alpha.mean(0)) / 10
        noise = drawn["noise"][row, :n]
        noisy, turn = clean + s * (noise - noise.mean(0)), drawn["turns"][row, :n]
        found = model.estimate(
            net,
            (rotation @ rotations.exponential(turn))[None],
            noisy[None],
            s[None],
            torch.ones(1, n, dtype=torch.bool),
        )
        d, r = model.DATA_STD, model.rotation_level(s)
        moved = found.positions[0] - found.positions[0].mean(0)
        wanted = (clean - d**2 / (s**2 + d**2) * noisy) / (s * d / (s**2 + d**2).sqrt())
        score = rotations.igso3_score(rotations.exponential(turn.double()), float(r) ** 2) / model.spread(s[None])
        guess = d**2 / (s**2 + d**2) * noisy + s * d / (s**2 + d**2).sqrt() * found.positions[0]
        distances = []
        for turns, places in ((found.frames.rotations[0], guess), (rotation, clean)):
            atoms = torch.einsum("nij,aj->nai", turns, frames.IDEAL / 10) + places[:, None]
            distances.append(torch.stack([torch.cdist(atoms[k], atoms[k + 1]) for k in range(n - 1)]))
        parts = {
            "positions": moved - wanted,
            "rotations": found.turn[0] - score,
            "frames": (found.frames.rotations[0] - rotation)[..., :2] * (1 + r**2).sqrt() / r,
            "bonds": (distances[0] - distances[1]) / (s * d / (s**2 + d**2).sqrt()),
        }
        if s >= train.BONDS_BELOW:
            del parts["bonds"]
        for name, error in parts.items():
            sums[name] += float(error.square().sum())
            counts[name] += error.numel()
    expected = sum(weight * sums[name] / counts[name] for name, weight in train.WEIGHTS.items())
    assert float(task.loss(drawn)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("most", train.PADDED)
def test_a_step_of_every_size_can_be_a_graph_of_a_gpu(most):
    task = train.ProteinTask(small_network().requires_grad_(True), backbones([most, most - 3]), batch=3)
    drawn = task.draw(torch.Generator().manual_seed(0))
    assert drawn["noise"].shape == (3, most, 3)
    assert same_draws(task)
    taught = step_on_meta(task, drawn)
    assert taught == {name for name, _ in task.network.named_parameters()}
    assert same_draws(task)  # on the CPU, also when the data are elsewhere


def test_windows_of_longer_chains_are_of_all_lengths_and_places():
    """Chains are drawn equally often, whole ones as they are; no window leaves its chain."""
    chains = backbones([50, 200, 100, 129])
    task = train.ProteinTask(small_network(), chains, batch=32)
    generator = torch.Generator().manual_seed(0)
    found = [task.draw(generator) for _ in range(300)]
    first = torch.cat([one["first"] for one in found]).numpy()
    residues = torch.cat([one["residues"] for one in found]).numpy()
    assert all((one["residues"] <= one["noise"].shape[1]).all() for one in found)
    assert {one["noise"].shape[1] for one in found} == set(train.PADDED)
    chain = np.searchsorted(chains.first, first, "right") - 1
    assert (np.bincount(chain) / len(chain)).tolist() == pytest.approx([0.25] * 4, abs=0.06)
    assert (residues[chain == 0] == 50).all() and (residues[chain == 2] == 100).all()
    place = first - chains.first[chain]
    assert (place >= 0).all() and (place + residues <= chains.residues[chain]).all()
    for longer in (1, 3):
        assert set(residues[chain == longer]) == set(range(64, 129))
        assert residues[chain == longer].mean() == pytest.approx(96, abs=3)
    assert set(place[(chain == 3) & (residues == 128)]) == {0, 1}
    middle = (place / np.maximum(1, chains.residues[chain] - residues))[chain == 1]
    assert middle.mean() == pytest.approx(0.5, abs=0.03) and middle.min() == 0 and middle.max() == 1
    assert train.drawn_lengths(chains.residues) == {50: 1, 64: 1, 65: 1, 100: 1}
    assert sum(train.drawn_lengths(np.full(650, 140)).values()) == 650
    assert train.drawn_lengths(np.full(650, 140)) == dict.fromkeys(range(64, 129), 10)


def test_a_window_is_learned_as_a_chain_of_its_own():
    chains = backbones([200], wobble=0.5)
    task = train.ProteinTask(small_network(), chains, batch=2)
    drawn = task.draw(torch.Generator().manual_seed(0))
    rows = [
        slice(first, first + n) for first, n in zip(drawn["first"].tolist(), drawn["residues"].tolist(), strict=True)
    ]
    cut = Backbones(
        np.concatenate([chains.atoms[window] for window in rows]), drawn["residues"].numpy(), np.ones(2), np.zeros(2)
    )
    alone = train.ProteinTask(task.network, cut, batch=2)
    again = drawn | {"first": torch.from_numpy(cut.first)}
    assert float(alone.loss(again)) == pytest.approx(float(task.loss(drawn)), rel=1e-4)


def test_a_small_training_learns_a_helix(monkeypatch):
    """From noise, a network trained on one helix draws its neighbours' distances, and its turn to the right."""
    monkeypatch.setattr(train, "FEWEST_RESIDUES", 16)
    monkeypatch.setattr(train, "PADDED", (16,))
    chains = backbones([16])
    torch.manual_seed(0)
    net = network.ProteinNetwork(width=48, pair=16, layers=2, heads=4, points=3)
    task = train.ProteinTask(net, chains, batch=8)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    steps = 700
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 30) * (1 - step / steps)
        task.loss(task.draw(generator)).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    learned = expert(net.eval().requires_grad_(False), [16] * 8)
    levels = karras_levels(40, model.HIGHEST_LEVEL, model.LOWEST_LEVEL)
    grids = {"positions": levels, "rotations": model.rotation_level(levels)}
    for step in sample([learned], Single(0), grids, batch=8, solver="ancestral", estimator="none"):
        pass
    atoms = model.decode(step.denoised)
    truth = helix(16)
    for apart in (1, 2, 3):
        made = (atoms[:, apart:, 1] - atoms[:, :-apart, 1]).norm(dim=-1)
        wanted = float((truth[apart, 1] - truth[0, 1]).norm())
        assert float((made - wanted).abs().median()) < 0.4, apart
    # Right-handed: the triple product of three successive steps of CA is positive.
    a, b, c = (atoms[:, k + 1 : 13 + k, 1] - atoms[:, k : 12 + k, 1] for k in range(3))
    assert ((torch.linalg.cross(a, b) * c).sum(-1) > 0).float().mean() > 0.9


def test_an_expert_begins_with_the_weights_of_the_model_of_all(tmp_path, monkeypatch):
    rows = [(f"1A{k:02d}", "".join("ACDEFGHIKL"[(k + j) % 10] for j in range(40)), "H" * 40, whole_helix(40) + 200)
            for k in range(8)]  # fmt: skip
    write_database(tmp_path / "structure_db.dat", rows)
    monkeypatch.setattr("superdiff_engine.domains.proteins.data.TEST", 1)
    monkeypatch.setattr("superdiff_engine.domains.proteins.data.WIDEST", 100.0)
    monkeypatch.setattr(training, "checkpoints_folder", lambda: tmp_path / "none")
    monkeypatch.setattr(train, "ProteinNetwork", lambda: small_network(7).requires_grad_(True))
    began, asked = [], {"minutes": 1, "data": tmp_path, "out": tmp_path / "made"}

    def untrained(task, *_, begin):
        began.append({name: value.clone() for name, value in task.network.state_dict().items()})
        assert begin is None  # its minutes are its own
        return task.network, TrainingProgress(step=3, minutes=1.0)

    monkeypatch.setattr(training, "train", untrained)
    with pytest.raises(ModelError, match="train 'proteins' first"):
        trained(train.TRAININGS, "proteins_alpha", **asked)
    save_tiny(tmp_path / "made" / "proteins", "All", 3)
    folder = trained(train.TRAININGS, "proteins_alpha", **asked)
    for name, value in small_network(3).state_dict().items():
        assert torch.equal(began[0][name], value.half().float())
    assert "Began with | the weights of `proteins`" in (folder / "README.md").read_text()


def test_saved_models_come_back(tmp_path):
    net = small_network()
    settings = model.ProteinSettings(
        title="Test folds", description="for tests", network=net.settings, lengths={60: 1, 80: 2}
    )
    model.save_model(tmp_path / "tiny", net, settings)
    loaded = model.load_model(tmp_path / "tiny")
    assert loaded.settings == settings and "Test folds" in (tmp_path / "tiny" / "README.md").read_text()
    for name, value in loaded.network.state_dict().items():
        assert torch.equal(value, net.state_dict()[name].half().float())
    assert set(draw_sizes(settings.lengths, 50, 0)) == {60, 80}
    (tmp_path / "tiny" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks model\.safetensors"):
        model.load_model(tmp_path / "tiny", "cpu:0")
    with pytest.raises(ModelError, match=r"lacks config\.json"):
        model.load_model(tmp_path / "none")


def test_a_model_in_memory_is_read_again_when_its_file_changes(tmp_path, monkeypatch):
    """Written in place, with the same size and time."""
    name, assets = model.NAMES[0], tmp_path
    save_tiny(assets / name, "Tiny model", 0)
    monkeypatch.setattr(embedded, "assets_folder", lambda: assets)
    first = catalogue.find_model(name)
    assert catalogue.find_model(name) is first
    path = assets / name / "model.safetensors"
    stat, weights = path.stat(), load(path.read_bytes())
    content = save({key: value * 2 for key, value in weights.items()})
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    second = catalogue.find_model(name)
    for key, value in weights.items():
        assert torch.equal(first.network.state_dict()[key], value.float())
        assert torch.equal(second.network.state_dict()[key], value.float() * 2)
    settings = assets / name / "config.json"
    settings.write_text(settings.read_text().replace("Tiny model", "Tiny other", 1))
    assert [info.title for info in get_domain("proteins").models()] == ["Tiny other"]
