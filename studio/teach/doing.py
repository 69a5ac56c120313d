"""What a student has done of each lesson: in the session, and by progress.js in the browser, never on the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from superdiff_engine.runs.work import is_id

#: The page's path, and what its address calls the lesson that is open.
PATH, _QUERY = "lessons", "lesson"
#: The steps of a lesson, in their order.
PARTS = ("Read", "Predict", "Run", "Explain", "Try")
READ, PREDICT, RUN, EXPLAIN, TRY = range(len(PARTS))

_OPEN, _DONE, _CHANGED = "lesson", "lessons-done", "lessons-changed"
#: Of names and runs that are taken from a browser.
_MOST, _LONGEST = 500, 60


@dataclass
class Doing:
    """A lesson as far as it was done.

    Attributes:
        part: the step that is looked at, from 0.
        furthest: the last step that was reached.
        answer: the choice that was predicted, from 0; None before that.
        runs: the ids of the runs, by their names in the lesson.
    """

    part: int = READ
    furthest: int = READ
    answer: int | None = None
    runs: dict[str, str] = field(default_factory=dict)

    def go(self, part: int) -> None:
        """Look at a step."""
        self.part = part
        self.furthest = max(self.furthest, part)

    def kept(self) -> dict[str, Any]:
        """For the browser to keep."""
        return {"part": self.part, "furthest": self.furthest, "answer": self.answer, "runs": self.runs}

    @classmethod
    def from_kept(cls, kept: Any) -> Doing:
        """What a browser has kept, as far as it makes sense."""
        found = cls()
        if not isinstance(kept, Mapping):
            return found
        steps = range(len(PARTS))
        answer, runs = kept.get("answer"), kept.get("runs")
        # A choice that the lesson does not have (any more) is dropped where the lesson is known.
        found.answer = (
            answer if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < 100 else None
        )
        furthest, part = (kept.get(key) if kept.get(key) in steps else READ for key in ("furthest", "part"))
        found.furthest = int(furthest or READ) if found.answer is not None else min(int(furthest or READ), PREDICT)
        found.part = min(int(part or READ), found.furthest)
        if isinstance(runs, Mapping) and len(runs) < 10:
            found.runs = {
                str(name)[:_LONGEST]: job for name, job in runs.items() if isinstance(job, str) and is_id(job)
            }
        return found


def all_done() -> dict[str, Doing]:
    """What this tab knows of all lessons, by their names."""
    known: dict[str, Doing] = st.session_state.setdefault(_DONE, {})
    return known


def doing(name: str) -> Doing:
    """What was done of a lesson."""
    return all_done().setdefault(name, Doing())


def note(name: str) -> None:
    """Have the browser keep what was done of a lesson."""
    changed: set[str] = st.session_state.setdefault(_CHANGED, set())
    changed.add(name)


def forget(name: str) -> None:
    """Begin a lesson anew; the browser forgets what was done of it."""
    all_done()[name] = Doing()
    note(name)


def to_keep() -> dict[str, Any]:
    """What the browser is to keep, by lesson; None where it is to forget."""
    fresh, changed = Doing(), sorted(st.session_state.get(_CHANGED, ()))
    return {name: None if doing(name) == fresh else doing(name).kept() for name in changed}


def take_kept(kept: Any) -> None:
    """Take in what a browser has kept of earlier visits; what this tab did since then stays."""
    if not isinstance(kept, Mapping) or len(kept) > _MOST:
        return
    changed = st.session_state.get(_CHANGED, ())
    for name, one in kept.items():
        if isinstance(name, str) and len(name) <= _LONGEST and name not in changed:
            all_done()[name] = Doing.from_kept(one)


def opened() -> str:
    """The name of the lesson that is open; "" for the list."""
    if _OPEN not in st.session_state:
        st.session_state[_OPEN] = st.query_params.get(_QUERY, "")[:_LONGEST]
    return str(st.session_state[_OPEN])


def open_lesson(name: str) -> None:
    """Open a lesson, or with "" the list (a callback)."""
    st.session_state[_OPEN] = name


def place() -> str:
    """The lesson and the step that are looked at, as one word."""
    return f"{opened()}/{doing(opened()).part}" if opened() else ""


def to_query() -> dict[str, str]:
    """The lesson that is open, as a part of an address."""
    return {_QUERY: opened()} if opened() else {}
