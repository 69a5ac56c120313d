"""Where models that are not embedded come from: the user's own folders, and repositories of a model hub.

A recipe names them "local/NAME" or "hub/OWNER/NAME", never by a path.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import ModelError

#: Folders of the user's own pipelines, separated as PATH is; each pipeline is a folder directly below one of them.
FOLDERS_VARIABLE = "SUPERDIFF_MODELS"

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_LOCAL = re.compile(rf"local/({_NAME})")
_HUB = re.compile(rf"hub/({_NAME}/{_NAME})")

_Settings = TypeVar("_Settings", bound=BaseModel)


def is_foreign(model: str) -> bool:
    """Whether `model` is written like the id of a model that is not embedded."""
    return bool(_LOCAL.fullmatch(model) or _HUB.fullmatch(model))


def local_pipelines(kinds: Callable[[str], bool] = lambda kind: True) -> dict[str, Path]:
    """The user's own pipeline folders by name, of those classes (in model_index.json) that `kinds` accepts."""
    folders: dict[str, Path] = {}
    for parent in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep):
        if parent and Path(parent).is_dir():
            for folder in sorted(Path(parent).iterdir()):
                if re.fullmatch(_NAME, folder.name) and (folder / "model_index.json").is_file():
                    folders.setdefault(folder.name, folder)
    return {name: folder for name, folder in folders.items() if kinds(_pipeline_class(folder))}


def find_folder(model: str, download: Callable[[str], Path]) -> Path:
    """The folder of "local/NAME" or "hub/OWNER/NAME"; for the latter, what `download` makes of "OWNER/NAME".

    Raises:
        ModelError: when there is no such folder, or the id is of neither kind.
    """
    if local := _LOCAL.fullmatch(model):
        folders = local_pipelines()
        if local[1] not in folders:
            raise ModelError(
                f"There is no pipeline folder called '{local[1]}'; put it into a folder named in {FOLDERS_VARIABLE}."
            )
        return folders[local[1]]
    if hub := _HUB.fullmatch(model):
        return download(hub[1])
    raise ModelError(
        f"'{model}' names no model of this kind; write 'local/NAME' for a folder or 'hub/OWNER/NAME' for a repository "
        "of the model hub."
    )


def unreachable(repository: str) -> ModelError:
    """The error for a hub that could not be reached."""
    return ModelError(
        f"The model hub could not be reached for '{repository}'; connect to the network, or put the downloaded "
        f"repository into a folder named in {FOLDERS_VARIABLE}."
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a pipeline folder; raises ModelError with one sentence."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ModelError(f"{path} is missing or cannot be read; copy the whole pipeline folder again.") from None
    except (ValueError, RecursionError):
        raise ModelError(f"{path} is not valid JSON; copy the whole pipeline folder again.") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} must hold a JSON object; copy the whole pipeline folder again.")
    return content


def read_settings(folder: Path, kind: type[_Settings]) -> _Settings:
    """What superdiff.json in a folder says, its defaults where there is none; raises ModelError if it is wrong."""
    path = folder / "superdiff.json"
    if not path.exists():
        return kind()
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{path} is wrong at '{where}' ({first['msg']}); correct it or remove the file.") from None


def _pipeline_class(folder: Path) -> str:
    try:
        return str(read_json(folder / "model_index.json").get("_class_name"))
    except ModelError:
        return ""
