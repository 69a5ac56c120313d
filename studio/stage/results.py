"""A run that has ended: its samples, each with its own curves, the figures, the numbers and the files."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from superdiff_engine.density import get_estimator
from superdiff_engine.domain import Result
from superdiff_engine.domains import get_domain
from superdiff_engine.solvers import get_solver

from ..charts import finished as figures
from ..charts.live import TITLES, View, at_level
from ..charts.mosaic import SHOWN, grid_png
from ..charts.palette import dot, expert_colours, theme_name
from ..guard import callback, guarded, plain, show_sentence
from ..jobs import Job
from ..words import STATES, other_than_usual, run_title
from .anew import draw_anew
from .exports import draw_download, draw_downloads, picture_download, shown_of
from .live import draw_agreement, draw_component_choice, draw_preview, names_of, seconds_text

#: Points of a curve in a finished figure.
FIGURE_POINTS = 300
_PLAY_TICK = 0.15
#: What is chosen of a run (a sample, a curve, an order) stays while another view is looked at.
KEEP: Literal["session"] = "session"


def draw_results(job: Job) -> None:
    """Everything about one ended run."""
    draw_heading(job)
    result = job.run.result
    if result is None:
        if job.run.state == "cancelled":
            st.info(
                plain(job.run.message) or "The run was cancelled before its first step, so there is nothing to show."
            )
        return
    views = ["Samples", "Replay", "Curves", "Table"]
    view = st.segmented_control(
        "What to show",
        views,
        default="Samples",
        required=True,
        key=f"view-{job.id}",
        persist_state=KEEP,
        label_visibility="collapsed",
    )
    with guarded("the results"):
        if view == "Samples":
            _samples(job.id)
        elif view == "Replay":
            _replay(job)
        elif view == "Curves":
            _curves(job)
        else:
            _table(job, result)


def draw_heading(job: Job, save: bool = True) -> None:
    """What was run, how it ended, and the files."""
    run = job.run
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
        st.markdown(f"### {plain(run_title(job.recipe))}", width="content")
        if save:
            draw_downloads(job, shown_of(job))
    facts = [
        STATES[run.state],
        f"{max(len(run.trace) - 1, 0)} of {run.recipe.levels.steps} steps in {seconds_text(run.seconds)}",
        f"{run.recipe.batch} samples",
        f"seed {run.recipe.seed}",
        *map(plain, other_than_usual(run.recipe)),
    ]
    legend = "   ".join(f"{dot(index)} {plain(name)}" for index, name in enumerate(names_of(job)))
    st.markdown(f"{' · '.join(facts)}   {legend}")
    if run.state == "failed":
        show_sentence(run.message)
    elif run.state == "cancelled" and run.result is not None:
        kept = "the samples still carry that noise" if run.recipe.domain == "plane" else "shown is the guess from there"
        st.info(
            f"Cancelled at step {run.result.index}, level {run.result.level:.3g}: {kept}.",
            icon=":material/stop_circle:",
        )
    for note in run.notes:
        st.caption(f":material/info: {plain(note)}")
    caution = get_estimator(run.recipe.estimator).caution(get_solver(run.recipe.solver))
    if caution and run.state == "done":
        st.caption(caution)


@st.fragment
def _samples(job_id: str) -> None:
    from ..session import registry

    job = registry().find(job_id)
    if job is None or job.run.result is None:
        return
    with guarded("the samples"):
        if "exact" in _last_preview(job):
            _plane_samples(job, job.run.result)
        elif "elements" in job.run.result.decoded:
            from ..views.molecules import draw_molecules  # RDKit, which no other domain needs

            draw_molecules(job, job.run.result)
        elif "backbone" in job.run.result.decoded:
            from ..views.proteins import draw_proteins

            draw_proteins(job, job.run.result)
        else:
            _picture_samples(job, job.run.result)


def _last_preview(job: Job) -> dict[str, np.ndarray]:
    frame = job.run.trace.latest
    return {} if frame is None else frame.preview


def _plane_samples(job: Job, result: Result) -> None:
    names, colours, theme = names_of(job), expert_colours(len(job.run.titles)), theme_name()
    preview = _last_preview(job)
    left, right = st.columns([1.1, 1], gap="medium")
    with right:
        picked = _pick(job, len(preview["positions"]))
    with left:
        traced = job.run.trace.traced
        figure = figures.plane_figure(preview, names, colours, theme, picked, traced=traced)
        st.plotly_chart(
            figure,
            key=f"samples-{job.id}",
            on_select=callback(partial(take_click, job.id)),
            selection_mode="points",
            config=figures.config(),
            alt="The finished samples in the plane over the contour lines of every expert's density",
        )
        whose = f"one of the {traced} outlined samples" if traced < len(preview["positions"]) else "a sample"
        st.caption(f"{figures.contour_note()} Click {whose} to see its own curves.")
    with right:
        draw_one_sample(job, result, picked)


def take_click(job_id: str) -> None:
    """Pick the sample that was clicked in the figure of a job's samples."""
    points = st.session_state[f"samples-{job_id}"].selection.points
    for point in points:
        # A click that merely clears the selection brings no point, and the contour lines carry no number.
        if "customdata" in point:
            chosen = point["customdata"]
            st.session_state[f"pick-{job_id}"] = int(chosen[0] if isinstance(chosen, list) else chosen)


