"""superdiff film and superdiff page: a run for those who watch and for those who read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SuperDiffError
from ..system import interrupts
from .console import bar, console
from .library import Folder, find_run, open_library

if TYPE_CHECKING:
    from ..film import FilmKind
    from ..runs.stored import StoredRun

RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="a run's folder, or its id or name in the library", show_default=False)
]
Replace = Annotated[bool, typer.Option("--replace", help="remove the file that is there")]
#: What a film's file may be called.
_ENDINGS: dict[str, FilmKind] = {".gif": "gif", ".mp4": "mp4"}


def film(
    run: RunName,
    out: Annotated[Path, typer.Option(help="the film, a GIF or an MP4; a file that is there needs --replace")],
    width: Annotated[int, typer.Option(help="of the film, in pixels (240 to 1920)")] = 720,
    speed: Annotated[float, typer.Option(help="moments a second (1 to 30)")] = 10.0,
    first: Annotated[int | None, typer.Option("--from", help="the first step (left out: from the noise)")] = None,
    last: Annotated[int | None, typer.Option("--to", help="the last step (left out: to the end)")] = None,
    curves: Annotated[bool, typer.Option("--curves", help="log-densities and weights beside the samples")] = False,
    dark: Annotated[bool, typer.Option("--dark", help="on a dark ground")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="walk the recipe again for a moment at every step, instead of those kept")
    ] = False,
    moments: Annotated[int, typer.Option(help="with --again: moments at most, spread evenly (2 to 600)")] = 120,
    title: Annotated[str, typer.Option(help="of the film (left out: what was composed, in words)")] = "",
    replace: Replace = False,
    library: Folder = None,
) -> None:
    """Make a film of how a run's samples formed, as an animated GIF or an MP4. The recipe is inside.

    A video needs the package imageio-ffmpeg (pip install 'superdiff-studio[film]'). A run keeps at most 61 moments of
    its samples, and a quick one few of them: --again walks the recipe once more, with a moment at every step.
    """
    from ..film import Film, FilmSettings
    from ..system.files import write_whole

    kind = _ENDINGS.get(out.suffix.lower())
    if kind is None:
        raise SuperDiffError(f"A film is a GIF or an MP4; give it a name that ends in .gif or .mp4, not '{out.name}'.")
    _refuse_taken(out, replace)
    settings = FilmSettings(
        kind=kind,
        width=width,
        speed=speed,
        first=first,
        last=last,
        curves=curves,
        theme="dark" if dark else "light",
        again=again,
        most=moments,
        title=title,
    )
    made = Film(open_run(run, library), settings)
    with interrupts.on_signal(made.cancel), bar() as progress:
        task = progress.add_task("filming", total=1.0)
        content = made.make(lambda share: progress.update(task, completed=share))
    if content is None:
        console.print("Cancelled; no film was made.")
        raise typer.Exit(interrupts.exit_code())
    write_whole(out, content)
    wide, high = made.size
    console.print(f"A film of {made.moments} moments, {wide} x {high} pixels, {len(content) / 1e6:.1f} MB, in {out}")


def page(
    run: RunName,
    out: Annotated[Path, typer.Option(help="the page, an HTML file; a file that is there needs --replace")],
    title: Annotated[str, typer.Option(help="of the page (left out: the run's name, or what was composed)")] = "",
    solids: Annotated[bool, typer.Option("--3d", help="only its molecules or proteins, in three dimensions")] = False,
    replace: Replace = False,
    library: Folder = None,
) -> None:
    """Write a run as one web page that works offline: samples, curves, figures, settings, a table, and the recipe.

    All scripts are inside, and the page asks no other place.
    """
    from ..library.labels import Labels, read_labels
    from ..system.files import write_whole
    from ..web.page import run_page, solids_page

    if out.suffix.lower() not in (".html", ".htm"):
        raise SuperDiffError(f"The page is HTML; give it a name that ends in .html, not '{out.name}'.")
    _refuse_taken(out, replace)
    found = open_run(run, library)
    if found.result is None:
        raise SuperDiffError(f"The run {found.id} made no samples, or they cannot be read; run its recipe again.")
    labels = Labels() if found.folder is None else read_labels(found.folder)
    state, title = "" if found.state == "done" else found.state, title or labels.name
    if solids:
        made = solids_page(found.result, title=title)
    else:
        made = run_page(found.result, title=title, note=labels.note, state=state)
    write_whole(out, made.encode())
    console.print(f"A page of {found.recipe.batch} samples, {len(made) / 1e6:.1f} MB, in {out}")


def open_run(name: str, library: Path | None) -> StoredRun:
    """The run in a folder, or of the library by its id, the beginning of it or its name; raises SuperDiffError."""
    from ..runs.stored import read_record

    folder = Path(name).expanduser()
    if library is None and folder.is_dir():
        return read_record(folder)
    kept = open_library(library)
    kept.refresh()
    return kept.open(find_run(kept, name).id)


def _refuse_taken(out: Path, replace: bool) -> None:
    if not replace and os.path.lexists(out):
        raise SuperDiffError(f"{out} is there already; choose another name, or replace it with --replace.")
