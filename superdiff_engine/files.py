"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from .errors import OutputError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is either complete or not there (or as it was before).

    Raises:
        OutputError: when it cannot be written, for instance because the disk is full.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"{path.name} could not be written to {path.parent}: {error.strerror}. Free space there or choose another "
            "folder."
        ) from error
