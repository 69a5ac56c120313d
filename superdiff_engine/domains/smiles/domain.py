"""The domain "smiles": prompts of one LDMol as experts, whose latents are written as SMILES."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from PIL import Image

from ...domain import (
    ALL,
    Domain,
    Export,
    ModelInfo,
    MomentPictures,
    Prepared,
    Shown,
    SlidePicture,
    Solid,
    Wording,
)
from ...errors import ModelError, RecipeError, quoted
from ...geometry import whole
from ...measured import Figure
from ...recipes.document import Expert, GuidanceRecipe, Levels, Recipe
from ...recipes.operators import AndRecipe, AverageRecipe, CoinFlipRecipe, OperatorRecipe, OrRecipe, SingleRecipe
from ...result import Result
from ...sampling import Step
from ...score import ConditionedScore, Guidance, ScoreModel
from ...trace import Frame
from ..experts import of_kind, shared_network
from ..picture_files import png
from ..slides import cells_for, first_of, line_below, side_by_side
from ..sources import FOLDERS_VARIABLE, is_foreign, list_converted, local_model
from .arrays import DecodedSmiles, LatentPreview
from .latents import AXES, packed, sheet
from .model import SCHEDULE, TextToSmiles, load_model
from .text import NULL_PROMPT

if TYPE_CHECKING:
    from rdkit import Chem

#: What `superdiff convert` calls the models of this domain.
KINDS = ("ldmol",)
#: Dimensions of the published model's samples: 127 tokens of 64 channels.
DIMENSIONS = 127 * 64
PREVIEWED = 16
#: Pixels that a molecule is wide on a slide, at least, and its latents in a film.
_ON_SLIDE, _IN_FILM = 170, 150


class Smiles(Domain[LatentPreview, DecodedSmiles]):
    """Prompts of LDMol."""

    name = "smiles"
    order = 4
    title = "Molecules from text"
    level_unit = "standard deviations of the latents"
    preview_type = LatentPreview
    decoded_type = DecodedSmiles
    wording = Wording("What should the molecules be?", one_model=True, between=" and ")
    converted = KINDS
    guided = True
    sample_is_picture = True
    has_solids = True
    dtypes = ("float32",)
    levels = (SCHEDULE.lowest, SCHEDULE.highest)
    getting_models = (
        "No model is embedded: download LDMol's checkpoints, run 'superdiff convert ldmol' on them and name the folder "
        "that holds the result in SUPERDIFF_MODELS; docs/models.md has the commands."
    )

    def dimensions(self, size: int | None) -> float:
        return DIMENSIONS

    def listing(self) -> Iterator[ModelInfo | ModelError]:
        return list_converted(KINDS)

    def owns(self, model: str) -> bool:
        return is_foreign(model) and model.startswith("local/")

    def examples(self) -> dict[str, Recipe]:
        available = [info.id for info in self.models()]
        if not available:
            return {}

        def recipe(operator: OperatorRecipe, *prompts: str) -> Recipe:
            return Recipe(
                domain="smiles",
                experts=[Expert(model=available[0], prompt=prompt) for prompt in prompts],
                operator=operator,
                levels=Levels(steps=100),
                solver="ancestral",
                batch=8,
                guidance=GuidanceRecipe(weight=2.5),
            )

        amine, ring = "This molecule contains an amino group.", "This molecule contains an aromatic ring."
        acid = "This molecule is a carboxylic acid."
        return {
            "AND: an amine with an aromatic ring": recipe(AndRecipe(), amine, ring),
            "OR: an amine or a carboxylic acid": recipe(OrRecipe(), amine, acid),
            "Average, to compare with AND": recipe(AverageRecipe(), amine, ring),
            "Coin flip, to compare with OR": recipe(CoinFlipRecipe(), amine, acid),
            "One prompt, the other looks on": recipe(SingleRecipe(index=0), amine, ring),
        }

    def check(self, recipe: Recipe) -> None:
        if recipe.pipeline is not None:
            raise RecipeError("LDMol has no pipeline settings; remove 'pipeline'.")
        if len({expert.model for expert in recipe.experts}) > 1:
            raise RecipeError("Prompts of one run share one model; give all experts the same.")
        if local_model(recipe.experts[0].model, KINDS) is None:
            raise RecipeError(_missing(recipe.experts[0].model))
        for number, expert in enumerate(recipe.experts, start=1):
            if not (expert.prompt or "").strip():
                raise RecipeError(f"Expert {number} has no prompt; write what its molecules should be.")

    def load(self, expert: Expert, device: str, dtype: str) -> ConditionedScore:
        return find_model(expert.model, device).experts([expert.prompt or ""])[0]

    def prepare(self, recipe: Recipe, device: str) -> Prepared:
        network = find_model(recipe.experts[0].model, device)
        prompts, guidance = [expert.prompt or "" for expert in recipe.experts], recipe.guidance
        if guidance is None or guidance.weight == 1:
            return Prepared(network.experts(prompts))
        negative = guidance.negative_prompt.strip()
        network.read([*prompts, negative or NULL_PROMPT])  # all at once: the text encoder is loaded for it
        bounds = (guidance.lowest or 0.0, float("inf") if guidance.highest is None else guidance.highest)
        weight = guidance.weight

        def at(level: float) -> float:
            return weight if bounds[0] < float(level) <= bounds[1] else 1.0

        return Prepared(network.experts(prompts), Guidance(network.reference(negative), at))

    def preview(self, step: Step, experts: Sequence[ScoreModel], most: int) -> LatentPreview:
        """The denoised latents, of at most 16 molecules."""
        return LatentPreview(packed(whole(step.denoised)[: min(most, PREVIEWED)]))

    def decode(self, step: Step, experts: Sequence[ScoreModel]) -> DecodedSmiles:
        """Written by the decoder, read by RDKit."""
        written = shared_network(experts, TextToSmiles).write(whole(step.denoised))
        from .checks import checked  # RDKit: not before there are molecules

        return checked(written)

    def notes(self, experts: Sequence[ScoreModel]) -> list[str]:
        return [warning for expert in of_kind(experts, ConditionedScore) for warning in expert.condition.warnings]

    def preview_png(self, result: Result[DecodedSmiles]) -> bytes | None:
        from ..depiction import sheet as depicted

        if result.decoded is None:
            return None
        drawn = [drawable(result.decoded, row) for row in range(min(64, len(result.decoded.smiles)))]
        shares = result.shares
        notes = [
            " ".join([f"{row}", *([] if shares is None else [f"({shares[row]:.0%} of group)"]), reason])[:34]
            for row, (_, reason) in enumerate(drawn)
        ]
        return png(depicted([(one, note) for (one, _), note in zip(drawn, notes, strict=True)]), result.recipe)

    def slide_picture(
        self, result: Result[DecodedSmiles], width: int, height: int, dark: bool = False
    ) -> SlidePicture | None:
        """Flat depictions, each with why it is no molecule where it is none."""
        if result.decoded is None:
            return None
        from ..depiction import depict

        decoded, below = result.decoded, line_below(result)
        cells = cells_for(len(decoded.smiles), width, height, _ON_SLIDE, below=below)

        def draw(row: int, wide: int, high: int) -> Image.Image:
            molecule, reason = drawable(decoded, row)
            made = depict(molecule, reason[:30], wide, high, dark)
            return Image.open(io.BytesIO(made)).convert("RGBA")

        return side_by_side(result, cells, draw, dark, below)

    def moment_pictures(
        self,
        frames: Sequence[Frame[LatentPreview]],
        recipe: Recipe,
        width: int,
        height: int,
        dark: bool = False,
        result: Result[DecodedSmiles] | None = None,
    ) -> MomentPictures | None:
        """The latents, as heat maps."""
        count = min(len(frame.preview.latents) for frame in frames)

        def draw(moment: int) -> Image.Image:
            return sheet(frames[moment].preview.latents[:count], width, height, dark, _IN_FILM)

        return MomentPictures(draw, " ".join(filter(None, [first_of(count, recipe.batch), AXES])))

    def solids(self, result: Result[DecodedSmiles], shown: Shown = ALL, most: int = 64) -> list[Solid]:
        """The first valid molecules that are shown, with a geometry made now (`geometry.build`)."""
        if result.decoded is None:
            return []
        from .geometry import build

        smiles = result.decoded.smiles
        found: list[Solid] = []
        for row in range(len(smiles)) if shown.rows is None else shown.rows:
            built = build(str(smiles[row])) if smiles[row] and len(found) < most else None
            if built is not None:
                found.append(Solid(f"Molecule {row}", f"{smiles[row]}; geometry {built.said}", built.frame()))
        return found

    def picture_png(self, result: Result[DecodedSmiles], index: int) -> bytes:
        """A flat depiction of molecule `index`, as a PNG with the recipe inside."""
        from ..depiction import on_white

        return png(on_white(drawable(result.require_decoded(), index)[0]), result.recipe)

    def exports(self, result: Result[DecodedSmiles], shown: Shown = ALL) -> list[Export]:
        from .files import exports

        return exports(result, shown)

    def measured(self, result: Result[DecodedSmiles]) -> list[Figure]:
        from .checks import figures_of

        return [] if result.decoded is None else figures_of(result.decoded, result.sampled)


def drawable(decoded: DecodedSmiles, row: int) -> tuple[Chem.Mol, str]:
    """(a molecule to draw, why it is none): a question mark where it is none."""
    from ..depiction import question_mark
    from .checks import molecule_of

    smiles = str(decoded.smiles[row])
    return (molecule_of(smiles), "") if smiles else (question_mark(), f"not valid: {decoded.reason[row]}")


def find_model(model: str, device: str = "cpu") -> TextToSmiles:
    """A converted LDMol of the user's, "local/NAME"; raises ModelError."""
    found = local_model(model, KINDS)
    if found is None:
        raise ModelError(_missing(model))
    return load_model(found.folder, device)


def _missing(model: str) -> str:
    return (
        f"There is no LDMol called '{quoted(model)}' here; convert one with 'superdiff convert ldmol' and put its "
        f"folder into one that {FOLDERS_VARIABLE} names."
    )


#: What the registry of domains finds.
DOMAIN = Smiles()
