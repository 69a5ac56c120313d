r"""Proteins as experts: from a network to scores of one state of residue frames.

The state is a product of two components:

    positions   [N, 3]      CA, 1 = 10 Angstrom, in the subspace of zero centre of mass
    rotations   [N, 3, 3]   of the residues' frames (`frames`)

Positions stand at level s; rotations at a level r of their own, in radians, which falls with s and stays where the heat
kernel is all but uniform while s is larger than a protein:

    r = 3.6 s / (1.8 + s)            s = 0.01: r = 0.02        s = 0.1: r = 0.19        s = 40: r = 3.4

Positions follow Karras et al.'s preconditioning (arXiv 2206.00364) with the data's deviation d = 0.78,

    D = c_skip y + c_out F,    c_skip = d^2 / (s^2 + d^2),    c_out = s d (s^2 + d^2)^(-1/2)

and the score of rotations is the network's turn, times the root mean square of the heat kernel's score at r.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from ...geometry import SO3, Centred, Product
from ...noise import Noising
from ...rotations import HeatKernels
from ...system.file_cache import file_cached
from ...training import saved
from ...training.saved import SETTINGS, WEIGHTS, load_network, save_card, save_network, size_of, trained_row
from ...training.task import TrainingFacts
from .frames import backbone_of
from .network import Estimate, ProteinNetwork

#: The embedded models.
ALPHA, BETA, WHOLE = "proteins_alpha", "proteins_beta", "proteins"
NAMES = (ALPHA, BETA, WHOLE)
#: Angstrom of a unit of the positions' component.
ANGSTROM = 10.0
#: Root mean square of a coordinate of the training chains, in that unit.
DATA_STD = 0.78
#: Below it CA stand to 0.1 Angstrom; above it nothing of a fold is left.
LOWEST_LEVEL, HIGHEST_LEVEL = 0.01, 40.0
#: r = LARGEST s / (HALF + s).
LARGEST, HALF = 3.6, 1.8
#: Levels of the table of heat kernels.
TABULATED = 512

State = dict[str, Tensor]


def rotation_level(level: Tensor) -> Tensor:
    """R of levels s, in radians."""
    return LARGEST * level / (HALF + level)


def component_levels(levels: Tensor) -> dict[str, Tensor]:
    """The grids of positions and rotations, for a grid of levels s."""
    return {"positions": levels, "rotations": rotation_level(levels)}


#: How the embedded models are noised.
NOISING = Noising(LOWEST_LEVEL, HIGHEST_LEVEL, components=component_levels)


@cache
def kernels() -> tuple[Tensor, HeatKernels]:
    """Levels s, float64 [512], ascending evenly in ln s over the whole range, and the heat kernels at their r."""
    levels = torch.logspace(0, 1, TABULATED, base=HIGHEST_LEVEL / LOWEST_LEVEL, dtype=torch.float64) * LOWEST_LEVEL
    return levels, HeatKernels(rotation_level(levels))


def spread(level: Tensor) -> Tensor:
    """Root mean square of a component of the heat kernel's score at levels s [B], interpolated in ln s; float64."""
    grid, table = kernels()
    place = (level.double() / grid[0]).log() / (grid[1] / grid[0]).log()
    lower = place.floor().clamp(0, TABULATED - 2).long()
    part = (place - lower).clamp(0, 1)
    logs = table.spread.log()
    return (logs[lower] * (1 - part) + logs[lower + 1] * part).exp()


def make_space(residues: Sequence[int], device: str = "cpu") -> Product:
    """The product space of chains with these numbers of residues, one a sample, padded to the longest."""
    mask = residue_mask(residues).to(device)
    return Product({"positions": Centred((mask.shape[1], 3), mask), "rotations": SO3((mask.shape[1],), mask)})


def residue_mask(residues: Sequence[int]) -> Tensor:
    """Bool [chains, longest], True where there is a residue."""
    return torch.arange(max(residues)) < torch.tensor(list(residues)).unsqueeze(1)


