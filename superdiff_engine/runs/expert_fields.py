"""The fields of experts that a grid can vary: prompts and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..domain import Domain
from ..domains import get_domain
from ..recipes.document import MOST_EXPERTS, Recipe
from .parameter import Document, Parameter
from .values import Choice, Texts, Value


def of_experts() -> dict[str, Parameter]:
    """Prompts and models, by their names."""
    prompts = {f"prompt {place + 1}": _prompt(place) for place in range(MOST_EXPERTS)}
    models = {f"model {place + 1}": _model(place) for place in range(MOST_EXPERTS)}
    return {**prompts, "model": _model(None), **models}


def domain_of(document: Document) -> Domain[Any, Any]:
    """The domain of a recipe's document."""
    return get_domain(document["domain"])


def _absent(place: int, document: Document) -> str:
    count = len(document["experts"])
    return "" if place < count else f"the recipe has {count} expert{'s' if count > 1 else ''}"


def _prompt(place: int) -> Parameter:
    def get(document: Document) -> Value:
        return document["experts"][place]["prompt"] or ""

    def put(document: Document, value: Value) -> None:
        document["experts"][place]["prompt"] = value

    def suggest(recipe: Recipe) -> Sequence[Value]:
        expert = recipe.experts[place]
        return list(dict.fromkeys([expert.prompt or "", *get_domain(recipe.domain).suggestions(expert.model)]))[:3]

    def obstacle(document: Document) -> str:
        domain = domain_of(document)
        return _absent(place, document) or ("" if domain.wording else f"the experts of {domain.title} have no prompts")

    return Parameter(
        title=f"prompt {place + 1}",
        where=f"experts.{place + 1}.prompt",
        kind=Texts(),
        get=get,
        put=put,
        suggest=suggest,
        obstacle=obstacle,
    )


def _model(place: int | None) -> Parameter:
    """The model of one expert, or of all where `place` is None."""

    def get(document: Document) -> Value:
        model: str = document["experts"][place or 0]["model"]
        return model

    def put(document: Document, value: Value) -> None:
        experts = document["experts"]
        for expert in experts if place is None else [experts[place]]:
            expert.update(model=value, revision=None, mixture=None)

    def options(recipe: Recipe) -> Mapping[str, str]:
        found = {info.id: info.title for info in get_domain(recipe.domain).models() if not info.drawn}
        # Models of a hub are listed by nobody.
        mine = {expert.model: expert.model for expert in recipe.experts if expert.mixture is None}
        return mine | found

    def suggest(recipe: Recipe) -> Sequence[Value]:
        own = recipe.experts[place or 0]
        first = [] if own.mixture is not None else [own.model]
        return list(dict.fromkeys([*first, *options(recipe)]))[:3]

    def obstacle(document: Document) -> str:
        wording, count = domain_of(document).wording, len(document["experts"])
        together = wording is not None and wording.one_model
        if place is None:
            return "" if together or count == 1 else "its experts have a model each; name the expert, as in 'model 1'"
        if together or count == 1:
            return "its experts are of one model; write 'model' without a number"
        return _absent(place, document)

    return Parameter(
        title="model" if place is None else f"model {place + 1}",
        where="experts.model" if place is None else f"experts.{place + 1}.model",
        kind=Choice(),
        get=get,
        put=put,
        suggest=suggest,
        options=options,
        obstacle=obstacle,
        early=True,
    )
