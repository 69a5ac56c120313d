"""How often the page looks at work that goes on.

A look costs the browser a tenth of a second of a core or more, however little has changed: Streamlit's page renders its
whole tree. Work that computes on all cores of this machine waits for that, and five looks a second make it take two or
three times as long. So they are few then, and the last one comes when the work is expected to end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import streamlit as st

from ..job import AnyJob
from ..part import part
from ..session import registry

P = ParamSpec("P")
J = TypeVar("J", bound=AnyJob)

#: Seconds between two looks: as a rule, and where the work takes every core.
LOOK, SELDOM = 0.25, 1.0
#: A part cannot be told that it is not to be drawn again by itself.
NEVER = 24 * 3600.0


def until_next(job: AnyJob) -> float:
    """Seconds from a look at work to the next one, `LOOK` to `SELDOM`."""
    if job.run.state == "queued" and registry().ahead(job):
        return SELDOM
    if not job.run.fraction or not job.takes_all_cores:  # its first step is waited for, or leaves a core
        return LOOK
    left = job.run.eta
    return SELDOM if left is None else min(max(left + LOOK / 2, LOOK), SELDOM)


def looked_at(
    find: Callable[[str], J | None],
) -> Callable[[Callable[Concatenate[J, P], None]], Callable[Concatenate[str, P], None]]:
    """A part of the page that draws work as long as it goes on, and has the whole page drawn once that has ended.

    It is called with the work's id; what is drawn, with the work.

    Args:
        find: the work of an id; None where there is none any more.
    """

    def decorate(draw: Callable[Concatenate[J, P], None]) -> Callable[Concatenate[str, P], None]:
        @wraps(draw)
        def look(job_id: str, *arguments: P.args, **named: P.kwargs) -> None:
            job = find(job_id)
            if job is None or job.finished:
                st.rerun()
            draw(job, *arguments, **named)

        look.__qualname__ += ".look"

        # The quick look lives within the seldom one, which says how quick it is: only what is drawn around a part can.
        @part(run_every=SELDOM)
        @wraps(draw)
        def seldom(job_id: str, *arguments: P.args, **named: P.kwargs) -> None:
            job = find(job_id)
            after = LOOK if job is None else until_next(job)
            part(look, run_every=after if after < SELDOM else NEVER)(job_id, *arguments, **named)

        return seldom

    return decorate
