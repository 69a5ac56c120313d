"""Training of the embedded protein models on chains of the PDB: one of mainly alpha, one of mainly beta, one of all.

    proteins         all training chains, which are globular (`data.Chains.globular`)
    proteins_alpha   at least 40% of the residues in helices, at most 10% in strands (DSSP)
    proteins_beta    at least 30% in strands, at most 15% in helices

The first is trained first: the two others, which have a fifth of its chains each, begin with its weights.
Batches hold chains of similar length. Each is turned at random: half precision is not quite equivariant.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from ... import rotations
from ...errors import ModelError
from ...system.options import option
from ...training.saved import SETTINGS
from ...training.task import Draws, TrainingFacts, TrainingPlan, TrainingProgress, TrainingTask
from ...training.training import RefiningOptions, Report, Training
from .checks import KINDS
from .data import FEWEST_RESIDUES, HELIX, LONGEST, STRAND, Chains
from .frames import IDEAL, MOST_RESIDUES, frames_of
from .model import (
    ANGSTROM,
    WHOLE,
    ProteinSettings,
    denoised_positions,
    estimate,
    factors,
    kernels,
    load_model,
    save_model,
)
from .network import Frames, ProteinNetwork, full_precision
from .pack import Backbones, load_training_data, save_pack

BATCH = 16
#: Batches are padded to one of these numbers of residues.
PADDED = (64, 80, 96, 112, MOST_RESIDUES)
#: Residues of the shortest windows of longer chains.
SHORTEST_WINDOW = 64
#: log s ~ N(mean, deviation^2): folds are decided from s = 3 to 0.3 (30 to 3 Angstrom), bonds below 0.05.
LOG_LEVEL = (-1.2, 1.6)
#: Weights of the losses; the last two teach the clean frames themselves, as FrameDiff's auxiliary losses do.
WEIGHTS = {"positions": 1.0, "rotations": 0.5, "frames": 0.25, "bonds": 0.25}
#: Level below which distances between neighbouring residues' atoms are in the loss: 3 Angstrom.
BONDS_BELOW = 0.3


def belongs(name: str, helix: np.ndarray, strand: np.ndarray) -> np.ndarray:
    """Bool: which chains, by their shares of helix and strand, a model of this name learns from."""
    found, shares = helix >= 0, {"helix": helix, "strand": strand}
    for kind, (least, most) in KINDS.get(name, {}).items():
        found &= shares[kind] >= (0 if least is None else least)
        found &= shares[kind] <= (1 if most is None else most)
    return found


def learned_by(name: str, chains: Chains) -> Chains:
    """Those of the chains that a model of this name learns from."""
    return chains.take(np.nonzero(belongs(name, chains.shares(HELIX), chains.shares(STRAND)))[0])


@dataclass(frozen=True)
class _Group:
    """Chains and windows that are padded to the same number of residues: for `draw`, so not among what moves.

    Attributes:
        fewest, most: residues of a window of a longer chain; `most` is what all are padded to.
        rows: of the chains, int64 [chains].
        weights: how often each is drawn, float64 [chains]: 1 of a chain whose length is fixed, and of a longer one the
            share of its windows that belong here.
    """

    fewest: int
    most: int
    rows: Tensor
    weights: Tensor


@dataclass
class ProteinTask(TrainingTask):
    """Denoising of residue frames.

    Attributes:
        network: `ProteinNetwork`.
        chains: to learn from. Of those longer than MOST_RESIDUES a window at random is learned each time, of
            SHORTEST_WINDOW to MOST_RESIDUES residues, every length as often.
        batch: chains a step.
        log_level: mean and deviation of ln s.
    """

    network: nn.Module
    chains: Backbones
    batch: int = BATCH
    log_level: tuple[float, float] = LOG_LEVEL
    _groups: list[_Group] = field(init=False)

    def __post_init__(self) -> None:
        self._first = self.chains.first
        self._rotations, alpha = frames_of(torch.from_numpy(self.chains.atoms))
        chain = torch.from_numpy(np.repeat(np.arange(len(self.chains)), self.chains.residues))
        sums = torch.zeros(len(self.chains), 3).index_add(0, chain, alpha)
        self._positions = (alpha - (sums / torch.from_numpy(self.chains.residues).unsqueeze(1))[chain]) / ANGSTROM
        #: N, CA, C of a residue in its own frame, in units of 10 Angstrom.
        self._ideal = IDEAL / ANGSTROM
        bounds = (FEWEST_RESIDUES - 1, *PADDED)
        found = [self._group(least, most) for least, most in zip(bounds, PADDED, strict=False)]
        self._groups = [group for group in found if len(group.rows)]
        self._shares = [float(group.weights.sum()) for group in self._groups]

    def _group(self, least: int, most: int) -> _Group:
        """What has more than `least` residues and at most `most`."""
        residues = torch.from_numpy(self.chains.residues)
        fewest = max(SHORTEST_WINDOW, least + 1)
        windows = max(0, most - fewest + 1) / (MOST_RESIDUES - SHORTEST_WINDOW + 1)
        weights = ((residues > least) & (residues <= most)).double() + windows * (residues > MOST_RESIDUES)
        rows = torch.nonzero(weights)[:, 0]
        return _Group(min(fewest, most), most, rows, weights[rows])

    def draw(self, generator: torch.Generator) -> Draws:
        """Chains or windows of similar length, how each is turned, its level and its noise."""
        group = self._groups[int(torch.multinomial(torch.tensor(self._shares), 1, generator=generator))]
        chosen = group.rows[torch.multinomial(group.weights, self.batch, True, generator=generator)].numpy()
        length = torch.from_numpy(self.chains.residues[chosen])
        window = torch.randint(group.fewest, group.most + 1, (self.batch,), generator=generator)
        residues = torch.where(length > MOST_RESIDUES, window, length)
        start = (torch.rand(self.batch, generator=generator, dtype=torch.float64) * (length - residues + 1)).long()
        return {
            "first": torch.from_numpy(self._first[chosen]) + start,
            "residues": residues,
            "turned": rotations.uniform((self.batch,), generator, torch.float32),
        } | noise_of(residues, group.most, self.log_level, generator)

    def loss(self, drawn: Draws) -> Tensor:
        """The sum of `protein_losses`, weighted as WEIGHTS."""
        place = torch.arange(drawn["noise"].shape[1], device=drawn["noise"].device)
        mask = place < drawn["residues"].unsqueeze(1)
        # What stands beyond a chain's end is of the next one, and means nothing.
        rows = (drawn["first"].unsqueeze(1) + place).clamp_max(len(self._positions) - 1)
        there = mask.unsqueeze(2)
        rotation = torch.where(there.unsqueeze(3), self._rotations[rows], torch.eye(3, device=place.device))
        positions = self._positions[rows] * there
        positions = (positions - positions.sum(1, keepdim=True) / there.sum(1, keepdim=True)) * there
        turned = drawn["turned"].unsqueeze(1)
        with full_precision(place.device):
            clean = Frames(turned @ rotation, (turned @ positions.unsqueeze(-1)).squeeze(-1))
        parts = protein_losses(self.network, clean, drawn, mask, self._ideal)
        return torch.stack([WEIGHTS[name] * value for name, value in parts.items()]).sum()


def noise_of(residues: Tensor, most: int, log_level: tuple[float, float], generator: torch.Generator) -> Draws:
    """Levels and noise for chains of these numbers of residues [B], padded to `most`.

    Args:
        residues: int64 [B].
        most: N.
        log_level: mean and deviation of ln s.
        generator: of all of it.

    Returns:
        "levels" s [B], of the table of heat kernels; "noise" of positions, standard normal, [B, N, 3]; "turns", the
        rotation vectors of Brownian motion from each clean frame, [B, N, 3], and "scores", the gradient of its
        log-density there over its root mean square, [B, N, 3]; all float32, the turns zero beyond a chain's end.
    """
    grid, table = kernels()
    mean, deviation = log_level
    drawn = mean + deviation * torch.randn(len(residues), generator=generator, dtype=torch.float64)
    index = torch.searchsorted(grid, drawn.exp()).clamp_max(len(grid) - 1)
    turns = table.draw(index, most, generator) * (torch.arange(most) < residues.unsqueeze(1)).unsqueeze(2)
    return {
        "levels": grid[index].float(),
        "noise": torch.randn(len(residues), most, 3, generator=generator),
        "turns": turns,
        "scores": table.score(turns, index) / table.spread[index].view(-1, 1, 1).float(),
    }


def protein_losses(network: nn.Module, clean: Frames, drawn: Draws, mask: Tensor, ideal: Tensor) -> dict[str, Tensor]:
    """Mean squared errors, each in units in which guessing the mean is about one.

    All but the network is in full precision: frames in bfloat16 would be off by a hundredth.

    Args:
        network: of `ProteinNetwork`'s form.
        clean: frames [B, N, ...], positions centred, in units of 10 Angstrom.
        drawn: of `noise_of`.
        mask: bool [B, N].
        ideal: N, CA, C of a residue in its own frame, [3, 3], in units of 10 Angstrom.

    Returns:
        Of positions and rotations (denoising score matching, Vincent 2011, on R^3 and on SO(3)), of the axes of the
        estimated frames, and of the distances between the atoms of neighbouring residues, where s is small.
    """
    levels = drawn["levels"]
    there = mask.unsqueeze(2).float()
    noise = drawn["noise"] * there
    noise = (noise - noise.sum(1, keepdim=True) / there.sum(1, keepdim=True)) * there
    y = clean.positions + levels.view(-1, 1, 1) * noise
    with full_precision(y.device):
        rotation = clean.rotations @ rotations.exponential(drawn["turns"])
    found = estimate(network, rotation, y, levels, mask)
    keep, out, reach = (factor.view(-1, 1, 1) for factor in factors(levels))

    def mean(values: Tensor) -> Tensor:
        """Over the chains' residues and the numbers of each."""
        return (values * there).sum() / (there.sum() * values.shape[2])

    wanted = (clean.positions - keep * y) / out
    # The network's own mean is no part of the centred space.
    moved = found.positions - (found.positions * there).sum(1, keepdim=True) / there.sum(1, keepdim=True)
    axes = (found.frames.rotations - clean.rotations)[..., :2].flatten(2) / reach
    guess = Frames(found.frames.rotations, denoised_positions(found, y, levels))
    with full_precision(y.device):
        error = (_bonds(guess, ideal) - _bonds(clean, ideal)).flatten(2) / out
    small = (levels < BONDS_BELOW).float().view(-1, 1, 1) * there[:, 1:] * there[:, :-1]
    return {
        "positions": mean((moved - wanted).square()),
        "rotations": mean((found.turn - drawn["scores"]).square()),
        "frames": mean(axes.square()),
        "bonds": (error.square() * small).sum() / (small.sum() * error.shape[2]).clamp_min(1),
    }


