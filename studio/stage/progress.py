"""How far work is and how it is said: bars, what is downloaded, times for people, what the experts are called."""

from __future__ import annotations

import streamlit as st

from superdiff_engine.domains import get_domain
from superdiff_engine.runs.estimation import Estimation
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.run import Run
from superdiff_engine.system.downloads import Download

from ..guard import callback, guarded, plain
from ..job import AnyJob, EstimationJob, GridJob, Job
from ..session import registry, this_tab
from ..words import STATES, run_title
from .looks import looked_at

#: Letters of the experts' names in one line.
_LONG = 60


def names_of(job: Job) -> list[str]:
    """What the experts are called in charts: their number and title, so that two of a kind can be told apart."""
    return [f"{position} {title}" for position, title in enumerate(job.run.titles, start=1)]


def draw_progress(job: AnyJob, text: str, cancel: str = "Cancel", kept: str = "what there is") -> None:
    """A progress bar with its text and the button that stops the work."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        fetched = download_of(job)
        share = job.run.fraction if fetched is None else fetched.fraction
        st.progress(min(max(share, 0.0), 1.0), text=text)
        st.button(
            cancel,
            icon=":material/stop_circle:",
            key=f"cancel-{job.id}",
            on_click=callback(registry().cancel_named),
            args=(job.id,),  # a session remembers what its buttons are called with for as long as it lives
            disabled=job.run.cancelling,
            help=f"Stop within one step and keep {kept}",
        )


def standstill_text(job: AnyJob) -> str:
    """Why a job makes no steps: it waits for another, or is being cancelled; empty while it works."""
    queued = job.run.state == "queued"
    if queued or (isinstance(job, EstimationJob) and job.run.waiting):
        ahead = registry().ahead(job)
        if queued and registry().paused:
            before = f" {len(ahead)} run{'' if len(ahead) == 1 else 's'} ahead." if ahead else ""
            return f"Waiting: the queue is paused, and goes on from its panel.{before}"
        if ahead:
            return f"Waiting: {len(ahead)} run{'' if len(ahead) == 1 else 's'} ahead, now {work_text(ahead[0])}"
        if queued:
            return "Waiting to begin"
    return "Cancelling: stops after this step" if job.run.cancelling else ""


def work_text(job: AnyJob) -> str:
    """Which work this is, how far it is, and whose, in one line."""
    recipe = job.recipe
    kind = "Grid of " if isinstance(job, GridJob) else "Log-densities for " if isinstance(job, EstimationJob) else ""
    experts = ", ".join(expert.prompt or expert.model for expert in recipe.experts)
    experts = experts if len(experts) <= _LONG else f"{experts[: _LONG - 1]}…"
    waiting = job.run.state == "queued"
    left = [*paused_texts(job), *pace_texts(job.run)[1:]]
    pace = ["waiting"] if waiting else [f"{round(100 * job.run.fraction)} %", *left]
    whose = "this tab" if job.tab == this_tab().key else "another tab"
    return " · ".join([f"{kind}{run_title(recipe)}", get_domain(recipe.domain).title, experts, *pace, whose])


def download_of(job: AnyJob) -> Download | None:
    """What a job fetches now, itself or the run of a grid's cell; None while nothing is fetched."""
    cells = job.run.at_work.values() if isinstance(job.run, Sweep) else ()
    return next((cell.download for cell in cells if cell.download is not None), job.run.download)


def loading_text(job: AnyJob) -> str:
    """What is loaded or fetched, how much of it is here, and how long that may take."""
    fetched = download_of(job)
    if fetched is None:
        return STATES["loading"]
    left = [] if fetched.eta is None else [f"{seconds_text(fetched.eta)} to go"]
    return " · ".join([f"Downloading {fetched.name}", fetched.amount, *left])


def pace_texts(run: Run | Sweep | Estimation) -> list[str]:
    """The time so far, and to go once there is a pace."""
    left = [] if run.eta is None else [f"{seconds_text(run.eta)} to go"]
    return [f"{seconds_text(run.seconds)} so far", *left]


def paused_texts(job: AnyJob) -> list[str]:
    """That somebody who watches it has paused a run; nothing of any other work."""
    return ["paused"] if isinstance(job, Job) and job.run.tempo.paused else []


def progress_text(job: Job) -> str:
    """Where a run is, in one line."""
    run = job.run
    still = standstill_text(job)
    if still:
        return plain(still)
    if not len(run.trace):
        return plain(loading_text(job)) if run.state == "loading" else "Taking the first step"
    if run.state == "done":
        return "Saving"
    state = "Paused" if run.tempo.paused else STATES[run.state]
    parts = [f"{state}: step {len(run.trace) - 1} of {run.recipe.levels.steps}"]
    last = run.trace.latest
    if last is not None:
        parts.append(f"level s = {last.level:.3g}")
    return plain(" · ".join([*parts, *pace_texts(run)]))


def seconds_text(seconds: float) -> str:
    """A time for people: 0.4 s, 12 s, 3 min 05 s."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60:02d} s"


@looked_at(lambda job_id: registry().find_estimation(job_id))
def draw_estimation_progress(job: EstimationJob) -> None:
    """How far an estimation for given samples is, until it has ended."""
    with guarded("the progress"):
        at_work = " · ".join([STATES[job.run.state], *pace_texts(job.run)])
        text = standstill_text(job) or (loading_text(job) if job.run.state == "loading" else at_work)
        draw_progress(job, plain(text), kept="nothing of it")
