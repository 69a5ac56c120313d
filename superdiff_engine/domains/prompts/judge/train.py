"""Training of the concept scorer: distorted designs that the generator never sees, calibration, accuracy, its card.

It looks at pictures of 64 pixels a side, so that masters are reduced to this size as soon as they are read; a pack
holds them so, and both ways of reading give the same pictures.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ....errors import ModelError
from ....training.task import Draws, TrainingFacts, TrainingPlan, TrainingTask
from ....training.training import Options, Training
from ..emoji.saving import SCORER
from ..emoji.training_data import PictureTable
from .classifier import ConceptClassifier, log_probabilities
from .distortion import distort, distortion
from .material import Material, floats, load_features, read_material, reduced, write_scorer_pack
from .measuring import RELATED, accuracy, calibrate, calibration_rows, held_out_accuracy
from .saving import save_scorer


@dataclass(frozen=True)
class Choices:
    """Which pictures there are to learn from, on the CPU; concepts and then designs are equally likely.

    Attributes:
        rows: int64 [concepts, designs], rows of a table; the first `count` of each concept are filled.
        count: int64 [concepts].
        mirrors: bool [pictures], whether a mirror image is as good.
    """

    rows: Tensor
    count: Tensor
    mirrors: Tensor

    @classmethod
    def of(cls, concepts: int, table: PictureTable, trained: Tensor) -> Choices:
        """The rows `trained`, int64, of a table; ModelError where one of so many concepts has none."""
        count = torch.bincount(table.concept[trained], minlength=concepts)
        if not bool((count > 0).all()):
            raise ModelError(f"{int((count == 0).sum())} concepts have no picture to learn from; fetch all designs.")
        rows = torch.zeros(concepts, int(count.max()), dtype=torch.int64)
        filled = torch.zeros_like(count)
        for row in trained.tolist():
            concept = table.concept[row]
            rows[concept, filled[concept]] = row
            filled[concept] += 1
        return cls(rows, count, table.mirrors)

    def draw(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Concepts, rows and whether to mirror them, each [batch]."""
        concept = torch.randint(len(self.count), (batch,), generator=generator)
        which = (torch.rand(batch, generator=generator) * self.count[concept]).long()
        row = self.rows[concept, which]
        return concept, row, self.mirrors[row] & (torch.rand(batch, generator=generator) < 0.5)


@dataclass
class ClassifierTask(TrainingTask):
    """Cross-entropy with smoothed labels on distorted pictures.

    Attributes:
        network: the scorer.
        pictures: uint8 [pictures, 3, 64, 64].
        choices: of rows of these.
        batch: pictures a step.
    """

    network: nn.Module
    pictures: Tensor
    choices: Choices
    batch: int = 48

    @classmethod
    def create(cls, network: ConceptClassifier, table: PictureTable, trained: Tensor) -> ClassifierTask:
        """The task on the rows `trained`, int64, of a table; every concept needs one."""
        choices = Choices.of(cast(nn.Linear, network.head[1]).out_features, table, trained)
        laid_out = cast(Any, network).to(memory_format=torch.channels_last)
        return cls(laid_out, reduced(table), choices)

    def draw(self, generator: torch.Generator) -> Draws:
        concept, row, mirrored = self.choices.draw(self.batch, generator)
        return {"concept": concept, "row": row, **distortion(mirrored, generator)}

    def loss(self, drawn: Draws) -> Tensor:
        kind = self.pictures.device.type
        with _full_precision(kind):
            pictures = distort(floats(self.pictures[drawn["row"]]), drawn)
        # Filters of single channels are slower in bfloat16 on a CPU: 0.46 s against 0.29 s for a batch of 16.
        with _full_precision(kind) if kind == "cpu" else nullcontext():
            logits = self.network(pictures.contiguous(memory_format=torch.channels_last))
        return functional.cross_entropy(logits, drawn["concept"], label_smoothing=0.1)


def _full_precision(kind: str) -> AbstractContextManager[Any]:
    """No autocast on a kind of device that has it."""
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


@dataclass(frozen=True)
class ConceptTraining(Training[Options, Material]):
    """The training of the scorer; it is calibrated and measured before it is written.

    Attributes:
        name: of the model.
        minutes: on two CPU cores, after which it is as good as its card says.
    """

    name: str = SCORER
    minutes: float = 40.0

    def load(self, options: Options) -> Material:
        return read_material(options.data)

    def write_pack(self, path: Path, data: Path | None = None) -> Path:
        return write_scorer_pack(path, data)

    def task(self, data: Material, options: Options) -> ClassifierTask:
        network = ConceptClassifier(len(data.designs.concepts))
        load_features(network, data.features)
        table = PictureTable.of(data.designs)
        rows = torch.arange(len(table.concept))
        task = ClassifierTask.create(
            network, table, rows[~torch.isin(rows, calibration_rows(table, data.designs.styles))]
        )
        task.batch = options.batch or task.batch
        return task

    def plan(self, minutes: float, options: Options) -> TrainingPlan:
        return TrainingPlan(minutes, 1e-3, 0.05, 200, decay_fraction=0.7, ema_decay=0.998, checkpoint_minutes=3)

    def save(self, folder: Path, network: nn.Module, data: Material, facts: TrainingFacts, options: Options) -> None:
        if torch.device(options.device).type == "cpu":  # see `ClassifierTask.loss`
            facts = facts.model_copy(update={"hardware": facts.hardware.replace("bfloat16", "float32")})
        designs, table = data.designs, PictureTable.of(data.designs)
        pictures, kept = reduced(table), calibration_rows(table, designs.styles)
        # What is measured is what is shipped: weights that went through float16.
        scorer = cast(ConceptClassifier, network.half().float().eval())
        calibrate(scorer, pictures, table, kept)
        scorer.temperature.copy_(scorer.temperature.half())
        old = designs.present[[style != RELATED for style in designs.styles]]
        young = {one.id for index, one in enumerate(designs.concepts) if not old[:, index].any()}
        measured = held_out_accuracy(scorer, data.unseen, young)
        left_out = accuracy(log_probabilities(scorer, pictures[kept].permute(0, 2, 3, 1)), table.concept[kept])
        save_scorer(scorer, designs.concepts, measured, left_out, facts, folder)
