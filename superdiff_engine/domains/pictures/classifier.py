"""The judge of garment pictures: a small convolutional classifier of Fashion-MNIST, trained by this project.

It plays the part that the Inception network plays for photographs: its last hidden layer holds the features of the
Fréchet distance, its class probabilities give the Inception score's analogue and the share of each class (metrics.py).
It never sees a generated picture, and no expert sees it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from ...errors import ModelError
from ...system.assets import assets_folder
from ...system.file_cache import file_cached
from ...system.files import write_whole
from ...training.saved import WEIGHTS
from ...training.task import Draws, TrainingFacts, TrainingTask
from .data import CLASS_NAMES, Pictures

CLASSIFIER = "garment_classifier"
FEATURES = 128
#: Samples a forward pass: enough to fill two cores, small enough to stay in their cache.
BATCH = 250


class GarmentClassifier(nn.Module):
    """Three convolutions and one hidden layer: 243,000 parameters; input [batch, 1, 28, 28] in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_block(1, 32),  # 28 -> 14
            *_block(32, 64),  # 14 -> 7
            *_block(64, 128),  # 7 -> 3
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(128 * 3 * 3, FEATURES),
            nn.BatchNorm1d(FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(FEATURES, len(CLASS_NAMES)))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Features [batch, 128] of the last hidden layer, and logits [batch, 10]."""
        features = self.body(pictures)
        return features, self.head(features)


def _block(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)


@torch.no_grad()
def classify(network: GarmentClassifier, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Features [count, 128] and class probabilities [count, 10] of pictures [count, 1, 28, 28]; float64."""
    parts = [network(part.float().clamp(-1, 1)) for part in pictures.split(BATCH)]
    features = torch.cat([part[0] for part in parts]).double()
    logits = torch.cat([part[1] for part in parts]).double()
    return features, torch.softmax(logits, dim=1)


@dataclass
class ClassifierTask(TrainingTask):
    """Cross-entropy with smoothed labels on mirrored and shifted garments.

    Attributes:
        network: the classifier.
        pictures: [count, 1, 30, 30] in [-1, 1]: with a margin of one pixel, so that a shift is a crop.
        classes: int64 [count].
        batch: pictures a step.
    """

    network: nn.Module
    pictures: Tensor
    classes: Tensor
    batch: int = 256

    @classmethod
    def create(cls, training: Pictures, seed: int = 0) -> ClassifierTask:
        """The task on all training pictures."""
        torch.manual_seed(seed)
        return cls(GarmentClassifier(), functional.pad(training.pictures, (1, 1, 1, 1), value=-1.0), training.classes)

    def draw(self, generator: torch.Generator) -> Draws:
        """Pictures, and the pixels of one crop for all of them, 28 of 30 each way; a third of crops are mirrored."""
        chosen = torch.randint(len(self.classes), (self.batch,), generator=generator)
        top, left, mirrored = torch.randint(3, (3,), generator=generator).tolist()
        pixels = torch.arange(28)
        columns = left + (pixels.flip(0) if mirrored == 0 else pixels)
        return {"chosen": chosen, "rows": top + pixels, "columns": columns}

    def loss(self, drawn: Draws) -> Tensor:
        pictures = self.pictures[drawn["chosen"]].index_select(2, drawn["rows"]).index_select(3, drawn["columns"])
        _, logits = self.network(pictures)
        return functional.cross_entropy(logits, self.classes[drawn["chosen"]], label_smoothing=0.05)


def accuracy(network: GarmentClassifier, data: Pictures) -> float:
    """The share of pictures, 0 to 1, whose most probable class is the right one."""
    _, probabilities = classify(network, data.pictures)
    return float((probabilities.argmax(1) == data.classes).double().mean())


@dataclass(frozen=True)
class Reference:
    """Mean [128] and covariance [128, 128] of the classifier's features of the 10,000 test pictures, float64."""

    mean: Tensor
    covariance: Tensor


@file_cached(1, WEIGHTS, folder=lambda: assets_folder() / CLASSIFIER)
def load_classifier() -> GarmentClassifier:
    """The embedded classifier, ready to use; raises ModelError."""
    network = GarmentClassifier()
    path = assets_folder() / CLASSIFIER / WEIGHTS
    try:
        network.load_state_dict(_load(path), strict=True)
    except RuntimeError:
        raise ModelError(f"{path} is not the garment classifier's; install SuperDiff Studio again.") from None
    return network.eval().requires_grad_(False)


