"""superdiff readme."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def readme(path: Annotated[Path, typer.Argument()] = Path("docs/results.md")) -> None:
    """Write the tables of docs/tables into the page of results, between their markers."""
    from ..domains import layouts
    from ..tables.markdown import update_readme
    from ..tables.table import TABLES

    update_readme(path, layouts(), TABLES)
