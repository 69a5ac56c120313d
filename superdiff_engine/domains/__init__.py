"""The domains: one folder each, and one line here."""

from __future__ import annotations

from functools import cache

from .base import ALL, Domain, Export, ModelInfo, Prepared, Shown, Size

__all__ = [
    "ALL",
    "Domain",
    "Export",
    "ModelInfo",
    "Prepared",
    "Shown",
    "Size",
    "domain_of_model",
    "domains",
    "get_domain",
]


@cache
def domains() -> dict[str, Domain]:
    """All domains by name, in the order in which they are offered."""
    from .molecules import Molecules
    from .pictures import Pictures
    from .plane import Plane
    from .prompts import Prompts
    from .proteins import Proteins

    return {domain.name: domain for domain in (Plane(), Pictures(), Prompts(), Molecules(), Proteins())}


def get_domain(name: str) -> Domain:
    """The domain called `name`; raises KeyError."""
    return domains()[name]


def domain_of_model(model: str, first: str) -> str | None:
    """The name of the domain that owns the model id, or None; the domain `first` is asked before the others."""
    for name, domain in sorted(domains().items(), key=lambda item: item[0] != first):
        if domain.owns(model):
            return name
    return None
