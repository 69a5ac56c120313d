"""The page Lessons: all lessons with what was done of them, and one lesson in five steps."""

from __future__ import annotations

from functools import partial

import streamlit as st

from superdiff_engine.domains import get_domain
from superdiff_engine.lessons import Lessons, read_lessons
from superdiff_engine.lessons.lesson import Lesson, Picture, Text
from superdiff_engine.lessons.shelf import signature

from .. import session
from ..guard import callback, guarded, once, plain, show_sentence
from .doing import EXPLAIN, PARTS, PREDICT, READ, RUN, TRY, Doing, all_done, doing, forget, note, open_lesson, opened
from .progress import draw_progress_script
from .runs import (
    Shown,
    changed_words,
    draw_controls,
    draw_run_buttons,
    draw_runs,
    findings_of,
    forget_controls,
    have_ended,
    shown_runs,
)

#: A line of text is not longer than can be read.
_MEASURE = 760


def draw_lessons() -> None:
    """The list, or the lesson that is open."""
    found = _lessons()
    lesson = found.find(opened())
    if st.session_state.get("problem"):
        show_sentence(st.session_state["problem"])
    if lesson is None:
        if opened():
            st.info(f"There is no lesson called {plain(opened())} here; these are all.")
        _list(found)
    else:
        with guarded("the lesson"):
            _lesson(lesson, found)
    draw_progress_script()


def _lessons() -> Lessons:
    """All lessons; read again when a file of theirs has changed."""
    return _read(signature())


@st.cache_resource(show_spinner="Reading the lessons", max_entries=2)
def _read(files: tuple[tuple[str, int, int], ...]) -> Lessons:
    return read_lessons()


# --- the list


def _list(found: Lessons) -> None:
    st.markdown("## Lessons")
    done = sum(_finished(lesson) for lesson in found.lessons)
    st.markdown(
        "Short lessons on real runs. In each you read a little, **predict** what will happen, **run** it, and see what "
        f"the figures of your own run say. {done} of {len(found.lessons)} done in this browser."
    )
    with st.grid(columns=3, min_column_width=280, gap="small", border=True) as cells:
        for number, lesson in enumerate(found.lessons, start=1):
            with cells.cell():
                _card(lesson, number)
    if found.problems:
        with st.expander(f"{len(found.problems)} problems in lessons that are left out", icon=":material/warning:"):
            st.text("\n".join(map(str, found.problems)))


def _card(lesson: Lesson, number: int) -> None:
    known = all_done().get(lesson.name, Doing())
    if _finished(lesson):
        state, label = ":green-badge[:material/check: done]", "Again"
    elif known.furthest or known.answer is not None:
        state, label = f":blue-badge[step {known.furthest + 1} of {len(PARTS)}]", "Go on"
    else:
        state, label = "", "Begin"
    st.markdown(f"**{number}. {plain(lesson.title)}** {state}")
    st.markdown(plain(lesson.summary))
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"{plain(get_domain(lesson.domain).title)} · {lesson.minutes} minutes", width="content")
        st.button(
            label,
            key=f"open-lesson-{lesson.name}",
            on_click=callback(open_lesson),
            args=(lesson.name,),
            help=f"Open the lesson “{plain(lesson.title)}”",
        )


def _finished(lesson: Lesson) -> bool:
    return all_done().get(lesson.name, Doing()).furthest >= TRY


# --- one lesson


def _lesson(lesson: Lesson, found: Lessons) -> None:
    done = doing(lesson.name)
    if done.answer is not None and done.answer >= len(lesson.choices):  # of an older version of the lesson
        forget(lesson.name)
        done = doing(lesson.name)
    shown = shown_runs(lesson, done)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small"):
        st.markdown(f"## {plain(lesson.title)}", width="content")
        with st.container(horizontal=True, width="content", gap="small"):
            if done != Doing():
                st.button(
                    "Start over",
                    icon=":material/restart_alt:",
                    key="lesson-reset",
                    type="tertiary",
                    on_click=callback(_reset),
                    args=(lesson,),
                    help="Forget the answer and the runs of this lesson; the runs stay in the library",
                )
            st.button(
                "All lessons",
                icon=":material/list:",
                key="lesson-list",
                type="tertiary",
                on_click=callback(open_lesson),
                args=("",),
            )
    _steps(done)
    (_draw_read, _draw_predict, _draw_run, _draw_explain, _draw_try)[done.part](lesson, done, shown)
    _onward(lesson, done, shown, found)


def _steps(done: Doing) -> None:
    """Where one is, and the way back to what was seen."""
    with st.container(horizontal=True, gap="xsmall", key="lesson-steps"):
        for part, name in enumerate(PARTS):
            st.button(
                f"{part + 1} {name}",
                key=f"lesson-part-{part}",
                type="primary" if part == done.part else "secondary",
                disabled=part > done.furthest,
                on_click=callback(partial(_go, opened(), part)),
            )


def _go(name: str, part: int) -> None:
    """Turn to a step (a callback)."""
    doing(name).go(part)
    note(name)


def _reset(lesson: Lesson) -> None:
    forget(lesson.name)
    forget_controls(lesson)
    st.session_state.pop(_choice_key(lesson), None)


