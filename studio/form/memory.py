"""What the form remembers: other domains' entries, whether an example is still as it was, and itself in an address."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from pydantic import ValidationError

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe, recipe_from_link
from superdiff_engine.errors import RecipeError, SuperDiffError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.recipes.links import link_of, text_of_link

from ..unbroken import unbroken
from . import state as form_state
from . import to_recipe
from .state import state

#: What belongs to the whole form, not to one domain's part of it.
_COMMON = {"f.domain", "f.lock", "f.save"}
#: Fields that are left out of an address, one after the other, until the rest is a recipe.
_MOST_WRONG = 12


def change_domain(name: str) -> None:
    """Switch to a domain (a callback): to what was entered there before, else to its first example."""
    session = state()
    known = session.setdefault("forms", {})
    known[session["form-of"]] = _values()
    if name in known:
        session["form-of"] = session["f.domain"] = name
        session["example-turn"] += 1
        for key, value in known[name].items():
            session[key] = value
    else:
        form_state.open_domain(name)


@unbroken()
def keep_prompts() -> None:
    """What is entered for another model may be entered in another way, and stays. Call it before prompts are drawn."""
    session = state()
    models = [session.get("f.text_model"), *(session.get(f"f.model.{slot}") for slot in session["experts"])]
    if session.get("models-drawn") != models:
        session["models-drawn"] = models
        for slot in session["experts"]:
            for key in (f"f.prompt.{slot}", f"f.terms.{slot}"):
                session[key] = session.get(key)


@unbroken()
def drop_edited_example() -> None:
    """An edited form no longer carries the example's name. Call it before the choice of examples is drawn."""
    session = state()
    if session.get("f.example") is None:
        return
    values = _values()
    begun = session.get("example-values")
    if begun is None:
        # The form has been drawn once with the example as it is.
        session["example-values"] = values
    elif not _same(values, begun):
        session["f.example"] = None
        session["example-turn"] += 1


def _values() -> dict[str, Any]:
    """All that the form of the domain holds: experts, fields, modes, and what the example began with."""
    session = state()
    slots = {str(slot) for slot in session["experts"]}
    found = {"experts": list(session["experts"])}
    for key in list(session):
        head, _, slot = str(key).rpartition(".")
        whole = str(key).startswith("f.") and (not slot.isdigit() or slot in slots) and key not in _COMMON
        if whole or (head == "modes" and slot in slots) or key == "example-values":
            found[key] = session[key]
    return found


def _same(values: dict[str, Any], begun: dict[str, Any]) -> bool:
    keys = (values.keys() | begun.keys()) - {"f.example", "example-values"}
    return all(_plain(values.get(key)) == _plain(begun.get(key)) for key in keys)


def _plain(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return value.astype(float).to_numpy().tolist()
    return value or None


def to_query() -> dict[str, str]:
    """The form as parameters of an address: as a recipe, or as what comes nearest while something in it is wrong."""
    session = state()
    try:
        document = to_recipe.document(session)
        try:
            session["form-query"] = {"recipe": make_recipe(document).to_link()}
        except RecipeError:
            nearest = _nearest(document)
            if nearest is not None:
                session["form-query"] = {"form": link_of(nearest)}
    except (ValueError, TypeError, KeyError):
        pass  # a table in the middle of an edit: the form as it was before
    choices = {"seed": "new"} if not session["f.lock"] else {}
    return session.get("form-query", {}) | choices | ({} if session["f.save"] else {"record": "off"})


def _nearest(document: dict[str, Any]) -> dict[str, Any] | None:
    """The document without what is wrong by itself; None if nothing can be made of it."""
    rest = json.loads(json.dumps(document))
    for _ in range(_MOST_WRONG):
        try:
            Recipe.model_validate(rest)
        except ValidationError as error:
            place = error.errors(include_url=False, include_context=False)[0]["loc"]
            # What does not fit the rest (a group of particles, a formula) has no place of its own.
            place = place or next(((name,) for name in ("correction", "operator") if rest.get(name)), ())
            holder: Any = rest
            for part in place[:-1]:
                inner = (
                    holder.get(part) if isinstance(holder, dict) else holder[part] if isinstance(part, int) else None
                )
                # The name of an operator is part of the place, but not of the document.
                holder = holder if inner is None else inner
            if not place or not isinstance(holder, dict) or place[-1] not in holder:
                if not place or place[0] not in rest or place[0] in ("domain", "experts"):
                    return None
                holder, place = rest, place[:1]
            del holder[place[-1]]
        else:
            return rest
    return None


def from_query(query: dict[str, str]) -> None:
    """Fill the form from the parameters of an address.

    Raises:
        RecipeError: when a link is damaged or asks for what is not there; in one sentence.
    """
    session = state()
    if "seed" in query:
        session["f.lock"] = query["seed"] != "new"
    if "record" in query:
        session["f.save"] = query["record"] != "off"
    if "recipe" in query:
        recipe = recipe_from_link(query["recipe"])
        examples = get_domain(recipe.domain).examples()
        form_state.load(recipe, next((title for title, one in examples.items() if one == recipe), None))
    elif "form" in query:
        try:
            form_state.load(Recipe.model_validate(json.loads(text_of_link(query["form"]))))
        except SuperDiffError:
            raise
        except (ValueError, TypeError, RecursionError):
            raise RecipeError("This address holds no form: it was cut off or changed on the way.") from None
