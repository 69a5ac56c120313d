r"""Molecules as experts: from a network and prompts to scores of one state of positions, element types and bonds.

The state is a product of three components:

    positions   [29, 3]   1 = 1.4 Angstrom, in the subspace of zero centre of mass
    types       [29, 5]   one-hot over H, C, N, O, F, times 1/4
    bonds       [406]     orders 0 to 3 of the pairs i < j (Kekule form), times 0.7

All three share the level s; the factors decide which of them comes out of the noise first: the geometry, then the
bonds, then the elements, which geometry and bonds all but imply (EDM, arXiv 2203.17003, scales its one-hots likewise).
Atoms that a molecule does not have are masked. With Karras et al.'s preconditioning (arXiv 2206.00364) and a data
deviation d of each component,

    D = c_skip y + c_out F(c_in y, ln s),  c_skip = d^2 / (s^2 + d^2),  c_out = s d c_in,  c_in = (s^2 + d^2)^(-1/2)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor, nn

from ...geometry import Centred, Euclidean, Product
from ...score import ConditionedScore
from ...system.file_cache import file_cached
from ...training import saved
from ...training.saved import SETTINGS, WEIGHTS, load_network, save_card, save_network, size_of, trained_row
from ...training.task import TrainingFacts
from ...transfers import sent
from .arrays import Structures
from .atoms import ELEMENTS, MOST_ATOMS, PAIRS, pair_indices
from .network import MoleculeNetwork
from .properties import Vocabulary

#: Angstrom of a unit of the positions' component.
ANGSTROM = 1.4
#: What elements (one-hot) and bonds (orders) are multiplied by: with 1 and 1 elements are decided before there is a
#: geometry that they must fit, and far fewer molecules are valid.
SCALES = {"types": 0.25, "bonds": 0.7}
#: Root mean squares of the components of QM9, in their units.
DATA_STD = {"positions": 1.0, "types": 0.45 * SCALES["types"], "bonds": 0.4 * SCALES["bonds"]}
#: Below it positions are sharp to 0.01 Angstrom; above it nothing of a molecule is left.
LOWEST_LEVEL, HIGHEST_LEVEL = 0.01, 30.0

#: On a CPU the network sees that many molecules of similar size at once, each padded to the largest of them: pairs
#: grow with the square of the size, so padding all to the run's largest would double the work.
ALIKE = 8

State = dict[str, Tensor]


@dataclass(frozen=True)
class Parts:
    """Molecules of a network's inputs or outputs: positions [B, N, 3], types [B, N, 5], bonds [B, N, N], symmetric."""

    positions: Tensor
    types: Tensor
    bonds: Tensor

    def scaled(self, factors: dict[str, Tensor]) -> Parts:
        """Each component times its factor [B]."""
        return Parts(
            self.positions * factors["positions"].view(-1, 1, 1),
            self.types * factors["types"].view(-1, 1, 1),
            self.bonds * factors["bonds"].view(-1, 1, 1),
        )


def make_space(atoms: Sequence[int], device: str = "cpu") -> Product:
    """The product space of molecules with these numbers of atoms, one a sample."""
    mask = atom_mask(atoms).to(device)
    first, second = (torch.from_numpy(index).to(device) for index in pair_indices())
    return Product(
        {
            "positions": Centred((MOST_ATOMS, 3), mask),
            "types": Euclidean((MOST_ATOMS, 5), mask.unsqueeze(2)),
            "bonds": Euclidean((PAIRS,), mask[:, first] & mask[:, second]),
        }
    )


def atom_mask(atoms: Sequence[int]) -> Tensor:
    """Bool [molecules, 29], True where there is an atom."""
    return torch.arange(MOST_ATOMS) < torch.tensor(list(atoms)).unsqueeze(1)


