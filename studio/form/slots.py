"""The form's experts: they come and go, so each has a number of its own, its slot, which its widgets' keys carry."""

from __future__ import annotations

from collections.abc import Sequence

from superdiff_engine.domains import get_domain
from superdiff_engine.recipes.document import MOST_EXPERTS
from superdiff_engine.recipes.formulas import renumber_formula
from superdiff_engine.recipes.parameters import PerExpert

from .parameters import chosen_operator, compositions, key_of, per_expert
from .state import state


def add_expert() -> None:
    """One more expert: the first model that is not in the list yet, or another prompt of the last one's."""
    session = state()
    if len(session["experts"]) >= MOST_EXPERTS:
        return
    domain = get_domain(session["f.domain"])
    taken = {session.get(f"f.model.{slot}") for slot in session["experts"]}
    models = [info.id for info in domain.models()]
    if domain.wording is not None and not domain.wording.one_model:
        models, taken = [session[f"f.model.{session['experts'][-1]}"]], set()
    session["slots"] = slot = int(session.get("slots", 0)) + 1
    _put([*session["experts"], slot])
    session[f"f.model.{slot}"] = next((model for model in models if model not in taken), models[0] if models else "")
    if domain.wording is not None and domain.wording.one_model:  # so of the same revision
        session[f"f.revision.{slot}"] = session.get(f"f.revision.{session['experts'][0]}")
    session[f"f.prompt.{slot}"], session[f"f.terms.{slot}"] = "", []
    for parameter in per_expert():
        session[key_of(parameter, slot)] = 0.0


def remove_expert(slot: int) -> None:
    """Take an expert out of the list."""
    _put([other for other in state()["experts"] if other != slot])


def move_expert(slot: int, by: int) -> None:
    """Move an expert up (by = -1) or down (by = 1)."""
    slots = list(state()["experts"])
    place = slots.index(slot)
    target = place + by
    if 0 <= target < len(slots):
        slots[place], slots[target] = slots[target], slots[place]
        _put(slots)


def _put(slots: Sequence[int]) -> None:
    """Let these be the experts; formulas go on naming the same ones.

    A formula that is not in use has no user to mend it: it becomes the one that so many experts begin with, where it
    was such a one before or has lost an expert.
    """
    session = state()
    before = session["experts"]
    session["experts"] = list(slots)
    places = [slots.index(slot) if slot in slots else None for slot in before]
    for parameter in compositions():
        key = key_of(parameter)
        said = renumber_formula(session[key], places)
        if parameter not in chosen_operator(session).parameters and (
            "?" in said or session[key] == parameter.start(len(before))
        ):
            said = parameter.start(len(slots))
        session[key] = said


def make_even(parameter: PerExpert) -> None:
    """Give all experts the same share."""
    slots = state()["experts"]
    for slot in slots:
        state()[key_of(parameter, slot)] = 1 / len(slots)


def forget_revisions() -> None:
    """Take the newest revision of every model."""
    for slot in state()["experts"]:
        state()[f"f.revision.{slot}"] = None