def _onward(lesson: Lesson, done: Doing, shown: list[Shown], found: Lessons) -> None:
    """The button to what comes next, where it may come."""
    if done.part == TRY:
        place = [one.name for one in found.lessons].index(lesson.name)
        with st.container(horizontal=True, gap="small"):
            if place + 1 < len(found.lessons):
                following = found.lessons[place + 1]
                st.button(
                    f"Next lesson: {plain(following.title)}",
                    type="primary",
                    icon=":material/arrow_forward:",
                    **once("lesson-next", open_lesson),
                    args=(following.name,),
                )
        return
    labels = {READ: "Predict", PREDICT: "Run it", EXPLAIN: "Try more"}
    # From the runs one goes on above them, where it is in sight.
    if done.part in labels and (done.part != PREDICT or done.answer is not None):
        _onward_button(lesson, done, labels[done.part])


def _onward_button(lesson: Lesson, done: Doing, label: str) -> None:
    st.button(
        label,
        type="primary",
        icon=":material/arrow_forward:",
        # Told twice, a click would go on by two steps.
        **once("lesson-onward", _go),
        args=(lesson.name, done.part + 1),
    )


def draw_text(text: Text, said: dict[str, str] | None = None) -> None:
    """Markdown and pictures of a lesson; `said` has what takes the place of a piece of Markdown."""
    with st.container(width=_MEASURE, key="lesson-text"):
        for part in text:
            if isinstance(part, Picture):
                if part.path.suffix.lower() == ".svg":
                    st.image(part.path.read_text(encoding="utf-8"), caption=plain(part.alt), alt=part.alt)
                else:
                    st.image(part.path.read_bytes(), caption=plain(part.alt), alt=part.alt)
            else:
                st.markdown(part if said is None else said[part])


def _draw_read(lesson: Lesson, done: Doing, shown: list[Shown]) -> None:
    draw_text(lesson.read)


def _choice_key(lesson: Lesson) -> str:
    return f"lesson-choice-{lesson.name}"


def _draw_predict(lesson: Lesson, done: Doing, shown: list[Shown]) -> None:
    draw_text(lesson.question)
    key = _choice_key(lesson)
    if done.answer is not None:
        st.session_state[key] = done.answer
    with st.container(width=_MEASURE, key="lesson-question"):
        choice = st.radio(
            "Your prediction",
            range(len(lesson.choices)),
            index=None,
            format_func=lambda place: lesson.choices[place].text,
            key=key,
            disabled=done.answer is not None,
        )
        if done.answer is None:
            st.button(
                "This is my prediction",
                type="primary",
                **once("lesson-answer", _answer),
                args=(lesson, choice),
                disabled=choice is None,
                help="It is compared with what your run shows; nothing runs before",
            )
        else:
            st.caption("Your prediction stands. Run it, and see.")


def _answer(lesson: Lesson, choice: int) -> None:
    """Note the prediction, and turn to the runs (a callback)."""
    done = doing(lesson.name)
    done.answer = choice
    done.go(RUN)
    note(lesson.name)


def _draw_run(lesson: Lesson, done: Doing, shown: list[Shown]) -> None:
    draw_text(lesson.task)
    draw_controls(lesson)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        draw_run_buttons(lesson, shown)
        if have_ended(shown):
            _onward_button(lesson, done, "What happened?")
    draw_runs(lesson, shown)


def _draw_explain(lesson: Lesson, done: Doing, shown: list[Shown]) -> None:
    findings = findings_of(shown)
    _verdict(lesson, done)
    draw_text(lesson.explain, {part: findings.fill(part) for part in lesson.explain if isinstance(part, str)})
    _claims(lesson, shown)
    with st.expander("Your runs", expanded=True):
        draw_runs(lesson, shown)


def _verdict(lesson: Lesson, done: Doing) -> None:
    """What was predicted, and what is right."""
    if done.answer is None:
        return
    given, right = lesson.choices[done.answer], lesson.choices[lesson.right]
    with st.container(border=True, width=_MEASURE, key="lesson-verdict"):
        if given.right:
            st.markdown(f":green-badge[:material/check: as you predicted] {given.text}")
        else:
            st.markdown(f":orange-badge[:material/close: you predicted] {given.text}")
            if given.why:
                st.markdown(given.why)
            st.markdown(f":green-badge[:material/check: what happens] {right.text}")
        if right.why:
            st.markdown(right.why)


def _claims(lesson: Lesson, shown: list[Shown]) -> None:
    """What the figures of these runs bear out."""
    if not lesson.statements:
        return
    changed = changed_words(lesson, shown)
    with st.container(width=_MEASURE, key="lesson-claims"):
        st.markdown("**What your run shows**")
        for finding in findings_of(shown).of(lesson):
            if finding.holds:
                st.markdown(f":green-badge[:material/check: holds] {finding.says}")
                continue
            st.markdown(f":orange-badge[:material/close: not this time] {finding.says}")
            if finding.otherwise:
                st.markdown(finding.otherwise)
            if changed:
                st.caption(f"You ran it with {plain(', '.join(changed))}.")


def _draw_try(lesson: Lesson, done: Doing, shown: list[Shown]) -> None:
    draw_text(lesson.attempt)
    draw_controls(lesson)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        draw_run_buttons(lesson, shown)
    if have_ended(shown):
        _claims(lesson, shown)
    draw_runs(lesson, shown)
    with st.container(horizontal=True, gap="small"):
        for one in shown:
            st.button(
                f"Open in Compose: {plain(one.title)}" if len(shown) > 1 else "Open in Compose",
                icon=":material/open_in_new:",
                key=f"lesson-compose-{one.run.name}",
                on_click=callback(session.open_recipe),
                args=(one.run.recipe if one.job is None else one.job.recipe,),
                help="Put this recipe into the form, where all of it can be changed",
            )
