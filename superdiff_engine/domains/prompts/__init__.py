"""Prompts of text-to-image pipelines as experts; the embedded model of emoji is made here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .domain import Prompts

__all__ = ["Prompts"]

#: The models that train.py trains.
TRAINED = ("emoji_vae", "emoji", "emoji_scorer")


def __getattr__(name: str) -> object:
    # Only when it is asked for: a training needs none of the libraries that the domain shows its samples with.
    if name == "Prompts":
        from .domain import Prompts

        return Prompts
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
