"""Which sample and which moment of a run are looked at: kept with the tab, and in its address as `sample` and `step`.

The player moves both in the browser alone and writes them into the address itself (static/player.js, static/tab.js);
here is what an address brought along, and the sample that was chosen last in any view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

_SAMPLE, _STEP = "sample", "step"
#: Longer numbers are nobody's.
_DIGITS = 9


def pick_key(job_id: str) -> str:
    """Where the session keeps the number of the sample of a run that its views show, chosen or not."""
    return f"pick-{job_id}"


def _key(name: str, job_id: str) -> str:
    return f"looked-{name}-{job_id}"


def chosen(job_id: str) -> int | None:
    """The number of the sample that somebody chose; None where nobody did."""
    sample: int | None = st.session_state.get(_key(_SAMPLE, job_id))
    return sample


def choose(job_id: str, sample: int | None) -> None:
    """Note that this sample was chosen, and show it in all views; None: none in particular."""
    st.session_state[_key(_SAMPLE, job_id)] = sample
    if sample is not None:
        st.session_state[pick_key(job_id)] = sample


def take_pick(job_id: str) -> None:
    """Note that the sample that the views show was chosen in one of them."""
    st.session_state[_key(_SAMPLE, job_id)] = int(st.session_state[pick_key(job_id)])


def forget_beyond(job_id: str, count: int) -> None:
    """Forget a sample that a run of `count` samples does not have: an address may name any."""
    if (sample := chosen(job_id)) is not None and sample >= count:
        st.session_state[_key(_SAMPLE, job_id)] = None
        st.session_state.pop(pick_key(job_id), None)


def step_of(job_id: str) -> int | None:
    """The step whose moment the address asked for."""
    step: int | None = st.session_state.get(_key(_STEP, job_id))
    return step


def to_query(shown: Sequence[str], with_step: bool) -> dict[str, str]:
    """The sample, and the step if wanted, as a part of an address; nothing unless one run is shown."""
    if len(shown) != 1:
        return {}
    found = {_SAMPLE: chosen(shown[0]), _STEP: step_of(shown[0]) if with_step else None}
    return {name: str(value) for name, value in found.items() if value is not None}


def from_query(query: Mapping[str, str], shown: Sequence[str]) -> None:
    """Take what an address names of its one run."""
    if len(shown) != 1:
        return
    for name in (_SAMPLE, _STEP):
        text = query.get(name, "")
        if text.isascii() and text.isdigit() and len(text) <= _DIGITS:
            st.session_state[_key(name, shown[0])] = int(text)
    if (sample := chosen(shown[0])) is not None:
        choose(shown[0], sample)
