"""What a browser tab looks at: the ids of its runs, in the address line so that a reload finds them again."""

from __future__ import annotations

import gc

import streamlit as st

from superdiff_engine.domains import get_domain
from superdiff_engine.errors import BinnedError, SuperDiffError
from superdiff_engine.library import library_folder
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.comparison import MOST

from . import looked, titles
from .form import memory as form_memory
from .form import state as form_state
from .job import EstimationJob, GridJob, Job, Tab
from .jobs import Jobs
from .part import outdated
from .turning import COMPOSE, turn_to
from .unbroken import unbroken
from .words import ordinal

#: How many runs are shown side by side.
MOST_COMPARED = MOST
#: Presses of Ctrl+Enter that are taken in at once.
_MOST_PRESSES = 20


@st.cache_resource(show_spinner=False)
def registry() -> Jobs:
    """The server's one registry of jobs."""
    gc.freeze()  # as in stage.warm_up, for torch
    return Jobs(library_folder())


@unbroken()
def start_session() -> None:
    """Once a tab: open what the address line names, a recipe or runs; errors are kept as one sentence."""
    state = st.session_state
    if state.get("started"):
        return
    state["started"] = True
    state["tab"] = registry().open_tab()
    state["shown"] = []
    state["problem"] = ""
    form_state.ensure()
    named = list(dict.fromkeys(job_id for job_id in st.query_params.get("run", "").split(",") if job_id))
    titles.from_query(st.query_params.to_dict(), named)
    looked.from_query(st.query_params.to_dict(), named)
    jobs: list[Job] = []
    shown: list[str] = []
    for job_id in named[:MOST_COMPARED]:
        try:
            jobs.append(registry().recall(job_id))
            shown.append(job_id)
        except BinnedError as error:
            state["problem"] = str(error)
            state["binned"] = [*state.get("binned", []), job_id]
        except SuperDiffError as error:
            state["problem"] = str(error)
            if registry().is_offered(job_id):
                shown.append(job_id)  # it is there once it is queued again
    show(shown)
    state["left-out"] = len(named[MOST_COMPARED:])
    try:
        if jobs:
            form_state.load(jobs[0].recipe)
        form_memory.from_query(st.query_params.to_dict())
    except SuperDiffError as error:
        state["problem"] = str(error)


def this_tab() -> Tab:
    """The browser tab that is being drawn, as the registry knows it."""
    tab: Tab = st.session_state["tab"]
    return tab


def shown_jobs() -> list[Job]:
    """The jobs that this tab shows, first the one that was run, then those to compare it with."""
    found = [registry().find(job_id) for job_id in st.session_state["shown"]]
    return [job for job in found if job is not None]


def at_work() -> set[str]:
    """The ids of all jobs that this tab asked for or shows, and that have not ended."""
    tab = this_tab()
    return {job.id for job in registry().at_work() if job.tab == tab.key or job.id in tab.shown}


def newest_grid(job: Job) -> GridJob | None:
    """The newest grid that was asked for under this run."""
    mine = [grid for grid in registry().grids() if grid.origin == job.id]
    # Looked up by its id as well: what is looked at is not forgotten.
    return registry().find_grid(mine[-1].id) if mine else None


def newest_check(job: Job) -> EstimationJob | None:
    """The newest check of this run's log-densities, of whichever tab."""
    mine = [check for check in registry().checks() if check.origin == job.id]
    return registry().find_estimation(mine[-1].id) if mine else None  # likewise


def show(job_ids: list[str]) -> None:
    """Show these jobs in this tab, as many as there is room for; the address line names them (tab.py)."""
    wanted = list(dict.fromkeys(job_ids))
    st.session_state["shown"] = wanted[:MOST_COMPARED]
    st.session_state["left-out"] = len(wanted[MOST_COMPARED:])
    this_tab().shown = tuple(st.session_state["shown"])


def count_presses(asked: int) -> None:
    """Note that Run was asked for by the keyboard (a callback); `asked` counts all of the tab's presses."""
    state = st.session_state
    state["presses"] = min(max(asked - state["presses-known"], 0) + state.get("presses", 0), _MOST_PRESSES)
    state["presses-known"] = asked


def take_presses(runs: bool) -> None:
    """Take in what the keyboard asked for; draw the form before, so that it has settled to all that was typed.

    Args:
        runs: whether the form describes what can be run; presses are dropped where it does not.
    """
    st.session_state["form-runs"] = runs
    if _take(runs):
        st.rerun()


