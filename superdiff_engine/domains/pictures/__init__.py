"""Pictures: any unconditional diffusers pipeline, and three embedded models of garments."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .domain import Pictures

__all__ = ["Pictures"]

#: The models that train.py trains.
TRAINED = ("garments_a", "garments_b", "garments_ab", "garment_classifier")


def __getattr__(name: str) -> object:
    # Only when it is asked for: a training needs none of the libraries that the domain shows its samples with.
    if name == "Pictures":
        from .domain import Pictures

        return Pictures
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
