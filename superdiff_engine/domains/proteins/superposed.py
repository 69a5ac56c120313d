"""One backbone laid onto another, with the distance of the matched CA and the TM-score.

Samples have no sequence that says which residue is which, so residues are matched by their places in space (TM-align,
Zhang and Skolnick 2005) where the package tmtools is installed; else one by one along two chains of one length.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from ...errors import SuperDiffError
from ..superposition import Motion, tm_of_residues

__all__ = ["BY_PLACE", "ONE_BY_ONE", "Laid", "aligns", "lay"]

#: How residues were matched.
BY_PLACE, ONE_BY_ONE = "TM-align", "residue by residue"


@dataclass(frozen=True, eq=False)
class Laid:
    """A backbone that was laid onto another.

    Attributes:
        backbone: moved, N, CA, C, O [residues, 4, 3] in Angstrom.
        matched: how many residues were matched.
        distance: root-mean-square distance of their CA, Angstrom.
        score: TM-score by the length of the chain that stays; 1 for the same shape, above 0.5 for the same fold.
        method: BY_PLACE or ONE_BY_ONE.
    """

    backbone: np.ndarray
    matched: int
    distance: float
    score: float
    method: str


def aligns() -> bool:
    """Whether residues can be matched by place: the package tmtools is installed."""
    return find_spec("tmtools") is not None


def lay(moving: np.ndarray, fixed: np.ndarray, by_place: bool | None = None) -> Laid:
    """Lay a backbone onto another.

    Args:
        moving: N, CA, C, O [residues, 4, 3] in Angstrom.
        fixed: likewise, of any length.
        by_place: how to match residues; None: by place where that can be.

    Raises:
        SuperDiffError: for chains of different lengths where residues cannot be matched by place.
    """
    here, there = moving[:, 1].astype(float), fixed[:, 1].astype(float)
    if aligns() if by_place is None else by_place:
        import tmtools  # type: ignore[import-not-found, import-untyped, unused-ignore]

        found = tmtools.tm_align(here, there, "A" * len(here), "A" * len(there))
        motion = Motion(np.asarray(found.u), np.asarray(found.t))
        # Letters stand opposite each other in both rows where residues were aligned; TM-align counts the near ones.
        matched = sum(mark in ":." for mark in found.seqM)
        return Laid(motion.of(moving), matched, float(found.rmsd), float(found.tm_norm_chain2), BY_PLACE)
    if len(here) != len(there):
        raise SuperDiffError(
            f"Chains of {len(here)} and {len(there)} residues are matched by the package tmtools, which is not "
            "installed; choose proteins of one length."
        )
    score, motion = tm_of_residues(here, there)
    distance = float(np.sqrt(np.square(motion.of(here) - there).sum(1).mean()))
    return Laid(motion.of(moving), len(here), distance, score, ONE_BY_ONE)
