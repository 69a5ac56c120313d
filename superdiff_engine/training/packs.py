"""Packs: the prepared data of a training as one file, so that a machine can train which lacks what reads the sources.

`superdiff train NAME --pack FILE` writes one, `superdiff train NAME --data FILE` trains from it with torch, diffusers
(transformers where a text encoder learns) and numpy only. A pack is a zip of .npy arrays as `np.load` reads them,
compressed by LZMA, with the kind of its data in "pack.npy"; nothing in it is a pickle.
"""

from __future__ import annotations

import io
import lzma
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import ModelError, OutputError
from ..system.files import write_whole

#: Bytes that a pack may have, so that it travels.
LARGEST = 45_000_000
#: Part of the kind: raise it when what packs hold changes.
VERSION = 1
_KIND = "pack"


def is_pack(data: Path | None) -> bool:
    """Whether `--data` names a pack, and not a folder of sources."""
    return data is not None and data.is_file()


def write_pack(path: Path, kind: str, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write prepared data, whole or not at all.

    Args:
        path: of the file.
        kind: of the data, which `read_pack` asks for: "molecules", say.
        arrays: by name, of numbers or fixed-width text; integers of few bits compress best.

    Returns:
        The path.

    Raises:
        OutputError: when it cannot be written, or would be larger than LARGEST.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        for name, value in {_KIND: np.array([kind, str(VERSION)]), **arrays}.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(value), allow_pickle=False)
            archive.writestr(f"{name}.npy", content.getvalue())
    if buffer.tell() > LARGEST:
        raise OutputError(
            f"The data of '{kind}' come to {buffer.tell() / 1e6:.0f} MB, and a pack holds at most {LARGEST / 1e6:.0f}."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {path.parent} cannot be written: {error.strerror}.") from None
    write_whole(path, buffer.getvalue())
    return path


def read_pack(path: Path, kind: str) -> dict[str, np.ndarray]:
    """The arrays of a pack by name.

    Raises:
        ModelError: when it is no pack, cut off, damaged, or of other data; one sentence.
    """
    again = "write it again with 'superdiff train NAME --pack FILE'."
    try:
        with np.load(path, allow_pickle=False) as stored:
            found, version = (str(word) for word in stored[_KIND])
            if found != kind:
                raise ModelError(f"{path} holds the data of '{found}', and this model learns from those of '{kind}'.")
            if version != str(VERSION):
                raise ModelError(f"{path} was written by another version of SuperDiff Studio; {again}")
            return {name: stored[name] for name in stored.files if name != _KIND}
    except ModelError:
        raise
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        NotImplementedError,
        zipfile.BadZipFile,
        lzma.LZMAError,
    ):
        raise ModelError(f"{path} is no pack of training data, or was cut off; {again}") from None
