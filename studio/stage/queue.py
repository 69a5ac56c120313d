"""The queue: a line on every page that says what runs and waits, and the panel that it opens.

It looks by itself, every second while something is at work that leaves a core for that (`looks`), and draws the page
anew only where a button asks for it. The panel is a component (static/queue.js) and no widgets: a click on a widget
that meets the tick of a fragment is told to the server twice by Streamlit's page.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from superdiff_engine.domains import get_domain
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.grid import Sweep
from superdiff_engine.runs.waiting import Kind, Waiting
from superdiff_engine.system.machine import Machine, look

from .. import session, turning
from ..guard import callback, guarded
from ..job import AnyJob, Ended, EstimationJob, Forecast, Job
from ..part import part
from ..unbroken import unbroken
from ..words import CURVES, STATES, VIEW, ordinal, run_title
from .looks import NEVER
from .progress import download_of, loading_text, pace_texts, paused_texts

#: Seconds between two looks: while something is at work that leaves a core to the browser, and otherwise.
_TICK, _IDLE_TICK = 1.0, 4.0
#: Rows of a part that are listed.
_LISTED = 40
#: How many of what has ended is listed, and for how many seconds.
_ENDED, _STAYS = 8, 3600.0
#: Letters of the experts' names in one line.
_LONG = 48
#: What a recipe's title begins with.
_KINDS: dict[Kind, str] = {
    "run": "",
    "grid": "Grid of ",
    "check": "Check of log-densities: ",
    "file": "Log-densities of a file: ",
    "unreadable": "",
}
_KEY = "queue-panel"
_STATIC = Path(__file__).parents[1] / "static"


@cache
def _component() -> Any:
    html, css, script = ((_STATIC / f"queue.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component("superdiff_queue", html=html, css=css, js=script)


def draw_queue() -> None:
    """The line that says what runs and waits, and below it, once it was pressed, the panel."""
    with st.container(key="queue"):
        # What is drawn again every second does not grey out before.
        st.html("<style>.st-key-queue [data-stale='true'] { opacity: 1 !important; }</style>")
        _slow()


@part(run_every=_IDLE_TICK)
def _slow() -> None:
    # The quick look lives within the slow one, which takes it away when nothing is left to do.
    jobs = session.registry().at_work()
    if jobs:
        part(_look, run_every=NEVER if any(job.takes_all_cores for job in jobs) else _TICK)()
    else:
        _look()


def _look() -> None:
    with guarded("the queue"):
        # One by one: a press that comes meanwhile may end this drawing between two of them, and the next one goes on.
        while asked := st.session_state.get("queue-asked"):
            with unbroken():
                _act(*asked.pop(0))
        drawn = _component()(
            key=_KEY,
            data=_data(),
            default={"asked": []},
            on_asked_change=callback(_take_in),
        )
        # A tab that outlived its server, or its session, brings what it asked for before along.
        st.session_state.setdefault("queue-number", max((one[0] for one in drawn["asked"]), default=0))
    if st.session_state.pop("queue-page", False):
        st.rerun()


def _take_in() -> None:
    """Note what the panel's buttons ask for, each press once (a callback)."""
    state = st.session_state
    new = [one for one in state[_KEY]["asked"] if one[0] > state["queue-number"]]
    state["queue-asked"] = [*state.get("queue-asked", []), *((what, argument) for _, what, argument in new)]
    state["queue-number"] = max([state["queue-number"], *(one[0] for one in new)])


def _act(what: str, argument: Any) -> None:
    """Do what a button of the panel asks for; what cannot be done is a sentence in the panel."""
    state, registry, tab = st.session_state, session.registry(), session.this_tab()
    state["queue-problem"] = ""
    try:
        match what:
            case "pause":
                registry.pause()
            case "resume":
                registry.resume()
            case "cancel-waiting":
                registry.cancel_waiting(tab)
            case "cancel":
                registry.cancel_named(argument)
            case "go-on" | "full-speed":
                _quicken(argument, what == "full-speed")
            case "first" | "up" | "down":
                registry.move(argument, what)
            case "follow":
                state["queue-follow"] = bool(argument)
            case "show":
                _show([argument] if isinstance(argument, str) else list(argument))
            case "again":
                _queue_again([argument] if isinstance(argument, str) else list(argument))
            case "forget":
                registry.forget_offered([argument] if isinstance(argument, str) else list(argument))
    except SuperDiffError as error:
        state["queue-problem"] = str(error)


