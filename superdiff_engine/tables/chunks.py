"""Samples of tables, made in chunks of one recipe each and kept, so that a table that was stopped goes on."""

from __future__ import annotations

import hashlib
import io
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..compose import CoinFlip
from ..domain import Domain
from ..errors import SuperDiffError
from ..recipes.document import Recipe
from ..sampling import side_generator
from ..system.file_cache import file_cached
from ..system.files import write_whole
from ..walk import walk

#: Where parts of tables are kept, by a hash of all that decides them.
CACHE = Path.home() / ".cache" / "superdiff" / "evaluation"


@file_cached(8)
def digest(path: Path) -> str:
    """A short hash of a file, such as a model's weights."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def digests(paths: Sequence[Path]) -> str:
    """The digests of several files."""
    return "_".join(digest(path) for path in paths)


def chunk_file(cache: Path, weights: Sequence[Path], recipe: Recipe) -> Path:
    """Where the samples of a recipe are kept: decided by it and by the weights of its models."""
    models = digests(weights)
    key = hashlib.sha256((models + recipe.to_json()).encode()).hexdigest()[:16]
    return cache / recipe.domain / f"{key}.npz"


def draw(recipe: Recipe, domain: Domain, densities: bool = False, device: str = "cpu") -> dict[str, np.ndarray]:
    """The decoded arrays of a recipe's samples, and the seconds that they took.

    Args:
        recipe: whose samples.
        domain: the recipe's.
        densities: whether the experts' log-densities come along, as `log_density` [batch, experts] in nats; without,
            an operator that needs none is given none.
        device: that samples, and holds the models.
    """
    started = time.monotonic()
    prepared = domain.prepare(recipe, device)
    (last,) = deque(walk(recipe, domain, prepared, device, densities), maxlen=1)
    decoded = domain.decode(last, prepared.experts)
    arrays = {} if decoded is None else decoded.arrays()
    if densities:
        arrays["log_density"] = last.log_density.T.cpu().numpy()
    return arrays | {"seconds": np.array(time.monotonic() - started)}


def keep(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays whole or not at all; raises OutputError."""
    buffer = io.BytesIO()
    content: dict[str, Any] = arrays
    np.savez_compressed(buffer, **content)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def join(files: Sequence[Path], samples: int) -> dict[str, np.ndarray] | None:
    """The first `samples` rows of all files' arrays, and the sum of their seconds; None while a file is missing.

    Raises:
        SuperDiffError: when a file is damaged.
    """
    if not all(file.is_file() for file in files):
        return None
    parts = []
    for file in files:
        try:
            with np.load(file, allow_pickle=False) as stored:
                parts.append({name: stored[name] for name in stored.files})
        except (OSError, ValueError):
            raise SuperDiffError(f"{file} is damaged; delete it and evaluate again.") from None
    joined = {name: np.concatenate([part[name] for part in parts])[:samples] for name in parts[0] if name != "seconds"}
    return joined | {"seconds": np.array(sum(float(part["seconds"]) for part in parts))}


def pick(heads: np.ndarray, first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A coin flip of two rows' samples: of the first where `heads` [samples] is True; half of both their seconds."""
    picked = {
        name: np.where(heads.reshape(-1, *[1] * (one.ndim - 1)), one, second[name])
        for name, one in first.items()
        if name != "seconds"
    }
    return picked | {"seconds": (first["seconds"] + second["seconds"]) / 2}


def coin_flips(batch: int, seed: int) -> np.ndarray:
    """Whether each of a run's `batch` samples falls to the first of two experts, by the operator CoinFlip; boolean."""
    flip = CoinFlip()
    flip.start(2, batch, side_generator(seed))
    return flip.weights(torch.zeros(2, batch), None)[0].numpy() > 0
