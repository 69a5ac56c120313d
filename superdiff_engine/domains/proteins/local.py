r"""Which expert knows which part of a protein: weights residue by residue, asked of a finished sample.

The weights kappa of a run belong to a whole sample. To see where they come from, the sample is noised to a level s and
every expert denoises it; residue i belongs to the experts by how near each brings it back,

    w_k(i) = mean over noise of softmax_k( -|D_k(y)_i - x_i|^2 / (2 s^2) )
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ...geometry import divided
from ...sampling import side_generator
from .frames import frames_of
from .model import ANGSTROM, BackboneScore

#: The level at which experts are asked, 5 Angstrom: where folds are decided.
ASKED_AT = 0.5
DRAWS = 8


@torch.no_grad()
def local_weights(
    experts: Sequence[BackboneScore], backbone: np.ndarray, level: float = ASKED_AT, seed: int = 0
) -> np.ndarray:
    """Weights [experts, residues], float64; they sum to 1 over the experts.

    Args:
        experts: for DRAWS chains of this length each.
        backbone: N, CA, C, O [residues, 4, 3] in Angstrom.
        level: s, in units of 10 Angstrom.
        seed: of the noise.
    """
    turned, alpha = frames_of(torch.from_numpy(np.asarray(backbone, np.float32)))
    clean = {"positions": (alpha - alpha.mean(0)) / ANGSTROM, "rotations": turned}
    generator = side_generator(seed)
    grids = experts[0].noising.components(torch.tensor([level], dtype=torch.float64))
    levels = {name: float(grid[0]) for name, grid in divided(grids).items()}
    noisy = {}
    for name, geometry in experts[0].space.components.items():
        start = clean[name].expand(DRAWS, *clean[name].shape)
        noise = geometry.noise(DRAWS, generator, torch.float32, "cpu")
        noisy[name] = geometry.move(start, levels[name] * noise)
    errors = []
    for expert in experts:
        denoised = noisy["positions"] + level**2 * expert.score(noisy, levels)["positions"]
        errors.append((denoised - denoised.mean(1, keepdim=True) - clean["positions"]).square().sum(-1).double())
    return torch.softmax(-torch.stack(errors) / (2 * level**2), 0).mean(1).numpy()
