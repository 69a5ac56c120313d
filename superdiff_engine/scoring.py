"""Given samples by the name that docs/models.md imports them by."""

from .runs.given import Scoring

__all__ = ["Scoring"]
