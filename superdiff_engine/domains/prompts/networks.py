"""The networks of the embedded text-to-image model, in the classes that StableDiffusionPipeline knows.

    picture [3, 64, 64] -- autoencoder (f = 4) --> latent [4, 16, 16]        prompt -- text encoder --> [32, 256]

The U-Net predicts v at 16 x 16, with cross-attention to the 32 text tokens at 4 x 4, and their pooled embedding in
every block, where it scales and shifts the channels. Sizes were chosen by the time of a training step on two CPU cores.
In equal steps on 120 concepts, scale and shift learned a little more than shift and attention at 8 x 8 as well, in 0.84
of the time.

Architecture: latent diffusion (Rombach et al. 2022, arXiv 2112.10752), CLIP's text transformer (Radford et al. 2021,
arXiv 2103.00020).
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel

from .captions import MAX_TOKENS
from .emoji import SIZE

WIDTH = 256


def autoencoder(factor: int = 4, channels: int | None = None, widths: tuple[int, ...] | None = None) -> Any:
    """A small AutoencoderKL of 64 x 64 pictures, without attention.

    Args:
        factor: of the reduction in height and width, 4 or 8.
        channels: of the latent; None for 4 at factor 4 (16 x 16) and 16 at factor 8 (8 x 8): the same count of numbers.
        widths: of the levels from full size down; None for (32, 64, 96) and (32, 64, 96, 128).
    """
    levels = {4: (32, 64, 96), 8: (32, 64, 96, 128)}[factor] if widths is None else widths
    return AutoencoderKL(
        sample_size=SIZE,
        latent_channels=(4 if factor == 4 else 16) if channels is None else channels,
        block_out_channels=levels,
        down_block_types=("DownEncoderBlock2D",) * len(levels),
        up_block_types=("UpDecoderBlock2D",) * len(levels),
        layers_per_block=1,
        norm_num_groups=8,
        mid_block_add_attention=False,
    )


def text_encoder(tokenizer: Any, width: int = WIDTH, layers: int = 3) -> Any:
    """A CLIPTextModel for the tokens of `tokenizer`."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        max_position_embeddings=MAX_TOKENS,
        hidden_act="quick_gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def unet(widths: tuple[int, ...] = (64, 128, 256), layers: int = 1, channels: int = 4, size: int = 16) -> Any:
    """A UNet2DConditionModel of latents [channels, size, size], with attention at its lowest resolution.

    The pooled text joins the time embedding too (addition_embed_type "text", which needs nothing beyond the tokens), so
    that every block knows the concept: with cross-attention alone, a thousand steps taught it next to nothing of it.
    """
    plain = len(widths) - 1
    return UNet2DConditionModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=widths,
        layers_per_block=layers,
        down_block_types=("DownBlock2D",) * plain + ("CrossAttnDownBlock2D",),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D",) + ("UpBlock2D",) * plain,
        resnet_time_scale_shift="scale_shift",
        cross_attention_dim=WIDTH,
        addition_embed_type="text",
        addition_embed_type_num_heads=WIDTH // 64,
        attention_head_dim=tuple(max(1, width // 64) for width in widths),  # diffusers' old name: the number of heads
        norm_num_groups=16,
    )


def scheduler() -> Any:
    """Stable Diffusion's schedule with v-prediction, for DDIM."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


class TextToLatent(nn.Module):
    """Text encoder and U-Net as one network, so that an average or a checkpoint of it holds both.

    forward maps (x_t [batch, 4, 16, 16], time [batch], token ids [batch, 32]) to v, the like of x_t.
    """

    def __init__(self, text: Any, unet: Any) -> None:
        super().__init__()
        self.text, self.unet = text, unet

    def forward(self, latents: Tensor, time: Tensor, tokens: Tensor) -> Tensor:
        return self.unet(latents, time, self.text(tokens).last_hidden_state).sample


class Grounding(nn.Module):
    """What the text encoder learns by: a linear map from a text's embedding to the picture that it speaks of.

    Args:
        text: the encoder.
        numbers: of a picture.
    """

    def __init__(self, text: Any, numbers: int) -> None:
        super().__init__()
        self.text, self.head = text, nn.Linear(text.config.hidden_size, numbers)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(pooled texts of length 1 [batch, width], pictures [batch, numbers]) of token ids [batch, 32].

        Pictures are read from the mean over all tokens, which is what the U-Net's pooling begins with.
        """
        found = self.text(tokens)
        return functional.normalize(found.pooler_output.float(), dim=1), self.head(found.last_hidden_state.mean(1))


def parameters_of(network: nn.Module) -> int:
    """How many numbers a network has learned."""
    return sum(value.numel() for value in network.parameters())


@torch.no_grad()
def encode(vae: Any, pictures: Tensor, batch: int = 64) -> Tensor:
    """Means of the latents, unscaled, of pictures [count, 3, 64, 64] in [-1, 1]."""
    return torch.cat([vae.encode(part).latent_dist.mean for part in pictures.split(batch)])
