"""FrameDiff's network: against recordings of its authors' code, its tensors, masks and symmetries."""

from pathlib import Path

import numpy as np
import pytest
import torch
from official_layout import TINY_FRAMEDIFF, framediff_checkpoint, framediff_state

from superdiff_engine import rotations
from superdiff_engine.domains.proteins.se3 import points
from superdiff_engine.domains.proteins.se3.framediff import ALPHA, FrameDiffNetwork
from superdiff_engine.domains.proteins.se3.framediff_names import NAMES, conf_settings, renamed, settings_from
from superdiff_engine.errors import ModelError
from superdiff_engine.system import inert

RECORDED = Path(__file__).parent.parent / "recordings" / "framediff.npz"
CASES = ("large_plain", "large_again", "small_plain", "small_again", "small_middle")
#: Largest difference seen, over the largest number there: 4e-6; float32 itself is good to 1e-6 here.
RELATIVE = 2e-5


def loaded(weights):
    ours, _ = renamed(weights)
    network = FrameDiffNetwork(**settings_from(ours))
    network.load_state_dict(ours)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def published():
    """The network at its published size, with the weights of the recordings."""
    return loaded(framediff_state())


@pytest.fixture
def tiny():
    return loaded(framediff_state(TINY_FRAMEDIFF))


