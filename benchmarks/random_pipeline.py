"""Text-to-image pipelines of random weights, made in place on a device: no file and no network is needed.

Architectures: Stable Diffusion 1.5's U-Net and VAE (Rombach et al. 2022, arXiv 2112.10752) and the text encoder of CLIP
ViT-L/14 (Radford et al. 2021, arXiv 2103.00020), as diffusers and transformers configure them. The tokenizer knows
letters alone, which takes as long.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from superdiff_engine.domains.prompts.encoding import FAMILIES
from superdiff_engine.domains.prompts.loading import LoadedPipeline, PromptSettings
from superdiff_engine.domains.prompts.pipeline import TextToImage
from superdiff_engine.noise import DiscreteVP


@dataclass(frozen=True)
class PipelineSize:
    """How large a pipeline's parts are: what their configurations are given beyond what all have in common."""

    title: str
    unet: dict[str, Any] = field(default_factory=dict)
    vae: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)


STABLE_DIFFUSION = PipelineSize(
    "Stable Diffusion 1.5's size",
    # UNet2DConditionModel's own defaults are Stable Diffusion 1's, but for these.
    unet={"sample_size": 64, "cross_attention_dim": 768},
    vae={"sample_size": 512, "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2},
    text={"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
)
TINY = PipelineSize(
    "a tiny pipeline",
    unet={
        "sample_size": 8,
        "cross_attention_dim": 32,
        "block_out_channels": (16, 32),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    },
    vae={"sample_size": 16, "block_out_channels": (8, 8), "norm_num_groups": 4},
    text={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
)
#: Of CLIP.
TOKENS, VOCABULARY = 77, 49_408


def random_pipeline(
    size: PipelineSize, device: str = "cpu", dtype: torch.dtype = torch.float32, seed: int = 0
) -> TextToImage:
    """A network for prompts, of random weights.

    Args:
        size: of its parts.
        device: where the weights are drawn and stay.
        dtype: of the weights.
        seed: of the weights.
    """
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    family = FAMILIES["StableDiffusionPipeline"]
    torch.manual_seed(seed)
    with torch.device(device):
        unet = UNet2DConditionModel(**size.unet)
        levels = len(size.vae["block_out_channels"])
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            latent_channels=4,
            **size.vae,
        )
        config = CLIPTextConfig(
            vocab_size=VOCABULARY,
            max_position_embeddings=TOKENS,
            projection_dim=size.text["hidden_size"],
            hidden_act="quick_gelu",
            **size.text,
        )
        text = CLIPTextModel(config)
    for part in (unet, vae, text):
        layout = torch.contiguous_format if part is text else torch.channels_last  # as `load_pipeline` has them
        # nn.Module's own `to`: that of diffusers warns about every cast.
        nn.Module.to(part, device=device, dtype=dtype, memory_format=layout)  # type: ignore[call-overload]
        part.eval().requires_grad_(False)
    scheduler = DDIMScheduler(**family.scheduler[1])
    pipe: Any = StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=_letters(), unet=unet, scheduler=scheduler, **family.fixed
    )
    schedule = DiscreteVP(scheduler.alphas_cumprod)
    loaded = LoadedPipeline(pipe, family, schedule, "epsilon", PromptSettings(), size.title, (), lambda: vae.float())
    return TextToImage(loaded)


def _letters() -> Any:
    from transformers import CLIPTokenizer

    letters = [*string.ascii_lowercase, " ", ","]
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: place for place, token in enumerate(tokens)}, merges=[], model_max_length=TOKENS)
