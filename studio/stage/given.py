"""Samples of the user's own: a file, seen in 3D and judged by every expert of the form, and its recipe taken back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from superdiff_engine.domain import Domain
from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import parse_recipe
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.likelihood import Likelihoods
from superdiff_engine.result import GivenSamples
from superdiff_engine.runs.estimation import Estimation
from superdiff_engine.system.sandbox import Reading
from superdiff_engine.walk import levels_of

from ..charts.live import at_level
from ..charts.palette import dot
from ..form import state as form_state
from ..guard import callback, guarded, once, plain, show_sentence
from ..job import EstimationJob
from ..part import part, told
from ..session import registry, this_tab
from ..unbroken import unbroken
from ..views import OwnFiles
from .looks import LOOK
from .progress import draw_estimation_progress

#: Letters of a text that is shown below the table, whole, and not in it.
_LONG = 30
#: Notes about a file that are shown at once.
_NOTES = 6
_TWO_DIGITS = st.column_config.NumberColumn(format="%.2f")


def draw_own(files: OwnFiles) -> None:
    """The place to drop a file, and what the experts make of it."""
    state = st.session_state
    with st.expander(files.title, icon=":material/upload_file:", key=f"own-{files.domain}"), guarded("your file"):
        st.file_uploader(
            files.label,
            type=files.types,
            key=f"own-{state.get('owns', 0)}",
            on_change=callback(_take),
            args=(files,),
            max_upload_size=files.megabytes,
        )
        if files.option is not None:
            st.toggle(
                files.option.label,
                key=told(f"own-{files.option.keyword}"),
                help=files.option.help,
                on_change=callback(_again),
                args=(files,),
                persist_state="session",
            )
        reading = state.get("own-reading")
        if reading is not None and reading.finished.is_set():
            _settle(reading)
        elif reading is not None:
            _reading_progress()
        if state.get("own-problem"):
            show_sentence(state["own-problem"])
        if state.get("own-given") is not None and state["own-domain"] == files.domain:
            _given(files, state["own-given"])


def _take(files: OwnFiles) -> None:
    state = st.session_state
    file = state[f"own-{state.get('owns', 0)}"]
    if file is None:
        return
    # A fresh uploader: the same file can be given again, and nothing stays behind in it.
    state["owns"] = state.get("owns", 0) + 1
    _read(files, file.getvalue())


def _again(files: OwnFiles) -> None:
    """Read the file once more, with the other choice."""
    if st.session_state.get("own-content") is not None and st.session_state.get("own-asked") == files.domain:
        _read(files, st.session_state["own-content"])


def _read(files: OwnFiles, content: bytes) -> None:
    state = st.session_state
    if state.get("own-reading") is not None:
        state["own-reading"].cancel()
    chosen = {} if files.option is None else {files.option.keyword: bool(state.get(f"own-{files.option.keyword}"))}
    state["own-problem"], state["own-asked"] = "", files.domain
    state["own-content"] = None if files.option is None else content
    state["own-reading"] = Reading(files.reader, content, files.take, options=chosen)


@unbroken()
def _settle(reading: Reading) -> None:
    """What came out of a file takes the place of what was there."""
    state = st.session_state
    state["own-reading"], state["own-problem"] = None, reading.problem
    if reading.value is not None:
        state["own-given"], state["own-arrays"] = reading.value
        state["own-job"], state["own-pick"], state["own-domain"] = None, 0, state["own-asked"]
        state["own-scene"] = state.get("own-scene", 0) + 1


@part(run_every=LOOK)
def _reading_progress() -> None:
    reading = st.session_state.get("own-reading")
    if reading is None or reading.finished.is_set():
        st.rerun()
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f":material/hourglass_top: Reading the file, {reading.seconds:.0f} s so far", width="content")
        st.button(
            "Cancel",
            icon=":material/stop_circle:",
            key="own-cancel-reading",
            on_click=callback(reading.cancel),
            disabled=reading.cancelling,
            help="Stop reading; what was there before stays",
        )


def _take_recipe(text: str) -> None:
    try:
        form_state.load(parse_recipe(text))
    except SuperDiffError as error:
        st.session_state["own-problem"] = str(error)


def _estimate(given: GivenSamples) -> None:
    state = st.session_state
    state["own-problem"] = ""
    level = float(state["own-level"])
    try:
        estimation = Estimation(form_state.recipe_now(), given, level=level)
        state["own-job"] = registry().submit_estimation(estimation, this_tab()).id
    except SuperDiffError as error:
        state["own-problem"] = str(error)


def _given(files: OwnFiles, given: GivenSamples) -> None:
    state = st.session_state
    job = registry().find_estimation(state["own-job"]) if state.get("own-job") else None
    busy = job is not None and not job.finished
    for note in given.notes[:_NOTES]:
        st.caption(f":material/info: {plain(note)}")
    if len(given.notes) > _NOTES:
        with st.expander(f"{len(given.notes) - _NOTES} more notes", key="own-notes"):
            for note in given.notes[_NOTES:]:
                st.caption(plain(note))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Estimate log-densities",
            icon=":material/query_stats:",
            **once("own-estimate", _estimate),
            args=(given,),
            disabled=busy,
            help=f"How likely each expert of the form finds each {files.one}, from four paths of noise",
        )
        domain = get_domain(files.domain)
        st.number_input(
            "at level s =",
            min_value=0.001,
            max_value=1.0,
            value=domain.estimation_level,
            step=0.001,
            format="%.3f",
            key="own-level",
            width=120,
            disabled=busy,
            help=f"The {files.one} is judged as a sample at this noise level; only numbers of the same level can be "
            f"compared. The form's runs end at {_last_level(domain):.3g}. A file's {files.one} carries no noise, and "
            f"is best judged at {domain.estimation_level:g}.",
        )
        if given.recipe is not None:
            st.button(
                "Take its recipe into the form",
                icon=":material/settings_backup_restore:",
                key="own-recipe",
                on_click=callback(_take_recipe),
                args=(given.recipe,),
                type="tertiary",
            )
    if job is not None and busy:
        draw_estimation_progress(job.id)
    columns = files.columns(state["own-arrays"])
    count = len(next(iter(columns.values())))
    left, right = st.columns([1.25, 1], gap="medium")
    with left:
        _table(files, columns, job)
    with right:
        picked = 0
        if count > 1:
            names = next(iter(columns.values()))
            picked = st.selectbox(
                files.one.capitalize(), range(count), format_func=lambda row: str(names[row]), key="own-pick"
            )
        files.draw(state["own-arrays"], picked, f"own-{state['own-scene']}-{picked}")


def _table(files: OwnFiles, columns: dict[str, np.ndarray], job: EstimationJob | None) -> None:
    if job is not None and job.run.state == "failed":
        show_sentence(job.run.message)
    likelihoods = None if job is None else job.run.result
    level = 0.0 if job is None or job.run.level is None else job.run.level
    names = [] if job is None else [f"{position} {title}" for position, title in enumerate(job.run.titles, start=1)]
    if likelihoods is not None:
        st.markdown("   ".join(f"{dot(index)} {plain(name)}" for index, name in enumerate(names)))
    if len(next(iter(columns.values()))) == 1:
        _one(files, columns, likelihoods, names, level)
    else:
        _many(files, columns, likelihoods, names, level)
    if likelihoods is not None:
        st.caption(
            "Compare samples of the same size and level, or one sample under several experts: a log-density depends on "
            "how many coordinates there are, and how much noise the densities have. ± is the standard error over four "
            "paths of noise; twice as much holds the value in six of seven cases."
        )


def _one(
    files: OwnFiles, columns: dict[str, np.ndarray], likelihoods: Likelihoods | None, names: list[str], level: float
) -> None:
    """One sample: a line for each expert, so that nothing stands beyond the edge of a narrow table."""
    if likelihoods is not None:
        who, means, errors = list(names), list(likelihoods.mean[:, 0].numpy()), list(likelihoods.error[:, 0].numpy())
        if len(names) > 1:
            mean, error = difference(likelihoods)
            who, means, errors = [*who, "1 − 2"], [*means, mean[0]], [*errors, error[0]]
        st.dataframe(
            pd.DataFrame({"expert": who, at_level(level): means, "±": errors}),
            hide_index=True,
            column_config=dict.fromkeys([at_level(level), "±"], _TWO_DIGITS),
            alt=f"How likely each expert finds the {files.one}",
        )
    values = {name: value[0] for name, value in columns.items()}
    texts = {name: value for name, value in values.items() if isinstance(value, str) and len(value) > _LONG}
    st.dataframe(
        pd.DataFrame({name: [value] for name, value in values.items() if name not in texts}),
        hide_index=True,
        alt=f"What the file's {files.one} is like",
    )
    for name, text in texts.items():
        st.caption(f"{plain(name.capitalize())}:")
        st.code(text, language=None, wrap_lines=True)


def _many(
    files: OwnFiles, columns: dict[str, np.ndarray], likelihoods: Likelihoods | None, names: list[str], level: float
) -> None:
    """Several samples: a line for each."""
    known = len(columns)
    if likelihoods is not None:
        for name, mean, error in zip(names, likelihoods.mean.numpy(), likelihoods.error.numpy(), strict=True):
            columns[at_level(level, name)] = mean
            columns[f"± of {name}"] = error
        if len(names) > 1:
            columns["log q₁ − log q₂, nats"], columns["± of the difference"] = difference(likelihoods)
    st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        column_config=dict.fromkeys(list(columns)[known:], _TWO_DIGITS),
        alt=f"Each {files.one} of the file, and how likely each expert finds it",
    )


def _last_level(domain: Domain) -> float:
    """Where a run of the form ends."""
    try:
        return float(levels_of(form_state.recipe_now(), domain, ())[-1])
    except SuperDiffError:
        return domain.level_range(())[0]


def difference(likelihoods: Likelihoods) -> tuple[np.ndarray, np.ndarray]:
    """Of the first two experts' log q of every sample, on the same paths: (mean, standard error), nats."""
    difference = likelihoods.paths[:, 0] - likelihoods.paths[:, 1]
    return difference.mean(0).numpy(), (difference.std(0) / len(difference) ** 0.5).numpy()
