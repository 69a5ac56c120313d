"""The command line: superdiff studio | sample | grid | evaluate | train | models."""

from __future__ import annotations

import sys

from ..system import interrupts

if __name__ == "__main__":  # before what takes time to import
    interrupts.catch_signals()

import importlib
import json
import os
import socket
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table

from ..errors import SuperDiffError
from ..system.downloads import Download, watching
from ..system.files import drop_partials
from ..system.terminal import Terminal, VisibleGroup, log_visibly
from ..system.visible_text import visible

if TYPE_CHECKING:
    from ..runs.grid import Sweep
    from ..runs.run import Run
    from ..training.task import TrainingProgress
    from ..training.training import Training

#: Settings of an evaluation: a dataclass.
Chosen = TypeVar("Chosen", bound=Any)
app = typer.Typer(
    cls=VisibleGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)
console = Terminal()
LOOPBACK = "127.0.0.1"
#: How long a command waits for room on a disk that has filled up.
SAVING_SECONDS = 60
#: What can be trained, and the domain that knows how; a table here because domains import heavy libraries.
TRAINABLE = {
    "garments_a": "pictures",
    "garments_b": "pictures",
    "garments_ab": "pictures",
    "garment_classifier": "pictures",
    "emoji_vae": "prompts",
    "emoji": "prompts",
    "emoji_scorer": "prompts",
    "molecules": "molecules",
    "molecules_rings": "molecules",
    "molecules_chains": "molecules",
    "proteins": "proteins",
    "proteins_alpha": "proteins",
    "proteins_beta": "proteins",
}


def main() -> None:
    """Run the command line; what a user got wrong is one sentence on standard error, with exit code 1.

    Work that a signal stopped has the exit code of that: 130 for Ctrl+C, 143 for SIGTERM, 129 for SIGHUP.
    """
    interrupts.catch_signals()
    log_visibly()
    code: Any = 0
    try:
        app()
    except SystemExit as ended:
        code = ended.code
    except interrupts.Interrupted:
        code = interrupts.exit_code()
        _complain("Interrupted; what was finished is kept, and the same command goes on from there.")
    except BaseException as error:
        # What breaks while a signal is heeded is no news; the terminal may be gone, too.
        code = 1
        if interrupts.asked() is None:
            _complain(_sentence(error))
        else:
            code = interrupts.exit_code()
    interrupts.ignore_signals()
    drop_partials()
    sys.exit(code)


def _complain(sentence: str) -> None:
    with suppress(OSError):
        Terminal(stderr=True).print(f"superdiff: {sentence}", style="red", highlight=False, soft_wrap=True)


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


