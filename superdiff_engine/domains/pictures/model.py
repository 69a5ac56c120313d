"""Experts from unconditional diffusers pipelines: a folder, or a repository of a model hub.

A pipeline folder holds model_index.json, a UNet2DModel (unet/config.json and safetensors weights) and the DDPM or DDIM
scheduler that it was trained with (scheduler/scheduler_config.json). Old repositories keep all of it at the top. A
small superdiff.json beside it, which other programs ignore, may add a title, a description and how pictures are
rearranged for the network.

Pictures are tensors [channels, height, width] in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from ...domain import ModelInfo, look_at
from ...errors import ModelError
from ...noise import DiscreteVP
from ...score import NetworkScore
from ...system.file_cache import file_cached
from ...training.task import TrainingFacts
from ..embedded import EmbeddedModels
from ..hub import fetch_pipeline
from ..sources import (
    INDEX,
    LocalPipeline,
    find_folder,
    folder_title,
    is_foreign,
    listed_parts,
    local_pipelines,
    pipeline_class,
    printable,
    read_json,
    read_settings,
)
from ..weights import OTHER_WEIGHTS, choose_network, read_network
from .data import EXPERT_CLASSES

WEIGHTS = "diffusion_pytorch_model.safetensors"
NETWORK = "UNet2DModel"
PARTS = ("unet", "scheduler")
#: Classes of pipelines of pictures, also where model_index.json lists none of their parts.
PIPELINES = ("DDPMPipeline", "DDIMPipeline", "PNDMPipeline")
SCHEDULER = "scheduler_config.json"


class PictureSettings(BaseModel):
    """What superdiff.json says; all of it may be missing."""

    model_config = ConfigDict(extra="ignore")

    title: str | None = Field(default=None, max_length=80)
    description: str = Field(default="", max_length=400)
    #: The network sees pictures rearranged by torch's pixel_unshuffle with this factor (an orthonormal map).
    pixel_unshuffle: int = Field(default=1, ge=1, le=16)
    picture_shape: tuple[int, int, int] | None = None
    classes: list[int] | None = None
    training: TrainingFacts | None = None


MODELS = EmbeddedModels(tuple(EXPERT_CLASSES), lambda folder: read_settings(folder, PictureSettings))


class PictureNetwork(nn.Module):
    """A UNet2DModel as a function of pictures: (x_t [batch, C, H, W], time [batch]) -> the like of x_t, float32.

    Args:
        unet: float32 weights; moved and cast here.
        patch: the factor of pixel_unshuffle.
        dtype: what the network computes in. bfloat16 on a CPU runs under autocast, which keeps the weights exact.
    """

    def __init__(self, unet: Any, patch: int, device: str, dtype: torch.dtype) -> None:
        super().__init__()
        self.patch, self.device_type = patch, torch.device(device).type
        self.autocast = self.device_type == "cpu" and dtype == torch.bfloat16
        self.dtype = torch.float32 if self.autocast else dtype
        # nn.Module's own `to`: that of diffusers warns about every cast.
        nn.Module.to(unet, device=device, dtype=self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.unet = unet.eval().requires_grad_(False)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        x = functional.pixel_unshuffle(x, self.patch).to(self.dtype).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device_type, torch.bfloat16) if self.autocast else nullcontext():
            out = self.unet(x, time).sample
        return functional.pixel_shuffle(out.float(), self.patch)


class PictureScore(NetworkScore):
    """The score of a picture model.

    Attributes:
        notes: what the user should know of the model, in sentences.
    """

    def __init__(self, *args: Any, notes: Sequence[str] = ()) -> None:
        super().__init__(*args)
        self.notes = tuple(notes)


def owns(model: str) -> bool:
    """Whether `model` is written like an id of this domain: embedded, "local/NAME" or "hub/OWNER/NAME"."""
    return model in MODELS or is_foreign(model)


def reads(index: dict[str, Any]) -> bool:
    """Whether a model_index.json is of a pipeline of pictures."""
    return listed_parts(index).get("unet") == NETWORK or pipeline_class(index) in PIPELINES


def list_models() -> Iterator[ModelInfo | ModelError]:
    """Embedded models, then the user's own folders, or the errors of those that cannot be read; hub repositories are
    not listed but can be asked for.
    """
    yield from MODELS.listing()
    for local in local_pipelines():
        if local.problem is not None:  # of whatever kind it is
            yield local.problem
        elif reads(local.index):
            yield look_at(local.id, partial(_local_info, local))


def _local_info(local: LocalPipeline) -> ModelInfo:
    settings = read_settings(local.folder, PictureSettings)
    text = settings.description or f"diffusers pipeline in {printable(str(local.folder))}"
    return ModelInfo(local.id, settings.title or local.title, text, "local")


def load_expert(model: str, device: str = "cpu", dtype: str = "float32", revision: str | None = None) -> PictureScore:
    """The score model of a pipeline, kept in memory for the next run.

    Args:
        model: an id that `owns` accepts.
        device: a torch device.
        dtype: "float32", "float16" or "bfloat16", what the network computes in; scores are float32.
        revision: the commit of a hub's repository; None for the newest.

    Raises:
        ModelError: with one sentence, when the model is not there or is not what it should be.
    """
    return _load(_folder(model, revision), device, dtype)


@file_cached(16)
def _load(folder: Path, device: str, dtype: str) -> PictureScore:
    settings = read_settings(folder, PictureSettings)
    _check_parts(read_json(folder / INDEX), folder_title(folder))
    schedule, prediction = _read_scheduler(part_of(folder, "scheduler"))
    unet, variant = read_unet(folder)
    shape = _picture_shape(unet.config, settings, folder_title(folder))
    network = PictureNetwork(unet, settings.pixel_unshuffle, device, getattr(torch, dtype))
    title = settings.title or folder_title(folder).rpartition("/")[2]
    notes = (
        [f"{title} has weights of the variant '{variant}' only; these are used."] if variant in OTHER_WEIGHTS else []
    )
    return PictureScore(network, schedule, prediction, shape, title, notes=notes)


def _folder(model: str, revision: str | None) -> Path:
    return MODELS.find_folder(model) if model in MODELS else find_folder(model, _download, revision)


def _download(repository: str, revision: str | None) -> Path:
    def choose(index: dict[str, Any], names: Sequence[str]) -> list[str]:
        _check_parts(index, repository)
        place = {part: f"{part}/" if any(name.startswith(f"{part}/") for name in names) else "" for part in PARTS}
        known = (INDEX, "superdiff.json", f"{place['scheduler']}{SCHEDULER}")
        beside = [name.removeprefix(place["unet"]) for name in names if name.startswith(place["unet"])]
        network = choose_network([name for name in beside if "/" not in name], NETWORK, repository, "unet")
        return [*(name for name in names if name in known), *(f"{place['unet']}{name}" for name in network)]

    return fetch_pipeline(repository, revision, choose)


def part_of(folder: Path, name: str) -> Path:
    """The folder of a pipeline's component; old repositories keep everything at the top."""
    return folder / name if (folder / name).is_dir() else folder


