"""The player: a run played back in the browser, its kept moments and its curves sent once (static/player.js)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import streamlit as st

from superdiff_engine.figures.quantities import (
    EFFECTIVE_TITLE,
    EFFECTIVE_UNIT,
    MOST_LINES,
    TITLES,
    UNITS,
)
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.trace import Curves, Frame, Trace

from .palette import GUIDE, NEUTRAL, PICKED, RESAMPLED, TARGET, expert_colours, theme_name
from .viewer import SENT_UNIT, viewer_source

__all__ = ["MOST_SENT", "Compared", "Playback", "Scenes", "draw_player", "packed", "playback"]

#: Bytes that a replay sends to the browser at most, about.
MOST_SENT = 6_000_000
#: Bytes of curves among them, and rows of a curve at most.
_MOST_CURVES, _ROWS = 1_600_000, 300
#: What its charts are called: shorter than elsewhere, for they are small.
_TITLES = {
    "value": "Log-density",
    "difference": "Difference to the mean",
    "weights": TITLES["weights"],
    "effective": EFFECTIVE_TITLE,
    "error": "Estimated − exact",
}
#: Samples of a corrected run whose ancestors are sent.
_MOST_FOLLOWED = 4096
#: Kinds of moments whose script needs more than its own file.
_SOURCES: dict[str, Callable[[], str]] = {"viewer": viewer_source}
_STATIC = Path(__file__).parents[1] / "static"

Kind = Literal["f4", "i4", "i2", "i1", "u1"]


def packed(array: np.ndarray, kind: Kind = "f4") -> dict[str, Any]:
    """An array for a script, which reads it by `unpacked`; values beyond an integer type's range are cut off."""
    values = np.asarray(array)
    if kind != "f4":
        range_ = np.iinfo(kind)
        values = np.nan_to_num(values.astype(float)).round().clip(range_.min, range_.max)
    content = base64.b64encode(np.ascontiguousarray(values, f"<{kind}").tobytes()).decode()
    return {"kind": kind, "shape": list(values.shape), "content": content}


@dataclass(frozen=True)
class Compared:
    """Log-densities of the samples of a frame, [experts, n] in nats: as they were estimated, and exact."""

    estimated: np.ndarray
    exact: np.ndarray


@dataclass(frozen=True)
class Scenes:
    """What the kept moments of a run are, for the script that draws them.

    Attributes:
        kind: which script: static/scene_KIND.js.
        rows: how many samples a moment shows, the first ones.
        moment: what the script gets of one moment, for JSON; arrays by `packed`, and nothing that goes with the theme.
        alt: a sentence for those who cannot see it.
        shared: what it gets of all moments.
        note: below the samples.
        agreement: whether the player draws estimated against exact log-densities, where these are known.
    """

    kind: str
    rows: int
    moment: Callable[[Frame[Any]], dict[str, Any]]
    alt: str
    shared: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    agreement: bool = True


def solid_scenes(
    rows: int,
    moment: Callable[[Frame[Any]], dict[str, Any]],
    what: str,
    spacing: float,
    page: int,
    styles: Sequence[str],
    by_moment: bool,
    note: str,
) -> Scenes:
    """Of samples that turn in three dimensions: a page of them side by side, or the chosen one alone.

    Args:
        rows: how many samples a moment shows.
        moment: as in `Scenes`.
        what: one of them is called.
        spacing: from one to the next, in Angstrom.
        page: how many stand side by side.
        styles: how they can be drawn.
        by_moment: whether the first styles go with the moment.
        note: below the samples.
    """
    shared = {
        "spacing": spacing,
        "page": page,
        "what": what,
        "unit": SENT_UNIT,
        "styles": list(styles),
        "by_moment": by_moment,
    }
    alt = f"Each {what} in three dimensions at the moment that is shown"
    return Scenes("viewer", rows, moment, alt, shared, note)


@dataclass(frozen=True)
class Playback:
    """All that a replay sends, but for the colours; its own `token` says when it has changed."""

    kind: str
    token: str
    data: dict[str, Any]


