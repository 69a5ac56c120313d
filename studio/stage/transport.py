"""The pace of a run that is watched: a bar with Pause, One step and a slider of its speed (static/transport.js)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from .. import session
from ..guard import callback
from ..job import Job

_KEY = "transport"
_STATIC = Path(__file__).parents[1] / "static"
#: Steps that a run has made before its own pace is said.
_PACED = 3
#: Seconds without a look after which nobody watches any more: a tab in the background looks once a minute.
_GONE = 180


@cache
def _component() -> Any:
    html, css, script = ((_STATIC / f"transport.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    # Not apart from the page: its keys (page.py) press the buttons.
    return st.components.v2.component("superdiff_transport", html=html, css=css, js=script, isolate_styles=False)


def draw_transport(job: Job) -> None:
    """The bar of a run that has not ended; it updates in place, whichever run it is of."""
    run, tempo = job.run, job.run.tempo
    tempo.attend(_GONE)
    made = len(run.trace) / run.seconds if len(run.trace) >= _PACED and run.seconds > 0 else None
    data = {
        "run": job.id,
        "paused": tempo.paused,
        "rate": tempo.rate,
        "made": made,
        "off": run.cancelling,
        "note": session.pace_note(job),
        "taken": st.session_state.get("transport-number", 0),
    }
    drawn = _component()(key=_KEY, data=data, default={"asked": []}, on_asked_change=callback(_take_in))
    # A tab that outlived its server, or its session, brings the presses of before along.
    st.session_state.setdefault("transport-number", max((one[0] for one in drawn["asked"]), default=0))


def _take_in() -> None:
    """Do what the bar's presses ask for, each once (a callback)."""
    state = st.session_state
    new = [one for one in state[_KEY]["asked"] if one[0] > state["transport-number"]]
    state["transport-number"] = max([state["transport-number"], *(one[0] for one in new)])
    jobs = {job.id: job for job in session.registry().at_work() if isinstance(job, Job)}
    for _, what, job_id, rate in new:
        if job_id not in jobs:  # it has ended meanwhile
            continue
        tempo = jobs[job_id].run.tempo
        match what:
            case "pause":
                tempo.pause()
            case "go-on":
                tempo.go_on()
            case "step":
                tempo.step()
            case "rate":
                tempo.slow(rate)
                session.keep_rate(jobs[job_id].recipe.domain, rate)
