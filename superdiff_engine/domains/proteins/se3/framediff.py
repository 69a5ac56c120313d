r"""FrameDiff's network: clean residue frames from noisy ones (Yim et al. 2023, arXiv 2302.02277).

    residue   waves of the time, 0, waves of its place along the chain
    pair      the residues' times and zeros, waves of their distance along the chain, and the distogram of CA positions
              that were estimated before (self-conditioning; all 0 where there are none)

each go through an embedder; four blocks (`points`) then move the noisy frames to the estimate of the clean ones. The
zeros stand for "this residue is held fixed", which is never asked for here. Within, positions are in units of 10
Angstrom.

Settings' defaults are those of the published model: 17.4 million parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .points import SMALLEST, Block, EdgeUpdate, distogram, embedder, index_waves, time_waves
from .rigid import FrameEstimate, Frames, Memory

#: Under which the memory keeps CA positions, Angstrom, [B, N, 3].
ALPHA = "alpha"


class Torsion(nn.Module):
    """Sine and cosine of a torsion angle of each residue."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 2)

    def forward(self, h: Tensor) -> Tensor:
        """Unit vectors [B, N, 2] of h [B, N, D]."""
        found = self.last(h + self.second(self.first(h).relu())).float()
        return found / found.square().sum(-1, keepdim=True).clamp_min(SMALLEST).sqrt()


class FrameDiffNetwork(nn.Module):
    """Estimates clean residue frames from noisy ones, and from its estimate before.

    Args:
        width: of residues.
        pair: width of pairs.
        waves: numbers that a time or a place along the chain is told by.
        bins: of the distogram; 0 is a network without self-conditioning.
        nearest: where the distogram begins, Angstrom.
        farthest: where its last bin begins, Angstrom.
        blocks: how many.
        heads: of point attention.
        channels: a head of it.
        query_points: a head of it.
        value_points: a head of it.
        skip: numbers of the first embedding that the transformer along the chain reads.
        chain_heads: of that transformer.
        chain_layers: of it, a block.
        unit: Angstrom of a unit of length within.
    """

    def __init__(
        self,
        width: int = 256,
        pair: int = 128,
        waves: int = 32,
        bins: int = 22,
        nearest: float = 1e-5,
        farthest: float = 20.0,
        blocks: int = 4,
        heads: int = 8,
        channels: int = 256,
        query_points: int = 8,
        value_points: int = 12,
        skip: int = 64,
        chain_heads: int = 4,
        chain_layers: int = 2,
        unit: float = 10.0,
    ) -> None:
        super().__init__()
        self.waves, self.bins, self.nearest, self.farthest, self.unit = waves, bins, nearest, farthest, unit
        self.residue_in = embedder(2 * waves + 1, width)
        self.pair_in = embedder(2 * (waves + 1) + waves + bins, pair)
        sizes = (width, pair, heads, channels, query_points, value_points, skip, chain_heads, chain_layers)
        self.blocks = nn.ModuleList(Block(*sizes) for _ in range(blocks))
        self.edges = nn.ModuleList(EdgeUpdate(width, pair) for _ in range(blocks - 1))
        self.torsion = Torsion(width)

    def forward(
        self, rotation: Tensor, positions: Tensor, time: Tensor, mask: Tensor, previous: Memory | None = None
    ) -> FrameEstimate:
        """The clean frames; a residue that is not there stays where it is.

        Args:
            rotation: noisy, [B, N, 3, 3].
            positions: of CA, noisy, Angstrom, [B, N, 3].
            time: in (0, 1], [B].
            mask: bool [B, N], True where there is a residue.
            previous: memory of the estimate before, whose CA positions it reads.
        """
        first, e = self._embedded(positions, time, mask, previous)
        together = (mask.unsqueeze(2) & mask.unsqueeze(1)).unsqueeze(-1)
        h, frames = first, Frames(rotation, positions / self.unit)
        for number, block in enumerate(self.blocks):
            h, frames = block(h, e, frames, first, mask)
            if number < len(self.edges):
                e = self.edges[number](h, e) * together
        clean = frames.scaled(self.unit)
        return FrameEstimate(clean.rotations, clean.origins, self.torsion(h), {ALPHA: clean.origins})

    def _embedded(
        self, positions: Tensor, time: Tensor, mask: Tensor, previous: Memory | None
    ) -> tuple[Tensor, Tensor]:
        """(residues [B, N, D], pairs [B, N, N, E]), 0 where there is none."""
        batch, count = mask.shape
        index = torch.arange(1, count + 1, device=mask.device)
        # A residue's time, and 0: it is not held fixed.
        moment = torch.nn.functional.pad(time_waves(time, self.waves), (0, 1)).unsqueeze(1)
        place = index_waves(index, self.waves).expand(batch, -1, -1)
        apart = index_waves(index.unsqueeze(1) - index, self.waves).expand(batch, -1, -1, -1)
        first = self.residue_in(torch.cat([moment.expand(-1, count, -1), place], -1)) * mask.unsqueeze(-1)
        pairs = [moment.repeat(1, 1, 2).unsqueeze(1).expand(-1, count, count, -1), apart]
        if self.bins:
            seen = torch.zeros_like(positions) if previous is None else previous[ALPHA]
            pairs.append(distogram(seen, self.nearest, self.farthest, self.bins))
        together = (mask.unsqueeze(2) & mask.unsqueeze(1)).unsqueeze(-1)
        return first, self.pair_in(torch.cat(pairs, -1)) * together