def factors(level: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """(c_in, c_skip, c_out) of each component, [B] each, at levels [B]."""
    into = {name: (level**2 + d * d).rsqrt() for name, d in DATA_STD.items()}
    skip = {name: d * d * into[name] ** 2 for name, d in DATA_STD.items()}
    out = {name: level * d * into[name] for name, d in DATA_STD.items()}
    return into, skip, out


def square(bonds: Tensor, atoms: int) -> Tensor:
    """[B, atoms, atoms], symmetric with a zero diagonal, of the first atoms' pairs in bonds [B, 406]."""
    return symmetric(bonds, MOST_ATOMS)[:, :atoms, :atoms]


def symmetric(values: Tensor, atoms: int) -> Tensor:
    """[B, atoms, atoms], symmetric with a zero diagonal, of values [B, pairs] of all pairs i < j, row by row."""
    first, second = torch.triu_indices(atoms, atoms, 1, device=values.device)
    full = values.new_zeros(len(values), atoms, atoms)
    full[:, first, second] = values
    return full + full.transpose(1, 2)


def flat(bonds: Tensor) -> Tensor:
    """[B, 406] of bonds [B, N, N], the pairs beyond N zero."""
    first, second = (torch.from_numpy(index).to(bonds.device) for index in pair_indices())
    full = bonds.new_zeros(len(bonds), MOST_ATOMS, MOST_ATOMS)
    full[:, : bonds.shape[1], : bonds.shape[1]] = bonds
    return full[:, first, second]


class MoleculeScores:
    """One network's scores of molecules with given numbers of atoms: a shared network for many prompts.

    Args:
        model: the network with its vocabulary.
        atoms: numbers of atoms, one a sample.
        device: of the samples.
        dtype: "float32" or "bfloat16", of the matrix products; positions and sums stay in float32.
    """

    def __init__(
        self,
        model: MoleculeModel,
        atoms: Sequence[int],
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        self.model, self.atoms, self.device = model, list(atoms), device
        self.half = dtype == "bfloat16"
        self.space = make_space(self.atoms, device)
        order = torch.tensor(self.atoms).argsort(stable=True).to(device)
        groups = order.split(ALIKE if torch.device(device).type == "cpu" else len(order))
        #: Which samples go through the network together, and how many atoms the largest of them has.
        self.alike = [(group, max(self.atoms[index] for index in group.tolist())) for group in groups]
        self.mask = atom_mask(self.atoms).to(device)

    @property
    def networks(self) -> list[nn.Module]:
        """The one network."""
        return [self.model.network]

    def expert(self, prompt: str) -> ConditionedScore:
        """The expert of a prompt; "" asks for nothing.

        Raises:
            RecipeError: for terms that the model does not know, or that contradict each other.
        """
        vocabulary = self.model.settings.vocabulary
        classes = tuple(vocabulary.encode(vocabulary.parse(prompt)))
        title = prompt.strip() or self.model.title
        return ConditionedScore(self, classes, self.space, title)

    def scores(self, y: Any, level: Any, conditions: Sequence[Any]) -> list[Any]:
        """The score of a state under each condition (a class for each property), all in one call of the network."""
        batch, count = len(y["positions"]), len(conditions)
        s = level["positions"] if isinstance(level, dict) else float(level)
        classes = sent(torch.tensor(conditions), y["positions"].device).repeat_interleave(batch, 0)
        denoised = self.denoise({name: torch.cat([part] * count) for name, part in y.items()}, s, classes)
        found = []
        for index in range(count):
            rows = slice(index * batch, (index + 1) * batch)
            found.append({name: (denoised[name][rows] - y[name]) / s**2 for name in y})
        return found

    def denoise(self, y: State, level: float, classes: Tensor) -> State:
        """D of y under classes [rows, properties]; rows are whole batches, one after another."""
        found = {name: torch.zeros_like(part) for name, part in y.items()}
        copies = torch.arange(0, len(classes), len(self.atoms), device=classes.device).unsqueeze(1)
        for group, n in self.alike:
            rows = (copies + group).flatten()
            levels = torch.full((len(rows),), float(level), dtype=y["positions"].dtype, device=classes.device)
            parts = Parts(y["positions"][rows, :n], y["types"][rows, :n], square(y["bonds"][rows], n))
            mask = self.mask[group, :n].repeat(len(copies), 1)
            with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.half):
                out = denoise(self.model.network, parts, levels, classes[rows], mask)
            found["positions"][rows, :n], found["types"][rows, :n] = out.positions, out.types
            found["bonds"][rows] = flat(out.bonds)
        return found


def denoise(network: Any, y: Parts, levels: Tensor, classes: Tensor, mask: Tensor) -> Parts:
    """D by the formula above; y of [B, N, ...] at levels [B]."""
    into, skip, out = factors(levels)
    scaled = y.scaled(into)
    found = network(scaled.positions, scaled.types, scaled.bonds, levels.log(), classes, mask)
    raw = Parts(*(part.to(y.positions) for part in found))
    kept, added = y.scaled(skip), raw.scaled(out)
    return Parts(kept.positions + added.positions, kept.types + added.types, kept.bonds + added.bonds)


class MoleculeSettings(BaseModel):
    """What config.json of a molecule model says."""

    title: str
    description: str
    network: dict[str, Any]
    quartiles: dict[str, tuple[float, float]]
    sizes: dict[int, int]
    training: TrainingFacts | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """The terms that the network knows."""
        return Vocabulary.of(self.quartiles)


@dataclass(frozen=True)
class MoleculeModel:
    """A trained network and what is known of it."""

    network: MoleculeNetwork
    settings: MoleculeSettings

    @property
    def title(self) -> str:
        return self.settings.title


def save_model(folder: Path, network: MoleculeNetwork, settings: MoleculeSettings) -> None:
    """Write model.safetensors (float16), config.json and the model card."""
    save_network(folder, network, settings)
    save_card(folder, _card(folder, network, settings))


def _card(folder: Path, network: MoleculeNetwork, settings: MoleculeSettings) -> str:
    molecules = sum(settings.sizes.values())
    terms = ", ".join(term.text for term in settings.vocabulary.terms)
    return f"""# {settings.title}

{settings.description}: a diffusion model of atom positions, elements and bonds that SuperDiff Studio embeds.

| | |
| --- | --- |
{size_of(folder, network)}
| Data | {molecules:,} molecules of QM9, {min(settings.sizes)} to {max(settings.sizes)} atoms; others are for tests |
{trained_row(settings.training)}| Prompts | {terms} |

"High" and "low" are the upper and lower quarter of the training molecules. Data: QM9 (Ramakrishnan et al. 2014, doi
10.1038/sdata.2014.22), read from the package qm9pack (MIT licence); molecules with charged atoms are left out.

Limits: it knows H, C, N, O and F, up to nine heavy atoms, and geometries near a DFT minimum. What it draws may be valid
and yet never have been made.

Made by `superdiff train {folder.name}`; measured by `superdiff evaluate molecules`.
"""


@file_cached(8, SETTINGS)
def load_settings(folder: Path) -> MoleculeSettings:
    """What is known of a model, without its weights; raises ModelError with one sentence."""
    return saved.load_settings(folder, MoleculeSettings, "molecule")


@file_cached(4, SETTINGS, WEIGHTS)
def load_model(folder: Path, device: str = "cpu") -> MoleculeModel:
    """A molecule model from its folder; raises ModelError with one sentence."""
    settings = load_settings(folder)
    return MoleculeModel(load_network(folder, MoleculeNetwork, settings.network, device, "molecule"), settings)


def decode(state: State, atoms: Sequence[int]) -> Structures:
    """The nearest molecule: the likeliest element of each atom, each pair's order rounded."""
    mask = atom_mask(atoms).numpy()
    first, second = pair_indices()
    elements = state["types"].argmax(-1).cpu().numpy().astype(np.uint8) * mask
    bonds = (state["bonds"] / SCALES["bonds"]).round().clamp(0, 3).cpu().numpy().astype(np.uint8) * (
        mask[:, first] & mask[:, second]
    )
    positions = (state["positions"] * ANGSTROM).cpu().numpy().astype(np.float32) * mask[:, :, None]
    return Structures(elements, positions, bonds, mask.sum(1).astype(np.uint8))


def encode(elements: Tensor, positions: Tensor, bonds: Tensor, atoms: Tensor) -> State:
    """The clean state of molecules [B, ...] as `data.Molecules` holds them."""
    mask = torch.arange(MOST_ATOMS, device=atoms.device) < atoms.long().unsqueeze(1)
    kinds = torch.arange(len(ELEMENTS), device=elements.device)
    types = (elements.long().unsqueeze(2) == kinds).float() * mask.unsqueeze(2)
    scaled = {"types": SCALES["types"] * types, "bonds": SCALES["bonds"] * bonds.float()}
    return {"positions": positions.float() / ANGSTROM} | scaled
