r"""What FrameDiff and Proteus are built of: residues that attend through their frames, and along the chain.

A block, of residues h [B, N, D], pairs e [B, N, N, E] and frames T (`rigid`):

    h <- norm(h + points(h, e, T))             invariant point attention
    h <- h + post(chain(h, skip(h_0)))         a transformer along the chain, which also reads the first embedding h_0
    h <- norm(h + mlp(h))
    T <- T moved by what h says

Between blocks the pairs are brought up to date: FrameDiff's `EdgeUpdate`, or Proteus' triangles. Invariant point
attention: Jumper et al. 2021, AlphaFold 2, Algorithm 22, with biases, narrowed pairs as values, and mask as below;
the block: Yim et al. 2023, FrameDiff, arXiv 2302.02277, appendix I.

Masks are bool, True where there is a residue. A residue that is not there is heard by none, so that chains of several
lengths in one batch come out as they do alone. (The authors' code adds 1 to the chain attention's logits of keys that
are not there when it trains, and leaves those keys out when it samples; their batches held chains of one length.)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..network import full_precision
from .rigid import Frames

#: Positions of time that its waves tell apart, and the longest chain that those of the index are laid out for.
TIMES, LONGEST = 10000, 2056
#: Pairs that `EdgeUpdate` holds at once, outside training: its hidden layers are three times as wide as they are.
PAIRS_AT_ONCE = 2**15
#: Kept away from roots of zero.
SMALLEST = 1e-8


def time_waves(time: Tensor, size: int) -> Tensor:
    """Sines and cosines [B, size] of times [B] in (0, 1]; in float32, where the fastest turns 10,000 radians."""
    half = size // 2
    frequencies = torch.exp(
        torch.arange(half, dtype=torch.float32, device=time.device) * -(math.log(TIMES) / (half - 1))
    )
    angles = (time.float() * TIMES).unsqueeze(-1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], -1)


def index_waves(index: Tensor, size: int) -> Tensor:
    """Sines and cosines [..., size] of places along the chain, or of their differences, integers [...]."""
    slowness = LONGEST ** (2 * torch.arange(size // 2, device=index.device) / size)
    angles = index.unsqueeze(-1) * math.pi / slowness
    return torch.cat([angles.sin(), angles.cos()], -1)


def distogram(positions: Tensor, nearest: float, farthest: float, bins: int) -> Tensor:
    """Which bin each distance lies in, 1 there and 0 elsewhere, [B, N, N, bins], of positions [B, N, 3].

    The bins begin evenly from `nearest` to `farthest`, the last is open; at distances below the first all are 0.
    """
    begin = torch.linspace(nearest, farthest, bins, device=positions.device)
    end = torch.cat([begin[1:], begin.new_tensor([1e8])])
    distance = (positions.unsqueeze(2) - positions.unsqueeze(1)).norm(dim=-1, keepdim=True)
    return ((distance > begin) & (distance < end)).to(positions.dtype)


def embedder(features: int, width: int) -> nn.Sequential:
    """From features to a normed embedding."""
    return nn.Sequential(
        nn.Linear(features, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.LayerNorm(width),
    )


class PointAttention(nn.Module):
    """Invariant point attention.

    The points' numbers come out of a layer as all x, all y, all z, and their read values go into one likewise.

    Args:
        width: of residues.
        pair: width of pairs; a quarter of it is read as values.
        heads: of attention.
        channels: of queries, keys and values, a head.
        query_points: points of queries and of keys, a head.
        value_points: points of values, a head.
    """

    def __init__(self, width: int, pair: int, heads: int, channels: int, query_points: int, value_points: int) -> None:
        super().__init__()
        self.heads, self.channels = heads, channels
        self.query_points, self.value_points = query_points, value_points
        self.query = nn.Linear(width, heads * channels)
        self.key_value = nn.Linear(width, 2 * heads * channels)
        self.query_point = nn.Linear(width, 3 * heads * query_points)
        self.key_value_point = nn.Linear(width, 3 * heads * (query_points + value_points))
        self.bias = nn.Linear(pair, heads)
        self.narrow = nn.Linear(pair, pair // 4)
        self.sharpness = nn.Parameter(torch.full((heads,), math.log(math.e - 1)))
        self.out = nn.Linear(heads * (pair // 4 + channels + 4 * value_points), width)

    def forward(self, h: Tensor, e: Tensor, frames: Frames, mask: Tensor) -> Tensor:
        """What is added to h [B, N, D], of pairs e [B, N, N, E], frames and bool mask [B, N]."""
        batch, count, _ = h.shape
        q = self.query(h).view(batch, count, self.heads, -1).transpose(1, 2)
        k, v = self.key_value(h).view(batch, count, self.heads, -1).transpose(1, 2).split(self.channels, -1)
        a = self._placed(self.query_point(h), frames).flatten(3)
        b, value = self._placed(self.key_value_point(h), frames).split([self.query_points, self.value_points], 3)
        b = b.flatten(3)
        # Points in float32: their squared distances are differences of large numbers.
        with full_precision(h.device):
            square = a.square().sum(-1).unsqueeze(3) + b.square().sum(-1).unsqueeze(2) - 2 * a @ b.transpose(2, 3)
        near = functional.softplus(self.sharpness).view(1, -1, 1, 1) * square / (2 * math.sqrt(4.5 * self.query_points))
        logits = q @ k.transpose(2, 3) / math.sqrt(self.channels) + self.bias(e).permute(0, 3, 1, 2) - near
        there = mask.view(batch, 1, 1, count)
        weights = (logits / math.sqrt(3)).masked_fill(~there, -1e5).softmax(-1)
        heard = (weights.to(v) @ v).transpose(1, 2).flatten(2)
        with full_precision(h.device):
            seen = (weights.float() @ value.flatten(3)).transpose(1, 2).reshape(batch, count, -1, 3)
        seen = frames.inside(seen)
        lengths = (seen.square().sum(-1) + SMALLEST).sqrt()
        read = (weights.to(e).permute(0, 2, 1, 3) @ self.narrow(e)).flatten(2)
        parts = [heard, seen.transpose(2, 3).flatten(2), lengths, read]
        return self.out(torch.cat([part.to(heard) for part in parts], -1))

    def _placed(self, numbers: Tensor, frames: Frames) -> Tensor:
        """Points [B, H, N, P, 3] in the common axes, of numbers [B, N, 3 H P]."""
        own = numbers.float().unflatten(-1, (3, -1)).transpose(2, 3)
        return frames.outside(own).unflatten(2, (self.heads, -1)).transpose(1, 2)


class Transition(nn.Module):
    """h <- norm(h + mlp(h))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second, self.last = (nn.Linear(width, width) for _ in range(3))
        self.norm = nn.LayerNorm(width)

    def forward(self, h: Tensor) -> Tensor:
        """H [..., D] to the same."""
        return self.norm(h + self.last(self.second(self.first(h).relu()).relu()))


