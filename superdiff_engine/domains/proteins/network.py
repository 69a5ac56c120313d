r"""The network of proteins: residues that look at each other through their frames.

    residue h_i   <- invariant point attention over residues, biased by pairs and reading them; then an MLP
    frame   T_i   <- moved along its own axes by what h_i says: the estimate of the clean frame, refined layer by layer
    pair    e_ij  from the noisy frames: place along the chain, distance, direction and rotation of j seen from i

All that enters is seen from frames, and all that leaves is told along them: rotating and shifting the input rotates and
shifts the output (SE(3) equivariance). Invariant point attention: Jumper et al. 2021, AlphaFold 2, Algorithm 22; frames
that diffuse: Yim et al. 2023 (FrameDiff, arXiv 2302.02277). Without self-conditioning: then the score would depend on
the path that led to y, and have no density.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ... import rotations
from ..layers import bells, modulated, normalised

#: Farthest difference of places along the chain that pairs tell apart.
NEIGHBOURS = 32
#: Radial functions of distances, and the longest distance, in units of 10 Angstrom.
RADIAL, FARTHEST = 24, 3.0


def full_precision(device: torch.device) -> AbstractContextManager:
    """No autocast inside, on devices that have it; "meta", which computes nothing, has not."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


@dataclass(frozen=True)
class Frames:
    """Residue frames: rotations [B, N, 3, 3] and positions [B, N, 3]."""

    rotations: Tensor
    positions: Tensor

    def outside(self, points: Tensor) -> Tensor:
        """Points [B, N, P, 3], given in each residue's own frame, in the common one."""
        return points @ self.rotations.transpose(-1, -2) + self.positions.unsqueeze(2)

    def inside(self, points: Tensor) -> Tensor:
        """Points [B, N, P, 3], given in the common frame, in each residue's own."""
        return (points - self.positions.unsqueeze(2)) @ self.rotations

    # Products of 3 x 3 with 3 x P take a third of the time of P x 3 with 3 x 3 on a CPU.

    def columns_outside(self, points: Tensor) -> Tensor:
        """As `outside`, of points [B, N, 3, P]."""
        return self.rotations @ points + self.positions.unsqueeze(3)

    def columns_inside(self, points: Tensor) -> Tensor:
        """As `inside`, of points [B, N, 3, P]."""
        return self.rotations.transpose(-1, -2) @ (points - self.positions.unsqueeze(3))


class PointAttention(nn.Module):
    """Invariant point attention.

    Args:
        width: of residues.
        pair: width of pairs.
        heads: of attention.
        points: 3D points a head, of queries and keys and of values each.
    """

    def __init__(self, width: int, pair: int, heads: int, points: int) -> None:
        super().__init__()
        self.heads, self.points, self.channels = heads, points, width // heads
        self.scalars = nn.Linear(width, 3 * width)
        self.vectors = nn.Linear(width, 3 * heads * points * 3)
        self.bias = nn.Linear(pair, heads)
        self.sharpness = nn.Parameter(torch.full((heads,), math.log(math.e - 1)))
        self.out = nn.Linear(width + heads * pair + heads * points * 4, width)

    def forward(self, h: Tensor, e: Tensor, biases: Tensor, frames: Frames) -> Tensor:
        """H [B, N, D], pairs e [B, N, N, C], biases [B, H, N, N] as `biases_of` has them; the shape of h."""
        batch, count, _ = h.shape
        asked = self.scalars(h).view(batch, count, 3, self.heads, self.channels)
        q, k, v = asked.permute(2, 0, 3, 1, 4).contiguous()
        # Points in float32: their squared distances are differences of large numbers.
        placed = frames.columns_outside(self._own_points(h).float())
        placed = placed.view(batch, count, 3, 3, self.heads, self.points).permute(3, 0, 4, 1, 2, 5).flatten(4)
        a, b, value = placed  # [B, H, N, 3 P] each
        # Softmax takes a third of the sum of three terms, each by itself about of unit variance.
        weight = functional.softplus(self.sharpness).view(1, -1, 1, 1) / (2 * math.sqrt(3 * 4.5 * self.points))
        with full_precision(h.device):
            far = (weight * a.square().sum(-1, keepdim=True)) + (weight * b.square().sum(-1, keepdim=True)).mT
            far -= (2 * weight * a) @ b.mT
        logits = (q / math.sqrt(3 * self.channels)) @ k.mT
        logits += biases
        weights = (logits - far).softmax(-1)
        heard = (weights.to(v) @ v).transpose(1, 2).flatten(2)
        with full_precision(h.device):
            seen = (weights.float() @ value).view(batch, self.heads, count, 3, self.points)
        seen = frames.columns_inside(seen.permute(0, 2, 3, 1, 4).flatten(3))
        read = (weights.to(e).permute(0, 2, 1, 3) @ e).flatten(2)
        lengths = (seen.square().sum(2) + 1e-8).sqrt()
        seen = seen.mT.flatten(2)
        return self.out(torch.cat([heard, read.to(heard), seen.to(heard), lengths.to(heard)], -1))

    def _own_points(self, h: Tensor) -> Tensor:
        """Points of queries, keys and values of each head, in each residue's own frame, [B, N, 3, 3 H P]."""
        # As learned, the three coordinates of a point stand together.
        weight = self.vectors.weight.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1)
        bias = self.vectors.bias.view(-1, 3).T.flatten()
        return functional.linear(h, weight, bias).unflatten(2, (3, -1))


