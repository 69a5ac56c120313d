"""Whether the form still asks for what is shown: what was edited since the run, and the way back to its settings."""

from __future__ import annotations

import streamlit as st

from superdiff_engine.domains import get_domain
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.wording import changes

from ..form import state as form_state
from ..guard import callback, plain
from ..job import Job
from ..session import registry

#: Letters of a value, and changes that are named, in one line; the rest is in its tooltip.
_VALUE, _NAMED = 32, 5


def draw_edited(job: Job) -> None:
    """A line above a run where the form no longer asks for it; its place is there in any case, so nothing remounts."""
    said = edited_since(job.run.recipe)
    with st.container(key="edited", gap=None):
        if not said:
            return
        line, whole = said
        with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
            st.markdown(f":small[{line}]", width="stretch", help=whole or None)
            st.button(
                "Show these settings",
                icon=":material/undo:",
                key="edited-back",
                type="tertiary",
                on_click=callback(_show_settings),
                args=(job.id,),
                help="Put the settings of this run into the form",
            )


def edited_since(recipe: Recipe) -> tuple[str, str] | None:
    """What to say of the form beside a run of this recipe, in Markdown: a line, and all of it where the line leaves
    something out. None where the form asks for the same.

    A new seed that every run rolls is no edit, nor is what a run fills in, such as a hub's revision.
    """
    session = form_state.state()
    if session["f.domain"] != recipe.domain:
        form, run = (get_domain(name).title for name in (session["f.domain"], recipe.domain))
        return f"The form is at {plain(form)}; this run is of {plain(run)}.", ""
    try:
        now = form_state.recipe_now()
    except SuperDiffError:
        # What is wrong in it is said beside Run.
        return "The form was edited since this run.", ""
    found = [change for change in changes(recipe, now) if change.place != "seed" or session["f.lock"]]
    if not found:
        return None
    # The modes of a mixture that is new say little beside its name.
    named = [change for change in found if change.before is not None or not change.place.endswith(".mixture")]
    short = [change.words(_VALUE) for change in named[:_NAMED]]
    rest = len(named) - len(short)
    more = f" and {rest} more" if rest else ""
    line = f"The form was edited since this run: {plain(', '.join(short))}{more}"
    whole = [change.words() for change in found]
    return line, "" if whole == short else "\n\n".join(map(plain, whole))


def _show_settings(job_id: str) -> None:
    """Put a run's recipe into the form (a callback)."""
    st.session_state["problem"] = ""
    form_state.load(registry().recall(job_id).run.recipe)