def _quicken(job_id: str, full_speed: bool) -> None:
    """Let a run that is paused or slowed go on."""
    for job in session.registry().at_work():
        if isinstance(job, Job) and job.id == job_id:
            job.run.tempo.slow(None) if full_speed else job.run.tempo.go_on()


def _show(job_ids: list[str]) -> None:
    """Put runs on the stage: a run, the one that a grid or a check belongs to, or several side by side."""
    state, registry = st.session_state, session.registry()
    known: dict[str, AnyJob | Ended] = {job.id: job for job in registry.at_work()}
    known |= {one.id: one for one in registry.ended(session.this_tab())}
    shown = list(dict.fromkeys(known[job_id].shown_under if job_id in known else job_id for job_id in job_ids))
    for job_id in shown:
        registry.recall(job_id)
    session.show(shown)
    if len(job_ids) == 1 and job_ids[0] in known and known[job_ids[0]].kind == "check":
        state[VIEW] = CURVES
    state["problem"] = ""
    state["queue-page"] = True
    turning.turn_to(turning.COMPOSE)


def _queue_again(keys: list[str]) -> None:
    state = st.session_state
    queued = session.registry().queue_again(keys, session.this_tab())
    if {job.id for job in queued} & set(state["shown"]):  # by the link that this tab was opened with
        state["problem"] = ""
        state["queue-page"] = True


# What is said


def _data() -> dict[str, Any]:
    registry, tab = session.registry(), session.this_tab()
    jobs, forecasts, offered = registry.at_work(), registry.forecasts(), registry.offered()
    running, waiting = [job for job in jobs if _begun(job)], [job for job in jobs if not _begun(job)]
    unfinished = [job for job in jobs if job.tab == tab.key]
    ended = registry.ended(tab)
    recent = [one for one in ended if time.monotonic() - one.when < _STAYS]
    parts = [
        _part("running", "", [_running(job) for job in running]),
        _part("waiting", "", [_waiting(job, forecasts) for job in waiting]),
        _offered(offered),
        _part("ended", "Ended, of this tab", [_ended(one) for one in recent[:_ENDED]]),
    ]
    return {
        "line": _line(running, waiting, forecasts, offered),
        "facts": [_machine_text(look())],
        "warnings": _warnings(running, jobs),
        "paused": registry.paused,
        "follow": bool(st.session_state.get("queue-follow")),
        "mine": sum(job.tab == tab.key for job in waiting),
        "parts": [part for part in parts if part["rows"]],
        "compare": None if unfinished else _comparable(recent),
    } | _told(unfinished, len(ended))


def _line(running: list[AnyJob], waiting: list[AnyJob], forecasts: dict[str, Forecast], offered: list[Waiting]) -> str:
    counts = [f"{len(running)} running"] if running else []
    counts += [f"{len(waiting)} waiting"] if waiting else []
    counts += [_total(forecasts)] if forecasts else []
    counts += [f"{len(offered)} from before"] if offered else []
    name = "Queue paused" if session.registry().paused else "Queue"
    return f"{name}: {', '.join(part for part in counts if part) or 'empty'}"


def _total(forecasts: dict[str, Forecast]) -> str:
    """How long all of it takes; "" where nothing of that is known."""
    ends = [one.ends for one in forecasts.values()]
    known = [end for end in ends if end is not None]
    if not known or session.registry().paused:
        return ""
    return f"{'about' if len(known) == len(ends) else 'more than'} {_about(max(known))}"