def _check_parts(index: dict[str, Any], title: str) -> None:
    parts = listed_parts(index)
    if parts.get("unet") != NETWORK or set(parts) != set(PARTS):
        listed = ", ".join(f"{name} {kind}" for name, kind in parts.items()) or "nothing"
        raise ModelError(
            f"{title} is no unconditional picture model: it needs a {NETWORK} and a scheduler, it has {listed}."
        )


def _read_scheduler(folder: Path) -> tuple[DiscreteVP, Literal["epsilon", "v_prediction", "sample"]]:
    from diffusers import DDIMScheduler, DDPMScheduler

    path = folder / SCHEDULER
    config = read_json(path)
    classes: dict[str, Any] = {"DDPMScheduler": DDPMScheduler, "DDIMScheduler": DDIMScheduler}
    kind = str(config.get("_class_name"))
    if kind not in classes:
        raise ModelError(f"{path} names {kind}; a DDPMScheduler or a DDIMScheduler is needed.")
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction", "sample"):
        raise ModelError(f"{path} has prediction_type '{prediction}'; epsilon, v_prediction and sample are known.")
    try:
        return DiscreteVP(classes[kind].from_config(config).alphas_cumprod), prediction
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"{path} describes no usable noise schedule: {error}") from None


def read_unet(folder: Path) -> tuple[Any, str]:
    """The network in float32, and which variant of its weights was there."""
    place = part_of(folder, "unet")
    config = read_json(place / "config.json")
    if config.get("class_embed_type") is not None or config.get("num_class_embeds") is not None:
        raise ModelError(f"{place / 'config.json'} is of a model with class labels; an unconditional one is needed.")
    return read_network(place, NETWORK, torch.float32, f"unet of {folder_title(folder)}")


def _picture_shape(config: Any, settings: PictureSettings, name: str) -> tuple[int, int, int]:
    size = config.sample_size
    sizes: Sequence[int] = (size, size) if isinstance(size, int) else tuple(size or ())
    patch = settings.pixel_unshuffle
    if config.in_channels != config.out_channels:
        raise ModelError(f"{name} has other channels in its output than in its input; use a model with fixed variance.")
    if len(sizes) != 2 or config.in_channels % patch**2:
        raise ModelError(f"{name} does not say how large its pictures are (sample_size in unet/config.json).")
    shape = (config.in_channels // patch**2, sizes[0] * patch, sizes[1] * patch)
    if shape[0] not in (1, 3) or settings.picture_shape not in (None, shape):
        raise ModelError(f"{name} makes states of shape {shape}; grey or RGB pictures of one size are needed.")
    return shape
