"""A domain's own kind of experts, out of those that a run hands back to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ..score import ConditionedScore, ScoreModel

Kind = TypeVar("Kind")


def of_kind(experts: Sequence[ScoreModel], kind: type[Kind]) -> list[Kind]:
    """The same experts, all known to be of one class; raises TypeError where one is not."""
    found: list[Kind] = [expert for expert in experts if isinstance(expert, kind)]
    if len(found) < len(experts):
        raise TypeError(f"Experts of the class {kind.__name__} are needed.")
    return found


def shared_network(experts: Sequence[ScoreModel], kind: type[Kind]) -> Kind:
    """The network of the first expert, which scores its condition; raises TypeError where it is of another class."""
    (first,) = of_kind(experts[:1], ConditionedScore)
    if not isinstance(first.network, kind):
        raise TypeError(f"A network of the class {kind.__name__} is needed.")
    return first.network
