"""A run as one HTML file, and its molecules or proteins in three dimensions as another.

Nothing that anybody typed becomes markup: text goes through `html.escape`, data through `scripts.as_data`, and the
page's own policy (Content-Security-Policy) lets it ask no other place.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from ..domain import ALL, Shown
from ..domains import get_domain
from ..domains.colours import expert_colours
from ..errors import SuperDiffError
from ..figures.slide import MOST_POINTS, title_of
from ..figures.words import facts_of
from ..result import Result
from ..runs.wording import spelled
from ..system.visible_text import visible
from ..trace import Trace
from .charts import charts_of
from .scripts import as_data, atoms_script, plotly_script

__all__ = ["MOST_ROWS", "MOST_SOLIDS", "run_page", "solids_page"]

#: Samples of a table, and of a page in three dimensions, at most; pixels of the picture of the samples.
MOST_ROWS, MOST_SOLIDS, PICTURE = 200, 64, (960, 720)
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; form-action 'none'"
)
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2a33; background: #fff; max-width: 64rem; margin: 0 auto;
  padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; } p { margin: .3rem 0; } .pale { color: #5b6973; }
.dot { display: inline-block; width: .75em; height: .75em; border-radius: 50%; margin-right: .4em; }
.experts { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.5rem; }
img { max-width: 100%; height: auto; } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #e4e9ed; vertical-align: top; }
td.number, th.number { text-align: right; } .unit { white-space: nowrap; }
pre { background: #f3f6f8; padding: .8rem; overflow: auto; max-height: 24rem; font-size: .85rem; }
#solid { position: relative; box-sizing: border-box; overflow: hidden; width: 100%;
  height: min(70vh, 560px); border: 1px solid #8a97a1; border-radius: 6px; }
.bar { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: .6rem 0; }
button, select { font: inherit; padding: .2rem .7rem; } :focus-visible { outline: 3px solid #0072b2; }
"""
_CHARTS = """
for (const [place, chart] of CHARTS.entries())
  Plotly.newPlot(`chart-${place}`, chart.data, chart.layout,
    { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] });
"""
_SOLIDS = """
(() => {
  const stage = document.getElementById("solid"), choice = document.getElementById("solid-choice");
  const style = document.getElementById("solid-style"), note = document.getElementById("solid-note");
  const viewer = load().createViewer(stage, { backgroundColor: "white", antialias: true, disableFog: true });
  if (!viewer) { stage.textContent = "This browser shows no 3D: WebGL is off."; return; }
  for (const [place, one] of SOLIDS.entries()) {
    const option = document.createElement("option");
    [option.value, option.textContent] = [String(place), one.title];
    choice.append(option);
  }
  const styles = SOLIDS[0].frame.chains ? ["cartoon", "trace", "sticks"] : ["sticks", "spheres"];
  for (const name of styles) style.append(new Option(name, name));
  function draw() {
    const { frame, note: said } = SOLIDS[Number(choice.value)];
    viewer.removeAllModels();
    frame.chains ? addChains(viewer, frame.chains, style.value) : addMolecules(viewer, frame, style.value);
    viewer.zoomTo();
    viewer.render();
    note.textContent = said;
    stage.setAttribute("aria-label", `${SOLIDS[Number(choice.value)].title} in three dimensions. ${said}`);
  }
  const go = (by) => {
    choice.value = String((Number(choice.value) + by + SOLIDS.length) % SOLIDS.length);
    draw();
  };
  document.getElementById("solid-before").onclick = () => go(-1);
  document.getElementById("solid-next").onclick = () => go(1);
  choice.onchange = style.onchange = draw;
  new ResizeObserver(() => viewer.resize()).observe(stage);
  draw();
})();
"""


