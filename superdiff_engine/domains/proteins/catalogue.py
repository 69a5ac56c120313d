"""The models of proteins by their ids: embedded ones, and FrameDiff and Proteus in folders of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from torch import nn

from ...domain import ModelInfo
from ...errors import ModelError, RecipeError
from ...noise import Noising
from ...recipes.document import Recipe
from ...system.file_cache import file_cached
from ...training import saved
from ...training.saved import SETTINGS, WEIGHTS, load_network
from ..embedded import EmbeddedModels
from ..sizes import sizes_in_turn
from ..sources import FOLDERS_VARIABLE, LocalModel, list_converted, local_model, local_models
from .model import NAMES, NOISING, BackboneScore, ProteinModel, ProteinScore, load_model, load_settings
from .se3 import schedules
from .se3.expert import FrameScore

MODELS = EmbeddedModels(NAMES, load_settings, needed=SETTINGS)
#: Kinds of converted models, as their config.json names them.
FRAMEDIFF, PROTEUS = "framediff", "proteus"
KINDS = (FRAMEDIFF, PROTEUS)
#: Numbers of residues of those, which bring no data along: the paper's (arXiv 2412.17762, Table 3).
LENGTHS = dict.fromkeys((100, 150, 200, 250, 300), 1)


class FrameSettings(BaseModel):
    """What config.json of a converted model says, as far as it is needed here."""

    kind: str
    network: dict[str, Any]


def listing() -> Iterator[ModelInfo | ModelError]:
    """All that are there now; in the place of one that cannot be read, the error that says so."""
    yield from MODELS.listing()
    yield from list_converted(KINDS)


def owns(model: str) -> bool:
    """Whether it is written like the id of one of them; `check_together` says which are not there."""
    return model in MODELS or model.startswith("local/")


def first_of(kind: str) -> str | None:
    """The id of the first converted model of a kind, if there is one."""
    return next((local.id for local in local_models([kind])), None)


def noising_of(model: str) -> Noising:
    """How a model is noised."""
    return NOISING if model in MODELS else schedules.NOISING


def title_of(model: str) -> str:
    """A model's title for sentences; its id where it cannot be read."""
    try:
        return MODELS.settings(model).title if model in MODELS else _converted(model).title
    except ModelError:
        return model


def check_together(recipe: Recipe) -> None:
    """Raise RecipeError where its models are not there, cannot be walked together, or not as it asks."""
    models = list(dict.fromkeys(expert.model for expert in recipe.experts))
    try:
        for model in models:
            if model not in MODELS:
                _converted(model)
    except ModelError as error:
        raise RecipeError(str(error)) from None
    found = [noising_of(model) for model in models]
    if any(one != found[0] for one in found):
        raise RecipeError(different_noising([title_of(model) for model in models]))
    converted = [model for model in models if model not in MODELS]
    if not converted:
        return
    title = title_of(converted[0])
    if recipe.dtype != "float32":
        raise RecipeError(f"{title} computes in float32, not in {recipe.dtype}; choose float32.")
    highest = recipe.levels.highest
    if highest is not None and highest > found[0].highest:
        raise RecipeError(
            f"{title} knows levels up to {found[0].highest:.4g}, its time 1, not {highest:g}; leave the highest level "
            "open."
        )


def different_noising(titles: Sequence[str]) -> str:
    """Why experts of these titles are not composed, in a sentence."""
    return (
        f"{' and '.join(titles)} cannot be walked together: where their positions have the same noise, their rotations "
        "have not, so no step is one of both; compose FrameDiff with Proteus, and embedded models with each other."
    )


def experts_of(recipe: Recipe, residues: Sequence[int], device: str) -> list[BackboneScore]:
    """A recipe's experts, for chains of these numbers of residues; raises ModelError."""
    return [load_expert(one.model, residues, device, recipe.dtype) for one in recipe.experts]


def load_expert(model: str, residues: Sequence[int], device: str, dtype: str) -> BackboneScore:
    """One model as an expert, which has no memory yet; raises ModelError."""
    if model in MODELS:
        return ProteinScore(find_model(model, device), residues, device, dtype)
    found = _converted(model)
    return FrameScore(load_frames(found.folder, device), found.title, residues, device)


def numbers_of_residues(recipe: Recipe) -> list[int]:
    """Residues of each sample: the recipe's, or drawn as the experts' models have them, each in its turn."""
    if recipe.residues is not None:
        return [recipe.residues] * recipe.batch
    counts = [lengths_of(expert.model) for expert in recipe.experts]
    return sizes_in_turn(counts, recipe.batch, recipe.seed, recipe.group)


def lengths_of(model: str) -> Mapping[int, int]:
    """How many chains of each number of residues a model's data have; the paper's lengths where that is not known."""
    return MODELS.settings(model).lengths if model in MODELS else LENGTHS


def folder_of(model: str) -> Path:
    """Where a model is, embedded or the user's own; raises ModelError where there is none."""
    return MODELS.find_folder(model) if model in MODELS else _converted(model).folder


def find_model(name: str, device: str = "cpu") -> ProteinModel:
    """An embedded protein model; raises ModelError."""
    return load_model(MODELS.find_folder(name), device)


def _converted(model: str) -> LocalModel:
    found = local_model(model, KINDS)
    if found is None:
        raise ModelError(
            f"There is no model of proteins called '{model}'; put the folder that 'superdiff convert' wrote into one "
            f"named in {FOLDERS_VARIABLE}."
        )
    return found


@file_cached(4, SETTINGS, WEIGHTS)
def load_frames(folder: Path, device: str = "cpu") -> nn.Module:
    """The network of a converted model; raises ModelError with one sentence."""
    settings = saved.load_settings(folder, FrameSettings, "protein")
    if settings.kind not in KINDS:
        raise ModelError(
            f"The model in {folder} is of the kind '{settings.kind}', which is none of {', '.join(KINDS)}."
        )
    network: nn.Module = load_network(folder, _NETWORKS[settings.kind](), settings.network, device, "protein")
    return network


def _framediff() -> Callable[..., nn.Module]:
    from .se3.framediff import FrameDiffNetwork

    return FrameDiffNetwork


def _proteus() -> Callable[..., nn.Module]:
    from .se3.proteus import ProteusNetwork

    return ProteusNetwork


_NETWORKS = {FRAMEDIFF: _framediff, PROTEUS: _proteus}
