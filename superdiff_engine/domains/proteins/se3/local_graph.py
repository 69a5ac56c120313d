r"""How Proteus brings pairs up to date: triangles, and attention to the nearest residues (Wang et al. 2024, ICML).

Pairs e_ij of all residues go through four updates, each added to what came in:

    e_ij += out(sum_k a_ik b_jk),  e_ij += out(sum_k a_ki b_kj)         triangle products (Jumper et al. 2021,
                                                                        AlphaFold 2, Algorithms 11 and 12)
    e_ij += attention of e_ij to e_ik, over j and k near i              starting at i
    e_ji += attention of e_ji to e_ki, over j and k near i              ending at i

Near are the `neighbours` residues whose CA is nearest in the frames as they stand, the residue itself last of all; the
other pairs of i are left as they are. The choice is deterministic. The logits have a bias that depends on the pair of i
and k: its distance in radial functions, gated by what the two residues say. (The paper's figure has the bias of the
third side, of j and k; the authors' network, and hence their weights, read the pair of i and k.)

A pair with a residue that is not there is never near, so that chains of several lengths in one batch come out as they
do alone. (In the authors' code it is nearest of all; they sample one chain at a time, where it makes no difference.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Angstrom between the middles of radial functions, which is their width too; the first is at 0.
APART = 0.5
#: Distances, Angstrom, that a residue is given to itself, and to one that is not there: farther than any other.
ITSELF, NOWHERE = 1e9, 2e9


def nearest(positions: Tensor, mask: Tensor, neighbours: int) -> Tensor:
    """Which residues are nearest each, [B, N, K], with K the smaller of `neighbours` and N.

    Args:
        positions: of CA, Angstrom, [B, N, 3].
        mask: bool [B, N], True where there is a residue.
        neighbours: how many.
    """
    count = mask.shape[1]
    distance = (positions.unsqueeze(2) - positions.unsqueeze(1)).norm(dim=-1)
    distance = distance.masked_fill(torch.eye(count, dtype=torch.bool, device=mask.device), ITSELF)
    distance = distance.masked_fill(~mask.unsqueeze(1), NOWHERE)
    return distance.topk(min(neighbours, count), dim=-1, largest=False).indices


class TriangleProduct(nn.Module):
    """What a pair hears of the two other sides of all its triangles.

    Args:
        pair: width of pairs.
        hidden: width of the sides.
        outgoing: the sides start at the pair's residues; else they end there.
    """

    def __init__(self, pair: int, hidden: int, outgoing: bool) -> None:
        super().__init__()
        self.outgoing = outgoing
        self.norm = nn.LayerNorm(pair)
        self.first, self.first_gate = nn.Linear(pair, hidden), nn.Linear(pair, hidden)
        self.second, self.second_gate = nn.Linear(pair, hidden), nn.Linear(pair, hidden)
        self.sum_norm = nn.LayerNorm(hidden)
        self.out, self.gate = nn.Linear(hidden, pair), nn.Linear(pair, pair)

    def forward(self, e: Tensor, together: Tensor) -> Tensor:
        """What is added to e [B, N, N, E], with bool `together` [B, N, N, 1] where both residues are there."""
        e = self.norm(e)
        # [B, hidden, N, N]: a matrix product for each number of the hidden layer.
        a = (self.first(e) * self.first_gate(e).sigmoid() * together).permute(0, 3, 1, 2)
        b = (self.second(e) * self.second_gate(e).sigmoid() * together).permute(0, 3, 1, 2)
        sums = a @ b.transpose(2, 3) if self.outgoing else a.transpose(2, 3) @ b
        return self.out(self.sum_norm(sums.permute(0, 2, 3, 1))) * self.gate(e).sigmoid()


class NeighbourAttention(nn.Module):
    """Gated attention of a residue's pairs to each other.

    Args:
        pair: width of pairs.
        heads: of attention.
        channels: a head.
    """

    def __init__(self, pair: int, heads: int, channels: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(pair, heads * channels, bias=False) for _ in range(3))
        self.gate, self.out = nn.Linear(pair, heads * channels), nn.Linear(heads * channels, pair)

    def forward(self, e: Tensor, bias: Tensor, there: Tensor) -> Tensor:
        """What is added to e [B, N, K, E], of biases [B, N, K, H] and bool `there` [B, N, K] of the keys."""
        q, k, v = (
            layer(e).unflatten(-1, (self.heads, -1)).transpose(2, 3) for layer in (self.query, self.key, self.value)
        )
        logits = bias.masked_fill(~there.unsqueeze(-1), -1e9).to(q).transpose(2, 3).unsqueeze(3)
        heard = functional.scaled_dot_product_attention(q, k, v, logits)
        return self.out(heard.transpose(2, 3).flatten(3) * self.gate(e).sigmoid())


class TriangleUpdate(nn.Module):
    """Pairs brought up to date by triangles, and by attention on the graph of the nearest residues.

    Args:
        width: of residues.
        pair: width of pairs.
        radial: functions of a distance.
        narrow: numbers of each residue that gate the functions of their distance.
        hidden: width of the sides in triangle products.
        heads: of attention.
        channels: a head of it.
        neighbours: of a residue.
    """

    def __init__(
        self, width: int, pair: int, radial: int, narrow: int, hidden: int, heads: int, channels: int, neighbours: int
    ) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.left, self.right = nn.Linear(width, narrow), nn.Linear(width, narrow)
        self.gate = nn.Linear(narrow * narrow, pair)
        self.radial = nn.Linear(radial, pair)
        self.bias = nn.Linear(pair, heads, bias=False)
        self.outgoing, self.incoming = TriangleProduct(pair, hidden, True), TriangleProduct(pair, hidden, False)
        self.norm = nn.LayerNorm(pair)
        self.starting, self.ending = (NeighbourAttention(pair, heads, channels) for _ in range(2))

    def forward(self, h: Tensor, e: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """E [B, N, N, E] anew, 0 where a residue is not there.

        Args:
            h: residues, [B, N, D].
            e: pairs before, [B, N, N, E].
            positions: of CA, Angstrom, [B, N, 3].
            mask: bool [B, N], True where there is a residue.
        """
        together = (mask.unsqueeze(2) & mask.unsqueeze(1)).unsqueeze(-1)
        bias = self._bias(h, positions)
        e = e + self.outgoing(e, together)
        e = e + self.incoming(e, together)
        near = nearest(positions, mask, self.neighbours)
        there = mask.unsqueeze(1).expand(-1, mask.shape[1], -1).gather(2, near)
        e = self._heard(self.starting, e, bias, near, there)
        e = self._heard(self.ending, e.transpose(1, 2), bias.transpose(1, 2), near, there).transpose(1, 2)
        return e * together

    def _heard(self, attention: NeighbourAttention, e: Tensor, bias: Tensor, near: Tensor, there: Tensor) -> Tensor:
        """E [B, N, N, E] after each residue's pairs with those near it, [B, N, K], have heard each other."""
        local = near.unsqueeze(-1)
        own = self.norm(e.gather(2, local.expand(-1, -1, -1, e.shape[-1])))
        heard = attention(own, bias.gather(2, local.expand(-1, -1, -1, bias.shape[-1])), there)
        return e.scatter_add(2, local.expand_as(heard), heard.to(e))

    def _bias(self, h: Tensor, positions: Tensor) -> Tensor:
        """Biases [B, N, N, H] of pairs."""
        distance = (positions.unsqueeze(2) - positions.unsqueeze(1)).norm(dim=-1, keepdim=True)
        middles = APART * torch.arange(self.radial.in_features, dtype=distance.dtype, device=distance.device)
        functions = self.radial((-((distance - middles) / APART).square()).exp())
        # The gate is linear in the products of all numbers of the one with all of the other: left, then right.
        left, right = self.left(h), self.right(h)
        weight = self.gate.weight.view(-1, left.shape[-1], right.shape[-1])
        gate = torch.einsum("bncj,bmj->bnmc", torch.einsum("bni,cij->bncj", left, weight), right) + self.gate.bias
        return self.bias(functions * gate.sigmoid())
