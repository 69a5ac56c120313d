"""The plane: Gaussian mixtures in two dimensions, where everything is known exactly and seen at a glance."""

from .domain import Plane
from .mixture import GaussianMixture

__all__ = ["GaussianMixture", "Plane"]
