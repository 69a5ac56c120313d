"""Figures of protein backbones: secondary structure along chains, distances within one, its torsion angles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import plotly.graph_objects as go

from superdiff_engine.domains.colours import STRUCTURE_COLOURS
from superdiff_engine.domains.proteins.checks import CONTACT, contact_map, torsions

from .palette import PICKED

#: Secondary structures by their letters, as they are called.
STRUCTURES = {"H": "helix", "E": "strand", "-": "neither"}


def strips_figure(structures: Sequence[str], longest: int, picked: int) -> go.Figure:
    """Secondary structure along every chain, a row each.

    Args:
        structures: a letter of "HE-" for each residue of each chain.
        longest: residues that there is room for.
        picked: the row that is framed; none if there is no such row.
    """
    count = len(structures)
    table = np.full((count, longest), np.nan)
    said = np.full((count, longest), "", object)
    for row, letters in enumerate(structures):
        table[row, : len(letters)] = ["HE-".index(letter) for letter in letters]
        said[row, : len(letters)] = [STRUCTURES[letter] for letter in letters]
    # Three bands of one colour each.
    scale = [[(place + end) / 3, STRUCTURE_COLOURS[letter]] for place, letter in enumerate("HE-") for end in (0, 1)]
    figure = go.Figure(
        go.Heatmap(
            z=table, x=np.arange(1, longest + 1), y=np.arange(count), zmin=-0.5, zmax=2.5, ygap=3, showscale=False,
            colorscale=scale, customdata=said, hoverongaps=False,
            hovertemplate="protein %{y}, residue %{x}: %{customdata}<extra></extra>",
        )
    )  # fmt: skip
    if picked < count:
        line = {"color": PICKED, "width": 2}
        figure.add_shape(type="rect", x0=0.5, x1=longest + 0.5, y0=picked - 0.5, y1=picked + 0.5, line=line)
    figure.update_layout(height=70 + 16 * count, margin={"l": 8, "r": 8, "t": 8, "b": 8})
    figure.update_xaxes(title_text="residue")
    figure.update_yaxes(title_text="protein", autorange="reversed", dtick=1 if count < 10 else 5)
    return figure


def contact_figure(chain: np.ndarray) -> go.Figure:
    """Distances between CA atoms."""
    figure = _map_of(chain)
    figure.update_layout(
        title={"text": "Distances of CA", "font": {"size": 14}}, height=300, margin={"l": 8, "r": 8, "t": 40, "b": 8}
    )
    return figure


def large_contact_figure(chain: np.ndarray, letters: str, contacts: bool) -> go.Figure:
    """Distances between CA atoms, large: with numbers of residues, their structures along both edges, and contacts.

    Args:
        chain: N, CA, C, O [residues, 4, 3] in Angstrom.
        letters: of "HE-" for each residue.
        contacts: whether a line surrounds the pairs that are in contact, closer than CONTACT.
    """
    figure, count = _map_of(chain, letters), len(chain)
    if contacts:
        places = np.arange(1, count + 1)
        figure.add_trace(
            go.Contour(
                z=contact_map(chain[:, 1]), x=places, y=places, showscale=False, hoverinfo="skip",
                contours={"start": CONTACT, "end": CONTACT, "size": 1, "coloring": "none"},
                line={"color": PICKED, "width": 1.6},
            )
        )  # fmt: skip
    # Beyond the first residue, along the upper and the left edge.
    width = max(1.0, count / 50)
    for start, end, letter in _pieces(letters):
        for along, across in (("x", "y"), ("y", "x")):
            figure.add_shape(
                type="rect", fillcolor=STRUCTURE_COLOURS[letter], line={"width": 0},
                **{f"{along}0": start + 0.5, f"{along}1": end + 0.5, f"{across}0": 0.5 - width, f"{across}1": 0.5},
            )  # fmt: skip
    step = next(one for one in (5, 10, 20, 50) if count / one <= 20)
    ticks = {"tickvals": [1, *range(step, count + 1, step)], "showticklabels": True, "ticks": "outside"}
    figure.update_layout(height=540, margin={"l": 8, "r": 8, "t": 34, "b": 8})
    figure.update_xaxes(range=[0.5 - width, count + 0.5], **ticks)
    figure.update_yaxes(range=[count + 0.5, 0.5 - width], autorange=False, **ticks)
    return figure


def _pieces(letters: str) -> Iterator[tuple[int, int, str]]:
    """(first residue from 0, one beyond the last, letter) of the runs of one letter."""
    start = 0
    for place in range(1, len(letters) + 1):
        if place == len(letters) or letters[place] != letters[start]:
            yield start, place, letters[start]
            start = place


def _map_of(chain: np.ndarray, letters: str = "") -> go.Figure:
    """Distances between CA atoms; a hover says the structures of both residues where their letters are given."""
    places = np.arange(1, len(chain) + 1)
    kinds = np.array([f" ({STRUCTURES[letter]})" for letter in letters] or [""] * len(chain), object)
    both = np.stack(np.broadcast_arrays(kinds[None], kinds[:, None]), -1)
    figure = go.Figure(
        go.Heatmap(
            z=contact_map(chain[:, 1]), x=places, y=places, zmin=0, zmax=25, colorscale="Viridis_r",
            colorbar={"title": {"text": "Å"}, "thickness": 10, "len": 0.8}, customdata=both if letters else None,
            hovertemplate="residues %{x}%{customdata[0]} and %{y}%{customdata[1]}: %{z:.1f} Å<extra></extra>"
            if letters
            else "residues %{x} and %{y}: %{z:.1f} Å<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(title_text="residue", constrain="domain")
    figure.update_yaxes(title_text="residue", autorange="reversed", scaleanchor="x", constrain="domain")
    return figure


def ramachandran_figure(chain: np.ndarray, letters: str) -> go.Figure:
    """Phi against psi, a dot a residue."""
    phi, psi = torsions(chain)
    figure = go.Figure()
    for letter, name in STRUCTURES.items():
        rows = np.array([index for index, found in enumerate(letters) if found == letter], int)
        figure.add_scatter(
            x=phi[rows], y=psi[rows], mode="markers", name=name, customdata=rows + 1,
            marker={"size": 6, "color": STRUCTURE_COLOURS[letter], "opacity": 0.8},
            hovertemplate="residue %{customdata}: phi %{x:.0f}°, psi %{y:.0f}°<extra>" + name + "</extra>",
        )  # fmt: skip
    figure.update_layout(
        title={"text": "Ramachandran", "font": {"size": 14}},
        height=300,
        margin={"l": 8, "r": 8, "t": 40, "b": 8},
        legend={"orientation": "h", "y": -0.3, "yanchor": "top", "x": 0.5, "xanchor": "center"},
    )
    ticks = {"range": [-180, 180], "dtick": 90, "constrain": "domain"}
    figure.update_xaxes(title_text="phi, degrees", **ticks)
    figure.update_yaxes(title_text="psi, degrees", scaleanchor="x", **ticks)
    return figure
