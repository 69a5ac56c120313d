"""The networks of the embedded text-to-image model, in the classes that StableDiffusionPipeline knows.

    picture [3, 128, 128] -- autoencoder (f = 8) --> latent [8, 16, 16]      prompt -- text encoder --> [32, 256]

The U-Net predicts v at 16 x 16, with cross-attention to the 32 text tokens at 8 x 8 and 4 x 4, and their pooled
embedding in every block, where it scales and shifts the channels.

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
from .rendering import SIZE

#: Channels of the text, and of a latent.
WIDTH = 256
LATENT_CHANNELS = 8


def autoencoder(widths: tuple[int, ...] = (48, 96, 128, 192), channels: int = LATENT_CHANNELS) -> Any:
    """An AutoencoderKL of 128 x 128 pictures, without attention; 7.0 million parameters.

    Args:
        widths: of the levels from full size down; each but the last halves height and width.
        channels: of the latent.
    """
    return AutoencoderKL(
        sample_size=SIZE,
        latent_channels=channels,
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
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


def unet(widths: tuple[int, ...] = (128, 192, 224), layers: int = 1, channels: int = LATENT_CHANNELS) -> Any:
    """A UNet2DConditionModel of latents [channels, 16, 16], with attention below its first level; 20.6 million
    parameters.

    The pooled text joins the time embedding too (addition_embed_type "text", which needs nothing beyond the tokens), so
    that every block knows the concept: with cross-attention alone, a thousand steps taught it next to nothing of it.

    Args:
        widths: of the levels from full size down, multiples of 16; a head has about 64 channels.
        layers: residual blocks a level.
        channels: of the latent.
    """
    below = len(widths) - 1
    return UNet2DConditionModel(
        sample_size=SIZE // 8,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=widths,
        layers_per_block=layers,
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * below,
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D",) * below + ("UpBlock2D",),
        resnet_time_scale_shift="scale_shift",
        cross_attention_dim=WIDTH,
        addition_embed_type="text",
        addition_embed_type_num_heads=WIDTH // 64,
        # diffusers' old name: the number of heads
        attention_head_dim=tuple(max(1, round(width / 64)) for width in widths),
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

    forward maps (x_t [batch, 8, 16, 16], time [batch], token ids [batch, 32]) to v, the like of x_t.
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
    """Means of the latents, unscaled, of pictures [count, 3, 128, 128] in [-1, 1]."""
    return torch.cat([vae.encode(part).latent_dist.mean for part in pictures.split(batch)])
