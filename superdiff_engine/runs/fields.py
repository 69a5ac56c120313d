"""The fields of a recipe that a grid can vary, by name.

Operators say themselves what of theirs can be varied, and domains which models, sizes and estimators there are. Fields
work on a recipe's document, its JSON as a dictionary, so that several of them can be set before the whole is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from ..density import ESTIMATORS
from ..domains import get_domain
from ..recipes.document import Levels, Recipe
from ..recipes.operators import OPERATORS
from ..solvers import SOLVERS, get_solver
from .expert_fields import domain_of, of_experts
from .operator_fields import of_operators, operator_of, put_operator
from .parameter import OWN, PARTS, SWITCH, Document, Parameter, always, field_at
from .values import Choice, Numbers, Texts, Value
from .wording import SAVINGS


def _unguided(document: Document) -> str:
    domain = domain_of(document)
    return "" if domain.guided else f"only prompts are guided, and {domain.title} has none"


def _unwanted(recipe: Recipe) -> Sequence[Value]:
    return ["", *(get_domain(recipe.domain).suggestions(recipe.experts[0].model) or ["blurry"])[:1]]


def _held_guidance(document: Document) -> str:
    return _unguided(document) or ("a correction needs guidance at all levels" if document["correction"] else "")


def _uncorrected(document: Document) -> str:
    return "the recipe has no correction" if document["correction"] is None else ""


def _silent(document: Document) -> str:
    solver = get_solver(document["solver"])
    return "" if solver.noisy else f"the solver '{solver.name}' has no noise"


def _even(document: Document) -> str:
    return "" if document["levels"]["spacing"] == Levels().spacing else "only Karras' levels have a rho"


def _one_kind(document: Document) -> str:
    domain = domain_of(document)
    return "" if len(domain.dtypes) > 1 else f"{domain.title} computes in {domain.dtypes[0]} only"


def _whole_samples(document: Document) -> str:
    domain, operator = domain_of(document), operator_of(document)
    if len(domain.components) < 2:
        return f"samples of {domain.title} have one component"
    return f"{operator.title} weighs whole samples" if operator.whole_samples else ""


def _no_pipeline(document: Document) -> str:
    domain = domain_of(document)
    return "" if domain.pipelines else f"{domain.title} has no text-to-image pipelines"


def _switched(document: Document) -> Value:
    return "off" if document["correction"] is None else "on"


def _switch(document: Document, value: Value) -> None:
    document["correction"] = (document["correction"] or dict(PARTS["correction"])) if value == "on" else None


def _like_noise(recipe: Recipe) -> Sequence[Value]:
    """The solvers that add noise if the recipe's does: the same estimators follow them."""
    return [name for name, solver in SOLVERS.items() if solver.noisy == get_solver(recipe.solver).noisy]


def _fitting(recipe: Recipe) -> list[Value]:
    domain = get_domain(recipe.domain)
    size = None if domain.size is None else getattr(recipe, domain.size.field)
    return list(domain.estimators_for(recipe.solver, recipe.noise_scale, size))


def _ends(end: int, *factors: float) -> Callable[[Recipe], Sequence[Value]]:
    """The models' own end of the levels, and what is so many times as much where it is known."""

    def suggest(recipe: Recipe) -> Sequence[Value]:
        noising = get_domain(recipe.domain).noising(recipe)
        if noising is None:
            return [OWN]
        level = (noising.lowest, noising.highest)[end]
        return [OWN, *(float(f"{level * factor:.2g}") for factor in factors)]

    return suggest


def _sizes() -> dict[str, Parameter]:
    """The size of samples, by the name that it has: atoms, residues."""
    return {field: _size(field, title) for field, title in (("atoms", "atoms"), ("residues", "residues"))}


def _size(field: str, title: str) -> Parameter:
    def obstacle(document: Document) -> str:
        domain = domain_of(document)
        has = domain.size is not None and domain.size.field == field
        return "" if has else f"samples of {domain.title} have no number of {field}"

    def suggest(recipe: Recipe) -> Sequence[Value]:
        size = get_domain(recipe.domain).size
        if size is None:
            return [OWN]
        return [size.least + round(share * (size.most - size.least)) for share in (0.25, 0.5, 0.75)]

    return field_at(field, title, Numbers(whole=True, word=OWN), suggest, obstacle=obstacle)


def _literals(field: str, document: type[Recipe] | type[Levels] = Recipe) -> dict[str, str]:
    return {name: name for name in get_args(document.model_fields[field].annotation)}


def _pixels() -> Parameter:
    """The side of square pictures, since height and width go together."""

    def get(document: Document) -> Value:
        pipeline = document["pipeline"] or PARTS["pipeline"]
        return pipeline["height"] or OWN

    def put(document: Document, value: Value) -> None:
        side = None if isinstance(value, str) else value
        document["pipeline"] = (document["pipeline"] or PARTS["pipeline"]) | {"height": side, "width": side}

    return Parameter(
        title="height and width",
        where="pipeline.height",
        kind=Numbers(whole=True, word=OWN),
        get=get,
        put=put,
        suggest=always(OWN),
        unit="pixels",
        obstacle=_no_pipeline,
    )


