"""The live view of a run: one fragment that looks at the trace a few times a second and never touches the run."""

from __future__ import annotations

import streamlit as st

from superdiff_engine.domains import get_domain
from superdiff_engine.runs.given import Scoring
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.run import Run
from superdiff_engine.system.downloads import Download
from superdiff_engine.trace import Curves, Frame

from ..charts import live as charts
from ..charts.mosaic import SHOWN, grid_png
from ..charts.palette import expert_colours, theme_name
from ..guard import callback, guarded, plain
from ..jobs import AnyJob, GridJob, Job, ScoringJob
from ..session import registry, this_tab
from ..words import STATES, run_title

#: Seconds between two looks.
TICK = 0.2
#: Letters of the experts' names in one line.
_LONG = 60
_CHART_HEIGHT = 225
_PREVIEW = 370


def draw_live(job: Job) -> None:
    """Progress, charts and preview of a job that has not ended; starts the page over when it ends."""
    with st.container(key="live"):
        # A machine under load may take longer than half a second for a look: without this the page would grey out what
        # is about to be redrawn, and flicker.
        st.html("<style>.st-key-live [data-stale='true'] { opacity: 1 !important; }</style>")
        _tick(job.id)


def draw_small_progress(job: Job) -> None:
    """Only the progress and the preview of a job, for a column beside others."""
    _tick(job.id, small=True)


@st.fragment(run_every=TICK)
def _tick(job_id: str, small: bool = False) -> None:
    job = registry().find(job_id)
    if job is None or job.finished:
        st.rerun()
        return
    with guarded("the live view"):
        draw_progress(job, progress_text(job))
        frame = job.run.trace.latest
        if small and frame is not None:
            draw_preview(frame, names_of(job), f"small-{job.id}", 400)
        elif not small and len(job.run.trace):
            _charts(job)


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
    if job.run.state == "queued":
        ahead = registry().ahead(job)
        if not ahead:
            return "Waiting to begin"
        return f"Waiting: {len(ahead)} run{'' if len(ahead) == 1 else 's'} ahead, now {work_text(ahead[0])}"
    return "Cancelling: stops after this step" if job.run.cancelling else ""


def work_text(job: AnyJob) -> str:
    """Which work this is, how far it is, and whose, in one line."""
    recipe = job.recipe
    kind = "Grid of " if isinstance(job, GridJob) else "Log-densities for " if isinstance(job, ScoringJob) else ""
    experts = ", ".join(expert.prompt or expert.model for expert in recipe.experts)
    experts = experts if len(experts) <= _LONG else f"{experts[: _LONG - 1]}…"
    waiting = job.run.state == "queued"
    pace = ["waiting"] if waiting else [f"{round(100 * job.run.fraction)} %", *pace_texts(job.run)[1:]]
    whose = "this tab" if job.tab == this_tab().key else "another tab"
    return " · ".join([f"{kind}{run_title(recipe)}", get_domain(recipe.domain).title, experts, *pace, whose])


def download_of(job: AnyJob) -> Download | None:
    """What a job fetches now, itself or the run of a grid's cell; None while nothing is fetched."""
    run = job.run.current if isinstance(job.run, Sweep) else job.run
    return None if run is None else run.download


def loading_text(job: AnyJob) -> str:
    """What is loaded or fetched, how much of it is here, and how long that may take."""
    fetched = download_of(job)
    if fetched is None:
        return STATES["loading"]
    left = [] if fetched.eta is None else [f"{seconds_text(fetched.eta)} to go"]
    return " · ".join([f"Downloading {fetched.name}", fetched.amount, *left])


def pace_texts(run: Run | Sweep | Scoring) -> list[str]:
    """The time so far, and to go once there is a pace."""
    left = [] if run.eta is None else [f"{seconds_text(run.eta)} to go"]
    return [f"{seconds_text(run.seconds)} so far", *left]


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
    parts = [f"{STATES[run.state]}: step {len(run.trace) - 1} of {run.recipe.levels.steps}"]
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


