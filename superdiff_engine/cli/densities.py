"""superdiff densities."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from ..errors import SuperDiffError
from ..system import interrupts
from ..system.downloads import watching
from .console import bar, console, download_bar

if TYPE_CHECKING:
    from ..runs.density_check import DensityCheck, Fit


def densities(
    folder: Annotated[Path, typer.Argument(help="a run's folder, as `superdiff sample` and the studio write it")],
    paths: Annotated[int, typer.Option(help="of fresh noise for each sample", min=1)] = 4,
    steps: Annotated[int, typer.Option(help="of noise levels, a multiple of 4", min=4)] = 100,
    most: Annotated[int | None, typer.Option(help="samples, the first ones (left out: all)", min=1)] = None,
) -> None:
    """Check a run's log-densities: its own samples, estimated afresh along independent noise.

    Takes about as long as a run of these steps for each path. Ctrl+C, SIGTERM and SIGHUP stop it; nothing is written.
    """
    from ..runs.density_check import Checking
    from ..runs.stored import read_record

    run = read_record(folder)
    if run.result is None:
        raise SuperDiffError(f"The run in {folder} made no samples, or they cannot be read; run its recipe again.")
    checking = Checking(run.result, paths, steps, most)
    with interrupts.on_signal(checking.interrupt), bar() as progress:
        task = progress.add_task("loading", total=1.0)
        with watching(download_bar(progress)):
            checking.execute(lambda share: progress.update(task, completed=share, description=f"{paths} paths"))
    check = checking.check
    if check is None:
        console.print("Cancelled; nothing was measured.")
        raise typer.Exit(interrupts.exit_code() if interrupts.asked() is not None else 0)
    console.print(
        f"Log q of {check.samples:,} samples at level {check.level:.3g}: the run's less that along {check.paths} "
        f"path{'' if check.paths == 1 else 's'} of fresh noise, in {checking.seconds:.1f} s"
    )
    console.print(_table(check))
    for sentence in check.sentences:
        console.print(sentence)


def _table(check: DensityCheck) -> Table:
    columns = ["bias, nats", "spread, nats", "fresh ±, nats", "rank corr."]
    table = Table(Column("log q of"), *(Column(name, justify="right") for name in columns))
    for fit in [*check.experts, *check.differences]:
        table.add_row(_name(fit, check.titles), *_values(fit))
    return table


def _name(fit: Fit, titles: list[str]) -> str:
    if len(fit.experts) == 1:
        return f"{fit.experts[0] + 1} {titles[fit.experts[0]]}"
    return " - ".join(str(expert + 1) for expert in fit.experts)


def _values(fit: Fit) -> list[str]:
    def written(value: float) -> str:
        return "unknown" if math.isnan(value) else f"{value:.{1 if abs(value) >= 10 else 2}f}"

    spread = (
        written(fit.spread) if math.isnan(fit.spread_error) else f"{written(fit.spread)} (+{written(fit.spread_error)})"
    )
    bias = f"{written(fit.bias)} ± {written(fit.bias_error)}"
    return [bias, spread, written(fit.noise), written(fit.rank_correlation)]
