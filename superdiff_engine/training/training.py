"""What the trainings of all embedded models share: options, budget, data or pack, checkpoint, refining, saving.

A domain says in its `train.py` which models it trains, and the command line relies on this and no more:

    TRAININGS: Mapping[str, Training]      in domains/NAME/train.py, by the names of the models
    training.options                       a dataclass, a subclass of `Options`: its fields are the options of
                                           `superdiff train`, each with its metadata as `option` keeps them
    training.minutes                       the budget where `options.minutes` is None
    training.checkpoint(options)           the file that a training resumes from, if it is there
    training.train(options, report)        trains, and returns the folder that it wrote
    training.write_pack(path, data)        writes what it learns from as one file, and returns the path

An option that only some trainings have is a field of their own class. Where it is given to another training, its
metadata hold the sentence that is said then (`system.options.option`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import torch
from torch import nn

from ..system.assets import assets_folder
from ..system.options import option
from .task import TrainingFacts, TrainingPlan, TrainingProgress, TrainingTask
from .trainer import checkpoints_folder, train

#: Called about every ten seconds.
Report = Callable[[TrainingProgress], None]


def silent(progress: TrainingProgress) -> None:
    """A report to nobody."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a training may be asked for.

    Attributes:
        minutes: of training in all, resumed ones included; None for the model's own budget.
        data: a pack, or a folder of sources; None for where they usually are.
        out: where the folder of the model is written; None for the embedded models' own.
        device: to train on, such as "cpu" or "cuda".
        batch: samples a step; None for the model's own number.
    """

    minutes: float | None = field(
        default=None, metadata=option("budget over all runs, minutes (left out: its own)", least=0.01)
    )
    data: Path | None = field(
        default=None,
        metadata=option("folder of the data, if it is not where its package puts it, or a pack that --pack wrote"),
    )
    out: Path | None = field(
        default=None, metadata=option("folder to write the model's own folder into, if not where it is embedded")
    )
    device: str = field(default="cpu", metadata=option("what to train on: auto, cpu or cuda"))
    batch: int | None = field(default=None, metadata=option("samples a step (left out: the model's own)", least=1))


@dataclass(frozen=True, kw_only=True)
class RefiningOptions(Options):
    """Those of a model whose installed weights can be taken up.

    Attributes:
        refine: whether, without a checkpoint, to begin with the weights that are installed and the minutes they had.
    """

    refine: bool = field(
        default=False,
        metadata=option(
            "without a checkpoint, go on from what is installed (emoji_vae: its decoder)",
            elsewhere="The training of '{name}' is short and begins anew; leave --refine out.",
        ),
    )


Asked = TypeVar("Asked", bound=Options)
Data = TypeVar("Data")


class Training(ABC, Generic[Asked, Data]):
    """The training of one embedded model: `train` is the same for all, a domain says what is learned from what.

    Attributes:
        name: of the model, and of its folder.
        minutes: its own budget.
        options: the class of what it may be asked for.
    """

    name: str
    minutes: float
    options: ClassVar[type[Options]] = Options

    @abstractmethod
    def load(self, options: Asked) -> Data:
        """What it learns from, of a pack or of its sources.

        Raises:
            ModelError: for a file that is no pack of these data.
            FileNotFoundError: when the data are not there; the message says how to get them.
        """

    @abstractmethod
    def write_pack(self, path: Path, data: Path | None = None) -> Path:
        """Write what it learns from as one file, and return its path.

        Args:
            path: of the pack.
            data: a folder of sources; None for where they usually are.

        Raises:
            OutputError: when the pack cannot be written.
            FileNotFoundError: when the data are not there; the message says how to get them.
        """

    @abstractmethod
    def task(self, data: Data, options: Asked) -> TrainingTask:
        """What is learned, by a new network; torch's own generator has its seed already."""

    @abstractmethod
    def plan(self, minutes: float, options: Asked) -> TrainingPlan:
        """How it is learned in so many minutes."""

    def begin(self, task: TrainingTask, data: Data, options: Asked, report: Report) -> TrainingProgress | None:
        """Put the weights that a training without a checkpoint begins with into the task's network.

        Returns:
            Where their training stands, if it counts; None where the network is new.

        Raises:
            ModelError: when there are none.
        """
        return None

    @abstractmethod
    def save(self, folder: Path, network: nn.Module, data: Data, facts: TrainingFacts, options: Asked) -> None:
        """Write the trained network, on the CPU and ready to be asked, with its card into the model's folder."""

    def budget(self, options: Asked) -> float:
        """Minutes of training in all."""
        return self.minutes if options.minutes is None else options.minutes

    def folder(self, options: Asked) -> Path:
        """The folder that a training writes."""
        return (assets_folder() if options.out is None else options.out) / self.name

    def checkpoint(self, options: Asked) -> Path:
        """The file that a training resumes from."""
        return checkpoints_folder() / f"{self.name}.ckpt"

    def train(self, options: Asked, report: Report = silent) -> Path:
        """Train the model and write its folder; resumes from its checkpoint.

        Args:
            options: what is asked for.
            report: called about every ten seconds.

        Returns:
            The folder that was written.

        Raises:
            ModelError: for data that are not this model's, or when there is nothing to begin with.
            TrainingError: when the loss stops being finite.
            FileNotFoundError: when the data are not there; the message says how to get them.
            OutputError: when the checkpoint or the folder cannot be written.
            Interrupted: if a signal asked this process to stop, after the checkpoint was written.
        """
        data = self.load(options)
        torch.manual_seed(0)
        task = self.task(data, options)
        checkpoint = self.checkpoint(options)
        begin = None if checkpoint.is_file() else self.begin(task, data, options, report)
        plan = self.plan(self.budget(options), options)
        network, progress = train(task, plan, checkpoint, report, options.device, begin=begin)
        facts = TrainingFacts.of(progress, task.batch, plan.float16, options.device)
        folder = self.folder(options)
        self.save(folder, network, data, facts, options)
        return folder
