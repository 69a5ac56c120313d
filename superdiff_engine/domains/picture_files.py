"""Pictures of a run: as arrays, side by side, and as PNG files that carry the recipe that made them."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ..arrays import Decoded, Preview
from ..domain import COUNTING, Export
from ..recipes.document import Recipe
from ..result import Result, importance_fields, weighing

#: The text chunk of a PNG in which the recipe is kept, as JSON.
RECIPE_CHUNK = "superdiff_recipe"
#: The longest side, in pixels, that a grid's pictures are enlarged to (by whole factors).
GRID_CELL = 112
#: Height in pixels of a caption below a picture.
CAPTION = 18


@dataclass(frozen=True, eq=False)
class PicturePreview(Preview):
    """Pictures on their way: of the denoised means, what the run would end in from here.

    Attributes:
        pictures: uint8 [n, H, W] or [n, H, W, 3].
    """

    pictures: np.ndarray


@dataclass(frozen=True, eq=False)
class DecodedPictures(Decoded):
    """Finished pictures.

    Attributes:
        pictures: uint8 [batch, H, W] or [batch, H, W, 3].
    """

    pictures: np.ndarray


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


def to_uint8(pictures: Tensor) -> np.ndarray:
    """Pictures [n, C, H, W] in [-1, 1] as uint8 [n, H, W] (C = 1) or [n, H, W, 3]."""
    scaled = pictures.detach().float().nan_to_num(0).clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).cpu()
    return (scaled[:, 0] if scaled.shape[1] == 1 else scaled.permute(0, 2, 3, 1)).numpy()


def _enlarging(height: int, width: int, columns: int) -> int:
    # No grid is wider than about 4,000 pixels: some programs refuse larger ones.
    return max(1, min(GRID_CELL // max(height, width), 4000 // (columns * width)))


def picture_grid(pictures: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Pictures uint8 [n, H, W] or [n, H, W, 3] side by side, enlarged by a whole factor, one pixel apart."""
    count, height, width = pictures.shape[:3]
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    scale = _enlarging(height, width, columns)
    enlarged = pictures.repeat(scale, axis=1).repeat(scale, axis=2)
    cell_height, cell_width = height * scale + 1, width * scale + 1
    grid = np.zeros((rows * cell_height - 1, columns * cell_width - 1, *pictures.shape[3:]), np.uint8)
    for index, picture in enumerate(enlarged):
        row, column = divmod(index, columns)
        top, left = row * cell_height, column * cell_width
        grid[top : top + cell_height - 1, left : left + cell_width - 1] = picture
    return grid


def captioned(pictures: np.ndarray, captions: Sequence[str]) -> np.ndarray:
    """Pictures uint8 [n, H, W] or [n, H, W, 3], enlarged for a square grid, each with its caption on white below it.

    Returns:
        uint8 [n, H', W', 3].
    """
    count, height, width = pictures.shape[:3]
    scale = _enlarging(height, width, math.ceil(math.sqrt(count)))
    colour = pictures if pictures.ndim == 4 else np.repeat(pictures[..., None], 3, axis=-1)
    colour = colour.repeat(scale, axis=1).repeat(scale, axis=2)
    made = []
    for picture, caption in zip(colour, captions, strict=True):
        strip = Image.new("RGB", (picture.shape[1], CAPTION), "white")
        ImageDraw.Draw(strip).text(
            (strip.width / 2, CAPTION / 2), caption, "black", ImageFont.load_default(CAPTION - 6), "mm"
        )
        made.append(np.concatenate([picture, np.asarray(strip)]))
    return np.stack(made)


def picture_name(result: Result[DecodedPictures], index: int) -> str:
    """The file name of picture `index`, without its ending; of a corrected run with its share of its group."""
    share = "" if result.shares is None else f"_share_{result.shares[index]:.3f}"
    return f"picture_{index:05d}{share}"


def grid_with_recipe(result: Result[DecodedPictures]) -> bytes | None:
    """All pictures of a result as one PNG with the recipe inside; None where there are none."""
    if result.decoded is None:
        return None
    pictures, shares = result.decoded.pictures, result.shares
    if shares is not None:
        pictures = captioned(pictures, [f"{number}: {share:.0%} of group" for number, share in enumerate(shares)])
    return png(picture_grid(pictures), result.recipe)


def picture_png(result: Result[DecodedPictures], index: int) -> bytes:
    """Picture `index` of a result at its own size, as a PNG with the recipe inside."""
    return png(result.require_decoded().pictures[index], result.recipe)


def picture_exports(result: Result[DecodedPictures]) -> list[Export]:
    """The files that pictures can be saved as."""
    if result.decoded is None:
        return []
    return [
        Export("pictures.png", "Grid (PNG)", "image/png", lambda: grid_with_recipe(result) or b""),
        Export("pictures.zip", "Single pictures (ZIP of PNGs)", "application/zip", lambda: _zip(result)),
    ]


def _zip(result: Result[DecodedPictures]) -> bytes:
    buffer, recipe = io.BytesIO(), result.recipe
    with zipfile.ZipFile(buffer, "w") as archive:  # PNGs are compressed already
        for index, picture in enumerate(result.require_decoded().pictures):
            archive.writestr(f"{picture_name(result, index)}.png", png(picture, recipe))
        archive.writestr(
            "README.txt",
            f"In all files {COUNTING}; {picture_name(result, 0)}.png is the first sample of the run.\n{_table(result)}",
        )
        archive.writestr("recipe.json", recipe.to_json())
    return buffer.getvalue()


def _table(result: Result[DecodedPictures]) -> str:
    """What each picture of a corrected run counts for; else empty."""
    if result.importance is None:
        return ""
    fields = [importance_fields(result, row) for row in range(len(result.importance))]
    head = f"sample_from_0,{','.join(fields[0])}"
    rows = [f"{row},{','.join(one.values())}" for row, one in enumerate(fields)]
    return "\n".join([weighing(result), head, *rows, ""])
