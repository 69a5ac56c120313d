"""superdiff sample, and superdiff grid."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SuperDiffError
from ..system import interrupts
from ..system.downloads import watching
from .console import bar, complain, console, download_bar
from .library import Folder, open_library
from .options import RAY
from .studio import LOOPBACK, PORT

if TYPE_CHECKING:
    from ..library import Labels
    from ..runs.grid import Sweep
    from ..runs.run import Run

#: How long a command waits for room on a disk that has filled up.
SAVING_SECONDS = 60


@contextmanager
def _saving(work: Run | Sweep) -> Iterator[None]:
    """What could not be saved in this block is tried again for a while, since all of it ends with this process."""
    try:
        yield
    except SuperDiffError:
        if not work.unsaved:
            raise
        complain(f"{work.message} Free some space: this is tried again for {SAVING_SECONDS} s (Ctrl+C gives up).")
        limit = time.monotonic() + SAVING_SECONDS
        with interrupts.on_signal(interrupts.break_off):
            while not work.save_again():
                if time.monotonic() > limit:
                    raise
                time.sleep(1)
        console.print("Everything is saved now.")


def _code_of(work: Run | Sweep) -> int:
    """0 for work that is done, though a signal may have come meanwhile."""
    return interrupts.exit_code() if work.state == "cancelled" and interrupts.asked() is not None else 0


@contextmanager
def _labelled(run: Run, labels: Labels) -> Iterator[None]:
    """After this block the run has its labels, however it ended, if it has begun its folder."""
    from ..library.labels import Labels, write_labels
    from ..runs.stored import read_begun

    try:
        yield
    finally:
        if labels != Labels() and run.folder is not None and read_begun(run.folder)["id"] == run.id:
            write_labels(run.folder, labels)


def sample(
    recipe: Annotated[Path, typer.Argument(help="a recipe, JSON")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="folder for the record; one that holds a record is refused without --replace (left out: the library)"
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="remove the record that the folder holds, whole")] = False,
    name: Annotated[str, typer.Option(help="what to call the run in the library")] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", help="of the run; several times for several")] = None,
    library: Folder = None,
) -> None:
    """Run a recipe and keep its record: samples, trace, preview, log; in the library, or in a folder of its own.

    Ctrl+C, SIGTERM and SIGHUP stop it and keep what there is; a second Ctrl+C ends it at once.
    """
    from ..domains.checked import load_recipe
    from ..library import Labels
    from ..runs.run import Run

    labels = Labels().changed(name=name, add=tag or ())
    if out is None and replace:
        raise SuperDiffError("--replace goes with --out; in the library a run replaces none.")
    if out is not None and library is not None:
        raise SuperDiffError("--out and --library are two places for the run; name one of them.")
    # Previews are for a replay in the studio.
    run = Run(load_recipe(recipe), out, previews=out is None, replace=replace)
    if out is None:
        run.folder = open_library(library).folder / run.id
    with _labelled(run, labels), interrupts.on_signal(run.interrupt), _saving(run), bar(counts=True) as progress:
        task = progress.add_task("loading", total=run.recipe.levels.steps)
        with watching(download_bar(progress)):
            result = run.execute(
                lambda step: progress.update(task, completed=step.index, description=f"level {step.level:.3g}")
            )
    for note in run.notes:
        console.print(f"  {note}")
    if result is None:
        console.print(run.message or "Cancelled before the first step; nothing was made.")
        raise typer.Exit(_code_of(run))
    word = "Finished" if result.complete else f"Cancelled at step {result.index}; kept what there was"
    place = out if out is not None else f"the library as {run.id}"
    console.print(f"{word}: {result.recipe.batch} samples in {result.seconds:.1f} s, in {place}")
    means = result.mean(result.log_density), result.mean(result.weights)
    for title, log_density, weight in zip(run.titles, *means, strict=True):
        at = f"at level {result.level:.3g}"
        console.print(f"  {title}: mean log-density {log_density:.2f} nats {at}, mean weight {weight:.3f}")
    effective = run.trace.curves().effective
    if effective.size:
        size = median(effective[-1].tolist())
        console.print(
            f"  Corrected: means are by what the samples count for; effective sample size {size:.1f} "
            f"of {result.recipe.group} particles a group, resampled {len(run.trace.marks)} times on the way."
        )
    if out is None and library is None:
        shown = f"http://{LOOPBACK}:{PORT}/?run={run.id}"
        console.print(f"  While `superdiff studio` runs: {shown}", soft_wrap=True)
    raise typer.Exit(_code_of(run))


def grid(
    recipe: Annotated[Path, typer.Argument(help="a recipe, JSON")],
    x: Annotated[str, typer.Option(help="what varies across, such as temperature=0,1,10")],
    out: Annotated[Path, typer.Option(help="the picture, a PNG; a file that is there is refused without --replace")],
    y: Annotated[
        str | None,
        typer.Option(help="what varies down, such as seed=0:4, which is 0, 1, 2, 3, or 'prompt 1=a lion|a cat'"),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="samples a cell (left out: 1 for pictures, the recipe's for others)", min=1)
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="a table of what is measured in each cell, with errors, a CSV")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="of what is measured, what to print: gap, 'log_density 1', seconds, ...")
    ] = None,
    chart: Annotated[
        Path | None, typer.Option(help="a heat map of --metric (left out: of the first that there is), an SVG or a PNG")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="a folder, such as the studio's library, that takes a record of the grid and of each cell's run"
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="remove the files that are there")] = False,
    ray: Annotated[str | None, typer.Option("--ray", help=RAY)] = None,
) -> None:
    """Run a recipe over a grid of one or two parameters, as one picture.

    Ctrl+C, SIGTERM and SIGHUP stop it and keep the finished cells; a second Ctrl+C ends it at once. The same command
    goes on from there, also after the process was killed.
    Any field of the recipe can vary, up to 12 values each: numbers and names between commas (temperature=0,1,10,
    operator=or,and, solver=euler,ancestral), texts between bars ('prompt 1=a lion|a cat, asleep', 'formula=1 or 2|1 xor
    2'), what an expert has by its number ('bias 2=-1,1', 'model 1=ring,grid'). A wrong name lists all that there are.
    """
    from ..domains.checked import load_recipe
    from ..runs.axes import parse_axis
    from ..runs.grid import Sweep
    from ..runs.unfinished import Unfinished
    from ..system.workplaces.choice import opens_at

    if out.suffix.lower() != ".png":
        raise SuperDiffError(f"The grid is a PNG; give it a name that ends in .png, not '{out.name}'.")
    axes = parse_axis(x), None if y is None else parse_axis(y)
    sweep = Sweep(load_recipe(recipe), *axes, samples, cells=keep, opens=opens_at(ray))
    sweep.folder = None if keep is None else keep / sweep.id
    if chart is not None and chart.suffix.lower() not in (".png", ".svg"):
        raise SuperDiffError(f"The chart is an SVG or a PNG; give it such a name, not '{chart.name}'.")
    again = sweep.go_on(Unfinished(out, sweep.recipe, *axes, keep))
    for path in (out, csv, chart):
        if not (replace or again) and path is not None and os.path.lexists(path):
            raise SuperDiffError(f"{path} is there already; choose another name, or replace it with --replace.")
    cells = sweep.size
    if again:
        console.print(f"Going on: {sweep.done} of {cells} cells are there.")
    with interrupts.on_signal(sweep.interrupt), _saving(sweep), bar() as progress:
        task = progress.add_task("loading", total=1.0)
        with watching(download_bar(progress)):
            sweep.execute(
                lambda _: progress.update(
                    task, completed=sweep.fraction, description=f"cell {min(sweep.done + 1, cells)} of {cells}"
                ),
                out,
                csv,
            )
    for note in sweep.notes:
        console.print(f"  {note}")
    for (row, column), sentence in sweep.failures.items():
        console.print(f"  row {row + 1}, column {column + 1} is empty: {sentence}")
    word = "Finished" if sweep.state == "done" else "Cancelled"
    made, files = sweep.done - len(sweep.failures), [path for path in (out, csv, sweep.folder) if path is not None]
    if made == 0:
        console.print("Cancelled before the first cell was finished; nothing was made.")
        raise typer.Exit(_code_of(sweep))
    console.print(f"{word}: {made} of {cells} cells in {sweep.seconds:.1f} s, in {' and '.join(map(str, files))}")
    if sweep.state == "cancelled":
        console.print("The same command goes on from there.")
    if metric is not None:
        _print_figure(sweep, metric)
    if chart is not None:
        _save_chart(sweep, metric or sweep.usual_figure, chart)
    raise typer.Exit(_code_of(sweep))


def _save_chart(sweep: Sweep, name: str, path: Path) -> None:
    """A heat map of one figure that some cell has, as a file."""
    from ..figures.grids import grid_sheet
    from ..system.files import write_whole

    sheet = grid_sheet(sweep, name, "light")
    write_whole(path, sheet.svg() if path.suffix.lower() == ".svg" else sheet.png())
    console.print(f"{sheet.title}, in {path}")


def _print_figure(sweep: Sweep, name: str) -> None:
    """One figure of every cell; raises SuperDiffError where no cell has it."""
    figures = sweep.figures
    if name not in figures:
        raise SuperDiffError(f"No cell has a metric '{name}'; there are {', '.join(figures)}.")
    told = figures[name]
    console.print(f"{told.title}{f' ({told.shown_unit})' if told.shown_unit else ''}:")
    for place, cell in sorted(sweep.settled.items()):
        found = cell.figures.get(name)
        console.print(f"  {sweep.words_at(place)}: {'–' if found is None else found.text()}")
