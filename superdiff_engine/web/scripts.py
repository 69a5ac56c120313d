"""Scripts that pages hold inside: 3Dmol.js with what draws atoms by it (`atoms.js`), and plotly.js."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from ..domains.colours import STRUCTURE_COLOURS

__all__ = ["as_data", "atoms_script", "library_3d", "plotly_script"]

_HERE = Path(__file__).parent


@cache
def atoms_script() -> str:
    """The script that draws atoms and backbones, with 3Dmol.js, for scripts that it is put before.

    No text in it ends the script of a page.
    """
    given = f"const SOURCE = {as_data(library_3d())};\nconst STRUCTURE_COLOURS = {as_data(STRUCTURE_COLOURS)};\n"
    return given + (_HERE / "atoms.js").read_text(encoding="utf-8")


def library_3d() -> str:
    """3Dmol.js."""
    return (_HERE / "3Dmol-min.js").read_text(encoding="utf-8")


@cache
def plotly_script() -> str:
    """plotly.js as the package plotly has it; a classic script that ends no element of a page."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("</script", "<\\/script").replace("<!--", "<\\!--")


def as_data(value: Any) -> str:
    """A value as JavaScript within a page: no text in it can end the script or begin another element."""
    text = json.dumps(value, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
