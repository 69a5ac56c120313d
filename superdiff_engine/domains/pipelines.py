"""What the domains of diffusers pipelines share: models of the user's own and of a hub, and pictures as samples."""

from __future__ import annotations

from ..domain import ALL, Domain, Export, Result, Shown
from ..recipes.document import Recipe
from .hub import pin_revisions
from .picture_files import DecodedPictures, PicturePreview, grid_with_recipe, picture_exports, picture_png


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

    def picture_png(self, result: Result[DecodedPictures], index: int) -> bytes:
        return picture_png(result, index)

    def exports(self, result: Result[DecodedPictures], shown: Shown = ALL) -> list[Export]:
        return picture_exports(result)
