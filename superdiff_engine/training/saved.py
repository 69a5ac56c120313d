"""Embedded models of our own networks on disk: model.safetensors (float16), config.json, README.md (the model card)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from ..errors import ModelError
from ..system.files import write_whole
from .task import TrainingFacts

WEIGHTS, SETTINGS, CARD = "model.safetensors", "config.json", "README.md"
Known = TypeVar("Known", bound=BaseModel)


def save_network(folder: Path, network: nn.Module, settings: BaseModel) -> None:
    """Write weights and settings; the card comes after them, as it tells their size."""
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / WEIGHTS, save(weights))
    write_whole(folder / SETTINGS, (settings.model_dump_json(indent=1) + "\n").encode())


def save_card(folder: Path, text: str) -> None:
    """Write the model card."""
    write_whole(folder / CARD, text.encode())


def size_of(folder: Path, network: nn.Module) -> str:
    """The row of a model card that says how large a saved network is."""
    parameters = sum(value.numel() for value in network.parameters()) / 1e6
    return (
        f"| Network | {parameters:.1f} million parameters, {(folder / WEIGHTS).stat().st_size / 1e6:.1f} MB, float16 |"
    )


def trained_row(facts: TrainingFacts | None) -> str:
    """The row of a model card that says how it was trained, with its line's end; nothing where that is not known."""
    if facts is None:
        return ""
    return (
        f"| Training | {facts.minutes:.0f} minutes on {facts.hardware}: {facts.steps:,} steps of {facts.batch}, "
        f"last mean loss {facts.loss:.4f} |\n"
    )


def load_settings(folder: Path, kind: type[Known], what: str) -> Known:
    """What is known of a model, without its weights.

    Args:
        folder: of the model.
        kind: of its settings.
        what: it is a model of, for messages: "molecule", say.

    Raises:
        ModelError: in one sentence.
    """
    try:
        return kind.model_validate_json((folder / SETTINGS).read_bytes())
    except FileNotFoundError:
        raise ModelError(f"The {what} model in {folder} lacks {SETTINGS}; install it again.") from None
    except (OSError, ValueError) as error:
        raise _damaged(folder, what, error) from None


def load_network(folder: Path, build: Callable[..., Any], settings: dict[str, Any], device: str, what: str) -> Any:
    """A network in float32 with its saved weights, ready to be asked.

    Args:
        folder: of the model.
        build: makes the network of its settings.
        settings: of the network.
        device: where it shall stand.
        what: it is a model of, for messages.

    Raises:
        ModelError: in one sentence.
    """
    try:
        weights = load_file(folder / WEIGHTS)
        network = build(**settings)
        network.load_state_dict({name: value.float() for name, value in weights.items()})
    except FileNotFoundError:
        raise ModelError(f"The {what} model in {folder} lacks {WEIGHTS}; install it again.") from None
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise _damaged(folder, what, error) from None
    return network.to(device).eval().requires_grad_(False)


def _damaged(folder: Path, what: str, error: Exception) -> ModelError:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return ModelError(f"The {what} model in {folder} is damaged: {first}")
