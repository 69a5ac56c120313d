"""Repositories of a model hub: chosen files, by huggingface_hub, with progress and one sentence for errors.

Files that are complete are kept in huggingface_hub's own cache, so what was fetched once is there without a network.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..system.downloads import Download
from .sources import INDEX, hub_repository, read_json, unreachable

if TYPE_CHECKING:
    from ..recipes.document import Recipe


def pin_revisions(recipe: Recipe) -> Recipe:
    """The recipe with the revision of every model of a hub: the newest where it names none.

    Raises:
        ModelError: when there is no such repository, or the hub cannot be reached.
    """
    found: dict[str, str] = {}
    experts = []
    for expert in recipe.experts:
        repository = hub_repository(expert.model)
        if repository is not None and expert.revision is None:
            if repository not in found:
                found[repository] = fetch_index(repository).name
            expert = expert.model_copy(update={"revision": found[repository]})
        experts.append(expert)
    return recipe.model_copy(update={"experts": experts}) if found else recipe


def fetch_pipeline(
    repository: str, revision: str | None, choose: Callable[[dict[str, Any], Sequence[str]], Sequence[str]]
) -> Path:
    """The folder that holds the needed files of a pipeline "OWNER/NAME", fetched where they are not there yet.

    Args:
        repository: on the hub.
        revision: a commit; None for the newest. All files are of one commit, whatever is published meanwhile.
        choose: which files, of what model_index.json says and the names of all files; may raise ModelError, so that
            gigabytes of a pipeline that cannot be used are never fetched.

    Raises:
        ModelError, DownloadStopped: as `fetch`.
    """
    folder = fetch_index(repository, revision)
    index = read_json(folder / INDEX)
    return fetch(repository, folder.name, lambda names: choose(index, names))


def fetch_index(repository: str, revision: str | None = None) -> Path:
    """The folder of the cache that holds model_index.json of "OWNER/NAME", alone if nothing else was fetched yet.

    Its name is the commit: that of `revision`, or the newest.

    Raises:
        ModelError: when there is no such repository, revision or file, or the hub cannot be reached.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    with _one_sentence(repository, revision):
        if _cached(repository, INDEX, revision) is None:
            # Asks once: the download itself would ask a hub that is out of reach for half a minute.
            get_hf_file_metadata(hf_hub_url(repository, INDEX, revision=revision))
        return Path(hf_hub_download(repository, INDEX, revision=revision)).parent


def fetch(repository: str, revision: str, choose: Callable[[Sequence[str]], Sequence[str]]) -> Path:
    """Download files of the repository "OWNER/NAME"; those that are in the cache are not fetched again.

    Without a network, what the cache holds of the revision is taken as it is.

    Args:
        repository: on the hub.
        revision: a commit.
        choose: which of the names of all its files; may raise ModelError.

    Returns:
        The folder that holds them.

    Raises:
        ModelError: when there is no such repository, the hub cannot be reached, or the disk is too small.
        DownloadStopped: when the watcher of the download stopped it.
    """
    from huggingface_hub import HfApi, snapshot_download

    with _one_sentence(repository, revision):
        try:
            listed = HfApi().model_info(repository, revision=revision, files_metadata=True).siblings or []
        except _connection_errors():
            known = _cached(repository, INDEX, revision)
            if known is None or not any(known.parent.rglob("*.safetensors")):
                raise
            return known.parent
        sizes = {file.rfilename: file.size or 0 for file in listed}
        names = list(choose(list(sizes)))
        missing = sum(sizes[name] for name in names if _cached(repository, name, revision) is None)
        _check_space(repository, missing)
        download = Download.begin(repository, missing)
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=names, tqdm_class=_bar_of(download))
        )


def _bar_of(download: Download) -> Any:
    """A class of progress bars that draws nothing and tells `download` of bytes.

    huggingface_hub makes one that counts bytes on disk, one that counts bytes on the wire, and one that counts files.
    """
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            self._counts = options.get("unit") == "B" and not str(options.get("desc")).startswith("Downloading")
            super().__init__(*args, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> bool | None:
            if self._counts:
                download.advance(n or 0)
            return None

    return Bar


def _cached(repository: str, name: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def _check_space(repository: str, needed: int) -> None:
    from huggingface_hub.constants import HF_HUB_CACHE

    there = next(folder for folder in (Path(HF_HUB_CACHE), *Path(HF_HUB_CACHE).parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise ModelError(
            f"'{repository}' needs {needed / 1e9:.1f} GB on the disk of {HF_HUB_CACHE}, where {free / 1e9:.1f} GB are "
            "free; free some space there, or name another folder in HF_HOME and start again."
        )


def _connection_errors() -> tuple[Any, ...]:
    """What is raised when a hub does not answer, by whichever HTTP client its library uses."""
    from huggingface_hub.errors import HfHubHTTPError

    return OSError, *(base for base in HfHubHTTPError.__bases__ if base is not Exception)


@contextmanager
def _one_sentence(repository: str, revision: str | None) -> Iterator[None]:
    """Turns whatever huggingface_hub raises into a ModelError that says what to do."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except (RepositoryNotFoundError, HFValidationError):  # a gated repository is one of the former
        raise ModelError(f"The model hub has no public repository '{repository}'; check its owner and name.") from None
    except RevisionNotFoundError:
        raise ModelError(
            f"The repository '{repository}' has no revision {revision}; remove it from the recipe to take the newest."
        ) from None
    except EntryNotFoundError as error:
        if not isinstance(error, LocalEntryNotFoundError):
            raise ModelError(
                f"The repository '{repository}' has no model_index.json; choose one with a whole diffusers pipeline."
            ) from None
        raise unreachable(repository) from None
    except (*_connection_errors(), RuntimeError, ValueError):  # offline, refused, timed out, or a full disk
        raise unreachable(repository) from None