def load_reference() -> Reference:
    """The reference features of Fashion-FID; raises ModelError."""
    stored = _load(assets_folder() / CLASSIFIER / "reference.safetensors")
    return Reference(stored["mean"].double(), stored["covariance"].double())


def reference_of(network: GarmentClassifier, test: Pictures) -> Reference:
    """The moments of the features of `test`."""
    features, _ = classify(network, test.pictures)
    return Reference(features.mean(0), torch.cov(features.T))


def classifier_accuracy() -> float:
    """The embedded classifier's test accuracy, 0 to 1, as measured when it was trained; raises ModelError."""
    path = assets_folder() / CLASSIFIER / "config.json"
    try:
        return float(json.loads(path.read_text())["test_accuracy"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(f"{path} is missing or damaged; install SuperDiff Studio again.") from None


def _load(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"{path} is missing; install SuperDiff Studio again, or run 'superdiff train {CLASSIFIER}'.")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError):
        raise ModelError(f"{path} is damaged or was cut off; install SuperDiff Studio again.") from None


def save_classifier(
    network: GarmentClassifier,
    facts: TrainingFacts,
    test: Pictures,
    folder: Path,
    real: dict[str, dict[str, float]],
) -> float:
    """Write weights, reference features, config and model card into `folder`; returns the accuracy on `test`.

    Args:
        network: with its final weights.
        facts: of its training.
        test: the 10,000 test pictures.
        folder: to write.
        real: figures of real training pictures, by what they are: what the best of generators could reach.

    Raises:
        OutputError: when a file cannot be written.
    """
    network = network.float().eval()
    measured = accuracy(network, test)
    per_class = [accuracy(network, test.of_classes((index,))) for index in range(len(CLASS_NAMES))]
    config = {
        "architecture": "superdiff_engine.domains.pictures.classifier.GarmentClassifier",
        "classes": list(CLASS_NAMES),
        "features": FEATURES,
        "test_accuracy": round(measured, 4),
        "test_accuracy_by_class": [round(value, 3) for value in per_class],
        "training": facts.model_dump() | {"minutes": round(facts.minutes, 1), "loss": round(facts.loss, 4)},
        "real_pictures": real,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / WEIGHTS, save({k: v.contiguous() for k, v in network.state_dict().items()}))
    reference = reference_of(network, test)
    moments = {"mean": reference.mean.float(), "covariance": reference.covariance.float().contiguous()}
    write_whole(folder / "reference.safetensors", save(moments))
    write_whole(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    write_whole(folder / "README.md", _card(network, facts, measured, per_class).encode())
    return measured


def _card(network: GarmentClassifier, facts: TrainingFacts, measured: float, per_class: list[float]) -> str:
    parameters = sum(value.numel() for value in network.parameters())
    classes = "\n".join(f"| {name} | {share:.1%} |" for name, share in zip(CLASS_NAMES, per_class, strict=True))
    return f"""# Garment classifier

The judge behind Fashion-FID, Fashion-IS and class shares: a small convolutional network, {parameters:,} parameters.

| | |
| --- | --- |
| Data | the 60,000 training pictures of Fashion-MNIST (arXiv 1708.07747), Debian package dataset-fashion-mnist |
| Licence | MIT (data and weights) |
| Training | {facts.steps:,} steps of {facts.batch} pictures, {facts.minutes:.0f} minutes on {facts.hardware} |
| Accuracy on the 10,000 test pictures | **{measured:.2%}** |

| class | accuracy |
| --- | --- |
{classes}

`reference.safetensors` holds the mean and the covariance of the {FEATURES} features (the last hidden layer, after its
ReLU) of the 10,000 test pictures, against which Fashion-FID is measured. No training has seen these pictures.

Limits: it knows ten garments and nothing else; shirts, T-shirts, pullovers and coats are easily confused, as people
confuse them. Its distances are not comparable with FID on Inception features.

Made by `superdiff train garment_classifier`.
"""
