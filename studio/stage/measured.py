"""The figures of a run's samples, measured once: a judge may look at every one of them."""

from __future__ import annotations

import streamlit as st

from superdiff_engine.domains import get_domain
from superdiff_engine.measured import Figure

from ..job import Job


def figures_of(job: Job) -> list[Figure]:
    """All figures of an ended run; empty where it made nothing."""
    return [] if job.run.result is None else _measured(job.id, job)


# A run that has ended never changes, and an id is never used again.
@st.cache_data(show_spinner="Measuring the samples", max_entries=256)
def _measured(job_id: str, _job: Job) -> list[Figure]:
    result = _job.run.result
    return [] if result is None else get_domain(_job.recipe.domain).figures(result)
