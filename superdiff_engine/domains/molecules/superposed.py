"""One molecule laid onto another by matched heavy atoms: those of their common substructure, or of a pattern."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdFMCS

from ...errors import SuperDiffError, quoted
from ..superposition import Motion, superpose, superposed_distance

__all__ = ["Laid", "heavy_atoms", "lay", "parse_pattern"]

#: Seconds that a common substructure is looked for, matches of a pattern that are tried in each of two molecules, and
#: letters of a pattern.
_SECONDS, _MATCHES, LONGEST_PATTERN = 2, 120, 200
#: Atoms that fix how a molecule stands.
FEWEST = 3


@dataclass(frozen=True, eq=False)
class Laid:
    """A molecule that was laid onto another.

    Attributes:
        motion: that lays it onto the other.
        positions: of its heavy atoms, moved, [atoms, 3] in Angstrom.
        pairs: (atom of the moved one, atom of the other), of the heavy atoms.
        distance: root-mean-square distance of the pairs, Angstrom.
        mirrored: the same of its mirror image, at its own best match: 0 for two hands of one shape.
    """

    motion: Motion
    positions: np.ndarray
    pairs: tuple[tuple[int, int], ...]
    distance: float
    mirrored: float


def heavy_atoms(molecule: Chem.Mol) -> Chem.Mol:
    """A valid molecule, of a `Verdict`, without its hydrogens."""
    return Chem.RemoveHs(molecule)


def parse_pattern(text: str) -> Chem.Mol:
    """A SMARTS pattern of at least three atoms; raises SuperDiffError with a sentence."""
    found = Chem.MolFromSmarts(text) if 0 < len(text) <= LONGEST_PATTERN else None
    if found is None:
        raise SuperDiffError(
            f"'{quoted(text)}' is no SMARTS pattern; write one such as C(=O)N, or take the common part."
        )
    if found.GetNumAtoms() < FEWEST:
        raise SuperDiffError("Two atoms do not fix how a molecule stands; write a pattern of three atoms or more.")
    return found


def common_pattern(first: Chem.Mol, second: Chem.Mol) -> Chem.Mol:
    """The largest connected part that two molecules share, by elements and kinds of bonds.

    Raises:
        SuperDiffError: where they share fewer than three atoms.
    """
    found = rdFMCS.FindMCS([first, second], timeout=_SECONDS, ringMatchesRingOnly=True)
    if found.numAtoms < FEWEST:
        raise SuperDiffError("These molecules share no part of three heavy atoms or more; choose others, or a pattern.")
    return Chem.MolFromSmarts(found.smartsString)


def lay(moving: Chem.Mol, fixed: Chem.Mol, pattern: Chem.Mol | None = None) -> Laid:
    """Lay a molecule onto another, in the best of the ways in which the pattern matches both.

    Args:
        moving: of `heavy_atoms`.
        fixed: likewise.
        pattern: of `parse_pattern`; None: their common substructure.

    Raises:
        SuperDiffError: where they share too little, or the pattern is not in one of them.
    """
    query = common_pattern(moving, fixed) if pattern is None else pattern
    # Every way to match one of them, and each set of atoms of the other once.
    ways = moving.GetSubstructMatches(query, uniquify=False, maxMatches=_MATCHES)
    others = fixed.GetSubstructMatches(query, uniquify=True, maxMatches=_MATCHES)
    if not ways or not others:
        raise SuperDiffError("The pattern is not in both molecules; choose others, or the common part.")
    here, there = (one.GetConformer().GetPositions() for one in (moving, fixed))
    both = [(list(way), list(other)) for way, other in product(ways, others)]
    distances = [superposed_distance(here[way], there[other]) for way, other in both]
    mirror = here * np.array([-1.0, 1.0, 1.0])
    best = int(np.argmin(distances))
    way, other = both[best]
    motion = superpose(here[way], there[other])
    return Laid(
        motion=motion,
        positions=motion.of(here),
        pairs=tuple(zip(way, other, strict=True)),
        distance=distances[best],
        mirrored=min(superposed_distance(mirror[way], there[other]) for way, other in both),
    )
