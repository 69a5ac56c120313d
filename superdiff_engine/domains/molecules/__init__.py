"""Molecules in three dimensions: properties of one model as prompts, and experts of disjoint kinds of molecules."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .domain import Molecules

__all__ = ["Molecules"]

#: The models that train.py trains.
TRAINED = ("molecules", "molecules_rings", "molecules_chains")


def __getattr__(name: str) -> object:
    # Only when it is asked for: a training needs none of the libraries that the domain shows its samples with.
    if name == "Molecules":
        from .domain import Molecules

        return Molecules
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
