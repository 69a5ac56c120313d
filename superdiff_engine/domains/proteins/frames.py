r"""Residue frames and the backbone atoms that they carry.

A residue is a frame (R, x): x is the place of CA in Angstrom; the columns of R are the axes: towards C, towards N in
the plane of N, CA and C, and their cross product (Jumper et al. 2021, AlphaFold 2, Algorithm 21). Bond lengths and
angles within a residue are ideal (Engh and Huber 1991); O lies in the plane of the peptide bond to the next residue.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .oxygen import CARBONYL, LAST_OXYGEN

#: Residues of the longest protein that runs are allowed, and that the embedded models have seen.
MOST_RESIDUES = 128
#: Atoms of a residue in its own frame, Angstrom: N, CA, C.
IDEAL = torch.tensor([[-0.525, 1.363, 0.0], [0.0, 0.0, 0.0], [1.526, 0.0, 0.0]])


def frames_of(backbone: Tensor) -> tuple[Tensor, Tensor]:
    """(rotations [..., 3, 3], CA positions [..., 3]) of atoms N, CA, C(, O) [..., 3 or 4, 3] in Angstrom."""
    nitrogen, alpha, carbon = backbone[..., 0, :], backbone[..., 1, :], backbone[..., 2, :]
    first = torch.nn.functional.normalize(carbon - alpha, dim=-1)
    towards = nitrogen - alpha
    second = torch.nn.functional.normalize(towards - (towards * first).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1), alpha


def backbone_of(rotations: Tensor, positions: Tensor) -> Tensor:
    """Atoms N, CA, C, O [..., residues, 4, 3] in Angstrom of frames along one chain.

    Args:
        rotations: [..., residues, 3, 3].
        positions: of CA, Angstrom, [..., residues, 3].
    """
    ideal = IDEAL.to(positions)
    atoms = positions.unsqueeze(-2) + torch.einsum("...ij,aj->...ai", rotations, ideal)
    last = positions + torch.einsum("...ij,j->...i", rotations, torch.tensor(LAST_OXYGEN).to(positions))
    # O points away from CA and from the next N, in their plane.
    carbon, alpha = atoms[..., :-1, 2, :], atoms[..., :-1, 1, :]
    following = atoms[..., 1:, 0, :]
    unit = torch.nn.functional.normalize
    away = -unit(unit(alpha - carbon, dim=-1) + unit(following - carbon, dim=-1), dim=-1)
    oxygen = torch.cat([carbon + CARBONYL * away, last[..., -1:, :]], -2)
    return torch.cat([atoms, oxygen.unsqueeze(-2)], -2)
