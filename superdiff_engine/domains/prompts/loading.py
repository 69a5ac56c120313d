"""From a folder or a hub id to a diffusers pipeline, part by part, with one sentence for whatever is wrong.

Nothing in a folder is ever executed: parts are built from classes that are named here (`Family.parts`), weights are
read from safetensors only, and the pipeline is put together by its own constructor. Diffusers' `from_pretrained`
would leave weights that are missing in a file at random values with a warning; here they are an error.

A small superdiff.json beside model_index.json, which other programs ignore, may add a title, a description and
"latent_rgb", the linear map from latents to RGB that the live preview uses (previews.py): values in [-1, 1].
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from ...errors import ModelError
from ...failures import is_out_of_memory
from ...noise import DiscreteVP, Flow, Schedule
from .. import sources
from ..hub import fetch, fetch_index
from ..sources import read_json
from .encoding import FAMILIES, Family

#: What the libraries raise on files that do not fit together.
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError, ImportError)
#: What a tokenizer is read from, one of these sets; without them transformers makes an empty one and does not complain.
_TOKENIZER_FILES = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("spiece.model",))
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")


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
    """A diffusers pipeline on its device, and what its folder says about it."""

    pipe: Any
    family: Family
    schedule: Schedule
    prediction: str
    settings: PromptSettings
    title: str


def find_folder(model: str) -> Path:
    """The folder of the pipeline "local/NAME" or "hub/OWNER/NAME"; the latter is downloaded when it is not there yet.

    Raises:
        ModelError: when there is no such pipeline, or the hub cannot be reached.
    """
    return sources.find_folder(model, _download)


def _download(repository: str) -> Path:
    # The small index first: gigabytes of a pipeline that cannot be used are never fetched.
    folder = fetch_index(repository)
    family = find_family(folder, repository)
    index = read_json(folder / "model_index.json")
    return fetch(repository, lambda names: choose_files(names, family, index, repository))


#: Weights as the libraries name them, in one file or several: group 1 is the variant, if any, wherever it stands.
_WEIGHTS = re.compile(r"(?:diffusion_pytorch_)?model(?:\.(\w+))?(?:-\d{5}-of-\d{5})?(?:\.(\w+))?\.safetensors")


def choose_files(names: Sequence[str], family: Family, index: dict[str, Any], repository: str) -> list[str]:
    """What is needed of a repository's files: settings, and of each part its plain weights, or else its float16 ones.

    Raises:
        ModelError: when a part has no weights as safetensors.
    """
    chosen = [name for name in names if name in ("model_index.json", "superdiff.json")]
    for part in ("scheduler", *family.parts):
        kind = _listed(index, part)
        inside = [name for name in names if re.fullmatch(rf"{part}/[^/]+", name)]
        if kind is None or (part in family.optional and not inside):
            continue
        chosen += [name for name in inside if name.endswith((".json", ".txt", ".model"))]
        if part == "scheduler" or "Tokenizer" in kind:
            continue
        weights: dict[str, list[str]] = {}
        for name in inside:
            if match := _WEIGHTS.fullmatch(name.removeprefix(f"{part}/")):
                weights.setdefault(match[1] or match[2] or "", []).append(name)
        found = weights.get("") or weights.get("fp16")
        if not found:
            raise ModelError(
                f"The repository '{repository}' lacks safetensors for some of its parts ({part}); choose one whose "
                "weights are all safetensors."
            )
        chosen += found
    return chosen


def find_family(folder: Path, name: str | None = None) -> Family:
    """The family of the pipeline in `folder`, called `name` in messages; raises ModelError if it is none of ours."""
    name = name or folder.name
    if not (folder / "model_index.json").is_file():
        raise ModelError(f"{name} is no diffusers pipeline (it has no model_index.json); choose a pipeline's folder.")
    index = read_json(folder / "model_index.json")
    kind = index.get("_class_name")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ModelError(f"{name} is a {kind}; choose one of {', '.join(FAMILIES)}.")
    family = FAMILIES[kind]
    for part, classes in family.parts.items():
        listed = _listed(index, part)
        if listed not in classes and not (listed is None and part in family.optional):
            raise ModelError(f"{name} lists {listed} as its {part}; {' or '.join(classes)} is needed.")
    return family


def _listed(index: dict[str, Any], part: str) -> str | None:
    entry = index.get(part)
    return str(entry[1]) if isinstance(entry, list) and len(entry) == 2 and entry[1] is not None else None


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

    family = find_family(folder)
    if options.cpu_offload:
        _check_offload(device)
    settings = sources.read_settings(folder, PromptSettings)
    index = read_json(folder / "model_index.json")
    scheduler = _read_scheduler(folder, _listed(index, "scheduler"))
    schedule, prediction = _read_schedule(scheduler, family, folder)
    parts: dict[str, Any] = {"scheduler": scheduler}
    for name in family.parts:
        kind = _listed(index, name)
        missing = kind is None or (name in family.optional and not (folder / name).is_dir())
        parts[name] = None if missing else _read_part(folder, name, str(kind), getattr(torch, dtype))
    taken = {name: index[name] for name in family.settings if name in index}
    try:
        pipe = getattr(diffusers, family.pipeline)(**parts, **family.fixed, **taken)
    except _UNREADABLE as error:
        raise ModelError(f"{folder.name} cannot be put together: {_first_line(error)}") from None
    _check_networks(pipe, family, folder)
    _fit_tokenizers(pipe, folder)
    _apply(pipe, family, options, device, folder)
    return LoadedPipeline(pipe, family, schedule, prediction, settings, settings.title or folder.name)


def _read_scheduler(folder: Path, kind: str | None) -> Any:
    import diffusers

    found = getattr(diffusers, kind, None) if kind else None
    if not isinstance(found, type) or not issubclass(found, diffusers.SchedulerMixin):
        raise ModelError(f"{folder.name} lists {kind} as its scheduler, which diffusers {diffusers.__version__} lacks.")
    config = read_json(folder / "scheduler" / "scheduler_config.json")
    try:
        return found.from_config(config)  # type: ignore[attr-defined]
    except _UNREADABLE as error:
        raise ModelError(f"The scheduler of {folder.name} cannot be built: {_first_line(error)}") from None


def _read_schedule(scheduler: Any, family: Family, folder: Path) -> tuple[Schedule, str]:
    kind = type(scheduler).__name__
    if family.flow:
        if not kind.startswith("FlowMatch"):
            raise ModelError(f"{folder.name} has a {kind}; {family.title} needs a FlowMatchEulerDiscreteScheduler.")
        # `shift` only chooses which times a sampler visits; the network is fed t = 1000 sigma whatever it is.
        return Flow(times=float(scheduler.config.num_train_timesteps)), "flow"
    prediction = scheduler.config.get("prediction_type", "epsilon")
    if prediction not in ("epsilon", "v_prediction", "sample"):
        raise ModelError(
            f"{folder.name} has prediction_type '{prediction}'; epsilon, v_prediction and sample are known."
        )
    table = getattr(scheduler, "alphas_cumprod", None)
    if table is None:
        raise ModelError(f"{folder.name} has a {kind}, which has no alphas_cumprod; a DDIMScheduler, say, is needed.")
    try:
        return DiscreteVP(table), prediction
    except ValueError as error:
        raise ModelError(f"The scheduler of {folder.name} describes no usable noise schedule: {error}") from None


def _read_part(folder: Path, name: str, kind: str, dtype: torch.dtype) -> Any:
    """A tokenizer, or a network with all its weights."""
    import diffusers
    import transformers

    if "Tokenizer" in kind:
        if not any(all((folder / name / file).is_file() for file in files) for files in _TOKENIZER_FILES):
            raise ModelError(
                f"The {name} of {folder.name} has no vocabulary (tokenizer.json, or vocab.json and merges.txt); copy "
                "the whole pipeline folder again."
            )
        try:
            return getattr(transformers, kind).from_pretrained(folder / name, local_files_only=True)
        except _UNREADABLE as error:
            raise ModelError(f"The {name} of {folder.name} cannot be read: {_first_line(error)}") from None
    read_json(folder / name / "config.json")
    variant = _check_weights(folder / name)
    common: dict[str, Any] = {
        "use_safetensors": True,
        "local_files_only": True,
        "output_loading_info": True,
        "variant": variant,
    }
    try:
        if hasattr(diffusers, kind):
            # Without accelerate diffusers would warn that it cannot save memory while loading.
            common |= {"low_cpu_mem_usage": diffusers.utils.is_accelerate_available(), "torch_dtype": dtype}
            found = getattr(diffusers, kind)
        else:
            common |= {"dtype": dtype}
            found = getattr(transformers, kind)
        network, report = found.from_pretrained(folder / name, **common)
        if hasattr(diffusers, kind):  # without accelerate some keep their file's dtype (Stable Diffusion 3's does)
            torch.nn.Module.to(network, dtype)
    except _UNREADABLE as error:
        if is_out_of_memory(error):
            raise ModelError(f"{folder.name} does not fit into memory; choose float16 or a smaller model.") from None
        raise _unfit(folder, name) from error
    if report["missing_keys"] or report["mismatched_keys"]:
        raise _unfit(folder, name)
    return network.eval().requires_grad_(False)


def _unfit(folder: Path, name: str) -> ModelError:
    return ModelError(
        f"The weights of the {name} of {folder.name} do not fit its config.json (tensors are missing or of another "
        "shape); copy both from the same model."
    )


def _check_weights(folder: Path) -> str | None:
    """The variant ("fp16") of a part's weights, None for the plain ones; raises ModelError if they cannot be read."""
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        if any(path.suffix in _PICKLES for path in folder.iterdir()):
            raise ModelError(
                f"The weights in {folder} are pickles, which can hold code; get the model's safetensors instead."
            )
        raise ModelError(f"The weights in {folder} are missing; copy the model again, with its weights as safetensors.")
    for path in files:
        try:
            with safe_open(path, "pt"):  # checks the header against the file's length
                pass
        except (SafetensorError, OSError):
            raise ModelError(f"The weight file {path} is damaged or was cut off; copy the model again.") from None
    return "fp16" if all(".fp16" in path.name for path in files) else None


