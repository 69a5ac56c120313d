"""What commands say, and the bars of progress that they show."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ..system.downloads import Download
from ..system.terminal import Terminal
from ..system.visible_text import visible

console = Terminal()


def complain(sentence: str) -> None:
    """Say on standard error what is wrong."""
    with suppress(OSError):
        Terminal(stderr=True).print(f"superdiff: {sentence}", style="red", highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Say a line of a long work."""
    console.print(line)


def bar(counts: bool = False) -> Progress:
    """A bar with a text before it and its times behind it.

    Args:
        counts: whether it says how many of how many, too.
    """
    text = TextColumn("{task.description}", markup=False)
    more = [MofNCompleteColumn()] if counts else []
    return Progress(text, BarColumn(), *more, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


def download_bar(progress: Progress) -> Callable[[Download], None]:
    """A line of its own for whatever is fetched, in megabytes."""
    lines: dict[str, TaskID] = {}

    def show(download: Download) -> None:
        if download.name not in lines:
            lines[download.name] = progress.add_task(f"downloading {visible(download.name)} (MB)")
        total, done = (count // 1_000_000 for count in (download.total, download.done))
        progress.update(lines[download.name], total=total, completed=done)

    return show
