"""Recipes by the name that docs/models.md imports them by: the document, and how to read one."""

from .domains.checked import load_recipe, make_recipe, parse_recipe, recipe_from_link
from .recipes.document import Expert, Levels, Mixture, Recipe

__all__ = [
    "Expert", "Levels", "Mixture", "Recipe", "load_recipe", "make_recipe", "parse_recipe", "recipe_from_link",
]  # fmt: skip