def biases_of(layers: Sequence[PointAttention], e: Tensor, there: Tensor) -> list[Tensor]:
    """What pairs add to each layer's attention, a third of it as `PointAttention` wants, [B, H, N, N] a layer.

    Pairs are the same for all layers, so all are one product.

    Args:
        layers: their attention.
        e: pairs, [B, N, N, C].
        there: bool [B, 1, 1, N]; nothing attends to the others.
    """
    batch, count = e.shape[:2]
    weight = torch.cat([layer.bias.weight for layer in layers]) / math.sqrt(3)
    bias = torch.cat([layer.bias.bias for layer in layers]).view(1, -1, 1, 1) / math.sqrt(3)
    found = (weight @ e.view(batch, count * count, -1).mT).view(batch, -1, count, count)
    found += bias - 1e4 * ~there
    return list(found.chunk(len(layers), 1))


class Layer(nn.Module):
    """One update of residues and of the estimate of their clean frames."""

    def __init__(self, width: int, pair: int, heads: int, points: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(width, 6 * width)
        self.attention = PointAttention(width, pair, heads, points)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        self.update = nn.Linear(width, 6)
        for last in (self.modulation, self.update):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, h: Tensor, e: Tensor, biases: Tensor, frames: Frames, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(h, what it says of the frame: 6 numbers along its axes), of h [B, N, D] and condition [B, 1, D]."""
        shift, scale, gate, shift2, scale2, gate2 = self.modulation(condition).chunk(6, -1)
        h = torch.addcmul(h, 1 + gate, self.attention(modulated(h, shift, scale), e, biases, frames))
        h = torch.addcmul(h, 1 + gate2, self.mlp(modulated(h, shift2, scale2)))
        return h, self.update(normalised(h)).float()


@dataclass(frozen=True)
class Estimate:
    """What the network says of noisy frames, in the units that `model.denoise` turns into scores.

    positions: F of the preconditioning, [B, N, 3]; turn: the score of rotations over its root mean square, in the body
    frame, [B, N, 3]; frames: the estimate of the clean frames.
    """

    positions: Tensor
    turn: Tensor
    frames: Frames


class ProteinNetwork(nn.Module):
    """Estimates clean residue frames from noisy ones.

    Args:
        width: of residues.
        pair: width of pairs.
        layers: how many.
        heads: of attention.
        points: 3D points a head.
    """

    def __init__(self, width: int = 256, pair: int = 48, layers: int = 6, heads: int = 8, points: int = 4) -> None:
        super().__init__()
        self.settings = {"width": width, "pair": pair, "layers": layers, "heads": heads, "points": points}
        self.level = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.length = nn.Linear(1, width)
        self.place = nn.Linear(64, width)
        self.apart = nn.Embedding(2 * NEIGHBOURS + 1, pair)
        self.pair_in = nn.Linear(RADIAL + 1 + 3 + 9, pair)
        self.pair_level = nn.Linear(width, 2 * pair)
        self.pair_mlp = nn.Sequential(nn.SiLU(), nn.Linear(pair, 2 * pair), nn.SiLU(), nn.Linear(2 * pair, pair))
        self.layers = nn.ModuleList(Layer(width, pair, heads, points) for _ in range(layers))
        self.turn_out = nn.Linear(width, 3)
        for last in (self.pair_level, self.turn_out):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self, rotation: Tensor, y: Tensor, log_level: Tensor, factors: tuple[Tensor, Tensor, Tensor], mask: Tensor
    ) -> Estimate:
        """F of noisy frames.

        Args:
            rotation: noisy, [B, N, 3, 3].
            y: noisy positions [B, N, 3], in units of 10 Angstrom.
            log_level: ln s, [B].
            factors: (c_skip, c_out of positions, how far a rotation update of length 1 turns), [B] each.
            mask: bool [B, N].
        """
        keep, out, turn = (factor.view(-1, 1, 1) for factor in factors)
        there = mask.view(len(mask), 1, 1, -1)
        condition = functional.silu(self.level(_waves(log_level / 4)) + self.length(mask.sum(1, keepdim=True) / 100))
        condition = condition.unsqueeze(1)
        index = torch.arange(y.shape[1], device=y.device)
        h = self.place(_waves(index / 16).to(y)).expand(len(y), -1, -1)
        frames = Frames(rotation, keep * y)
        e = self._pairs(Frames(rotation, y), index, condition)
        moved, turned = torch.zeros_like(y), torch.zeros_like(y)
        attentions = [cast(Layer, layer).attention for layer in self.layers]
        for layer, biases in zip(self.layers, biases_of(attentions, e, there), strict=True):
            h, told = layer(h, e, biases, frames, condition)
            moved = moved + (frames.rotations @ told[..., :3, None])[..., 0]
            turned = turned + told[..., 3:]
            frames = Frames(frames.rotations @ rotations.exponential(turn * told[..., 3:]), keep * y + out * moved)
        own = self.turn_out(normalised(h)).float()
        return Estimate(moved, turned + own, frames)

    def _pairs(self, noisy: Frames, index: Tensor, condition: Tensor) -> Tensor:
        """E [B, N, N, C] of noisy frames."""
        difference = noisy.positions.unsqueeze(1) - noisy.positions.unsqueeze(2)  # from i to j
        distance = (difference.square().sum(-1, keepdim=True) + 1e-6).sqrt()
        seen = (difference / distance) @ noisy.rotations
        batch, count = difference.shape[:2]
        # All products of two rotations at once: a column of one for each axis of a residue.
        axes = noisy.rotations.transpose(1, 2).reshape(batch, 3, 3 * count)
        relative = (axes.mT @ axes).view(batch, count, 3, count, 3).transpose(2, 3)
        features = torch.cat([radial(distance), seen, relative.flatten(-2)], -1)
        apart = (index.unsqueeze(0) - index.unsqueeze(1)).clamp(-NEIGHBOURS, NEIGHBOURS) + NEIGHBOURS
        shift, scale = self.pair_level(condition).unsqueeze(1).chunk(2, -1)
        # The bias with what the places along the chain say, which is the same for all chains.
        e = functional.linear(features, self.pair_in.weight) + (self.apart(apart) + self.pair_in.bias)
        e = torch.addcmul(shift, e, 1 + scale)
        return normalised(e + self.pair_mlp(e))


def radial(distance: Tensor) -> Tensor:
    """Gaussians of distances [..., 1] and a bounded measure of the distance itself, [..., RADIAL + 1]."""
    return torch.cat([bells(distance, RADIAL, FARTHEST), distance / (distance + FARTHEST)], -1)


def _waves(value: Tensor) -> Tensor:
    """[..., 64]: sines and cosines of values [...] at frequencies from 1 to 30."""
    frequencies = torch.logspace(0, 1.5, 32, dtype=value.dtype, device=value.device)
    angles = value.unsqueeze(-1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], -1)
