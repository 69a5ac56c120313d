"""Proteus' network: against recordings of its authors' code, its tensors, masks, graph and symmetries."""

from pathlib import Path

import numpy as np
import pytest
import torch
from official_layout import TINY_PROTEUS, proteus_checkpoint, proteus_state

from superdiff_engine import rotations
from superdiff_engine.domains.proteins.frames import backbone_of
from superdiff_engine.domains.proteins.se3.local_graph import nearest
from superdiff_engine.domains.proteins.se3.proteus import (
    ALPHA,
    ROTATION,
    ProteusNetwork,
    directions,
    planar_psi,
    torsions,
)
from superdiff_engine.domains.proteins.se3.proteus_names import (
    NAMES,
    REASONS,
    SEQUENCES,
    conf_settings,
    renamed,
    settings_from,
)
from superdiff_engine.errors import ModelError
from superdiff_engine.system import inert

RECORDED = Path(__file__).parent.parent / "recordings" / "proteus.npz"
#: Chains padded together, longer than the 32 neighbours, and the time of each.
CASES = [((36, 52), (0.01, 1.0)), ((100,), (0.3,))]
#: Largest relative difference seen, of norms: 2e-6 of frames, 1e-5 of scores. Given an estimate before, the authors'
#: code in float32 and in float64 differ by 2e-3.
RELATIVE = 2e-5


def loaded(weights):
    ours, _ = renamed(weights)
    network = ProteusNetwork(**settings_from(ours))
    network.load_state_dict(ours)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def published():
    """The network at its published size, with the weights of the recordings."""
    return loaded(proteus_state())


@pytest.fixture
def tiny():
    network = loaded(proteus_state(TINY_PROTEUS))
    for edge in network.edges:
        edge.neighbours = 4
    return network


