"""Molecules in three dimensions: properties of one model as prompts, and experts of disjoint kinds of molecules."""

from .domain import Molecules

__all__ = ["Molecules"]
