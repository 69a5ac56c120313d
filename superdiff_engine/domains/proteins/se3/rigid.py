r"""Residue frames that a network moves, and what it says of them.

A frame T = (R, x) takes a point p of a residue's own axes to R p + x. An update of six numbers (v, u) moves it along
its own axes: u is a shift, and v the imaginary part of the quaternion (1, v), once normalised, of a turn,

    R <- R C(v),   C(v) = 1 + 2 ([v] + [v]^2) / (1 + |v|^2),        x <- x + R u

with [v] the cross product's matrix (Jumper et al. 2021, AlphaFold 2, Algorithm 23).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ....rotations import hat
from ..network import full_precision

#: What a network wants to be given again the next time: a name and a tensor [B, ...] each.
Memory = dict[str, Tensor]


@dataclass(frozen=True)
class FrameEstimate:
    """A network's estimate of clean frames.

    rotation: R_0 [B, N, 3, 3]; positions: of CA, Angstrom, [B, N, 3]; psi: sine and cosine of the backbone torsion
    N-CA-C-O, [B, N, 2]; memory: what the network wants as `previous` the next time.
    """

    rotation: Tensor
    positions: Tensor
    psi: Tensor
    memory: Memory


@dataclass(frozen=True)
class Frames:
    """Frames of residues: rotations [B, N, 3, 3] and origins [B, N, 3], of any unit of length; autocast spares them."""

    rotations: Tensor
    origins: Tensor

    def outside(self, points: Tensor) -> Tensor:
        """Points [B, N, P, 3], given in each residue's own axes, in the common ones."""
        with full_precision(points.device):
            return points @ self.rotations.transpose(-1, -2) + self.origins.unsqueeze(2)

    def inside(self, points: Tensor) -> Tensor:
        """Points [B, N, P, 3], given in the common axes, in each residue's own."""
        with full_precision(points.device):
            return (points - self.origins.unsqueeze(2)) @ self.rotations

    def moved(self, update: Tensor) -> Frames:
        """These frames after updates (v, u) [B, N, 6]; zeros leave a frame where it is."""
        turn, shift = update[..., :3], update[..., 3:]
        with full_precision(update.device):
            origins = self.origins + (self.rotations @ shift.unsqueeze(-1)).squeeze(-1)
            return Frames(self.rotations @ turned(turn), origins)

    def scaled(self, factor: float) -> Frames:
        """The same with origins in another unit of length."""
        return Frames(self.rotations, factor * self.origins)


def turned(vector: Tensor) -> Tensor:
    """C(v): the rotation [..., 3, 3] of the quaternion (1, v), v [..., 3], once normalised."""
    skew = hat(vector)
    scale = 2 / (1 + vector.square().sum(-1))
    return torch.eye(3, dtype=vector.dtype, device=vector.device) + scale[..., None, None] * (skew + skew @ skew)