def playback(
    token: str,
    recipe: Recipe,
    trace: Trace,
    names: Sequence[str],
    scenes: Scenes | None,
    compared: Callable[[Frame[Any]], Compared | None],
    note: str = "",
    most: int = MOST_SENT,
) -> Playback:
    """What is sent of a run: as many of its moments as fit, evenly spaced, the last one always, and its curves.

    Args:
        token: of the run.
        recipe: of the run.
        trace: of the run.
        names: of the experts.
        scenes: what its moments are; None: the curves alone.
        compared: the estimated and exact log-densities of a moment, where these are known.
        note: below all.
        most: bytes of the whole, about.
    """
    frames = trace.frames
    drawn: list[dict[str, Any]] = [{} for _ in frames]
    if scenes is not None and frames:
        room = most - _MOST_CURVES
        # What noise looks like takes most room, and so do the details of the end: both are asked.
        each = max(len(json.dumps(scenes.moment(frame))) for frame in (frames[0], frames[-1]))
        each += _compared_bytes(compared(frames[-1]))
        frames = _thinned(frames, int(room // max(each, 1)))
        drawn = [scenes.moment(frame) for frame in frames]
        while len(frames) > 2 and sum(len(json.dumps(one)) for one in drawn) > room:
            frames, drawn = _thinned(frames, len(frames) // 2), _thinned(drawn, len(frames) // 2)
    index = np.array([frame.index for frame in frames], np.int64)
    rows = 0 if scenes is None else scenes.rows
    pairs = [found for frame in frames if (found := compared(frame)) is not None]
    data = {
        "moments": drawn,
        "shared": {} if scenes is None else scenes.shared,
        "rows": rows,
        "names": list(names),
        "index": index.tolist(),
        "level": [float(frame.level) for frame in frames],
        "steps": recipe.levels.steps,
        "traced": trace.traced,
        "batch": recipe.batch,
        "corrected": recipe.correction is not None,
        "ancestors": _ancestors(trace, index, min(recipe.batch, _MOST_FOLLOWED), rows),
        "compared": _compared(pairs) if len(pairs) == len(frames) and frames else None,
        "agreement": scenes is None or scenes.agreement,
        "curves": _curves(trace.curves(), recipe, index),
        "alt": "" if scenes is None else scenes.alt,
        "note": " ".join(filter(None, ["" if scenes is None else scenes.note, note])),
    }
    return Playback("" if scenes is None else scenes.kind, token, data)


def _thinned(values: list[Any], most: int) -> list[Any]:
    """At most so many of them, and not fewer than two, evenly, the first and the last always."""
    if len(values) <= max(most, 2):
        return values
    return [values[place] for place in np.unique(np.linspace(0, len(values) - 1, max(most, 2)).round().astype(int))]


def _compared_bytes(pair: Compared | None) -> int:
    return 0 if pair is None else 2 * 4 * pair.exact.size * 4 // 3


def _compared(pairs: Sequence[Compared]) -> dict[str, Any]:
    return {name: packed(np.stack([getattr(pair, name) for pair in pairs])) for name in ("estimated", "exact")}


def _ancestors(trace: Trace, index: np.ndarray, count: int, rows: int) -> dict[str, Any] | None:
    """The rows in which the ancestors of the first samples stand at each moment, -1 where they are not shown or not
    known; None where every sample is its own ancestor.
    """
    if not trace.resamplings:
        return None
    samples, found = np.arange(count), np.full((len(index), count), -1, np.int64)
    for place, step in enumerate(index):
        ancestors = trace.ancestors(int(step), samples)
        if ancestors is not None:
            found[place] = np.where(ancestors < rows, ancestors, -1)
    return packed(found, "i2")


def _curves(curves: Curves, recipe: Recipe, index: np.ndarray) -> dict[str, Any]:
    """The rows of the trace that are drawn: evenly spaced ones, and those of the moments."""
    steps, experts, traced = curves.log_density.shape
    fitting = int(_MOST_CURVES // max(2 * 4 * experts * max(traced, 1) * 4 / 3, 1))
    evenly = np.linspace(0, steps - 1, min(steps, _ROWS, max(fitting - len(index), 40))).round().astype(int)
    moments = np.searchsorted(curves.index, index)
    kept = np.unique(np.concatenate([evenly, moments[moments < steps]]))
    effective = None
    if recipe.correction is not None and curves.effective.size:
        share = 100 * curves.effective[kept] / recipe.group
        effective = {"share": packed(share), "threshold": 100 * recipe.correction.threshold}
    return {
        "index": curves.index[kept].tolist(),
        "mean": packed(curves.mean_log_density[kept]),
        "meanWeights": packed(curves.mean_weights[kept].round(12)),
        "single": packed(curves.log_density[kept]),
        "singleWeights": packed(curves.weights[kept]),
        "components": {
            name: {
                "mean": packed(values[kept]),
                "meanWeights": packed(curves.component_weights.get(name, curves.mean_weights)[kept].round(12)),
            }
            for name, values in curves.components.items()
        },
        "effective": effective,
        "marks": curves.marks.tolist(),
        "mostLines": MOST_LINES,
        "titles": _TITLES,
        "units": {**UNITS, "effective": EFFECTIVE_UNIT, "error": "difference, nats"},
    }


def _text(name: str) -> str:
    path = _STATIC / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@cache
def _component(kind: str) -> Any:
    extra = _SOURCES[kind]() if kind in _SOURCES else ""
    scene = _text(f"scene_{kind}.js") if kind else "const createScene = null;"
    return st.components.v2.component(
        f"superdiff_player_{kind or 'curves'}",
        html=_text("player.html"),
        css=_text("player.css") + _text(f"scene_{kind}.css"),
        js="\n".join([extra, _text("arrays.js"), scene, _text("player.js")]),
    )


def draw_player(
    played: Playback, key: str, chosen: int | None, step: int | None, on_choose: Callable[[], None] | None = None
) -> None:
    """The player, at a sample and a moment.

    Args:
        played: what it plays.
        key: of the component, whose state holds `sample`, the number of the sample that was chosen in it, or -1.
        chosen: the sample that is chosen when it opens; None for none.
        step: the step whose moment it opens at; None: where it was left, or the last one.
        on_choose: is called where another sample was chosen in it.
    """
    theme = theme_name()
    colours = {
        "colours": expert_colours(len(played.data["names"])),
        "neutral": NEUTRAL[theme],
        "guide": GUIDE[theme],
        "target": TARGET[theme],
        "resampled": RESAMPLED[theme],
        "picked": PICKED,
        "theme": theme,
    }
    _component(played.kind)(
        key=key,
        data={"token": played.token, "given": played.data, "look": colours, "sample": chosen, "step": step},
        default={"sample": -1},
        on_sample_change=on_choose or (lambda: None),
    )
