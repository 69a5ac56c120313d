"""Training of the embedded protein models on chains of the PDB: one of mainly alpha, one of mainly beta, one of all.

    proteins         all training chains, which are globular (`data.Chains.globular`)
    proteins_alpha   at least 40% of the residues in helices, at most 10% in strands (DSSP)
    proteins_beta    at least 30% in strands, at most 15% in helices

The first is trained first: the two others, which have a fifth of its chains each, begin with its weights.
Batches hold chains of similar length. Each is turned at random: half precision is not quite equivariant.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from ... import rotations
from ...errors import ModelError
from ...training import TrainingFacts, TrainingPlan, TrainingProgress, checkpoints_folder, train, training_target
from .data import FEWEST_RESIDUES, HELIX, STRAND, Chains, load_chains
from .domain import WHOLE
from .frames import IDEAL, MOST_RESIDUES, frames_of
from .model import ANGSTROM, ProteinSettings, denoised_positions, estimate, factors, kernels, load_model, save_model
from .network import Frames, ProteinNetwork

#: Minutes on two CPU cores after which each model is as good as its card says.
MINUTES = {"proteins": 60.0, "proteins_alpha": 9.0, "proteins_beta": 75.0}
CHECKPOINTS = checkpoints_folder()
BATCH = 16
#: Batches are padded to one of these numbers of residues.
PADDED = (64, 80, 96, 112, MOST_RESIDUES)
#: log s ~ N(mean, deviation^2): folds are decided from s = 3 to 0.3 (30 to 3 Angstrom), bonds below 0.05. The
#: beta model learns more of the former, where strands are won or lost; bonds it knows from the first model.
LOG_LEVEL = {"proteins": (-1.2, 1.6), "proteins_alpha": (-1.2, 1.6), "proteins_beta": (-0.8, 1.2)}
#: Weights of the losses; the last two teach the clean frames themselves, as FrameDiff's auxiliary losses do.
WEIGHTS = {"positions": 1.0, "rotations": 0.5, "frames": 0.25, "bonds": 0.25}
#: Level below which distances between neighbouring residues' atoms are in the loss: 3 Angstrom.
BONDS_BELOW = 0.3
TITLES = {
    "proteins": ("All folds", "Backbones of proteins of any kind"),
    "proteins_alpha": ("Mainly alpha", "Backbones of proteins made of helices"),
    "proteins_beta": ("Mainly beta", "Backbones of proteins made of strands"),
}


def belongs(name: str, helix: np.ndarray, strand: np.ndarray) -> np.ndarray:
    """Bool: which chains, by their shares of helix and strand, a model of this name learns from."""
    return {
        "proteins": helix >= 0,
        "proteins_alpha": (helix >= 0.4) & (strand <= 0.1),
        "proteins_beta": (strand >= 0.3) & (helix <= 0.15),
    }[name]


def learned_by(name: str, chains: Chains) -> Chains:
    """Those of the chains that a model of this name learns from."""
    return chains.take(np.nonzero(belongs(name, chains.shares(HELIX), chains.shares(STRAND)))[0])


@dataclass
class ProteinTask:
    """Denoising of residue frames.

    Attributes:
        network: `ProteinNetwork`.
        chains: to learn from.
        batch: chains a step.
        log_level: mean and deviation of ln s.
    """

    network: nn.Module
    chains: Chains
    batch: int = BATCH
    log_level: tuple[float, float] = LOG_LEVEL[WHOLE]
    _groups: list[tuple[int, Tensor]] = field(init=False)

    def __post_init__(self) -> None:
        count, residues = len(self.chains), torch.from_numpy(self.chains.residues)
        self._residues = residues
        self._rotations = torch.eye(3).repeat(count, MOST_RESIDUES, 1, 1)
        self._positions = torch.zeros(count, MOST_RESIDUES, 3)
        for index in range(count):
            turned, alpha = frames_of(torch.from_numpy(self.chains.backbone[self.chains.rows(index)]))
            self._rotations[index, : len(alpha)] = turned
            self._positions[index, : len(alpha)] = (alpha - alpha.mean(0)) / ANGSTROM
        bounds = (FEWEST_RESIDUES - 1, *PADDED)
        self._groups = [
            (most, rows)
            for least, most in zip(bounds, PADDED, strict=False)
            if len(rows := torch.nonzero((residues > least) & (residues <= most))[:, 0])
        ]
        self._shares = torch.tensor([float(len(rows)) for _, rows in self._groups])

    def loss(self, generator: torch.Generator) -> Tensor:
        most, group = self._groups[int(torch.multinomial(self._shares, 1, generator=generator))]
        rows = group[torch.randint(len(group), (self.batch,), generator=generator)]
        mask = torch.arange(most) < self._residues[rows].unsqueeze(1)
        turned = rotations.uniform((self.batch,), generator, torch.float32).unsqueeze(1)
        clean = Frames(
            turned @ self._rotations[rows, :most],
            (turned @ self._positions[rows, :most].unsqueeze(-1)).squeeze(-1),
        )
        grid, _ = kernels()
        mean, deviation = self.log_level
        drawn = mean + deviation * torch.randn(self.batch, generator=generator, dtype=torch.float64)
        index = torch.searchsorted(grid, drawn.exp()).clamp_max(len(grid) - 1)
        parts = protein_losses(self.network, clean, index, mask, generator)
        return torch.stack([WEIGHTS[name] * value for name, value in parts.items()]).sum()


def protein_losses(
    network: nn.Module, clean: Frames, index: Tensor, mask: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Mean squared errors, each in units in which guessing the mean is about one.

    Args:
        network: of `ProteinNetwork`'s form.
        clean: frames [B, N, ...], positions centred, in units of 10 Angstrom.
        index: of the levels in the table of heat kernels, int64 [B].
        mask: bool [B, N].
        generator: of the noise.

    Returns:
        Of positions and rotations (denoising score matching, Vincent 2011, on R^3 and on SO(3)), of the axes of the
        estimated frames, and of the distances between the atoms of neighbouring residues, where s is small.
    """
    grid, table = kernels()
    levels = grid[index].float()
    there = mask.unsqueeze(2).float()
    noise = torch.randn(clean.positions.shape, generator=generator) * there
    noise = (noise - noise.sum(1, keepdim=True) / there.sum(1, keepdim=True)) * there
    turn = table.draw(index, mask.shape[1], generator) * there
    y = clean.positions + levels.view(-1, 1, 1) * noise
    found = estimate(network, clean.rotations @ rotations.exponential(turn), y, levels, mask)
    keep, out, reach = (factor.view(-1, 1, 1) for factor in factors(levels))

    def mean(values: Tensor) -> Tensor:
        """Over the chains' residues and the numbers of each."""
        return (values * there).sum() / (there.sum() * values.shape[2])

    wanted = (clean.positions - keep * y) / out
    # The network's own mean is no part of the centred space.
    moved = found.positions - (found.positions * there).sum(1, keepdim=True) / there.sum(1, keepdim=True)
    score = table.score(turn, index) / table.spread[index].view(-1, 1, 1).float()
    axes = (found.frames.rotations - clean.rotations)[..., :2].flatten(2) / reach
    guess = Frames(found.frames.rotations, denoised_positions(found, y, levels))
    error = (_bonds(guess) - _bonds(clean)).flatten(2) / out
    small = (levels < BONDS_BELOW).float().view(-1, 1, 1) * there[:, 1:] * there[:, :-1]
    return {
        "positions": mean((moved - wanted).square()),
        "rotations": mean((found.turn - score).square()),
        "frames": mean(axes.square()),
        "bonds": (error.square() * small).sum() / (small.sum() * error.shape[2]).clamp_min(1),
    }


