"""What the domains of diffusers pipelines share: models of the user's own and of a hub, and pictures as samples."""

from __future__ import annotations

from ..domain import ALL, Domain, Export, Result, Shown, SlidePicture
from ..recipes.document import Recipe
from .hub import pin_revisions
from .picture_files import DecodedPictures, PicturePreview, grid_with_recipe, picture_exports, picture_png
from .slides import cells_for, enlarged, line_below, side_by_side

#: Pixels that a picture is wide on a slide, at least.
_ON_SLIDE = 80


class PipelineDomain(Domain[PicturePreview, DecodedPictures]):
    """A domain whose experts are pipelines, and whose samples stand for pictures."""

    preview_type = PicturePreview
    decoded_type = DecodedPictures
    sample_is_picture = True
    foreign = True

    def resolve(self, recipe: Recipe) -> Recipe:
        return pin_revisions(recipe)

    def preview_png(self, result: Result[DecodedPictures]) -> bytes | None:
        return grid_with_recipe(result)

    def slide_picture(
        self, result: Result[DecodedPictures], width: int, height: int, dark: bool = False
    ) -> SlidePicture | None:
        if result.decoded is None:
            return None
        pictures, below = result.decoded.pictures, line_below(result)
        count, high, wide = pictures.shape[:3]
        cells = cells_for(count, width, height, _ON_SLIDE, wide / high, below)
        return side_by_side(result, cells, lambda row, *size: enlarged(pictures[row], *size), dark, below)

    def picture_png(self, result: Result[DecodedPictures], index: int) -> bytes:
        return picture_png(result, index)

    def exports(self, result: Result[DecodedPictures], shown: Shown = ALL) -> list[Export]:
        return picture_exports(result)
