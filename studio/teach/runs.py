"""The runs of a lesson: what may be changed of them, how they go, and what they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from superdiff_engine.errors import SuperDiffError
from superdiff_engine.figures.meanings import MEANINGS
from superdiff_engine.lessons.lesson import Control, Findings, Lesson, LessonRun, Made
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.values import Value

from .. import session
from ..charts import finished as figures
from ..charts import live as charts
from ..charts.live import TITLES, Quantity
from ..charts.palette import dot, expert_colours, theme_name
from ..charts.scale import draw_echarts, draw_plotly
from ..form import state as form_state
from ..guard import guarded, once, plain, show_sentence
from ..job import Job
from ..part import told
from ..stage.curves import draw_agreement
from ..stage.lineage import draw_effective
from ..stage.live import draw_live
from ..stage.looks import looked_at
from ..stage.measured import figures_of
from ..stage.progress import draw_progress, names_of, progress_text, seconds_text
from ..stage.replay import draw_replay
from ..stage.sample import FIGURE_POINTS, KEEP
from ..stage.together import PICKED
from ..stage.transport import draw_transport
from ..views import Beside, view_of
from ..words import STATES, run_title
from .doing import RUN, Doing, doing, note
from .progress import watched

#: A run's tag in the library.
TAG = "lesson"
_PREVIEW, _CURVE, _AGREEMENT = 340, 220, 380
#: What `show` calls curves.
_QUANTITIES: dict[str, Quantity] = {"log-density": "value", "difference": "difference", "weights": "weights"}


@dataclass(frozen=True)
class Shown:
    """A run of a lesson with its job; None before it was asked for, or where it is not there any more."""

    run: LessonRun
    job: Job | None

    @property
    def title(self) -> str:
        """Of the run, as typed."""
        return self.run.title or run_title(self.run.recipe)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.job is not None and self.job.finished


def shown_runs(lesson: Lesson, done: Doing) -> list[Shown]:
    """The lesson's runs with their jobs."""
    return [
        Shown(run, session.registry().find(done.runs[run.name]) if run.name in done.runs else None)
        for run in lesson.runs
    ]


def have_ended(shown: list[Shown]) -> bool:
    """Whether all runs were made, whatever came of them."""
    return all(one.ended for one in shown)


def findings_of(shown: list[Shown]) -> Findings:
    """What the runs show, as Markdown."""
    made = {
        one.run.name: Made(one.job.run.recipe, one.job.run.result, partial(figures_of, one.job))
        for one in shown
        if one.job is not None and one.job.finished
    }
    return Findings(made, plain)


# --- what may be changed


def _key(lesson: Lesson, control: Control, run: str = "") -> str:
    return f"control-{lesson.name}-{run}-{control.name}"


def forget_controls(lesson: Lesson) -> None:
    """Let all controls be as they begin."""
    for key in [key for key in st.session_state if str(key).startswith(f"control-{lesson.name}-")]:
        del st.session_state[key]


def draw_controls(lesson: Lesson) -> None:
    """The few parameters that matter, those of all runs first."""
    if not lesson.controls and not any(run.controls for run in lesson.runs):
        return
    with st.container(horizontal=True, gap="large", key="lesson-controls"):
        for control in lesson.controls:
            concerned = lesson.concerned(control)
            some = "" if len(concerned) == len(lesson.runs) else f" ({', '.join(_title(run) for run in concerned)})"
            _control(control, _key(lesson, control), concerned[0].start(control), some)
        for run in lesson.runs:
            for control in run.controls:
                which = f" ({_title(run)})" if len(lesson.runs) > 1 else ""
                _control(control, _key(lesson, control, run.name), run.start(control), which)


def _title(run: LessonRun) -> str:
    return run.title or run_title(run.recipe)


def _control(control: Control, key: str, start: Value, which: str) -> None:
    label = control.label[:1].upper() + control.label[1:]
    st.segmented_control(
        plain(f"{label}{which}"),
        control.values,
        format_func=control.say,
        key=told(key, start),
        required=True,
        persist_state=KEEP,
    )


def chosen(lesson: Lesson) -> tuple[dict[str, Value], dict[str, dict[str, Value]]]:
    """The values of the controls: those of all runs, and each run's own."""
    state = st.session_state

    def values(controls: tuple[Control, ...], run: str = "") -> dict[str, Value]:
        keys = {control.name: _key(lesson, control, run) for control in controls}
        return {name: state[key] for name, key in keys.items() if state.get(key) is not None}

    return values(lesson.controls), {run.name: values(run.controls, run.name) for run in lesson.runs}


