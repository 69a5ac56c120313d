r"""Proteus' network: clean residue frames from noisy ones (Wang et al. 2024, ICML, openreview IckJCzsGVS).

    residue   waves of the time, and constants: not held fixed, of a kind not told
    pair      both residues' numbers, and their distance along the chain up to `reach`
    both      what is read off the estimate before (`Previous`), where there is one

Blocks as in FrameDiff (`points`) move the noisy frames to the estimate of the clean ones; between blocks, pairs are
brought up to date on the graph of the nearest residues (`local_graph`). Settings' defaults are those of the published
model. Its checkpoint has 19.81 million parameters in 517 tensors, of which `proteus_names` says what is left out here.

Nothing here is random. Without an estimate before, the network is SE(3) equivariant. With one it is not: the authors'
code, which the weights are trained with, reads features of it that depend on the common axes and on where the origin is
(`directions`, `torsions`). The code that the SuperDiff paper composes is the same network.

The authors' network gives no torsion: their oxygen is put into the plane of the peptide bond. So is psi here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..frames import IDEAL, backbone_of
from ..oxygen import LAST_OXYGEN
from .local_graph import TriangleProduct, TriangleUpdate
from .points import SMALLEST, Block, embedder, time_waves
from .rigid import FrameEstimate, Frames, Memory

#: Under which the memory keeps the estimate: rotations [B, N, 3, 3], and CA positions, Angstrom, [B, N, 3].
ROTATION, ALPHA = "rotation", "alpha"
#: Kinds of residues, and which of them is told: none.
KINDS, UNKNOWN = 21, 20
#: Numbers of a pair's place along the chain besides those of `reach`: itself, another chain; and whether it is one.
OTHER_CHAIN, SAME_CHAIN = 2, 2
#: Of an estimate before: kinds of residues, and the one that all are taken for, glycine.
SEEN_KINDS, GLYCINE = 22, 7
#: Torsions of a residue: omega, phi, psi, and four of a side chain, which glycine has not.
TORSIONS = 7
#: Of an estimate before: bins of its CA distances. The authors' code ends all but the last where they begin, so that a
#: pair is in the last, farther apart than this, Angstrom, or in none.
BINS, FAR = 39, 50.75
#: Numbers that `Previous` reads of a residue: kind; sines and cosines of torsions, twice (they differ where a side
#: chain is symmetric); which there are. And of a pair: bins, 1, both kinds, a direction, 1.
RESIDUE_FEATURES = SEEN_KINDS + 5 * TORSIONS
PAIR_FEATURES = BINS + 1 + 2 * SEEN_KINDS + 3 + 1


def _torsion(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Sine and cosine [..., 2] of the torsion of four points [..., 3]; both near 0 where it is not defined."""

    def normed(vector: Tensor) -> Tensor:
        return vector / (vector.square().sum(-1, keepdim=True) + SMALLEST).sqrt()

    along = normed(c - b)
    up = a - c
    up = normed(up - along * (along * up).sum(-1, keepdim=True))
    last = d - c
    found = torch.stack([(last * torch.linalg.cross(along, up)).sum(-1), (last * up).sum(-1)], -1)
    return normed(found)


def torsions(rotation: Tensor, alpha: Tensor) -> Tensor:
    """Sines and cosines [B, N, 7, 2] of the torsions that Proteus reads off an estimate.

    psi is 0, because the O of an estimate lies on the line from CA to C, and so are the torsions of side chains, which
    it has not. The residue before the first has all its atoms at the origin: there, phi depends on where that is, and
    omega is what is left of 0 / 0. (In float32, the authors' code has rounding errors of up to 0.04 in psi and in this
    omega; here they are as in exact arithmetic.)

    Args:
        rotation: [B, N, 3, 3].
        alpha: CA, Angstrom, [B, N, 3].
    """
    nitrogen, _, carbon = (alpha + rotation @ place for place in IDEAL.to(alpha))
    before = functional.pad(carbon[:, :-1], (0, 0, 1, 0))
    found = alpha.new_zeros(*alpha.shape[:2], TORSIONS, 2)
    found[:, 1:, 0] = _torsion(alpha[:, :-1], carbon[:, :-1], nitrogen[:, 1:], alpha[:, 1:])
    first = nitrogen[:, 0]
    slope = (first * (alpha[:, 0] - first)).sum(-1) / first.square().sum(-1).clamp_min(SMALLEST)
    found[:, 0, 0, 1] = -slope / (1 + slope.square()).sqrt()
    found[:, :, 1] = _torsion(before, nitrogen, alpha, carbon)
    return found


