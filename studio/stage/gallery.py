"""Samples as small pictures side by side: a page of them, in which a click picks one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st

from superdiff_engine.result import Result

from ..charts.cards import Card, draw_cards
from ..charts.finished import gallery_figure
from ..charts.mosaic import mosaic_png
from ..guard import callback
from ..job import Job
from ..part import told
from .sample import KEEP, draw_clickable, labels_note, share_labels


def draw_gallery(
    job: Job, result: Result, pictures: np.ndarray, numbers: np.ndarray, picked: int, what: str, caption: str
) -> None:
    """A page of pictures, the picked one framed, each labelled with what it counts for where that differs.

    Args:
        job: whose samples they show.
        result: of the job.
        pictures: uint8 [n, H, W] or [n, H, W, 3].
        numbers: of the samples they show, int [n].
        picked: the number of the one that is looked at, on this page or not.
        what: they are, for those who cannot see them ("finished pictures").
        caption: below them.
    """
    alt = f"{len(numbers)} {what}, number {picked} framed"
    # A row of pictures ends with a group where the page shows whole groups.
    size = result.recipe.group
    whole = len(numbers) % size == 0 and np.array_equal(numbers, numbers[0] + np.arange(len(numbers)))
    labels = share_labels(result, numbers)
    figure = gallery_figure(pictures, numbers, picked, labels=labels, group=size if whole else 1)
    draw_clickable(job, figure, alt, tool_bar=False)
    st.caption(f"{labels_note(result)}{caption}")


def draw_card_gallery(
    job: Job, result: Result, cards: Sequence[Card], picked: int, what: str, caption: str = "", together: str = ""
) -> None:
    """A page of samples with what was asked of them and what they have; a click on one picks it.

    Args:
        job: whose samples they are.
        result: of the job.
        cards: of the page.
        picked: the number of the one that is looked at, on this page or not.
        what: they are, for those who cannot see them ("molecules as flat drawings").
        caption: below them.
        together: where the session keeps the number of the picked sample, where that is not the job's own.
    """
    key = f"{together or 'cards'}-{job.id}"
    take = callback(partial(_take_card, key, together or f"pick-{job.id}"))
    draw_cards(cards, picked, f"{len(cards)} {what}, number {picked} framed", key, take)
    if caption:
        st.caption(f"{labels_note(result)}{caption}")


def _take_card(key: str, picked: str) -> None:
    clicked = st.session_state[key]["picked"]
    if clicked:
        st.session_state[picked] = int(clicked[1])


def choose_page(job: Job, count: int, size: int) -> slice:
    """Which of `count` samples are on the chosen page, `size` to a page; a single page leaves no choice."""
    pages = (count + size - 1) // size
    page = 0
    if pages > 1:
        page = st.segmented_control(
            "Page", range(pages), default=0, required=True, format_func=lambda index: str(index + 1),
            key=told(f"page-{job.id}-{pages}"), persist_state=KEEP, label_visibility="collapsed",
        )  # fmt: skip
    return slice(page * size, min(count, (page + 1) * size))


def draw_mosaic(pictures: np.ndarray, cell: int, alt: str) -> None:
    """Pictures side by side, small, that nobody clicks; `cell` is the width in pixels that each has at least."""
    st.image(mosaic_png(pictures, cell), width="stretch", output_format="PNG", alt=alt)