def changed_words(lesson: Lesson, shown: list[Shown]) -> list[str]:
    """What of the runs that were made is not as the lesson begins, in words; a seed is nothing of that kind."""
    found = []
    for one in shown:
        if one.job is None:
            continue
        for control in [*lesson.controls, *one.run.controls]:
            if control in lesson.controls and one.run not in lesson.concerned(control):
                continue
            now = LessonRun(one.run.name, "", one.job.recipe, ()).start(control)
            if now != one.run.start(control):
                found.append(f"{control.label} = {control.say(now)}")
    return list(dict.fromkeys(found))


# --- run


def draw_run_buttons(lesson: Lesson, shown: list[Shown]) -> None:
    """Run, and the same from other noise."""
    busy = any(one.job is not None and not one.job.finished for one in shown)
    again = any(one.job is not None for one in shown)
    problem = ""
    try:
        lesson.recipes(*chosen(lesson))
    except SuperDiffError as error:
        problem = str(error)
    st.button(
        "Run again" if again else "Run",
        type="primary" if not again or (not busy and lesson_changed(lesson, shown)) else "secondary",
        icon=":material/play_arrow:",
        **once("lesson-run", run_lesson),
        args=(lesson, False),
        disabled=busy or bool(problem),
        help="Make the runs of this lesson, one after the other; the library keeps them with the tag 'lesson'",
    )
    st.button(
        "Run with another seed",
        icon=":material/casino:",
        **once("lesson-reseed", run_lesson),
        args=(lesson, True),
        disabled=busy or bool(problem),
        help="The same from other noise: what holds for one seed alone is chance",
    )
    if again and not busy and lesson_changed(lesson, shown):
        st.caption("The controls were changed since these runs.")
    if problem:
        show_sentence(problem)


def lesson_changed(lesson: Lesson, shown: list[Shown]) -> bool:
    """Whether the controls ask for something else than what was run; a seed counts for nothing."""
    try:
        wanted = lesson.recipes(*chosen(lesson), seed=0)
    except SuperDiffError:
        return False
    return any(
        one.job is not None and _comparable(one.job.recipe) != _comparable(wanted[one.run.name]) for one in shown
    )


def _comparable(recipe: Recipe) -> dict[str, Any]:
    """A recipe without what a run fills in by itself."""
    document = recipe.model_dump()
    return document | {
        "seed": 0,
        "experts": [expert | {"revision": None} for expert in document["experts"]],
    }


def run_lesson(lesson: Lesson, reseed: bool) -> None:
    """Queue the runs of a lesson (a callback)."""
    st.session_state["problem"] = ""
    done = doing(lesson.name)
    recipes = lesson.recipes(*chosen(lesson), seed=form_state.random_seed() if reseed else None)
    for name, recipe in recipes.items():
        rate = session.lesson_rate(recipe) if watched() else None
        done.runs[name] = session.registry().submit(recipe, tab=session.this_tab(), rate=rate, tags=(TAG,)).id
    done.go(max(done.part, RUN))
    note(lesson.name)


# --- look


def draw_runs(lesson: Lesson, shown: list[Shown]) -> None:
    """All runs side by side: how far they are, or what they show."""
    if all(one.job is None for one in shown):
        if doing(lesson.name).runs:
            st.info("The runs of this lesson are not in the library any more; run them again.")
        return
    first = next((one for one in shown if one.job is not None and not one.ended), None)
    if len(shown) == 1 and first is not None and first.job is not None:
        draw_live(first.job)
        return
    reach = max(
        (view_of(lesson.domain).reach(one.job) for one in shown if one.job is not None and one.ended), default=0.0
    )
    wide = {1: 1, 2: 2, 3: 3, 4: 2}[len(shown)]
    for start in range(0, len(shown), wide):
        with st.container(key=f"lesson-runs-{start}"):
            for one, column in zip(shown[start : start + wide], st.columns(wide, gap="medium"), strict=False):
                with column, guarded("a run of the lesson"):
                    _one(one, one is first, reach, wide, changed_words(lesson, [one]))