def directions(rotation: Tensor, alpha: Tensor) -> Tensor:
    """Directions [B, N, N, 3] in which a residue of an estimate sees another.

    These are of axes that the authors' code takes for the residue's: two rows of a product of turns, of which one is
    written over, and a third that is 0. They depend on the common axes, so the network is not equivariant in them.

    Args:
        rotation: [B, N, 3, 3].
        alpha: CA, Angstrom, [B, N, 3].
    """
    nitrogen, _, carbon = (rotation @ place for place in IDEAL.to(alpha))
    x, y, z = carbon.unbind(-1)
    flat, small = x.square() + y.square(), 1e-6
    sine, cosine = -y / (flat + small).sqrt(), x / (flat + small).sqrt()
    long = (flat + z.square() + small).sqrt()
    rise, run = z / long, flat.sqrt() / long
    first = torch.stack([run * cosine - rise.square(), -run * sine, rise * run], -1)
    second = torch.stack([sine, cosine, torch.zeros_like(sine)], -1)
    side = (second * nitrogen).sum(-1, keepdim=True)
    second = second * side / (side.square() + small).sqrt()
    rows = torch.stack([first, second], -2)
    seen = torch.einsum("bnrx,bnmx->bnmr", rows, alpha.unsqueeze(1) - alpha.unsqueeze(2))
    return functional.pad(seen / (seen.square().sum(-1, keepdim=True) + small).sqrt(), (0, 1))