def _check_networks(pipe: Any, family: Family, folder: Path) -> None:
    config, channels = getattr(pipe, family.network).config, pipe.vae.config.latent_channels
    if (config.in_channels, config.out_channels or config.in_channels) != (channels, channels):
        raise ModelError(
            f"{folder.name} takes {config.in_channels} channels and makes {config.out_channels}, its VAE has "
            f"{channels} (it may be a model for inpainting or editing); choose a text-to-image model."
        )
    if config.get("time_cond_proj_dim") is not None:
        raise ModelError(f"{folder.name} is distilled for a fixed guidance; choose the model that it was made from.")
    given, taken = family.widths(pipe)
    if tuple(given) != tuple(taken):
        raise ModelError(
            f"The text encoders of {folder.name} give vectors of widths {_listing(given)}, its {family.network} takes "
            f"{_listing(taken)}; copy all parts from the same model."
        )
    if not config.sample_size:
        raise ModelError(
            f"{folder.name} does not say how large its pictures are (sample_size in {family.network}/config.json)."
        )


def _listing(numbers: Sequence[int]) -> str:
    return " and ".join(str(number) for number in numbers)


def _fit_tokenizers(pipe: Any, folder: Path) -> None:
    """Some repositories forget the length in tokenizer_config.json; the text encoder knows how much it can read."""
    for name in ("", "_2", "_3"):
        tokenizer, encoder = getattr(pipe, f"tokenizer{name}", None), getattr(pipe, f"text_encoder{name}", None)
        if tokenizer is not None and encoder is not None and len(tokenizer) > encoder.config.vocab_size:
            raise ModelError(
                f"The tokenizer{name} of {folder.name} has {len(tokenizer)} tokens, its text_encoder{name} knows "
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


def _apply(pipe: Any, family: Family, options: PipelineOptions, device: str, folder: Path) -> None:
    if pipe.vae.dtype == torch.float16 and pipe.vae.config.get("force_upcast"):
        torch.nn.Module.to(pipe.vae, torch.float32)
    # Convolutions are faster in this layout, on CPUs as on CUDA; MPS knows it only in part.
    if torch.device(device).type != "mps":
        for part in (getattr(pipe, family.network), pipe.vae):
            torch.nn.Module.to(part, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.vae_slicing:
        pipe.vae.enable_slicing()
    if options.vae_tiling:
        pipe.vae.enable_tiling()
    if options.attention_slicing:
        pipe.enable_attention_slicing()
    if options.compile:
        getattr(pipe, family.network).compile()
    try:
        if options.cpu_offload:
            pipe.enable_model_cpu_offload(device=device)
        else:
            pipe.to(device, silence_dtype_warnings=True)
    except _UNREADABLE as error:
        if is_out_of_memory(error):
            raise ModelError(
                f"{folder.name} does not fit into the memory of '{device}'; choose float16 or CPU offload."
            ) from None
        raise ModelError(f"{folder.name} cannot be moved to '{device}': {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
