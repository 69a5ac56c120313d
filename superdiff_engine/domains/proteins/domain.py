"""The domain "proteins": models of backbones, each an expert."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...density import ESTIMATORS
from ...domain import (
    ALL,
    Domain,
    Export,
    ModelInfo,
    MomentPictures,
    Prepared,
    Shown,
    Size,
    SlidePicture,
    Solid,
    rows_of,
    settling,
)
from ...errors import ArgumentError, ModelError
from ...geometry import State, divided
from ...measured import Figure
from ...noise import Noising
from ...recipes.document import Expert, Levels, Recipe
from ...recipes.operators import AndRecipe, AverageRecipe, CoinFlipRecipe, OperatorRecipe, OrRecipe, SingleRecipe
from ...result import Result
from ...sampling import Step
from ...score import Remembering, ScoreModel
from ...system.devices import fast_dtype
from ...trace import Frame
from ..experts import of_kind
from ..sizes import draw_sizes
from ..slides import cells_for, first_of, in_cells, line_below, side_by_side
from .arrays import DecodedProteins, ProteinPreview
from .catalogue import (
    FRAMEDIFF,
    KINDS,
    LENGTHS,
    MODELS,
    PROTEUS,
    check_together,
    different_noising,
    experts_of,
    lengths_of,
    listing,
    load_expert,
    noising_of,
    numbers_of_residues,
    owns,
)
from .catalogue import first_of as first_converted
from .frames import frames_of
from .model import (
    ALPHA,
    ANGSTROM,
    BETA,
    DATA_STD,
    HIGHEST_LEVEL,
    LOWEST_LEVEL,
    NOISING,
    WHOLE,
    BackboneScore,
    decode,
)
from .se3.schedules import COMPOSED_TO, TRANSLATIONS

if TYPE_CHECKING:
    from .files import ReadProtein

PREVIEWED = 16
#: Pixels that a chain is wide on a slide, at least.
_ON_SLIDE = 170
#: Angstrom from the origin at most that is drawn: what 3Dmol's camera survives.
_FARTHEST = 1e4
#: Of the examples and the tables: small networks make more of their residues helix or strand with less than full noise.
NOISE_SCALE = 0.7
#: Level at which log-densities of proteins from files are estimated, 0.5 Angstrom: below it every digit of a
#: coordinate would count.
ESTIMATION_LEVEL = 0.05


class Proteins(Domain[ProteinPreview, DecodedProteins]):
    """Backbones drawn by models of different kinds of folds."""

    name = "proteins"
    order = 5
    preview_type = ProteinPreview
    decoded_type = DecodedProteins
    estimation_level = ESTIMATION_LEVEL
    title = "Proteins"
    converted = KINDS
    level_unit = "10 Angstrom for positions"
    components = ("positions", "rotations")
    size = Size("residues", "Residues", 30, 500, "as in the models' data")
    dtypes = ("float32", "bfloat16")  # float16 has too small a range
    # The shortest chain has 180 dimensions: none that passes back through a deep network for each.
    estimators = tuple(estimator for estimator in ESTIMATORS.values() if math.isinf(estimator.most_dimensions))
    levels = (LOWEST_LEVEL, HIGHEST_LEVEL)  # of the embedded models; `noising` knows of others
    spacings = ("karras", "log", "time")

    def listing(self) -> Iterable[ModelInfo | ModelError]:
        return listing()

    def owns(self, model: str) -> bool:
        return owns(model)

    def remarks(self, recipe: Recipe) -> list[str]:
        """Lengths that no model has seen, or that it chooses."""
        if any(expert.model not in MODELS for expert in recipe.experts):
            lengths = ", ".join(str(length) for length in LENGTHS)
            return [f"Numbers of residues are drawn: {lengths}."] if recipe.residues is None else []
        if recipe.residues is None or 40 <= recipe.residues <= 128:
            return []
        return [f"The models have seen chains of 40 to 128 residues, none of {recipe.residues}."]

    def examples(self) -> dict[str, Recipe]:
        return self._embedded_examples() | _paper_examples()

    def _embedded_examples(self) -> dict[str, Recipe]:
        def recipe(operator: OperatorRecipe, *models: str) -> Recipe:
            return Recipe(
                domain="proteins",
                experts=[Expert(model=model) for model in models],
                operator=operator,
                levels=Levels(steps=100),  # docs/results.md: as good as 200
                solver="ancestral",
                noise_scale=NOISE_SCALE,
                batch=6,
                residues=80,
                dtype=fast_dtype(),  # as in docs/tables/proteins.json
            )

        known = {
            "OR: helices or strands": recipe(OrRecipe(), ALPHA, BETA),
            "AND: what both find likely": recipe(AndRecipe(), ALPHA, BETA),
            "Average, to compare with AND": recipe(AverageRecipe(), ALPHA, BETA),
            "Coin flip, to compare with OR": recipe(CoinFlipRecipe(), ALPHA, BETA),
            "One model of all folds": recipe(SingleRecipe(index=0), WHOLE),
        }
        return self._possible(known)

    def check(self, recipe: Recipe) -> None:
        check_together(recipe)

    def load(self, expert: Expert, device: str, dtype: str) -> BackboneScore:
        return load_expert(expert.model, draw_sizes(lengths_of(expert.model), 1, 0), device, dtype)

    def prepare(self, recipe: Recipe, device: str) -> Prepared:
        return Prepared(experts_of(recipe, numbers_of_residues(recipe), device))

    def noising(self, recipe: Recipe) -> Noising | None:
        return noising_of(recipe.experts[0].model)

    def level_range(self, experts: Sequence[ScoreModel]) -> tuple[float, float]:
        noising = _noising_of(experts)
        return noising.lowest, noising.highest

    def component_levels(self, levels: Tensor, experts: Sequence[ScoreModel]) -> dict[str, Tensor]:
        return divided(_noising_of(experts).components(levels))

    def place(self, recipe: Recipe, given: ReadProtein, device: str) -> tuple[Sequence[ScoreModel], State, float]:
        """The recipe's experts for a chain from a file, its state, and ESTIMATION_LEVEL."""
        turned, alpha = frames_of(torch.from_numpy(given.backbone))
        state = {"positions": (alpha - alpha.mean(0)) / ANGSTROM, "rotations": turned}
        experts = experts_of(recipe, [len(alpha)], device)
        return experts, {name: part.unsqueeze(0).to(device) for name, part in state.items()}, ESTIMATION_LEVEL

    def place_sampled(
        self, recipe: Recipe, samples: State, rows: Sequence[int], device: str
    ) -> tuple[Sequence[ScoreModel], State]:
        """The recipe's experts for chains of these numbers of residues, and a state as long as the longest of them."""
        residues = numbers_of_residues(recipe)
        chosen = [residues[row] for row in rows]
        state = divided(rows_of(samples, rows, device))
        return experts_of(recipe, chosen, device), {name: part[:, : max(chosen)] for name, part in state.items()}

    def preview(self, step: Step, experts: Sequence[ScoreModel], most: int) -> ProteinPreview:
        """Of at most 16 backbones."""
        count, s = min(most, PREVIEWED), step.level
        states = (divided(step.samples), divided(step.denoised))
        noisy, denoised = ({name: part[:count] for name, part in state.items()} for state in states)
        moving = denoised | {"positions": settling(noisy["positions"], denoised["positions"], s, DATA_STD)}
        atoms = decode(moving).cpu().numpy().astype(np.float32)
        residues = np.array(of_kind(experts, BackboneScore)[0].residues[:count])
        atoms *= (np.arange(atoms.shape[1]) < residues[:, None])[:, :, None, None]
        return ProteinPreview(atoms, residues)

    def decode(self, step: Step, experts: Sequence[ScoreModel]) -> DecodedProteins:
        from .checks import checked_proteins

        denoised = divided(step.denoised)
        return checked_proteins(decode(denoised), of_kind(experts, BackboneScore)[0].residues)

    def notes(self, experts: Sequence[ScoreModel]) -> list[str]:
        """What log q is where experts remember."""
        told = [expert.title for expert in experts if isinstance(expert, Remembering)]
        if not told:
            return []
        verb = "are" if len(told) > 1 else "is"
        return [
            f"{' and '.join(dict.fromkeys(told))} {verb} told at each step what the step before said: log q along the "
            "run belongs to the path that it took. The check of the log-densities, and chains from files, are judged "
            "without that memory."
        ]

    def preview_png(self, result: Result[DecodedProteins]) -> bytes | None:
        from ..picture_files import png
        from .drawing import grid

        return None if result.decoded is None else png(grid(result.decoded, shares=result.shares), result.recipe)

    def slide_picture(
        self, result: Result[DecodedProteins], width: int, height: int, dark: bool = False
    ) -> SlidePicture | None:
        if result.decoded is None:
            return None
        from .drawing import STRUCTURE_NOTE, depict

        decoded, below = result.decoded, line_below(result)
        cells = cells_for(len(decoded.residues), width, height, _ON_SLIDE, below=below)
        made = side_by_side(
            result, cells, lambda row, wide, high: depict(*decoded.chain(row), min(wide, high), dark), dark, below
        )
        return SlidePicture(made.image, ". ".join(filter(None, [STRUCTURE_NOTE, made.note])))

    has_solids = True

    def solids(self, result: Result[DecodedProteins], shown: Shown = ALL, most: int = 64) -> list[Solid]:
        if result.decoded is None:
            return []
        rows = range(len(result.decoded.residues)) if shown.rows is None else shown.rows
        return [_solid(result.decoded, row) for row in rows[:most]]

    def moment_pictures(
        self,
        frames: Sequence[Frame[ProteinPreview]],
        recipe: Recipe,
        width: int,
        height: int,
        dark: bool = False,
        result: Result[DecodedProteins] | None = None,
    ) -> MomentPictures | None:
        """Backbones as flat drawings, each seen from where its last moment is seen best."""
        from .checks import FOLDED, secondary_structure
        from .drawing import STRUCTURE_NOTE, depict, viewpoint

        last = frames[-1].preview
        if not np.isfinite(last.backbone).all():
            return None
        cells = cells_for(len(last.residues), width, height, _ON_SLIDE)
        chains = [last.backbone[row, : int(last.residues[row])] for row in range(cells.count)]
        views = [viewpoint(chain[:, 1].astype(np.float64)) for chain in chains]

        def draw(moment: int) -> Image.Image:
            frame = frames[moment]

            def one(row: int, wide: int, high: int) -> Image.Image:
                chain = frame.preview.backbone[row, : int(frame.preview.residues[row])]
                folded = frame.level < FOLDED and np.isfinite(chain).all()
                letters = secondary_structure(chain) if folded else "-" * len(chain)
                return depict(chain, letters, min(wide, high), dark, views[row])

            return in_cells(cells, one, dark)

        shown = first_of(cells.count, recipe.batch)
        return MomentPictures(draw, ". ".join(filter(None, [STRUCTURE_NOTE, shown])))

    def exports(self, result: Result[DecodedProteins], shown: Shown = ALL) -> list[Export]:
        from .files import exports

        return exports(result, shown)

    def measured(self, result: Result[DecodedProteins]) -> list[Figure]:
        from .checks import figures_of

        return [] if result.decoded is None else figures_of(result.decoded, result.sampled)

    def describe(
        self, result: Result[DecodedProteins], figures: Sequence[Figure] | None = None
    ) -> dict[str, str | float]:
        said = super().describe(result, figures)
        if not said or result.decoded is None:
            return said
        weighed = {} if result.importance is None else {"means": "by what each protein counts for"}
        return {"proteins": len(result.decoded.residues)} | said | weighed


