"""A film of a run: how it is to be, how far it is, and the file, in a dialog that the menu of files opens."""

from __future__ import annotations

import streamlit as st

from superdiff_engine.film import FilmKind, FilmSettings, video_problem
from superdiff_engine.system.devices import resolve_device

from ..charts.palette import theme_name
from ..films import FilmJob, Films
from ..guard import callback, guarded, once, plain, show_sentence
from ..job import Job
from ..part import part
from ..session import registry
from ..words import bytes_text
from .progress import seconds_text

#: Where the session keeps the id of the run whose film is looked at; "" for none.
_OPEN = "film-of"
#: Where it counts how often the dialog was opened: a menu by another key is a closed one.
_OPENED = "film-opened"
_TICK = 0.4
_KINDS: dict[str, FilmKind] = {"GIF": "gif", "MP4": "mp4"}
_WIDTHS = (480, 720, 960, 1280, 1920)
#: Pixels up to which Streamlit shows a GIF as it is; of wider ones it would show one frame, made smaller.
_SHOWN = 1280
#: Moments that make a film worth watching; of runs that kept fewer the recipe is walked again unless it is put off.
_ENOUGH = 20


@st.cache_resource(show_spinner=False)
def films() -> Films:
    """The server's films."""
    return Films()


def draw_film_button(job: Job) -> None:
    """What opens the dialog; beside the files that are made at once."""
    st.button(
        "A film of how it formed (GIF, MP4) …",
        icon=":material/movie:",
        **once(f"film-{job.id}", _open),
        args=(job.id,),
        width="stretch",
    )


def draw_film_dialog(job: Job) -> None:
    """The dialog, while it is open for this run; drawn outside of all menus."""
    if st.session_state.get(_OPEN) == job.id:
        st.dialog("A film of how it formed", width="medium", on_dismiss=callback(_close))(_dialog)(job.id)


def _open(job_id: str) -> None:
    st.session_state[_OPEN] = job_id
    st.session_state[_OPENED] = times_opened() + 1


def times_opened() -> int:
    """How often this tab has opened the dialog: part of the key of the menu that it is opened from."""
    return int(st.session_state.get(_OPENED, 0))


def _close() -> None:
    st.session_state[_OPEN] = ""


def _dialog(job_id: str) -> None:
    job = registry().find(job_id)
    if job is None:
        return
    with guarded("the film"):
        _draw_form(job)
        made = films().newest(job_id)
        if made is not None:
            busy = not made.finished.is_set()
            part(_draw_progress, run_every=_TICK if busy else None)(job_id, busy)


def _draw_form(job: Job) -> None:
    run, key, steps = job.run, f"-{job.id}", job.run.recipe.levels.steps
    frames = run.trace.frames
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kind = st.segmented_control(
            "File",
            list(_KINDS),
            default="GIF",
            required=True,
            key=f"film-kind{key}",
            help="A GIF plays everywhere, in slides and in mail; an MP4 is smaller and has all colours.",
        )
        theme = st.segmented_control(
            "Ground", ["light", "dark"], default=theme_name(), required=True, key=f"film-theme{key}"
        )
        curves = st.toggle(
            "Curves beside the samples",
            key=f"film-curves{key}",
            help="Log-densities and weights, with a line at the moment that is shown.",
        )
    problem = video_problem() if kind == "MP4" else ""
    if problem:
        st.caption(plain(problem))
    left, right = st.columns(2, gap="medium")
    with left:
        width = st.select_slider("Width, pixels", _WIDTHS, value=720, key=f"film-width{key}")
    with right:
        speed = st.slider("Speed, moments a second", 1, 30, 10, key=f"film-speed{key}")
    first, last = st.slider("Steps", 0, steps, (0, steps), key=f"film-steps{key}") if steps > 1 else (0, steps)
    cost = f", which takes about {seconds_text(run.seconds)}" if run.seconds >= 1 else ""
    again = st.toggle(
        "A moment at every step",
        value=len(frames) < min(_ENOUGH, steps + 1),
        key=f"film-again{key}",
        help=f"The run kept {len(frames)} moments of its samples. For more of them its recipe is walked once more"
        f"{cost}; on the same device the samples are the same. Runs go first.",
    )
    title = st.text_input(
        "Title", key=f"film-title{key}", max_chars=200, placeholder="What was composed, in words", help="Stands above."
    )
    told = {
        "kind": _KINDS[kind],
        "width": width,
        "speed": float(speed),
        "curves": curves,
        "theme": theme,
        "again": again,
    }
    st.button(
        "Make the film",
        type="primary",
        icon=":material/movie:",
        **once(f"film-make{key}", _make),
        args=(job.id, told, (first, last), title),
        disabled=bool(problem) or first == last,
    )


def _make(job_id: str, told: dict, steps: tuple[int, int], title: str) -> None:
    job = registry().recall(job_id)
    whole = steps == (0, job.run.recipe.levels.steps)
    first, last = (None, None) if whole else steps
    settings = FilmSettings(**told, first=first, last=last, title=title.strip())
    device = resolve_device(job.run.recipe.device)
    jobs = registry()
    films().submit(job.run, settings, lambda stopped: jobs.wait_for_runs(device, stopped))


def _draw_progress(job_id: str, busy: bool) -> None:
    """How far the film is, or what came of it; draws the page again once it has ended."""
    made = films().newest(job_id)
    if made is None:
        return
    if not made.finished.is_set():
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            share = made.film.fraction
            st.progress(share, text=f"Making the film: {share:.0%}")
            st.button(
                "Cancel", key=f"film-cancel-{job_id}", icon=":material/close:", on_click=callback(made.film.cancel)
            )
        return
    if busy:
        st.rerun()
    if made.problem:
        show_sentence(made.problem)
    elif made.content is None:
        st.caption("The film was cancelled; nothing was made.")
    else:
        _draw_made(job_id, made, made.content)


def _draw_made(job_id: str, made: FilmJob, content: bytes) -> None:
    film = made.film
    wide, high = film.size
    name = f"{job_id}-film.{film.settings.kind}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.download_button(
            f"Save the {film.settings.kind.upper()}",
            content,
            name,
            film.mime,
            key=f"film-save-{job_id}",
            on_click="ignore",
            icon=":material/download:",
            type="primary",
        )
        st.caption(f"{film.moments} moments, {wide} x {high} pixels, {bytes_text(len(content))}; the recipe is inside.")
    with st.container(key="film-shown", horizontal_alignment="center"):
        if film.settings.kind == "gif" and wide > _SHOWN:
            st.caption("The film is too wide to be shown here.")
        elif film.settings.kind == "gif":
            st.image(content, alt="The film: how the samples formed")
        else:
            st.video(content, format=film.mime, loop=True, autoplay=True, muted=True)