class Previous(nn.Module):
    """What an estimate before adds to residues and pairs: AlphaFold 2's template, in which every residue is glycine.

    A pair and a residue attend to one template alone, so the attention's weight is 1 and needs no queries or keys.

    Args:
        width: of residues.
        pair: width of pairs.
        narrow: width of the estimate's pairs.
        hidden: width of the sides in its triangle products.
        transition: width of the hidden layer of its transition.
        residue_read: numbers that a residue reads.
        pair_read: numbers that a pair reads.
    """

    def __init__(
        self, width: int, pair: int, narrow: int, hidden: int, transition: int, residue_read: int, pair_read: int
    ) -> None:
        super().__init__()
        self.residue = nn.Sequential(nn.Linear(RESIDUE_FEATURES, width), nn.ReLU(), nn.Linear(width, width))
        self.residue_gate = nn.Linear(width, residue_read)
        self.residue_value = nn.Linear(width, residue_read, bias=False)
        self.residue_out = nn.Linear(residue_read, width)
        self.pair = nn.Linear(PAIR_FEATURES, narrow)
        self.outgoing, self.incoming = TriangleProduct(narrow, hidden, True), TriangleProduct(narrow, hidden, False)
        self.transition = nn.Sequential(
            nn.LayerNorm(narrow), nn.Linear(narrow, transition), nn.ReLU(), nn.Linear(transition, narrow)
        )
        self.norm = nn.LayerNorm(narrow)
        self.pair_value, self.pair_out = nn.Linear(narrow, pair_read, bias=False), nn.Linear(pair_read, pair)

    def forward(self, h: Tensor, mask: Tensor, rotation: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """(what is added to residues [B, N, D], to pairs [B, N, N, E]).

        Args:
            h: residues, [B, N, D].
            mask: bool [B, N], True where there is a residue.
            rotation: the estimate's, [B, N, 3, 3].
            alpha: its CA, Angstrom, [B, N, 3].
        """
        seen = self.residue(self._residues(rotation, alpha))
        residues = self.residue_out(self.residue_gate(h).sigmoid() * self.residue_value(seen))
        together = (mask.unsqueeze(2) & mask.unsqueeze(1)).unsqueeze(-1)
        e = self.pair(self._pairs(rotation, alpha))
        e = e + self.outgoing(e, together)
        e = e + self.incoming(e, together)
        e = self.norm(e + self.transition(e) * together)
        return residues, self.pair_out(self.pair_value(e))

    @staticmethod
    def _residues(rotation: Tensor, alpha: Tensor) -> Tensor:
        """[B, N, RESIDUE_FEATURES]."""
        batch, count = alpha.shape[:2]
        kind = _one_hot(SEEN_KINDS, GLYCINE, alpha).expand(batch, count, -1)
        angles = torsions(rotation, alpha).flatten(2)
        there = alpha.new_zeros(batch, count, TORSIONS)
        there[:, 1:, :2] = 1
        there[:, :, 2] = 1
        return torch.cat([kind, angles, angles, there], -1)

    @staticmethod
    def _pairs(rotation: Tensor, alpha: Tensor) -> Tensor:
        """[B, N, N, PAIR_FEATURES]."""
        distance = (alpha.unsqueeze(2) - alpha.unsqueeze(1)).norm(dim=-1, keepdim=True)
        bins = functional.pad((distance > FAR).to(alpha), (BINS - 1, 0))
        kind = _one_hot(SEEN_KINDS, GLYCINE, alpha).expand(*bins.shape[:-1], -1)
        one = torch.ones_like(bins[..., :1])
        return torch.cat([bins, one, kind, kind, directions(rotation, alpha), one], -1)


class ProteusNetwork(nn.Module):
    """Estimates clean residue frames from noisy ones, and from its estimate before.

    Args:
        width: of residues.
        pair: width of pairs.
        waves: numbers that a time is told by.
        reach: farthest difference of places along the chain that pairs tell apart.
        blocks: how many.
        heads: of point attention.
        channels: a head of it.
        query_points: a head of it.
        value_points: a head of it.
        skip: numbers of the first embedding that the transformer along the chain reads.
        chain_heads: of that transformer.
        chain_layers: of it, a block.
        radial: functions of a distance that bias the attention among neighbours.
        narrow: numbers of each residue that gate them.
        triangle: width of the sides in triangle products.
        local_heads: of attention among neighbours.
        local_channels: a head of it.
        neighbours: of a residue.
        seen: width of pairs of the estimate before.
        seen_triangle: width of the sides in its triangle products.
        seen_transition: width of the hidden layer of its transition.
        residue_read: numbers that a residue reads of it.
        pair_read: numbers that a pair reads of it.
        unit: Angstrom of a unit of length within.
    """

    def __init__(
        self,
        width: int = 256,
        pair: int = 128,
        waves: int = 32,
        reach: int = 32,
        blocks: int = 4,
        heads: int = 8,
        channels: int = 256,
        query_points: int = 8,
        value_points: int = 12,
        skip: int = 64,
        chain_heads: int = 4,
        chain_layers: int = 2,
        radial: int = 64,
        narrow: int = 16,
        triangle: int = 128,
        local_heads: int = 4,
        local_channels: int = 128,
        neighbours: int = 32,
        seen: int = 64,
        seen_triangle: int = 32,
        seen_transition: int = 128,
        residue_read: int = 256,
        pair_read: int = 64,
        unit: float = 10.0,
    ) -> None:
        super().__init__()
        self.waves, self.reach, self.unit = waves, reach, unit
        self.residue_in = embedder(waves + 1 + KINDS, width)
        self.pair_in = embedder(2 * (waves + 1 + KINDS) + 2 * reach + OTHER_CHAIN + SAME_CHAIN, pair)
        # What may be asked of residues and pairs, each with a last or first kind for "nothing is asked".
        self.secondary, self.hotspot, self.contact = nn.Linear(4, width), nn.Linear(2, width), nn.Linear(3, pair)
        self.previous = Previous(width, pair, seen, seen_triangle, seen_transition, residue_read, pair_read)
        sizes = (width, pair, heads, channels, query_points, value_points, skip, chain_heads, chain_layers)
        local = (width, pair, radial, narrow, triangle, local_heads, local_channels, neighbours)
        self.blocks = nn.ModuleList(Block(*sizes) for _ in range(blocks))
        self.edges = nn.ModuleList(TriangleUpdate(*local) for _ in range(blocks - 1))

    def forward(
        self, rotation: Tensor, positions: Tensor, time: Tensor, mask: Tensor, previous: Memory | None = None
    ) -> FrameEstimate:
        """The clean frames; a residue that is not there stays where it is.

        Args:
            rotation: noisy, [B, N, 3, 3].
            positions: of CA, noisy, Angstrom, centred, [B, N, 3].
            time: in (0, 1], [B].
            mask: bool [B, N], True where there is a residue.
            previous: memory of the estimate before.
        """
        first, e = self._embedded(time_waves(time, self.waves).to(positions), mask, previous)
        h, frames = first, Frames(rotation, positions / self.unit)
        for number, block in enumerate(self.blocks):
            h, frames = block(h, e, frames, first, mask)
            if number < len(self.edges):
                e = self.edges[number](h, e, frames.origins * self.unit, mask)
        clean = frames.scaled(self.unit)
        memory = {ROTATION: clean.rotations, ALPHA: clean.origins}
        return FrameEstimate(clean.rotations, clean.origins, planar_psi(clean.rotations, clean.origins, mask), memory)

    def _embedded(self, waves: Tensor, mask: Tensor, previous: Memory | None) -> tuple[Tensor, Tensor]:
        """(residues [B, N, D], pairs [B, N, N, E]), 0 where there is none, of waves of the time [B, waves]."""
        batch, count = mask.shape
        # 0: it is not held fixed.
        own = torch.cat([functional.pad(waves, (0, 1)), _one_hot(KINDS, UNKNOWN, waves).expand(batch, -1)], -1)
        index = torch.arange(count, device=mask.device)
        apart = (index.unsqueeze(1) - index + self.reach).clamp(0, 2 * self.reach)
        place = functional.one_hot(apart, 2 * self.reach + OTHER_CHAIN).to(waves)
        place = torch.cat([place, _one_hot(SAME_CHAIN, 1, waves).expand(count, count, -1)], -1)
        both = own.repeat(1, 2)[:, None, None].expand(-1, count, count, -1)
        h = self.residue_in(own).unsqueeze(1).expand(-1, count, -1)
        h = h + _column(self.secondary, 3) + _column(self.hotspot, 0)
        e = self.pair_in(torch.cat([both, place.expand(batch, -1, -1, -1)], -1)) + _column(self.contact, 2)
        if previous is not None:
            residues, pairs = self.previous(h, mask, previous[ROTATION], previous[ALPHA])
            h, e = h + residues, e + pairs
        together = mask.unsqueeze(2) & mask.unsqueeze(1)
        return h * mask.unsqueeze(-1), e * together.unsqueeze(-1)


def planar_psi(rotation: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
    """Sine and cosine [B, N, 2] of psi with O in the plane of the peptide bond; of a helix at the last residue.

    Args:
        rotation: [B, N, 3, 3].
        positions: of CA, Angstrom, [B, N, 3].
        mask: bool [B, N], True where there is a residue.
    """
    oxygen = backbone_of(rotation, positions)[..., 3, :] - positions
    own = (rotation.transpose(-1, -2) @ oxygen.unsqueeze(-1)).squeeze(-1)
    last = ~functional.pad(mask[:, 1:], (0, 1))
    own = torch.where(last.unsqueeze(-1), torch.tensor(LAST_OXYGEN).to(own), own)
    # psi is the torsion to the next N, half a turn from O.
    return functional.normalize(-own[..., [2, 1]], dim=-1)


def _one_hot(size: int, place: int, like: Tensor) -> Tensor:
    """[size], 1 at `place`."""
    found = like.new_zeros(size)
    found[place] = 1
    return found


def _column(layer: nn.Linear, kind: int) -> Tensor:
    """What a layer says of one kind alone."""
    return layer.weight[:, kind] + layer.bias
