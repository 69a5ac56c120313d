"""Commands: studio | sample | densities | slide | film | page | grid | library | lessons | evaluate | train | convert |
models.
"""

from __future__ import annotations

import sys

from ..system import interrupts

if __name__ == "__main__":  # before what takes time to import
    interrupts.catch_signals()

import os
import traceback
from pathlib import Path

import typer

from ..errors import SuperDiffError
from ..system.files import drop_partials
from ..system.terminal import VisibleGroup
from ..system.visible_log import log_visibly
from .console import complain
from .convert import ConvertCommand, convert
from .densities import densities
from .evaluate import EvaluateCommand, evaluate
from .film import film, page
from .lessons import lessons
from .library import library
from .models import models
from .options import without_settings
from .readme import readme
from .runs import grid, sample
from .slide import slide
from .studio import studio
from .train import TrainCommand, train

app = typer.Typer(
    cls=VisibleGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)
for function in (studio, sample, densities, slide, film, page, grid, models):
    app.command()(function)
app.command(cls=TrainCommand)(without_settings(train))
app.command(cls=ConvertCommand)(without_settings(convert))
app.command(cls=EvaluateCommand)(without_settings(evaluate))
app.command(hidden=True)(readme)
app.add_typer(library, name="library")
app.add_typer(lessons, name="lessons")


def main() -> None:
    """Run the command line; what a user got wrong is one sentence on standard error, with exit code 1.

    Work that a signal stopped has the exit code of that: 130 for Ctrl+C, 143 for SIGTERM, 129 for SIGHUP.
    """
    interrupts.catch_signals()
    log_visibly()
    code: str | int | None = 0
    try:
        app()
    except SystemExit as ended:
        code = ended.code
    except interrupts.Interrupted:
        code = interrupts.exit_code()
        complain("Interrupted; what was finished is kept, and the same command goes on from there.")
    except BaseException as error:
        # What breaks while a signal is heeded is no news; the terminal may be gone, too.
        code = 1
        if interrupts.asked() is None:
            complain(_sentence(error))
        else:
            code = interrupts.exit_code()
    interrupts.ignore_signals()
    drop_partials()
    sys.exit(code)


def _sentence(error: BaseException) -> str:
    """What went wrong, and where if nobody foresaw it."""
    from ..runs.failures import out_of_memory
    from ..system.memory import is_out_of_memory

    if isinstance(error, SuperDiffError | FileNotFoundError):
        return str(error)
    if is_out_of_memory(error):
        return out_of_memory(None)
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}, line {last.lineno}"
    return f"This stopped on an unexpected error ({type(error).__name__} in {where}: {error})."


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    main()