def _bonds(frames: Frames, ideal: Tensor) -> Tensor:
    """Distances [B, N - 1, 3, 3] between N, CA, C of each residue and those of the next, in units of 10 Angstrom."""
    frames = Frames(frames.rotations.float(), frames.positions)
    atoms = frames.outside(ideal.expand(*frames.positions.shape[:2], 3, 3))
    difference = atoms[:, :-1].unsqueeze(3) - atoms[:, 1:].unsqueeze(2)
    return (difference.square().sum(-1) + 1e-8).sqrt()


def drawn_lengths(residues: np.ndarray) -> dict[int, int]:
    """How many of these chains are drawn with each number of residues: the longer ones' windows are of all lengths."""
    longer = residues > MOST_RESIDUES
    windows = SHORTEST_WINDOW + np.arange(longer.sum()) % (MOST_RESIDUES - SHORTEST_WINDOW + 1)
    lengths, counts = np.unique(np.concatenate([residues[~longer], windows]), return_counts=True)
    return dict(zip(lengths.tolist(), counts.tolist(), strict=True))


@dataclass(frozen=True, kw_only=True)
class ProteinOptions(RefiningOptions):
    """What the training of a protein model may be asked for.

    Attributes:
        crops: whether windows of longer chains are learned too.
    """

    crops: bool = field(
        default=False,
        metadata=option(
            "also learn from random windows of chains beyond 128 residues (proteins)",
            elsewhere="Only proteins have chains to crop; leave --crops out for '{name}'.",
        ),
    )


