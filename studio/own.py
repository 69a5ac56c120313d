"""Samples of the user's own: a file, seen in 3D and judged by every expert of the form, and its recipe taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipe import parse_recipe
from superdiff_engine.scoring import Scoring

from . import form_state
from .guard import guarded, plain, show_sentence
from .jobs import ScoringJob
from .live import TICK, draw_progress, loading_text, pace_texts, standstill_text
from .palette import dot
from .session import registry
from .words import STATES


@dataclass(frozen=True)
class Kind:
    """What one domain reads from files.

    Attributes:
        domain: its name.
        title: of the place to drop a file.
        label: which files, and their limits.
        types: endings of their names.
        one: what a sample is called.
        read: samples from a file's bytes; has the attribute `recipe` (JSON or None). Raises SuperDiffError.
        judge: arrays of these samples, computed once.
        columns: the first columns of the table, from the arrays; the first of them counts the samples.
        draw: shows sample `index` of the arrays, under a name for the scene.
        notes: what was left out, in sentences.
    """

    domain: str
    title: str
    label: str
    types: list[str]
    one: str
    read: Callable[[bytes], Any]
    judge: Callable[[Any], dict[str, np.ndarray]]
    columns: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
    draw: Callable[[dict[str, np.ndarray], int, str], None]
    notes: Callable[[Any], tuple[str, ...]] = lambda given: ()


def draw_own(kind: Kind) -> None:
    """The place to drop a file, and what the experts make of it."""
    keep = st.session_state
    with st.expander(kind.title, icon=":material/upload_file:", key=f"own-{kind.domain}"), guarded("your file"):
        st.file_uploader(
            kind.label,
            type=kind.types,
            key=f"own-{keep.get('owns', 0)}",
            on_change=_take,
            args=(kind,),
            max_upload_size=20,
        )
        if keep.get("own-problem"):
            show_sentence(keep["own-problem"])
        if keep.get("own-given") is not None and keep["own-domain"] == kind.domain:
            _given(kind, keep["own-given"])


def _take(kind: Kind) -> None:
    keep = st.session_state
    file = keep[f"own-{keep.get('owns', 0)}"]
    if file is None:
        return
    keep["own-problem"] = ""
    try:
        given = kind.read(file.getvalue())
        keep["own-arrays"] = kind.judge(given)
        keep["own-given"], keep["own-job"], keep["own-pick"], keep["own-domain"] = given, None, 0, kind.domain
    except SuperDiffError as error:
        keep["own-problem"] = str(error)
    keep["owns"] = keep.get("owns", 0) + 1


def _take_recipe(text: str) -> None:
    try:
        form_state.load(parse_recipe(text))
    except SuperDiffError as error:
        st.session_state["own-problem"] = str(error)


def _estimate(given: Any) -> None:
    keep = st.session_state
    keep["own-problem"] = ""
    try:
        keep["own-job"] = registry().submit_scoring(Scoring(form_state.recipe_now(), given)).id
    except SuperDiffError as error:
        keep["own-problem"] = str(error)


def _given(kind: Kind, given: Any) -> None:
    keep = st.session_state
    job = registry().find_scoring(keep["own-job"]) if keep.get("own-job") else None
    busy = job is not None and not job.finished
    for note in kind.notes(given):
        st.caption(f":material/info: {plain(note)}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Estimate log-densities",
            icon=":material/query_stats:",
            key="own-estimate",
            on_click=_estimate,
            args=(given,),
            disabled=busy,
            help=f"How likely each expert of the form finds each {kind.one}, from four paths of noise",
        )
        if given.recipe is not None:
            st.button(
                "Take its recipe into the form",
                icon=":material/settings_backup_restore:",
                key="own-recipe",
                on_click=_take_recipe,
                args=(given.recipe,),
                type="tertiary",
            )
    if job is not None and busy:
        _progress(job.id)
    columns = kind.columns(keep["own-arrays"])
    count = len(next(iter(columns.values())))
    left, right = st.columns([1.25, 1], gap="medium")
    with left:
        _table(kind, columns, job)
    with right:
        picked = 0
        if count > 1:
            title = kind.one.capitalize()
            picked = int(st.number_input(title, min_value=0, max_value=count - 1, step=1, key="own-pick"))
        kind.draw(keep["own-arrays"], picked, f"own-{keep['owns']}-{picked}")


@st.fragment(run_every=TICK)
def _progress(job_id: str) -> None:
    job = registry().find_scoring(job_id)
    if job is None or job.finished:
        st.rerun()
        return
    with guarded("the progress"):
        at_work = " · ".join([STATES[job.run.state], *pace_texts(job.run)])
        text = standstill_text(job) or (loading_text(job) if job.run.state == "loading" else at_work)
        draw_progress(job, plain(text), kept="nothing of it")


def _table(kind: Kind, columns: dict[str, np.ndarray], job: ScoringJob | None) -> None:
    known = len(columns)
    if job is not None and job.run.state == "failed":
        show_sentence(job.run.message)
    found = None if job is None else job.run.result
    if job is not None and found is not None:
        names = [f"{position} {title}" for position, title in enumerate(job.run.titles, start=1)]
        st.markdown("   ".join(f"{dot(index)} {plain(name)}" for index, name in enumerate(names)))
        for name, mean, error in zip(names, found.mean.numpy(), found.error.numpy(), strict=True):
            columns[f"log q of {name}, nats"] = mean
            columns[f"± of {name}"] = error
        if len(names) > 1:
            difference = found.paths[:, 0] - found.paths[:, 1]
            columns["log q₁ − log q₂, nats"] = difference.mean(0).numpy()
            columns["± of the difference"] = (difference.std(0) / len(difference) ** 0.5).numpy()
    number = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        column_config=dict.fromkeys(list(columns)[known:], number),
        alt=f"Each {kind.one} of the file, and how likely each expert finds it",
    )
    if found is not None:
        st.caption(
            "Compare samples of the same size, or one sample under several experts: a log-density depends on how many "
            "coordinates there are. ± is the standard error over the paths of noise."
        )