def _charts(job: Job) -> None:
    run = job.run
    names, colours = names_of(job), expert_colours(len(run.titles))
    curves = run.trace.curves(most=charts.LIVE_POINTS)
    frame = run.trace.latest
    steps = run.recipe.levels.steps
    plane = frame is not None and "exact" in frame.preview
    thin = st.session_state.get("live-thin", True)

    component = draw_component_choice(curves, "live-component") if curves.components else None

    def curve(view: charts.View, height: int, switch: bool = False) -> None:
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            part = f" ({component})" if component else ""
            st.markdown(f"**{charts.TITLES[view]}{part}**", width="content")
            if switch and component is None:
                st.toggle("single samples", value=True, key="live-thin", help="Thin curves behind the bold means")
        option = charts.curve_option(curves, view, names, colours, steps, thin, component)
        alt = f"{charts.TITLES[view]} against the step, one curve an expert"
        st.echarts_chart(option, key=f"live-{view}", height=height, alt=alt)

    above = st.columns([_PREVIEW, 520], gap="medium")
    with above[0]:
        st.markdown("**Samples now**")
        if frame is not None:
            draw_preview(frame, names, "live", _PREVIEW - 10)
    with above[1]:
        curve("value", _PREVIEW - 10, switch=True)
    below = st.columns(3 if plane else 2, gap="medium")
    with below[0]:
        curve("difference", _CHART_HEIGHT)
    with below[1]:
        curve("weights", _CHART_HEIGHT)
    if plane and frame is not None:
        with below[2]:
            draw_agreement(frame, names, "live", _CHART_HEIGHT)


def draw_component_choice(curves: Curves, key: str) -> str | None:
    """Which part of the log-densities to show; None for their sum."""
    whole = "sum"
    chosen = st.segmented_control(
        "Log-densities of",
        [whole, *curves.components],
        default=whole,
        required=True,
        format_func=lambda name: "all components" if name == whole else name,
        key=key,
        label_visibility="collapsed",
    )
    return None if chosen == whole else str(chosen)


def draw_preview(frame: Frame, names: list[str], key: str, size: int) -> None:
    """The samples of a frame: the plane with its contours, a grid of pictures, or molecules or proteins in 3D."""
    preview = frame.preview
    if "pictures" in preview:
        shown = preview["pictures"][:SHOWN]
        alt = f"{len(shown)} pictures at level {frame.level:.3g}"
        st.image(grid_png(shown), width="stretch", output_format="PNG", alt=alt)
        return
    if "elements" in preview:
        from ..views.molecules import draw_live_molecules  # RDKit, which no other domain needs

        draw_live_molecules(frame, key, size)
        return
    if "backbone" in preview:
        from ..views.proteins import draw_live_proteins

        draw_live_proteins(frame, key, size)
        return
    option = charts.plane_option(preview, names, expert_colours(len(names)), theme_name(), size)
    alt = f"The samples in the plane at level {frame.level:.3g}, with contour lines of every expert's density"
    st.echarts_chart(option, key=f"{key}-plane", height=size, alt=alt)


def draw_agreement(frame: Frame, names: list[str], key: str, height: int) -> None:
    """Estimated against exact log-density, with the mean error of the difference in the title."""
    error = charts.pair_error(frame.preview["log_density"], frame.preview["exact"])
    note = "" if error is None else f" · error {error:.2g} nats"
    meaning = "At the level of now; on the diagonal the estimate is exact. The error is that of log q₁ − log q₂."
    st.markdown(f"**Estimated against exact**{note}", help=meaning)
    option = charts.agreement_option(frame.preview, names, expert_colours(len(names)), theme_name())
    alt = "Estimated against exact log-density of the samples; on the diagonal they agree"
    st.echarts_chart(option, key=f"{key}-agreement", height=height, alt=alt)


@st.fragment(run_every=TICK)
def draw_scoring_progress(job_id: str) -> None:
    """How far the judging of given samples is, until it has ended."""
    job = registry().find_scoring(job_id)
    if job is None or job.finished:
        st.rerun()
        return
    with guarded("the progress"):
        at_work = " · ".join([STATES[job.run.state], *pace_texts(job.run)])
        text = standstill_text(job) or (loading_text(job) if job.run.state == "loading" else at_work)
        draw_progress(job, plain(text), kept="nothing of it")
