"""Protein backbones: diffusion of residue frames on SE(3), experts of different kinds of folds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .domain import Proteins

__all__ = ["Proteins"]

#: The models that train.py trains.
TRAINED = ("proteins", "proteins_alpha", "proteins_beta")


def __getattr__(name: str) -> object:
    # Only when it is asked for: a training needs none of the libraries that the domain shows its samples with.
    if name == "Proteins":
        from .domain import Proteins

        return Proteins
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
