"""What the domains of diffusers pipelines share: models of the user's own and of a hub, and pictures as samples."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from ..domain import ALL, Domain, Export, MomentPictures, Shown, SlidePicture
from ..recipes.document import Recipe
from ..result import Result
from ..trace import Frame
from .hub import pin_revisions
from .picture_files import DecodedPictures, PicturePreview, grid_with_recipe, picture_exports, picture_png
from .slides import cells_for, enlarged, first_of, in_cells, line_below, side_by_side

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

    def moment_pictures(
        self,
        frames: Sequence[Frame[PicturePreview]],
        recipe: Recipe,
        width: int,
        height: int,
        dark: bool = False,
        result: Result[DecodedPictures] | None = None,
    ) -> MomentPictures | None:
        """The previews, enlarged; at the run's last step its finished pictures, where there are any."""
        finished = None if result is None or result.decoded is None else result.decoded.pictures
        likeness = frames[0].preview.pictures if finished is None else finished
        count = min(len(frame.preview.pictures) for frame in frames)
        cells = cells_for(count, width, height, _ON_SLIDE, likeness.shape[2] / likeness.shape[1])

        def draw(moment: int) -> Image.Image:
            frame = frames[moment]
            last = result is not None and frame.index == result.index
            pictures = finished if finished is not None and last else frame.preview.pictures
            return in_cells(cells, lambda row, *size: enlarged(pictures[row], *size), dark)

        return MomentPictures(draw, first_of(cells.count, recipe.batch))

    def picture_png(self, result: Result[DecodedPictures], index: int) -> bytes:
        return picture_png(result, index)

    def exports(self, result: Result[DecodedPictures], shown: Shown = ALL) -> list[Export]:
        return picture_exports(result)
