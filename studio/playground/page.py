"""The page: one component (static/playground.js) that draws and is dragged upon, and the answers to what it asks.

The browser asks with one request at a time, always for its newest sketch, and the fragment answers in place: the
component is never mounted anew. Runs here are small, and are neither queued nor kept.
"""

from __future__ import annotations

import base64
import threading
import time
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from superdiff_engine.domains.colours import EXPERT_COLOURS, GUIDE, NEUTRAL, TARGET
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.play import Played
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.runs.wording import differences

from .. import session
from ..charts.palette import PICKED, theme_name
from ..guard import callback, guarded, sentence_of, show_sentence
from ..part import part
from . import kept
from .sketch import MOST_FITTED, modes_of, offered, recipe_of, sketch_of

#: Steps of a run that are sent, to be played back and drawn as curves.
MOMENTS = 41
#: Seconds that one answer may take.
MOST_SECONDS = 10.0
#: Positions and log-densities are sent as whole numbers of these, plane units and nats.
_GRAIN = 1e-3
#: Contour lines lie within a few nats of the top; what is lower is sent as this, nats.
_LOWEST = -30.0
_KEY = "playground-sketch"
#: Places of a recipe that it keeps and that a sketch does not show.
_UNSAID = ("levels", "noise_scale", "estimator")
_STATIC = Path(__file__).parents[1] / "static"


@cache
def _component() -> Any:
    html, css, js = ((_STATIC / f"playground.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component("superdiff_playground", html=html, css=css, js=js)


@cache
def _warm() -> None:
    """Load what fits mixtures beside the page: the first stroke shall not wait for it."""
    threading.Thread(target=lambda: import_module("sklearn.mixture"), name="playground", daemon=True).start()


def draw_playground() -> None:
    """The page."""
    _warm()
    if kept.play().problem:
        show_sentence(kept.play().problem)
    with st.container(key="playground"):
        # A busy machine may take longer than half a second: without this the page would grey out what is dragged.
        st.html("<style>.st-key-playground [data-stale='true'] { opacity: 1 !important; }</style>")
        _sketch()


@part
def _sketch() -> None:
    with guarded("the playground"):
        play = kept.play()
        theme = theme_name()
        _component()(
            key=_KEY,
            data={
                "opened": play.opened,
                "start": sketch_of(play.recipe),
                "begun": sketch_of(play.begun),
                "offered": _offered(),
                "answer": play.answer,
                "fitted": play.fitted and {"number": play.fitted[0]} | play.fitted[1],
                "colours": {
                    "experts": EXPERT_COLOURS[theme],
                    "target": TARGET[theme],
                    "neutral": NEUTRAL[theme],
                    "guide": GUIDE[theme],
                    "picked": PICKED,
                },
            },
            default={"asked": None},
            on_asked_change=callback(_answer),
        )


@cache
def _offered() -> dict[str, Any]:
    ready = [{"title": title, "modes": modes_of(mixture)} for title, mixture in kept.playing().ready().items()]
    return offered() | {"ready": ready}


def _answer() -> None:
    """Do what the browser asked for last (a callback)."""
    asked, play = st.session_state[_KEY]["asked"], kept.play()
    if not isinstance(asked, dict) or asked.get("number") == play.answered:
        return
    play.answered, play.problem = int(asked["number"]), ""
    started = time.perf_counter()
    try:
        if asked.get("stroke"):
            play.fitted = play.answered, _fitted(asked["stroke"])
            return
        recipe = recipe_of(asked["sketch"], kept.playing().domain, play.begun)
        played = kept.playing().play(recipe, MOMENTS, MOST_SECONDS)
        play.recipe = recipe
        told = {"problem": played.problem, "link": recipe.to_link(), "beside": _beside(recipe)}
        play.answer = _packed(played, bool(asked.get("live"))) | told
        if asked.get("open"):
            session.open_recipe(recipe)
    except Exception as error:
        play.answer = (play.answer or {}) | {"problem": sentence_of(error, "the playground")}
    if play.answer is not None:
        play.answer |= {"number": play.answered, "seconds": time.perf_counter() - started}


def _beside(recipe: Recipe) -> str:
    """What else is not as usual, of what has no field on this page; "" for nothing."""
    found = differences(recipe)
    said = [words for place, words in found.items() if place.split(".")[0] in _UNSAID and place != "levels.steps"]
    return f"Besides: {', '.join(said)}." if said else ""


def _fitted(stroke: dict[str, Any]) -> dict[str, Any]:
    """What a stroke is fitted with, or why not."""
    about = {"expert": int(stroke["expert"]), "add": bool(stroke["add"])}
    try:
        points = np.array(stroke["points"], float).reshape(-1, 2)
        return about | {"modes": modes_of(kept.playing().fit(points, MOST_FITTED)), "problem": ""}
    except SuperDiffError as error:
        return about | {"modes": [], "problem": str(error)}


def _packed(played: Played, live: bool) -> dict[str, Any]:
    """A run as the component takes it; live: with the samples of its last moment alone."""
    target = None
    if played.target is not None:
        target = _whole(np.maximum(played.target - played.target.max(), _LOWEST))
    rows = slice(-1 if live else None, None)
    return {
        "index": played.index.tolist(),
        "level": played.level.tolist(),
        "positions": _whole(_shown(played)[rows]),
        "grain": _GRAIN,
        "owners": _array(played.owners[rows]),
        "logDensity": np.nan_to_num(played.log_density).round(5).tolist(),
        "exact": np.nan_to_num(played.exact).round(5).tolist(),
        "weights": np.nan_to_num(played.weights).round(6).tolist(),
        "counts": None if played.counts is None else _array(played.counts.astype(np.float32)),
        "target": target,
        "reach": played.reach,
        "distance": played.distance,
        "untold": played.untold,
    }


def _shown(played: Played) -> np.ndarray:
    """Positions in the variance-preserving view, in which samples stay in one window at all levels."""
    return played.positions / np.sqrt(1 + played.level**2)[:, None, None]


def _whole(values: np.ndarray) -> dict[str, Any]:
    """Numbers in units of `_GRAIN`."""
    return _array(np.clip(values / _GRAIN, -32_000, 32_000).round().astype(np.int16))


def _array(values: np.ndarray) -> dict[str, Any]:
    """An array in base64: its type as JavaScript's arrays are called, its shape, its bytes."""
    kinds = {"float32": "Float32Array", "int16": "Int16Array", "int8": "Int8Array"}
    data = np.ascontiguousarray(values)
    return {
        "kind": kinds[data.dtype.name],
        "shape": list(data.shape),
        "bytes": base64.b64encode(data.astype(data.dtype.newbyteorder("<")).tobytes()).decode(),
    }
