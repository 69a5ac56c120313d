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

import torch
from torch import Tensor, nn
from torch.nn import functional

from .chemistry import ELEMENTS

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
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        self.to_pair = nn.Linear(width, 2 * pair)
        self.radial = nn.Linear(RADIAL + 1, pair)
        self.pair_in, self.pair_out = nn.Linear(pair, 2 * pair), nn.Linear(2 * pair, pair)
        self.pull = nn.Linear(2 * pair, 1, bias=False)
        for last in (self.modulation, self.pair_modulation, self.pull, self.pair_out):
            nn.init.zeros_(last.weight)
            if last.bias is not None:
                nn.init.zeros_(last.bias)

    def forward(
        self, h: Tensor, e: Tensor, x: Tensor, condition: Tensor, pairs: Tensor, count: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """H [B, N, D], e [B, N, N, P], x [B, N, 3], condition [B, D], pairs bool [B, N, N], count [B, 1, 1]."""
        batch, atoms, width = h.shape
        shift, scale, gate, shift2, scale2, gate2 = self.modulation(condition).unsqueeze(1).chunk(6, -1)
        normed = functional.layer_norm(h, (width,)) * (1 + scale) + shift
        q, k, v = self.queries(normed).view(batch, atoms, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        logits = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + self.bias(e).permute(0, 3, 1, 2)
        weights = logits.masked_fill(~pairs.unsqueeze(1), -1e4).softmax(-1).to(e.dtype)
        read = (weights.permute(0, 2, 1, 3) @ e).flatten(2)  # [B, N, heads * P]
        heard = (weights @ v).transpose(1, 2).reshape(batch, atoms, width)
        h = h + (1 + gate) * self.out(torch.cat([heard, read], -1))
        h = h + (1 + gate2) * self.mlp(functional.layer_norm(h, (width,)) * (1 + scale2) + shift2)
        difference = x.unsqueeze(2) - x.unsqueeze(1)
        distance = (difference.square().sum(-1, keepdim=True) + 1e-8).sqrt()
        a, b = self.to_pair(h).chunk(2, -1)
        mixed = e + a.unsqueeze(1) + a.unsqueeze(2) + b.unsqueeze(1) * b.unsqueeze(2) + self.radial(radial(distance))
        pair_shift, pair_scale = self.pair_modulation(condition)[:, None, None].chunk(2, -1)
        inner = functional.silu(
            self.pair_in(functional.layer_norm(mixed, mixed.shape[-1:]) * (1 + pair_scale) + pair_shift)
        )
        e = e + self.pair_out(inner)
        # Not in half precision: small differences of positions decide bond lengths.
        pull = self.pull(inner).to(x) * pairs.unsqueeze(-1)
        x = x + (pull * difference / (distance + 1)).sum(2) / count
        return h, e, x


def radial(distance: Tensor) -> Tensor:
    """Gaussians of distances [..., 1] and the distance itself, [..., RADIAL + 1]."""
    centres = torch.linspace(0, FARTHEST, RADIAL, device=distance.device)
    width = FARTHEST / (RADIAL - 1)
    return torch.cat([(-0.5 * ((distance - centres) / width).square()).exp(), distance / FARTHEST], -1)


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
        pairs = mask.unsqueeze(1) & mask.unsqueeze(2)
        pairs = pairs & ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        count = mask.sum(1).view(-1, 1, 1)
        condition = self.level(_waves(log_level)) + self.size(count.flatten())
        for prompt, asked in zip(self.prompts, prompts.T, strict=True):
            condition = condition + prompt(asked)
        condition = functional.silu(condition)
        x = positions
        distance = ((x.unsqueeze(2) - x.unsqueeze(1)).square().sum(-1, keepdim=True) + 1e-8).sqrt()
        h = self.atom_in(types)
        e = self.pair_in(torch.cat([bonds.unsqueeze(-1), radial(distance)], -1))
        for layer in self.layers:
            h, e, x = layer(h, e, x, condition, pairs, count)
        return x - positions, self.types_out(h), self.bonds_out(e).squeeze(-1)


def _waves(log_level: Tensor) -> Tensor:
    """[B, 64]: sines and cosines of ln s / 4 at frequencies from 1 to 30, smooth enough for a density."""
    frequencies = torch.logspace(0, 1.5, 32, dtype=log_level.dtype, device=log_level.device)
    angles = (log_level / 4).unsqueeze(1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)
