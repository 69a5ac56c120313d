"""The titles that a tab gives its runs: kept with the tab and, while they are short, in its address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

#: Letters of a title, and of all of them in an address.
LONGEST, _IN_ADDRESS = 60, 300
_KEY, _QUERY = "titles", "titles"


def given_title(job_id: str) -> str:
    """The title that this tab gave a run; "" where it gave none."""
    titles: dict[str, str] = st.session_state.setdefault(_KEY, {})
    return titles.get(job_id, "")


def give_title(job_id: str, title: str) -> None:
    """Call a run so in this tab; an empty title takes it back."""
    given_title(job_id)
    st.session_state[_KEY][job_id] = " ".join(title.split())[:LONGEST].rstrip()


def to_query(shown: Sequence[str]) -> dict[str, str]:
    """The titles of the runs that are shown, as a part of an address: a line each, empty where there is none."""
    lines = "\n".join(given_title(job_id) for job_id in shown)
    return {_QUERY: lines} if lines.strip() and len(lines) <= _IN_ADDRESS else {}


def from_query(query: Mapping[str, str], shown: Sequence[str]) -> None:
    """Take the titles of the runs that an address names."""
    lines = query.get(_QUERY, "")[: 2 * _IN_ADDRESS].split("\n")
    for job_id, title in zip(shown, lines, strict=False):
        give_title(job_id, title)
