"""What every domain offers: models to choose from, a space, a cheap live preview, metrics and exports."""

from __future__ import annotations

import io
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

import numpy as np

from .arrays import DecodedT, PreviewT
from .density import ESTIMATORS, Estimator, check_estimator, fitting_estimators, get_estimator
from .errors import ModelError, RecipeError
from .measured import Figure
from .noise import Noising, check_levels
from .recipes.document import NO_TIME
from .result import Result, density_figures
from .solvers import get_solver

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from .geometry import Geometry, Product, State
    from .play import Playing
    from .recipes.document import Expert, Recipe
    from .sampling import Step
    from .score import Guidance, ScoreModel
    from .trace import Frame


@dataclass(frozen=True)
class ModelInfo:
    """A model that the user can choose: its id in recipes, its title, one line about it, and where it comes from."""

    id: str
    title: str
    description: str
    source: str  # "exact", "embedded", "local" or "hub"
    #: Whether it is no model but a mixture that the user draws and the recipe brings along.
    drawn: bool = False


@dataclass(frozen=True)
class Prepared:
    """What a run walks with: its experts, and the guidance of their mix."""

    experts: Sequence[ScoreModel]
    guidance: Guidance | None = None


@dataclass(frozen=True)
class Export:
    """A file that a result can be saved as; `make` does the work when it is asked for."""

    name: str  # a plain file name, made from ids only
    title: str
    mime: str
    make: Callable[[], bytes]


@dataclass(frozen=True)
class Shown:
    """What of a result a page shows, for files that follow it.

    rows: numbers of the samples, in their order (None: all); relaxed: whether they are shown relaxed, where a domain
    can relax them.
    """

    rows: tuple[int, ...] | None = None
    relaxed: bool = False


#: Every sample, as sampled.
ALL = Shown()
#: In every file samples and experts count from 0; this says so in its head.
COUNTING = "samples and experts count from 0"


@dataclass(frozen=True)
class SlidePicture:
    """Samples as they stand on a slide: a picture no larger than was asked for, and what it shows, in a line."""

    image: Image.Image
    note: str = ""


@dataclass(frozen=True)
class MomentPictures:
    """How the moments of one run are drawn for a film: all at one scale and from one side.

    Attributes:
        draw: the number of a moment -> its picture; all have one size.
        note: what they show, in a line.
    """

    draw: Callable[[int], Image.Image]
    note: str = ""


@dataclass(frozen=True)
class Solid:
    """A sample in three dimensions, for scripts that draw atoms (`web/atoms.js`).

    Attributes:
        title: what it is, such as "Molecule 3".
        note: what is known of it, in a line.
        frame: numbers and letters alone: elements, positions [atoms, 3] in Angstrom and bonds (i, j, order), or chains
            with positions [residues, 4, 3] and a letter of "HE-" for each residue.
    """

    title: str
    note: str
    frame: dict[str, Any]


@dataclass(frozen=True)
class Wording:
    """How experts are told in words what to make: each has a prompt.

    hint: what an empty prompt's place says; chosen: whether a prompt is made of the domain's `suggestions`, with commas
    between them, else it is any text; one_model: whether all experts of a recipe are of one model; between: what stands
    between the prompts of several experts in one prompt for all of them.
    """

    hint: str
    chosen: bool = False
    one_model: bool = False
    between: str = ", "


@dataclass(frozen=True)
class Size:
    """A number that says how large a sample is: a field of recipes, its title, its bounds, and what None means."""

    field: str
    title: str
    least: int
    most: int
    open: str


@dataclass(frozen=True, kw_only=True)
class FormulaPage:
    """A way of composing experts, as a page of its own teaches it.

    Attributes:
        key: of its address.
        title: of the page.
        line: what the samples are, in half a sentence.
        meaning: two or three sentences, in Markdown.
        look: what to see in its picture, in Markdown.
        target: the density that is meant, its weights, and the rate of the particles' weights, as LaTeX.
        weights: see `target`.
        correction: see `target`; "" where there is none.
        recipe: that makes its samples, corrected where that can be.
        beside: the key of the page to compare it with; "" for none.
    """

    key: str
    title: str
    line: str
    meaning: str
    look: str
    target: str
    weights: str
    correction: str
    recipe: Recipe
    beside: str = ""

    @property
    def plain(self) -> Recipe:
        """The recipe without its correction."""
        return self.recipe.model_copy(update={"correction": None})


