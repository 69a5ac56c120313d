"""The embedded models of a domain: which are installed, and where each one is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ..domain import ModelInfo, look_at
from ..errors import ModelError
from ..system.assets import assets_folder


class Described(Protocol):
    """What a model's folder says of it, for those who choose."""

    @property
    def title(self) -> str | None:
        """None or "" where the model's name will do."""

    @property
    def description(self) -> str:
        """One line."""


SettingsT = TypeVar("SettingsT", bound=Described)


class EmbeddedModels(Generic[SettingsT]):
    """The embedded models of one domain, each in a folder of its name.

    Args:
        names: of the models, which are their ids.
        read: what a folder says of its model; raises ModelError.
        listed: the file without which a model is not listed; "" where its folder is enough.
        needed: the file without which a model that is asked for is missing; "" where its folder is enough.
    """

    def __init__(
        self, names: Sequence[str], read: Callable[[Path], SettingsT], *, listed: str = "", needed: str = ""
    ) -> None:
        self.names, self._read, self._listed, self._needed = tuple(names), read, listed, needed

    def __contains__(self, model: str) -> bool:
        return model in self.names

    def listing(self) -> Iterator[ModelInfo | ModelError]:
        """Those that are installed; in the place of one that cannot be read, the error that says so."""
        for name in self.names:
            if _has(assets_folder() / name, self._listed):
                yield look_at(name, lambda name=name: self._info(name))  # type: ignore[misc]

    def _info(self, name: str) -> ModelInfo:
        found = self._read(assets_folder() / name)
        return ModelInfo(name, found.title or name, found.description, "embedded")

    def find_folder(self, name: str) -> Path:
        """The folder of a model; raises ModelError where it is not installed, or none of these."""
        folder = assets_folder() / name
        if name not in self or not _has(folder, self._needed):
            raise ModelError(f"The embedded model {folder} is missing; install SuperDiff Studio again.")
        return folder

    def settings(self, name: str) -> SettingsT:
        """What a model's folder says of it; raises ModelError."""
        return self._read(self.find_folder(name))


def _has(folder: Path, file: str) -> bool:
    return (folder / file).is_file() if file else folder.is_dir()
