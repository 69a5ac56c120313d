"""The left side of the page: the recipe form."""