def _bonds(frames: Frames) -> Tensor:
    """Distances [B, N - 1, 3, 3] between N, CA, C of each residue and those of the next, in units of 10 Angstrom."""
    atoms = frames.outside((IDEAL / ANGSTROM).to(frames.positions).expand(*frames.positions.shape[:2], 3, 3))
    difference = atoms[:, :-1].unsqueeze(3) - atoms[:, 1:].unsqueeze(2)
    return (difference.square().sum(-1) + 1e-8).sqrt()


def train_model(
    name: str,
    minutes: float | None = None,
    data_folder: Path | None = None,
    report: Callable[[TrainingProgress], None] = lambda progress: None,
    folder: Path | None = None,
    refine: bool = False,
) -> Path:
    """Train a protein model and write its folder; resumes from its checkpoint in `checkpoints_folder()`.

    Args:
        name: "proteins", "proteins_alpha" or "proteins_beta".
        minutes: of training in all, resumed ones included; None for the model's own.
        data_folder: with structure_db.dat; None for where Debian puts it.
        report: called about every ten seconds.
        folder: where the folder `name` is written; None for the embedded models' own.
        refine: whether, without a checkpoint, to begin with the weights in that folder and the minutes they have had.

    Returns:
        The folder that was written.

    Raises:
        ModelError: for another name, or when there are no weights to begin with.
        FileNotFoundError: when the data are not there; the message says how to get them.
    """
    minutes, target = training_target(name, minutes, MINUTES, folder)
    training, _ = load_chains(None if data_folder is None else data_folder / "structure_db.dat").globular().split()
    chosen = learned_by(name, training)
    if not len(chosen):
        raise ModelError(f"The structures hold no chain that '{name}' could learn from.")
    torch.manual_seed(0)
    network, begin, checkpoint = ProteinNetwork(), None, CHECKPOINTS / f"{name}.ckpt"
    if not checkpoint.is_file() and (refine or name != WHOLE):
        if not refine and not (target.parent / WHOLE / "config.json").is_file():
            raise ModelError(
                f"'{name}' begins with the weights of '{WHOLE}', which are not in {target.parent}; train '{WHOLE}' "
                "first."
            )
        installed = load_model(target if refine else target.parent / WHOLE)
        network.load_state_dict(installed.network.state_dict())
        begin = installed.settings.training.progress() if refine and installed.settings.training else None
    task = ProteinTask(network, chosen, log_level=LOG_LEVEL[name])
    plan = TrainingPlan(minutes, 5e-4, warmup_steps=500, ema_decay=0.9995, checkpoint_minutes=10, float16=True)
    trained, progress = train(task, plan, checkpoint, report, begin=begin)
    lengths, counts = np.unique(chosen.residues, return_counts=True)
    settings = ProteinSettings(
        title=TITLES[name][0],
        description=TITLES[name][1],
        network=network.settings,
        lengths=dict(zip(lengths.tolist(), counts.tolist(), strict=True)),
        training=TrainingFacts.of(progress, task.batch, plan.float16),
        began_with=None if name == WHOLE else WHOLE,
    )
    save_model(target, copy.deepcopy(cast(ProteinNetwork, trained)), settings)
    return target
