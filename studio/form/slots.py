"""The form's experts: they come and go, so each has a number of its own, its slot, which its widgets' keys carry."""

from __future__ import annotations

from superdiff_engine.domains import get_domain
from superdiff_engine.recipes.document import MOST_EXPERTS
from superdiff_engine.recipes.parameters import PerExpert

from .parameters import key_of, per_expert
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
    session["experts"] = [*session["experts"], slot]
    session[f"f.model.{slot}"] = next((model for model in models if model not in taken), models[0] if models else "")
    if domain.wording is not None and domain.wording.one_model:  # so of the same revision
        session[f"f.revision.{slot}"] = session.get(f"f.revision.{session['experts'][0]}")
    session[f"f.prompt.{slot}"], session[f"f.terms.{slot}"] = "", []
    for parameter in per_expert():
        session[key_of(parameter, slot)] = 0.0


def remove_expert(slot: int) -> None:
    """Take an expert out of the list."""
    state()["experts"] = [other for other in state()["experts"] if other != slot]


def move_expert(slot: int, by: int) -> None:
    """Move an expert up (by = -1) or down (by = 1)."""
    slots = list(state()["experts"])
    place = slots.index(slot)
    target = place + by
    if 0 <= target < len(slots):
        slots[place], slots[target] = slots[target], slots[place]
        state()["experts"] = slots


def make_even(parameter: PerExpert) -> None:
    """Give all experts the same share."""
    slots = state()["experts"]
    for slot in slots:
        state()[key_of(parameter, slot)] = 1 / len(slots)


def forget_revisions() -> None:
    """Take the newest revision of every model."""
    for slot in state()["experts"]:
        state()[f"f.revision.{slot}"] = None
