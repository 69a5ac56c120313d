r"""From LDMol's latents to SMILES: the decoding half of its autoencoder (Chang and Ye 2024, arXiv 2405.17829).

    z'   = W z                                                   64 channels become 1024
    h    = norm(word + position + segment)                       pieces so far, from [CLS] on
    h    = norm(h + attention(h))                                each looks at those before it, and itself
    h    = norm(h + reading(h, z'))                              and at all 127 latent tokens
    h    = norm(h + mlp(h))
    next = argmax V norm(GELU(U h_last))

A BERT with cross-attention (Devlin et al. 2019, arXiv 1810.04805) whose norms follow what they normalise, and which
writes one piece after the other. transformers' own BERT is not used: its cross-attention reads vectors of the decoder's
width alone, and these are wider. As in all official scripts pieces are chosen greedily; nothing is drawn, so one latent
gives one SMILES. Keys and values of earlier pieces are kept, which changes nothing but the time.

What of the official checkpoint is left out: the encoder (`text_encoder2`, `encode_prefix`), which made the latents for
the training and writes no molecule; a table of position numbers; and a second entry of the last bias.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .vocabulary import Vocabulary

#: How many pieces are written at most, as in the official scripts.
LONGEST = 150
#: BERT's, in all its norms.
EPSILON = 1e-12

#: Keys and values of an attention, [B, heads, tokens, D / heads] each.
Heard = tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Attention with its residual connection and the norm after it."""

    def __init__(self, width: int, read_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Linear(width, width)
        self.keys = nn.Linear(read_width, width)
        self.values = nn.Linear(read_width, width)
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=EPSILON)

    def heard(self, read: Tensor) -> Heard:
        """The keys and values of what is read, [B, L, E]."""
        return self._by_head(self.keys(read)), self._by_head(self.values(read))

    def forward(self, h: Tensor, heard: Heard, causal: bool = False) -> Tensor:
        """H [B, N, D] having read `heard`; under `causal` each sees those before it and itself alone. [B, N, D]."""
        keys, values = heard
        read = functional.scaled_dot_product_attention(self._by_head(self.queries(h)), keys, values, is_causal=causal)
        return self.norm(h + self.out(read.transpose(1, 2).flatten(2)))

    def _by_head(self, h: Tensor) -> Tensor:
        return h.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Layer(nn.Module):
    """Attention to earlier pieces, reading of the latents, and an MLP."""

    def __init__(self, width: int, read_width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = Attention(width, width, heads)
        self.reading = Attention(width, read_width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.norm = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, h: Tensor, earlier: Heard | None, latents: Heard) -> tuple[Tensor, Heard]:
        """H [B, N, D] of the new pieces: N of them with nothing before, or one after what was heard `earlier`.

        Returns:
            (h, the keys and values of all pieces so far).
        """
        heard = self.attention.heard(h)
        if earlier is not None:
            heard = torch.cat([earlier[0], heard[0]], 2), torch.cat([earlier[1], heard[1]], 2)
        h = self.reading(self.attention(h, heard, causal=earlier is None), latents)
        return self.norm(h + self.mlp(h)), heard


def _table(rows: int, width: int) -> nn.Embedding:
    """An embedding of zeros: to draw one on torch's meta device takes seconds of imports at first."""
    return nn.Embedding.from_pretrained(torch.zeros(rows, width), freeze=False)


class SmilesDecoder(nn.Module):
    """Writes the SMILES that a molecule's latents stand for. The defaults are the published model's.

    Args:
        channels: of each latent token.
        read_width: of a latent token once it is widened.
        width: of the decoder.
        depth: its layers.
        heads: of each attention.
        hidden: width within the MLPs.
        pieces: of the vocabulary.
        positions: the most pieces that a molecule may have, with its start.
        segments: rows of a table of which BERT uses the first here.

    Raises:
        ValueError: if `heads` does not divide `width`.
    """

    def __init__(
        self,
        channels: int = 64,
        read_width: int = 1024,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        hidden: int = 3072,
        pieces: int = 300,
        positions: int = 512,
        segments: int = 2,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"A width of {width} cannot be shared among {heads} heads.")
        self.widen = nn.Linear(channels, read_width)
        self.words = _table(pieces, width)
        self.positions = _table(positions, width)
        self.segments = _table(segments, width)
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.layers = nn.ModuleList([Layer(width, read_width, heads, hidden) for _ in range(depth)])
        self.last = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width, eps=EPSILON))
        self.out = nn.Linear(width, pieces)

    def forward(self, latents: Tensor, ids: Tensor) -> Tensor:
        """What the decoder expects to follow each piece.

        Args:
            latents: [B, tokens, channels].
            ids: the pieces so far, from the vocabulary's start on, int64 [B, N].

        Returns:
            logits, [B, N, pieces].
        """
        return self._next(ids, [None] * len(self.layers), self._read(latents))[0]

    @torch.no_grad()
    def write(
        self,
        latents: Tensor,
        vocabulary: Vocabulary,
        longest: int = LONGEST,
        going_on: Callable[[int], None] = lambda written: None,
    ) -> list[str]:
        """The SMILES of each molecule's latents: at every place the likeliest piece, until all have come to their end.

        A molecule ends before [SEP], or before [PAD], at which the official code stops as well where it decodes one
        molecule alone (the decoder was never trained to write it). One that ends nowhere has `longest` pieces.

        Args:
            latents: [B, tokens, channels].
            vocabulary: of as many pieces as the decoder has.
            longest: the most pieces of a molecule.
            going_on: told after each place how many there are now, at most `longest`; what it raises ends the decoding.

        Returns:
            B texts, which need not be valid SMILES.
        """
        longest = min(longest, self.positions.num_embeddings)
        read = self._read(latents)
        ids = torch.full((len(latents), 1), vocabulary.start, device=latents.device)
        earlier: list[Heard | None] = [None] * len(self.layers)
        written: list[Tensor] = []
        ended = torch.zeros(len(latents), dtype=torch.bool, device=latents.device)
        while len(written) < longest and not bool(ended.all()):
            logits, earlier = self._next(ids, earlier, read, len(written))
            ids = logits[:, -1:].argmax(-1)
            written.append(ids)
            ended |= (ids[:, 0] == vocabulary.end) | (ids[:, 0] == vocabulary.padding)
            going_on(len(written))
        found = torch.cat(written, 1).tolist() if written else [[] for _ in latents]
        return [vocabulary.smiles(row) for row in found]

    def _read(self, latents: Tensor) -> list[Heard]:
        """What each layer reads of the latents: the same at every place."""
        wide = self.widen(latents)
        return [layer.reading.heard(wide) for layer in cast(Iterable[Layer], self.layers)]

    def _next(
        self, ids: Tensor, earlier: list[Heard | None], read: list[Heard], start: int = 0
    ) -> tuple[Tensor, list[Heard | None]]:
        """The logits after the pieces `ids` [B, N], of which the first stands at `start`, and what is now heard."""
        places = torch.arange(start, start + ids.shape[1], device=ids.device)
        h = self.norm(self.words(ids) + self.segments.weight[0] + self.positions(places))
        heard: list[Heard | None] = []
        for layer, before, latents in zip(self.layers, earlier, read, strict=True):
            h, now = layer(h, before, latents)
            heard.append(now)
        return self.out(self.last(h)), heard
