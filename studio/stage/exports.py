"""Files to keep: made when their button is pressed, named after the run and nothing that anybody typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from superdiff_engine.domain import ALL, Shown
from superdiff_engine.domains import get_domain
from superdiff_engine.result import Result
from superdiff_engine.runs.formats import lineage_csv, samples_npz, trace_csv

from ..guard import TURN
from ..job import Job
from ..shelf.kept import labels_of
from .film import draw_film_button, draw_film_dialog, times_opened


@dataclass(frozen=True)
class Download:
    """A file that a run can be saved as."""

    title: str
    name: str
    mime: str
    make: Callable[[], bytes]


def shown_of(job: Job) -> Shown:
    """What the page shows of a run's samples: all of them, unless a filter, an order or a relaxation is set."""
    shown: Shown = st.session_state.get(f"shown-{job.id}", ALL)
    return shown


def show_only(job: Job, shown: Shown) -> None:
    """Note what the page shows; whatever names it elsewhere on the page is drawn again when it changes."""
    if shown != shown_of(job):
        st.session_state[f"shown-{job.id}"] = shown
        st.rerun()


def downloads(job: Job, shown: Shown = ALL) -> list[Download]:
    """All files of a run: those of its domain, of what is shown of it, then those of every run."""
    run = job.run
    result, files = run.result, []
    if result is not None:
        files += _slides(job, result)
        for export in get_domain(run.recipe.domain).exports(result, shown):
            stem, ending = export.name.rsplit(".", 1)
            name = (
                f"{job.id}-{stem}{'' if shown.rows is None else '-shown'}{'-relaxed' if shown.relaxed else ''}.{ending}"
            )
            files.append(Download(export.title, name, export.mime, export.make))
        files.append(Download("Samples (NPZ)", f"{job.id}-samples.npz", "application/zip", lambda: samples_npz(result)))
    if len(run.trace):
        files.append(Download("Trace (CSV)", f"{job.id}-trace.csv", "text/csv", lambda: trace_csv(run.trace, result)))
    if result is not None and result.importance is not None:
        files.append(Download("Lineage (CSV)", f"{job.id}-lineage.csv", "text/csv", lambda: lineage_csv(result)))
    recipe = run.recipe
    if result is not None:
        files += _pages(job, result, shown)
    files.append(
        Download("Recipe (JSON)", f"{job.id}-recipe.json", "application/json", lambda: recipe.to_json().encode())
    )
    return files


def _slides(job: Job, result: Result) -> list[Download]:
    """The run on one slide, white and dark."""
    state = "" if job.run.state == "done" else job.run.state

    def make(theme: str) -> bytes:
        from superdiff_engine.figures.slide import slide_png  # not before it is asked for: it takes a second

        return slide_png(result, job.run.trace, job.run.titles, state=state, theme=theme)

    return [
        Download("For a slide (PNG)", f"{job.id}-slide.png", "image/png", lambda: make("light")),
        Download("For a dark slide (PNG)", f"{job.id}-slide-dark.png", "image/png", lambda: make("dark")),
    ]


def _pages(job: Job, result: Result, shown: Shown) -> list[Download]:
    """The run as a web page, and its molecules or proteins in three dimensions."""
    labels, state = labels_of(job), "" if job.run.state == "done" else job.run.state

    def whole() -> bytes:
        from superdiff_engine.web.page import run_page

        told = {"title": labels.name, "note": labels.note, "state": state}
        return run_page(result, job.run.trace, job.run.titles, **told).encode()

    def solids() -> bytes:
        from superdiff_engine.web.page import solids_page

        return solids_page(result, shown, title=labels.name).encode()

    files = [Download("Web page, works offline (HTML)", f"{job.id}.html", "text/html", whole)]
    if get_domain(job.recipe.domain).has_solids:
        files.append(Download("In 3D, works offline (HTML)", f"{job.id}-3d.html", "text/html", solids))
    return files


def picture_download(job: Job, result: Result, index: int) -> Download:
    """The picture of sample `index`, with the recipe inside, of a domain whose samples are pictures."""
    make = get_domain(result.recipe.domain).picture_png
    share = "" if result.shares is None else f"-share-{result.shares[index]:.3f}"
    name = f"{job.id}-{index:05d}{share}.png"
    return Download("This picture (PNG)", name, "image/png", lambda: make(result, index))


def draw_downloads(job: Job, shown: Shown = ALL) -> None:
    """A menu of all files and the link."""
    with st.popover("Save", icon=":material/download:", key=f"save-{job.id}{TURN}{times_opened()}"):
        if shown != ALL:
            some = "all" if shown.rows is None else f"the {len(shown.rows)}"
            how = ", relaxed where MMFF94 can" if shown.relaxed else ""
            st.caption(
                f"Files of {get_domain(job.recipe.domain).title.lower()} hold {some} of {job.recipe.batch} that are "
                f"shown{how}. NPZ and trace hold the whole run, as sampled."
            )
        for download in downloads(job, shown):
            draw_download(job, download)
        if job.run.trace.frames or job.run.result is not None:
            draw_film_button(job)
        st.markdown("**Link to this recipe**")
        st.code(recipe_address(job), language=None, wrap_lines=True)
    draw_film_dialog(job)


def draw_download(job: Job, download: Download, beside: str = "") -> None:
    """The button of one file; its bytes are made when it is pressed. `beside` names what it stands beside, where the
    menu of all files has it too.
    """
    st.download_button(
        download.title,
        data=download.make,
        file_name=download.name,
        mime=download.mime,
        key=f"download-{beside}{job.id}-{download.name}",
        on_click="ignore",
        icon=":material/download:",
        width="content" if beside else "stretch",
    )


def recipe_address(job: Job) -> str:
    """An address that opens the studio with this run's recipe in the form."""
    here = (st.context.url or "http://127.0.0.1:8501").split("?")[0]
    return f"{here}?recipe={job.recipe.to_link()}"
