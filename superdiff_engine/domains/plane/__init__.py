"""The plane: Gaussian mixtures in two dimensions, where everything is known exactly and seen at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .domain import Plane
    from .mixture import GaussianMixture

__all__ = ["GaussianMixture", "Plane"]


def __getattr__(name: str) -> object:
    # Only when it is asked for: the registry looks at all folders before anything large is imported.
    if name == "Plane":
        from .domain import Plane

        return Plane
    if name == "GaussianMixture":
        from .mixture import GaussianMixture

        return GaussianMixture
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
