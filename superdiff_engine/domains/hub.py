"""Repositories of a model hub: chosen files, by huggingface_hub, with progress and one sentence for errors.

Files that are complete are kept in huggingface_hub's own cache, so what was fetched once is there without a network.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..downloads import Download
from ..errors import ModelError
from .sources import unreachable


def fetch_index(repository: str) -> Path:
    """The folder of the cache that holds model_index.json of "OWNER/NAME", alone if nothing else was fetched yet.

    Raises:
        ModelError: when there is no such repository or file, or the hub cannot be reached.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    with _one_sentence(repository):
        if _cached(repository, "model_index.json") is None:
            # Asks once: the download itself would ask a hub that is out of reach for half a minute.
            get_hf_file_metadata(hf_hub_url(repository, "model_index.json"))
        return Path(hf_hub_download(repository, "model_index.json")).parent


def fetch(repository: str, choose: Callable[[Sequence[str]], Sequence[str]]) -> Path:
    """Download files of the repository "OWNER/NAME"; those that are in the cache are not fetched again.

    Without a network, what the cache holds of the repository is taken as it is.

    Args:
        repository: on the hub.
        choose: which of the names of all its files; may raise ModelError.

    Returns:
        The folder that holds them.

    Raises:
        ModelError: when there is no such repository, the hub cannot be reached, or the disk is too small.
        DownloadStopped: when the watcher of the download stopped it.
    """
    from huggingface_hub import HfApi, snapshot_download

    with _one_sentence(repository):
        try:
            listed = HfApi().model_info(repository, files_metadata=True).siblings or []
        except _connection_errors():
            known = _cached(repository, "model_index.json")
            if known is None:
                raise
            return known.parent
        sizes = {file.rfilename: file.size or 0 for file in listed}
        names = list(choose(list(sizes)))
        missing = sum(sizes[name] for name in names if _cached(repository, name) is None)
        _check_space(repository, missing)
        download = Download.begin(repository, missing)
        return Path(snapshot_download(repository, allow_patterns=names, tqdm_class=_bar_of(download)))


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


def _cached(repository: str, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, name)
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
def _one_sentence(repository: str) -> Iterator[None]:
    """Turns whatever huggingface_hub raises into a ModelError that says what to do."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        yield
    except (RepositoryNotFoundError, HFValidationError):  # a gated repository is one of the former
        raise ModelError(f"The model hub has no public repository '{repository}'; check its owner and name.") from None
    except EntryNotFoundError as error:
        if not isinstance(error, LocalEntryNotFoundError):
            raise ModelError(
                f"The repository '{repository}' has no model_index.json; choose one with a whole diffusers pipeline."
            ) from None
        raise unreachable(repository) from None
    except (*_connection_errors(), RuntimeError, ValueError):  # offline, refused, timed out, or a full disk
        raise unreachable(repository) from None
