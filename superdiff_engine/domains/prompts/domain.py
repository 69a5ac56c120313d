"""The domain "prompts": prompts of one text-to-image model as experts, guided, decoded by the model's VAE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ...domain import ModelInfo, Prepared, Wording, look_at
from ...errors import ModelError, RecipeError
from ...geometry import whole
from ...measured import Figure
from ...recipes.document import Expert, GuidanceRecipe, Levels, PipelineRecipe, Recipe
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
from ...system.devices import fast_dtype
from ...system.file_cache import file_cached
from ..embedded import EmbeddedModels
from ..experts import of_kind, shared_network
from ..picture_files import DecodedPictures, PicturePreview
from ..pipelines import PipelineDomain
from ..sources import LocalPipeline, is_foreign, local_pipelines, printable, read_settings
from .emoji.captions import unknown_words
from .encoding import recognise
from .loading import PipelineOptions, PromptSettings, find_folder
from .pipeline import TextToImage, interval_guidance, load_text_to_image

#: The embedded model, and the one that examples name where it is not installed: the paper's kind.
EMBEDDED = "emoji"
PAPERS_KIND = "hub/stable-diffusion-v1-5/stable-diffusion-v1-5"
#: Below this level nothing changes that the eye could see.
LOWEST_LEVEL = 0.03


class Prompts(PipelineDomain):
    """Prompts of a text-to-image pipeline."""

    name = "prompts"
    order = 2
    title = "Prompts"
    level_unit = "standard deviations of the latents"
    wording = Wording("What should the pictures show?", one_model=True, between=" and ")
    guided = True
    pipelines = True

    def listing(self) -> Iterator[ModelInfo | ModelError]:
        yield from MODELS.listing()
        for local in local_pipelines():
            if self.reads(local.index):
                yield look_at(local.id, partial(_local_info, local))

    def reads(self, index: dict[str, Any]) -> bool:
        return recognise(index) is not None

    def owns(self, model: str) -> bool:
        return model in MODELS or is_foreign(model)

    def suggestions(self, model: str) -> list[str]:
        settings = self._settings(model)
        return [] if settings is None else settings.suggestions

    def remarks(self, recipe: Recipe) -> list[str]:
        """Words that the model has never seen, where it says which ones it has."""
        settings = self._settings(recipe.experts[0].model)
        if settings is None or settings.vocabulary is None:
            return []
        texts = [expert.prompt or "" for expert in recipe.experts]
        if recipe.guidance is not None:
            texts.append(recipe.guidance.negative_prompt)
        words = unknown_words(" ".join(texts), settings.vocabulary)
        if not words:
            return []
        listed = ", ".join(f"'{word}'" for word in words[:8]) + (" and more" if len(words) > 8 else "")
        return [f"{settings.title} has not learned {listed}: such words mean next to nothing to it."]

    def _settings(self, model: str) -> PromptSettings | None:
        with suppress(ModelError):  # said by whoever lists or loads it
            if model in MODELS:
                return MODELS.settings(model)
        return None

    def examples(self) -> dict[str, Recipe]:
        available = [info.id for info in self.models()]
        model = available[0] if available else PAPERS_KIND
        embedded = model == EMBEDDED

        def recipe(operator: OperatorRecipe, *prompts: str) -> Recipe:
            return Recipe(
                domain="prompts",
                experts=[Expert(model=model, prompt=prompt) for prompt in prompts],
                operator=operator,
                # docs/tables/prompts_steps.json: more steps change no score of the emoji's.
                levels=Levels(steps=20 if embedded else 50),
                solver="ancestral",
                batch=4 if embedded else 1,
                # docs/tables/prompts_steps.json: the scores are the same, and a run takes 0.6 of the time.
                dtype=fast_dtype() if embedded else "float32",
                guidance=GuidanceRecipe(weight=4.0 if embedded else 7.5),
            )

        return {
            "AND: a sunflower that is a lemon": recipe(AndRecipe(), "a sunflower", "a lemon"),
            "AND: a rocket that is a cactus": recipe(AndRecipe(), "a rocket", "a cactus"),
            "OR: an otter or a duck": recipe(OrRecipe(), "an otter", "a duck"),
            "Average, to compare with AND": recipe(AverageRecipe(), "a sunflower", "a lemon"),
            "Coin flip, to compare with OR": recipe(CoinFlipRecipe(), "an otter", "a duck"),
            "Three prompts: AND": recipe(AndRecipe(), "a cat", "a pumpkin", "a moon"),
            "A lion but not a cat": recipe(FormulaRecipe(text='"a lion" but not "a cat"'), "a lion", "a cat"),
            "One prompt, the other looks on": recipe(SingleRecipe(index=0), "a sunflower", "a lemon"),
        }

    def check(self, recipe: Recipe) -> None:
        if len({(expert.model, expert.revision) for expert in recipe.experts}) > 1:
            raise RecipeError("Prompts of one run share one model and its revision; give all experts the same.")
        for number, expert in enumerate(recipe.experts, start=1):
            if not (expert.prompt or "").strip():
                raise RecipeError(f"Expert {number} has no prompt; write what its pictures should show.")

    def load(self, expert: Expert, device: str, dtype: str) -> ConditionedScore:
        folder = find_model(expert.model, expert.revision)
        return load_text_to_image(folder, device, dtype).expert(expert.prompt or "")

    def prepare(self, recipe: Recipe, device: str) -> Prepared:
        settings = recipe.pipeline or PipelineRecipe()
        options = PipelineOptions(**settings.model_dump(exclude={"height", "width"}))
        first = recipe.experts[0]
        folder = find_model(first.model, first.revision)
        network = load_text_to_image(folder, device, recipe.dtype, options).for_a_run()
        size = None if settings.height is None or settings.width is None else (settings.height, settings.width)
        experts = [network.expert(expert.prompt or "", size) for expert in recipe.experts]
        return Prepared(experts, _guidance(network, recipe.guidance, size))

    def level_range(self, experts: Sequence[ScoreModel]) -> tuple[float, float]:
        lowest, highest = _network(experts).level_range
        return max(LOWEST_LEVEL, lowest), highest

    def preview(self, step: Step, experts: Sequence[ScoreModel], most: int) -> PicturePreview:
        """By a linear map of the denoised latents, one pixel a latent; of at most 64."""
        denoised = whole(step.denoised)
        return PicturePreview(_network(experts).preview(denoised[: min(most, 64)]))

    def decode(self, step: Step, experts: Sequence[ScoreModel]) -> DecodedPictures:
        """By the VAE."""
        denoised = whole(step.denoised)
        return DecodedPictures(_network(experts).decode(denoised))

    def measured(self, result: Result[DecodedPictures]) -> list[Figure]:
        """What the concept scorer sees, of pictures of the embedded model: it knows emoji and nothing else."""
        if result.decoded is None or any(expert.model != EMBEDDED for expert in result.recipe.experts):
            return []
        from .judged import figures_of

        prompts = [expert.prompt or "" for expert in result.recipe.experts]
        with suppress(ModelError):  # a run without figures is still a run
            return figures_of(result.decoded.pictures, prompts, result.sampled)
        return []

    def notes(self, experts: Sequence[ScoreModel]) -> list[str]:
        if not experts:
            return []
        found = [warning for expert in of_kind(experts, ConditionedScore) for warning in expert.condition.warnings]
        found += _network(experts).notes
        splits = _network(experts).splits
        if splits:
            found.append(
                f"The memory was short: calls to the network were halved {splits} time{'s' if splits > 1 else ''}. "
                "The samples are the same, the run is slower; a smaller batch or float16 avoids it."
            )
        return found


@file_cached(1, "superdiff.json")
def _embedded_settings(folder: Path) -> PromptSettings:
    """Read once, not at every turn of the page: the vocabulary is long."""
    return read_settings(folder, PromptSettings)


MODELS = EmbeddedModels([EMBEDDED], _embedded_settings, listed="superdiff.json")


def _local_info(local: LocalPipeline) -> ModelInfo:
    read_settings(local.folder, PromptSettings)
    return ModelInfo(local.id, local.title, f"text-to-image pipeline in {printable(str(local.folder))}", "local")


def find_model(model: str, revision: str | None = None) -> Path:
    """The folder of the pipeline `model`: the embedded one, "local/NAME" or "hub/OWNER/NAME"; raises ModelError."""
    return MODELS.find_folder(model) if model in MODELS else find_folder(model, revision)


def _network(experts: Sequence[ScoreModel]) -> TextToImage:
    return shared_network(experts, TextToImage)


def _guidance(network: TextToImage, recipe: GuidanceRecipe | None, size: tuple[int, int] | None) -> Guidance | None:
    if recipe is None or recipe.weight == 1:
        return None
    if recipe.lowest is None and recipe.highest is None:
        return network.guidance(recipe.weight, recipe.negative_prompt, size)
    bounds = (recipe.lowest or 0.0, recipe.highest or float("inf"))
    return network.guidance(interval_guidance(recipe.weight, *bounds), recipe.negative_prompt, size)


#: What the registry of domains finds.
DOMAIN = Prompts()