def last_moment(result: Result) -> str:
    """What the samples of a result are, for the end of a slider."""
    return "finished" if result.complete else f"stopped at step {result.index}, s = {result.level:.2g}"


def _picture_samples(job: Job, result: Result) -> None:
    pictures = result.decoded.get("pictures")
    if pictures is None:
        return  # the notes above say why
    left, right = st.columns([1.1, 1], gap="medium")
    with right:
        picked = _pick(job, len(pictures))
    page = picked // SHOWN
    shown = pictures[page * SHOWN : (page + 1) * SHOWN]
    shown_to = page * SHOWN + len(shown) - 1
    with left:
        st.plotly_chart(
            figures.gallery_figure(shown, page * SHOWN + np.arange(len(shown)), picked),
            key=f"samples-{job.id}",
            on_select=callback(partial(take_click, job.id)),
            selection_mode="points",
            config=figures.config() | {"displayModeBar": False},
            alt=f"{len(shown)} finished pictures, number {picked} framed",
        )
        note = "Click a picture to see it alone and its own curves."
        if shown_to >= job.run.trace.traced:
            note = f"Click a picture to see it alone; curves are kept of the first {job.run.trace.traced} of this run."
        if len(pictures) > SHOWN:
            note += f" Shown: {page * SHOWN} to {shown_to} of {len(pictures)}; choose a number for "
            note += "another page."
        st.caption(note)
    with right:
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            st.image(grid_png(pictures[[picked]], cell=112), width=118, output_format="PNG", alt=f"Picture {picked}")
            download = picture_download(job, result, picked)
            if download is not None:
                draw_download(job, download)
        draw_one_sample(job, result, picked)


def _pick(job: Job, count: int) -> int:
    key = f"pick-{job.id}"
    st.session_state.setdefault(key, 0)
    st.number_input(
        "Sample", min_value=0, max_value=count - 1, step=1, key=key, help="Which sample to look at", persist_state=KEEP
    )
    return int(st.session_state[key])


def draw_one_sample(job: Job, result: Result, picked: int) -> None:
    """Log-density and weight of every expert for one sample, and its curve."""
    st.dataframe(
        pd.DataFrame(
            {
                "expert": names_of(job),
                at_level(result.level): result.log_density[:, picked],
                "difference": result.log_density[:, picked] - result.log_density[:, picked].mean(),
                "κ": result.weights[:, picked],
            }
        ),
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.3f") for name in (at_level(result.level), "difference", "κ")
        },
        alt=f"Log-density at the last level and weight of every expert for sample {picked}",
    )
    curves = job.run.trace.curves(most=FIGURE_POINTS)
    if picked >= curves.log_density.shape[2]:
        traced = job.run.trace.traced
        st.caption(f"Curves are kept of the first {traced} samples, 0 to {traced - 1}.")
        return
    names, colours = names_of(job), expert_colours(len(job.run.titles))
    view: View = st.segmented_control(
        "Its curve",
        ["value", "difference", "weights"],
        format_func={"value": "log-density", "difference": "difference", "weights": "weights κ"}.__getitem__,
        default="value",
        required=True,
        key=f"curve-{job.id}",
        persist_state=KEEP,
        label_visibility="collapsed",
    )
    figure = figures.curve_figure(curves, view, names, colours, "level", sample=picked, height=270)
    figure.update_layout(showlegend=False)
    st.plotly_chart(
        figure, key=f"one-{job.id}", config=figures.config(), alt=f"{TITLES[view]} of sample {picked} against the level"
    )