class ChainLayer(nn.Module):
    """A layer of a transformer along the chain, norms after sums (Vaswani et al. 2017, arXiv 1706.03762).

    Args:
        width: of residues and of the hidden layer.
        heads: of attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"A transformer of {width} numbers a residue cannot have {heads} heads.")
        self.heads = heads
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.first, self.last = nn.Linear(width, width), nn.Linear(width, width)
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        """H [B, N, D] to the same, with bool mask [B, N]."""
        q, k, v = self.query_key_value(h).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        heard = functional.scaled_dot_product_attention(q, k, v, mask[:, None, None, :])
        h = self.attention_norm(h + self.out(heard.transpose(1, 2).flatten(2)))
        return self.norm(h + self.last(self.first(h).relu()))


class EdgeUpdate(nn.Module):
    """Pairs brought up to date from the residues at their ends.

    Args:
        width: of residues.
        pair: width of pairs.
    """

    def __init__(self, width: int, pair: int) -> None:
        super().__init__()
        hidden = pair + 2 * (width // 2)
        self.narrow = nn.Linear(width, width // 2)
        self.first, self.second, self.last = (
            nn.Linear(hidden, hidden),
            nn.Linear(hidden, hidden),
            nn.Linear(hidden, pair),
        )
        self.norm = nn.LayerNorm(pair)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        """E [B, N, N, E] of h [B, N, D] and e before; some rows at a time."""
        ends = self.narrow(h)
        rows = max(1, PAIRS_AT_ONCE // (len(e) * e.shape[2]))
        return torch.cat(
            [self._rows(own, ends, part) for own, part in zip(ends.split(rows, 1), e.split(rows, 1), strict=True)], 1
        )

    def _rows(self, own: Tensor, ends: Tensor, e: Tensor) -> Tensor:
        heard = self.second(_of_pair(self.first, e, own, ends).relu_()).relu_()
        return self.norm(_of_pair(self.last, e, own, ends).add_(functional.linear(heard, self.last.weight)))


def _of_pair(layer: nn.Linear, e: Tensor, own: Tensor, ends: Tensor) -> Tensor:
    """A layer [B, I, J, ...] of (e [B, I, J, E], own [B, I, H], ends [B, J, H]) side by side, not laid so."""
    pair, one, other = layer.weight.split([e.shape[-1], own.shape[-1], ends.shape[-1]], 1)
    found = functional.linear(e, pair, layer.bias)
    return found.add_(functional.linear(own, one).unsqueeze(2)).add_(functional.linear(ends, other).unsqueeze(1))


class Block(nn.Module):
    """A block of FrameDiff and Proteus, without what brings its pairs up to date.

    Args:
        width: of residues.
        pair: width of pairs.
        heads: of point attention.
        channels: a head of it.
        query_points: a head of it, likewise of keys.
        value_points: a head of it.
        skip: numbers of the first embedding that the transformer along the chain reads.
        chain_heads: of that transformer.
        chain_layers: of it.
    """

    def __init__(
        self,
        width: int,
        pair: int,
        heads: int,
        channels: int,
        query_points: int,
        value_points: int,
        skip: int,
        chain_heads: int,
        chain_layers: int,
    ) -> None:
        super().__init__()
        self.attention = PointAttention(width, pair, heads, channels, query_points, value_points)
        self.norm = nn.LayerNorm(width)
        self.skip = nn.Linear(width, skip)
        self.chain = nn.ModuleList(ChainLayer(width + skip, chain_heads) for _ in range(chain_layers))
        self.post = nn.Linear(width + skip, width)
        self.transition = Transition(width)
        self.move = nn.Linear(width, 6)

    def forward(self, h: Tensor, e: Tensor, frames: Frames, first: Tensor, mask: Tensor) -> tuple[Tensor, Frames]:
        """(h [B, N, D], 0 where there is no residue; frames, moved where there is one).

        Args:
            h: residues, [B, N, D].
            e: pairs, [B, N, N, E].
            frames: origins in units of 10 Angstrom.
            first: embedding of residues, [B, N, D].
            mask: bool [B, N].
        """
        there = mask.unsqueeze(-1)
        h = self.norm(h + self.attention(h, e, frames, mask) * there)
        chain = torch.cat([h, self.skip(first)], -1)
        for layer in self.chain:
            chain = layer(chain, mask)
        h = self.transition(h + self.post(chain)) * there
        return h, frames.moved(self.move(h).float() * there)
