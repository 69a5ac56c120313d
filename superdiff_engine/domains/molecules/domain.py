"""The domain "molecules": property prompts of embedded 3D molecule models as experts."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from PIL import Image

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
    Wording,
    rows_of,
    settling,
)
from ...errors import ModelError, RecipeError
from ...geometry import State, divided
from ...measured import Figure
from ...recipes.document import Expert, GuidanceRecipe, Levels, Recipe
from ...recipes.operators import (
    AndRecipe,
    AverageRecipe,
    CoinFlipRecipe,
    FormulaRecipe,
    OperatorRecipe,
    OrRecipe,
    SingleRecipe,
)
from ...result import Result
from ...sampling import Step
from ...score import ConditionedScore, Guidance, ScoreModel
from ...trace import Frame
from ...training.saved import SETTINGS
from ..embedded import EmbeddedModels
from ..experts import shared_network
from ..picture_files import png
from ..sizes import draw_sizes, sizes_in_turn
from ..slides import cells_for, first_of, in_cells, line_below, side_by_side
from .arrays import DecodedMolecules, MoleculePreview
from .atoms import ELEMENTS, FEWEST_ATOMS, MOST_ATOMS
from .model import HIGHEST_LEVEL, LOWEST_LEVEL, MoleculeModel, MoleculeScores, decode, encode, load_model, load_settings
from .properties import Term, Vocabulary, contradict
from .solids import solid

if TYPE_CHECKING:
    from .reading import ReadMolecules

#: All of QM9; the two others learned from disjoint parts of it.
WHOLE, RINGS, CHAINS = "molecules", "molecules_rings", "molecules_chains"
NAMES = (WHOLE, RINGS, CHAINS)
MODELS = EmbeddedModels(NAMES, load_settings, needed=SETTINGS)
PREVIEWED = 64
#: Pixels that a molecule is wide on a slide, at least.
_ON_SLIDE = 170
#: Level at which log-densities of molecules from files are estimated, 0.03 Angstrom: below it every digit of a
#: coordinate would count.
ESTIMATION_LEVEL = 0.02


class Molecules(Domain[MoleculePreview, DecodedMolecules]):
    """Property prompts of molecule models, or different models."""

    name = "molecules"
    order = 3
    preview_type = MoleculePreview
    decoded_type = DecodedMolecules
    estimation_level = ESTIMATION_LEVEL
    title = "Molecules"
    sample_is_picture = True
    level_unit = "1.4 Angstrom for positions"
    wording = Wording("Any property", chosen=True)
    guided = True
    components = ("positions", "types", "bonds")
    size = Size("atoms", "Atoms, hydrogens included", FEWEST_ATOMS, MOST_ATOMS, "as in QM9")
    dtypes = ("float32", "bfloat16")  # float16 has too small a range
    levels = (LOWEST_LEVEL, HIGHEST_LEVEL)

    def dimensions(self, size: int | None) -> float:
        atoms = MOST_ATOMS if size is None else size
        return atoms * (3 + len(ELEMENTS)) + atoms * (atoms - 1) // 2

    def listing(self) -> Iterable[ModelInfo | ModelError]:
        return MODELS.listing()

    def owns(self, model: str) -> bool:
        return model in MODELS

    def suggestions(self, model: str) -> list[str]:
        return [term.text for term in words_of(model).terms]

    def remarks(self, recipe: Recipe) -> list[str]:
        """What no molecule can satisfy at once, where the operator does not insist on it."""
        rivals = contradictions(recipe)
        if not rivals or recipe.operator.aims_at != "mean":
            return []
        return [f"No molecule satisfies both '{rivals[0][0].text}' and '{rivals[0][1].text}'."]

    def examples(self) -> dict[str, Recipe]:
        def recipe(operator: OperatorRecipe, *prompts: str, models: Sequence[str] = ()) -> Recipe:
            named = models or [WHOLE] * len(prompts)
            # 4 for a prompt: average and AND share the guidance out, and NOT gives the prompt that it keeps the double.
            shared = 0.5 if isinstance(operator, FormulaRecipe) else len(prompts)
            return Recipe(
                domain="molecules",
                experts=[Expert(model=model, prompt=prompt) for model, prompt in zip(named, prompts, strict=True)],
                operator=operator,
                levels=Levels(steps=100),
                solver="euler",  # as in docs/tables/molecules.json
                batch=4,
                guidance=GuidanceRecipe(weight=4.0 * shared) if any(prompts) else None,
            )

        known = {
            "AND: polar, yet with much sp3": recipe(AndRecipe(), "high TPSA", "high fraction sp3"),
            "AND: oily and polar at once, rare in QM9": recipe(AndRecipe(), "high logP", "high TPSA"),
            "OR: rings or chains, two networks": recipe(OrRecipe(), "", "", models=(RINGS, CHAINS)),
            "Average, to compare with AND": recipe(AverageRecipe(), "high TPSA", "high fraction sp3"),
            "Coin flip, to compare with OR": recipe(CoinFlipRecipe(), "", "", models=(RINGS, CHAINS)),
            "Polar but not aromatic": recipe(
                FormulaRecipe(text='"high TPSA" but not "aromatic ring"'), "high TPSA", "aromatic ring"
            ),
            "Any molecule of QM9's kind": recipe(SingleRecipe(index=0), ""),
        }
        return self._possible(known)

    def check(self, recipe: Recipe) -> None:
        if recipe.pipeline is not None:
            raise RecipeError("Molecule models have no pipeline settings; remove 'pipeline'.")
        for expert in recipe.experts:
            words_of(expert.model).parse(expert.prompt or "")
        if recipe.guidance is not None:
            words_of(WHOLE).parse(recipe.guidance.negative_prompt)
        rivals = contradictions(recipe)
        if rivals and recipe.operator.aims_at == "all":
            raise RecipeError(
                f"No molecule satisfies both '{rivals[0][0].text}' and '{rivals[0][1].text}', so AND has nothing to "
                "find. Choose OR, or other prompts."
            )

    def load(self, expert: Expert, device: str, dtype: str) -> ConditionedScore:
        model = find_model(expert.model, device)
        return MoleculeScores(model, draw_sizes(model.settings.sizes, 1, 0), device, dtype).expert(expert.prompt or "")

    def prepare(self, recipe: Recipe, device: str) -> Prepared:
        sizes = numbers_of_atoms(recipe)
        networks, experts = experts_of(recipe, sizes, device)
        guidance = recipe.guidance
        if guidance is None or guidance.weight == 1:
            return Prepared(experts)
        # The mix is led away from what all the experts have in common: their own network, else that of all molecules.
        common = networks[recipe.experts[0].model]
        if len(networks) > 1:
            common = networks.get(WHOLE) or MoleculeScores(find_model(WHOLE, device), sizes, device, recipe.dtype)
        reference = common.expert(guidance.negative_prompt)
        bounds = (guidance.lowest or 0.0, guidance.highest or float("inf"))
        weight = guidance.weight

        def at(level: float) -> float:
            return weight if bounds[0] < float(level) <= bounds[1] else 1.0

        return Prepared(experts, Guidance(reference, at))

    def place(self, recipe: Recipe, given: ReadMolecules, device: str) -> tuple[Sequence[ScoreModel], State, float]:
        """The recipe's experts for molecules of an SDF, their state, and ESTIMATION_LEVEL."""
        _, experts = experts_of(recipe, [int(count) for count in given.atoms], device)
        arrays = (given.elements, given.positions, given.bonds, given.atoms)
        state = encode(*(torch.from_numpy(array) for array in arrays))
        return experts, {name: part.to(device) for name, part in state.items()}, ESTIMATION_LEVEL

    def place_sampled(
        self, recipe: Recipe, samples: State, rows: Sequence[int], device: str
    ) -> tuple[Sequence[ScoreModel], State]:
        """The recipe's experts for molecules of these numbers of atoms."""
        atoms = numbers_of_atoms(recipe)
        _, experts = experts_of(recipe, [atoms[row] for row in rows], device)
        return experts, rows_of(samples, rows, device)

    def unplaced(self, given: ReadMolecules) -> list[str]:
        """Molecules without 3D coordinates cannot be placed."""
        return [
            f"Molecule {number} has no 3D coordinates, so it is not scored: {why}." if why else ""
            for number, why in zip(given.numbers, given.unplaced, strict=True)
        ]

    def preview(self, step: Step, experts: Sequence[ScoreModel], most: int) -> MoleculePreview:
        """Of at most 64 molecules."""
        count, s = min(most, PREVIEWED), step.level
        states = (divided(step.samples), divided(step.denoised))
        noisy, denoised = ({name: part[:count] for name, part in state.items()} for state in states)
        moving = settling(noisy["positions"], denoised["positions"], s)
        decoded = decode(denoised | {"positions": moving}, shared_network(experts, MoleculeScores).atoms[:count])
        return MoleculePreview.of(decoded.arrays())

    def decode(self, step: Step, experts: Sequence[ScoreModel]) -> DecodedMolecules:
        denoised = divided(step.denoised)
        from .checks import checked_molecules  # RDKit: not before there are molecules

        return checked_molecules(decode(denoised, shared_network(experts, MoleculeScores).atoms))

    def preview_png(self, result: Result[DecodedMolecules]) -> bytes | None:
        from .drawing import grid

        return None if result.decoded is None else png(grid(result.decoded, shares=result.shares), result.recipe)

    def slide_picture(
        self, result: Result[DecodedMolecules], width: int, height: int, dark: bool = False
    ) -> SlidePicture | None:
        """Flat depictions, each with why it is not valid where it is not."""
        if result.decoded is None:
            return None
        from ..depiction import depict
        from .checks import verdicts_of

        decoded, below = result.decoded, line_below(result)
        cells = cells_for(len(decoded.atoms), width, height, _ON_SLIDE, below=below)
        verdicts = verdicts_of(decoded, range(cells.count))

        def draw(row: int, wide: int, high: int) -> Image.Image:
            note = "" if verdicts[row].valid else str(verdicts[row].reason)[:30]
            drawn = depict(verdicts[row].molecule, note, wide, high, dark, bond=0.19 * wide)
            return Image.open(io.BytesIO(drawn)).convert("RGBA")

        return side_by_side(result, cells, draw, dark, below)

    has_solids = True

    def solids(self, result: Result[DecodedMolecules], shown: Shown = ALL, most: int = 64) -> list[Solid]:
        from .files import shown_molecules

        if result.decoded is None:
            return []
        rows, molecules, geometries = shown_molecules(result, shown.rows, shown.relaxed)
        return [solid(molecules, row, geometries[row]) for row in rows[:most]]

    def moment_pictures(
        self,
        frames: Sequence[Frame[MoleculePreview]],
        recipe: Recipe,
        width: int,
        height: int,
        dark: bool = False,
        result: Result[DecodedMolecules] | None = None,
    ) -> MomentPictures | None:
        """Balls and sticks, each molecule seen from where its last moment is seen best."""
        from .balls import draw_balls, viewpoint

        last = frames[-1].preview
        cells = cells_for(len(last.atoms), width, height, _ON_SLIDE)
        views = [viewpoint(last.positions[row, : int(last.atoms[row])]) for row in range(cells.count)]

        def draw(moment: int) -> Image.Image:
            shown = frames[moment].preview

            def one(row: int, wide: int, high: int) -> Image.Image:
                return draw_balls(shown, row, views[row], min(wide, high), dark)

            return in_cells(cells, one, dark)

        return MomentPictures(draw, first_of(cells.count, recipe.batch))

    def picture_png(self, result: Result[DecodedMolecules], index: int) -> bytes:
        """A flat depiction of molecule `index`, as a PNG with the recipe inside."""
        from ..depiction import on_white
        from .checks import verdicts_of

        (verdict,) = verdicts_of(result.require_decoded(), [index])
        return png(on_white(verdict.molecule), result.recipe)

    def exports(self, result: Result[DecodedMolecules], shown: Shown = ALL) -> list[Export]:
        from .files import exports

        return exports(result, shown)

    def measured(self, result: Result[DecodedMolecules]) -> list[Figure]:
        from .checks import figures_of

        if result.decoded is None:
            return []
        return figures_of(result.decoded, prompts_of(result.recipe), result.sampled)

    def describe(
        self, result: Result[DecodedMolecules], figures: Sequence[Figure] | None = None
    ) -> dict[str, str | float]:
        said = super().describe(result, figures)
        return said | ({"not weighted": "uniqueness and valences"} if said and result.importance is not None else {})


