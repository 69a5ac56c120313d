"""The estimation of given samples by the name that the README's examples import it by."""

from .runs.estimation import Estimation as Scoring

__all__ = ["Scoring"]