def _paper_examples() -> dict[str, Recipe]:
    """The paper's runs of FrameDiff and Proteus, of those that are there: 500 steps that are even in time, noise scaled
    by 0.1, weights apart for positions and rotations (arXiv 2412.17762, Section 4.3).
    """
    framediff, proteus = first_converted(FRAMEDIFF), first_converted(PROTEUS)

    def recipe(operator: OperatorRecipe, *models: str) -> Recipe:
        lowest = float(TRANSLATIONS.level(torch.tensor(COMPOSED_TO, dtype=torch.float64)))
        return Recipe(
            domain="proteins",
            experts=[Expert(model=model) for model in models],
            operator=operator,
            levels=Levels(steps=500, spacing="time", lowest=float(f"{lowest:.5g}")),
            solver="euler",
            noise_scale=0.1,
            batch=1,
            residues=100,
            per_component=len(models) > 1,
        )

    if framediff and proteus:
        both = (framediff, proteus)
        return {
            "The paper's OR: FrameDiff or Proteus": recipe(OrRecipe(), *both),
            "The paper's OR with l = 1 for Proteus": recipe(OrRecipe(bias=[0, 1]), *both),
            "The paper's AND: FrameDiff and Proteus": recipe(AndRecipe(), *both),
        }
    titles = {"FrameDiff alone, as the paper samples it": framediff, "Proteus alone, as the paper samples it": proteus}
    return {title: recipe(SingleRecipe(index=0), model) for title, model in titles.items() if model}


def _noising_of(experts: Sequence[ScoreModel]) -> Noising:
    """What all experts share; raises ArgumentError where they differ."""
    found = [expert.noising for expert in of_kind(experts, BackboneScore)]
    if any(one != found[0] for one in found):
        raise ArgumentError(different_noising([expert.title for expert in experts]))
    return found[0] if found else NOISING


def _solid(proteins: DecodedProteins, row: int) -> Solid:
    """One backbone for scripts that draw atoms."""
    backbone, structure = proteins.chain(row)
    known = np.nan_to_num(backbone, nan=0.0, posinf=_FARTHEST, neginf=-_FARTHEST).clip(-_FARTHEST, _FARTHEST)
    chain = {"positions": np.round(known.astype(float), 2).tolist(), "structure": structure, "colours": None}
    note = (
        f"{len(backbone)} residues, {proteins.helix[row]:.0%} in helices, {proteins.strand[row]:.0%} in strands; "
        f"radius of gyration {proteins.radius[row]:.1f} Angstrom"
    )
    return Solid(f"Protein {row}", note, {"chains": [chain]})


#: What the registry of domains finds.
DOMAIN = Proteins()