@unbroken()
def _take(runs: bool) -> bool:
    """Have the presses run by the next drawing; returns whether there are any."""
    state = st.session_state
    presses = state.pop("presses", 0)
    if not presses or not runs:
        return False
    state["presses-to-run"] = state.get("presses-to-run", 0) + presses
    return True


def run_presses() -> None:
    """Run the form for every press that was taken in; before the form is drawn, since a seed may be rolled.

    A press that comes meanwhile ends this between two runs: what is left is run by the drawing after it.
    """
    state = st.session_state
    if state.get("form-runs") and not outdated():
        _take(True)  # nothing was typed since the form was drawn
    while state.get("presses-to-run", 0):
        with unbroken():
            state["presses-to-run"] -= 1
            run_form(watched=True)


@unbroken()
def follow_queue() -> None:
    """Go on to this tab's next run where the one that was watched has ended, if that is wanted."""
    state = st.session_state
    watched, state["watched"] = state.get("watched"), None
    jobs = shown_jobs()
    if len(jobs) != 1:
        return
    tab = this_tab()
    if state.get("queue-follow") and jobs[0].finished and jobs[0].id == watched:
        jobs = [job for job in registry().at_work() if isinstance(job, Job) and job.tab == tab.key][:1] or jobs
        show([jobs[0].id])
    if not jobs[0].finished:
        state["watched"] = jobs[0].id


def run_form(watched: bool = False) -> None:
    """Run what the form describes (a callback); it waits its turn, and is shown unless what is shown is at work.

    Args:
        watched: whether a browser's script asks, before which somebody sits: what is shown goes at the tab's pace.
    """
    state = st.session_state
    state["problem"] = ""
    shown = all(other.finished for other in shown_jobs())
    try:
        if not state["f.lock"]:
            form_state.roll_seed()
        recipe = form_state.recipe_now()
        rate = _take_rate(recipe) if watched and shown else None
        job = registry().submit(recipe, state["f.save"], this_tab(), rate)
    except SuperDiffError as error:
        state["problem"] = str(error)
        return
    if shown:
        show([job.id])
    else:
        place = ordinal(len(registry().ahead(job)) + 1)
        st.toast(f"Added to the queue: {place} in line", icon=":material/playlist_add:")


def _take_rate(recipe: Recipe) -> float | None:
    """Steps a second of the tab's next run: what was chosen in this tab, else of its first run what the domain says."""
    state = st.session_state
    rates: dict[str, float | None] = state.setdefault("rates", {})
    if recipe.domain in rates:
        return rates[recipe.domain]
    seen: set[str] = state.setdefault("has-run", set())
    rate = None if recipe.domain in seen else get_domain(recipe.domain).first_pace(recipe)
    seen.add(recipe.domain)
    return rate


def lesson_rate(recipe: Recipe) -> float | None:
    """Steps a second of a lesson's run, which is there to be watched: what was chosen in this tab, else what the domain
    says of a first run.
    """
    rates: dict[str, float | None] = st.session_state.setdefault("rates", {})
    return rates[recipe.domain] if recipe.domain in rates else get_domain(recipe.domain).first_pace(recipe)


def keep_rate(domain: str, rate: float | None) -> None:
    """Let this tab's next runs of the domain that are watched go at so many steps a second; None for all they can."""
    st.session_state.setdefault("rates", {})[domain] = rate


def pace_note(job: Job) -> str:
    """Why a run goes slower than it can though nobody in this tab has said so; "" where it does not."""
    if job.run.tempo.rate is None or job.recipe.domain in st.session_state.get("rates", {}):
        return ""
    return "A first run is slowed, so that it can be watched; the speed you choose is kept for this tab."


def run_beside(*recipes: Recipe) -> None:
    """Run other recipes beside what is shown (a callback)."""
    state = st.session_state
    state["problem"] = ""
    for recipe in recipes:
        try:
            job = registry().submit(recipe, state["f.save"], this_tab())
        except SuperDiffError as error:
            state["problem"] = str(error)
            return
        show([*state["shown"], job.id][-MOST_COMPARED:])


def open_recipe(recipe: Recipe) -> None:
    """Put a recipe into the form and turn to it (a callback)."""
    form_state.load(recipe)
    show([])
    turn_to(COMPOSE)


def move(job_id: str, by: int) -> None:
    """Move a run among those that are shown, by so many places to the right (a callback)."""
    shown = list(st.session_state["shown"])
    place = shown.index(job_id)
    shown.insert(max(place + by, 0), shown.pop(place))
    show(shown)


def remove(job_id: str) -> None:
    """Take a run out of this tab's view (a callback)."""
    show([other for other in st.session_state["shown"] if other != job_id])
