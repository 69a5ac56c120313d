"""The words that several places of the studio share: states of a run, sources of models, a recipe in a heading."""

from __future__ import annotations

from superdiff_engine.figures.words import operator_summary, run_title
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.wording import differences

__all__ = [
    "CURVES",
    "REPLAY",
    "SOURCES",
    "STATES",
    "VIEW",
    "VIEWS",
    "operator_summary",
    "other_than_usual",
    "run_title",
]


#: The view in which a run is played back.
REPLAY = "Replay"
#: The view in which a run's curves are, with the check of its log-densities.
CURVES = "Curves"
#: The ways to look at a run, the first one first, and where the session and the address keep the chosen one.
VIEWS = ("Samples", REPLAY, CURVES, "Table")
VIEW = "view"

STATES: dict[str, str] = {
    "queued": "Waiting",
    "loading": "Loading the experts",
    "running": "Running",
    "done": "Finished",
    "cancelled": "Cancelled",
    "failed": "Stopped",
    "interrupted": "Broken off",
}

SOURCES: dict[str, str] = {
    "exact": "exact formula",
    "embedded": "embedded, trained here",
    "local": "a folder on this machine",
    "hub": "a model hub",
}


def bytes_text(size: int) -> str:
    """A size for people: 830 B, 12 kB, 1.2 MB, 3.4 GB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= 0.995 * factor:
            return f"{size / factor:.1f} {unit}" if size < 99.5 * factor else f"{size / factor:,.0f} {unit}"
    return f"{size} B" if size < 1000 else f"{size / 1e3:.0f} kB"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"


def other_than_usual(recipe: Recipe) -> list[str]:
    """What differs from the domain's defaults and is not said by a heading's title and numbers."""
    return [words for place, words in differences(recipe).items() if place not in _STATED]


#: Places of a recipe that every heading names.
_STATED = {"levels.steps", "batch", "seed"}
