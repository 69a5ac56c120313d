"""A run's molecules as one picture of flat depictions."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..depiction import sheet
from .arrays import Structures
from .checks import verdicts_of

#: How many molecules a grid shows at most.
SHOWN = 64


def grid(molecules: Structures, most: int = SHOWN, shares: np.ndarray | None = None) -> Image.Image:
    """The first molecules of a result side by side on white, each with its number, and why if it is not valid.

    Args:
        molecules: of a result.
        most: that are drawn.
        shares: what each counts for within its group, written beside its number; None where all count the same.
    """
    drawn = []
    for index, verdict in enumerate(verdicts_of(molecules, range(min(most, len(molecules.atoms))))):
        number = str(index) if shares is None else f"{index} ({shares[index]:.0%} of group)"
        drawn.append((verdict.molecule, number if verdict.valid else f"{number}: {verdict.reason}"[:34]))
    return sheet(drawn)
