"""Molecules of the user's own: an SDF, seen in 3D and judged by every expert of the form, and its recipe taken back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from superdiff_engine.domains.molecules.files import ReadMolecules, read_sdf
from superdiff_engine.domains.molecules.judging import judge_molecules
from superdiff_engine.domains.molecules.model import Decoded
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipe import parse_recipe
from superdiff_engine.scoring import Scoring

from . import form_state
from .guard import guarded, plain, show_sentence
from .jobs import ScoringJob
from .live import TICK, draw_progress, pace_texts, standstill_text
from .molecules import scene
from .palette import dot
from .session import registry
from .viewer import draw_viewer
from .words import STATES


def draw_own_molecules() -> None:
    """The place to drop an SDF, and what the experts make of it."""
    with st.expander("Molecules of your own", icon=":material/upload_file:", key="own-molecules"), guarded("your SDF"):
        st.file_uploader(
            "An SDF with all hydrogens (H, C, N, O, F; 3 to 29 atoms a molecule)",
            type=["sdf", "mol", "sd"],
            key=f"own-{st.session_state.get('owns', 0)}",
            on_change=_take,
            max_upload_size=8,
        )
        if st.session_state.get("own-problem"):
            show_sentence(st.session_state["own-problem"])
        given = st.session_state.get("own-given")
        if given is not None:
            _given(given)


def _take() -> None:
    keep = st.session_state
    file = keep[f"own-{keep.get('owns', 0)}"]
    if file is None:
        return
    keep["own-problem"] = ""
    try:
        given = read_sdf(file.getvalue())
        arrays = judge_molecules(Decoded(given.elements, given.positions, given.bonds, given.atoms))
        keep["own-given"], keep["own-arrays"], keep["own-job"], keep["own-pick"] = given, arrays, None, 0
    except SuperDiffError as error:
        keep["own-problem"] = str(error)
    keep["owns"] = keep.get("owns", 0) + 1


def _take_recipe(text: str) -> None:
    try:
        form_state.load(parse_recipe(text))
    except SuperDiffError as error:
        st.session_state["own-problem"] = str(error)


def _estimate(given: ReadMolecules) -> None:
    keep = st.session_state
    keep["own-problem"] = ""
    try:
        keep["own-job"] = registry().submit_scoring(Scoring(form_state.recipe_now(), given)).id
    except SuperDiffError as error:
        keep["own-problem"] = str(error)


def _given(given: ReadMolecules) -> None:
    keep = st.session_state
    job = registry().find_scoring(keep["own-job"]) if keep.get("own-job") else None
    busy = job is not None and not job.finished
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Estimate log-densities",
            icon=":material/query_stats:",
            key="own-estimate",
            on_click=_estimate,
            args=(given,),
            disabled=busy,
            help="How likely each expert of the form finds these molecules, from four paths of noise for each",
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
    left, right = st.columns([1.25, 1], gap="medium")
    with left:
        _table(job)
    with right:
        count = len(given.atoms)
        picked = 0
        if count > 1:
            picked = int(st.number_input("Molecule", min_value=0, max_value=count - 1, step=1, key="own-pick"))
        draw_viewer(
            [scene(keep["own-arrays"], [picked])],
            "own-3d",
            f"own-{keep['owns']}-{picked}",
            f"Molecule {picked} of the file in three dimensions",
            height=300,
        )


@st.fragment(run_every=TICK)
def _progress(job_id: str) -> None:
    job = registry().find_scoring(job_id)
    if job is None or job.finished:
        st.rerun()
        return
    with guarded("the progress"):
        text = standstill_text(job) or " · ".join([STATES[job.run.state], *pace_texts(job.run)])
        draw_progress(job, plain(text), kept="nothing of it")


def _table(job: ScoringJob | None) -> None:
    arrays = st.session_state["own-arrays"]
    columns: dict[str, np.ndarray] = {
        "molecule": np.arange(len(arrays["atoms"])),
        "SMILES, or why not valid": np.where(arrays["valid"], arrays["smiles"], arrays["reason"]),
        "atoms": arrays["atoms"],
    }
    if job is not None and job.run.state == "failed":
        show_sentence(job.run.message)
    if job is not None and job.run.result is not None:
        found = job.run.result
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
        column_config=dict.fromkeys(list(columns)[3:], number),
        alt="The molecules of the file, and how likely each expert finds them",
    )
    if job is not None and job.run.result is not None:
        st.caption(
            "Compare molecules of the same number of atoms, or one molecule under several experts: a log-density "
            "depends on how many coordinates there are. ± is the standard error over the paths of noise."
        )
