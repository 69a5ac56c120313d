"""Where the U-Net's cross-attention begins to look: at each place, at the token that speaks of that place.

The last sixteen tokens of a text speak of the picture's patches (`networks.Grounding`), and the U-Net attends to them
at 4 x 4, from as many places. Which place belongs to which token is the same for all texts, so a network need not find
it out: one head of every cross-attention is set by linear least squares before the training:

    queries  W_q h_p = g e_p      h_p the features at place p = 0 ... 15, e_p its unit vector
    keys     W_k t_j = g e_j'     t_j the text's states; j' the patch of token j, 0 for the tokens before
    values   W_v t_j              the patch that `Grounding` reads there, of unit variance

with g^2 / sqrt(d) = SHARPNESS nats between the right token and the others. What follows from the values is for the
training to find.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .networks import PATCHES, Grounding, TextToLatent

#: Nats of attention between the token of the place and the others, where both fits are perfect.
SHARPNESS = 10.0


@torch.no_grad()
def align_attention(
    network: TextToLatent, grounding: Grounding, latents: Tensor, times: Tensor, tokens: Tensor
) -> list[float]:
    """Set the first head of every cross-attention at 4 x 4 to look at its own patch.

    Args:
        network: text encoder and U-Net; changed.
        grounding: of the same text encoder.
        latents: noisy, [batch, 4, 16, 16], as the U-Net gets them.
        times: [batch], theirs.
        tokens: token ids [batch, 32] of captions.

    Returns:
        The mean weight that each of these heads now gives the token of its place; 1 / 32 is chance.
    """
    states = network.text(tokens).last_hidden_state
    layers = [module.attn2 for module in network.unet.modules() if hasattr(module, "attn2")]
    seen: dict[Any, Tensor] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda layer, given: seen.__setitem__(layer, given[0])) for layer in layers
    ]
    try:
        network.unet(latents, times, states)
    finally:
        for hook in hooks:
            hook.remove()
    before = states.shape[1] - PATCHES**2
    own = torch.cat([torch.zeros(before, PATCHES**2), torch.eye(PATCHES**2)])
    found = []
    for layer in layers:
        places, size = seen[layer], layer.to_q.out_features // layer.heads
        if places.shape[1] != PATCHES**2 or size < PATCHES**2:
            continue
        gain = math.sqrt(SHARPNESS * math.sqrt(size))
        _set(layer.to_q, size, _fit(places, torch.eye(PATCHES**2).expand(len(places), -1, -1)) * gain)
        _set(layer.to_k, size, _fit(states, own.expand(len(states), -1, -1)) * gain)
        read = grounding.patch.weight[:size]
        _set(layer.to_v, size, read / (states @ read.T).std())
        logits = layer.to_q(places)[..., :size] @ layer.to_k(states)[..., :size].mT / math.sqrt(size)
        weights = logits.softmax(2)[:, :, before:]
        found.append(float(weights.diagonal(dim1=1, dim2=2).mean()))
    return found


def _fit(inputs: Tensor, targets: Tensor, ridge: float = 1e-3) -> Tensor:
    """W [outputs, width], with W x near y for inputs x [batch, count, width] and targets y [batch, count, outputs]."""
    x, y = inputs.flatten(0, 1).double(), targets.flatten(0, 1).double()
    gram = x.T @ x / len(x)
    scale = gram.diagonal().mean()
    return torch.linalg.solve(gram + ridge * scale * torch.eye(len(gram)).double(), x.T @ y / len(x)).T.float()


def _set(linear: nn.Linear, size: int, rows: Tensor) -> None:
    """Put rows into the first head's outputs; what is left of them is zero."""
    linear.weight[:size] = 0
    linear.weight[: min(size, len(rows))] = rows[:size]
