r"""What differs between families of text-to-image pipelines: their parts, how a prompt is read, how the network is fed.

    family                text encoders                 the network's text input         its pooled input
    Stable Diffusion 1/2  CLIP                          last hidden states               none
    Stable Diffusion XL   CLIP, CLIP with projection    penultimate states, side by side of the second encoder
    Stable Diffusion 3    two CLIPs, T5 (may be absent) CLIP's states, then T5's         of both CLIPs

(arXiv 2112.10752, 2307.01952, 2403.03206.) A prompt goes through diffusers' own `encode_prompt`, which pads every
prompt to one length: conditions of one pipeline always stack into one batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...errors import ModelError
from ..sources import listed_parts, pipeline_class

_CLIP = ("CLIPTextModel", "CLIPTextModelWithProjection")
_CLIP_TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast")
_VAES = ("AutoencoderKL", "AutoencoderTiny")
#: Schedulers that pipelines may name: a model's noise schedule is read from it, its sampler is not used.
SCHEDULERS = (
    *("DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "LMSDiscreteScheduler", "HeunDiscreteScheduler"),
    *("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "KDPM2DiscreteScheduler"),
    *("KDPM2AncestralDiscreteScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"),
    *("DEISMultistepScheduler", "UniPCMultistepScheduler", "DDIMInverseScheduler", "LCMScheduler", "TCDScheduler"),
    *("DDPMParallelScheduler", "DDIMParallelScheduler", "SASolverScheduler"),
    *("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"),
)
#: What Stable Diffusion 1 and XL were trained with, as diffusers writes it.
_SD_SCHEDULER = (
    "DDIMScheduler",
    {
        "num_train_timesteps": 1000,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "prediction_type": "epsilon",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    },
)
#: Parts that pipelines of other classes may have besides a family's own, and that are not needed.
_LEFT_OUT = ("scheduler", "safety_checker", "feature_extractor", "image_encoder")

# Linear maps from latents to RGB in [-1, 1], one row a latent channel, fitted by the authors of InvokeAI
# (invokeai/app/util/step_callback.py, Apache-2.0).
_SD_RGB = (
    (0.3444, 0.1385, 0.0670),
    (0.1247, 0.4027, 0.1494),
    (-0.3192, 0.2513, 0.2103),
    (-0.1307, -0.1874, -0.7445),
)
_SDXL_RGB = (
    (0.3816, 0.4930, 0.5320),
    (-0.3753, 0.1631, 0.1739),
    (0.1770, 0.3588, -0.2048),
    (-0.4350, -0.2644, -0.4289),
)
_SD3_RGB = (
    (-0.0524, 0.0325, 0.0749),
    (-0.0581, 0.0076, 0.0573),
    (0.1614, 0.0127, -0.0377),
    (0.1442, 0.0846, 0.1594),
    (0.0489, 0.0056, -0.0669),
    (0.0519, 0.1922, 0.0626),
    (0.1539, 0.0482, 0.0710),
    (-0.0860, 0.0901, 0.1089),
    (-0.1240, -0.0677, 0.0034),
    (-0.0440, 0.0783, 0.0226),
    (0.0310, 0.0638, 0.0775),
    (-0.0132, 0.0855, -0.0877),
    (0.0646, 0.0591, 0.1326),
    (-0.0786, -0.0226, -0.1276),
    (-0.0992, -0.0801, -0.0626),
    (-0.0339, -0.0804, -0.0608),
)


@dataclass(frozen=True, eq=False)
class Condition:
    """A prompt as the network reads it.

    Attributes:
        title: the prompt, for charts and messages.
        embeddings: [1, tokens, width].
        pooled: [1, width], or None where the family has none.
        cut: what of the prompt did not fit into a text encoder, one text for each limit that was met.
        warnings: the same as sentences for the user; empty when all of the prompt was read.
    """

    title: str
    embeddings: Tensor
    pooled: Tensor | None = None
    cut: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Family(ABC):
    """One kind of pipeline; `pipe` is diffusers' pipeline object throughout."""

    #: The class in diffusers, what people call it, and the attribute that holds the denoiser.
    pipeline: str
    title: str
    network = "unet"
    #: The classes that each part may have; parts of the pipeline that are not here are left out.
    parts: ClassVar[Mapping[str, Sequence[str]]]
    #: Parts that may be missing.
    optional: tuple[str, ...] = ()
    #: Arguments of the pipeline's constructor for parts that are left out, and settings.
    fixed: ClassVar[Mapping[str, Any]]
    #: Settings in model_index.json that the pipeline's constructor takes over.
    settings: tuple[str, ...] = ()
    #: The scheduler's class and settings where a pipeline has none.
    scheduler: tuple[str, Mapping[str, Any]] = _SD_SCHEDULER
    #: Whether the network was trained by flow matching, and not on a table of alphas.
    flow = False
    #: Latent channels to RGB, for pipelines whose VAE is the family's own.
    latent_rgb: Sequence[Sequence[float]]

    @abstractmethod
    def embed(self, pipe: Any, prompt: str) -> tuple[Tensor, Tensor | None]:
        """(embeddings [1, tokens, width], pooled [1, width] or None) of a prompt."""

    @abstractmethod
    def predict(self, pipe: Any, x: Tensor, time: Tensor, embeddings: Tensor, pooled: Tensor | None) -> Tensor:
        """The network's output at latents x [n, C, h, w] and times [n]; of the shape of x."""

    @abstractmethod
    def widths(self, pipe: Any) -> tuple[Sequence[int], Sequence[int]]:
        """Widths of the text input that the text encoders give, and those that the network takes."""

    def granularity(self, pipe: Any) -> int:
        """Height and width in pixels must be multiples of this."""
        return int(pipe.vae_scale_factor)

    def largest_side(self, pipe: Any) -> int | None:
        """The most pixels that height or width can have; None without a limit."""
        return None

    def blank(self, pipe: Any) -> bool:
        """Whether the unconditional expert is all zeros instead of an empty prompt."""
        return False


