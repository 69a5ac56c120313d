"""Networks of diffusers and transformers from folders of safetensors, in whichever of the usual layouts they are.

A part of a pipeline keeps its weights in one file or in several with an index, plain or as a variant:

    diffusion_pytorch_model.safetensors                          diffusion_pytorch_model.fp16.safetensors
    diffusion_pytorch_model-00001-of-00002.safetensors           model.bf16-00001-of-00002.safetensors
    diffusion_pytorch_model.safetensors.index.json               model.safetensors.index.bf16.json

The same choice decides what is read from a folder and what is fetched from a hub. Classes come from whoever asks, never
from a file; nothing in a folder is executed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import ModelError
from ..system.memory import is_out_of_memory
from .sources import read_json

#: What the libraries raise on files that do not fit together.
UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError, ImportError)
#: Variants that are read where there are no plain weights ("" here), the first that is there.
VARIANTS = ("", "fp32", "fp16", "bf16", "ema", "non_ema")
#: Variants that are other weights than the plain ones, and not only other numbers for the same.
OTHER_WEIGHTS = ("ema", "non_ema")
PICKLES = (".bin", ".ckpt", ".pt", ".pth")

#: Weights as the libraries name them: the variant, if any, stands before or after the number of a file.
_WEIGHTS = re.compile(
    r"(?P<base>diffusion_pytorch_model|model)(?:\.(?P<early>[\w-]+?))?(?:-(?P<number>\d{5})-of-(?P<count>\d{5}))?"
    r"(?:\.(?P<late>[\w-]+))?\.safetensors"
)


@dataclass(frozen=True)
class Weights:
    """The files of one part's weights.

    Attributes:
        variant: "fp16", say; empty for the plain ones.
        names: of the safetensors.
        index: the name of the file that says which of several holds what; None where there is only one.
    """

    variant: str
    names: tuple[str, ...]
    index: str | None = None


def library_of(kind: str) -> Any:
    """The library that has the class `kind`: diffusers or else transformers."""
    import diffusers
    import transformers

    return diffusers if hasattr(diffusers, kind) else transformers


def choose_weights(names: Sequence[str], kind: str) -> Weights | None:
    """The weights to take of a part whose files are called `names`; None where none are safetensors of a known variant.

    Args:
        names: plain file names.
        kind: the class of the part.
    """
    base = "diffusion_pytorch_model" if library_of(kind).__name__ == "diffusers" else "model"
    found = _variants(names)
    for variant in VARIANTS:
        whole, parts = found.get((base, variant), (None, {}))
        if whole is not None:
            return Weights(variant, (whole,))
        # The largest set that is complete; one with a file missing is still better than another variant unasked for.
        for count in sorted(parts, key=lambda count: (len(parts[count]) == count, count), reverse=True):
            index = f"{base}.safetensors.index.{variant}.json" if variant else f"{base}.safetensors.index.json"
            return Weights(variant, tuple(sorted(parts[count])), index)
    return None


def choose_network(names: Sequence[str], kind: str, repository: str, part: str) -> list[str]:
    """The files to fetch of a network whose files on a hub are called `names`.

    Args:
        names: plain file names.
        kind: the class of the network.
        repository: whose they are, for messages.
        part: of the pipeline, for messages.

    Raises:
        ModelError: when there are no weights as safetensors.
    """
    weights = choose_weights(names, kind)
    if weights is not None:
        return [name for name in names if name in ("config.json", weights.index, *weights.names)]
    if unknown := unknown_variants(names):
        raise ModelError(
            f"The repository '{repository}' has weights of some of its parts ({part}) only as {_listing(unknown)}, "
            "which cannot be read; choose one with plain safetensors."
        )
    raise ModelError(
        f"The repository '{repository}' lacks safetensors for some of its parts ({part}); choose one whose weights are "
        "all safetensors."
    )


def _variants(names: Sequence[str]) -> dict[tuple[str, str], tuple[str | None, dict[int, list[str]]]]:
    """By base and variant: the one file that holds all, and the files of several by how many there should be."""
    found: dict[tuple[str, str], tuple[str | None, dict[int, list[str]]]] = {}
    for name in names:
        if match := _WEIGHTS.fullmatch(name):
            key = (match["base"], ".".join(part for part in (match["early"], match["late"]) if part))
            _, parts = found.setdefault(key, (None, {}))
            if match["count"]:
                parts.setdefault(int(match["count"]), []).append(name)
            else:
                found[key] = (name, parts)
    return found


def unknown_variants(names: Sequence[str]) -> list[str]:
    """The variants among files' names that are not read, such as "int8"."""
    return sorted({variant for _, variant in _variants(names)} - set(VARIANTS))


