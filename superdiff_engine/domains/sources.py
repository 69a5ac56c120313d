"""Where models that are not embedded come from: the user's own folders, and repositories of a model hub.

A folder is a pipeline (it has model_index.json, as diffusers saves it) or a converted model (its config.json has a
"kind", as `superdiff convert` writes it).

A recipe names them "local/NAME" or "hub/OWNER/NAME", never by a path. A folder whose name could not be written there
(it has blanks, accents or brackets) goes by a name made of it, which stays the same: see `local_name`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import ModelError, quoted

if TYPE_CHECKING:
    from ..domain import ModelInfo

#: Folders of the user's own models, separated as PATH is; each is a model, or holds models as its folders.
FOLDERS_VARIABLE = "SUPERDIFF_MODELS"
INDEX = "model_index.json"
#: Kinds of what judges samples: nothing that a recipe names.
JUDGES = ("oracle",)
#: Of a converted model.
CONFIG = "config.json"
#: Bytes of a config.json that is looked into.
_LARGEST_CONFIG = 2**20

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_LOCAL = re.compile(rf"local/({_NAME})")
_HUB = re.compile(rf"hub/({_NAME}/{_NAME})")
#: Longer names would not fit into a recipe.
_LONGEST_NAME = 100

_Settings = TypeVar("_Settings", bound=BaseModel)


@dataclass(frozen=True)
class LocalPipeline:
    """A pipeline folder of the user's.

    Attributes:
        id: in recipes, "local/NAME".
        title: the folder's own name, for people.
        folder: where it is.
        index: what its model_index.json says; empty where that cannot be read.
        problem: why it cannot be read; None where it can.
    """

    id: str
    title: str
    folder: Path
    index: dict[str, Any]
    problem: ModelError | None = None

    @property
    def kind(self) -> str:
        """The class of the pipeline, as model_index.json names it."""
        return pipeline_class(self.index)


@dataclass(frozen=True)
class LocalModel:
    """A folder of the user's that `superdiff convert` wrote.

    Attributes:
        id: in recipes, "local/NAME".
        title: what its config.json says, or the folder's own name, for people.
        folder: where it is.
        kind: of model, as config.json says: what it was converted from.
        config: what config.json says.
    """

    id: str
    title: str
    folder: Path
    kind: str
    config: dict[str, Any]

    @property
    def info(self) -> ModelInfo:
        """For those who choose."""
        from ..domain import ModelInfo  # with torch, which nobody needs who asks for domains' names

        text = self.config.get("description")
        text = text if isinstance(text, str) and text else f"{self.kind} in {printable(str(self.folder))}"
        return ModelInfo(self.id, self.title, quoted(text, 200), "local")


@dataclass
class _Found:
    """What the user's folders hold, and sentences about what of them is not used."""

    pipelines: dict[str, LocalPipeline] = field(default_factory=dict)
    models: dict[str, LocalModel] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    def folder(self, name: str) -> Path | None:
        """The folder that goes by this name already."""
        if name in self.pipelines:
            return self.pipelines[name].folder
        return self.models[name].folder if name in self.models else None


def is_foreign(model: str) -> bool:
    """Whether `model` is written like the id of a model that is not embedded."""
    return bool(_LOCAL.fullmatch(model) or _HUB.fullmatch(model))


def hub_repository(model: str) -> str | None:
    """OWNER/NAME of "hub/OWNER/NAME"; None for other ids."""
    found = _HUB.fullmatch(model)
    return found[1] if found else None


def local_name(folder: str) -> str:
    """What a folder called `folder` goes by in recipes: its own name, or one made of it that can be written there.

    The latter ends in a digest of the real name, so that two folders never share one.
    """
    if re.fullmatch(_NAME, folder) and len(folder) <= _LONGEST_NAME:
        return folder
    letters = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_.]+", "-", letters).strip("-_.")[:40].rstrip("-_.") or "model"
    # Composed, as file systems differ in how they write an accent.
    real = unicodedata.normalize("NFC", folder).encode("utf-8", "surrogateescape")
    return f"{plain}-{hashlib.sha256(real).hexdigest()[:8]}"


def written_local(model: str) -> str | None:
    """The id of the user's folder that `model` ("local/Realistic Vision V5.1") means by its real name, if there is."""
    name = model.removeprefix("local/")
    found = _look()
    named = [(local.id, local.title, local.folder) for local in found.pipelines.values()]
    named += [(local.id, local.title, local.folder) for local in found.models.values()]
    return next((id_ for id_, title, folder in named if name in (title, folder.name)), None)


def printable(text: str) -> str:
    """Text from a file system with a mark in place of what cannot be shown."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def local_pipelines() -> list[LocalPipeline]:
    """The user's own pipeline folders, the first of each name."""
    return list(_look().pipelines.values())


def local_models(kinds: Collection[str] | None = None) -> list[LocalModel]:
    """The user's own converted models of these kinds (None: of all), the first of each name."""
    return [local for local in _look().models.values() if kinds is None or local.kind in kinds]


def local_model(model: str, kinds: Collection[str]) -> LocalModel | None:
    """The converted model that "local/NAME" means, if there is one, and it is of one of these kinds."""
    return next((local for local in local_models(kinds) if local.id == model), None)


