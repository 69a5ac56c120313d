"""superdiff lessons: those that there are, and whether they are right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from ..errors import SuperDiffError
from ..system import interrupts
from ..system.terminal import VisibleGroup
from .console import complain, console

if TYPE_CHECKING:
    from ..lessons import Lesson, Lessons, Trial

lessons = typer.Typer(
    cls=VisibleGroup,
    no_args_is_help=True,
    help="Lessons: those that come along, and those in the folders that SUPERDIFF_LESSONS names. docs/lessons.md says "
    "how to write one.",
)

Folder = Annotated[
    Path | None,
    typer.Argument(
        help="a lesson, or a folder of lessons (left out: those that come along and those of SUPERDIFF_LESSONS)"
    ),
]


@lessons.command("list")
def list_lessons(folder: Folder = None) -> None:
    """List the lessons in their order."""
    found = _read(folder)
    table = Table(Column("name", no_wrap=True), "title", Column("minutes", justify="right"), "domain", "summary")
    for lesson in found.lessons:
        table.add_row(lesson.name, lesson.title, str(lesson.minutes), lesson.domain, lesson.summary)
    console.print(table)
    for problem in found.problems:
        complain(str(problem))


@lessons.command()
def check(
    folder: Folder = None,
    run: Annotated[bool, typer.Option("--run", help="make the runs, and hold the claims against them")] = False,
    seeds: Annotated[int, typer.Option(help="with --run: so many seeds, the recipes' own first", min=1, max=100)] = 1,
    figures: Annotated[bool, typer.Option("--figures", help="with --run: print all figures of every run")] = False,
) -> None:
    """Check lessons, and name what is wrong by file and line; the exit code is 1 where anything is."""
    if not run and (seeds > 1 or figures):
        raise SuperDiffError("--seeds and --figures go with --run.")
    found = _read(folder)
    good = not found.problems
    for problem in found.problems:
        complain(str(problem))
    for lesson in found.lessons:
        console.print(f"{lesson.name}: {lesson.title}, {len(lesson.runs)} runs, {len(lesson.statements)} claims")
        if run:
            held = [_try(lesson, seed, figures) for seed in [None, *range(1000, 999 + seeds)]]
            good = good and all(held)
    if not good:
        raise typer.Exit(interrupts.exit_code() if interrupts.asked() is not None else 1)


def _read(folder: Path | None) -> Lessons:
    from ..lessons import read_lessons

    return read_lessons(None if folder is None else [folder])


def _try(lesson: Lesson, seed: int | None, figures: bool) -> bool:
    """Make the runs of a lesson, and print what comes of it; says whether all claims hold."""
    from ..lessons import try_lesson
    from ..runs.run import Run

    at_work: list[Run] = []

    def stop() -> None:
        at_work[-1].interrupt()

    if interrupts.asked() is not None:
        return False
    try:
        with interrupts.on_signal(stop):
            trial = try_lesson(lesson, seed, at_work.append)
    except SuperDiffError as error:
        complain(f"{lesson.folder}: {error}")
        return False
    if interrupts.asked() is not None:
        console.print("Cancelled.")
        return False
    console.print(f"  {'own seeds' if seed is None else f'seed {seed}'}, {trial.seconds:.1f} s")
    for finding in trial.findings:
        console.print(f"    {'holds' if finding.holds else 'FAILS'}: {finding.says}", soft_wrap=True)
    if figures:
        _print_figures(lesson, trial)
    return trial.holds


def _print_figures(lesson: Lesson, trial: Trial) -> None:
    from ..lessons.figures import figure_of, names_of

    for name, made in trial.made.items():
        if made.result is None:
            console.print(f"    {name}: nothing was made")
            continue
        for each in names_of(made.result):
            found = figure_of(made.result, each)
            if found is not None:
                console.print(f"    {name}.{each} = {found.text()} {found.shown_unit}", soft_wrap=True)
        for figure in made.figures:
            key = figure.name.rpartition("@")[0] or figure.name
            console.print(f'    {name}["{key}"] = {figure.text()} {figure.shown_unit}', soft_wrap=True)