def factors(level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(c_skip, c_out, how far a rotation update of length 1 turns, in radians), [B] each, at levels s [B]."""
    total = level.square() + DATA_STD**2
    turn = rotation_level(level)
    return DATA_STD**2 / total, level * DATA_STD / total.sqrt(), turn / (1 + turn.square()).sqrt()


class BackboneScore:
    """An expert of chains of residue frames: its state, its chains' lengths, and how it is noised. A subclass scores.

    Args:
        title: for charts and messages.
        residues: numbers of residues, one a sample.
        device: of the samples.
    """

    dtype = torch.float32
    #: How the model is noised; experts of one run have the same.
    noising: Noising

    def __init__(self, title: str, residues: Sequence[int], device: str = "cpu") -> None:
        self.title, self.residues, self.device = title, list(residues), device
        self.space = make_space(self.residues, device)
        self.mask = residue_mask(self.residues).to(device)

    def score(self, y: Any, level: Any) -> Any:
        """Of positions [B, N, 3] (in 1 / 10 Angstrom) and, in the body frame, of rotations [B, N, 3] (1 / radian)."""
        raise NotImplementedError(f"{type(self).__name__} gives no scores.")


class ProteinScore(BackboneScore):
    """A trained network as an expert for chains of given lengths.

    Args:
        model: the network.
        residues: numbers of residues, one a sample.
        device: of the samples.
        dtype: "float32" or "bfloat16", of the matrix products; frames and sums stay in float32.
    """

    noising = NOISING

    def __init__(
        self, model: ProteinModel, residues: Sequence[int], device: str = "cpu", dtype: str = "float32"
    ) -> None:
        super().__init__(model.settings.title, residues, device)
        self.model, self.half = model, dtype == "bfloat16"

    @property
    def networks(self) -> list[nn.Module]:
        """The one network."""
        return [self.model.network]

    def score(self, y: Any, level: Any) -> Any:
        """Of positions [B, N, 3] (in 1 / 10 Angstrom) and, in the body frame, of rotations [B, N, 3] (1 / radian)."""
        s = level["positions"]
        levels = torch.full((len(y["positions"]),), float(s), device=y["positions"].device)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.half):
            found = estimate(self.model.network, y["rotations"], y["positions"], levels, self.mask)
        denoised = denoised_positions(found, y["positions"], levels)
        scale = float(spread(torch.tensor([float(s)]))[0])
        return {"positions": (denoised - y["positions"]) / float(s) ** 2, "rotations": scale * found.turn}


def estimate(network: Any, rotation: Tensor, positions: Tensor, levels: Tensor, mask: Tensor) -> Estimate:
    """What the network says of noisy frames at levels s [B]."""
    return network(rotation, positions, levels.log(), factors(levels), mask)


def denoised_positions(found: Estimate, positions: Tensor, levels: Tensor) -> Tensor:
    """D of positions [B, N, 3] at levels s [B]; not centred."""
    keep, out, _ = (factor.view(-1, 1, 1) for factor in factors(levels))
    return keep * positions + out * found.positions


class ProteinSettings(BaseModel):
    """What config.json of a protein model says; lengths counts the training chains of each number of residues, with a
    window of each of the `cropped` longer ones, and `began_with` names the model whose weights its training took up.
    """

    title: str
    description: str
    network: dict[str, Any]
    lengths: dict[int, int]
    cropped: int = 0
    training: TrainingFacts | None = None
    began_with: str | None = None


@dataclass(frozen=True)
class ProteinModel:
    """A trained network and what is known of it."""

    network: ProteinNetwork
    settings: ProteinSettings


def save_model(folder: Path, network: ProteinNetwork, settings: ProteinSettings) -> None:
    """Write model.safetensors (float16), config.json and the model card."""
    save_network(folder, network, settings)
    save_card(folder, _card(folder, network, settings))


def _card(folder: Path, network: ProteinNetwork, settings: ProteinSettings) -> str:
    chains = sum(settings.lengths.values())
    lengths = f"{min(settings.lengths)} to {max(settings.lengths)}"
    cropped = f", {settings.cropped:,} of them windows at random of longer ones" if settings.cropped else ""
    began = f"| Began with | the weights of `{settings.began_with}` |\n" if settings.began_with else ""
    return f"""# {settings.title}

{settings.description}: a diffusion model of residue frames on SE(3) that SuperDiff Studio embeds.

| | |
| --- | --- |
{size_of(folder, network)}
| Data | {chains:,} globular chains of {lengths} residues from the PDB{cropped} |
{trained_row(settings.training)}{began}
Data: ProMod3's structure database (Studer et al. 2021, doi 10.1371/journal.pcbi.1008667; Apache-2.0), as Debian packs
it (promod3-data). Chains with gaps, extended ones and those with less than half of their residues in helix or strand
are left out; test chains are of PDB entries that training does not have, and share
at most a tenth of their 5-mers with any training chain.

Limits: backbones only, of one chain. No structure predictor has judged whether a sequence folds into what it draws.

Made by `superdiff train {folder.name}`; measured by `superdiff evaluate proteins`.
"""


@file_cached(8, SETTINGS)
def load_settings(folder: Path) -> ProteinSettings:
    """What is known of a model, without its weights; raises ModelError with one sentence."""
    return saved.load_settings(folder, ProteinSettings, "protein")


@file_cached(4, SETTINGS, WEIGHTS)
def load_model(folder: Path, device: str = "cpu") -> ProteinModel:
    """A protein model from its folder; raises ModelError with one sentence."""
    settings = load_settings(folder)
    return ProteinModel(load_network(folder, ProteinNetwork, settings.network, device, "protein"), settings)


def decode(state: State) -> Tensor:
    """Backbones N, CA, C, O [B, N, 4, 3] in Angstrom of a state; what stands at masked residues means nothing."""
    return backbone_of(state["rotations"].float(), ANGSTROM * state["positions"].float())
