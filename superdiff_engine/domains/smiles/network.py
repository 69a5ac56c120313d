r"""LDMol's denoiser (Chang and Ye 2024, arXiv 2405.17829): a transformer over the 127 latent tokens of a molecule.

    c    = MLP(fourier(t))                          the time, and nothing but the time
    h    = W x + p                                  p: fixed sines and cosines of the position
    h    = h + g_1 attention(m_1(norm h))           m_i(z) = z (1 + scale_i) + shift_i
    h    = h + g_2 reading(m_2(norm h), W_y y)      y: what the text's encoder says of each word
    h    = h + g_3 mlp(m_3(norm h))                 shift, scale, gate: linear in SiLU(c)
    eps  = half the channels of W_o m_4(norm h)     the others are a variance, which is not used here

A DiT (Peebles and Xie 2023, arXiv 2212.09748) that reads its prompt by cross-attention and not through c. The text
comes as it is, word by word and unpooled; a mask leaves padding out of the attention.

What the official code does with it, and what follows for who samples:

- The diffusion is DDPM's with 1000 steps and betas linear from 1e-4 to 0.02, so `noise.DiscreteVP.linear()`, and the
  network predicts the noise. Its time is the step's number, 0 to 999, which may lie between two.
- Latents are what the autoencoder's last linear layer gives: they are not scaled, and neither is what is decoded.
- Classifier-free guidance applies to all 64 channels of the noise (some DiTs guide the first three alone), at a scale
  of 7.5 for text to molecules and 5 in the demonstration. The unconditional text is "no dsecription.", so spelled, in
  the scripts that draw molecules; in training, 5% of the texts became "no description.".
- Texts are cut to 256 of MolT5's tokens (200 in the demonstration) and padded to as many.
- The official sampler takes 100 of the 1000 steps, with the learned variance; the engine's solvers bring their own.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


def fourier(time: Tensor, width: int, slowest: float = 1e4) -> Tensor:
    """Cosines, then sines, of `time` [B] at width / 2 frequencies from 1 down to almost 1 / `slowest`: [B, width]."""
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=time.device) / half
    angles = time.float().unsqueeze(1) * torch.exp(-math.log(slowest) * exponents)
    return torch.cat([angles.cos(), angles.sin()], 1)


def places(tokens: int, width: int) -> Tensor:
    """Sines, then cosines, of the positions 0, 1, ... at width / 2 frequencies, float32 [1, tokens, width]."""
    # By numpy: on torch's meta device, on which networks are built to be loaded, arange takes seconds at first.
    angles = np.outer(np.arange(tokens), 1e4 ** -(np.arange(width // 2) / (width / 2)))
    return torch.from_numpy(np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)).unsqueeze(0)


class SelfAttention(nn.Module):
    """Attention among the tokens of a molecule."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        q, k, v = self.queries_keys_values(h).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Reading(nn.Module):
    """Attention from the tokens of a molecule to those of its text."""

    def __init__(self, width: int, text_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Linear(width, width)
        self.keys_values = nn.Linear(text_width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, h: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """H [B, N, D], text [B, L, E] and bool mask [B, 1, 1, L] of the tokens that count; [B, N, D]."""
        q = self.queries(h).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.keys_values(text).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        heard = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(heard.transpose(1, 2).flatten(2))


def _moved(h: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """The layer norm of h, without weights of its own, scaled and shifted by what the time says."""
    return torch.addcmul(shift, functional.layer_norm(h, h.shape[-1:], eps=1e-6), 1 + scale)


class Block(nn.Module):
    """Attention, reading of the text and an MLP, each modulated by the time."""

    def __init__(self, width: int, hidden: int, text_width: int, heads: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(width, 9 * width)
        self.attention = SelfAttention(width, heads)
        self.reading = Reading(width, text_width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, width))

    def forward(self, h: Tensor, time: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """H [B, N, D], time [B, 1, D] after its SiLU, text [B, L, E], mask [B, 1, 1, L]; [B, N, D]."""
        shift, scale, gate, shift_2, scale_2, gate_2, shift_3, scale_3, gate_3 = self.modulation(time).chunk(9, -1)
        h = torch.addcmul(h, gate, self.attention(_moved(h, shift, scale)))
        h = torch.addcmul(h, gate_2, self.reading(_moved(h, shift_2, scale_2), text, mask))
        return torch.addcmul(h, gate_3, self.mlp(_moved(h, shift_3, scale_3)))


class LatentTransformer(nn.Module):
    """The noise in a molecule's latents, given the time and a text. The defaults are the published model's.

    Args:
        tokens: of a molecule's latents.
        channels: of each token.
        width: of the transformer.
        depth: its blocks.
        heads: of each attention.
        hidden: width within the MLPs.
        text_width: of the text encoder's output.
        read_width: of what the blocks read of it.
        frequencies: sines and cosines of the time.

    Raises:
        ValueError: if `heads` does not divide `width`.
    """

    def __init__(
        self,
        tokens: int = 127,
        channels: int = 64,
        width: int = 768,
        depth: int = 12,
        heads: int = 16,
        hidden: int = 3072,
        text_width: int = 1024,
        read_width: int = 768,
        frequencies: int = 256,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"A width of {width} cannot be shared among {heads} heads.")
        self.tokens, self.channels, self.text_width, self.frequencies = tokens, channels, text_width, frequencies
        self.read_in = nn.Linear(channels, width)
        self.register_buffer("places", places(tokens, width))
        self.clock = nn.Sequential(nn.Linear(frequencies, width), nn.SiLU(), nn.Linear(width, width))
        self.text = nn.Linear(text_width, read_width)
        self.blocks = nn.ModuleList([Block(width, hidden, read_width, heads) for _ in range(depth)])
        self.last_modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, 2 * channels)

    def forward(self, x: Tensor, time: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
        """The noise that the network sees in x.

        Args:
            x: latents at the network's own scale, x_t = alpha_t x_0 + sigma_t eps, [B, tokens, channels].
            time: the step of each, 0 to 999 and not necessarily whole, [B].
            text: the text encoder's output, [B, L, text_width].
            text_mask: which of these are words and not padding, bool [B, L]; at least one of each row.

        Returns:
            eps, [B, tokens, channels].
        """
        h = self.read_in(x) + self.places
        condition = functional.silu(self.clock(fourier(time, self.frequencies).to(h.dtype))).unsqueeze(1)
        read, mask = self.text(text), text_mask.bool()[:, None, None, :]
        for block in self.blocks:
            h = block(h, condition, read, mask)
        shift, scale = self.last_modulation(condition).chunk(2, -1)
        return self.out(_moved(h, shift, scale))[..., : self.channels]
