"""Training of the embedded garment models: the paper's disjoint halves, and one model of both.

Each is a diffusers UNet2DModel on 2 x 2 pixel-unshuffled pictures ([1, 28, 28] -> [4, 14, 14], an orthonormal
re-arrangement: noise stays noise), v-prediction on DDPM's linear schedule. Their judge, the classifier, is trained here
too; one pack holds the data of all four.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn
from torch.nn import functional

from ...noise import DiscreteVP
from ...training.losses import denoising_loss, noisy_draws
from ...training.task import Draws, TrainingFacts, TrainingPlan, TrainingTask
from ...training.training import Options, Training
from .classifier import CLASSIFIER, ClassifierTask, GarmentClassifier, reference_of, save_classifier
from .data import EXPERT_CLASSES, Pictures, load_splits, write_garments
from .metrics import measure
from .saving import save_expert

PATCH = 2


def garment_unet() -> UNet2DModel:
    """A U-Net of 2.6 million parameters, chosen by its step time on two CPU cores."""
    return UNet2DModel(
        sample_size=14,
        in_channels=PATCH**2,
        out_channels=PATCH**2,
        block_out_channels=(64, 128),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=64,
    )


@dataclass
class GarmentTask(TrainingTask):
    """v-prediction of the garments of some classes.

    Attributes:
        network: a UNet2DModel.
        pictures: [count, 4, 14, 14] in [-1, 1], pixel-unshuffled.
        schedule: the forward process.
        batch: pictures a step.
    """

    network: nn.Module
    pictures: Tensor
    schedule: DiscreteVP
    batch: int = 64

    @classmethod
    def create(cls, name: str, training: Pictures, seed: int = 0) -> GarmentTask:
        """The task of an embedded expert, on those of the training pictures that are of its classes."""
        torch.manual_seed(seed)
        data = training.of_classes(EXPERT_CLASSES[name])
        network = cast(Any, garment_unet()).to(memory_format=torch.channels_last)
        return cls(network, functional.pixel_unshuffle(data.pictures, PATCH), DiscreteVP.linear())

    def draw(self, generator: torch.Generator) -> Draws:
        chosen = torch.randint(len(self.pictures), (self.batch,), generator=generator)
        shape = (self.batch, *self.pictures.shape[1:])
        return {"chosen": chosen, **noisy_draws(shape, self.schedule, generator, -0.6, 1.2)}

    def loss(self, drawn: Draws) -> Tensor:
        data = self.pictures[drawn["chosen"]].contiguous(memory_format=torch.channels_last)
        return denoising_loss(lambda x, t: self.network(x, t).sample, data, drawn)


Splits = dict[str, Pictures]


@dataclass(frozen=True)
class GarmentTraining(Training[Options, Splits]):
    """The training of an expert on Fashion-MNIST.

    Attributes:
        name: of the model.
        minutes: on two CPU cores, after which it is as good as its card says.
    """

    name: str
    minutes: float

    def load(self, options: Options) -> Splits:
        """Of a pack, or of a folder with the idx files of Fashion-MNIST (None: where Debian puts them)."""
        return load_splits(options.data)

    def write_pack(self, path: Path, data: Path | None = None) -> Path:
        """One pack serves all the garment models."""
        return write_garments(path, data)

    def task(self, data: Splits, options: Options) -> TrainingTask:
        task = self._task(data["train"])
        task.batch = options.batch or task.batch
        return task

    def _task(self, training: Pictures) -> TrainingTask:
        return GarmentTask.create(self.name, training)

    def plan(self, minutes: float, options: Options) -> TrainingPlan:
        return TrainingPlan(minutes, checkpoint_minutes=5)

    def save(self, folder: Path, network: nn.Module, data: Splits, facts: TrainingFacts, options: Options) -> None:
        save_expert(self.name, network, facts, folder)


@dataclass(frozen=True)
class ClassifierTraining(GarmentTraining):
    """The training of the experts' judge, on the same data."""

    def _task(self, training: Pictures) -> TrainingTask:
        return ClassifierTask.create(training)

    def plan(self, minutes: float, options: Options) -> TrainingPlan:
        return TrainingPlan(minutes, 2e-3, warmup_steps=100, decay_fraction=0.8, ema_decay=0.998, checkpoint_minutes=2)

    def save(self, folder: Path, network: nn.Module, data: Splits, facts: TrainingFacts, options: Options) -> None:
        judge, test = cast(GarmentClassifier, network), data["test"]
        save_classifier(judge, facts, test, folder, _real_figures(judge, data["train"], test))


def _real_figures(network: GarmentClassifier, training: Pictures, test: Pictures) -> dict[str, dict[str, float]]:
    """Fashion-FID and Fashion-IS of 2,000 real training pictures: all classes, and what each half alone could reach."""
    reference = reference_of(network, test)
    generator = torch.Generator().manual_seed(0)
    figures = {}
    names = {"garments_ab": "all ten classes", "garments_a": "classes 0 to 4 only", "garments_b": "classes 5 to 9 only"}
    for name, title in names.items():
        chosen = training.of_classes(EXPERT_CLASSES[name]).pictures
        chosen = chosen[torch.randperm(len(chosen), generator=generator)[:2000]]
        measured = measure(chosen, network, reference)
        figures[title] = {key: round(measured[key].value, 3) for key in ("fashion_fid", "fashion_is")}
    return figures


TRAININGS = {
    one.name: one
    for one in (
        GarmentTraining("garments_a", 32.0),
        GarmentTraining("garments_b", 29.0),
        GarmentTraining("garments_ab", 32.0),
        ClassifierTraining(CLASSIFIER, 8.0),
    )
}