def look_at(what: str, read: Callable[[], ModelInfo]) -> ModelInfo | ModelError:
    """What `read` tells of a model, or the sentence that takes its place: one damaged model costs no other.

    Args:
        what: the model's id, for the sentence.
        read: reads what is known of it; may raise anything.
    """
    try:
        return read()
    except ModelError as error:
        return error
    except Exception as error:  # a damaged file may raise whatever its reader raises
        first = (str(error).splitlines() or [""])[0]
        return ModelError(
            f"The model '{what}' cannot be read ({type(error).__name__}: {first}); install it again, or remove it."
        )


def settling(noisy: Any, denoised: Any, level: float, deviation: float = 1.0) -> Any:
    """Positions to show while samples form: a cloud as wide as the data, which settles into the sample.

    The denoised mean alone is one clump while the noise is high; here it has what is left of the noise, shrunk to
    d s^2 / (d + s)^2.

    Args:
        noisy: y, a tensor of any shape.
        denoised: its mean, of the same shape.
        level: the noise level s.
        deviation: d of the data, in the unit of y.
    """
    return denoised + (noisy - denoised) * (deviation * level / (deviation + level) ** 2)


def rows_of(samples: State, rows: Sequence[int], device: str) -> State:
    """Some samples of a state, on `device`."""
    chosen = list(rows)
    if isinstance(samples, dict):
        return {name: part[chosen].to(device) for name, part in samples.items()}
    return samples[chosen].to(device)


