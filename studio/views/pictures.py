"""Pictures: a grid of them while they form, and a gallery to choose one from."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from superdiff_engine.domains.picture_files import DecodedPictures, PicturePreview
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.result import Result
from superdiff_engine.trace import Frame

from ..charts.mosaic import SHOWN, grid_shape, moment_pictures, mosaic_png
from ..charts.player import MOST_SENT, Scenes
from ..job import Job
from ..stage.exports import draw_download, picture_download
from ..stage.gallery import draw_gallery, draw_mosaic
from ..stage.sample import choose_one_a_group, draw_one_sample, pick
from ..stage.together import draw_gallery_together
from . import GUESS, GUESSED, Beside, View

#: Pixels from which on enlarged pictures are smoothed.
SMOOTH = 64
#: Pictures on a page beside other runs.
BESIDE = 25


class PicturesView(View[PicturePreview, DecodedPictures]):
    """Pictures side by side."""

    first_needs: tuple[str, ...] = (
        "diffusers.schedulers.scheduling_ddim",
        "diffusers.schedulers.scheduling_ddpm",
        "diffusers.models.unets.unet_2d",
    )
    loads = "diffusers"
    cancelled_note = GUESSED
    preview_note = GUESS

    def draw_preview(self, frame: Frame[PicturePreview], names: list[str], key: str, size: int, recipe: Recipe) -> None:
        shown = frame.preview.pictures[:SHOWN]
        draw_mosaic(shown, 56, f"{len(shown)} pictures at level {frame.level:.3g}")

    def scenes(self, job: Job) -> Scenes | None:
        frames = job.run.trace.frames
        if not frames:
            return None
        last = frames[-1].preview.pictures[:SHOWN]
        made = moment_pictures(last, MOST_SENT // (2 * len(frames)))

        def moment(frame: Frame[PicturePreview]) -> dict[str, Any]:
            return {"picture": made.address(frame.preview.pictures[:SHOWN])}

        return Scenes(
            kind="pictures",
            rows=len(last),
            moment=moment,
            alt=f"{len(last)} pictures at the moment that is shown",
            shared={
                "columns": grid_shape(len(last))[0],
                "count": len(last),
                "width": made.width,
                "height": made.height,
                "smooth": made.width >= SMOOTH,
            },
            note=self.preview_note,
        )

    def draw_samples(self, job: Job, result: Result[DecodedPictures]) -> None:
        if result.decoded is None:
            return  # the notes above say why
        pictures = result.decoded.pictures
        left, right = st.columns([1.1, 1], gap="medium")
        with right:
            picked = pick(job, len(pictures))
        with left:
            offered = choose_one_a_group(job, result)
            # A sample that is not offered is looked at all the same, beside the first page.
            page = int(np.argmax(offered == picked)) // SHOWN
            numbers = offered[page * SHOWN : (page + 1) * SHOWN]
            shown = pictures[numbers]
            note = "Click a picture to see it alone and its own curves."
            if numbers[-1] >= job.run.trace.traced:
                traced = job.run.trace.traced
                note = f"Click a picture to see it alone; curves are kept of the first {traced} of this run."
            if len(offered) > SHOWN:
                note += f" Shown: {numbers[0]} to {numbers[-1]} of {len(pictures)}; choose a number for another page."
            draw_gallery(job, result, shown, numbers, picked, "finished pictures", note)
        with right:
            with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
                alone = mosaic_png(pictures[[picked]], cell=112)
                st.image(alone, width=118, output_format="PNG", alt=f"Picture {picked}")
                draw_download(job, picture_download(job, result, picked))
            draw_one_sample(job, result, picked)

    def draw_presented(self, job: Job, result: Result[DecodedPictures], size: int) -> None:
        if result.decoded is not None:
            shown = result.decoded.pictures[:SHOWN]
            draw_mosaic(shown, size // 8, f"{len(shown)} finished pictures")

    def draw_beside(self, job: Job, result: Result[DecodedPictures], beside: Beside) -> None:
        """A page of pictures, and the picked one larger."""
        if result.decoded is None:
            return
        pictures = result.decoded.pictures
        numbers = beside.page(len(pictures), BESIDE)
        draw_gallery_together(
            job, result, pictures[numbers], numbers, beside.picked, "finished pictures", beside.narrow
        )
        if beside.picked < len(pictures):
            alone = mosaic_png(pictures[[beside.picked]], cell=168)
            st.image(alone, width=176, output_format="PNG", alt=f"Picture {beside.picked}")


VIEW = PicturesView()
