"""The domains: a folder each, which is found by looking, and imported when it is asked for.

What a folder offers:

    domain.py       DOMAIN, a `Domain`
    evaluate.py     EVALUATION, an `Evaluation`, where `superdiff evaluate` measures it
    train.py        TRAININGS, a `Training` for each model that `superdiff train` makes; their names are TRAINED in
                    __init__.py too, since what trainings import takes seconds
    convert.py      CONVERSIONS, a `Conversion` for each model of others that `superdiff convert` makes ours

domain.py stands below the others, and imports none of them.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import RecipeError, SuperDiffError
from .sources import JUDGES, folder_notices, local_models, local_pipelines, printable

if TYPE_CHECKING:
    from ..domain import Domain
    from ..tables.evaluation import Evaluation
    from ..tables.markdown import Layout
    from ..training.training import Training
    from .conversion import Conversion

__all__ = [
    "conversion_of",
    "conversions",
    "domain_of_model",
    "domains",
    "evaluation_of",
    "evaluations",
    "get_domain",
    "layouts",
    "model_notices",
    "training_of",
    "trainings",
]


def _folders_with(module: str) -> list[str]:
    """The names of the folders that have such a module; none of them is imported."""
    folders = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.ispkg)
    return [name for name in folders if find_spec(f"{__name__}.{name}.{module}") is not None]


def _module(name: str, module: str) -> ModuleType:
    return import_module(f"{__name__}.{name}.{module}")


@cache
def domains() -> dict[str, Domain]:
    """All domains by name, in the order in which they are offered."""
    found: list[Domain] = [_module(name, "domain").DOMAIN for name in _folders_with("domain")]
    return {domain.name: domain for domain in sorted(found, key=lambda domain: (domain.order, domain.name))}


def get_domain(name: str) -> Domain:
    """The domain called `name`; raises RecipeError where there is none."""
    known = domains()
    if name not in known:
        raise RecipeError(f"There is no domain '{name}'; there are {', '.join(known)}.")
    return known[name]


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
    strange += [
        f"'{local.title}' in {printable(str(local.folder.parent))} is left out: it was converted from a model of the "
        f"kind '{local.kind}', which no domain reads; install a version of SuperDiff Studio that does."
        for local in local_models()
        if local.kind not in JUDGES and not any(local.kind in domain.converted for domain in known)
    ]
    return list(dict.fromkeys([*folder_notices(), *damaged, *strange]))


def evaluations() -> list[str]:
    """The names of the domains that `superdiff evaluate` measures."""
    return _folders_with("evaluate")


def evaluation_of(name: str) -> Evaluation[Any]:
    """The evaluation of the domain called `name`; raises SuperDiffError where it has none."""
    known = evaluations()
    if name not in known:
        *some, last = [domain for domain in domains() if domain in known]
        raise SuperDiffError(f"There is no evaluation for '{name}'; choose {', '.join(some)} or {last}.")
    return _module(name, "evaluate").EVALUATION


def layouts() -> dict[str, Layout]:
    """How all tables of results are shown, by their names in Markdown."""
    return {table: layout for name in evaluations() for table, layout in evaluation_of(name).layouts.items()}


def trainings() -> dict[str, str]:
    """The models that can be trained, each with the name of its domain."""
    return {model: name for name in _folders_with("train") for model in import_module(f"{__name__}.{name}").TRAINED}


def training_of(model: str) -> Training[Any, Any]:
    """The training of a model; raises SuperDiffError where there is none."""
    known = trainings()
    if model not in known:
        names = [one for domain in domains() for one, owner in known.items() if owner == domain]
        raise SuperDiffError(f"There is no model '{model}' to train; there are {', '.join(names)}.")
    return _module(known[model], "train").TRAININGS[model]


def conversions() -> dict[str, Conversion]:
    """The models of others that can be converted, by name."""
    return {
        name: conversion
        for domain in _folders_with("convert")
        for name, conversion in _module(domain, "convert").CONVERSIONS.items()
    }


def conversion_of(model: str) -> Conversion:
    """The conversion of a model; raises SuperDiffError where there is none."""
    known = conversions()
    if model not in known:
        raise SuperDiffError(f"There is no conversion of '{model}'; there are {', '.join(known)}.")
    return known[model]
