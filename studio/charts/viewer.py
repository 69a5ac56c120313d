"""The 3D viewer: 3Dmol.js, shipped with the studio, in a component that updates in place and keeps the camera."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import streamlit as st

from superdiff_engine.web.scripts import atoms_script

Style = Literal["sticks", "spheres", "surface", "cartoon", "trace"]

#: Angstrom that a whole number stands for where coordinates are packed.
SENT_UNIT = 0.01
#: Angstrom from the origin at most that is drawn.
FARTHEST = 1e4
_STATIC = Path(__file__).parents[1] / "static"
_HTML = """
<div class="stage" role="img"></div>
<div class="bar">
  <button type="button" aria-pressed="false">Play</button>
  <input type="range" min="0" value="0" aria-label="Moment">
  <span class="label"></span>
</div>
"""
_CSS = """
.stage { position: relative; box-sizing: border-box; width: 100%; overflow: hidden;
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius); color: var(--st-text-color); }
.stage:focus-visible { outline: 2px solid var(--st-primary-color); }
.bar { display: flex; gap: 0.6rem; align-items: center; height: 2.2rem; font: inherit; color: var(--st-text-color); }
.bar button { font: inherit; color: inherit; background: var(--st-secondary-background-color);
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius); padding: 0.15rem 0.8rem; }
.bar input { flex: 1; accent-color: var(--st-primary-color); }
.label { min-width: 9rem; font-size: 0.85em; opacity: 0.8; }
"""


@cache
def viewer_source() -> str:
    """The script that draws atoms and backbones, with 3Dmol.js, for components that put it before their own."""
    return atoms_script()


@cache
def _component() -> Any:
    script = viewer_source() + (_STATIC / "viewer.js").read_text(encoding="utf-8")
    return st.components.v2.component("superdiff_viewer", html=_HTML, css=_CSS, js=script)


def _places(positions: np.ndarray, digits: int) -> list[Any]:
    """Coordinates that 3Dmol survives: numbers, and none so large that its camera loses them."""
    known = np.nan_to_num(positions, nan=0.0, posinf=FARTHEST, neginf=-FARTHEST)
    return np.round(np.clip(known, -FARTHEST, FARTHEST), digits).tolist()


def atoms_frame(
    elements: Sequence[str],
    positions: np.ndarray,
    bonds: Sequence[tuple[int, int, int]],
    carbons: Sequence[str] = (),
) -> dict[str, Any]:
    """One moment.

    Args:
        elements: symbols.
        positions: [atoms, 3] in Angstrom.
        bonds: (i, j, order).
        carbons: "#rrggbb" for each atom, which it has where it is carbon; left out: as chemists paint them.
    """
    given = {"carbons": list(carbons)} if len(carbons) else {}
    return given | {
        "elements": list(elements),
        "positions": _places(positions, 3),
        "bonds": [list(bond) for bond in bonds],
    }


def chain_frame(
    chains: Sequence[np.ndarray], structures: Sequence[str], colours: Sequence[Sequence[str]] = ()
) -> dict[str, Any]:
    """One moment of protein backbones.

    Args:
        chains: N, CA, C, O [residues, 4, 3] in Angstrom, each.
        structures: a letter of "HE-" for each residue.
        colours: for each residue, as "#rrggbb"; left out: by secondary structure.
    """
    return {
        "chains": [
            {
                "positions": _places(chain, 2),
                "structure": structure,
                "colours": list(colours[index]) if len(colours) else None,
            }
            for index, (chain, structure) in enumerate(zip(chains, structures, strict=True))
        ]
    }


def draw_viewer(
    frames: Sequence[dict[str, Any]],
    key: str,
    scene: str,
    alt: str,
    style: Style = "sticks",
    labels: Sequence[str] | None = None,
    height: int = 360,
    turning: str = "",
) -> None:
    """Show moments of a scene; several can be played.

    Args:
        frames: of `atoms_frame` or `chain_frame`.
        key: of the component: the same key is the same viewer.
        scene: what is shown; while it stays the same so does the camera.
        alt: a sentence for those who cannot see it.
        style: how atoms are drawn.
        labels: what to say of each frame.
        height: in pixels.
        turning: viewers of the same name here turn together; "" for one that turns alone.
    """
    _component()(
        key=key,
        data={
            "frames": list(frames),
            "scene": scene,
            "style": style,
            "labels": labels and list(labels),
            "alt": alt,
            "height": height,
            "turning": turning,
        },
        height=height,
    )