def noisy(lengths=(7, 11), seed=0):
    """Rotations, positions (Angstrom, centred), mask and memory of chains of these lengths."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    mask = torch.arange(shape[1]) < torch.tensor(lengths).unsqueeze(1)
    places, before = (8 * torch.randn(*shape, 3, generator=generator) for _ in range(2))
    turns, turned = (rotations.uniform(shape, generator, torch.float32) for _ in range(2))
    return turns, places, mask, {ROTATION: turned, ALPHA: before}


def padded(recorded, lengths, times, name):
    """Rows of chains, 0 behind the shorter."""
    rows = [torch.from_numpy(recorded[name.format(*case)]) for case in zip(lengths, times, strict=True)]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def difference(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize(("lengths", "times"), CASES)
def test_what_its_authors_code_makes_of_the_same_weights_is_made(published, lengths, times):
    recorded = np.load(RECORDED)
    w, xyz = padded(recorded, lengths, times, "quaternion {}").split([1, 3], -1)
    cross = rotations.hat(xyz)
    rotation = torch.eye(3) + 2 * (w.unsqueeze(-1) * cross + cross @ cross)
    positions = padded(recorded, lengths, times, "positions {}")
    mask = torch.arange(positions.shape[1]) < torch.tensor(lengths).unsqueeze(1)
    memory = None
    for name in ("first", "again"):
        found = published(rotation, positions, torch.tensor(times), mask, memory)
        memory = {
            ROTATION: padded(recorded, lengths, times, "rotation first {} {}"),
            ALPHA: padded(recorded, lengths, times, "alpha first {} {}"),
        }
        for row, (length, t) in enumerate(zip(lengths, times, strict=True)):
            expected = {
                kind: torch.from_numpy(recorded[f"{kind} {name} {length} {t}"])
                for kind in ("rotation", "alpha", "position score", "rotation score")
            }
            clean, alpha = found.rotation[row, :length], found.positions[row, :length]
            assert difference(clean, expected["rotation"]) < RELATIVE
            assert difference(alpha, expected["alpha"]) < RELATIVE
            # Their scores follow from the frames: positions in units of 10 Angstrom, rotations in the body frame.
            b = 0.1 * t + 0.5 * (20 - 0.1) * t**2
            shrink, variance = np.exp(-b / 2), 1 - np.exp(-b)
            score = -(positions[row, :length] - shrink * alpha) / 10 / variance
            assert difference(score, expected["position score"]) < RELATIVE
            if t > 0.01:  # There, their series of the heat kernel is lost in rounding at the angles that are met.
                # Their levels are tabulated at 1,000 times, of which the one below is taken.
                at = np.floor(999 * t) / 999
                level = np.log(at * np.exp(1.5) + (1 - at) * np.exp(0.1))
                between = clean.double().transpose(-1, -2) @ rotation[row, :length].double()
                # They divide the slope of the density by the density and 1e-4, against a uniform one.
                density = rotations.igso3_log_density(rotations.logarithm(between).norm(dim=-1), level**2).exp()
                score = rotations.igso3_score(between, level**2) * (density / (density + 1e-4)).unsqueeze(-1)
                assert difference(score, expected["rotation score"]) < RELATIVE


def test_an_estimate_before_is_heard_and_answers_are_the_same_each_time(tiny):
    rotation, positions, mask, memory = noisy()
    times = torch.full((2,), 0.4)
    first = tiny(rotation, positions, times, mask)
    again = tiny(rotation, positions, times, mask, memory)
    assert (first.positions - again.positions)[mask].abs().max() > 0.1
    assert torch.equal(tiny(rotation, positions, times, mask, memory).positions, again.positions)
    assert again.memory.keys() == memory.keys()
    # All of the memory is what was said.
    assert torch.equal(again.memory[ROTATION], again.rotation)
    assert torch.equal(again.memory[ALPHA], again.positions)
    assert (tiny(rotation, positions, times / 2, mask).positions - first.positions)[mask].abs().max() > 0.1


def test_a_padded_chain_comes_out_as_alone(tiny):
    rotation, positions, mask, memory = noisy((7, 11, 3))
    times = torch.tensor([0.9, 0.2, 0.5])
    together = tiny(rotation, positions, times, mask, memory)
    for row, length in enumerate((7, 11, 3)):
        own = slice(row, row + 1), slice(None, length)
        before = {name: value[own] for name, value in memory.items()}
        alone = tiny(rotation[own], positions[own], times[row : row + 1], mask[own], before)
        for name in ("rotation", "positions", "psi"):
            torch.testing.assert_close(getattr(together, name)[own], getattr(alone, name), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together.positions[~mask], positions[~mask])


def test_turning_and_shifting_what_comes_in_turns_and_shifts_what_goes_out(tiny):
    rotation, positions, mask, memory = noisy()
    turn = rotations.uniform((1,), torch.Generator().manual_seed(5), torch.float32)
    shift = torch.tensor([3.0, -20.0, 7.0])
    times = torch.tensor([0.1, 1.0])
    plain = tiny(rotation, positions, times, mask)
    moved = tiny(turn @ rotation, positions @ turn[0].T + shift, times, mask)
    torch.testing.assert_close(moved.rotation, turn @ plain.rotation, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(moved.positions, plain.positions @ turn[0].T + shift, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(moved.psi[mask], plain.psi[mask], rtol=1e-2, atol=1e-2)
    # What it reads of an estimate before depends on the axes, as its authors' does, but for torsions after the first.
    before, turned = memory[ALPHA], memory[ALPHA] @ turn[0].T
    seen = directions(memory[ROTATION], before), torsions(memory[ROTATION], before)[:, 1:]
    after = directions(turn @ memory[ROTATION], turned), torsions(turn @ memory[ROTATION], turned)[:, 1:]
    assert (seen[0] - after[0]).abs().max() > 0.1
    torch.testing.assert_close(seen[1], after[1], rtol=1e-3, atol=1e-3)


def test_the_nearest_are_those_of_a_search_one_by_one():
    _, positions, mask, _ = noisy((12, 20))
    found = nearest(positions, mask, 6)
    for row, length in enumerate((12, 20)):
        for residue in range(length):
            far = (positions[row, :length] - positions[row, residue]).norm(dim=-1)
            expected = [other for other in far.argsort().tolist() if other != residue][:6]
            assert found[row, residue].tolist() == expected
    # Fewer residues than neighbours: the residue itself comes last, and after it those that are not there.
    few = nearest(positions[:, :5], torch.arange(5) < torch.tensor([[3], [5]]), 32)
    assert few.shape == (2, 5, 5)
    assert few[0, 1, 2] == 1
    assert few[1, 1, 4] == 1


def test_torsions_and_psi_are_those_of_the_atoms():
    rotation, positions, _, _ = noisy((9,), seed=3)
    n, alpha, c, o = backbone_of(rotation, positions).double()[0].unbind(1)

    def torsion(a, b, c, d):
        """Of four points, counted as in IUPAC 1970: by the normals of two planes."""
        first, axis, last = b - a, c - b, d - c
        one, two = torch.linalg.cross(first, axis), torch.linalg.cross(axis, last)
        sine = (torch.linalg.cross(one, two) * axis).sum(-1) / axis.norm(dim=-1)
        found = torch.stack([sine, (one * two).sum(-1)], -1)
        return (found / found.norm(dim=-1, keepdim=True)).float()

    found = torsions(rotation, positions)[0]
    torch.testing.assert_close(found[1:, 0], torsion(alpha[:-1], c[:-1], n[1:], alpha[1:]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[1:, 1], torsion(c[:-1], n[1:], alpha[1:], c[1:]), rtol=1e-4, atol=1e-4)
    assert not found[:, 2:].any()
    # Of the first: the usual formula in float64, of a residue before whose atoms are all at the origin.
    along = n[0] / (n[0] @ n[0] + 1e-8).sqrt()
    rest = along * (along @ n[0]) - n[0]
    up = rest / (rest @ rest + 1e-8).sqrt()
    cosine = (alpha[0] - n[0]) @ up
    expected = torch.stack([torch.zeros_like(cosine), cosine / (cosine.square() + 1e-8).sqrt()])
    torch.testing.assert_close(found[0, 0].double(), expected, rtol=1e-3, atol=1e-5)
    assert expected.abs().max() > 1e-3
    psi = planar_psi(rotation, positions, torch.ones(1, 9, dtype=torch.bool))[0]
    # To the next N, half a turn from O.
    torch.testing.assert_close(psi, -torsion(n, alpha, c, o), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(psi[:-1], torsion(n[:-1], alpha[:-1], c[:-1], n[1:]), rtol=1e-4, atol=1e-4)


def test_the_published_size_has_517_tensors_of_19_81_million_numbers_and_all_that_act_load_strictly(published):
    weights = proteus_state()
    assert len(weights) == 517
    assert sum(value.numel() for value in weights.values()) == 19_814_876
    ours, left_out = renamed({f"module.{name}": value for name, value in weights.items()})
    assert ours.keys() == published.state_dict().keys()
    assert (len(ours), len(left_out)) == (467, 50)
    assert sum(value.numel() for value in ours.values()) == 19_181_112
    assert {NAMES.theirs(name) for name in ours} | set(left_out) == weights.keys()
    assert all(REASONS.values())


def test_a_checkpoint_in_its_authors_layout_is_read_without_running_it(tmp_path):
    proteus_checkpoint(tmp_path / "paper_weights.pt", tiny=True)
    ours, _ = renamed(inert.tensors_of(inert.read(tmp_path / "paper_weights.pt"), "model"))
    assert settings_from(ours).items() >= TINY_PROTEUS.items()
    expected = loaded(proteus_state(TINY_PROTEUS)).state_dict()
    assert all(torch.equal(ours[name], value) for name, value in expected.items())


def test_tensors_that_do_not_fit_are_named_exactly_and_those_of_sequences_left_out():
    weights = proteus_state(TINY_PROTEUS)
    sequences = [f"{SEQUENCES[0]}esm.layers.0.self_attn.k_proj.weight", f"{SEQUENCES[1]}mha.linear_q.weight"]
    _, left_out = renamed(weights | dict.fromkeys(sequences, torch.zeros(2)))
    assert set(sequences) <= set(left_out)
    weights["msa_transformer.linear.weight"] = torch.zeros(3)
    weights["embedding_layer.ss_embedder.bias"] = torch.zeros(7)
    del weights["score_model.trunk.edge_transition_1.mha_end.linear_g.bias"]
    with pytest.raises(ModelError) as error:
        renamed(weights)
    assert "missing: score_model.trunk.edge_transition_1.mha_end.linear_g.bias;" in str(error.value)
    assert "surplus: msa_transformer.linear.weight;" in str(error.value)
    assert "of a wrong shape: embedding_layer.ss_embedder.bias is 7 instead of 16)" in str(error.value)


def test_what_no_tensor_tells_is_read_off_the_settings_of_the_training():
    local = {"k_neighbour": 24, "k_linear": 0}
    model = {"ipa": {"seq_tfmr_num_heads": 2, "local_triangle_attention_new": local}, "embed": None}
    assert conf_settings(model) == {"chain_heads": 2, "neighbours": 24}
    assert conf_settings({}) == {}
    with pytest.raises(ModelError, match=r"model\.ipa\.local_triangle_attention_new\.k_linear = 16, not 0"):
        conf_settings({"ipa": {"local_triangle_attention_new": {"k_linear": 16}}})
    with pytest.raises(ValueError, match="neighbours"):
        conf_settings({"ipa": {"local_triangle_attention_new": {"k_neighbour": 2.5}}})