def _one(one: Shown, first: bool, reach: float, wide: int, changed: list[str]) -> None:
    if wide > 1:
        # A title may name what a control has changed.
        now = f" → {', '.join(changed)}" if changed else ""
        st.markdown(f"##### {plain(one.title + now)}")
    job = one.job
    if job is None:
        st.caption("Not run yet")
    elif not job.finished:
        _draw_live(job.id, one.run.show, first)
    else:
        _result(one, job, reach, wide)


@looked_at(lambda job_id: session.registry().find(job_id))
def _draw_live(job: Job, show: tuple[str, ...], first: bool) -> None:
    with guarded("the live view"):
        st.html("<style>[class*='st-key-lesson-runs'] [data-stale='true'] { opacity: 1 !important; }</style>")
        draw_progress(job, progress_text(job))
        if first:
            draw_transport(job)
        frame, names = job.run.trace.latest, names_of(job)
        if frame is not None:
            view_of(job.recipe.domain).draw_preview(frame, names, f"lesson-{job.id}", _PREVIEW, job.recipe)
        if not len(job.run.trace):
            return
        curves = job.run.trace.curves(most=charts.LIVE_POINTS)
        for quantity in [_QUANTITIES[one] for one in show if one in _QUANTITIES]:
            st.markdown(f"**{TITLES[quantity]}**", help=MEANINGS[quantity].markdown)
            option = charts.curve_option(
                curves,
                quantity,
                names,
                expert_colours(len(names)),
                job.recipe.levels.steps,
                True,
                None,
                theme_name(),
            )
            alt = f"{TITLES[quantity]} against the step, one curve an expert"
            draw_echarts(option, f"lesson-{quantity}-{job.id}", _CURVE, alt)


def _result(one: Shown, job: Job, reach: float, wide: int) -> None:
    run, result, names = job.run, job.run.result, names_of(job)
    made, asked = max(len(run.trace) - 1, 0), run.recipe.levels.steps
    steps = f"{asked} steps" if run.state == "done" else f"{STATES[run.state]}: {made} of {asked} steps"
    st.caption(f"{steps} in {seconds_text(run.seconds)} · {run.recipe.batch} samples · seed {run.recipe.seed}")
    if run.state in ("failed", "interrupted"):
        st.warning(plain(run.message), icon=":material/warning:")
    elif run.state == "cancelled":
        st.info("This run was cancelled; what it has made is shown.")
    if result is None:
        return
    st.markdown("   ".join(f"{dot(place)} {plain(name)}" for place, name in enumerate(names)))
    parts = [part for part in one.run.show if part != "replay"]
    if wide == 1 and len(parts) > 1:
        with st.grid(columns=2, min_column_width=330, gap="small"):
            for part in parts:
                with st.container(gap="xxsmall"):
                    _part(part, job, reach, wide)
    else:
        for part in parts:
            _part(part, job, reach, wide)
    if "replay" in one.run.show and run.trace.frames:
        with guarded("the replay"):
            draw_replay(job.id)


def _part(part: str, job: Job, reach: float, wide: int) -> None:
    result, view, names = job.run.result, view_of(job.recipe.domain), names_of(job)
    colours, theme = expert_colours(len(names)), theme_name()
    if result is None:
        return
    curves = job.run.trace.curves(most=FIGURE_POINTS)
    match part:
        case "samples":
            picked = min(int(st.session_state.get(PICKED, 0)), result.log_density.shape[1] - 1)
            view.draw_beside(job, result, Beside(picked, names, colours, reach, wide > 2))
        case "effective":
            draw_effective(job, curves, "step")
        case "agreement":
            frame = job.run.trace.latest
            compared = None if frame is None else view.compared(frame)
            if compared is not None:
                draw_agreement(compared, names, f"lesson-{job.id}", _AGREEMENT)
        case "figures":
            _table(job)
        case _:
            quantity = _QUANTITIES[part]
            st.markdown(f"**{TITLES[quantity]}**", help=MEANINGS[quantity].markdown)
            figure = figures.curve_figure(curves, quantity, names, colours, "level", theme=theme, height=_PREVIEW)
            alt = f"{TITLES[quantity]} against the level; bold: mean over all samples, thin: single samples"
            draw_plotly(figure, key=f"lesson-{quantity}-{job.id}", config=figures.config(), alt=alt)


def _table(job: Job) -> None:
    rows: list[Mapping[str, str]] = [
        {"figure": figure.title, "value": figure.text(), "unit": figure.shown_unit} for figure in figures_of(job)
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Figures of the run with their standard errors")
