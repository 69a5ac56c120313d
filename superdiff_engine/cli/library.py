"""superdiff library: what is kept, shown, labelled, packed, let in and removed."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from ..errors import SuperDiffError, quoted
from ..system import interrupts
from ..system.terminal import VisibleGroup
from ..system.visible_text import visible
from .console import bar, complain, console

if TYPE_CHECKING:
    from ..library import Entry, Library
    from ..library.index import Query

library = typer.Typer(
    cls=VisibleGroup,
    no_args_is_help=True,
    help="The runs that are kept: list, show, label, export, import, prune. An ID may be any beginning of one that no "
    "other has, or the name that you gave the run.",
)

Folder = Annotated[
    Path | None,
    typer.Option("--library", help="the library's folder (left out: SUPERDIFF_LIBRARY, or the studio's own)"),
]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="of the runs", show_default=False)]
Text = Annotated[str, typer.Option(help="words that must all be in a run's name, note, tags, prompts, models or title")]
Domains = Annotated[list[str] | None, typer.Option("--domain", help="such as plane; several times for several")]
Operators = Annotated[list[str] | None, typer.Option("--operator", help="such as or; several times for several")]
States = Annotated[list[str] | None, typer.Option("--state", help="such as done, failed, interrupted")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="that a run must have; several times for all of them")]
Star = Annotated[bool, typer.Option("--star", help="only runs with a star")]
Yes = Annotated[bool, typer.Option("--yes", help="do it; without it, what would be done is listed")]
#: What sizes may be written in, and how many bytes that is.
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def open_library(folder: Path | None) -> Library:
    """The library in a folder; None: where the studio keeps it."""
    from ..library import Library, library_folder

    return Library(library_folder() if folder is None else folder.expanduser())


def find_run(library: Library, text: str, binned: bool = False) -> Entry:
    """The entry that a user means: its id, a beginning of it that no other has, or the name that it was given.

    Raises:
        SuperDiffError: where there is none, or there are several.
    """
    from ..library import Query
    from ..library.entry import search_form

    entries = library.find(Query(part_of=None, binned=binned)).entries
    where = "the library's bin" if binned else f"the library {library.folder}"
    exact = [entry for entry in entries if entry.id == text]
    named = [entry for entry in entries if text and search_form(entry.labels.name) == search_form(text)]
    begun = [entry for entry in entries if text and entry.id.startswith(text)]
    for found, how in ((exact, ""), (begun, "begins the ids"), (named, "is the name")):
        if len(found) == 1:
            return found[0]
        if found:
            some = ", ".join(entry.id for entry in found[:3]) + (", ..." if found[3:] else "")
            raise SuperDiffError(
                f"'{quoted(text)}' {how} of {len(found)} runs in {where} ({some}); write more of one id."
            )
    raise SuperDiffError(f"There is no run '{quoted(text)}' in {where}; superdiff library list shows what there is.")


def _query(
    text: str,
    domains: Sequence[str] | None,
    operators: Sequence[str] | None,
    states: Sequence[str] | None,
    tags: Sequence[str] | None,
    star: bool,
    **more: Any,
) -> Query:
    from ..domains import domains as all_domains
    from ..library import Query
    from ..library.entry import STATES
    from ..recipes.operators import OPERATORS

    known = (("domain", domains, all_domains()), ("operator", operators, OPERATORS), ("state", states, STATES))
    for what, asked, there in known:
        for name in asked or ():
            if name not in there:
                raise SuperDiffError(f"There is no {what} '{quoted(name)}'; there are {', '.join(there)}.")
    return Query(
        text, tuple(domains or ()), tuple(operators or ()), tuple(states or ()), tuple(tags or ()), star, **more
    )


@contextmanager
def _counting(words: str) -> Iterator[Any]:
    """A bar that a callback (done, of) moves; a signal breaks off what is done in the block."""
    with interrupts.on_signal(interrupts.break_off), bar() as progress:
        task = progress.add_task(words, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def size_text(count: int) -> str:
    """Bytes for a reader."""
    for unit, least in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count} B"


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"


def _when(began: float) -> str:
    return datetime.fromtimestamp(began).strftime("%Y-%m-%d %H:%M")


def _print_json(document: Any) -> None:
    # Every letter beyond ASCII is written out: nothing in it is obeyed by a terminal.
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def _document(entry: Entry, folder: Path) -> dict[str, Any]:
    return asdict(entry) | {"name": entry.name, "folder": str(folder)}


def _place(library: Library, entry: Entry) -> Path:
    return library.path(entry.id, entry.binned)


def _table(entries: Sequence[Entry]) -> Table:
    from ..library.entry import STATES

    # Where there is no room for it, the id, which begins with the day and the hour (UTC), says when.
    narrow = console.width < 110
    table = Table(
        Column("id", no_wrap=True),
        *([] if narrow else [Column("began", no_wrap=True)]),
        Column("state", no_wrap=True),
        "name",
        "of",
        Column("size", justify="right", no_wrap=True),
    )
    for entry in entries:
        star = "★ " if entry.labels.star else ""
        tags = "".join(f" #{tag}" for tag in entry.labels.tags)
        kind = "grid: " if entry.kind == "grid" else ""
        of = " | ".join(one if len(one) <= 40 else f"{one[:39]}…" for one in entry.experts) or entry.sentence
        name = f"{star}{kind}{entry.name if entry.name != entry.id else ''}{tags}"
        began = [] if narrow else [_when(entry.began)]
        table.add_row(entry.id, *began, STATES[entry.state], name, of, size_text(entry.bytes))
    return table


@library.command("list")
def list_(
    text: Text = "",
    domain: Domains = None,
    operator: Operators = None,
    state: States = None,
    tag: Tags = None,
    star: Star = False,
    sort: Annotated[str, typer.Option(help="newest, oldest, name, largest or longest")] = "newest",
    most: Annotated[int, typer.Option(help="how many to show", min=1)] = 50,
    cells: Annotated[str, typer.Option(metavar="ID", help="of a grid: the runs of its cells")] = "",
    bin: Annotated[bool, typer.Option("--bin", help="what was deleted and can be put back")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="everything about each as JSON, for programs")] = False,
    folder: Folder = None,
) -> None:
    """List runs and grids, newest first."""
    from ..library.index import SORTS

    if sort not in SORTS:
        raise SuperDiffError(f"There is no order '{quoted(sort)}'; there are {', '.join(SORTS)}.")
    kept = open_library(folder)
    kept.refresh()
    part_of = find_run(kept, cells, bin).id if cells else ""
    found = kept.find(
        _query(text, domain, operator, state, tag, star, sort=sort, most=most, part_of=part_of, binned=bin)
    )
    if as_json:
        return _print_json([_document(entry, _place(kept, entry)) for entry in found.entries])
    if found.entries:
        console.print(_table(found.entries))
    shown = f", of which {len(found.entries)} are shown (--most)" if len(found.entries) < found.total else ""
    where = "in the bin of" if bin else "in"
    console.print(f"{_runs(found.total)}, {size_text(found.bytes)}{shown}, {where} {kept.folder}", soft_wrap=True)
    return None


@library.command()
def show(
    id: Annotated[str, typer.Argument(help="of a run or a grid")],
    as_json: Annotated[bool, typer.Option("--json", help="everything as JSON, for programs")] = False,
    bin: Annotated[bool, typer.Option("--bin", help="look for it in the bin")] = False,
    folder: Folder = None,
) -> None:
    """Show what is known of a run: facts, recipe in words, files, what you noted."""
    from ..errors import RecordError
    from ..library.entry import STATES
    from ..runs.stored import read_recipe

    kept = open_library(folder)
    kept.refresh()
    entry = find_run(kept, id, bin)
    place = _place(kept, entry)
    files = {path.name: path.stat().st_size for path in sorted(place.iterdir()) if path.is_file()}
    try:
        recipe = read_recipe(place)
    except RecordError:
        recipe = None  # the entry's sentence says why
    if as_json:
        document = None if recipe is None else json.loads(recipe.to_json())
        return _print_json(_document(entry, place) | {"files": files, "recipe": document})
    facts = [
        ("id", entry.id),
        ("name", entry.labels.name),
        (
            "what",
            ", ".join([*filter(None, [entry.kind]), STATES[entry.state], *(["in the bin"] if entry.binned else [])]),
        ),
        ("said", entry.sentence),
        ("began", _when(entry.began)),
        ("took", f"{entry.seconds:.1f} s" if entry.seconds else ""),
        ("a cell of", entry.part_of),
        ("star", "yes" if entry.labels.star else ""),
        ("tags", ", ".join(entry.labels.tags)),
        ("note", entry.labels.note),
    ]
    _print_facts(facts)
    console.print(f"\nIts folder: {place}", soft_wrap=True)  # in one piece, to be copied
    if recipe is not None:
        from ..runs.wording import spelled

        console.print("\nIts recipe:")
        _print_facts([(said.name, said.value) for said in spelled(recipe).values() if not said.usual])
    console.print(f"\nIts files, {size_text(sum(files.values()))}:")
    _print_facts([(name, size_text(size)) for name, size in files.items()])
    return None


def _print_facts(facts: Sequence[tuple[str, str]]) -> None:
    table = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    for name, value in facts:
        if value:
            table.add_row(f"  {name}", value)
    console.print(table)


@library.command()
def label(
    ids: Ids,
    name: Annotated[str | None, typer.Option(help="what to call it; '' for no name")] = None,
    note: Annotated[str | None, typer.Option(help="a note of any number of lines; '' for none")] = None,
    star: Annotated[bool | None, typer.Option("--star/--no-star", help="whether it has a star")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="to add; several times for several")] = None,
    untag: Annotated[list[str] | None, typer.Option("--untag", help="to take away")] = None,
    folder: Folder = None,
) -> None:
    """Note something about runs: a name, a note, a star, tags."""
    if name is None and note is None and star is None and not tag and not untag:
        raise SuperDiffError("Say what to note: --name, --note, --star, --tag or --untag.")
    kept = open_library(folder)
    for entry in _named(kept, ids):
        labels = kept.label(entry.id, name, note, star, tag or (), untag or ())
        said = ["★"] * labels.star + [labels.name] * bool(labels.name) + [f"#{one}" for one in labels.tags]
        console.print(f"{entry.id}: {' '.join(said) or 'nothing noted'}{' (with a note)' if labels.note else ''}")


def _named(kept: Library, ids: Sequence[str], binned: bool = False) -> list[Entry]:
    kept.refresh()
    found = [find_run(kept, id, binned) for id in ids]
    return list({entry.id: entry for entry in found}.values())


@library.command()
def export(
    out: Annotated[Path, typer.Option(help="the zip; a file that is there is refused without --replace")],
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="of the runs; grids go with their cells")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="all runs")] = False,
    text: Text = "",
    domain: Domains = None,
    operator: Operators = None,
    state: States = None,
    tag: Tags = None,
    star: Star = False,
    replace: Annotated[bool, typer.Option("--replace", help="remove the file that is there")] = False,
    folder: Folder = None,
) -> None:
    """Pack runs into one zip, with their labels: those named, --all, or what the filters of list find."""
    from ..library.archive import export_zip

    filtered = bool(text or domain or operator or state or tag or star)
    if bool(ids) + everything + filtered != 1:
        raise SuperDiffError("Say what to export: ids, --all, or filters such as --tag; one of the three.")
    if not replace and os.path.lexists(out):
        raise SuperDiffError(f"{out} is there already; choose another name, or replace it with --replace.")
    kept = open_library(folder)
    if ids:
        chosen = [entry.id for entry in _named(kept, ids)]
    else:
        kept.refresh()
        found = kept.find(_query(text, domain, operator, state, tag, star)).entries
        chosen = [entry.id for entry in found if entry.kind]
        if not chosen:
            raise SuperDiffError(f"No run of the library {kept.folder} is to be exported; no run fits.")
    with _counting("exporting") as count:
        done = export_zip(kept, chosen, out, count)
    for sentence in done.refused:
        console.print(f"  {sentence}", soft_wrap=True)
    console.print(f"{_runs(len(done.ids))}, {size_text(done.bytes)}, in {out}", soft_wrap=True)


@library.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(help="zips of superdiff library export or of runs' folders, or folders")
    ],
    folder: Folder = None,
) -> None:
    """Take runs into the library; what is there already stays, and nothing is overwritten."""
    from ..library.archive import import_zip

    kept = open_library(folder)
    failed = 0
    for file in files:
        try:
            with _counting(f"importing {visible(file.name)}") as count:
                done = import_zip(kept, file, count)
        except SuperDiffError as error:
            if len(files) == 1:
                raise
            complain(str(error))
            failed += 1
            continue
        for sentence in done.refused:
            console.print(f"  {sentence}", soft_wrap=True)
        for old, new in done.came.items():
            if old != new:
                console.print(f"  The library has another run {old}; this one is {new} there.", soft_wrap=True)
        there = f"; {_runs(len(done.there))} were there already" if done.there else ""
        console.print(f"{_runs(len(done.came))}, {size_text(done.bytes)}, into {kept.folder}{there}", soft_wrap=True)
        failed += not done.came and not done.there
    raise typer.Exit(1 if failed else 0)


def parse_size(text: str) -> int:
    """Bytes of "500 MB", "2GB", "1.5GiB" or a number of bytes; raises SuperDiffError."""
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]{0,3})\s*", text)
    if found is None or found[2].upper() not in _UNITS:
        raise SuperDiffError(f"'{quoted(text)}' is no size; write it as 500MB, 2GB or 1.5GiB.")
    return int(float(found[1]) * _UNITS[found[2].upper()])


@library.command()
def prune(
    older: Annotated[float | None, typer.Option(metavar="DAYS", help="runs that began longer ago", min=0)] = None,
    larger: Annotated[
        str | None, typer.Option(metavar="SIZE", help="the oldest, until all take no more, such as 5GB")
    ] = None,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="failed, interrupted, cancelled, ...; several times for several")
    ] = None,
    starred: Annotated[bool, typer.Option("--starred", help="those with a star, too")] = False,
    named: Annotated[bool, typer.Option("--named", help="those that you gave a name, too")] = False,
    forever: Annotated[bool, typer.Option("--forever", help="remove them for good, not into the bin")] = False,
    yes: Yes = False,
    folder: Folder = None,
) -> None:
    """Make room: runs that fit all that is said go into the bin, or for good; first it only lists them.

    What has a star or a name stays unless --starred or --named; a grid goes with its cells.
    """
    from ..library.prune import Rules, plan
    from ..library.prune import prune as remove

    rules = Rules(older, None if larger is None else parse_size(larger), tuple(state or ()), starred, named)
    kept = open_library(folder)
    found = plan(kept, rules)
    if not found.entries:
        console.print(f"Nothing fits in {kept.folder}; nothing is removed.", soft_wrap=True)
        return
    console.print(_table(found.entries))
    what = f"{_runs(len(found.entries))}, {size_text(found.bytes)}"
    if not yes:
        do = "remove them for good" if forever else "put them into the bin"
        console.print(f"{what}. This was a list; to {do}, say --yes.", soft_wrap=True)
        return
    with _counting("removing") as count:
        remove(kept, found.entries, forever, count)
    freed = "removed; the bytes are free" if forever else "in the bin now; superdiff library empty-bin frees the bytes"
    console.print(f"{what}, {freed}", soft_wrap=True)


@library.command()
def delete(ids: Ids, folder: Folder = None) -> None:
    """Put runs into the bin, grids with their cells; restore takes them out again."""
    kept = open_library(folder)
    names = kept.delete([entry.id for entry in _named(kept, ids)])
    console.print(f"{_runs(len(names))} in the bin now: {', '.join(names)}", soft_wrap=True)


@library.command()
def restore(ids: Ids, folder: Folder = None) -> None:
    """Take runs out of the bin, grids with their cells."""
    kept = open_library(folder)
    names = kept.restore([entry.id for entry in _named(kept, ids, binned=True)])
    console.print(f"{_runs(len(names))} back in the library: {', '.join(names)}", soft_wrap=True)


@library.command("empty-bin")
def empty_bin(yes: Yes = False, folder: Folder = None) -> None:
    """Remove what lies in the bin for good."""
    from ..library import Query

    kept = open_library(folder)
    kept.refresh()
    found = kept.find(Query(part_of=None, binned=True, most=0))
    what = f"{_runs(found.total)}, {size_text(found.bytes)}"
    if not found.total:
        console.print(f"The bin of {kept.folder} is empty.", soft_wrap=True)
    elif not yes:
        console.print(f"{what} in the bin of {kept.folder}; to remove them for good, say --yes.", soft_wrap=True)
    else:
        kept.empty_bin()
        console.print(f"{what} removed; the bytes are free.")


@library.command()
def reindex(folder: Folder = None) -> None:
    """Make the index anew from the runs' folders, which are the truth."""
    kept = open_library(folder)
    with _counting("reading folders") as count:
        total = kept.reindex(count)
    console.print(f"{total:,} entries in the index of {kept.folder}", soft_wrap=True)
