"""What the user asks for: one small document, validated before anything is loaded, stored with every result.

A recipe is JSON. It travels as a file, inside an exported picture, or in a link (`to_link`); it never names a path:
models are addressed by the ids that `superdiff models` lists.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    model_validator,
)

from ..correction import Correction, check_correctable
from ..density import DEFAULT_ESTIMATOR, ESTIMATORS
from ..errors import RecipeError
from ..noise import LOWEST_LEVEL, Schedule, check_levels, karras_levels, log_levels, time_levels
from ..solvers import DEFAULT_SOLVER, SOLVERS, get_solver
from .links import link_of
from .operators import AnyOperator, OrRecipe
from .strict import Strict

if TYPE_CHECKING:
    from torch import Tensor

    SolverName: TypeAlias = str
    EstimatorName: TypeAlias = str
else:
    SolverName, EstimatorName = Literal[tuple(SOLVERS)], Literal[tuple(ESTIMATORS)]

MOST_EXPERTS = 8
#: A mixture that the user edits in the plane stays within this distance of the origin.
PLANE_EXTENT = 10.0
#: The id of an expert whose mixture stands in the recipe itself.
DRAWN = "custom"


@dataclass(frozen=True)
class Surroundings:
    """What a document is held against while it is validated, given by whoever knows: as pydantic's context.

    Attributes:
        domains: the names of all domains.
        written: the id of the user's folder that a text means by its real name; None where there is none.
    """

    domains: Sequence[str]
    written: Callable[[str], str | None]


Coordinate = Annotated[float, Field(ge=-PLANE_EXTENT, le=PLANE_EXTENT)]
Variance = Annotated[float, Field(ge=1e-4, le=100.0)]


class Mixture(Strict):
    """A Gaussian mixture in the plane: isotropic modes with means, variances and relative masses."""

    means: list[Annotated[list[Coordinate], Field(min_length=2, max_length=2)]] = Field(min_length=1, max_length=64)
    variances: list[Variance]
    masses: list[Annotated[float, Field(gt=0, le=1e6)]] | None = None

    @model_validator(mode="after")
    def _lengths(self) -> Mixture:
        for name, values in (("variances", self.variances), ("masses", self.masses)):
            if values is not None and len(values) != len(self.means):
                raise ValueError(f"{name} needs {len(self.means)} values, one a mode, got {len(values)}")
        return self


_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*){0,2}")
_REVISION = re.compile(r"[0-9a-f]{40}")


def _model_id(model: str, info: ValidationInfo) -> str:
    if not _MODEL.fullmatch(model):
        written = info.context.written(model) if info.context else None
        hint = f"; your folder of this name is '{written}'" if written else ""
        raise ValueError(f"it must be the id of a model, as 'superdiff models' lists them{hint}")
    return model


def _known_domain(name: object, info: ValidationInfo) -> object:
    if info.context and name not in info.context.domains:
        *others, last = [f"'{domain}'" for domain in info.context.domains]
        raise ValueError(f"it must be {', '.join(others)} or {last}")
    return name


def _commit(revision: str) -> str:
    if not _REVISION.fullmatch(revision):
        raise ValueError("it must be a commit, 40 hexadecimal digits in small letters; correct it or remove it")
    return revision


#: Text that a user typed: no control characters (they would be unseen in the form and in file headers).
Text = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class Expert(Strict):
    """One expert: a model by its id, a mixture given in the recipe itself (domain "plane"), or a model's prompt.

    `revision` is the commit of a model of a hub; a run fills it in where it is left open (the newest).
    """

    model: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_model_id)]
    revision: Annotated[str, AfterValidator(_commit)] | None = None
    mixture: Mixture | None = None
    prompt: Text | None = None

    @model_validator(mode="after")
    def _mixture(self) -> Expert:
        if (self.model == DRAWN) != (self.mixture is not None):
            raise ValueError(f"an expert has a mixture exactly when its model is '{DRAWN}'")
        if self.revision is not None and not self.model.startswith("hub/"):
            raise ValueError("only a model of a hub (hub/OWNER/NAME) has a revision; remove 'revision'")
        return self


class GuidanceRecipe(Strict):
    """Classifier-free guidance of `weight` (1 is none), at levels from `lowest` to `highest` (None: at all levels)."""

    weight: float = Field(4.0, ge=0, le=100)
    negative_prompt: Text = ""
    lowest: float | None = Field(None, ge=0, le=1e6)
    highest: float | None = Field(None, gt=0, le=1e6)

    @model_validator(mode="after")
    def _order(self) -> GuidanceRecipe:
        if self.lowest is not None and self.highest is not None and self.lowest >= self.highest:
            raise ValueError(f"lowest ({self.lowest}) must lie below highest ({self.highest})")
        return self


class CorrectionRecipe(Strict):
    """Correction to the operator's exact target by particles that compete (`correction.Correction`).

    `particles` of a group, which divide the batch (None: the whole batch is one group); resampled where their effective
    sample size is below the share `threshold` of them, at levels from `lowest` to `highest` (None: at all levels).
    """

    particles: int | None = Field(None, ge=2, le=16_384)
    threshold: float = Field(0.5, ge=0, le=1)
    lowest: float | None = Field(None, ge=0, le=1e6)
    highest: float | None = Field(None, gt=0, le=1e6)

    def build(self) -> Correction:
        """The correction itself."""
        lowest = 0.0 if self.lowest is None else self.lowest
        return Correction(self.particles, self.threshold, lowest, math.inf if self.highest is None else self.highest)


class PipelineRecipe(Strict):
    """How a text-to-image pipeline runs: its size in pixels (None: its own), and ways to save memory or time."""

    height: int | None = Field(None, ge=8, le=4096)
    width: int | None = Field(None, ge=8, le=4096)
    vae_slicing: bool = False
    vae_tiling: bool = False
    attention_slicing: bool = False
    cpu_offload: bool = False
    compile: bool = False

    @model_validator(mode="after")
    def _both(self) -> PipelineRecipe:
        if (self.height is None) != (self.width is None):
            raise ValueError("height and width are given together, or neither")
        return self


#: How levels may be spaced, in words that go on after "levels" or "spacing".
SPACINGS = {"karras": "Karras", "log": "even in log s", "time": "even in the models' time"}
#: Where random numbers may be drawn, in words that go on after "random numbers".
DRAWN_ON = {"cpu": "from the CPU", "device": "from the device"}
#: Why a recipe cannot have levels of the last kind.
NO_TIME = (
    "Levels even in time need models with a time of their own, which these have not; choose the spacing 'karras' or "
    "'log'."
)


class Levels(Strict):
    """The grid of noise levels: `steps` steps from `highest` to `lowest` (None: what the models were trained for).

    With the spacing "time" they are even in the time of the models' own schedule, where they have one.
    """

    steps: int = Field(100, ge=1, le=10_000)
    spacing: Literal["karras", "log", "time"] = "karras"
    highest: float | None = Field(None, ge=LOWEST_LEVEL, le=1e6)
    lowest: float | None = Field(None, ge=LOWEST_LEVEL, le=1e6)
    rho: float = Field(7.0, ge=1, le=100)

    @model_validator(mode="after")
    def _order(self) -> Levels:
        if self.highest is not None and self.lowest is not None:
            if self.lowest >= self.highest:
                raise ValueError(f"lowest ({self.lowest}) must lie below highest ({self.highest})")
            if self.spacing != "time":  # else whoever knows the models looks
                check_levels(self.grid((self.lowest, self.highest)).tolist())
        return self

    def grid(self, bounds: tuple[float, float], schedule: Schedule | None = None) -> Tensor:
        """[steps + 1] levels, decreasing, float64; with (lowest, highest) of `bounds` where an end is left open.

        Args:
            bounds: of the models.
            schedule: of the models, for levels that are even in time; None where they have none.

        Raises:
            RecipeError: if that end does not fit the one that is given, or the models lack the time.
        """
        lowest = bounds[0] if self.lowest is None else self.lowest
        highest = bounds[1] if self.highest is None else self.highest
        if lowest >= highest:
            raise RecipeError(
                f"The lowest level ({lowest:g}) must lie below the highest ({highest:g}); where one is left open it is "
                f"the models' own, {bounds[0]:g} and {bounds[1]:g}."
            )
        if self.spacing == "time":
            if schedule is None:
                raise RecipeError(NO_TIME)
            return time_levels(self.steps, schedule, highest, lowest)
        if self.spacing == "log":
            return log_levels(self.steps, highest, lowest)
        return karras_levels(self.steps, highest, lowest, self.rho)


class Recipe(Strict):
    """Everything that decides the samples of a run.

    What the studio and the command line write names its solver; a document that does not gets the default of the
    version that reads it.
    """

    version: Literal[1] = 1
    domain: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60), BeforeValidator(_known_domain)]
    experts: list[Expert] = Field(min_length=1, max_length=MOST_EXPERTS)
    operator: AnyOperator = OrRecipe()
    levels: Levels = Levels()
    solver: SolverName = DEFAULT_SOLVER
    estimator: EstimatorName = DEFAULT_ESTIMATOR
    #: Multiplies the noise of an SDE's steps; below 1, samples keep nearer to the densities' peaks.
    noise_scale: float = Field(1.0, ge=0.1, le=1)
    batch: int = Field(64, ge=1, le=16_384)
    seed: int = Field(0, ge=0, lt=2**63)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    #: Where random numbers are drawn: "cpu" gives the same samples on all devices, "device" is quicker on a GPU.
    draws: Literal["cpu", "device"] = "cpu"
    #: Whether networks are called as CUDA graphs, where there is a CUDA device.
    cuda_graphs: bool = False
    guidance: GuidanceRecipe | None = None
    correction: CorrectionRecipe | None = None
    pipeline: PipelineRecipe | None = None
    #: Of every molecule; None for the numbers that the models' data have.
    atoms: int | None = Field(None, ge=3, le=29)
    #: Of every protein; None for the numbers that the models' data have.
    residues: int | None = Field(None, ge=30, le=500)
    #: Whether each component of the samples (positions and rotations, say) has weights of its own.
    per_component: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        self.operator.check(self.names, self.per_component)
        if not get_solver(self.solver).allows(self.noise_scale):
            raise ValueError(f"noise_scale is for solvers with noise; with solver '{self.solver}' leave it at 1")
        if self.correction is not None:
            self.correction.build().check(self.batch)
            check_correctable(self.operator.build(self.names), get_solver(self.solver), self.noise_scale)
            if self.guidance is not None and (self.guidance.lowest, self.guidance.highest) != (None, None):
                raise ValueError("a correction needs guidance at all levels; remove guidance's lowest and highest")
        return self

    @property
    def names(self) -> list[str]:
        """What a formula may call the experts: their prompts, or their models where they have none."""
        return [expert.prompt or expert.model for expert in self.experts]

    @property
    def group(self) -> int:
        """How many samples, one after another, are particles of one group; 1 without a correction."""
        return 1 if self.correction is None else self.correction.build().size(self.batch)

    def to_json(self) -> str:
        """Indented JSON, ending in a newline."""
        return self.model_dump_json(indent=2, exclude_none=True) + "\n"

    def to_link(self) -> str:
        """A compact form for a query parameter: URL-safe base64 of deflated JSON."""
        return link_of(self.model_dump(mode="json", exclude_none=True))
