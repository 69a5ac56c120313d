r"""The judge of emoji: a concept classifier, log p(concept | picture) over all concepts, trained by this project.

It plays the part that CLIP plays for the paper's photographs, and it is not CLIP: it knows emoji and no text. It learns
from designs that the generator never sees (DESIGNS), distorted well beyond what a designer would do; how often it is
right is measured on the generator's own designs, which *it* never sees. 231 of the concepts are too young for the four
old sets and are drawn by Fluent "color" only; that set shows every other concept too, so that its looks give nothing
away. Fluent's artists drew the generator's styles "flat" and "3d" as well: accuracy on "noto" and "twemoji" is the
strict figure, and on the young concepts in these two styles the strictest.

The network is EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946, without squeeze-and-excitation and with ReLU6),
started from ImageNet features and tuned on pictures enlarged to 96 x 96. Its logits f are calibrated by one temperature
tau (Guo et al. 2017, arXiv 1706.04599), fitted on designs left out of the training: log p = log_softmax(f / tau).
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from ....errors import ModelError
from ....system.assets import assets_folder
from ....system.file_cache import file_cached
from ....training.saved import SETTINGS, WEIGHTS
from ..emoji.concepts import Concept
from ..emoji.saving import SCORER

#: Pixels a side of what it looks at: larger pictures are reduced to it, as were the designs that it learned from.
LOOKED = 64
#: Pixels a side inside the network: ImageNet features are of little use at 64 (two pixels are left before the mean).
SIDE = 96
FEATURES = 1280
#: Pictures a forward pass.
BATCH = 64
#: Kernel, stride, expansion, channels and repetitions of each group of blocks (arXiv 1905.11946, Table 1).
_GROUPS = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class _Convolution(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's "same": the odd pixel goes to the right and the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads: list[int] = []
        for size in (x.shape[3], x.shape[2]):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(functional.pad(x, pads) if any(pads) else x)


def _unit(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    normalise = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)
    return [_Convolution(inputs, outputs, kernel, stride, groups), normalise, nn.ReLU6()]


class _Block(nn.Module):
    """An inverted bottleneck (MBConv): expand, filter channel by channel, project; a shortcut where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        expand = _unit(inputs, inner, 1) if expansion > 1 else []
        self.body = nn.Sequential(*expand, *_unit(inner, inner, kernel, stride, inner), *_unit(inner, outputs, 1)[:-1])
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.shortcut else self.body(x)


class ConceptClassifier(nn.Module):
    """EfficientNet-Lite0 with a head of its own; pictures [batch, 3, 64, 64] in [-1, 1] to logits [batch, concepts].

    Args:
        concepts: how many.
    """

    temperature: Tensor

    def __init__(self, concepts: int) -> None:
        super().__init__()
        layers, inputs = _unit(3, 32, 3, 2), 32
        for kernel, stride, expansion, outputs, repetitions in _GROUPS:
            for index in range(repetitions):
                layers.append(_Block(inputs, outputs, kernel, stride if index == 0 else 1, expansion))
                inputs = outputs
        self.features = nn.Sequential(*layers, *_unit(inputs, FEATURES, 1))
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(FEATURES, concepts))
        self.register_buffer("temperature", torch.tensor(1.0))

    def forward(self, pictures: Tensor) -> Tensor:
        enlarged = functional.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear")
        return self.head(self.features(enlarged).mean((2, 3)))


@torch.no_grad()
def log_probabilities(network: ConceptClassifier, pictures: Tensor | np.ndarray) -> Tensor:
    """Calibrated log p(concept | picture) in nats, [count, concepts], float64.

    Args:
        network: in evaluation mode.
        pictures: float [count, 3, H, W] in [-1, 1], or uint8 [count, H, W, 3].

    Raises:
        ValueError: for another kind of array.
    """
    given = _scaled(pictures)
    if given.shape[2:] != (LOOKED, LOOKED):  # no finer than what it has learned from
        given = functional.interpolate(given, size=(LOOKED, LOOKED), mode="bilinear", antialias=True)
    parts = [network(part) for part in given.split(BATCH)]
    return torch.log_softmax(torch.cat(parts).double() / network.temperature.double(), dim=1)


def _scaled(pictures: Tensor | np.ndarray) -> Tensor:
    given = torch.as_tensor(pictures)
    if given.ndim == 4 and given.dtype == torch.uint8 and given.shape[3] == 3:
        return given.permute(0, 3, 1, 2).float().div(127.5).sub(1)
    if given.ndim == 4 and given.is_floating_point() and given.shape[1] == 3:
        return given.float().clamp(-1, 1)
    raise ValueError(
        f"Pictures are float [count, 3, H, W] in [-1, 1] or uint8 [count, H, W, 3], not {given.dtype} "
        f"{list(given.shape)}."
    )


def top_share(scores: Tensor, asked: Tensor, most: int) -> Tensor:
    """Whether the asked concept [count] is among the `most` highest scores [count, concepts]; bool [count].

    A tie counts against it.
    """
    own = scores.gather(1, asked[:, None])
    return (scores >= own).sum(1) <= most


@dataclass(frozen=True)
class KnownConcepts:
    """The embedded classifier with the concepts that it knows.

    Attributes:
        network: ready to use.
        concepts: in the order of its log-probabilities.
        held_out: accuracies by group, as `held_out_accuracy` gives them.
        digest: of its weights.
    """

    network: ConceptClassifier
    concepts: tuple[Concept, ...]
    held_out: dict[str, dict[str, float]]
    digest: str


@file_cached(1, WEIGHTS, SETTINGS, folder=lambda folder=None: folder or assets_folder() / SCORER)
def load_classifier(folder: Path | None = None) -> KnownConcepts:
    """The embedded classifier, or that of another folder; raises ModelError."""
    folder = assets_folder() / SCORER if folder is None else folder
    path = folder / "model.safetensors"
    again = f"install SuperDiff Studio again, or run 'superdiff train {SCORER}'."
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        concepts = tuple(Concept(one["id"], (one["name"],), (), one["kind"]) for one in config["concepts"])
        network, held_out = ConceptClassifier(len(concepts)), config["held_out"]
        network.load_state_dict(load_file(path), strict=True)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        raise ModelError(f"The concept scorer {folder} is missing or cannot be read; {again}") from None
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError):
        raise ModelError(f"The concept scorer {folder} is damaged; {again}") from None
    return KnownConcepts(network.eval().requires_grad_(False), concepts, held_out, digest)
