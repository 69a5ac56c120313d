"""What the networks compute in few passes over memory is what their formulas say."""

import math

import pytest
import torch

from superdiff_engine import rotations
from superdiff_engine.domains import layers
from superdiff_engine.domains.molecules import network as molecules
from superdiff_engine.domains.proteins import network as proteins


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def untrained(module, seed=0):
    """In float64, with nothing left at zero."""
    torch.manual_seed(seed)
    for value in module.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return module.double().requires_grad_(False)


def test_normalised_and_modulated_are_the_formulas():
    x, shift, scale = noise(2, 5, 7), noise(2, 1, 7, seed=1), noise(2, 1, 7, seed=2)
    deviation = x.var(-1, unbiased=False, keepdim=True).add(1e-5).sqrt()
    plain = (x - x.mean(-1, keepdim=True)) / deviation
    torch.testing.assert_close(layers.normalised(x), plain)
    torch.testing.assert_close(layers.modulated(x, shift, scale), plain * (1 + scale) + shift)


def test_bells_are_gaussians_that_never_underflow():
    distance = torch.tensor([[0.0], [1.3], [400.0]])
    found = layers.bells(distance, 24, 3.0)
    centres = torch.linspace(0, 3.0, 24)
    width = 3.0 / 23
    torch.testing.assert_close(found[:2], (-0.5 * ((distance - centres) / width) ** 2).clamp_min(-80).exp()[:2])
    assert (found[2] == torch.tensor(-80.0).exp()).all()


def test_a_layer_of_molecules_reads_means_and_sums_through_their_own_weights():
    width, pair, heads, atoms = 12, 4, 3, 5
    layer = untrained(molecules.Layer(width, pair, heads))
    mask = torch.arange(atoms) < torch.tensor([5, 4]).unsqueeze(1)
    pairs = molecules.Pairs.of(mask)
    h, x, condition = noise(2, atoms, width), noise(2, atoms, 3, seed=1), noise(2, width, seed=2)
    e = noise(2, atoms * (atoms - 1) // 2, pair, seed=3)
    told = layer(h, e, x, condition, pairs)
    shift, scale, gate, shift2, scale2, gate2 = layer.modulation(condition).unsqueeze(1).chunk(6, -1)
    plain = torch.nn.functional.layer_norm
    q, k, v = layer.queries(plain(h, (width,)) * (1 + scale) + shift).view(2, atoms, 3, heads, -1).unbind(2)
    square = torch.zeros(2, atoms, atoms, pair, dtype=torch.float64)
    square[:, pairs.first, pairs.second] = square[:, pairs.second, pairs.first] = e
    logits = torch.einsum("bihc,bjhc->bhij", q, k) / math.sqrt(width / heads) + layer.bias(square).permute(0, 3, 1, 2)
    weights = logits.masked_fill(~pairs.there.unsqueeze(1), -torch.inf).softmax(-1).nan_to_num(0.0)
    heard = torch.einsum("bhij,bjhc->bihc", weights, v).flatten(2)
    read = torch.einsum("bhij,bijc->bihc", weights, square).flatten(2)
    added = torch.einsum("bij,bijc->bic", pairs.there.double() / 4, square)
    expected = h + (1 + gate) * (layer.out(torch.cat([heard, read], -1)) + layer.sums(added))
    expected = expected + (1 + gate2) * layer.mlp(plain(expected, (width,)) * (1 + scale2) + shift2)
    torch.testing.assert_close(told[0][mask], expected[mask])
    a, b = layer.to_pair(expected).chunk(2, -1)
    i, j = pairs.first, pairs.second
    distance = ((x[:, i] - x[:, j]).square().sum(-1, keepdim=True) + 1e-8).sqrt()
    radial = layer.radial(molecules.radial(distance).double())
    mixed = e + a[:, i] + a[:, j] + b[:, i] * b[:, j] + radial
    shift, scale = layer.pair_modulation(condition).unsqueeze(1).chunk(2, -1)
    inner = torch.nn.functional.silu(layer.pair_in(plain(mixed, (pair,)) * (1 + scale) + shift))
    there = mask[:, i] & mask[:, j]
    torch.testing.assert_close(told[1][there], (e + layer.pair_out(inner))[there], rtol=1e-6, atol=1e-6)
    pull = layer.pull(inner) * (x[:, i] - x[:, j]) / (distance + 1)
    moved = x.clone()
    for sample in range(2):
        for pair in range(len(i)):
            if there[sample, pair]:
                moved[sample, i[pair]] += pull[sample, pair] / mask[sample].sum()
                moved[sample, j[pair]] -= pull[sample, pair] / mask[sample].sum()
    torch.testing.assert_close(told[2], moved, rtol=1e-6, atol=1e-6)


def test_attention_of_proteins_is_alphafolds_algorithm_22():
    width, pair, heads, points, residues = 12, 4, 3, 2, 6
    attention = untrained(proteins.PointAttention(width, pair, heads, points)).float()
    other = untrained(proteins.PointAttention(width, pair, heads, points), seed=1).float()
    h, e = noise(2, residues, width).float(), noise(2, residues, residues, pair, seed=1).float()
    x = noise(2, residues, 3, seed=2).float()
    turned = rotations.uniform((2, residues), torch.Generator().manual_seed(3), torch.float32)
    frames = proteins.Frames(turned, x)
    there = torch.arange(residues) < torch.tensor([6, 4]).unsqueeze(1)
    # The second of two layers: biases are cut apart right.
    biases = proteins.biases_of([other, attention], e, there.view(2, 1, 1, -1))[1]
    found = attention(h, e, biases, frames)
    q, k, v = attention.scalars(h).view(2, residues, 3, heads, -1).unbind(2)
    own = attention.vectors(h).view(2, residues, 3, heads, points, 3)
    a, b, value = (torch.einsum("bnij,bnkhpj->bnkhpi", turned, own) + x[:, :, None, None, None]).unbind(2)
    apart = (a.unsqueeze(2) - b.unsqueeze(1)).square().sum((-1, -2)).permute(0, 3, 1, 2)
    sharp = torch.nn.functional.softplus(attention.sharpness).view(1, -1, 1, 1)
    logits = (
        torch.einsum("bihc,bjhc->bhij", q, k) / math.sqrt(width / heads)
        + attention.bias(e).permute(0, 3, 1, 2)
        - sharp * math.sqrt(2 / (9 * points)) / 2 * apart
    ) / math.sqrt(3)
    weights = logits.masked_fill(~there.view(2, 1, 1, -1), -torch.inf).softmax(-1)
    heard = torch.einsum("bhij,bjhc->bihc", weights, v).flatten(2)
    read = torch.einsum("bhij,bijc->bihc", weights, e).flatten(2)
    seen = torch.einsum("bhij,bjhpc->bihpc", weights, value) - x[:, :, None, None]
    seen = torch.einsum("bnji,bnhpj->bnhpi", turned, seen)
    lengths = (seen.square().sum(-1) + 1e-8).sqrt().flatten(2)
    expected = attention.out(torch.cat([heard, read, seen.flatten(2), lengths], -1))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)  # both in float32


@pytest.mark.parametrize("method", ["outside", "inside"])
def test_points_as_columns_are_the_same_points(method):
    frames = proteins.Frames(rotations.uniform((2, 4), torch.Generator().manual_seed(0)), noise(2, 4, 3))
    points = noise(2, 4, 5, 3, seed=1)
    found = getattr(frames, f"columns_{method}")(points.transpose(2, 3))
    torch.testing.assert_close(found, getattr(frames, method)(points).transpose(2, 3))
