"""What a user notes about a run: its name, note, star and tags, changed where they stand."""

from __future__ import annotations

import streamlit as st

from superdiff_engine.library import Labels
from superdiff_engine.library.labels import LONGEST_NAME, LONGEST_NOTE, MOST_TAGS

from ..guard import callback
from . import asked


def draw_labels(id: str, labels: Labels, tags: list[str]) -> None:
    """The fields of a run's labels; what is changed is kept at once.

    Args:
        id: of the run.
        labels: that it has.
        tags: that others have, to choose from.
    """
    keys = {name: f"label-{name}-{id}" for name in ("name", "note", "tags")}
    for name, value in (("name", labels.name), ("note", labels.note), ("tags", list(labels.tags))):
        _follow(keys[name], value)
    state = st.session_state
    st.text_input(
        "Name",
        key=keys["name"],
        max_chars=LONGEST_NAME,
        placeholder="Name this run",
        on_change=callback(lambda: _keep(keys["name"], id, name=state[keys["name"]])),
    )
    st.text_area(
        "Note",
        key=keys["note"],
        max_chars=LONGEST_NOTE,
        height=110,
        placeholder="What it was for, what is to be seen",
        on_change=callback(lambda: _keep(keys["note"], id, note=state[keys["note"]])),
    )
    st.multiselect(
        "Tags",
        list(dict.fromkeys([*labels.tags, *tags])),
        key=keys["tags"],
        max_selections=MOST_TAGS,
        accept_new_options=True,
        select_all=False,
        placeholder="Add a tag",
        on_change=callback(lambda: _keep_tags(keys["tags"], id)),
    )


def draw_star(id: str, on: bool, key: str = "") -> None:
    """The button that gives a run its star, or takes it away."""
    st.button(
        "Starred" if on else "Star",
        icon=":material/star:" if on else ":material/star_outline:",
        key=f"label-star-{key}{id}",
        on_click=callback(lambda: asked.library().label(id, star=not on)),
        help="Take the star away" if on else "Give it a star, to find it again",
    )


def _follow(key: str, value: str | list[str]) -> None:
    """A field shows what is kept; what is typed in it and not kept yet stays."""
    known = f"{key}-known"
    if st.session_state.get(known) != value or key not in st.session_state:
        st.session_state[key] = st.session_state[known] = value


def _keep(key: str, id: str, name: str | None = None, note: str | None = None) -> None:
    st.session_state.pop(f"{key}-known", None)  # it shows what was kept of it
    asked.library().label(id, name=name, note=note)


def _keep_tags(key: str, id: str) -> None:
    wanted, before = list(st.session_state[key]), st.session_state.pop(f"{key}-known", [])
    # What another tab has changed meanwhile stays as it is there.
    add, remove = [tag for tag in wanted if tag not in before], [tag for tag in before if tag not in wanted]
    asked.library().label(id, add=add, remove=remove)
