"""Results in the cells of a notebook: a picture of the samples, 3D by py3Dmol, curves and figures.

`superdiff_engine` tells IPython of these functions when it is imported there; nothing needs to be called. Whatever
anybody typed is escaped, and nothing is fetched: 3Dmol.js comes along as a data address.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import cache
from html import escape
from typing import Any

import numpy as np

from ..domain import ALL, Solid
from ..domains import get_domain
from ..domains.colours import STRUCTURE_COLOURS, expert_colours
from ..errors import SuperDiffError
from ..figures.curves import curves_svg
from ..figures.paper import DOTS, drawing, new_figure, to_image
from ..figures.slide import title_of
from ..figures.words import facts_of
from ..result import Result
from ..runs.run import Run
from ..sampling import Step
from ..system.visible_text import visible
from .scripts import library_3d

__all__ = ["result_html", "run_html", "step_html", "view_3d"]

#: Pixels of the picture of the samples, and of the view in three dimensions.
_PICTURE, _VIEW = (640, 480), (420, 320)
_BACKBONE = ("N", "CA", "C", "O")


def result_html(result: Result[Any]) -> str:
    """A result as a cell of a notebook shows it."""
    recipe, domain, names = result.recipe, get_domain(result.recipe.domain), list(result.titles)
    parts = [f"<h4>{_text(title_of(recipe, names))}</h4>", f"<p>{_text(facts_of(recipe, result.index))}</p>"]
    made = domain.slide_picture(result, *_PICTURE)
    if made is not None:
        buffer = io.BytesIO()
        made.image.save(buffer, "PNG", optimize=True)
        parts.append(_picture("image/png", buffer.getvalue(), "The samples"))
        parts += [f"<p>{_text(made.note)}</p>"] if made.note else []
    for solid in domain.solids(result, ALL, 1):
        parts.append(f"<p>{_text(solid.title)}: {_text(solid.note)}</p>{view_3d(solid)._make_html()}")
    if len(result.trace):
        curves = result.trace.curves(most=300)
        for quantity in ("value", *(["weights"] if len(names) > 1 else [])):
            drawn = curves_svg(curves, recipe, names, quantity, size=(6.5, 3.6))  # type: ignore[arg-type]
            parts.append(_picture("image/svg+xml", drawn, f"Curves of {quantity}"))
    parts.append(_figures(result))
    return f'<div class="superdiff-result">{"".join(parts)}</div>'


def run_html(run: Run) -> str:
    """A run as a cell of a notebook shows it: its result, or how far it is."""
    if run.result is not None:
        return result_html(run.result)
    return f"<p>A run that is {_text(run.state)}, step {max(len(run.trace) - 1, 0)} of {run.recipe.levels.steps}.</p>"


def step_html(step: Step) -> str:
    """A step of `sample` as a cell of a notebook shows it: mean log-densities and weights, and points of a plane."""
    log_density, weights = step.log_density.double().cpu().numpy(), step.weights.double().cpu().numpy()
    rows = [
        f"<tr><td>{place}</td><td>{log_density[place].mean():.4g}</td><td>{weights[place].mean():.4g}</td></tr>"
        for place in range(len(log_density))
    ]
    head = "<tr><th>expert (from 0)</th><th>mean log q, nats</th><th>mean weight κ</th></tr>"
    said = f"Step {step.index}, noise level s = {step.level:.4g}, {log_density.shape[1]} samples"
    parts = [f"<p>{said}</p><table>{head}{''.join(rows)}</table>"]
    samples = step.samples
    if not isinstance(samples, dict) and samples.ndim == 2 and samples.shape[1] == 2:
        drawn = _plane(samples.double().cpu().numpy(), weights)
        parts.append(_picture("image/png", drawn, "The samples in the plane"))
    return f'<div class="superdiff-step">{"".join(parts)}</div>'


def view_3d(solid: Solid, width: int = _VIEW[0], height: int = _VIEW[1]) -> Any:
    """A molecule or protein as a view of py3Dmol, to be styled further; it works without a net.

    Args:
        solid: of `Domain.solids`.
        width: in pixels.
        height: in pixels.
    """
    import py3Dmol

    view = py3Dmol.view(width=width, height=height, js=_library())
    chains: Sequence[Any] = solid.frame.get("chains", ())
    if chains:
        view.addModel(_pdb(chains), "pdb")
        for letter, colour in STRUCTURE_COLOURS.items():
            residues = [place for place, kind in enumerate(chains[0]["structure"], start=1) if kind == letter]
            view.setStyle({"resi": residues}, {"cartoon": {"color": colour}})
    else:
        view.addModel(_xyz(solid.frame), "xyz")
        view.setStyle({"stick": {"radius": 0.13}, "sphere": {"scale": 0.22}})
    view.zoomTo()
    return view


@cache
def _library() -> str:
    """3Dmol.js as an address that holds it."""
    return f"data:text/javascript;base64,{base64.b64encode(library_3d().encode()).decode()}"


def _xyz(frame: dict[str, Any]) -> str:
    """Elements and places alone: no text that anybody typed."""
    lines = [f"{element} {x:.3f} {y:.3f} {z:.3f}" for element, (x, y, z) in zip(*_atoms(frame), strict=True)]
    return "\n".join([str(len(lines)), "", *lines, ""])


def _atoms(frame: dict[str, Any]) -> tuple[list[str], list[list[float]]]:
    return frame["elements"], frame["positions"]


def _pdb(chains: Sequence[Any]) -> str:
    """Backbones of glycine, with their helices and strands: numbers and letters alone."""
    lines, serial = [], 0
    for number, chain in enumerate(chains):
        letter = chr(65 + number)
        for residue, places in enumerate(chain["positions"], start=1):
            for name, (x, y, z) in zip(_BACKBONE, places, strict=True):
                serial += 1
                place = f"{x:8.3f}{y:8.3f}{z:8.3f}"
                lines.append(
                    f"ATOM  {serial:5d}  {name:<3s} GLY {letter}{residue:4d}    {place}{1:6.2f}{0:6.2f}{name[0]:>12s}"
                )
    return "\n".join([*lines, "END", ""])


def _plane(points: np.ndarray, weights: np.ndarray) -> bytes:
    """Points [n, 2], each in the colour of the expert with the largest weight."""
    with drawing("light"):
        figure = new_figure(4.2, 4.2)
        axes = figure.subplots()
        colours = np.array(expert_colours(len(weights), "light"))
        axes.scatter(points[:, 0], points[:, 1], s=6, c=colours[weights.argmax(0)], alpha=0.6, linewidths=0)
        axes.set(xlabel="x", ylabel="y", aspect="equal")
        buffer = io.BytesIO()
        to_image(figure, DOTS * 0.7).save(buffer, "PNG")
    return buffer.getvalue()


def _figures(result: Result[Any]) -> str:
    try:
        found = get_domain(result.recipe.domain).figures(result)
    except SuperDiffError as error:  # a judge that is not there, say: the rest of the cell is still shown
        return f"<p>{_text(str(error))}</p>"
    rows = [
        f"<tr><td>{_text(one.title)}</td><td>{_text(one.text())} {_text(one.shown_unit)}</td></tr>" for one in found
    ]
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def _picture(mime: str, content: bytes, alt: str) -> str:
    data = base64.b64encode(content).decode()
    return f'<img alt="{_text(alt)}" style="max-width: 100%; background: white" src="data:{mime};base64,{data}">'


def _text(text: str) -> str:
    return escape(visible(text, keep=""))
