"""How each domain's samples are shown: a file for each domain, with a `VIEW`, found by the domain's name.

The stage asks `view_of` and never which domain it has. The samples of a domain without a file here are shown by their
curves and tables alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Generic, TypeVar

import numpy as np
import streamlit as st

from superdiff_engine.arrays import Arrays, DecodedT, PreviewT
from superdiff_engine.domain import FormulaPage
from superdiff_engine.domains import get_domain
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.result import GivenSamples, Result
from superdiff_engine.trace import Frame

from ..charts.palette import dot
from ..charts.player import Compared, Scenes
from ..guard import plain
from ..job import Job
from ..stage.sample import draw_one_sample, pick

__all__ = ["GUESS", "GUESSED", "Beside", "Compared", "OwnFiles", "ReadingOption", "Scenes", "View", "view_of"]

#: Of samples that are shown denoised: what is said of those of a cancelled run, and below a replay.
GUESSED = "shown is the guess from there"
GUESS = "What the run would end in from here: the weighted denoised mean."


@dataclass(frozen=True)
class Beside:
    """How a run's samples are drawn beside those of others: all alike.

    Attributes:
        picked: the number of the sample to look at.
        names: of the experts.
        colours: of the experts, the same for the same expert in all runs.
        reach: the farthest that samples of any of the runs lie (`View.reach`).
        narrow: whether there is little room.
    """

    picked: int
    names: Sequence[str]
    colours: Sequence[str]
    reach: float = 0.0
    narrow: bool = False

    def page(self, count: int, size: int) -> np.ndarray:
        """The numbers of the samples that are on one page with the picked one, `size` to a page, of `count`."""
        start = min(self.picked, count - 1) // size * size
        return np.arange(start, min(start + size, count))


@dataclass(frozen=True)
class ReadingOption:
    """A choice of how to read: the reader's keyword, what the page calls it, and what it does."""

    keyword: str
    label: str
    help: str


OwnT = TypeVar("OwnT", bound=Arrays)


@dataclass(frozen=True)
class OwnFiles(Generic[OwnT]):
    """What a domain reads from files of the user's own.

    Attributes:
        domain: its name.
        title: of the place to drop a file.
        label: which files, and their limits.
        types: endings of their names.
        one: what a sample is called.
        reader: the function that reads a file, in a process apart (`sandbox.read_apart`).
        take: samples out of its answer, and arrays about them. Raises SuperDiffError.
        columns: the first columns of the table, from the arrays; the first of them names the samples.
        draw: shows sample `index` of the arrays, under a name for the scene.
        megabytes: that a file may have.
        option: a choice of how to read, if there is one.
    """

    domain: str
    title: str
    label: str
    types: list[str]
    one: str
    reader: str
    take: Callable[[dict[str, Any]], tuple[GivenSamples, OwnT]]
    columns: Callable[[OwnT], dict[str, np.ndarray]]
    draw: Callable[[OwnT, int, str], None]
    megabytes: int
    option: ReadingOption | None = None


class View(Generic[PreviewT, DecodedT]):
    """How the samples of one domain are shown; as it stands, that of a domain that nobody has drawn yet."""

    #: Modules that a first run imports and that are slow to read, with the package's name for the message meanwhile.
    first_needs: tuple[str, ...] = ()
    loads: str = ""
    #: What the samples of a cancelled run are, for the end of a sentence.
    cancelled_note = "the samples still carry that noise"
    #: Pixels of what stands below the picture of a preview, its switches, at scale 1.
    below_preview = 0
    #: Below the samples of a replay.
    preview_note = ""
    #: How `draw_beside` shows what the samples of a corrected run count for.
    small_note = "Samples are shown alike, whatever they count for."
    #: Samples of the user's own that can be judged, if there are files of such.
    own: OwnFiles[Any] | None = None

    def draw_preview(self, frame: Frame[PreviewT], names: list[str], key: str, size: int, recipe: Recipe) -> None:
        """The samples of a moment, several times a second.

        Args:
            frame: the moment.
            names: of the experts.
            key: under which it updates in place.
            size: its height in pixels, about.
            recipe: of the run.
        """

    def compared(self, frame: Frame[PreviewT]) -> Compared | None:
        """The log-densities of a moment's samples beside the exact ones, where these are known."""
        return None

    def scenes(self, job: Job) -> Scenes | None:
        """What the kept moments of a run's samples are, for the player; None: its curves are played alone."""
        return None

    def draw_samples(self, job: Job, result: Result[DecodedT]) -> None:
        """The finished samples, one of which is picked."""
        draw_one_sample(job, result, pick(job, result.log_density.shape[1]))

    def draw_presented(self, job: Job, result: Result[DecodedT], size: int) -> None:
        """The finished samples for a room, in `size` pixels each way, about: as they stood at the last moment."""
        frame = job.run.trace.latest
        if frame is not None:
            names = [f"{place} {title}" for place, title in enumerate(job.run.titles, start=1)]
            self.draw_preview(frame, names, "presented", size, job.recipe)

    def draw_beside(self, job: Job, result: Result[DecodedT], beside: Beside) -> None:
        """The finished samples beside those of other runs."""

    def reach(self, job: Job) -> float:
        """How far a run's samples reach on axes that several runs share; 0 without such axes."""
        return 0.0

    def draw_formula_page(self, page: FormulaPage, others: Sequence[FormulaPage]) -> None:
        """The picture of a formula's page of this domain; `others` are those that it may be shown beside."""

    def formula_thumbnail(self, page: FormulaPage) -> str:
        """A small picture of a formula's page, as SVG; "" for none."""
        return ""

    def draw_experts(self, recipe: Recipe) -> None:
        """The experts of the form before anything runs: a line of text each."""
        infos = {info.id: info for info in get_domain(recipe.domain).models()}
        for position, expert in enumerate(recipe.experts):
            info = infos.get(expert.model)
            title = plain(info.title if info else expert.model)
            if expert.prompt is not None:
                prompt = f"**{plain(expert.prompt)}**: a" if expert.prompt else "The empty"
                st.markdown(f"{dot(position)} {prompt} prompt of {title}")
                continue
            about = f": {info.description}" if info else ""
            st.markdown(f"{dot(position)} **{title}**{plain(about)}")


def view_of(domain: str) -> View[Any, Any]:
    """How the samples of the domain called `domain` are shown; its file is imported when it is first asked for."""
    module = f"{__name__}.{domain}"
    if find_spec(module) is None:
        return View()
    view: View[Any, Any] = import_module(module).VIEW
    return view