class Domain(ABC, Generic[PreviewT, DecodedT]):
    """One kind of sample. A new domain is a new folder below domains/, whose domain.py offers one as DOMAIN."""

    name: str
    title: str
    #: Its place among the domains, where they are offered: the lowest first.
    order: int = 1000
    #: Unit of the samples and so of the noise level, for axis labels.
    level_unit: str
    #: What `preview` and `decode` give, and records are read back to; None where samples stand for themselves.
    preview_type: type[PreviewT]
    decoded_type: type[DecodedT] | None = None
    #: CPU threads for a run; None leaves torch its own choice.
    threads: int | None = None
    #: How experts are worded; None where recipes have no prompts.
    wording: Wording | None = None
    #: Whether a run can be guided.
    guided = False
    #: Whether recipes may say how a text-to-image pipeline runs: its size in pixels, and ways to save memory or time.
    pipelines = False
    #: Whether models of the user's own folders and of a hub can be asked for, as "local/NAME" and "hub/OWNER/NAME".
    foreign = False
    #: The kinds of converted models ("kind" in config.json) that it reads, as "local/NAME" of the user's own folders.
    converted: Collection[str] = ()
    #: How to come by models, in a sentence, where none are embedded: it is said while none is there.
    getting_models = ""
    #: Whether the exact log-densities of finished samples are known (`exact_log_density`).
    exact = False
    #: Names of the components of a sample, for charts and messages; weights may differ by component.
    components: tuple[str, ...] = ("samples",)
    #: The size of samples, where a recipe may choose it.
    size: Size | None = None
    #: What the networks may compute in, the best first.
    dtypes: tuple[str, ...] = ("float32", "float16", "bfloat16")
    #: The estimators of log-densities that its experts allow.
    estimators: Collection[Estimator] = ESTIMATORS.values()
    #: (lowest, highest) level of all its models; None where that is known only once they are loaded.
    levels: tuple[float, float] | None = None
    #: How levels may be spaced, of `recipes.document.SPACINGS`: "time" where models have a time of their own.
    spacings: tuple[str, ...] = ("karras", "log")
    #: The level at which log-densities of samples from files are estimated unless another one is asked for; None where
    #: none are read.
    estimation_level: float | None = None
    #: Direct play with its experts; None where they cannot be drawn by hand.
    playing: Playing | None = None
    #: Whether one sample alone makes a picture (`picture_png`); where it does not, many are shown as one.
    sample_is_picture = False
    #: Whether samples have a shape in three dimensions (`solids`).
    has_solids = False

    @abstractmethod
    def listing(self) -> Iterable[ModelInfo | ModelError]:
        """All models that are there now; in the place of one that cannot be read, the error that says so."""

    def models(self) -> list[ModelInfo]:
        """All models to choose from now."""
        return [found for found in self._listed() if isinstance(found, ModelInfo)]

    @property
    def absent(self) -> bool:
        """Whether no model is there and the domain says how to come by one: nothing can be asked of it until then."""
        return bool(self.getting_models) and not self.models()

    def left_out(self) -> list[str]:
        """Why models that are there cannot be chosen, a sentence each."""
        return list(dict.fromkeys(str(found) for found in self._listed() if isinstance(found, ModelError)))

    def _listed(self) -> list[ModelInfo | ModelError]:
        found: list[ModelInfo | ModelError] = []
        try:
            found.extend(self.listing())
        except Exception as error:  # a folder that cannot be listed, say: the other domains go on
            found.append(
                ModelError(f"Not all models of {self.title} could be listed ({type(error).__name__}: {error}).")
            )
        return found

    def owns(self, model: str) -> bool:
        """Whether `model` is an id of this domain."""
        return any(info.id == model for info in self.models())

    def reads(self, index: dict[str, Any]) -> bool:
        """Whether a pipeline of the user's own with this model_index.json is of this domain."""
        return False

    def suggestions(self, model: str) -> list[str]:
        """Prompts that `model` is known to understand, to choose from; empty where any text will do."""
        return []

    def remarks(self, recipe: Recipe) -> list[str]:
        """What the user should know before running a recipe that is right in itself, in sentences."""
        return []

    @abstractmethod
    def examples(self) -> dict[str, Recipe]:
        """Ready recipes by title; the first is what the studio opens with."""

    def formula_pages(self) -> Sequence[FormulaPage]:
        """What pages of the guide teach with this domain, in their order; the first is where to begin."""
        return ()

    def _possible(self, examples: dict[str, Recipe]) -> dict[str, Recipe]:
        """Those examples whose models are all there."""
        there = {info.id for info in self.models()}
        return {title: one for title, one in examples.items() if {expert.model for expert in one.experts} <= there}

    @abstractmethod
    def check(self, recipe: Recipe) -> None:
        """Raise RecipeError for what only this domain can know to be wrong."""

    @abstractmethod
    def load(self, expert: Expert, device: str, dtype: str) -> ScoreModel:
        """The score model of one expert; raises ModelError with one sentence."""

    def resolve(self, recipe: Recipe) -> Recipe:
        """The recipe with what it leaves open of its models, such as a hub's revision; raises ModelError."""
        return recipe

    def prepare(self, recipe: Recipe, device: str) -> Prepared:
        """Everything that a run of the recipe needs; raises ModelError with one sentence."""
        return Prepared([self.load(expert, device, recipe.dtype) for expert in recipe.experts])

    def space(self, experts: Sequence[ScoreModel]) -> Geometry | Product:
        """Where samples live; raises ModelError if the experts' samples differ in shape, where they can."""
        return experts[0].space

    def dimensions(self, size: int | None) -> float:
        """Of the largest sample of this `size` (None: left open); infinite where only a loaded model knows."""
        return math.inf

    def estimators_for(self, solver: str, noise_scale: float, size: int | None) -> list[str]:
        """The names of the estimators that a recipe with these fields may have, the most accurate first."""
        fitting = fitting_estimators(get_solver(solver), noise_scale, self.dimensions(size), self.estimators)
        return [estimator.name for estimator in fitting]

    def check_estimator(self, recipe: Recipe) -> None:
        """Raise ArgumentError where the recipe's estimator is not one of `estimators_for`."""
        dimensions = self.dimensions(None if self.size is None else getattr(recipe, self.size.field))
        estimator, solver = get_estimator(recipe.estimator), get_solver(recipe.solver)
        check_estimator(estimator, solver, recipe.noise_scale, dimensions, self.estimators)

    def noising(self, recipe: Recipe) -> Noising | None:
        """How the recipe's models are noised, as far as that is known before any is loaded; None where it is not."""
        return None if self.levels is None else Noising(*self.levels)

    def check_grid(self, recipe: Recipe) -> None:
        """Raise RecipeError or ArgumentError where the recipe's levels are not its models', or a component's do not
        strictly decrease (`noise.check_levels`), as far as that is known before any is loaded.
        """
        if recipe.levels.spacing not in self.spacings:
            raise RecipeError(NO_TIME)
        noising = self.noising(recipe)
        if noising is not None:
            grids = noising.components(recipe.levels.grid((noising.lowest, noising.highest), noising.schedule))
            for grid in grids.values() if isinstance(grids, dict) else [grids]:
                check_levels(grid.tolist())

    def level_range(self, experts: Sequence[ScoreModel]) -> tuple[float, float]:
        """(lowest, highest) level that all experts can be asked for and the domain recommends."""
        if self.levels is None:
            raise NotImplementedError(f"{self.title} must say at which levels its experts stand.")
        return self.levels

    def component_levels(self, levels: Tensor, experts: Sequence[ScoreModel]) -> Tensor | dict[str, Tensor]:
        """The grid of each component of the samples, where it differs from `levels`, which charts and recipes mean.

        Raises:
            ArgumentError: where the experts do not agree on them.
        """
        return levels

    def first_pace(self, recipe: Recipe) -> float | None:
        """Steps a second at which somebody's first run goes, so that it can be watched; None for as many as it can,
        where steps take long enough to be seen.
        """
        return None

    @abstractmethod
    def preview(self, step: Step, experts: Sequence[ScoreModel], most: int) -> PreviewT:
        """A cheap picture of the samples now, for at most `most` of them."""

    def decode(self, step: Step, experts: Sequence[ScoreModel]) -> DecodedT | None:
        """What a run's samples stand for, pictures say; None where that is themselves."""
        return None

    def notes(self, experts: Sequence[ScoreModel]) -> list[str]:
        """What the user should know of a run, in sentences: words that were cut off, memory that was short."""
        return []

    @abstractmethod
    def preview_png(self, result: Result[DecodedT]) -> bytes | None:
        """A PNG of the finished samples, for the run's folder; None where there is nothing to show."""

    def slide_picture(
        self, result: Result[DecodedT], width: int, height: int, dark: bool = False
    ) -> SlidePicture | None:
        """The finished samples for a slide, sharp at this size; None where there is nothing to show.

        Args:
            result: of the run, complete or not.
            width: that the picture may have, in pixels.
            height: likewise.
            dark: whether the slide is.
        """
        from PIL import Image, ImageOps

        made = self.preview_png(result)
        if made is None:
            return None
        return SlidePicture(ImageOps.contain(Image.open(io.BytesIO(made)).convert("RGB"), (width, height)))

    def solids(self, result: Result[DecodedT], shown: Shown = ALL, most: int = 64) -> list[Solid]:
        """Finished samples in three dimensions, at most so many of those that are shown; empty where they have none."""
        return []

    def moment_pictures(
        self,
        frames: Sequence[Frame[PreviewT]],
        recipe: Recipe,
        width: int,
        height: int,
        dark: bool = False,
        result: Result[DecodedT] | None = None,
    ) -> MomentPictures | None:
        """How moments of a run are drawn for a film; None where there is nothing to show but the curves.

        Args:
            frames: the moments, oldest first; at least one.
            recipe: of the run.
            width: that a picture may have, in pixels.
            height: likewise.
            dark: whether the film is.
            result: of the run, if it has one: at the moment of its last step its samples may be shown in its place.
        """
        return None

    def picture_png(self, result: Result[DecodedT], index: int) -> bytes:
        """A PNG of sample `index` alone, with the recipe inside; only where `sample_is_picture`."""
        raise NotImplementedError(f"One sample of {self.title} makes no picture.")

    @abstractmethod
    def exports(self, result: Result[DecodedT], shown: Shown = ALL) -> list[Export]:
        """Files in the formats of the field, beside the NPZ, CSV and JSON that every run offers; of what is shown,
        where a domain's page can show a part.
        """

    def place(self, recipe: Recipe, given: Any, device: str) -> tuple[Sequence[ScoreModel], State, float]:
        """Experts, points and level to estimate log-densities of samples of the user's own.

        Args:
            recipe: of the experts.
            given: samples as this very domain reads them from files, `GivenSamples` of its own kind.
            device: to work on.

        Returns:
            (experts, state of the given samples, the lowest level to estimate at).
        """
        raise NotImplementedError(f"{self.title} reads no samples from files.")

    def place_sampled(
        self, recipe: Recipe, samples: State, rows: Sequence[int], device: str
    ) -> tuple[Sequence[ScoreModel], State]:
        """Experts and state to estimate log-densities of some samples of a run of the recipe; raises ModelError.

        A domain whose experts know each sample's size prepares them for those of `rows`.

        Args:
            recipe: of the run.
            samples: all of them, as they stood at the run's last level.
            rows: numbers of the samples that are meant.
            device: to work on.
        """
        return self.prepare(recipe, device).experts, rows_of(samples, rows, device)

    def unplaced(self, given: Any) -> list[str]:
        """Why each of the samples that `place` takes cannot be placed, in a sentence, or "" where it can; empty where
        all can.
        """
        return []

    def exact_log_density(self, result: Result[DecodedT]) -> np.ndarray | None:
        """Exact log q of the finished samples at their level, [experts, batch], nats; None unless `exact`."""
        return None

    def measured(self, result: Result[DecodedT]) -> list[Figure]:
        """Figures about the finished samples that this domain alone has."""
        return []

    def figures(self, result: Result[DecodedT]) -> list[Figure]:
        """All figures about the finished samples: the domain's own, then those of log-densities and weights.

        It may take a second: a judge looks at every sample.
        """
        return [*self.measured(result), *density_figures(result)]

    def describe(self, result: Result[DecodedT], figures: Sequence[Figure] | None = None) -> dict[str, str | float]:
        """What a run's own page says of its samples, by label; empty where there is nothing to say.

        Args:
            result: of the run.
            figures: of it, where they are known already.
        """
        known = self.measured(result) if figures is None else figures
        return {one.label or one.title: one.said for one in known if one.said is not None}
