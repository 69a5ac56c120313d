r"""The network of molecules: atoms, pairs of atoms and positions, each updated in every layer.

    atom  h_i   <- attention over atoms, biased by pairs and reading them, then an MLP; level and prompt modulate both
    pair  e_ij  <- MLP(e_ij, h_i + h_j, h_i h_j, radial functions of |x_i - x_j|), symmetric in i and j
    point x_i   <- x_i + sum_j w(e_ij) (x_i - x_j) / (|x_i - x_j| + 1)

Rotations, reflections and shifts of the input rotate, reflect and leave the output: positions enter by distances and
leave along differences (E(n) equivariance, Satorras et al. 2021, arXiv 2102.09844; pairs that carry bonds: JODO, Huang
et al. 2023, arXiv 2305.12347; MiDi, Vignac et al. 2023, arXiv 2302.09048). Without self-conditioning: then the score
would depend on the path that led to y, and have no density.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..layers import bells, modulated
from .atoms import ELEMENTS

#: Centres of the radial functions, in units of scaled distance, and their width.
RADIAL, FARTHEST = 40, 5.0


class Layer(nn.Module):
    """One update of atoms, pairs and positions."""

    def __init__(self, width: int, pair: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.modulation = nn.Linear(width, 6 * width)
        self.pair_modulation = nn.Linear(width, 2 * pair)
        self.queries = nn.Linear(width, 3 * width)
        self.bias = nn.Linear(pair, heads)
        self.out = nn.Linear(width + heads * pair, width)
        self.sums = nn.Linear(pair, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        self.to_pair = nn.Linear(width, 2 * pair)
        self.radial = nn.Linear(RADIAL + 1, pair)
        self.pair_in, self.pair_out = nn.Linear(pair, 2 * pair), nn.Linear(2 * pair, pair)
        self.pull = nn.Linear(2 * pair, 1, bias=False)
        for last in (self.modulation, self.pair_modulation, self.pull, self.pair_out, self.sums):
            nn.init.zeros_(last.weight)
            if last.bias is not None:
                nn.init.zeros_(last.bias)

    def forward(
        self, h: Tensor, e: Tensor, x: Tensor, condition: Tensor, pairs: Pairs
    ) -> tuple[Tensor, Tensor, Tensor]:
        """H [B, N, D], e [B, P, C], x [B, N, 3], condition [B, D]; the same shapes again."""
        batch, atoms, width = h.shape
        shift, scale, gate, shift2, scale2, gate2 = self.modulation(condition).unsqueeze(1).chunk(6, -1)
        asked = self.queries(modulated(h, shift, scale))
        q, k, v = asked.view(batch, atoms, 3, self.heads, -1).permute(2, 0, 3, 1, 4).contiguous()
        logits = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + pairs.square(self.bias(e)).permute(0, 3, 1, 2)
        weights = logits.masked_fill(~pairs.there.unsqueeze(1), -1e4).softmax(-1).to(e.dtype)
        # Attention reads means, and valence is a sum: one more head adds up, over all the other atoms.
        adding = torch.cat([weights.transpose(1, 2), pairs.there.unsqueeze(2).to(e.dtype) / 4], 2)
        read = adding @ pairs.square(e)  # [B, N, heads + 1, C]
        heard = (weights @ v).transpose(1, 2).reshape(batch, atoms, width)
        # `out` of the means and `sums` of the sum, in one product.
        both = torch.cat([self.out.weight, self.sums.weight], 1)
        told = functional.linear(torch.cat([heard, read.flatten(2)], -1), both, self.out.bias)
        h = torch.addcmul(h, 1 + gate, told)
        h = torch.addcmul(h, 1 + gate2, self.mlp(modulated(h, shift2, scale2)))
        difference, distance = pairs.differences(x)
        a, b = self.to_pair(h).chunk(2, -1)
        mixed = self.radial(radial(distance)) + e
        mixed += pairs.first_of(a)
        mixed += pairs.second_of(a)
        mixed.addcmul_(pairs.first_of(b), pairs.second_of(b))
        pair_shift, pair_scale = self.pair_modulation(condition).unsqueeze(1).chunk(2, -1)
        inner = functional.silu(self.pair_in(modulated(mixed, pair_shift, pair_scale)))
        e = e + self.pair_out(inner)
        # Not in half precision: small differences of positions decide bond lengths.
        pull = self.pull(inner).to(x) * difference / (distance + 1)
        return h, e, x + pairs.pulled(pull)


@dataclass(frozen=True)
class Pairs:
    """The pairs i < j of N atoms, P of them: what is symmetric is computed once a pair.

    Attributes:
        first: int64 [P], i of each pair.
        second: int64 [P], j.
        number: int64 [N * N], which pair (i, j) or (j, i) is; 0 for i = j.
        there: bool [B, N, N], whether both atoms exist and differ.
        count: atoms of each molecule, [B, 1, 1].
    """

    first: Tensor
    second: Tensor
    number: Tensor
    there: Tensor
    count: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> Pairs:
        """Of the atoms that exist, bool [B, N]."""
        first, second, number, apart = _numbered(mask.shape[1], mask.device)
        there = mask.unsqueeze(1) & mask.unsqueeze(2) & apart
        return cls(first, second, number, there, mask.sum(1).view(-1, 1, 1))

    def square(self, values: Tensor) -> Tensor:
        """[B, N, N, C] of values [B, P, C]; the diagonal means nothing."""
        atoms = self.there.shape[1]
        return values.index_select(1, self.number).unflatten(1, (atoms, atoms))

    def first_of(self, values: Tensor) -> Tensor:
        """[B, P, C] of values [B, N, C]."""
        return values.index_select(1, self.first)

    def second_of(self, values: Tensor) -> Tensor:
        """[B, P, C] of values [B, N, C]."""
        return values.index_select(1, self.second)

    def differences(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(x_i - x_j [B, P, 3], its length [B, P, 1], smooth at 0) of x [B, N, 3]."""
        difference = self.first_of(x) - self.second_of(x)
        return difference, (difference.square().sum(-1, keepdim=True) + 1e-8).sqrt()

    def pulled(self, pull: Tensor) -> Tensor:
        """[B, N, 3]: the sum over each atom's pairs of pull [B, P, 3] on i and its opposite on j, by atoms."""
        pull = pull * self.there[:, self.first, self.second].unsqueeze(-1)
        still = pull.new_zeros(len(pull), self.there.shape[1], 3)
        return (still.index_add(1, self.first, pull) - still.index_add(1, self.second, pull)) / self.count


