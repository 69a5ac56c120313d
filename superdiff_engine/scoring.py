"""Given samples by the name that the README's examples import them by."""

from .runs.given import Scoring

__all__ = ["Scoring"]