@dataclass(frozen=True)
class ProteinTraining(Training[ProteinOptions, Backbones]):
    """The training of one of the protein models.

    Attributes:
        name: of the model.
        minutes: on two CPU cores, after which it is as good as its card says.
        title: in the studio.
        description: likewise.
        log_level: mean and deviation of ln s.
        begins_with: the model whose weights it begins with.
    """

    name: str
    minutes: float
    title: str
    description: str
    log_level: tuple[float, float] = LOG_LEVEL
    begins_with: str | None = WHOLE
    options = ProteinOptions

    def load(self, options: ProteinOptions) -> Backbones:
        """Of a pack, or of a folder with structure_db.dat (None: where Debian puts it).

        Raises:
            ModelError: also when no chain is of its kind.
        """
        training = load_training_data(options.data, LONGEST if options.crops else MOST_RESIDUES)
        chosen = training.take(belongs(self.name, training.helix, training.strand))
        if not len(chosen):
            raise ModelError(f"The structures hold no chain that '{self.name}' could learn from.")
        return chosen

    def write_pack(self, path: Path, data: Path | None = None) -> Path:
        """One pack serves all the protein models, with longer chains or without."""
        return save_pack(path, data)

    def task(self, data: Backbones, options: ProteinOptions) -> ProteinTask:
        batch = BATCH if options.batch is None else options.batch
        return ProteinTask(ProteinNetwork(), data, batch, self.log_level)

    def plan(self, minutes: float, options: ProteinOptions) -> TrainingPlan:
        return TrainingPlan(minutes, 5e-4, warmup_steps=500, ema_decay=0.9995, checkpoint_minutes=10, float16=True)

    def begin(
        self, task: TrainingTask, data: Backbones, options: ProteinOptions, report: Report
    ) -> TrainingProgress | None:
        """The weights of its own, to refine them, or of `begins_with`, whose minutes do not count."""
        folder = self.folder(options)
        if options.refine:
            installed = load_model(folder)
        elif self.begins_with is None:
            return None
        else:
            first = folder.parent / self.begins_with
            if not (first / SETTINGS).is_file():
                raise ModelError(
                    f"'{self.name}' begins with the weights of '{self.begins_with}', which are not in {first.parent}; "
                    f"train '{self.begins_with}' first."
                )
            installed = load_model(first)
        task.network.load_state_dict(installed.network.state_dict())
        return installed.settings.training.progress() if options.refine and installed.settings.training else None

    def save(
        self,
        folder: Path,
        network: nn.Module,
        data: Backbones,
        facts: TrainingFacts,
        options: ProteinOptions,
    ) -> None:
        trained = copy.deepcopy(cast(ProteinNetwork, network))
        settings = ProteinSettings(
            title=self.title,
            description=self.description,
            network=trained.settings,
            lengths=drawn_lengths(data.residues),
            cropped=int((data.residues > MOST_RESIDUES).sum()),
            training=facts,
            began_with=self.begins_with,
        )
        save_model(folder, trained, settings)


TRAININGS = {
    one.name: one
    for one in (
        ProteinTraining("proteins", 60.0, "All folds", "Backbones of proteins of any kind", begins_with=None),
        ProteinTraining("proteins_alpha", 9.0, "Mainly alpha", "Backbones of proteins made of helices"),
        # More of the levels where strands are won or lost; bonds it knows from the first model.
        ProteinTraining(
            "proteins_beta", 75.0, "Mainly beta", "Backbones of proteins made of strands", log_level=(-0.8, 1.2)
        ),
    )
}
