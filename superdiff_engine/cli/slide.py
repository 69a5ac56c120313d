"""superdiff slide."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ..errors import SuperDiffError
from .console import console


def slide(
    folder: Annotated[Path, typer.Argument(help="a run's folder, as `superdiff sample` and the studio write it")],
    out: Annotated[Path, typer.Option(help="the picture, a PNG; a file that is there is refused without --replace")],
    title: Annotated[str, typer.Option(help="of the slide (left out: what was composed, in words)")] = "",
    dark: Annotated[bool, typer.Option("--dark", help="on a dark ground")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="remove the file that is there")] = False,
) -> None:
    """Draw a run on one slide, 1920 x 1080: its samples, experts, curves and facts. The recipe is inside."""
    from ..runs.stored import read_record
    from ..system.files import write_whole

    if out.suffix.lower() != ".png":
        raise SuperDiffError(f"The slide is a PNG; give it a name that ends in .png, not '{out.name}'.")
    if not replace and os.path.lexists(out):
        raise SuperDiffError(f"{out} is there already; choose another name, or replace it with --replace.")
    run = read_record(folder)
    if run.result is None:
        raise SuperDiffError(f"The run in {folder} made no samples, or they cannot be read; run its recipe again.")
    from ..figures.slide import slide_png

    state = "" if run.state == "done" else run.state
    write_whole(out, slide_png(run.result, title=title, state=state, theme="dark" if dark else "light"))
    console.print(f"A slide of {run.recipe.batch} samples, in {out}")
