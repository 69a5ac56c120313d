"""What the two stages of training share: their pictures, read or packed, their batches and their budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from ....errors import ModelError
from ....training.packs import is_pack, read_pack, write_pack
from ....training.task import TrainingTask
from ....training.training import Data, RefiningOptions, Training
from .concepts import Concept
from .rendering import EmojiPictures, load_pictures
from .saving import (
    EMOJI,
)
from .vocabulary import is_learned
from .webp import from_webp, to_webp

#: Samples a step on a CPU and on a GPU: of the autoencoder, of concepts for the text encoder, of the U-Net.
BATCHES = {"cpu": (16, 32, 32), "cuda": (64, 128, 512)}


def batches_of(device: str) -> tuple[int, int, int]:
    """BATCHES of a device."""
    return BATCHES["cuda" if torch.device(device).type == "cuda" else "cpu"]


def batch_size(options: RefiningOptions, part: int) -> int:
    """Samples a step, of one of the three parts of BATCHES."""
    return batches_of(options.device)[part] if options.batch is None else options.batch


class Convolutions(TrainingTask):
    """A task whose network keeps channels last on a CPU, where that takes two thirds of the time; on an H100 it takes
    1.2 times as long.
    """

    layout: torch.memory_format = torch.channels_last

    def to(self, device: str) -> None:
        super().to(device)
        self.layout = torch.channels_last if torch.device(device).type == "cpu" else torch.contiguous_format
        cast(Any, self.network).to(memory_format=self.layout)


def load_training_pictures(data: Path | None) -> EmojiPictures:
    """The pictures that the model learns from, of a pack or of a folder of npm packages.

    Raises:
        ModelError: for a pack that is damaged or of other data.
        FileNotFoundError: when the data are not there; the message says how to get them.
    """
    if data is None or not is_pack(data):
        return load_pictures(data).only(is_learned)
    arrays = read_pack(data, EMOJI)
    try:
        stored = json.loads(str(arrays["concepts"]))
        concepts = tuple(Concept(one["id"], tuple(one["names"]), tuple(one["tags"]), one["kind"]) for one in stored)
        present, drawn = arrays["present"], from_webp(arrays)
        masters = np.full((*present.shape, *drawn.shape[1:]), 255, np.uint8)
        masters[present] = drawn
        return EmojiPictures(concepts, tuple(json.loads(str(arrays["styles"]))), masters, present)
    except (KeyError, ValueError, TypeError, IndexError):
        raise ModelError(f"The pack {data} is damaged; write it again.") from None


class EmojiPart(Training[RefiningOptions, Data]):
    """What the stages share: their pictures, and that only a GPU has a budget."""

    options = RefiningOptions

    def budget(self, options: RefiningOptions) -> float:
        """Minutes of training in all.

        Raises:
            ModelError: on a CPU, where none are said.
        """
        if options.minutes is None and torch.device(options.device).type == "cpu":
            raise ModelError(
                f"'{self.name}' has no budget of its own on a CPU, where it takes days from the start; say one with "
                "--minutes, and --refine to go on from what is installed."
            )
        return super().budget(options)

    def pictures(self, options: RefiningOptions) -> EmojiPictures:
        """What is learned from; raises as `load` and `budget` do."""
        pictures = load_training_pictures(options.data)
        self.budget(options)  # before anything that takes time
        return pictures

    def write_pack(self, path: Path, data: Path | None = None) -> Path:
        """One pack serves both stages."""
        pictures = load_training_pictures(data)
        concepts = [{"id": one.id, "names": one.names, "tags": one.tags, "kind": one.kind} for one in pictures.concepts]
        texts = {"concepts": np.array(json.dumps(concepts)), "styles": np.array(json.dumps(pictures.styles))}
        drawings = to_webp(pictures.masters[pictures.present])
        return write_pack(path, EMOJI, {"present": pictures.present, **texts, **drawings})