def prompts_of(recipe: Recipe) -> list[tuple[str, list[Term]]]:
    """(what it says, its terms) of each expert's prompt."""
    return [
        (expert.prompt or expert.model, words_of(expert.model).parse(expert.prompt or "")) for expert in recipe.experts
    ]


def contradictions(recipe: Recipe) -> list[tuple[Term, Term]]:
    """Pairs of terms of different experts that no molecule satisfies at once."""
    found = []
    for (_, first), (_, second) in combinations(prompts_of(recipe), 2):
        found += [(a, b) for a in first for b in second if contradict(a, b)]
    return found


def experts_of(
    recipe: Recipe, atoms: Sequence[int], device: str
) -> tuple[dict[str, MoleculeScores], list[ConditionedScore]]:
    """(networks by model, experts) of a recipe, for samples of these numbers of atoms; one network for all its prompts.

    Raises:
        ModelError: when a model is missing or damaged.
        RecipeError: for a prompt that its model does not know.
    """
    names = dict.fromkeys(expert.model for expert in recipe.experts)
    networks = {name: MoleculeScores(find_model(name, device), atoms, device, recipe.dtype) for name in names}
    return networks, [networks[expert.model].expert(expert.prompt or "") for expert in recipe.experts]


def numbers_of_atoms(recipe: Recipe) -> list[int]:
    """Atoms of each sample: the recipe's, or drawn from the data of the experts' models, each in its turn."""
    if recipe.atoms is not None:
        return [recipe.atoms] * recipe.batch
    counts = [MODELS.settings(expert.model).sizes for expert in recipe.experts]
    return sizes_in_turn(counts, recipe.batch, recipe.seed, recipe.group)


def find_model(name: str, device: str = "cpu") -> MoleculeModel:
    """An embedded molecule model; raises ModelError."""
    return load_model(MODELS.find_folder(name), device)


def words_of(name: str) -> Vocabulary:
    """The terms of a model; where it cannot be read, the same terms with bounds that nobody asks for."""
    with suppress(ModelError):  # said by whoever lists or loads it
        return MODELS.settings(name).vocabulary
    return Vocabulary.unmeasured()


#: What the registry of domains finds.
DOMAIN = Molecules()
