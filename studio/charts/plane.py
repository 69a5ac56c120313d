"""The plane at a moment, as its script draws it (static/scene_plane.js): all layers, sent compactly.

The player shows kept moments of a run by it (`views.plane`), and the live view the newest one (`draw_plane`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from superdiff_engine.domains.colours import owners
from superdiff_engine.domains.plane.arrays import PlanePreview
from superdiff_engine.domains.plane.contours import DEPTHS, contour_segments
from superdiff_engine.domains.plane.field import LATTICE, Field
from superdiff_engine.trace import Frame

from .palette import GUIDE, NEUTRAL, PICKED, TARGET, expert_colours, theme_name
from .player import packed

__all__ = ["draw_plane", "plane_moment", "plane_shared"]

#: How long the arrows of a step may be drawn, in times of the truth, and what share of a pull the usual one is about.
_LENGTHS, _USUAL = (1, 2, 5, 10, 20, 50), 0.5
#: Whole numbers for half the width of the view, in which contour lines are sent; the largest one of a vector.
_HALF, _MOST = 32000, 32767
_STATIC = Path(__file__).parents[1] / "static"
_HTML = '<div class="plane-live"><div class="plane-host"></div><div class="plane-under"></div></div>'
_CSS = ".plane-host { position: relative; width: 100%; color: var(--st-text-color); font-family: var(--st-font); }"


def plane_shared(field: Field, composed: str, still: bool = True) -> dict[str, Any]:
    """What the script gets of all moments.

    Args:
        field: of the run, on the square that is drawn.
        composed: why there is no composed density, in a sentence; "" where there is one.
        still: whether a sample's row at each moment is known.
    """
    usual = _USUAL / float(np.median(field.shares))
    return {
        "half": float(field.extent[1]),
        "enlarged": min(_LENGTHS, key=lambda times: abs(np.log(times / usual))),
        "total": field.total,
        "composed": composed,
        "still": still,
    }


def plane_moment(field: Field, frame: Frame[PlanePreview]) -> dict[str, Any]:
    """What the script gets of one moment, ready for JSON."""
    preview = frame.preview
    moment = field.moment(preview, frame.index, frame.level)
    return {
        "places": packed(moment.samples.positions),
        "owner": packed(owners(preview.weights), "i1"),
        "pulls": _vectors(moment.samples.experts),
        "mix": _vectors(moment.samples.mix),
        "noise": _vectors(moment.noise),
        "lattice": _vectors(moment.lattice.experts),
        "latticeMix": _vectors(moment.lattice.mix),
        "side": LATTICE,
        "share": moment.share,
        "lines": [_lines(grid, field.extent) for grid in moment.contours],
        "target": None if moment.target is None else _lines(moment.target, field.extent),
    }


def _vectors(values: np.ndarray | None) -> dict[str, Any] | None:
    """Vectors as whole numbers of the unit in which the longest one still fits."""
    if values is None:
        return None
    unit = max(float(np.abs(values).max(initial=0.0)), 1e-9) / _MOST
    return {"unit": unit, "values": packed(values / unit, "i2")}


def _lines(log_density: np.ndarray, extent: np.ndarray) -> dict[str, Any]:
    """A density's contour lines as segments [n, 4]: x, y of one end and of the other."""
    values = np.asarray(log_density, float)
    segments = contour_segments(values, extent, values.max() - np.array(DEPTHS))
    return packed(segments.reshape(-1, 4) / extent[1] * _HALF, "i2")


def _text(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")


@cache
def _component() -> Any:
    script = "\n".join(_text(name) for name in ("arrays.js", "scene_plane.js", "plane_live.js"))
    return st.components.v2.component("superdiff_plane", html=_HTML, css=_CSS + _text("scene_plane.css"), js=script)


def draw_plane(
    field: Field,
    frame: Frame[PlanePreview],
    names: Sequence[str],
    key: str,
    run: str,
    height: int,
    shared: dict[str, Any],
    alt: str,
) -> None:
    """The newest moment of a run, in place.

    Args:
        field: of the run, on the square that is drawn.
        frame: the moment.
        names: of the experts.
        key: of the component: the same key is the same drawing.
        run: what tells the run from others that are drawn there.
        height: of the plane, in pixels; the switches stand below it.
        shared: of `plane_shared`.
        alt: a sentence for those who cannot see it.
    """
    theme = theme_name()
    _component()(
        key=key,
        data={
            "run": run,
            "moment": plane_moment(field, frame),
            "shared": shared,
            "names": list(names),
            "index": frame.index,
            "level": float(frame.level),
            "estimated": packed(frame.preview.log_density),
            "exact": packed(frame.preview.exact),
            "look": {
                "colours": expert_colours(len(names)),
                "neutral": NEUTRAL[theme],
                "guide": GUIDE[theme],
                "target": TARGET[theme],
                "picked": PICKED,
                "theme": theme,
            },
            "height": height,
            "alt": alt,
        },
    )
