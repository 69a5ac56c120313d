"""What every part of the domain agrees on: elements, sizes, numbered pairs, and which properties there are.

Nothing here needs RDKit, which takes half a second to load: the studio lists the domain without it.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..properties import Property

ELEMENTS = ("H", "C", "N", "O", "F")
#: Bonds that an uncharged atom of each element has, as QM9's molecules and EDM's stability count them.
VALENCES = (1, 4, 3, 2, 1)
MOST_ATOMS, FEWEST_ATOMS = 29, 3
PAIRS = MOST_ATOMS * (MOST_ATOMS - 1) // 2


@cache
def pair_indices(atoms: int = MOST_ATOMS) -> tuple[np.ndarray, np.ndarray]:
    """(i, j) of all pairs i < j, row by row."""
    return np.triu_indices(atoms, 1)


PROPERTIES = (
    Property("logp", "logP (Crippen; log10 of the partition coefficient)"),
    Property("tpsa", "TPSA (polar surface, square Angstrom)", unit="Å²"),
    Property("qed", "QED (drug-likeness, 0 to 1)"),
    Property("sa", "SA score (1 easy to 10 hard to synthesise)"),
    Property("fsp3", "fraction of sp3 carbons (0 to 1)"),
    Property("rings", "rings (count)", True),
    Property("aromatic", "aromatic rings (count)", True),
    Property("donors", "hydrogen-bond donors (count)", True),
    Property("acceptors", "hydrogen-bond acceptors (count)", True),
    Property("nitrogen", "nitrogen atoms (count)", True),
    Property("oxygen", "oxygen atoms (count)", True),
    Property("fluorine", "fluorine atoms (count)", True),
)
PROPERTY_NAMES = tuple(one.name for one in PROPERTIES)
