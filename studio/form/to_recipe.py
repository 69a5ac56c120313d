"""From the form's widgets to a recipe."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

from superdiff_engine.domain import Domain
from superdiff_engine.domains import get_domain
from superdiff_engine.recipes.document import DRAWN
from superdiff_engine.solvers import get_solver

from . import fields
from .mixture import mixture_of
from .parameters import chosen_operator, operator_document

#: What a form holds: the values of its widgets by their keys ("f.steps"), and which experts it has ("experts").
Values = MutableMapping[str, Any]
#: Of particles a group: all samples are one group.
ALL = 0


def document(values: Values) -> dict[str, Any]:
    """What a form says, as a recipe's dictionary (not yet validated)."""
    domain, operator = get_domain(values["f.domain"]), chosen_operator(values)
    found: dict[str, Any] = {
        "domain": values["f.domain"],
        "experts": [_expert(values, slot, domain) for slot in values["experts"]],
        "operator": operator_document(values),
        "levels": {},
    }
    for field in fields.SAMPLING:
        _put(found, field.place, values[field.key])
    found |= {
        "noise_scale": noise_scale(values),
        "seed": values["f.seed"].strip(),
        "per_component": values["f.apart"] and len(domain.components) > 1 and not operator.whole_samples,
    }
    if domain.guided:
        found["guidance"] = _guidance(values, domain)
    if domain.pipelines:
        found["pipeline"] = _pipeline(values)
    if values["f.corrected"] and not uncorrectable(values):
        found["correction"] = {field.place[-1]: values[field.key] for field in fields.CORRECTION}
        if values["f.particles"] == ALL:
            found["correction"]["particles"] = None
    if domain.size is not None:
        found[domain.size.field] = values["f.size"]
    return found


def expert_names(values: Values) -> list[str]:
    """What a formula may call the experts, as `Recipe.names`."""
    domain = get_domain(values["f.domain"])
    return [_prompt(values, slot, domain) or _model(values, slot, domain) for slot in values["experts"]]


def noise_scale(values: Values) -> float:
    """Of the noise; 1 for a solver that has none, whatever was chosen for another."""
    return float(values["f.noise_scale"]) if get_solver(values["f.solver"]).noisy else 1.0


def uncorrectable(values: Values) -> str:
    """Why samples of the chosen operator, solver and noise scale cannot be corrected to an exact target, in a sentence;
    "" where they can.
    """
    if chosen_operator(values).no_target:
        return chosen_operator(values).no_target
    solver = get_solver(values["f.solver"])
    if not solver.noisy:
        return f"A correction needs a solver with noise; '{solver.title}' has none."
    scale = noise_scale(values)
    return "" if scale == 1 else f"A correction needs the full noise, and the noise scale is {scale:g}: set it to 1."


def estimators(values: Values) -> list[str]:
    """Those that the domain allows with this solver, noise scale and size of samples."""
    domain = get_domain(values["f.domain"])
    return domain.estimators_for(values["f.solver"], noise_scale(values), values["f.size"])


def revisions(values: Values) -> dict[str, str]:
    """The models of the form's experts that stand at a revision of a hub, with it."""
    return {expert["model"]: expert["revision"] for expert in document(values)["experts"] if expert["revision"]}


def _model(values: Values, slot: int, domain: Domain) -> str:
    one_model = domain.wording is not None and domain.wording.one_model
    return values.get("f.text_model" if one_model else f"f.model.{slot}") or ""


def _prompt(values: Values, slot: int, domain: Domain) -> str:
    """What an expert is told to make; nothing where the domain has no prompts."""
    if domain.wording is None:
        return ""
    return ", ".join(values[f"f.terms.{slot}"]) if domain.wording.chosen else values.get(f"f.prompt.{slot}") or ""


def _expert(values: Values, slot: int, domain: Domain) -> dict[str, Any]:
    expert: dict[str, Any] = {"model": _model(values, slot, domain)}
    if domain.wording is not None:
        expert["prompt"] = _prompt(values, slot, domain)
    expert["revision"] = _revision(values, slot, expert["model"])
    if expert["model"] == DRAWN:
        expert["mixture"] = mixture_of(values.get(f"modes.{slot}"))
    return expert


def _revision(values: Values, slot: int, model: str) -> str | None:
    """The revision that came with an expert's model; forgotten once another model is chosen."""
    known, revision = values.get(f"f.revision.{slot}") or (model, None)
    if known != model:
        values[f"f.revision.{slot}"] = revision = None
    return revision


def _guidance(values: Values, domain: Domain) -> dict[str, Any] | None:
    chosen = domain.wording is not None and domain.wording.chosen
    negative = ", ".join(values["f.away"]) if chosen else values["f.negative"] or ""
    if values["f.guidance"] == 1 and not negative:
        return None
    return {"negative_prompt": negative} | {field.place[-1]: values[field.key] for field in fields.GUIDANCE}


def _pipeline(values: Values) -> dict[str, Any] | None:
    savings = dict.fromkeys(values["f.savings"], True)
    size = {field.place[-1]: values[field.key] for field in fields.PIPELINE}
    return savings | size if savings or any(size.values()) else None


def _put(document: dict[str, Any], place: Sequence[str], value: Any) -> None:
    for name in place[:-1]:
        document = document[name]
    document[place[-1]] = value