def check_weights(folder: Path, kind: str) -> Weights:
    """The weights to read from a part's folder; raises ModelError with one sentence if they cannot be read."""
    from safetensors import SafetensorError, safe_open

    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    chosen = choose_weights(names, kind)
    if chosen is None:
        raise _no_weights(folder, names)
    for name in chosen.names:
        try:
            with safe_open(folder / name, "pt"):  # checks the header against the file's length
                pass
        except (SafetensorError, OSError):
            damaged = folder / name
            raise ModelError(f"The weight file {damaged} is damaged or was cut off; copy the model again.") from None
    if chosen.index is not None:
        _check_index(folder, chosen)
    return chosen


def _no_weights(folder: Path, names: Sequence[str]) -> ModelError:
    unknown = unknown_variants(names)
    if unknown:
        return ModelError(
            f"The weights in {folder} are there only as {_listing(unknown)}, which cannot be read; get the model's "
            f"plain safetensors, or one of {', '.join(VARIANTS[1:])}."
        )
    if any(name.endswith(PICKLES) for name in names):
        return ModelError(
            f"The weights in {folder} are pickles, which can hold code; get the model's safetensors instead."
        )
    return ModelError(f"The weights in {folder} are missing; copy the model again, with its weights as safetensors.")


def _check_index(folder: Path, chosen: Weights) -> None:
    path = folder / str(chosen.index)
    placed = read_json(path).get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise ModelError(f"{path} does not say which file holds which weights; copy the model again.")
    lost = sorted({str(name) for name in placed.values()} - set(chosen.names))
    if lost:
        raise ModelError(
            f"The weights in {folder} do not fit its config.json: {path.name} names {lost[0]}, which is missing; "
            "copy the model again."
        )


def read_network(folder: Path, kind: str, dtype: torch.dtype, title: str) -> tuple[Any, str]:
    """A network of the class `kind` with all its weights, in memory of its own, ready to be asked.

    Args:
        folder: with config.json and safetensors.
        kind: a class of diffusers or transformers, chosen by the caller's own table.
        dtype: of the weights.
        title: for messages: "unet of sd", say.

    Returns:
        (the network, the variant that was read).

    Raises:
        ModelError: with one sentence.
    """
    library = library_of(kind)
    found = getattr(library, kind)
    config = read_json(folder / "config.json")
    if config.get("quantization_config"):
        raise ModelError(f"The {title} is quantised, which cannot be read; get the model's plain weights.")
    if (folder / "adapter_config.json").exists():
        raise ModelError(f"The {title} is an adapter beside another model; get the model with the adapter merged in.")
    weights = check_weights(folder, kind)
    common: dict[str, Any] = {
        "use_safetensors": True,
        "local_files_only": True,
        "output_loading_info": True,
        "variant": weights.variant or None,
    }
    try:
        if library.__name__ == "diffusers":
            # Without accelerate diffusers would warn that it cannot save memory while loading.
            common |= {"low_cpu_mem_usage": library.utils.is_accelerate_available(), "torch_dtype": dtype}
        else:
            common |= {"dtype": dtype, "config": _text_config(found, folder)}
        network, report = found.from_pretrained(folder, **common)
        if library.__name__ == "diffusers":  # without accelerate some keep their file's dtype (Stable Diffusion 3's)
            torch.nn.Module.to(network, dtype)
    except UNREADABLE as error:
        if is_out_of_memory(error):
            raise ModelError(f"The {title} does not fit into memory; choose float16 or a smaller model.") from None
        raise _unfit(folder, found, config, title) from error
    if report["missing_keys"] or report["mismatched_keys"]:
        raise _unfit(folder, found, config, title)
    return own(network).eval().requires_grad_(False), weights.variant


def _text_config(found: Any, folder: Path) -> Any:
    """The settings of a network of transformers, without what would choose code for it (a kernel of a hub, say)."""
    config = found.config_class.from_pretrained(folder, local_files_only=True)
    config._attn_implementation = None
    if hasattr(config, "auto_map"):
        del config.auto_map
    return config


def own(network: torch.nn.Module) -> Any:
    """Move a network's numbers out of the files that they are mapped from.

    What is written into such a file would otherwise change the network in memory, and cutting it short end the program.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data = tensor.data.clone()
    return network


def _unfit(folder: Path, found: Any, config: dict[str, Any], title: str) -> ModelError:
    if hasattr(found, "from_config"):
        try:
            found.from_config(config)
        except (*UNREADABLE, ZeroDivisionError) as error:
            first = first_line(error)
            return ModelError(f"{folder / 'config.json'} describes no {found.__name__} that can be built: {first}")
    return ModelError(
        f"The weights of the {title} do not fit its config.json (tensors are missing or of another shape); copy both "
        "from the same model."
    )


def first_line(error: BaseException) -> str:
    """The first line of an error's message, its class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _listing(names: Sequence[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)
