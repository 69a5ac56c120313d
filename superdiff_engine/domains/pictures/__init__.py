"""Pictures: any unconditional diffusers pipeline, and three embedded models of garments."""

from .domain import Pictures

__all__ = ["Pictures"]
