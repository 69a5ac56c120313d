"""What was run, in at most a few lines: the heading of a run, and all of its settings on request."""

from __future__ import annotations

import re

import streamlit as st

from superdiff_engine.density import get_estimator
from superdiff_engine.domains import get_domain
from superdiff_engine.recipes.document import SPACINGS, Recipe
from superdiff_engine.recipes.operators import OperatorRecipe
from superdiff_engine.recipes.parameters import Number
from superdiff_engine.runs.wording import differences, phrases, shortened, spelled
from superdiff_engine.solvers import get_solver

from ..charts.palette import dot
from ..guard import plain, show_sentence
from ..job import Job
from ..shelf.kept import draw_label_menu, draw_note, draw_place, draw_run_again, labels_of
from ..views import view_of
from ..words import STATES, other_than_usual, run_title
from .exports import draw_downloads, shown_of
from .progress import seconds_text

#: Letters of a title, of a fact and of an expert in the heading; all of them are in the settings.
_TITLE, _FACT, _EXPERT = 90, 70, 80
#: What the heading's other words say already: the numbers after the state, the levels, the experts.
_SAID = {"levels.steps", "batch", "seed", "levels.highest", "levels.lowest", "levels.spacing", "experts.model"}


def draw_heading(job: Job, save: bool = True) -> None:
    """What was run, how it ended, and the files."""
    run = job.run
    labels = labels_of(job)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
        title = f"{get_domain(job.recipe.domain).title}: {run_title(job.recipe)}" if save else run_title(job.recipe)
        st.markdown(f"### {plain(shortened(labels.name or title, _TITLE))}", width="content")
        if save:
            with st.container(horizontal=True, width="content", gap="xsmall"):
                draw_label_menu(job, labels)
                draw_settings(job)
                draw_downloads(job, shown_of(job))
    facts = [
        *([title] if labels.name else []),
        STATES[run.state],
        f"{max(len(run.trace) - 1, 0)} of {run.recipe.levels.steps} steps in {seconds_text(run.seconds)}",
        f"{run.recipe.batch} samples",
        f"seed {run.recipe.seed}",
        # In a column beside others there is no room for more than what sets it apart.
        *(recipe_facts(job) if save else other_than_usual(run.recipe)),
    ]
    st.markdown(" · ".join(plain(shortened(fact, _FACT)) for fact in facts))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
        _draw_experts(job)
        if save:
            draw_place(job)
    draw_note(labels)
    if run.state in ("failed", "interrupted"):
        show_sentence(run.message)
    elif run.state == "cancelled" and run.result is not None:
        note = view_of(run.recipe.domain).cancelled_note
        st.info(
            f"Cancelled at step {run.result.index}, level {run.result.level:.3g}: {note}.",
            icon=":material/stop_circle:",
        )
    if save and run.state in ("failed", "interrupted", "cancelled"):
        draw_run_again(job)
    for note in run.notes:
        st.caption(f":material/info: {plain(note)}")
    caution = get_estimator(run.recipe.estimator).caution(get_solver(run.recipe.solver))
    if caution and run.state == "done":
        st.caption(caution)


def recipe_facts(job: Job) -> list[str]:
    """What the heading says of a run's recipe beside its title, its experts and its numbers."""
    recipe = job.run.recipe
    domain = get_domain(recipe.domain)
    always = ["solver", "estimator", *(["guidance.weight"] if domain.guided else [])]
    always += [] if domain.size is None else [domain.size.field]
    other = phrases(recipe, *always) | differences(recipe)
    levels = f"levels s = {' to '.join(_levels(job))}, {SPACINGS[recipe.levels.spacing]}"
    model = one_model(recipe)
    said = [f"model {model}"] if model else []
    said += _usual_numbers(recipe.operator)
    # What an estimator costs is the form's business.
    return [
        *said,
        levels,
        *(
            re.sub(r" \([^)]*\)$", "", other[one]) if one == "estimator" else other[one]
            for one in other
            if one not in _SAID
        ),
    ]


def _usual_numbers(operator: OperatorRecipe) -> list[str]:
    """The numbers of an operator that its words leave out because they are as usual; those that are 0 do nothing."""
    return [
        one.say(getattr(operator, one.field))
        for one in operator.parameters
        if isinstance(one, Number)
        and not one.always
        and getattr(operator, one.field) == type(operator).model_fields[one.field].default
        and getattr(operator, one.field)
    ]


def _levels(job: Job) -> tuple[str, str]:
    """Where a run begins and ends; where its recipe leaves that to the models, what the run has shown of it."""
    run = job.run
    curves = run.trace.curves(most=2)
    highest, lowest = run.recipe.levels.highest, run.recipe.levels.lowest
    if highest is None and len(curves.level):
        highest = float(curves.level[0])
    if lowest is None and run.result is not None and run.result.complete:
        lowest = run.result.level
    open_ends = ("the models' highest", "their lowest")
    said = [left if level is None else f"{level:.3g}" for level, left in zip((highest, lowest), open_ends, strict=True)]
    return said[0], said[1]


def _model_titles(recipe: Recipe) -> list[str]:
    known = {info.id: info.title for info in get_domain(recipe.domain).models()}
    return [known.get(expert.model, expert.model) for expert in recipe.experts]


def one_model(recipe: Recipe) -> str:
    """The model of all prompts of a recipe; "" where they have several, or the experts are called by their models."""
    models = set(_model_titles(recipe))
    return models.pop() if len(models) == 1 and all(expert.prompt is not None for expert in recipe.experts) else ""


def experts_in_words(recipe: Recipe, titles: list[str], most: int | None = None) -> list[str]:
    """What the experts of a run are, by their titles there: each with its model where prompts are of several.

    Titles of more than `most` letters are cut.
    """
    said = []
    for title, model, expert in zip(titles, _model_titles(recipe), recipe.experts, strict=True):
        beside = expert.prompt is not None and not one_model(recipe) and title != model
        short = shortened(title, most)
        said.append(f"{short} ({model})" if beside else short)
    return said


def _draw_experts(job: Job) -> None:
    """The experts in their colours; what is cut of them stands in the tooltip."""
    whole, short = (experts_in_words(job.run.recipe, job.run.titles, most) for most in (None, _EXPERT))
    legend = [f"{dot(place)} {place + 1} {plain(said)}" for place, said in enumerate(short)]
    cut = [f"{place} {plain(said)}" for place, said in enumerate(whole, start=1) if said not in short]
    st.markdown("\u2003".join(legend), help="\n\n".join(cut) or None, width="content")


def draw_settings(job: Job) -> None:
    """A menu with every field of the recipe in words, and the recipe itself."""
    recipe = job.run.recipe
    with st.popover("All settings", icon=":material/list_alt:", key=f"settings-{job.id}"):
        rows = [f"| {plain(one.name)} | {plain(one.value)} |" for one in spelled(recipe).values()]
        st.markdown("\n".join(["| setting | value |", "| --- | --- |", *rows]))
        st.markdown("**The recipe, as JSON**")
        st.code(recipe.to_json(), language="json", wrap_lines=True, height=220)