def _about(seconds: float) -> str:
    """A time that nobody knows exactly: 8 s, 4 min, 2 h 10 min."""
    if seconds < 100:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _warnings(running: list[AnyJob], jobs: list[AnyJob]) -> list[str]:
    registry = session.registry()
    found = [st.session_state.get("queue-problem", "")]
    if registry.kept is not None and registry.kept.problem:
        found.append(f"{registry.kept.problem} What waits would not outlive the studio.")
    if registry.paused:
        at_work = "What is at work goes on to its end, and nothing" if running else "Nothing"
        found.append(f"The queue is paused. {at_work} new begins until it goes on.")
    if not jobs:
        found.append("Nothing runs and nothing waits. Run adds to the queue, also while something runs.")
    return [sentence for sentence in found if sentence]


def _machine_text(machine: Machine) -> str:
    """Device, its memory, this machine's load and memory, in a line."""
    size = 1024**3
    parts = []
    if machine.accelerator is not None:
        device, memory = machine.accelerator.name, machine.accelerator.memory
        parts.append(
            device if memory is None else f"{device}: {memory[0] / size:.1f} of {memory[1] / size:.0f} GiB in use"
        )
    cores = f"{machine.cores} core{'' if machine.cores == 1 else 's'}"
    parts.append(f"CPU {100 * machine.busy:.0f} % of {cores}, load {machine.load:.1f}")
    parts.append(f"memory {machine.free / size:.1f} of {machine.total / size:.1f} GiB free")
    parts.append(f"the studio holds {machine.own / size:.1f} GiB")
    return " · ".join(parts)


def _begun(job: AnyJob) -> bool:
    return job.run.state != "queued" and not (isinstance(job, EstimationJob) and job.run.waiting)


def _title(recipe: Recipe, kind: Kind) -> str:
    experts = ", ".join(expert.prompt or expert.model for expert in recipe.experts)
    experts = experts if len(experts) <= _LONG else f"{experts[: _LONG - 1]}…"
    title, domain = f"{_KINDS[kind]}{run_title(recipe)}", get_domain(recipe.domain).title
    return " · ".join([title, domain, experts, f"seed {recipe.seed}"])


def _whose(job: AnyJob) -> str:
    return "this tab" if job.tab == session.this_tab().key else "another tab"


# Its parts


def _part(name: str, title: str, rows: list[dict[str, Any]], buttons: list[list[str]] | None = None) -> dict[str, Any]:
    more = f"and {len(rows) - _LISTED} more" if len(rows) > _LISTED else ""
    return {"name": name, "title": title, "buttons": buttons or [], "rows": rows[:_LISTED], "more": more}


def _row(id: str, title: str, text: str, buttons: list[list[str]], share: float | None = None) -> dict[str, Any]:
    return {"id": id, "title": title, "text": text, "share": share, "buttons": buttons}


_SHOW = ["show", "Show", "Show it on this tab's stage"]


def _running(job: AnyJob) -> dict[str, Any]:
    run, fetched = job.run, download_of(job)
    share = run.fraction if fetched is None else fetched.fraction
    if run.cancelling:
        text = "Cancelling: stops after this step"
    elif fetched is not None or run.state == "loading":
        text = loading_text(job)
    else:
        cells = [f"cell {min(run.done + 1, len(run.recipes))} of {len(run.recipes)}"] if isinstance(run, Sweep) else []
        text = " · ".join([f"{round(100 * run.fraction)} %", *paused_texts(job), *cells, *pace_texts(run)])
    buttons = [_SHOW] if job.shown_under else []
    buttons += [] if run.cancelling else _pace_buttons(job)
    buttons += [] if run.cancelling else [["cancel", "Cancel", "Stop within one step and keep what there is"]]
    title = _title(job.recipe, job.kind)
    return _row(job.id, title, f"{text} · {_whose(job)}", buttons, min(max(share, 0.0), 1.0))


def _pace_buttons(job: AnyJob) -> list[list[str]]:
    """For a run that somebody has paused or slowed, whom nobody else may see: all that waits stands behind it."""
    tempo = job.run.tempo if isinstance(job, Job) else None
    if tempo is None or not tempo.watched:
        return []
    if tempo.paused:
        return [["go-on", "Continue", "Let it take its steps again"]]
    return [["full-speed", "Full speed", f"It is slowed to {tempo.rate:g} steps a second: let it go as fast as it can"]]


