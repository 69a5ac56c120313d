"""PNG files that carry the recipe that made them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .recipe import Recipe

#: The text chunk of a PNG in which the recipe is kept, as JSON.
RECIPE_CHUNK = "superdiff_recipe"


def recipe_chunk(recipe: Recipe) -> PngInfo:
    """The recipe as a PNG text chunk."""
    info = PngInfo()
    info.add_itxt(RECIPE_CHUNK, recipe.to_json())
    return info


def png(picture: np.ndarray | Image.Image, recipe: Recipe) -> bytes:
    """A PNG of uint8 [height, width] or [height, width, 3], with the recipe inside."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=recipe_chunk(recipe))
    return buffer.getvalue()
