"""A protein of the user's own, from a PDB or mmCIF file."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from superdiff_engine.domains.proteins.judging import judge_proteins
from superdiff_engine.domains.proteins.reading import FEWEST, LARGEST_FILE, MOST, ReadProtein

from ..charts.viewer import draw_viewer
from ..stage.given import Kind
from .proteins import scene


def _take(found: dict[str, Any]) -> tuple[ReadProtein, dict[str, np.ndarray]]:
    given = ReadProtein.from_plain(found)
    arrays = judge_proteins(torch.from_numpy(given.backbone).unsqueeze(0), [len(given.backbone)])
    return given, arrays | {"sequence": np.array([given.sequence])}


def _columns(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "residues": arrays["residues"],
        "sequence": arrays["sequence"],
        "helix": np.round(arrays["helix"], 2),
        "strand": np.round(arrays["strand"], 2),
        "radius of gyration, Angstrom": np.round(arrays["radius"], 1),
    }


def _draw(arrays: dict[str, np.ndarray], index: int, name: str) -> None:
    draw_viewer(
        [scene(arrays, [index])], "own-3d", name, "The protein of the file in three dimensions", "cartoon", height=300
    )


OWN = Kind(
    domain="proteins",
    title="A protein of your own",
    label=f"A PDB or mmCIF file; its first chain is taken ({FEWEST} to {MOST} residues)",
    types=["pdb", "cif", "ent", "mmcif"],
    one="protein",
    reader="superdiff_engine.domains.proteins.reading:read_plain",
    take=_take,
    columns=_columns,
    draw=_draw,
    megabytes=LARGEST_FILE // 2**20,
)
