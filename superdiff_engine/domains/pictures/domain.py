"""The domain "pictures": experts, live previews, and PNGs that carry their recipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ...domain import ModelInfo
from ...errors import ModelError
from ...geometry import Euclidean, whole
from ...measured import SHARE, Figure
from ...recipes.document import Expert, Levels, Recipe
from ...recipes.operators import AndRecipe, AverageRecipe, CoinFlipRecipe, OperatorRecipe, OrRecipe, SingleRecipe
from ...result import Result
from ...sampling import Step
from ...score import ScoreModel
from ...system.devices import fast_dtype
from ..experts import of_kind
from ..picture_files import DecodedPictures, PicturePreview, to_uint8
from ..pipelines import PipelineDomain
from . import model
from .data import CLASS_NAMES, EXPERT_CLASSES

#: Below this level the eye (and the classifier) sees no noise in pictures of 256 greys.
LOWEST_LEVEL = 0.02
#: Above it nothing of a picture in [-1, 1] is left to see.
HIGHEST_LEVEL = 80.0


class Pictures(PipelineDomain):
    """Unconditional picture models."""

    name = "pictures"
    order = 1
    title = "Pictures"
    level_unit = "half the range from black to white"

    def listing(self) -> Iterable[ModelInfo | ModelError]:
        return model.list_models()

    def reads(self, index: dict[str, Any]) -> bool:
        return model.reads(index)

    def owns(self, model_id: str) -> bool:
        return model.owns(model_id)

    def examples(self) -> dict[str, Recipe]:
        def recipe(operator: OperatorRecipe, *models: str, steps: int = 50) -> Recipe:
            return Recipe(
                domain="pictures",
                experts=[Expert(model=name) for name in models or ("garments_a", "garments_b")],
                operator=operator,
                levels=Levels(steps=steps),
                solver="ancestral",
                estimator="trapezoid",
                batch=24,
                dtype=fast_dtype(),  # as in docs/tables/pictures.json
            )

        known = {
            "OR: all ten garments from two experts of five": recipe(OrRecipe()),
            "AND: pictures that both experts find equally likely": recipe(AndRecipe()),
            "Average: the usual mixing of scores, to compare with": recipe(AverageRecipe()),
            "Coin flip: what OR should be as good as": recipe(CoinFlipRecipe()),
            "One expert alone, the other looks on": recipe(SingleRecipe(index=0)),
            "One model of all ten, to compare with": recipe(SingleRecipe(index=0), "garments_ab"),
        }
        return self._possible(known)

    def check(self, recipe: Recipe) -> None:
        """Nothing beyond what every recipe is checked for: shapes are known when the models are loaded."""

    def load(self, expert: Expert, device: str, dtype: str) -> model.PictureScore:
        return model.load_expert(expert.model, device, dtype, expert.revision)

    def notes(self, experts: Sequence[ScoreModel]) -> list[str]:
        return list(dict.fromkeys(note for expert in of_kind(experts, model.PictureScore) for note in expert.notes))

    def space(self, experts: Sequence[ScoreModel]) -> Euclidean:
        models = of_kind(experts, model.PictureScore)
        shapes = [expert.space.tangent_shape for expert in models]
        for expert, shape in zip(models, shapes, strict=True):
            if shape != shapes[0]:
                raise ModelError(
                    f"Experts of one run need pictures of one shape: {models[0].title} makes {_size(shapes[0])}, "
                    f"{expert.title} makes {_size(shape)}."
                )
        return models[0].space

    def level_range(self, experts: Sequence[ScoreModel]) -> tuple[float, float]:
        schedules = [expert.schedule for expert in of_kind(experts, model.PictureScore)]
        lowest = max(LOWEST_LEVEL, *(schedule.lowest for schedule in schedules))
        highest = min(HIGHEST_LEVEL, *(schedule.highest for schedule in schedules))
        return lowest, highest

    def preview(self, step: Step, experts: Sequence[ScoreModel], most: int) -> PicturePreview:
        denoised = whole(step.denoised)
        return PicturePreview(to_uint8(denoised[:most]))

    def decode(self, step: Step, experts: Sequence[ScoreModel]) -> DecodedPictures:
        denoised = whole(step.denoised)
        return DecodedPictures(to_uint8(denoised))

    def measured(self, result: Result[DecodedPictures]) -> list[Figure]:
        """The share of each garment, by the embedded classifier; empty for experts of anything else."""
        if not all(expert.model in EXPERT_CLASSES for expert in result.recipe.experts):
            return []
        from .classifier import classify, load_classifier

        try:
            network = load_classifier()
        except ModelError:
            return []  # a run without figures is still a run
        _, probabilities = classify(network, torch.from_numpy(result.denoised["x"]))
        chosen = probabilities.argmax(1).numpy()
        label = "share of" if result.importance is None else "weighted share of"
        found = []
        for place, name in enumerate(CLASS_NAMES):
            share, error = result.sampled.share(chosen == place)
            found.append(
                Figure(
                    name=f"class/{name}",
                    title=f"share of {name}",
                    value=share,
                    error=error,
                    unit=SHARE,
                    main=True,
                    label=f"{label} {name}",
                    said=share or None,
                    meaning="How many of the pictures the classifier here takes for one, argmax p(class | picture).",
                )
            )
        return found


def _size(shape: Sequence[int]) -> str:
    channels, height, width = shape
    return f"{height} x {width} {'grey' if channels == 1 else 'RGB'}"


#: What the registry of domains finds.
DOMAIN = Pictures()
