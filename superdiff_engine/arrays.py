"""Named arrays that travel together: what a domain hands to its view, and what a record keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Self, TypeVar

import numpy as np


@dataclass(frozen=True, eq=False)
class Arrays:
    """Base of frozen dataclasses whose fields are numpy arrays; the class says what they are, in which shape and unit.

    A subclass is a `dataclass(frozen=True, eq=False)`: arrays do not compare to one truth value. Records of
    earlier versions lack those arrays that have a default.
    """

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the arrays, in their order."""
        return tuple(field.name for field in fields(cls))

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name, in their order: as they stand in an NPZ."""
        return {name: getattr(self, name) for name in self.names()}

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The object that `arrays` gave.

        Raises:
            ValueError: when an array is missing or unknown.
        """
        unknown = [name for name in arrays if name not in cls.names()]
        if unknown:
            raise ValueError(f"{cls.__name__} has no {', '.join(unknown)}.")
        return cls.among(arrays)

    @classmethod
    def among(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The same, out of a mapping that may hold other arrays too; raises ValueError when one is missing."""
        left_out = [field for field in fields(cls) if field.name not in arrays]
        missing = [field.name for field in left_out if field.default_factory is MISSING]
        if missing:
            raise ValueError(f"{cls.__name__} lacks {', '.join(missing)}.")
        return cls(**{name: arrays[name] for name in cls.names() if name in arrays})


@dataclass(frozen=True, eq=False)
class Preview(Arrays):
    """A cheap picture of samples on their way; a domain's own says what it shows."""


@dataclass(frozen=True, eq=False)
class Decoded(Arrays):
    """What finished samples stand for, an array of [batch, ...] each; a domain's own says what."""


PreviewT = TypeVar("PreviewT", bound=Preview)
DecodedT = TypeVar("DecodedT", bound=Decoded)
