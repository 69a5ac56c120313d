"""What is wrong with a recipe, as one sentence for people: no regular expressions, no names of Python's types."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ..errors import quoted
from .operators import OPERATORS

#: What a field must be, by the kind of error; braces name figures of the error.
_MUST: dict[str, str] = {
    "model_type": "be an object, in braces",
    "model_attributes_type": "be an object, in braces",
    "list_type": "be a list, in brackets",
    "int_type": "be a whole number",
    "int_parsing": "be a whole number",
    "int_parsing_size": "be a whole number, and a smaller one",
    "int_from_float": "be a whole number",
    "float_type": "be a number",
    "float_parsing": "be a number",
    "finite_number": "be a finite number",
    "bool_type": "be true or false",
    "bool_parsing": "be true or false",
    "string_type": "be a text, in quotes",
    "string_unicode": "be a text of whole letters",
    "string_too_short": "not be empty",
    "string_too_long": "have at most {max_length} letters",
    "greater_than": "be greater than {gt:g}",
    "greater_than_equal": "be {ge:g} or greater",
    "less_than": "be less than {lt}",
    "less_than_equal": "be {le:g} or less",
    "literal_error": "be {expected}",
    "union_tag_invalid": "have a name that is one of {expected_tags}",
    "union_tag_not_found": "have a name",
    "too_short": "have at least {min_length} entries, not {actual_length}",
    "too_long": "have at most {max_length} entries",
}


def sentence_of(error: ValidationError) -> str:
    """The first thing that is wrong, and where, in one sentence."""
    first = error.errors(include_url=False, include_input=False)[0]
    kind, location = first["type"], first["loc"]
    # pydantic puts an operator's name into the place of an error; the recipe has none there.
    where = ".".join(str(part + 1 if isinstance(part, int) else part) for part in location if part not in OPERATORS)
    name = f"'{quoted(where)}'"
    if kind == "extra_forbidden":
        return f"The recipe has a field that does not exist: {name}; remove it or correct its spelling."
    if kind == "missing":
        return f"The recipe lacks {name}; add it."
    if kind == "too_short" and where == "experts":
        return "The recipe has no experts; add at least one."
    at = f" at {name}" if where else ""
    return f"The recipe is wrong{at}: {_reason(kind, first.get('ctx', {}), first['msg'])}."


def _reason(kind: str, context: dict[str, Any], message: str) -> str:
    if kind == "value_error":  # our own words
        said = message.removeprefix("Value error, ").removesuffix(".")
        # A sentence of the engine's becomes the end of this one; "OR's" stays.
        return said if said[1:2].isupper() else said[:1].lower() + said[1:]
    if kind == "string_pattern_mismatch":
        return "it must hold no control characters, such as the end of a line"
    if kind in _MUST:
        return f"it must {_MUST[kind].format(**context)}"
    return "it must be something else"
