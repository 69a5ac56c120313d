"""Samples of the user's own: a file, seen in 3D and judged by every expert of the form, and its recipe taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from superdiff_engine.errors import SuperDiffError
from superdiff_engine.likelihood import Likelihoods
from superdiff_engine.recipe import parse_recipe
from superdiff_engine.scoring import Scoring

from . import form_state
from .guard import guarded, plain, show_sentence
from .jobs import ScoringJob
from .live import TICK, draw_progress, loading_text, pace_texts, standstill_text
from .palette import dot
from .session import registry
from .words import STATES

#: Letters of a text that is shown below the table, whole, and not in it.
_LONG = 30
_TWO_DIGITS = st.column_config.NumberColumn(format="%.2f")


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
    if job is not None and job.run.state == "failed":
        show_sentence(job.run.message)
    found = None if job is None else job.run.result
    names = [] if job is None else [f"{position} {title}" for position, title in enumerate(job.run.titles, start=1)]
    if found is not None:
        st.markdown("   ".join(f"{dot(index)} {plain(name)}" for index, name in enumerate(names)))
    if len(next(iter(columns.values()))) == 1:
        _one(kind, columns, found, names)
    else:
        _many(kind, columns, found, names)
    if found is not None:
        st.caption(
            "Compare samples of the same size, or one sample under several experts: a log-density depends on how many "
            "coordinates there are. ± is the standard error over the paths of noise."
        )


def _one(kind: Kind, columns: dict[str, np.ndarray], found: Likelihoods | None, names: list[str]) -> None:
    """One sample: a line for each expert, so that nothing stands beyond the edge of a narrow table."""
    if found is not None:
        who, means, errors = list(names), list(found.mean[:, 0].numpy()), list(found.error[:, 0].numpy())
        if len(names) > 1:
            mean, error = _difference(found)
            who, means, errors = [*who, "1 − 2"], [*means, mean[0]], [*errors, error[0]]
        st.dataframe(
            pd.DataFrame({"expert": who, "log q, nats": means, "±": errors}),
            hide_index=True,
            column_config=dict.fromkeys(["log q, nats", "±"], _TWO_DIGITS),
            alt=f"How likely each expert finds the {kind.one}",
        )
    values = {name: value[0] for name, value in columns.items()}
    texts = {name: value for name, value in values.items() if isinstance(value, str) and len(value) > _LONG}
    st.dataframe(
        pd.DataFrame({name: [value] for name, value in values.items() if name not in texts}),
        hide_index=True,
        alt=f"What the file's {kind.one} is like",
    )
    for name, text in texts.items():
        st.caption(f"{plain(name.capitalize())}:")
        st.code(text, language=None, wrap_lines=True)


def _many(kind: Kind, columns: dict[str, np.ndarray], found: Likelihoods | None, names: list[str]) -> None:
    """Several samples: a line for each."""
    known = len(columns)
    if found is not None:
        for name, mean, error in zip(names, found.mean.numpy(), found.error.numpy(), strict=True):
            columns[f"log q of {name}, nats"] = mean
            columns[f"± of {name}"] = error
        if len(names) > 1:
            columns["log q₁ − log q₂, nats"], columns["± of the difference"] = _difference(found)
    st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        column_config=dict.fromkeys(list(columns)[known:], _TWO_DIGITS),
        alt=f"Each {kind.one} of the file, and how likely each expert finds it",
    )


def _difference(found: Likelihoods) -> tuple[np.ndarray, np.ndarray]:
    """Of the first two experts' log q of every sample, on the same paths: (mean, standard error), nats."""
    difference = found.paths[:, 0] - found.paths[:, 1]
    return difference.mean(0).numpy(), (difference.std(0) / len(difference) ** 0.5).numpy()
