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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ... import rotations
from ...training.task import Draws, TrainingFacts, TrainingPlan, TrainingProgress, TrainingTask
from ...training.training import RefiningOptions, Report, Training
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
from .reference import Reference

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


@dataclass(frozen=True)
class Material:
    """What one of the models learns from.

    Attributes:
        molecules: of its own kind.
        quartiles: of all kinds' properties, so that a prompt means the same to every model.
        reference: what is kept beside the model of all.
    """

    molecules: Molecules
    quartiles: dict[str, tuple[float, float]]
    reference: Reference

    @property
    def vocabulary(self) -> Vocabulary:
        """The prompts."""
        return Vocabulary.of(self.quartiles)


@dataclass(frozen=True)
class MoleculeTraining(Training[RefiningOptions, Material]):
    """The training of one of the molecule models.

    Attributes:
        name: of the model.
        minutes: on two CPU cores, after which it is as good as its card says.
        title: in the studio.
        description: likewise.
    """

    name: str
    minutes: float
    title: str
    description: str
    options = RefiningOptions

    def load(self, options: RefiningOptions) -> Material:
        """Of a pack, or of a folder with the wheel of qm9pack (None: ~/.cache/superdiff/data/qm9)."""
        known = load_training_data(options.data, print)
        properties = known.molecules.properties
        chosen = known.molecules.take(belongs(self.name, properties[:, PROPERTY_NAMES.index("rings")]))
        return Material(chosen, Vocabulary.quartiles(properties), known.reference)

    def write_pack(self, path: Path, data: Path | None = None) -> Path:
        """One pack serves all the molecule models."""
        return save_pack(path, load_training_data(data, print))

    def task(self, data: Material, options: RefiningOptions) -> MoleculeTask:
        network = MoleculeNetwork(data.vocabulary.sizes, **NETWORK)
        classes = data.vocabulary.classes(data.molecules.properties)
        return MoleculeTask(network, data.molecules, classes, BATCH if options.batch is None else options.batch)

    def plan(self, minutes: float, options: RefiningOptions) -> TrainingPlan:
        return TrainingPlan(minutes, 8e-4, warmup_steps=500, decay_fraction=0.25, float16=True)

    def begin(
        self, task: TrainingTask, data: Material, options: RefiningOptions, report: Report
    ) -> TrainingProgress | None:
        if not options.refine:
            return None
        installed = load_model(self.folder(options))
        task.network.load_state_dict(installed.network.state_dict())
        return installed.settings.training.progress() if installed.settings.training else None

    def save(
        self,
        folder: Path,
        network: nn.Module,
        data: Material,
        facts: TrainingFacts,
        options: RefiningOptions,
    ) -> None:
        trained = copy.deepcopy(cast(MoleculeNetwork, network))
        sizes, counts = np.unique(data.molecules.atoms, return_counts=True)
        settings = MoleculeSettings(
            title=self.title,
            description=self.description,
            network=trained.settings,
            quartiles=data.quartiles,
            sizes=dict(zip(sizes.tolist(), counts.tolist(), strict=True)),
            training=facts,
        )
        if self.name == "molecules":
            data.reference.save(folder)
        save_model(folder, trained, settings)


TRAININGS = {
    one.name: one
    for one in (
        MoleculeTraining("molecules", 240.0, "QM9", "Small organic molecules, any of QM9's, with property prompts"),
        MoleculeTraining(
            "molecules_rings", 42.0, "QM9 with rings", "Molecules that have a ring, with property prompts"
        ),
        MoleculeTraining(
            "molecules_chains", 65.0, "QM9 without rings", "Molecules that have no ring, with property prompts"
        ),
    )
}