class StableDiffusion(Family):
    """Stable Diffusion 1.x and 2.x."""

    pipeline, title = "StableDiffusionPipeline", "Stable Diffusion"
    parts: ClassVar[Mapping[str, Sequence[str]]] = {
        "vae": _VAES,
        "text_encoder": _CLIP,
        "tokenizer": _CLIP_TOKENIZERS,
        "unet": ("UNet2DConditionModel",),
    }
    fixed: ClassVar[Mapping[str, Any]] = {
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    latent_rgb = _SD_RGB

    def embed(self, pipe: Any, prompt: str) -> tuple[Tensor, Tensor | None]:
        embeddings, _ = pipe.encode_prompt(prompt, pipe._execution_device, 1, False)
        return embeddings, None

    def predict(self, pipe: Any, x: Tensor, time: Tensor, embeddings: Tensor, pooled: Tensor | None) -> Tensor:
        return pipe.unet(x, time, encoder_hidden_states=embeddings, return_dict=False)[0]

    def widths(self, pipe: Any) -> tuple[Sequence[int], Sequence[int]]:
        return (pipe.text_encoder.config.hidden_size,), (_text_width(pipe.unet),)


class StableDiffusionXL(Family):
    """Stable Diffusion XL: the network is also told the picture's size (no crop, original size = target size)."""

    pipeline, title = "StableDiffusionXLPipeline", "Stable Diffusion XL"
    parts: ClassVar[Mapping[str, Sequence[str]]] = {
        **StableDiffusion.parts,
        "text_encoder_2": ("CLIPTextModelWithProjection",),
        "tokenizer_2": _CLIP_TOKENIZERS,
    }
    fixed: ClassVar[Mapping[str, Any]] = {"image_encoder": None, "feature_extractor": None, "add_watermarker": False}
    settings = ("force_zeros_for_empty_prompt",)
    latent_rgb = _SDXL_RGB

    def embed(self, pipe: Any, prompt: str) -> tuple[Tensor, Tensor | None]:
        embeddings, _, pooled, _ = pipe.encode_prompt(prompt, do_classifier_free_guidance=False)
        return embeddings, pooled

    def predict(self, pipe: Any, x: Tensor, time: Tensor, embeddings: Tensor, pooled: Tensor | None) -> Tensor:
        size = (x.shape[-2] * pipe.vae_scale_factor, x.shape[-1] * pipe.vae_scale_factor)
        width = pipe.text_encoder_2.config.projection_dim
        try:
            ids = pipe._get_add_time_ids(size, (0, 0), size, dtype=embeddings.dtype, text_encoder_projection_dim=width)
        except ValueError as error:
            raise ModelError(f"The UNet does not fit its second text encoder: {error}") from None
        added = {"text_embeds": pooled, "time_ids": ids.to(x.device).expand(len(x), -1)}
        return pipe.unet(x, time, encoder_hidden_states=embeddings, added_cond_kwargs=added, return_dict=False)[0]

    def widths(self, pipe: Any) -> tuple[Sequence[int], Sequence[int]]:
        encoders = (pipe.text_encoder, pipe.text_encoder_2)
        return (sum(encoder.config.hidden_size for encoder in encoders),), (_text_width(pipe.unet),)

    def blank(self, pipe: Any) -> bool:
        return bool(pipe.config.force_zeros_for_empty_prompt)


class StableDiffusion3(Family):
    """Stable Diffusion 3 and 3.5: a transformer trained by flow matching; T5 may be absent."""

    pipeline, title, network, flow = "StableDiffusion3Pipeline", "Stable Diffusion 3", "transformer", True
    scheduler = ("FlowMatchEulerDiscreteScheduler", {"num_train_timesteps": 1000, "shift": 3.0})
    parts: ClassVar[Mapping[str, Sequence[str]]] = {
        "vae": _VAES,
        "text_encoder": ("CLIPTextModelWithProjection",),
        "tokenizer": _CLIP_TOKENIZERS,
        "text_encoder_2": ("CLIPTextModelWithProjection",),
        "tokenizer_2": _CLIP_TOKENIZERS,
        "text_encoder_3": ("T5EncoderModel",),
        "tokenizer_3": ("T5Tokenizer", "T5TokenizerFast"),
        "transformer": ("SD3Transformer2DModel",),
    }
    optional = ("text_encoder_3", "tokenizer_3")
    fixed: ClassVar[Mapping[str, Any]] = {"image_encoder": None, "feature_extractor": None}
    latent_rgb = _SD3_RGB

    def embed(self, pipe: Any, prompt: str) -> tuple[Tensor, Tensor | None]:
        embeddings, _, pooled, _ = pipe.encode_prompt(prompt, None, None, do_classifier_free_guidance=False)
        return embeddings, pooled

    def predict(self, pipe: Any, x: Tensor, time: Tensor, embeddings: Tensor, pooled: Tensor | None) -> Tensor:
        return pipe.transformer(x, embeddings, pooled, time, return_dict=False)[0]

    def widths(self, pipe: Any) -> tuple[Sequence[int], Sequence[int]]:
        clips, config = (pipe.text_encoder, pipe.text_encoder_2), pipe.transformer.config
        joint, pooled = config.joint_attention_dim, config.pooled_projection_dim
        t5 = joint if pipe.text_encoder_3 is None else pipe.text_encoder_3.config.d_model
        # CLIP's states are padded to the width of T5's; were they wider, diffusers would crop them silently.
        given = max(t5, sum(clip.config.hidden_size for clip in clips))
        return (given, sum(clip.config.projection_dim for clip in clips)), (joint, pooled)

    def granularity(self, pipe: Any) -> int:
        return int(pipe.vae_scale_factor * pipe.patch_size)

    def largest_side(self, pipe: Any) -> int | None:
        return int(pipe.transformer.config.pos_embed_max_size) * self.granularity(pipe)


def _text_width(unet: Any) -> int:
    width = unet.config.encoder_hid_dim or unet.config.cross_attention_dim
    return int(width if isinstance(width, int) else width[0])  # older configurations give one for each block


FAMILIES: dict[str, Family] = {
    family.pipeline: family for family in (StableDiffusion(), StableDiffusionXL(), StableDiffusion3())
}


def recognise(index: Mapping[str, Any]) -> Family | None:
    """The family of a pipeline by what its model_index.json says; None if it is of no family.

    A class that is none of theirs, such as that of a pipeline which brings its code along, goes by its parts: they
    decide what the networks are, whatever its code did with them.
    """
    if (kind := pipeline_class(index)) in FAMILIES:
        return FAMILIES[kind]
    listed = listed_parts(index)
    for family in FAMILIES.values():
        needed = [part for part in family.parts if part not in family.optional or part in listed]
        if all(listed.get(part) in family.parts[part] for part in needed) and {*listed} <= {*family.parts, *_LEFT_OUT}:
            return family
    return None


@torch.no_grad()
def encode(family: Family, pipe: Any, prompt: str) -> Condition:
    """A prompt (it may be empty) through the pipeline's text encoders, with a note of what they could not read."""
    embeddings, pooled = family.embed(pipe, prompt)
    cut: dict[str, str] = {}
    for name, reader, most in _tokenizers(pipe):
        if text := _beyond(getattr(pipe, name), prompt, most):
            cut.setdefault(text, f"{reader} reads {most} tokens of a prompt; it does not see '{text}'.")
    return Condition(prompt, embeddings, pooled, tuple(cut), tuple(cut.values()))


def zeros_like(condition: Condition) -> Condition:
    """A condition of the same shapes that says nothing."""
    pooled = None if condition.pooled is None else torch.zeros_like(condition.pooled)
    return Condition(condition.title, torch.zeros_like(condition.embeddings), pooled)


def _tokenizers(pipe: Any) -> list[tuple[str, str, int]]:
    """(attribute, reader, most tokens) of the pipeline's tokenizers; T5's limit is that of diffusers' pipelines."""
    limits = [("tokenizer", "CLIP", 0), ("tokenizer_2", "CLIP", 0), ("tokenizer_3", "T5", 256)]
    there = [(name, reader, most) for name, reader, most in limits if getattr(pipe, name, None) is not None]
    return [(name, reader, most or getattr(pipe, name).model_max_length) for name, reader, most in there]


def _beyond(tokenizer: Any, prompt: str, most: int) -> str:
    """The part of a prompt that a tokenizer with room for `most` tokens (special ones included) leaves out."""
    tokens = tokenizer(prompt, add_special_tokens=True, verbose=False).input_ids
    ends = 1  # both CLIP and T5 close with one special token
    return "" if len(tokens) <= most else str(tokenizer.decode(tokens[most - ends : -ends])).strip()