def _of_recipes() -> dict[str, Parameter]:
    whole, number, level = Numbers(whole=True), Numbers(), Numbers(word=OWN)
    guided: Document = {"obstacle": _unguided}
    held: Document = {"obstacle": _held_guidance}
    corrected: Document = {"obstacle": _uncorrected}
    return {
        "operator": Parameter(
            title="operator",
            where="operator.name",
            kind=Choice({name: operator.title for name, operator in OPERATORS.items()}),
            get=lambda document: document["operator"]["name"],
            put=put_operator,
            suggest=lambda recipe: list(dict.fromkeys([recipe.operator.name, *OPERATORS]))[:4],
            options=lambda recipe: {name: operator.title for name, operator in OPERATORS.items()},
            early=True,
        ),
        "solver": field_at(
            "solver",
            "solver",
            Choice({name: solver.title for name, solver in SOLVERS.items()}),
            _like_noise,
            options=lambda recipe: {name: solver.title for name, solver in SOLVERS.items()},
            early=True,
        ),
        "estimator": field_at(
            "estimator",
            "estimator",
            Choice({name: estimator.title for name, estimator in ESTIMATORS.items()}),
            _fitting,
            options=lambda recipe: {one.name: one.title for one in get_domain(recipe.domain).estimators},
        ),
        "noise scale": field_at("noise_scale", "noise scale", number, always(0.5, 0.7, 1), obstacle=_silent),
        "guidance": field_at("guidance.weight", "guidance w", number, always(1, 4, 8), **guided, stated=True),
        "negative prompt": field_at("guidance.negative_prompt", "negative prompt", Texts(), _unwanted, **guided),
        "guidance from": field_at("guidance.lowest", "lowest guided level s", level, always(OWN, 1), **held),
        "guidance to": field_at("guidance.highest", "highest guided level s", level, always(OWN, 10), **held),
        "correction": Parameter(
            title="correction",
            where="correction",
            kind=SWITCH,
            get=_switched,
            put=_switch,
            suggest=always("off", "on"),
            options=lambda recipe: SWITCH.titles,
            early=True,
            groups=True,
        ),
        "particles": field_at(
            "correction.particles",
            "particles a group",
            Numbers(whole=True, word="all"),
            always(2, 4, 8),
            **corrected,
            groups=True,
            stated=True,
        ),
        "threshold": field_at(
            "correction.threshold",
            "threshold of resampling",
            number,
            always(0, 0.5, 1),
            unit="share of the particles",
            **corrected,
            stated=True,
        ),
        "resampled down to": field_at("correction.lowest", "resampled down to s", level, always(OWN, 1), **corrected),
        "resampled from": field_at("correction.highest", "resampled from s", level, always(OWN, 5), **corrected),
        **_sizes(),
        "components": field_at(
            "per_component",
            "weights by component",
            SWITCH,
            always("off", "on"),
            options=lambda recipe: SWITCH.titles,
            obstacle=_whole_samples,
        ),
        "pixels": _pixels(),
        **{
            name: field_at(
                f"pipeline.{name}",
                title,
                SWITCH,
                always("off", "on"),
                options=lambda recipe: SWITCH.titles,
                obstacle=_no_pipeline,
            )
            for name, title in SAVINGS.items()
        },
        "steps": field_at("levels.steps", "steps", whole, always(10, 20, 50), stated=True),
        "spacing": field_at(
            "levels.spacing",
            "spacing of the levels",
            Choice(_literals("spacing", Levels)),
            lambda recipe: get_domain(recipe.domain).spacings,
            options=lambda recipe: {name: name for name in get_domain(recipe.domain).spacings},
            early=True,
        ),
        "rho": field_at("levels.rho", "rho of the levels", number, always(3, 5, 7), obstacle=_even),
        "highest": field_at("levels.highest", "highest level s", level, _ends(1, 0.5, 0.25)),
        "lowest": field_at("levels.lowest", "lowest level s", level, _ends(0, 2, 5)),
        "samples": field_at("batch", "samples", whole, always(16, 64, 256), groups=True),
        "dtype": field_at(
            "dtype",
            "numbers of the networks",
            Choice(_literals("dtype")),
            lambda recipe: list(get_domain(recipe.domain).dtypes),
            options=lambda recipe: {name: name for name in get_domain(recipe.domain).dtypes},
            obstacle=_one_kind,
        ),
        "seed": field_at("seed", "seed", whole, always(0, 1, 2, 3), stated=True),
    }  # fmt: skip


#: By the names that axes have in text, in the order in which they are offered.
PARAMETERS: dict[str, Parameter] = {**of_operators(), **of_experts(), **_of_recipes()}
