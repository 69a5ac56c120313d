"""Prompts of text-to-image pipelines as experts; the embedded model of emoji is made here."""

from .domain import Prompts

__all__ = ["Prompts"]
