"""Protein backbones: diffusion of residue frames on SE(3), experts of different kinds of folds."""

from .domain import Proteins

__all__ = ["Proteins"]
