"""superdiff convert."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import SuperDiffError
from ..system import interrupts
from .console import bar, console
from .options import NamedCommand


def convert(
    name: str,
    settings: Any,
    files: Annotated[
        list[Path], typer.Argument(help="what its authors publish, in the order that docs/models.md says")
    ],
    out: Annotated[Path | None, typer.Option(help="the folder to write; recipes name it local/ITS_NAME")] = None,
    force: Annotated[bool, typer.Option(help="replace the files of a converted model that lies there already")] = False,
) -> None:
    """Convert a model of others, from the files that its authors publish, without running anything that they hold.

    Put the folder below one that SUPERDIFF_MODELS names. Options differ by model: superdiff convert NAME --help.
    """
    from ..domains import conversion_of

    conversion = conversion_of(name)
    if out is None:
        raise SuperDiffError(f"Say where {conversion.title} goes: --out FOLDER.")
    with bar() as progress, interrupts.on_signal(interrupts.break_off):
        lines: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in lines:
                lines[what] = progress.add_task(f"{what} (MB)", total=total / 1e6)
            progress.update(lines[what], completed=done / 1e6, total=total / 1e6)

        made = conversion.convert(files, out, settings, force, report)
    console.print(
        f"Converted {conversion.title}: {made.parameters / 1e6:.2f} million parameters in {made.tensors:,} tensors, "
        f"{made.bytes / 1e6:.1f} MB in {made.folder}"
    )
    for source in made.sources:
        console.print(f"From {source.file}: {source.bytes:,} bytes, SHA-256 {source.sha256}", soft_wrap=True)
    for line in made.left_out:
        console.print(f"Left out: {line}", soft_wrap=True)
    console.print(f"Licence: {conversion.licence} ({conversion.home})", soft_wrap=True)
    console.print(conversion.use(made.folder), soft_wrap=True)


class ConvertCommand(NamedCommand):
    """`superdiff convert`, with the options of the model that is named."""

    function = staticmethod(convert)

    def names(self) -> Sequence[str]:
        from ..domains import conversions

        return list(conversions())

    def settings_of(self, name: str) -> type[Any]:
        from ..domains import conversion_of

        return conversion_of(name).options
