"""Recipes of the plane that tests vary, and what two of them differ in."""

from superdiff_engine.domains.checked import make_recipe

PAIR = [{"model": "rows_upper"}, {"model": "rows_lower"}]


def plane(**fields):
    return make_recipe({"domain": "plane", "experts": PAIR, "levels": {"steps": 6}, "batch": 16} | fields)


def changed(before, after, path=""):
    """The dotted paths at which two nested dictionaries differ, with the new values."""
    found = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found |= changed(old, new, f"{path}{key}.")
        elif old != new:
            found[path + key] = new
    return found
