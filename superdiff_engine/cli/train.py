"""superdiff train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SuperDiffError
from ..system import interrupts
from .console import bar, console
from .options import NamedCommand

if TYPE_CHECKING:
    from ..training.task import TrainingProgress


def train(
    name: str,
    settings: Any,
    pack: Annotated[
        Path | None,
        typer.Option(help="train nothing: write the prepared data to this file, for a machine that cannot read them"),
    ] = None,
) -> None:
    """Train an embedded model from its data; stopping and starting again resumes, on whatever device.

    Ctrl+C, SIGTERM and SIGHUP stop it after its step, with its checkpoint; a second Ctrl+C ends it at once.
    Options differ by model: superdiff train NAME --help.
    """
    from ..domains import training_of
    from ..system.devices import training_device

    training = training_of(name)
    if settings.data is not None and not settings.data.exists():
        raise SuperDiffError(f"There is nothing at {settings.data}; name a folder of the data, or a pack.")
    settings = replace(settings, device=training_device(settings.device))
    if pack is not None:
        size = training.write_pack(pack, settings.data).stat().st_size / 1e6
        console.print(f"Wrote {pack} ({size:.1f} MB); train from it with --data {pack}")
        return
    budget = training.minutes if settings.minutes is None else settings.minutes
    checkpoint = training.checkpoint(settings)
    if checkpoint.is_file():
        console.print(f"Going on from {checkpoint}; delete it to begin anew.")
    with bar() as progress:
        task = progress.add_task(name, total=budget)
        said = -1

        def report(state: TrainingProgress) -> None:
            nonlocal said
            line = f"{name}: step {state.step}, loss {state.loss:.4f}, {state.pace:,.0f} samples/s"
            progress.update(task, completed=state.minutes, description=line)
            # A log has no bar: a line a minute, of each stage that the training has.
            if not console.is_terminal and int(state.minutes) != said:
                said = int(state.minutes)
                console.print(f"{state.minutes:.1f} of {budget:g} minutes, {line}")

        with interrupts.on_signal(interrupts.break_off):
            folder = training.train(settings, report)
    console.print(f"Saved to {folder}")


class TrainCommand(NamedCommand):
    """`superdiff train`, with the options of the model that is named."""

    function = staticmethod(train)

    def names(self) -> Sequence[str]:
        from ..domains import trainings

        return list(trainings())

    def settings_of(self, name: str) -> type[Any]:
        from ..domains import training_of

        return training_of(name).options
