"""What a figure that RDKit computes of a molecule is called, in files and for people.

Nothing here needs RDKit, which takes half a second to load: the studio lists domains without it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Property"]


@dataclass(frozen=True)
class Property:
    """A figure that RDKit computes of a molecule (`chemistry.MEASURES`).

    Attributes:
        name: in files and tables.
        title: for people, with the unit or scale.
        count: whether it is a whole number.
        unit: as it stands behind a number; "" for a scale without one.
    """

    name: str
    title: str
    count: bool = False
    unit: str = ""

    @property
    def short(self) -> str:
        """The title without what stands in brackets."""
        return self.title.split(" (")[0]
