"""Where the library is. Not in its package, which imports torch: the command that opens the studio needs none."""

from __future__ import annotations

import os
from pathlib import Path

#: The environment variable that names the library's folder, and the one that did so before there was an index.
VARIABLE, OLDER = "SUPERDIFF_LIBRARY", "SUPERDIFF_RUNS"


def library_folder() -> Path:
    """The folder that keeps all runs: SUPERDIFF_LIBRARY, or superdiff/runs in the user's data folder."""
    named = os.environ.get(VARIABLE) or os.environ.get(OLDER)
    if named:
        return Path(named).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "superdiff" / "runs"
