"""The domains: one folder each, and one line here."""

from __future__ import annotations

from functools import cache

from ..domain import ALL, Domain, Export, ModelInfo, Prepared, Shown, Size
from .sources import folder_notices, local_pipelines, printable

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
    "model_notices",
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


def model_notices() -> list[str]:
    """What of the models that are there, or should be, is not offered, and why, in sentences."""
    known = domains().values()
    damaged = [sentence for domain in known for sentence in domain.left_out()]
    strange = [
        f"'{local.title}' in {printable(str(local.folder.parent))} is left out: it is a pipeline of the class "
        f"{printable(local.kind) or 'unknown'}, which no domain reads."
        for local in local_pipelines()
        if local.problem is None and not any(domain.reads(local.index) for domain in known)
    ]
    return list(dict.fromkeys([*folder_notices(), *damaged, *strange]))