def _waiting(job: AnyJob, forecasts: dict[str, Forecast]) -> dict[str, Any]:
    forecast = forecasts.get(job.id, Forecast(None, None))
    ahead = len(session.registry().ahead(job))
    if session.registry().paused:
        begins = "begins when the queue goes on"
    elif isinstance(job, EstimationJob):
        begins = f"waits for the {ahead} ahead on its device" if ahead else "begins next"
    else:
        begins = f"{ordinal(ahead + 1)} in line" if ahead else "begins next"
        begins += f", begins in about {_about(forecast.begins)}" if forecast.begins else ""
    takes = "takes an unknown time" if forecast.takes is None else f"takes about {_about(forecast.takes)}"
    buttons = [_SHOW] if job.shown_under else []
    if job.run.state == "queued":
        buttons += [
            ["first", "First", "Let it begin next"],
            ["up", "↑", "One place earlier"],
            ["down", "↓", "One place later"],
        ]
    buttons += [["cancel", "Cancel", "It is taken out of the queue"]]
    return _row(job.id, _title(job.recipe, job.kind), f"{begins} · {takes} · {_whose(job)}", buttons)


def _ended(one: Ended) -> dict[str, Any]:
    text = f"{STATES[one.state]} {_about(time.monotonic() - one.when)} ago"
    buttons = [["show", "Open", "Open it on this tab's stage"]] if one.shown_under else []
    return _row(one.id, _title(one.recipe, one.kind), text, buttons)


def _comparable(recent: list[Ended]) -> dict[str, Any] | None:
    """Ended runs that can be put side by side, the last first; None where there are not two."""
    runs = [one for one in recent[:_ENDED] if one.kind == "run" and one.state == "done"]
    titles = [[one.id, f"{run_title(one.recipe)}, seed {one.recipe.seed}"] for one in runs]
    return {"most": session.MOST_COMPARED, "runs": titles} if len(runs) > 1 else None


def _offered(offered: list[Waiting]) -> dict[str, Any]:
    """What servers that are gone have left."""
    good = [entry for entry in offered if not entry.problem]
    broken = sum(entry.begun for entry in good)
    waited = len(good) - broken
    counts = [f"{waited} run{'s' if waited != 1 else ''} waited"] if waited else []
    counts += [f"{broken} {'was' if broken == 1 else 'were'} at work"] if broken else []
    counts += [f"{len(offered) - len(good)} cannot be queued again"] if len(good) < len(offered) else []
    buttons = [["again", "Queue them again", "In their order, behind what is queued already"]] if good else []
    buttons += [["forget", "Forget them", "Offer them no more; what runs had made stays in the library"]]
    title = f"{', '.join(counts)} when the studio ended"
    return _part("offered", title, [_offered_row(entry) for entry in offered], buttons)


def _offered_row(entry: Waiting) -> dict[str, Any]:
    title = "" if entry.recipe is None else _title(entry.recipe, entry.kind)
    text = "Waited"
    if entry.begun:
        text = "Broken off: it was at work. Run again, it is a new run, and what it had kept stays as it is"
    again = ["again", "Run again", "From its beginning"] if entry.begun else ["again", "Queue again", "As it was"]
    buttons = ([] if entry.problem else [again]) + [["forget", "Forget", "Offer it no more"]]
    return _row(entry.key, title, entry.problem or text, buttons)


def _told(unfinished: list[AnyJob], ended: int) -> dict[str, Any]:
    """What the browser tells of this tab's work, in its title and when all of it has ended."""
    state = st.session_state
    # A batch of work begins where nothing of this tab's was at work.
    if unfinished and not state.get("queue-unfinished"):
        state["queue-batch"] = ended
    state["queue-unfinished"] = len(unfinished)
    done = max(ended - state.get("queue-batch", ended), 0)
    share = (done + sum(job.run.fraction for job in unfinished)) / max(done + len(unfinished), 1)
    sentence = f"All {done} have ended." if done > 1 else "Your run has ended."
    return {"work": len(unfinished), "percent": min(int(100 * share), 99), "ended": "" if unfinished else sentence}
