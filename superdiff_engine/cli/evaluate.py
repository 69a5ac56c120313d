"""superdiff evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..system import interrupts
from .console import console, say
from .options import RAY, NamedCommand


def evaluate(
    domain: str,
    settings: Any,
    row: Annotated[list[str] | None, typer.Option(help="only this row, such as or/sde; may be given again")] = None,
    out: Annotated[Path | None, typer.Option(help="where the table goes (left out: its own in docs/tables)")] = None,
    ray: Annotated[str | None, typer.Option("--ray", help=RAY)] = None,
) -> None:
    """Measure a domain as the paper does and write its table; stopping and starting again resumes.

    Ctrl+C, SIGTERM and SIGHUP stop it, with all chunks that were finished; a second Ctrl+C ends it at once.
    Options differ by domain: superdiff evaluate DOMAIN --help.
    """
    from ..domains import evaluation_of

    evaluation = evaluation_of(domain)  # imported while there is nothing to keep
    with interrupts.on_signal(interrupts.break_off):
        written = evaluation.run(settings, row, out, say, ray=ray)
    for path in written:
        console.print(f"Wrote {path}")


class EvaluateCommand(NamedCommand):
    """`superdiff evaluate`, with the settings of the domain that is named."""

    function = staticmethod(evaluate)

    def names(self) -> Sequence[str]:
        from ..domains import evaluations

        return evaluations()

    def settings_of(self, name: str) -> type[Any]:
        from ..domains import evaluation_of

        return evaluation_of(name).settings
