"""Samples as cards: a drawing each, with what was asked and what the sample has below it (static/cards.js)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from superdiff_engine.domains.asked import Asked

from .palette import expert_colours

__all__ = ["Card", "draw_cards", "lines_of", "picture_uri"]

_STATIC = Path(__file__).parents[1] / "static"
_HTML = '<div class="cards" role="group"></div>'


@dataclass(frozen=True)
class Card:
    """One sample.

    Attributes:
        number: of the sample.
        label: a line below the drawing.
        picture: as `picture_uri` gives it.
        alt: what it shows, for those who cannot see it.
        lines: of `lines_of`.
        note: a line of another kind; "" for none.
    """

    number: int
    label: str
    picture: str
    alt: str
    lines: Sequence[dict[str, Any]]
    note: str = ""


@cache
def _component() -> Any:
    script, style = ((_STATIC / f"cards.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    return st.components.v2.component("superdiff_cards", html=_HTML, css=style, js=script)


def picture_uri(png: bytes) -> str:
    """A PNG as the address of itself."""
    return "data:image/png;base64," + b64encode(png).decode()


def lines_of(asked: Sequence[Asked], row: int) -> list[dict[str, Any]]:
    """What was asked of sample `row` and what it has, with the colour of the expert that asks."""
    colours = expert_colours(1 + max((one.expert or 0 for one in asked), default=0))
    return [
        {
            "name": one.name,
            "value": one.value(row),
            "bound": one.bound(row),
            "holds": bool(one.holds[row]),
            "colour": "" if one.expert is None else colours[one.expert],
        }
        for one in asked
    ]


def draw_cards(cards: Sequence[Card], picked: int, alt: str, key: str, take: Callable[..., None]) -> None:
    """Show the cards.

    Args:
        cards: of a page.
        picked: the number of the one that is looked at.
        alt: what they are, for those who cannot see them.
        key: of the component, whose state "picked" is [a count, the number of the card that was clicked].
        take: called when one was.
    """
    _component()(
        key=key,
        data={"cards": [vars(card) for card in cards], "picked": picked, "alt": alt},
        default={"picked": []},
        on_picked_change=take,
    )
