"""What a run can be seen beside: the same recipe and seed with only the operator changed, or another run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import streamlit as st

from superdiff_engine.domains import get_domain
from superdiff_engine.domains.checked import make_recipe
from superdiff_engine.errors import OutputError, RecipeError
from superdiff_engine.library import Query
from superdiff_engine.library.entry import OPENED
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.recipes.operators import COMPARED, OPERATORS, OperatorRecipe, each_alone, of_one_expert
from superdiff_engine.runs.wording import shortened
from superdiff_engine.runs.work import is_id

from .. import session, titles
from ..guard import callback, once
from ..job import Job
from ..words import run_title

#: Runs of the library that are offered, the newest; the others are opened from its page.
_OFFERED = 500
#: Seconds after which the library is read again, and that the page waits for that.
_OLDER, _PATIENCE = 10.0, 0.05


def with_operator(recipe: Recipe, operator: OperatorRecipe) -> Recipe:
    """The same recipe with another operator, without its correction where that one has no exact target; raises
    RecipeError where it does not fit.
    """
    document = recipe.model_dump() | {"operator": operator.model_dump()}
    return make_recipe(document | ({"correction": None} if operator.no_target else {}))


def variants(recipe: Recipe) -> list[Recipe]:
    """What to see a run beside: itself without its correction, AND, OR, average, a joint prompt and every expert alone,
    but for what it is itself.
    """
    found, count = [], len(recipe.experts)
    if recipe.correction is not None:
        found.append(recipe.model_copy(update={"correction": None}))
    for operator in COMPARED:
        with suppress(RecipeError):  # AND of properties that exclude each other
            found.append(with_operator(recipe, operator.like(recipe.operator, count)))
    wording = get_domain(recipe.domain).wording
    if wording is not None and recipe.experts[0].prompt is not None and count > 1:
        joint = wording.between.join(expert.prompt for expert in recipe.experts if expert.prompt)
        document = recipe.model_dump() | {
            "experts": [{"model": recipe.experts[0].model, "prompt": joint}],
            "operator": of_one_expert().model_dump(),
        }
        with suppress(RecipeError):  # properties that exclude each other have no joint prompt
            found.append(make_recipe(document))
    found += [with_operator(recipe, operator) for operator in each_alone(count)]
    return [other for other in found if _composition(other) != _composition(recipe)]


def _composition(recipe: Recipe) -> tuple[object, ...]:
    """What is composed how, but for numbers."""
    # Without a correction where there can be none, an operator is another all the same.
    return (*recipe.operator.choice(), len(recipe.experts), recipe.correction is not None)


def draw_run_beside(job: Job) -> None:
    """The choice of another operator, and the button that runs it beside; and of another run."""
    with st.container(border=True, key="beside"):
        draw_other_operator(job, "Compare: run again with only the operator changed")
        draw_add_run(job)


def draw_other_operator(job: Job, label: str) -> None:
    """The choice of another operator, and the buttons that run it, or all of them, beside."""
    others = [name for name in OPERATORS if name != job.recipe.operator.name]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox(
            label, others, format_func=lambda other: OPERATORS[other].title, key=f"other-{job.id}", width=330
        )
        st.button(
            "Run beside",
            icon=":material/compare:",
            **once("run-beside", lambda: _run_other(job, name)),
            disabled=len(st.session_state["shown"]) >= session.MOST_COMPARED,
            help=f"Same experts, same seed, another operator; up to {session.MOST_COMPARED} side by side"
            f"{'' if job.recipe.correction is None else '. One without an exact target runs without a correction'}",
        )
        rest = variants(job.recipe)[: session.MOST_COMPARED - len(st.session_state["shown"])]
        if rest and len(st.session_state["shown"]) == 1:
            named = ["The same without its correction"] if job.recipe.correction is not None else []
            named += [kind.title if kind.title.isupper() else kind.title.lower() for kind in COMPARED]
            st.button(
                "Run all beside",
                icon=":material/view_column:",
                **once("run-all-beside", lambda: session.run_beside(*rest)),
                help=f"{', '.join(named)}, joint prompt and each expert alone, on the same seed, in one press",
            )


def _run_other(job: Job, name: str) -> None:
    try:
        operator = OPERATORS[name].like(job.recipe.operator, len(job.recipe.experts))
        session.run_beside(with_operator(job.recipe, operator))
    except RecipeError as error:
        st.session_state["problem"] = str(error)


def draw_add_run(job: Job) -> None:
    """The choice of a run of the library, or of one that is not kept, to show beside."""
    shown = st.session_state["shown"]
    others = _others(shown)
    if not others:
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen = st.selectbox(
            "Compare: add a run of the library",
            list(others),
            format_func=lambda job_id: others.get(job_id, job_id),
            key=f"add-{job.id}",
            width=420,
        )
        st.button(
            "Add",
            icon=":material/add:",
            key="add-run",
            on_click=callback(lambda: session.show([*shown, chosen])),
            disabled=len(shown) >= session.MOST_COMPARED,
            help=f"Show it beside; up to {session.MOST_COMPARED} side by side, of any recipes",
        )


def _others(shown: list[str]) -> dict[str, str]:
    """Runs that can be added to those shown, each in one line by its id, the newest first."""
    found: dict[str, str] = {}
    library = session.registry().library
    if library is not None:
        with suppress(OutputError):  # its own page says what is wrong with it
            library.look(_OLDER, _PATIENCE)
            for entry in library.find(Query(states=OPENED, most=_OFFERED)).entries:
                if entry.can_open:
                    found[entry.id] = _line(entry.id, entry.name, entry.experts, entry.domain, entry.seed)
    for job in session.registry().made_runs():  # those without a record too
        if job.id not in found:
            found[job.id] = _line(job.id, run_title(job.recipe), job.recipe.names, job.recipe.domain, job.recipe.seed)
    return {job_id: found[job_id] for job_id in sorted(found, reverse=True) if job_id not in shown}


def _line(job_id: str, title: str, experts: Sequence[str], domain: str, seed: int) -> str:
    """A run in one line, for a list: its title, what it is of, and when it began."""
    said = titles.given_title(job_id) or f"{title} · {', '.join(experts)}"
    when = f"{job_id[6:8]}.{job_id[4:6]}. {job_id[9:11]}:{job_id[11:13]}" if is_id(job_id) else job_id
    return f"{shortened(said, 60)} · {get_domain(domain).title} · seed {seed} · {when}"
