"""Training of the embedded garment models: the paper's disjoint halves, and one model of both.

Each is a diffusers UNet2DModel on 2 x 2 pixel-unshuffled pictures ([1, 28, 28] -> [4, 14, 14], an orthonormal
re-arrangement: noise stays noise), v-prediction on DDPM's linear schedule. Their judge, the classifier, is trained here
too; one pack holds the data of all four.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn
from torch.nn import functional

from ...noise import DiscreteVP
from ...training.trainer import (
    Draws,
    TrainingFacts,
    TrainingPlan,
    TrainingProgress,
    TrainingTask,
    cannot_refine,
    checkpoints_folder,
    denoising_loss,
    noisy_draws,
    train,
    training_target,
)
from .classifier import CLASSIFIER, ClassifierTask, GarmentClassifier, reference_of, save_classifier
from .data import EXPERT_CLASSES, Pictures, load_splits, write_garments
from .metrics import measure
from .model import save_expert

PATCH = 2
#: Minutes on two CPU cores after which each embedded model is as good as its model card says.
MINUTES = {"garments_a": 32.0, "garments_b": 29.0, "garments_ab": 32.0, CLASSIFIER: 8.0}
CHECKPOINTS = checkpoints_folder()


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


def train_model(
    name: str,
    minutes: float | None = None,
    data: Path | None = None,
    report: Callable[[TrainingProgress], None] = lambda progress: None,
    folder: Path | None = None,
    refine: bool = False,
    device: str = "cpu",
    batch: int | None = None,
) -> Path:
    """Train an embedded model and write its folder; resumes from its checkpoint in `checkpoints_folder()`.

    Args:
        name: "garments_a", "garments_b", "garments_ab" or "garment_classifier".
        minutes: of training in all, resumed ones included; None for the model's own.
        data: a folder with the idx files of Fashion-MNIST, or a pack; None for where Debian puts them.
        report: called about every ten seconds.
        folder: where the folder `name` is written; None for the embedded models' own.
        refine: not for these.
        device: to train on, such as "cpu" or "cuda".
        batch: pictures a step; None for the model's own number.

    Returns:
        The folder that was written.

    Raises:
        ModelError: for a name that is not one of these, to refine one, or for a file that is no pack of garments.
        FileNotFoundError: when the data are not there; the message says how to get them.
    """
    minutes, target = training_target(name, minutes, MINUTES, folder)
    if refine:
        raise cannot_refine(name)
    splits = load_splits(data)
    training, test = splits["train"], splits["test"]
    checkpoint = CHECKPOINTS / f"{name}.ckpt"
    task: TrainingTask
    if name == CLASSIFIER:
        plan = TrainingPlan(minutes, 2e-3, warmup_steps=100, decay_fraction=0.8, ema_decay=0.998, checkpoint_minutes=2)
        task = ClassifierTask.create(training)
    else:
        plan = TrainingPlan(minutes, checkpoint_minutes=5)
        task = GarmentTask.create(name, training)
    task.batch = batch or task.batch
    network, progress = train(task, plan, checkpoint, report, device)
    facts = TrainingFacts.of(progress, task.batch, device=device)
    if name == CLASSIFIER:
        judge = cast(GarmentClassifier, network)
        save_classifier(judge, facts, test, target, _real_figures(judge, training, test))
    else:
        save_expert(name, network, facts, target)
    return target


def write_training_pack(name: str, path: Path, data: Path | None = None) -> Path:
    """Write what `train_model` learns from as a pack: the same for each of its models.

    Args:
        name: of one of them.
        path: of the pack.
        data: a folder with the idx files of Fashion-MNIST; None for where Debian puts them.

    Raises:
        ModelError: for a name that is not one of these.
        FileNotFoundError: when the data are not there; the message says how to get them.
        OutputError: when the pack cannot be written.
    """
    training_target(name, None, MINUTES, None)
    return write_garments(path, data)


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
