"""From a folder or a hub id to a diffusers pipeline, part by part, with one sentence for whatever is wrong.

Nothing in a folder is ever executed: parts are built from classes that are named here (`Family.parts`), weights are
read from safetensors only, and the pipeline is put together by its own constructor. Diffusers' `from_pretrained`
would leave weights that are missing in a file at random values with a warning; here they are an error.

A small superdiff.json beside model_index.json, which other programs ignore, may add a title, a description and
"latent_rgb", the linear map from latents to RGB that the live preview uses (previews.py): values in [-1, 1].
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from ...errors import ModelError
from ...noise import DiscreteVP, Flow, Schedule
from ...score import Parametrisation
from ...system.memory import is_out_of_memory
from .. import sources
from ..hub import fetch_pipeline
from ..sources import INDEX, folder_title, listed_parts, pipeline_class, read_json
from ..weights import OTHER_WEIGHTS, UNREADABLE, choose_network, first_line, read_network
from .encoding import FAMILIES, SCHEDULERS, Family, recognise

#: What a tokenizer is read from, one of these sets; without them transformers makes an empty one and does not complain.
_TOKENIZER_FILES = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("spiece.model",))
#: What else a tokenizer may bring along.
_TOKENIZER_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_SCHEDULER = "scheduler/scheduler_config.json"


@dataclass(frozen=True)
class PipelineOptions:
    """How a pipeline saves memory or time.

    Attributes:
        vae_slicing: decode pictures one by one.
        vae_tiling: decode a picture in overlapping tiles.
        attention_slicing: compute attention one head after the other.
        cpu_offload: keep on the GPU only the part that works; needs CUDA and the package accelerate.
        compile: compile the denoiser; the first step then takes minutes.
    """

    vae_slicing: bool = False
    vae_tiling: bool = False
    attention_slicing: bool = False
    cpu_offload: bool = False
    compile: bool = False


class LearnedConcept(BaseModel):
    """A concept that the model was trained on, as far as others need to know."""

    model_config = ConfigDict(extra="ignore")

    name: str


class PromptSettings(BaseModel):
    """What superdiff.json says; all of it may be missing."""

    model_config = ConfigDict(extra="ignore")

    title: str | None = Field(default=None, max_length=80)
    description: str = Field(default="", max_length=400)
    latent_rgb: list[list[float]] | None = None
    suggestions: list[str] = []
    vocabulary: list[str] | None = None
    concepts: list[LearnedConcept] | None = None


@dataclass(frozen=True)
class LoadedPipeline:
    """A diffusers pipeline on its device, and what its folder says about it.

    Attributes:
        notes: what the user should know of it, in sentences.
        exact_vae: the VAE in float32, on the CPU; read from the folder when it is first asked for.
    """

    pipe: Any
    family: Family
    schedule: Schedule
    prediction: Parametrisation
    settings: PromptSettings
    title: str
    notes: tuple[str, ...]
    exact_vae: Callable[[], Any]


def find_folder(model: str, revision: str | None = None) -> Path:
    """The folder of the pipeline "local/NAME" or "hub/OWNER/NAME"; the latter is downloaded when it is not there yet.

    Args:
        model: the id.
        revision: the commit of a hub's repository; None for the newest.

    Raises:
        ModelError: when there is no such pipeline, or the hub cannot be reached.
    """
    return sources.find_folder(model, _download, revision)


def _download(repository: str, revision: str | None) -> Path:
    return fetch_pipeline(
        repository, revision, lambda index, names: choose_files(names, family_of(index, repository), index, repository)
    )


def choose_files(names: Sequence[str], family: Family, index: dict[str, Any], repository: str) -> list[str]:
    """What is needed of a repository's files: settings, vocabularies, and of each network one set of weights.

    Raises:
        ModelError: when a part has no weights as safetensors.
    """
    listed = listed_parts(index)
    chosen = [name for name in names if name in (INDEX, "superdiff.json", _SCHEDULER)]
    for part in family.parts:
        inside = [name.removeprefix(f"{part}/") for name in names if re.fullmatch(rf"{part}/[^/]+", name)]
        if part not in listed or (part in family.optional and not inside):
            continue
        if "Tokenizer" in listed[part]:
            known = {*_TOKENIZER_SETTINGS, *(name for files in _TOKENIZER_FILES for name in files)}
            chosen += [f"{part}/{name}" for name in inside if name in known]
        else:
            chosen += [f"{part}/{name}" for name in choose_network(inside, listed[part], repository, part)]
    return chosen


def find_family(folder: Path) -> Family:
    """The family of the pipeline in `folder`; raises ModelError if it is none of ours."""
    name = folder_title(folder)
    if not (folder / INDEX).is_file():
        raise ModelError(f"{name} is no diffusers pipeline (it has no {INDEX}); choose a pipeline's folder.")
    return family_of(read_json(folder / INDEX), name)


def family_of(index: dict[str, Any], name: str) -> Family:
    """The family of the pipeline `name` by its model_index.json; raises ModelError if it is none of ours."""
    family = recognise(index)
    if family is None:
        kind = pipeline_class(index) or None
        raise ModelError(f"{name} is a {kind}; choose one of {', '.join(FAMILIES)}.")
    listed = listed_parts(index)
    for part, classes in family.parts.items():
        if listed.get(part) not in classes and not (part not in listed and part in family.optional):
            raise ModelError(f"{name} lists {listed.get(part)} as its {part}; {' or '.join(classes)} is needed.")
    return family


def load_pipeline(folder: Path, device: str, dtype: str, options: PipelineOptions) -> LoadedPipeline:
    """Read a pipeline and put it on a device.

    Args:
        folder: with model_index.json.
        device: a torch device.
        dtype: "float32", "float16" or "bfloat16", of all networks; the VAE stays float32 where it overflows in float16.
        options: see `PipelineOptions`.

    Raises:
        ModelError: with one sentence, when the folder is not what it should be or an option is not possible here.
    """
    import diffusers

    family, title, notes = find_family(folder), folder_title(folder), []
    if options.cpu_offload:
        _check_offload(device)
    settings = sources.read_settings(folder, PromptSettings)
    index = read_json(folder / INDEX)
    listed = listed_parts(index)
    scheduler = _read_scheduler(folder, listed.get("scheduler"), family)
    if not (folder / "scheduler").is_dir():
        predicted = "the flow" if family.flow else "the noise"
        notes.append(
            f"{title} has no scheduler: the noise levels that {family.title} was trained on are taken, and that its "
            f"network predicts {predicted}."
        )
    schedule, prediction = _read_schedule(scheduler, family, title)
    parts: dict[str, Any] = {"scheduler": scheduler}
    for name in family.parts:
        if name not in listed or (name in family.optional and not (folder / name).is_dir()):
            parts[name] = None
        elif "Tokenizer" in listed[name]:
            parts[name] = _read_tokenizer(folder, name, listed[name])
        else:
            part = f"{name} of {title}"
            kind = torch.float32 if name == "vae" and _overflows(folder, dtype) else getattr(torch, dtype)
            parts[name], variant = read_network(folder / name, listed[name], kind, part)
            if variant in OTHER_WEIGHTS:
                notes.append(f"The {part} has weights of the variant '{variant}' only; these are used.")
    taken = {name: index[name] for name in family.settings if name in index}
    try:
        pipe = getattr(diffusers, family.pipeline)(**parts, **family.fixed, **taken)
    except UNREADABLE as error:
        raise ModelError(f"{title} cannot be put together: {first_line(error)}") from None
    _check_networks(pipe, family, title)
    _fit_tokenizers(pipe, title)
    _apply(pipe, family, options, device, title)

    @cache
    def exact_vae() -> Any:
        vae = read_network(folder / "vae", listed["vae"], torch.float32, f"vae of {title}")[0]
        _save_memory(vae, options)
        return vae

    return LoadedPipeline(
        pipe, family, schedule, prediction, settings, settings.title or title, tuple(notes), exact_vae
    )


def _overflows(folder: Path, dtype: str) -> bool:
    """Whether a VAE says of itself that it cannot compute in `dtype`."""
    return dtype == "float16" and bool(read_json(folder / "vae" / "config.json").get("force_upcast"))


def _save_memory(vae: Any, options: PipelineOptions) -> None:
    if options.vae_slicing:
        vae.enable_slicing()
    if options.vae_tiling:
        vae.enable_tiling()


def _read_scheduler(folder: Path, kind: str | None, family: Family) -> Any:
    import diffusers

    title = folder_title(folder)
    if (folder / "scheduler").is_dir():
        config = read_json(folder / _SCHEDULER)
        found = getattr(diffusers, str(kind), None) if kind in SCHEDULERS else None
        if found is None:
            raise ModelError(f"{title} lists {kind} as its scheduler; one of {', '.join(SCHEDULERS)} is needed.")
    else:
        found, config = getattr(diffusers, family.scheduler[0]), dict(family.scheduler[1])
        # Of the two kinds of Stable Diffusion 2 one predicts the noise and one v; nothing else tells them apart.
        if not family.flow and read_json(folder / family.network / "config.json").get("cross_attention_dim") == 1024:
            raise ModelError(
                f"{title} is of Stable Diffusion 2 and has no scheduler, so what its network predicts is not known; "
                "copy the folder 'scheduler' of the model that it was made from into it."
            )
    try:
        return found.from_config(config)
    except UNREADABLE as error:
        raise ModelError(f"The scheduler of {title} cannot be built: {first_line(error)}") from None


def _read_schedule(scheduler: Any, family: Family, title: str) -> tuple[Schedule, Parametrisation]:
    kind = type(scheduler).__name__
    if family.flow:
        if not kind.startswith("FlowMatch"):
            raise ModelError(f"{title} has a {kind}; {family.title} needs a FlowMatchEulerDiscreteScheduler.")
        # `shift` only chooses which times a sampler visits; the network is fed t = 1000 sigma whatever it is.
        return Flow(times=float(scheduler.config.num_train_timesteps)), "flow"
    prediction = scheduler.config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction", "sample"):
        raise ModelError(f"{title} has prediction_type '{prediction}'; epsilon, v_prediction and sample are known.")
    table = getattr(scheduler, "alphas_cumprod", None)
    if table is None:
        raise ModelError(f"{title} has a {kind}, which has no alphas_cumprod; a DDIMScheduler, say, is needed.")
    try:
        return DiscreteVP(table), prediction
    except ValueError as error:
        raise ModelError(f"The scheduler of {title} describes no usable noise schedule: {error}") from None


def _read_tokenizer(folder: Path, name: str, kind: str) -> Any:
    import transformers

    title = folder_title(folder)
    if not any(all((folder / name / file).is_file() for file in files) for files in _TOKENIZER_FILES):
        raise ModelError(
            f"The {name} of {title} has no vocabulary (tokenizer.json, or vocab.json and merges.txt); "
            "copy the whole pipeline folder again."
        )
    found = getattr(transformers, kind)
    try:
        tokenizer = found.from_pretrained(folder / name, local_files_only=True)
    except UNREADABLE as error:
        raise ModelError(f"The {name} of {title} cannot be read: {first_line(error)}") from None
    if not isinstance(tokenizer, found):
        raise ModelError(
            f"The {name} of {title} is a {type(tokenizer).__name__} by its own settings and a {kind} by "
            "model_index.json; copy both from the same model."
        )
    return tokenizer


def _check_networks(pipe: Any, family: Family, title: str) -> None:
    config, channels = getattr(pipe, family.network).config, pipe.vae.config.latent_channels
    if (config.in_channels, config.out_channels or config.in_channels) != (channels, channels):
        raise ModelError(
            f"{title} takes {config.in_channels} channels and makes {config.out_channels}, its VAE has "
            f"{channels} (it may be a model for inpainting or editing); choose a text-to-image model."
        )
    if config.get("time_cond_proj_dim") is not None:
        raise ModelError(f"{title} is distilled for a fixed guidance; choose the model that it was made from.")
    given, taken = family.widths(pipe)
    if tuple(given) != tuple(taken):
        raise ModelError(
            f"The text encoders of {title} give vectors of widths {_listing(given)}, its {family.network} takes "
            f"{_listing(taken)}; copy all parts from the same model."
        )
    if not config.sample_size:
        raise ModelError(
            f"{title} does not say how large its pictures are (sample_size in {family.network}/config.json)."
        )


def _listing(numbers: Sequence[int]) -> str:
    return " and ".join(str(number) for number in numbers)


def _fit_tokenizers(pipe: Any, title: str) -> None:
    """Some repositories forget the length in tokenizer_config.json; the text encoder knows how much it can read."""
    for name in ("", "_2", "_3"):
        tokenizer, encoder = getattr(pipe, f"tokenizer{name}", None), getattr(pipe, f"text_encoder{name}", None)
        if tokenizer is not None and encoder is not None and len(tokenizer) > encoder.config.vocab_size:
            raise ModelError(
                f"The tokenizer{name} of {title} has {len(tokenizer)} tokens, its text_encoder{name} knows "
                f"{encoder.config.vocab_size}; copy both from the same model."
            )
    for name in ("", "_2"):
        tokenizer, encoder = getattr(pipe, f"tokenizer{name}", None), getattr(pipe, f"text_encoder{name}", None)
        if tokenizer is not None and encoder is not None:
            most = encoder.config.max_position_embeddings
            tokenizer.model_max_length = min(tokenizer.model_max_length, most)
    if hasattr(pipe, "tokenizer_max_length"):
        pipe.tokenizer_max_length = pipe.tokenizer.model_max_length


def _check_offload(device: str) -> None:
    from diffusers.utils import is_accelerate_available

    if torch.device(device).type != "cuda":
        raise ModelError(f"CPU offload moves parts to a CUDA device and back, the run is on '{device}'; switch it off.")
    if not is_accelerate_available():
        raise ModelError("CPU offload needs the package accelerate; install it with 'pip install accelerate'.")


def _apply(pipe: Any, family: Family, options: PipelineOptions, device: str, title: str) -> None:
    # Convolutions are faster in this layout, on CPUs as on CUDA; MPS knows it only in part.
    if torch.device(device).type != "mps":
        for part in (getattr(pipe, family.network), pipe.vae):
            torch.nn.Module.to(part, memory_format=torch.channels_last)  # type: ignore[call-overload]
    _save_memory(pipe.vae, options)
    if options.attention_slicing:
        pipe.enable_attention_slicing()
    if options.compile:
        getattr(pipe, family.network).compile()
    try:
        if options.cpu_offload:
            pipe.enable_model_cpu_offload(device=device)
        else:
            pipe.to(device, silence_dtype_warnings=True)
    except UNREADABLE as error:
        if is_out_of_memory(error):
            raise ModelError(
                f"{title} does not fit into the memory of '{device}'; choose float16 or CPU offload."
            ) from None
        raise ModelError(f"{title} cannot be moved to '{device}': {first_line(error)}") from None