@lru_cache(maxsize=64)
def _numbered(atoms: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(first, second, number) as `Pairs` has them, and which atoms differ, bool [N, N]."""
    first, second = torch.triu_indices(atoms, atoms, 1, device=device)
    number = torch.zeros(atoms, atoms, dtype=torch.int64, device=device)
    number[first, second] = number[second, first] = torch.arange(len(first), device=device)
    return first, second, number.flatten(), ~torch.eye(atoms, dtype=torch.bool, device=device)


def radial(distance: Tensor) -> Tensor:
    """Gaussians of distances [..., 1] and the distance itself, [..., RADIAL + 1]."""
    return torch.cat([bells(distance, RADIAL, FARTHEST), distance / FARTHEST], -1)


class MoleculeNetwork(nn.Module):
    """F of Karras et al.'s preconditioning, for positions, types and bonds at once.

    Args:
        classes: how many classes each property has, "nothing asked" included.
        width: of atoms.
        pair: width of pairs.
        layers: how many.
        heads: of attention.
        most_atoms: the largest molecule it will see.
    """

    def __init__(
        self,
        classes: Sequence[int],
        width: int = 256,
        pair: int = 64,
        layers: int = 8,
        heads: int = 8,
        most_atoms: int = 29,
    ) -> None:
        super().__init__()
        self.settings = {
            "classes": list(classes), "width": width, "pair": pair, "layers": layers, "heads": heads,
            "most_atoms": most_atoms,
        }  # fmt: skip
        self.level = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.size = nn.Embedding(most_atoms + 1, width)
        self.prompts = nn.ModuleList(nn.Embedding(count, width) for count in classes)
        self.atom_in = nn.Linear(len(ELEMENTS), width)
        self.pair_in = nn.Linear(1 + RADIAL + 1, pair)
        self.layers = nn.ModuleList(Layer(width, pair, heads) for _ in range(layers))
        self.types_out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, len(ELEMENTS)))
        self.bonds_out = nn.Sequential(nn.LayerNorm(pair), nn.Linear(pair, 1))
        for prompt in self.prompts:
            nn.init.normal_(prompt.weight, std=0.1)  # type: ignore[arg-type]

    def forward(
        self, positions: Tensor, types: Tensor, bonds: Tensor, log_level: Tensor, prompts: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The three parts of F.

        Args:
            positions: scaled to unit variance, [B, N, 3].
            types: likewise, [B, N, 5].
            bonds: likewise and symmetric, [B, N, N].
            log_level: ln s, [B].
            prompts: int64 classes, [B, properties].
            mask: bool [B, N], where there is an atom; at least two of each molecule.

        Returns:
            Of the shapes of positions, types and bonds; what they say of masked atoms means nothing.
        """
        pairs = Pairs.of(mask)
        condition = self.level(_waves(log_level)) + self.size(pairs.count.flatten())
        for prompt, asked in zip(self.prompts, prompts.T, strict=True):
            condition = condition + prompt(asked)
        condition = functional.silu(condition)
        x = positions
        h = self.atom_in(types)
        given = bonds[:, pairs.first, pairs.second].unsqueeze(-1)
        e = self.pair_in(torch.cat([given, radial(pairs.differences(x)[1])], -1))
        for layer in self.layers:
            h, e, x = layer(h, e, x, condition, pairs)
        return x - positions, self.types_out(h), pairs.square(self.bonds_out(e)).squeeze(-1)


def _waves(log_level: Tensor) -> Tensor:
    """[B, 64]: sines and cosines of ln s / 4 at frequencies from 1 to 30, smooth enough for a density."""
    frequencies = torch.logspace(0, 1.5, 32, dtype=log_level.dtype, device=log_level.device)
    angles = (log_level / 4).unsqueeze(1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)