def _replay(job: Job) -> None:
    playing = st.toggle("Play", key=f"play-{job.id}")
    player = st.fragment(_player, run_every=_PLAY_TICK if playing else None)
    player(job.id, playing)


def _player(job_id: str, playing: bool) -> None:
    from ..session import registry

    job = registry().find(job_id)
    if job is None:
        return
    with guarded("the replay"):
        frames = job.run.trace.frames
        key = f"frame-{job.id}"
        now = min(st.session_state.get(key, 0), len(frames) - 1)
        st.session_state[key] = (now + 1) % len(frames) if playing else now
        if len(frames) > 1:
            labels = [f"step {frame.index}, level {frame.level:.3g}" for frame in frames]
            st.select_slider("Moment", range(len(frames)), format_func=labels.__getitem__, key=key)
        frame = frames[st.session_state[key]]
        names = names_of(job)
        if "exact" in frame.preview:
            left, right = st.columns(2, gap="medium")
            with left:
                st.markdown(f"**Samples at level {frame.level:.3g}**")
                draw_preview(frame, names, f"replay-{job.id}", 430)
            with right:
                draw_agreement(frame, names, f"replay-{job.id}", 430)
        else:
            draw_preview(frame, names, f"replay-{job.id}", 430)
            st.caption("What the run would end in from here: the weighted denoised mean.")


def _curves(job: Job) -> None:
    names, colours = names_of(job), expert_colours(len(job.run.titles))
    against = st.segmented_control(
        "Against",
        ["level", "step"],
        default="level",
        required=True,
        format_func={"level": "against the level", "step": "against the step"}.__getitem__,
        key=f"against-{job.id}",
        persist_state=KEEP,
        label_visibility="collapsed",
    )
    curves = job.run.trace.curves(most=FIGURE_POINTS)
    component = draw_component_choice(curves, f"component-{job.id}") if curves.components else None
    preview = _last_preview(job)
    views: list[View] = ["value", "difference", "weights"]
    with st.grid(columns=2, min_column_width=320, gap="small"):
        for view in views:
            figure = figures.curve_figure(curves, view, names, colours, against, component=component)
            alt = f"{TITLES[view]} against the {against}; bold: mean over all samples, thin: single samples"
            with st.container(gap="xxsmall"):
                st.markdown(f"**{TITLES[view]}{'' if component is None else f' ({component})'}**")
                st.plotly_chart(figure, key=f"{view}-{job.id}", config=figures.config(), alt=alt)
        if "exact" in preview:
            figure = figures.agreement_figure(preview, names, colours, theme_name())
            alt = "Estimated against exact log-density of the finished samples; on the diagonal they agree"
            with st.container(gap="xxsmall"):
                st.markdown("**Estimated against exact log-density**")
                st.plotly_chart(figure, key=f"agreement-{job.id}", config=figures.config(), alt=alt)


def _table(job: Job, result: Result) -> None:
    draw_figures_of(job, result)
    count = result.log_density.shape[1]
    columns: dict[str, np.ndarray] = {"sample": np.arange(count)}
    names = names_of(job)
    for name, values in zip(names, result.log_density, strict=True):
        columns[at_level(result.level, name)] = values
    for name, values in zip(names, result.weights, strict=True):
        columns[f"κ of {name}"] = values
    number = st.column_config.NumberColumn(format="%.3f")
    st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        column_config=dict.fromkeys(list(columns)[1:], number),
        height=420,
        alt="Log-densities at the last level and weights of all samples",
    )
    draw_anew(job, result, names)


def draw_figures_of(job: Job, result: Result) -> None:
    """What the domain can say about the finished samples, as a short table; computed once a run."""
    cache = st.session_state.setdefault("figures", {})
    if job.id not in cache:
        cache[job.id] = get_domain(job.recipe.domain).describe(result)
    if cache[job.id]:
        rows = [
            (label, f"{value:.3g}" if isinstance(value, float) else str(value))
            for label, value in cache[job.id].items()
        ]
        st.dataframe(
            pd.DataFrame(rows, columns=["measured", "value"]), hide_index=True, alt="Figures about the samples"
        )
