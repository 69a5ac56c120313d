"""Text-to-image pipelines of real classes with small random weights, saved as folders."""

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

TOKENS = 16
LETTERS = "abcdefghijklmnopqrstuvwxyz ,"


def tokenizer():
    letters = [*LETTERS, *(letter + "</w>" for letter in LETTERS)]
    vocabulary = {token: index for index, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=TOKENS)


def text_encoder(kind, width=32):
    config = CLIPTextConfig(
        vocab_size=2 * len(LETTERS) + 2,
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        bos_token_id=2 * len(LETTERS),
        eos_token_id=2 * len(LETTERS) + 1,
        pad_token_id=2 * len(LETTERS) + 1,
    )
    return kind(config)


def vae(channels=4):
    return AutoencoderKL(
        sample_size=16,
        latent_channels=channels,
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        scaling_factor=0.5,
        shift_factor=0.1 if channels == 16 else None,
    )


def unet(width=32, **more):
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=width,
        attention_head_dim=2,
        norm_num_groups=4,
        **more,
    )


def ddim(prediction):
    # Stable Diffusion's table; set_alpha_to_one off ends on the table's own lowest level, as our grids do.
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type=prediction,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def save(folder, kind, prediction="epsilon"):
    """Write a pipeline of `kind` "sd", "sdxl" or "sd3" to `folder`; returns the folder."""
    torch.manual_seed(7)
    if kind == "sd":
        pipe = StableDiffusionPipeline(
            vae=vae(),
            text_encoder=text_encoder(CLIPTextModel),
            tokenizer=tokenizer(),
            unet=unet(),
            scheduler=ddim(prediction),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    elif kind == "sdxl":
        pipe = StableDiffusionXLPipeline(
            vae=vae(),
            text_encoder=text_encoder(CLIPTextModel),
            tokenizer=tokenizer(),
            text_encoder_2=text_encoder(CLIPTextModelWithProjection),
            tokenizer_2=tokenizer(),
            unet=unet(
                64,
                addition_embed_type="text_time",
                addition_time_embed_dim=8,
                projection_class_embeddings_input_dim=6 * 8 + 32,
            ),
            scheduler=ddim(prediction),
        )
    else:
        transformer = SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=16,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=64,
            pooled_projection_dim=64,
            out_channels=16,
            pos_embed_max_size=16,
        )
        pipe = StableDiffusion3Pipeline(
            transformer=transformer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=vae(16),
            text_encoder=text_encoder(CLIPTextModelWithProjection),
            tokenizer=tokenizer(),
            text_encoder_2=text_encoder(CLIPTextModelWithProjection),
            tokenizer_2=tokenizer(),
            text_encoder_3=None,
            tokenizer_3=None,
        )
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder
