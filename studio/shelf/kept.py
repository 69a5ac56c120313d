"""A run of the library where it is looked at: its name, star and note, and where it is kept."""

from __future__ import annotations

import streamlit as st

from superdiff_engine.errors import RecordError, SuperDiffError
from superdiff_engine.library import LabelError, Labels
from superdiff_engine.library.labels import read_labels

from .. import session
from ..guard import callback, guarded, plain
from ..job import Job
from . import asked
from .labels import draw_labels, draw_star


def labels_of(job: Job) -> Labels:
    """What its user noted about a run; nothing where it is not kept, or what was noted is damaged."""
    try:
        return Labels() if job.run.folder is None else read_labels(job.run.folder)
    except LabelError:
        return Labels()


def draw_label_menu(job: Job, labels: Labels) -> None:
    """The run's star, and a menu with its name, note and tags; nothing where the run is not kept (any more)."""
    if job.run.folder is None or not job.run.folder.is_dir():
        return
    draw_star(job.id, labels.star)
    named = "Note" if labels.name else "Name this run"
    with st.popover(named, icon=":material/edit_note:", key=f"labels-{job.id}"), guarded("the run's labels"):
        draw_labels(job.id, labels, list(asked.library().counts().get("tag", {})))


def draw_note(labels: Labels) -> None:
    """What was noted about a run: its tags and its note, as typed."""
    if labels.tags:
        st.markdown(" ".join(f":gray-badge[{plain(tag)}]" for tag in labels.tags))
    if labels.note:
        st.text(labels.note)


def draw_place(job: Job) -> None:
    """Where a run is kept, and the way there or back."""
    if job.run.folder is None:
        st.caption("Not kept in the library: its record is switched off")
    elif job.run.folder.is_dir():
        st.page_link("screens/library.py", label="Saved in the library", icon=":material/photo_library:")
    else:
        # Shown from memory: somebody has taken its folder away meanwhile, or it could not be written.
        _draw_gone(job.id)


def _draw_gone(job_id: str) -> None:
    try:
        asked.library().path(job_id, binned=True)
    except RecordError:
        st.caption("Not in the library; what is shown here can still be saved")
        return
    with st.container(horizontal=True, vertical_alignment="center", width="content", gap="small"):
        st.caption("In the library's bin", width="content")
        _put_back_button([job_id], f"put-back-{job_id}")


def run_again(job_id: str) -> None:
    """Run the recipe of an ended run once more (a callback)."""
    state = st.session_state
    state["problem"] = ""
    job = session.registry().submit(session.registry().recall(job_id).run.recipe, state["f.save"], session.this_tab())
    session.show([job.id])


def draw_run_again(job: Job) -> None:
    """The button that runs a recipe once more whose run came to nothing, or not to its end."""
    st.button(
        "Run again",
        icon=":material/replay:",
        key=f"again-{job.id}",
        on_click=callback(run_again),
        args=(job.id,),
        help="The same recipe with the same seed, from the beginning",
    )


def draw_put_back() -> None:
    """The button that takes the runs out of the bin which the tab's address names."""
    if st.session_state.get("binned"):
        _put_back_button(st.session_state["binned"], "put-back")


def _put_back_button(ids: list[str], key: str) -> None:
    st.button("Put it back", icon=":material/restore_from_trash:", key=key, on_click=callback(_put_back), args=(ids,))


def _put_back(ids: list[str]) -> None:
    state = st.session_state
    state["problem"] = ""
    names = asked.library().restore(ids)
    state["binned"] = []
    jobs = []
    for name in names:
        try:
            jobs.append(session.registry().recall(name))
        except SuperDiffError as error:
            state["problem"] = str(error)
    session.show([*state["shown"], *(job.id for job in jobs)])