def run_page(
    result: Result[Any],
    trace: Trace | None = None,
    titles: Sequence[str] | None = None,
    *,
    title: str = "",
    note: str = "",
    state: str = "",
) -> str:
    """A whole run as one HTML file: samples, curves to hover, 3D where there is, figures, settings, table, recipe.

    Args:
        result: of the run, whether it reached its end or not.
        trace: of the run; None for the result's own.
        titles: of the experts; None for the result's own.
        title: of the page; "" for what was composed, in words.
        note: a text below the title, shown as typed.
        state: how the run ended, where that is to be said ("cancelled").
    """
    recipe, names = result.recipe, list(result.titles if titles is None else titles)
    found = result.trace if trace is None else trace
    head = title or title_of(recipe, names)
    facts = [facts_of(recipe, result.index), *([state] if state else []), f"samples at level s = {result.level:.3g}"]
    parts = [f"<h1>{_text(head)}</h1>", f'<p class="pale">{_text(" · ".join(facts))}</p>', _experts(names)]
    parts += [f"<p>{_text(note)}</p>"] if note else []
    parts.append(_picture(result))
    solids = _solids(result, ALL)
    parts += [_solid_part(solids)] if solids else []
    charts = charts_of(found.curves(most=MOST_POINTS), recipe, names) if len(found) else []
    parts += ["<h2>Curves</h2>"] if charts else []
    for place, chart in enumerate(charts):
        parts.append(f'<h3>{_text(chart["title"])}</h3><div id="chart-{place}" role="img"></div>')
    parts += [_figures(result), _settings(result), _table(result, names)]
    text = recipe.to_json()
    parts.append(f"<h2>Recipe</h2><p>As SuperDiff Studio reads it.</p><pre>{_text(text, keep=True)}</pre>")
    parts.append(f'<p class="pale">{_text(_SIGNED)}</p>')
    scripts = [f"const CHARTS = {as_data(charts)};\n{_CHARTS}"] if charts else []
    libraries = [plotly_script()] if charts else []
    if solids:
        scripts.append(_solids_script(solids))
    return _document(head, parts, [*libraries, *scripts])


def solids_page(result: Result[Any], shown: Shown = ALL, *, title: str = "") -> str:
    """Molecules or proteins of a run in three dimensions, as one HTML file: to be turned, one at a time.

    Args:
        result: of the run.
        shown: which of its samples, in which order and geometry; at most `MOST_SOLIDS` of them.
        title: of the page; "" for what was composed, in words.

    Raises:
        SuperDiffError: where the run's samples are nothing in three dimensions.
    """
    solids = _solids(result, shown)
    recipe = result.recipe
    if not solids:
        raise SuperDiffError(f"Samples of this run ({get_domain(recipe.domain).title}) have no shape in 3D.")
    head = title or title_of(recipe, list(result.titles))
    parts = [
        f"<h1>{_text(head)}</h1>",
        f'<p class="pale">{_text(facts_of(recipe, result.index))}</p>',
        _experts(list(result.titles)),
        _solid_part(solids),
        f"<h2>Recipe</h2><pre>{_text(recipe.to_json(), keep=True)}</pre>",
        f'<p class="pale">{_text(_SIGNED)}</p>',
    ]
    return _document(head, parts, [_solids_script(solids)])


_SIGNED = "Made by SuperDiff Studio (arXiv 2412.17762). This page holds all that it shows, and asks no other place."


def _text(text: str, keep: bool = False) -> str:
    """A text as HTML that shows it as typed; `keep` keeps its lines."""
    return escape(visible(text, keep="\n" if keep else ""))


def _document(title: str, parts: Sequence[str], scripts: Sequence[str]) -> str:
    made = "\n".join(f"<script>{script}</script>" for script in scripts)
    body = "\n".join(part for part in parts if part)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n{made}\n</body>\n</html>\n"
    )


def _experts(names: Sequence[str]) -> str:
    items = [
        f'<li><span class="dot" style="background:{colour}"></span>{place} {_text(name)}</li>'
        for place, (name, colour) in enumerate(zip(names, expert_colours(len(names), "light"), strict=True), start=1)
    ]
    return f'<ul class="experts">{"".join(items)}</ul>'


