"""The gallery: entries as cards or rows, in a component of the studio's own (static/library.js)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import streamlit as st

from superdiff_engine.domains import domains
from superdiff_engine.library import Entry
from superdiff_engine.library.entry import STATES
from superdiff_engine.recipes.operators import OPERATORS

from .. import session
from ..guard import callback
from ..stage.progress import seconds_text
from ..words import bytes_text
from . import asked
from .acts import take_acts

_KEY = "shelf-gallery"
_STATIC = Path(__file__).parents[1] / "static"
_HTML = "<ul></ul><nav aria-label='Pages of the library' hidden></nav>"
#: Letters of a card's lines; all of them are in the entry's panel.
_EXPERTS, _SENTENCE = 300, 300
#: The state that no card mentions.
_USUAL = "done"


@cache
def _component() -> Any:
    script = (_STATIC / "library.js").read_text(encoding="utf-8")
    style = (_STATIC / "library.css").read_text(encoding="utf-8")
    return st.components.v2.component("superdiff_library", html=_HTML, css=style, js=script)


def draw_gallery(entries: Sequence[Entry], pictures: dict[str, bytes], total: int) -> None:
    """A page of entries.

    Args:
        entries: of the page.
        pictures: small ones by id, WebP.
        total: how many entries there are on all pages.
    """
    here, state = asked.shelf(), st.session_state
    pages = max(1, -(-total // asked.PAGE))
    names = {id: f"{id}:{crc32(picture):08x}" for id, picture in pictures.items()}
    # The browser keeps what it has, and asks for what it lacks.
    fresh = {name: pictures[id] for id, name in names.items() if name not in here.sent}
    here.sent |= fresh.keys()
    _component()(
        key=_KEY,
        data={
            "token": session.this_tab().key,
            "entries": [card_of(entry, names.get(entry.id, "")) for entry in entries],
            "pictures": {
                name: f"data:image/webp;base64,{b64encode(picture).decode()}" for name, picture in fresh.items()
            },
            "look": state[asked.LOOK],
            "page": here.number,
            "pages": pages,
            "panel": here.panel,
            "chosen": here.chosen,
            "turn": here.turn,
            "alt": f"{len(entries)} of {total:,} entries of the library",
        },
        default={"chosen": [], "acts": []},
        on_chosen_change=callback(lambda: _choose(state[_KEY]["chosen"])),
        on_acts_change=callback(lambda: take_acts(state[_KEY]["acts"])),
    )


def _choose(ids: Any) -> None:
    if isinstance(ids, list):
        asked.shelf().chosen = [id for id in ids if isinstance(id, str)]


def card_of(entry: Entry, picture: str = "") -> dict[str, Any]:
    """An entry as the component's data; `picture` names its small picture, "" for none."""
    labels = entry.labels
    experts = ", ".join(entry.experts)
    about = [entry.title, experts] if labels.name else [experts]
    return {
        "id": entry.id,
        "name": entry.name,
        "experts": " · ".join(filter(None, about))[:_EXPERTS],
        "sentence": entry.sentence[:_SENTENCE] if entry.state not in ("done", "cancelled") else "",
        "state": entry.state,
        "mark": mark_of(entry),
        "tags": list(labels.tags),
        "facts": facts_of(entry),
        "began": entry.began,
        "star": labels.star,
        "note": bool(labels.note),
        "opens": "open" if opens(entry) else "panel",
        "can": bool(entry.kind),
        "alone": bool(entry.kind) and not entry.binned,
        "picture": picture,
    }


def opens(entry: Entry) -> bool:
    """Whether a page shows more of an entry than its panel."""
    return not entry.binned and (entry.can_open or entry.state == "running" or is_grid(entry))


def is_grid(entry: Entry) -> bool:
    """Whether it is a grid that can be looked at."""
    return entry.kind == "grid" and entry.state not in ("damaged", "newer")


def mark_of(entry: Entry) -> str:
    """What a card says of the kind and the state of an entry; nothing of a finished run."""
    parts = ["grid"] if entry.kind == "grid" else []
    parts += [] if entry.state == _USUAL else [STATES[entry.state]]
    return ", ".join(parts)


def facts_of(entry: Entry) -> list[str]:
    """An entry in a few numbers, each with its unit."""
    found = [domain_title(entry.domain)] if entry.domain else []
    if entry.samples:
        found.append(f"{entry.samples} samples")
    if entry.seconds:
        found.append(seconds_text(entry.seconds))
    return [*found, bytes_text(entry.bytes)]


def domain_title(name: str) -> str:
    """What a domain is called; its name where this version has none so named."""
    known = domains()
    return known[name].title if name in known else name


def operator_title(name: str) -> str:
    """What an operator is called, likewise."""
    return OPERATORS[name].title if name in OPERATORS else name