def noisy(lengths=(7, 11), seed=0):
    """Rotations, positions (Angstrom), mask and memory of chains of these lengths."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    mask = torch.arange(shape[1]) < torch.tensor(lengths).unsqueeze(1)
    places, before = (8 * torch.randn(*shape, 3, generator=generator) for _ in range(2))
    return rotations.uniform(shape, generator, torch.float32), places, mask, {ALPHA: before}


@pytest.mark.parametrize("case", CASES)
def test_what_its_authors_code_makes_of_the_same_weights_is_made(published, case):
    recorded = np.load(RECORDED)
    given = {name: torch.tensor(recorded[f"{case}/{name}"]) for name in ("rotation", "positions", "time", "mask")}
    alpha = f"{case}/{ALPHA}"
    previous = {ALPHA: torch.tensor(recorded[alpha])} if alpha in recorded else None
    found = published(**given, previous=previous)
    mask = given["mask"]
    for name in ("rotation", "positions", "psi"):
        expected = torch.tensor(recorded[f"{case}/clean_{name}"])[mask]
        difference = (getattr(found, name)[mask] - expected).abs().max() / expected.abs().max()
        assert difference < RELATIVE, (name, difference)
    # The network says something: frames are turned and moved by far more than that.
    assert (found.rotation - given["rotation"])[mask].abs().mean() > 0.1
    assert (found.positions - given["positions"])[mask].norm(dim=-1).mean() > 1


def test_time_and_memory_are_heard(tiny):
    rotation, positions, mask, memory = noisy()
    answers = [
        tiny(rotation, positions, torch.full((2,), time), mask, previous).positions
        for time, previous in ((0.3, None), (0.31, None), (0.3, memory))
    ]
    for other in answers[1:]:
        assert (answers[0] - other)[mask].abs().max() > 1e-3
    nothing = {ALPHA: torch.zeros_like(positions)}
    torch.testing.assert_close(tiny(rotation, positions, torch.full((2,), 0.3), mask, nothing).positions, answers[0])


def test_the_published_size_has_282_tensors_of_17_45_million_numbers_and_all_that_are_used_load_strictly(published):
    weights = framediff_state()
    assert len(weights) == 282
    assert round(sum(value.numel() for value in weights.values()) / 1e6, 2) == 17.45
    ours, left_out = renamed({f"module.{name}": value for name, value in weights.items()})
    assert ours.keys() == published.state_dict().keys()
    assert len(left_out) == 10
    assert all("linear_rbf" in name or "torsion_pred.linear_3" in name for name in left_out)
    assert {NAMES.theirs(name) for name in ours} | set(left_out) == weights.keys()
    # Without those that are never used, as the authors mean to publish it one day.
    assert renamed({name: value for name, value in weights.items() if name not in left_out})[1] == []


def test_a_checkpoint_in_its_authors_layout_is_read_without_running_it(tmp_path):
    framediff_checkpoint(tmp_path / "paper_weights.pth", tiny=True)
    read = inert.read(tmp_path / "paper_weights.pth")
    ours, _ = renamed(inert.tensors_of(read, "model"))
    assert settings_from(ours).items() >= TINY_FRAMEDIFF.items()
    expected = loaded(framediff_state(TINY_FRAMEDIFF)).state_dict()
    assert all(torch.equal(ours[name], value) for name, value in expected.items())


def test_tensors_that_do_not_fit_are_named_exactly():
    weights = framediff_state(TINY_FRAMEDIFF)
    weights["extra.weight"] = torch.zeros(3)
    weights["score_model.trunk.bb_update_1.linear.bias"] = torch.zeros(7)
    del weights["score_model.trunk.node_transition_0.ln.bias"]
    with pytest.raises(ModelError) as error:
        renamed(weights)
    assert "missing: score_model.trunk.node_transition_0.ln.bias;" in str(error.value)
    assert "surplus: extra.weight;" in str(error.value)
    assert "of a wrong shape: score_model.trunk.bb_update_1.linear.bias is 7 instead of 6)" in str(error.value)
    with pytest.raises(ModelError, match=r"missing: embedding_layer\.node_embedder\.0\.weight"):
        renamed({"something.else": torch.zeros(2)})
    shapeless = {**framediff_state(TINY_FRAMEDIFF), "score_model.trunk.ipa_0.head_weights": torch.zeros(())}
    with pytest.raises(ModelError, match="FrameDiff"):
        renamed(shapeless)


def test_what_no_tensor_tells_is_read_off_the_settings_of_the_training():
    model = {"embed": {"min_bin": 1e-3, "max_bin": 15.0}, "ipa": {"seq_tfmr_num_heads": 2, "coordinate_scaling": None}}
    assert conf_settings(model) == {"nearest": 1e-3, "farthest": 15.0, "chain_heads": 2}
    assert conf_settings({}) == {}
    assert conf_settings({"embed": 3, "ipa": {}}) == {}
    with pytest.raises(ValueError, match="heads"):
        FrameDiffNetwork(**TINY_FRAMEDIFF, chain_heads=5)


def test_chains_in_one_batch_come_out_as_they_do_alone(tiny):
    rotation, positions, mask, memory = noisy((7, 11))
    time = torch.tensor([0.2, 0.9])
    together = tiny(rotation, positions, time, mask, memory)
    alone = tiny(rotation[:1, :7], positions[:1, :7], time[:1], mask[:1, :7], {ALPHA: memory[ALPHA][:1, :7]})
    for name in ("rotation", "positions", "psi"):
        torch.testing.assert_close(getattr(together, name)[:1, :7], getattr(alone, name), rtol=1e-4, atol=1e-4)
    # Where there is no residue, frames stay.
    torch.testing.assert_close(together.positions[0, 7:], positions[0, 7:])
    torch.testing.assert_close(together.rotation[0, 7:], rotation[0, 7:])


def test_turning_and_shifting_all_that_enters_turns_and_shifts_what_leaves(tiny):
    rotation, positions, mask, memory = noisy()
    time = torch.tensor([0.2, 0.9])
    turn, shift = rotations.exponential(torch.tensor([0.7, -1.1, 0.4])), torch.tensor([3.0, -8.0, 5.0])
    found = tiny(rotation, positions, time, mask, memory)
    moved = tiny(turn @ rotation, positions @ turn.T + shift, time, mask, {ALPHA: memory[ALPHA] @ turn.T + shift})
    torch.testing.assert_close(moved.rotation[mask], (turn @ found.rotation)[mask], rtol=0, atol=1e-4)
    torch.testing.assert_close(moved.positions[mask], (found.positions @ turn.T + shift)[mask], rtol=0, atol=1e-3)
    torch.testing.assert_close(moved.psi[mask], found.psi[mask], rtol=0, atol=1e-4)
    torch.testing.assert_close(found.rotation @ found.rotation.mT, torch.eye(3).expand(2, 11, 3, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.memory[ALPHA], found.positions)


def test_a_few_rows_of_pairs_at_a_time_are_the_same_as_all_at_once(tiny, monkeypatch):
    rotation, positions, mask, memory = noisy()
    given = (rotation, positions, torch.tensor([0.2, 0.9]), mask, memory)
    expected = tiny(*given).positions
    monkeypatch.setattr(points, "PAIRS_AT_ONCE", 70)
    torch.testing.assert_close(tiny(*given).positions, expected)


def test_a_network_without_self_conditioning_has_no_distogram():
    network = loaded(framediff_state(TINY_FRAMEDIFF | {"bins": 0}))
    rotation, positions, mask, memory = noisy()
    time = torch.tensor([0.2, 0.9])
    assert torch.equal(
        network(rotation, positions, time, mask).positions, network(rotation, positions, time, mask, memory).positions
    )


def test_divergences_can_be_had_of_it(tiny):
    rotation, positions, mask, _ = noisy((5, 5))
    positions.requires_grad_()
    found = tiny(rotation, positions, torch.tensor([0.2, 0.9]), mask)
    (gradient,) = torch.autograd.grad(found.positions.sum(), positions)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_in_bfloat16_frames_stay_in_float32_and_nearly_the_same(tiny):
    rotation, positions, mask, memory = noisy()
    given = (rotation, positions, torch.tensor([0.2, 0.9]), mask, memory)
    expected = tiny(*given)
    with torch.autocast("cpu", torch.bfloat16):
        found = tiny(*given)
    for name, tolerance in (("rotation", 0.05), ("positions", 0.5), ("psi", 0.1)):
        value = getattr(found, name)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value[mask], getattr(expected, name)[mask], rtol=0, atol=tolerance)
    torch.testing.assert_close(found.rotation @ found.rotation.mT, torch.eye(3).expand(2, 11, 3, 3), rtol=0, atol=1e-5)