def _picture(result: Result[Any]) -> str:
    """The samples as on a slide."""
    made = get_domain(result.recipe.domain).slide_picture(result, *PICTURE)
    if made is None:
        return ""
    buffer = io.BytesIO()
    made.image.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    alt = f"The samples of the run. {made.note}"
    said = f'<p class="pale">{_text(made.note)}</p>' if made.note else ""
    return f'<h2>Samples</h2><img alt="{_text(alt)}" src="data:image/png;base64,{data}">{said}'


def _solids(result: Result[Any], shown: Shown) -> list[dict[str, Any]]:
    found = get_domain(result.recipe.domain).solids(result, shown, MOST_SOLIDS)
    return [{"title": one.title, "note": one.note, "frame": one.frame} for one in found]


def _solid_part(solids: Sequence[dict[str, Any]]) -> str:
    return (
        '<h2>In three dimensions</h2><div class="bar"><button type="button" id="solid-before">Before</button>'
        '<label>Sample <select id="solid-choice"></select></label><button type="button" id="solid-next">Next</button>'
        '<label>Drawn as <select id="solid-style"></select></label></div><div id="solid" role="img"></div>'
        '<p id="solid-note" aria-live="polite"></p><p class="pale">Drag to turn, wheel or pinch to zoom.</p>'
    )


def _solids_script(solids: Sequence[dict[str, Any]]) -> str:
    return f"{atoms_script()}\nconst SOLIDS = {as_data(list(solids))};\n{_SOLIDS}"


def _figures(result: Result[Any]) -> str:
    """What is measured of the samples, with errors; where it cannot be worked out, why not."""
    try:
        found = get_domain(result.recipe.domain).figures(result)
    except SuperDiffError as error:  # a judge that is not there, say: a run without figures is still a run
        return f"<h2>Figures</h2><p>{_text(str(error))}</p>"
    rows = []
    for one in found:
        value = f'<td class="number">{_text(one.text())}</td>'
        unit = f'<td class="unit">{_text(one.shown_unit)}</td>'
        rows.append(f"<tr><td>{_text(one.title)}</td>{value}{unit}</tr>")
    head = '<th scope="col">of the samples</th><th scope="col" class="number">value</th>'
    head += '<th scope="col" class="unit">unit</th>'
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<h2>Figures</h2><div class="wide">{table}</div>'


def _settings(result: Result[Any]) -> str:
    rows = [
        f'<tr><th scope="row">{_text(one.name)}</th><td>{_text(one.value)}</td></tr>'
        for one in spelled(result.recipe).values()
    ]
    return f'<h2>Settings</h2><div class="wide"><table><tbody>{"".join(rows)}</tbody></table></div>'


def _table(result: Result[Any], names: Sequence[str]) -> str:
    """Log-densities and weights of the first samples."""
    count = result.log_density.shape[1]
    shown = min(count, MOST_ROWS)
    head = ["sample", *(f"log q of {place}, nats" for place in range(1, len(names) + 1))]
    head += [f"κ of {place}" for place in range(1, len(names) + 1)] if len(names) > 1 else []
    columns = [np.arange(count), *result.log_density, *(result.weights if len(names) > 1 else [])]
    if result.shares is not None:
        head.append("share of its group")
        columns.append(result.shares)
    rows = []
    for row in range(shown):
        cells = "".join(f'<td class="number">{column[row]:.5g}</td>' for column in columns)
        rows.append(f"<tr>{cells}</tr>")
    titles = "".join(f'<th scope="col" class="number">{_text(words)}</th>' for words in head)
    some = f"The first {shown} of {count} samples" if shown < count else f"All {count} samples"
    said = f"{some}, at level s = {result.level:.3g}; samples count from 0, experts from 1"
    table = f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    inside = f'<details><summary>{said}</summary><div class="wide">{table}</div></details>'
    return f"<h2>Samples, one by one</h2>{inside}"