@app.command()
def studio(
    port: Annotated[int, typer.Option(help="TCP port on 127.0.0.1", min=1, max=65535)] = 8501,
    browser: Annotated[bool, typer.Option(help="open a browser window")] = True,
) -> None:
    """Open the studio in a browser, on 127.0.0.1 only."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            raise SuperDiffError(
                f"Port {port} is in use, perhaps by a studio that is open already at http://{LOOPBACK}:{port}. "
                f"Choose another one: superdiff studio --port {port + 1 if port < 65535 else 8501}"
            ) from None
    import studio as package

    script = Path(package.__file__).parent / "serve.py"
    # Said here as well as in the config file, which a file in the user's own folder would override.
    options = {
        "server.address": LOOPBACK,
        "server.port": port,
        "server.headless": not browser,
        "browser.gatherUsageStats": False,
        # Streamlit greets with advice for its own developers, in the terminal and over the page.
        "logger.hideWelcomeMessage": True,
    }
    command = [sys.executable, str(script), json.dumps(options)]
    console.print(f"SuperDiff Studio: http://{LOOPBACK}:{port} (Ctrl+C ends it)")
    sys.stdout.flush()  # what is still unwritten would be lost with this process
    # Streamlit looks for its configuration (themes, limits) in the folder it is started from.
    # Threads that wait for each other sleep instead of spinning: the page needs the cores too.
    environment = {"OMP_WAIT_POLICY": "PASSIVE"} | dict(os.environ)
    # The studio runs in its own folder: what was named from this one would not be found there.
    from ..domains.sources import FOLDERS_VARIABLE

    for variable in (FOLDERS_VARIABLE, "SUPERDIFF_RUNS"):
        folders = [folder for folder in environment.pop(variable, "").split(os.pathsep) if folder]
        if folders:
            environment[variable] = os.pathsep.join(str(Path(folder).expanduser().resolve()) for folder in folders)
    if os.name == "posix":
        # In the place of this process: whoever stops it stops the server, and leaves no orphan on the port.
        os.chdir(script.parent)
        os.execve(sys.executable, command, environment)
    sys.exit(subprocess.call(command, cwd=script.parent, env=environment))


@contextmanager
def _saving(work: Run | Sweep) -> Iterator[None]:
    """What could not be saved in this block is tried again for a while, since all of it ends with this process."""
    try:
        yield
    except SuperDiffError:
        if not work.unsaved:
            raise
        _complain(f"{work.message} Free some space: this is tried again for {SAVING_SECONDS} s (Ctrl+C gives up).")
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


def _bar(*more: ProgressColumn) -> Progress:
    """A bar with a text before it and its times behind it."""
    text = TextColumn("{task.description}", markup=False)
    return Progress(text, BarColumn(), *more, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


def _download_bar(progress: Progress) -> Callable[[Download], None]:
    """A line of its own for whatever is fetched, in megabytes."""
    lines: dict[str, TaskID] = {}

    def show(download: Download) -> None:
        if download.name not in lines:
            lines[download.name] = progress.add_task(f"downloading {visible(download.name)} (MB)")
        total, done = (count // 1_000_000 for count in (download.total, download.done))
        progress.update(lines[download.name], total=total, completed=done)

    return show


@app.command()
def sample(
    recipe: Annotated[Path, typer.Argument(help="a recipe, JSON")],
    out: Annotated[
        Path,
        typer.Option(help="folder for the record; one that holds a record is refused without --replace"),
    ],
    replace: Annotated[bool, typer.Option("--replace", help="remove the record that the folder holds, whole")] = False,
) -> None:
    """Run a recipe and keep its record: samples, trace, preview, log.

    Ctrl+C, SIGTERM and SIGHUP stop it and keep what there is; a second Ctrl+C ends it at once.
    """
    from ..domains.checked import load_recipe
    from ..runs.run import Run

    run = Run(load_recipe(recipe), out, previews=False, replace=replace)
    with interrupts.on_signal(run.interrupt), _saving(run), _bar(MofNCompleteColumn()) as progress:
        task = progress.add_task("loading", total=run.recipe.levels.steps)
        with watching(_download_bar(progress)):
            result = run.execute(
                lambda step: progress.update(task, completed=step.index, description=f"level {step.level:.3g}")
            )
    for note in run.notes:
        console.print(f"  {note}")
    if result is None:
        console.print(run.message or "Cancelled before the first step; nothing was made.")
        raise typer.Exit(_code_of(run))
    word = "Finished" if result.complete else f"Cancelled at step {result.index}; kept what there was"
    console.print(f"{word}: {result.recipe.batch} samples in {result.seconds:.1f} s, in {out}")
    for title, log_density, weight in zip(run.titles, result.log_density.mean(1), result.weights.mean(1), strict=True):
        at = f"at level {result.level:.3g}"
        console.print(f"  {title}: mean log-density {log_density:.2f} nats {at}, mean weight {weight:.3f}")
    raise typer.Exit(_code_of(run))


@app.command()
def grid(
    recipe: Annotated[Path, typer.Argument(help="a recipe, JSON")],
    x: Annotated[str, typer.Option(help="what varies across, such as temperature=0,1,10")],
    out: Annotated[Path, typer.Option(help="the picture, a PNG; a file that is there is refused without --replace")],
    y: Annotated[str | None, typer.Option(help="what varies down, such as seed=0:4, which is 0, 1, 2, 3")] = None,
    samples: Annotated[
        int | None, typer.Option(help="samples a cell (left out: 1 for pictures, the recipe's for others)", min=1)
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="remove the file that is there")] = False,
) -> None:
    """Run a recipe over a grid of one or two parameters, as one picture.

    Ctrl+C, SIGTERM and SIGHUP stop it and keep the finished cells; a second Ctrl+C ends it at once.
    Parameters: temperature, bias, ridge, weight, guidance, steps, seed; up to 12 values each.
    """
    from ..domains.checked import load_recipe
    from ..runs.axes import parse_axis
    from ..runs.grid import Sweep

    if out.suffix.lower() != ".png":
        raise SuperDiffError(f"The grid is a PNG; give it a name that ends in .png, not '{out.name}'.")
    sweep = Sweep(load_recipe(recipe), parse_axis(x), None if y is None else parse_axis(y), samples)
    if not replace and os.path.lexists(out):
        raise SuperDiffError(f"{out} is there already; choose another name, or replace it with --replace.")
    with interrupts.on_signal(sweep.interrupt), _saving(sweep), _bar() as progress:
        cells = len(sweep.recipes)
        task = progress.add_task("loading", total=1.0)
        with watching(_download_bar(progress)):
            sweep.execute(
                lambda _: progress.update(
                    task, completed=sweep.fraction, description=f"cell {min(sweep.done + 1, cells)} of {cells}"
                ),
                out,
            )
    for (row, column), sentence in sweep.failures.items():
        console.print(f"  row {row + 1}, column {column + 1} is empty: {sentence}")
    word = "Finished" if sweep.state == "done" else "Cancelled"
    made = sweep.done - len(sweep.failures)
    if made == 0:
        console.print("Cancelled before the first cell was finished; nothing was made.")
        raise typer.Exit(_code_of(sweep))
    console.print(f"{word}: {made} of {cells} cells in {sweep.seconds:.1f} s, in {out}")
    raise typer.Exit(_code_of(sweep))


@app.command()
def models() -> None:
    """List the models that recipes can name."""
    from ..domains import domains, model_notices

    # An id that is cut short could not be copied into a recipe.
    table = Table(Column("id", no_wrap=True), "domain", "title", "description", "source")
    for domain in domains().values():
        for info in domain.models():
            table.add_row(info.id, domain.name, info.title, info.description, info.source)
    console.print(table)
    for notice in model_notices():
        console.print(notice, style="yellow", soft_wrap=True)
    console.print(
        "Your own diffusers folders: set SUPERDIFF_MODELS to the folder that holds them, they appear as local/NAME. "
        "Hub models: hub/OWNER/NAME.",
    )


@app.command()
def train(
    name: Annotated[str, typer.Argument(help=", ".join(TRAINABLE))],
    minutes: Annotated[
        float | None,
        typer.Option(help="budget over all runs, minutes (left out: its own)", min=0.01),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="folder of the data, if it is not where its package puts it, or a pack that --pack wrote"),
    ] = None,
    refine: Annotated[
        bool,
        typer.Option("--refine", help="without a checkpoint, go on from what is installed (emoji_vae: its decoder)"),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="folder to write the model's own folder into, if not where it is embedded")
    ] = None,
    device: Annotated[str, typer.Option(help="what to train on: auto, cpu or cuda")] = "cpu",
    batch: Annotated[int | None, typer.Option(help="samples a step (left out: the model's own)", min=1)] = None,
    crops: Annotated[
        bool, typer.Option("--crops", help="also learn from random windows of chains beyond 128 residues (proteins)")
    ] = False,
    pack: Annotated[
        Path | None,
        typer.Option(help="train nothing: write the prepared data to this file, for a machine that cannot read them"),
    ] = None,
) -> None:
    """Train an embedded model from its data; stopping and starting again resumes, on whatever device.

    Ctrl+C, SIGTERM and SIGHUP stop it after its step, with its checkpoint; a second Ctrl+C ends it at once.
    """
    from ..system.devices import training_device
    from ..training.training import refusal

    if name not in TRAINABLE:
        raise SuperDiffError(f"There is no model '{name}' to train; there are {', '.join(TRAINABLE)}.")
    training, given = _trainings(TRAINABLE[name])[name], {"refine": refine, "crops": crops}
    own = {one.name for one in fields(training.options)}
    if strange := [option for option, value in given.items() if value and option not in own]:
        every = [one for domain in set(TRAINABLE.values()) for one in _trainings(domain).values()]
        sentences = {option.name: option.metadata for one in every for option in fields(one.options)}
        raise refusal(sentences[strange[0]], name)
    if data is not None and not data.exists():
        raise SuperDiffError(f"There is nothing at {data}; name a folder of the data, or a pack.")
    where = training_device(device)
    if pack is not None:
        size = training.write_pack(pack, data).stat().st_size / 1e6
        console.print(f"Wrote {pack} ({size:.1f} MB); train from it with --data {pack}")
        return
    chosen = {option: value for option, value in given.items() if option in own}
    options = training.options(minutes=minutes, data=data, out=out, device=where, batch=batch, **chosen)
    budget, checkpoint = training.minutes if minutes is None else minutes, training.checkpoint(options)
    if checkpoint.is_file():
        console.print(f"Going on from {checkpoint}; delete it to begin anew.")
    with _bar() as progress:
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
            folder = training.train(options, report)
    console.print(f"Saved to {folder}")


def _trainings(domain: str) -> Mapping[str, Training[Any, Any]]:
    """What a domain trains, by name."""
    return importlib.import_module(f".domains.{domain}.train", "superdiff_engine").TRAININGS


def _with(settings: Chosen, **given: float | str | None) -> Chosen:
    """Settings with the options that were given; the others keep their defaults."""
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return changed(settings, **changes)


@app.command()
def evaluate(
    domain: Annotated[str, typer.Argument(help="pictures, prompts, molecules or proteins")],
    samples: Annotated[
        int | None,
        typer.Option(help="samples a row (2000; molecules 500; proteins 25 a length; prompts: concepts alone)", min=2),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="of the sampler (50; molecules 100; proteins 200)", min=1)] = None,
    batch: Annotated[int | None, typer.Option(help="at once (pictures 125, molecules 50, proteins 25)", min=1)] = None,
    seed: Annotated[int, typer.Option(help="seed of the first batch or pair", min=0)] = 0,
    row: Annotated[list[str] | None, typer.Option(help="only this row, such as or/sde; may be given again")] = None,
    out: Annotated[Path | None, typer.Option(help="where the table goes (left out: docs/tables/DOMAIN.json)")] = None,
    seeds: Annotated[int, typer.Option(help="pictures of every pair in a row (prompts)", min=1)] = 8,
    guidance: Annotated[float | None, typer.Option(help="weight of guidance, 1 for none (4)", min=0, max=100)] = None,
    clip: Annotated[
        Path | None, typer.Option(help="folder of a CLIP model to score with, instead of the concept scorer (prompts)")
    ] = None,
    noise_scale: Annotated[
        float | None, typer.Option(help="of the steps' noise, 1 for all of it (proteins 0.7)", min=0.1, max=1)
    ] = None,
    fold: Annotated[
        str | None,
        typer.Option(help="structure predictor: a command that reads a FASTA file and writes a PDB file (proteins)"),
    ] = None,
    model: Annotated[
        str, typer.Option(help="the text-to-image model: emoji, local/NAME or hub/OWNER/NAME (prompts)")
    ] = "emoji",
    style: Annotated[
        str | None, typer.Option(help='words that end every prompt, such as "flat style" (prompts)')
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="what the networks compute in (prompts: bfloat16 where that is fast, else float32)"),
    ] = None,
    sheet: Annotated[
        bool, typer.Option(help="also draw the pictures of the rows in docs/images (prompts, proteins)")
    ] = False,
) -> None:
    """Measure a domain as the paper does and write its table; stopping and starting again resumes.

    Ctrl+C, SIGTERM and SIGHUP stop it, with all chunks that were finished; a second Ctrl+C ends it at once.
    """
    if domain not in ("pictures", "prompts", "molecules", "proteins"):
        raise SuperDiffError(f"There is no evaluation for '{domain}'; choose pictures, prompts, molecules or proteins.")
    importlib.import_module(f".domains.{domain}.evaluate", "superdiff_engine")  # as long as there is nothing to keep
    with interrupts.on_signal(interrupts.break_off):
        if domain == "pictures":
            from ..domains.pictures.evaluate import evaluate as evaluate_pictures

            out = Path("docs/tables/pictures.json") if out is None else out
            evaluate_pictures(samples or 2000, steps or 50, batch or 125, seed, row, out, _say)
            written = [out]
        elif domain == "prompts":
            from ..domains.prompts import evaluate as prompts
            from ..domains.prompts.chunks import Settings

            common = Settings(seeds=seeds, seed=seed, model=model, concepts=samples or 2000, style=style)
            settings = _with(common, steps=steps, guidance=guidance, dtype=dtype)
            drawn = prompts.SHEET if sheet else None
            written = prompts.evaluate(settings, row, out, clip, drawn, _say)
        elif domain == "molecules":
            from ..domains.molecules import evaluate as molecules

            out = Path("docs/tables/molecules.json") if out is None else out
            alike = molecules.Settings(seed=seed)
            chosen = _with(alike, samples=samples, steps=steps, guidance=guidance, batch=batch)
            molecules.evaluate(chosen, row, out, _say)
            written = [out]
        else:
            from ..domains.proteins import evaluate as proteins

            out = Path("docs/tables/proteins.json") if out is None else out
            each = _with(
                proteins.Settings(seed=seed), samples=samples, steps=steps, batch=batch, noise_scale=noise_scale
            )
            proteins.evaluate(each, row, out, _say, fold=fold)
            written = [out, *(proteins.draw_sheets(Path("docs/images"), each, _say) if sheet else [])]
    for path in written:
        console.print(f"Wrote {path}")


def _say(line: str) -> None:
    console.print(line)


@app.command(name="readme", hidden=True)
def readme(path: Annotated[Path, typer.Argument()] = Path("docs/results.md")) -> None:
    """Write the tables of docs/tables into the page of results, between their markers."""
    from ..domains import domains
    from ..tables.table import TABLES, update_readme

    layouts = {name: layout for domain in domains().values() for name, layout in domain.tables().items()}
    update_readme(path, layouts, TABLES)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    main()