def list_converted(kinds: Collection[str]) -> Iterator[ModelInfo | ModelError]:
    """Converted models of these kinds, for a domain's listing."""
    from ..domain import look_at

    for local in local_models(kinds):
        yield look_at(local.id, lambda local=local: local.info)  # type: ignore[misc]


def folder_notices() -> list[str]:
    """What of the user's folders is not there, cannot be read or is not used, in sentences."""
    return _look().notices


def _look() -> _Found:
    found = _Found()
    for named in dict.fromkeys(os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)):
        if named.strip():
            _look_into(Path(named).expanduser(), found)
    return found


def _look_into(parent: Path, found: _Found) -> None:
    where = f"The folder {printable(str(parent))} that {FOLDERS_VARIABLE} names"
    try:
        if not parent.is_dir():
            reason = "is not a folder" if parent.exists() else "is not there"
            found.notices.append(f"{where} {reason}; correct it, or separate several by '{os.pathsep}'.")
            return
        inside = [folder for folder in [parent, *sorted(parent.iterdir())] if (folder / INDEX).is_file()]
        converted = {
            folder: config
            for folder in [parent, *sorted(parent.iterdir())]
            if folder not in inside and (config := _converted(folder, found)) is not None
        }
    except OSError as error:
        found.notices.append(f"{where} cannot be read: {error.strerror}.")
        return
    if not inside and not converted:
        found.notices.append(
            f"{where} holds no pipeline (a folder with {INDEX}, as diffusers saves it) and no model that superdiff "
            "convert wrote."
        )
    for folder in [*inside, *converted]:
        name = folder.name or folder.resolve().name
        if name in ("", ".", ".."):
            name = folder.resolve().name
        shown, called = printable(name), local_name(name)
        index, problem = {}, None
        first = found.folder(called)
        if first is not None:
            if not folder.samefile(first):
                place = printable(str(folder.parent))
                found.notices.append(f"'{shown}' in {place} is left out: {printable(str(first))} has its name.")
            continue
        if folder in converted:
            config = converted[folder]
            given = config.get("title")
            title = printable(given[:_LONGEST_NAME]) if isinstance(given, str) and given else shown
            if title != shown and name.lower() != config["kind"]:
                title = f"{title} ({shown})"
            found.models[called] = LocalModel(f"local/{called}", title, folder, config["kind"], config)
            continue
        try:
            index = read_json(folder / INDEX)
        except ModelError as error:
            problem = error
        found.pipelines[called] = LocalPipeline(f"local/{called}", shown, folder, index, problem)


def _converted(folder: Path, found: _Found) -> dict[str, Any] | None:
    """What config.json of a converted model says; None where the folder is none, said where it is a damaged one."""
    path = folder / CONFIG
    if not path.is_file():
        return None
    why = ""
    try:
        if path.stat().st_size > _LARGEST_CONFIG:
            return None
        config = read_json(path)
    except ModelError as error:
        config, why = {}, str(error)
    kind = config.get("kind")
    if isinstance(kind, str) and kind:
        return {**config, "kind": printable(kind[:_LONGEST_NAME])}
    if why:
        found.notices.append(why.replace("copy the whole pipeline folder again", "convert or copy this model again"))
    return None


def pipeline_class(index: Mapping[str, Any]) -> str:
    """The class that a model_index.json names; of a pipeline with code of its own, that class ("" where none is)."""
    kind = index.get("_class_name")
    if isinstance(kind, list) and kind:  # ["pipeline", "SuperDiffPipeline"]: a file of the repository, and its class
        kind = kind[-1]
    return kind if isinstance(kind, str) else ""


def listed_parts(index: Mapping[str, Any]) -> dict[str, str]:
    """The classes of a pipeline's parts by name, as model_index.json lists them; parts that are null are left out."""
    pairs = {name: value for name, value in index.items() if isinstance(value, list) and len(value) == 2}
    pairs.pop("_class_name", None)
    return {name: str(value[1]) for name, value in pairs.items() if value[1] is not None}


def find_folder(model: str, download: Callable[[str, str | None], Path], revision: str | None = None) -> Path:
    """The folder of "local/NAME" or "hub/OWNER/NAME"; for the latter, what `download` makes of OWNER/NAME and revision.

    Raises:
        ModelError: when there is no such folder, or the id is of neither kind.
    """
    if local := _LOCAL.fullmatch(model):
        look = _look()
        pipelines = look.pipelines
        if local[1] in look.models:
            raise ModelError(
                f"'{model}' is a converted model ({look.models[local[1]].kind}), not a pipeline; name it in a recipe "
                "of the domain that reads it ('superdiff models' says which)."
            )
        if local[1] not in pipelines:
            raise ModelError(
                f"There is no pipeline folder called '{local[1]}'; put it into a folder named in {FOLDERS_VARIABLE}."
            )
        return pipelines[local[1]].folder
    if repository := hub_repository(model):
        return download(repository, revision)
    raise ModelError(
        f"'{model}' names no model of this kind; write 'local/NAME' for a folder or 'hub/OWNER/NAME' for a repository "
        "of the model hub."
    )


def folder_title(folder: Path) -> str:
    """A pipeline folder's name for people: of a snapshot in the hub's cache, that of the repository."""
    above = folder.parent.parent.name
    if folder.parent.name == "snapshots" and above.startswith("models--"):
        return above.removeprefix("models--").replace("--", "/", 1)
    return printable(folder.name or folder.resolve().name)


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
