"""Where the backbone's O stands: in the plane of the peptide bond, so N, CA and C say it. Without torch."""

from __future__ import annotations

import numpy as np

#: Angstrom from C to O.
CARBONYL = 1.231
#: O of the last residue, whose peptide plane is open, in its frame: as in an alpha helix (psi of -47 degrees).
LAST_OXYGEN = (2.153, -0.724, 0.777)


def with_oxygen(backbone: np.ndarray) -> np.ndarray:
    """Backbone [residues, 4, 3] of one unbroken chain, in Angstrom, with O where it was NaN."""
    n, alpha, c, o = (backbone[:, kind].astype(np.float64) for kind in range(4))
    placed = np.empty_like(o)
    # O points away from CA and from the next N, in their plane.
    away = -_unit(_unit(alpha[:-1] - c[:-1]) + _unit(n[1:] - c[:-1]))
    placed[:-1] = c[:-1] + CARBONYL * away
    first = _unit(c[-1] - alpha[-1])
    towards = n[-1] - alpha[-1]
    second = _unit(towards - towards.dot(first) * first)
    axes = np.stack([first, second, np.cross(first, second)], 1)
    placed[-1] = alpha[-1] + axes @ np.array(LAST_OXYGEN)
    whole = backbone.copy()
    whole[:, 3] = np.where(np.isfinite(o).all(1, keepdims=True), o, placed)
    return whole


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
