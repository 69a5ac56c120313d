"""Proteins on the page: a chain folding out of noise while a run goes on; then a gallery, and one protein in 3D."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from PIL import Image

from superdiff_engine.domain import Result
from superdiff_engine.domains.proteins import mpnn
from superdiff_engine.domains.proteins.domain import experts_of
from superdiff_engine.domains.proteins.drawing import COLOURS, depict
from superdiff_engine.domains.proteins.files import mmcif, pdb, trajectory_pdb
from superdiff_engine.domains.proteins.judging import chain_of, contact_map, secondary_structure, torsions
from superdiff_engine.domains.proteins.local import ASKED_AT, DRAWS, local_weights
from superdiff_engine.trace import Frame

from ..charts import finished as figures
from ..charts.mosaic import grid_png
from ..charts.palette import PICKED, expert_colours, theme_name
from ..charts.viewer import Style, chain_frame, draw_viewer
from ..guard import callback, guarded
from ..jobs import Job
from ..stage.exports import Download, draw_download
from ..stage.results import KEEP, draw_one_sample, last_moment, take_click

#: Proteins side by side in the live view, and Angstrom from one to the next.
SIDE_BY_SIDE, SPACING = 4, 48.0
#: Drawings on one page of the gallery, and their width in pixels.
PAGE, CELL = 16, 150
#: Below this level a preview has a secondary structure worth drawing: 1.5 Angstrom.
FOLDED = 0.15
_KINDS = {"H": "helix", "E": "strand", "-": "neither"}
_COLOURINGS = {
    "structure": "coloured by structure",
    "place": "coloured by place in the chain",
    "weight": "coloured by local weight",
}


def scene(
    arrays: dict[str, np.ndarray], rows: Sequence[int], colours: Sequence[Sequence[str]] = (), level: float = 0.0
) -> dict[str, Any]:
    """A viewer's frame of some proteins, laid out side by side if there are several."""
    chains, letters = [], []
    columns = int(np.ceil(np.sqrt(len(rows))))
    for position, row in enumerate(rows):
        length = int(arrays["residues"][row])
        chain = arrays["backbone"][row, :length]
        if "structure" in arrays:
            letters.append(chain_of(arrays, row)[1])
        else:
            letters.append(secondary_structure(chain) if level < FOLDED else "-" * length)
        shift = np.array([position % columns, -(position // columns), 0]) * SPACING
        chains.append(chain + shift if len(rows) > 1 else chain)
    return chain_frame(chains, letters, colours)


def draw_live_proteins(now: Frame, key: str, height: int) -> None:
    """The proteins of a frame as they would become from here, up to four in one viewer."""
    rows = range(min(SIDE_BY_SIDE, len(now.preview["residues"])))
    alt = f"{len(rows)} proteins at level {now.level:.3g}"
    style: Style = "cartoon" if now.level < FOLDED else "trace"
    draw_viewer([scene(now.preview, rows, level=now.level)], f"{key}-3d", key, alt, style, height=height)


def draw_proteins(job: Job, result: Result) -> None:
    """The gallery beside the protein that was picked in it."""
    left, right = st.columns([1, 1.1], gap="medium")
    key = f"pick-{job.id}"
    picked = int(st.session_state.setdefault(key, 0))
    with left:
        _gallery(job, result, picked)
        _strips(job, result, picked)
        draw_one_sample(job, result, picked)
    with right:
        _one_protein(job, result, picked)


def draw_protein_grid(job_id: str, arrays: dict[str, np.ndarray]) -> None:
    """Flat drawings of the first proteins, small."""
    rows = tuple(range(min(9, len(arrays["residues"]))))
    drawings = _depictions(job_id, arrays, rows, theme_name() == "dark")
    alt = f"The first {len(rows)} proteins as flat drawings"
    st.image(grid_png(drawings, cell=CELL), width="stretch", output_format="PNG", alt=alt)


def _gallery(job: Job, result: Result, picked: int) -> None:
    arrays = result.decoded
    count = len(arrays["residues"])
    pages = (count + PAGE - 1) // PAGE
    page = 0
    if pages > 1:
        page = st.segmented_control(
            "Page", range(pages), default=0, required=True, format_func=lambda index: str(index + 1),
            key=f"page-{job.id}", persist_state=KEEP, label_visibility="collapsed",
        )  # fmt: skip
    shown = np.arange(page * PAGE, min(count, (page + 1) * PAGE))
    pictures = _depictions(job.id, arrays, tuple(int(row) for row in shown), theme_name() == "dark")
    st.plotly_chart(
        figures.gallery_figure(pictures, shown, picked),
        key=f"samples-{job.id}",
        on_select=callback(partial(take_click, job.id)),
        selection_mode="points",
        config=figures.config() | {"displayModeBar": False},
        alt=f"{len(shown)} proteins as flat drawings, number {picked} framed",
    )
    st.caption(f"Click one to see it in 3D. {_legend()}")


def _legend() -> str:
    dots = [f':color[●]{{foreground="{_hex(COLOURS[letter])}"}} {name}' for letter, name in _KINDS.items()]
    return " ".join(dots)


def _hex(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)


@st.cache_data(show_spinner=False, max_entries=32)
def _depictions(job_id: str, _arrays: dict[str, np.ndarray], rows: tuple[int, ...], dark: bool) -> np.ndarray:
    """Drawings uint8 [rows, CELL, CELL, 3]; a job's proteins never change."""
    made = []
    for row in rows:
        drawn = depict(*chain_of(_arrays, row), CELL, dark)
        page = Image.new("RGB", drawn.size, "#1a242b" if dark else "white")
        page.paste(drawn, mask=drawn)
        made.append(np.asarray(page))
    return np.stack(made)


def _strips(job: Job, result: Result, picked: int) -> None:
    """Secondary structure along every chain, a row each."""
    arrays = result.decoded
    count, longest = min(PAGE, len(arrays["residues"])), int(arrays["residues"].max())
    table = np.full((count, longest), np.nan)
    said = np.full((count, longest), "", object)
    for row in range(count):
        letters = chain_of(arrays, row)[1]
        table[row, : len(letters)] = ["HE-".index(letter) for letter in letters]
        said[row, : len(letters)] = [_KINDS[letter] for letter in letters]
    # Three bands of one colour each.
    scale = [[(place + end) / 3, _hex(COLOURS[letter])] for place, letter in enumerate("HE-") for end in (0, 1)]
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
    alt = "Secondary structure along every chain: helix, strand or neither for each residue"
    st.plotly_chart(figure, key=f"strips-{job.id}", config=figures.config(), alt=alt)


def _one_protein(job: Job, result: Result, picked: int) -> None:
    chain, letters = chain_of(result.decoded, picked)
    st.markdown(
        f"**Protein {picked}** · {len(chain)} residues · {letters.count('H') / len(letters):.0%} helix · "
        f"{letters.count('E') / len(letters):.0%} strand · radius of gyration {result.decoded['radius'][picked]:.1f} Å"
    )
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        style: Style = st.segmented_control(
            "Drawn as", ["cartoon", "trace", "sticks"], default="cartoon", required=True, key=f"style-{job.id}",
            persist_state=KEEP, label_visibility="collapsed",
        )  # fmt: skip
        offered = list(_COLOURINGS) if len(job.run.titles) > 1 else list(_COLOURINGS)[:2]
        colouring = st.selectbox(
            "Coloured by", offered, format_func=_COLOURINGS.__getitem__, key=f"colouring-{job.id}", width=270,
            persist_state=KEEP, label_visibility="collapsed",
        )  # fmt: skip
    colours: list[str] = []
    with guarded("the colours"):
        colours = _colours(job, result, picked, colouring)
    frames, labels = _trajectory(job, result, picked, colours)
    draw_viewer(
        frames,
        f"one-3d-{job.id}",
        f"{job.id}-{picked}",
        f"Protein {picked} in three dimensions",
        style,
        labels,
        height=420,
    )
    if colouring == "weight":
        st.caption(
            f"Each residue in the colours of the experts, by how near each brings it back from noise of "
            f"{10 * ASKED_AT:g} Å ({DRAWS} draws)."
        )
    with st.container(horizontal=True, gap="small"):
        files: list[tuple[str, str, str, Callable[[], str]]] = [
            ("PDB", "pdb", "chemical/x-pdb", lambda: pdb([chain], result.recipe, [picked])),
            ("mmCIF", "cif", "chemical/x-cif", lambda: mmcif(chain, result.recipe, picked)),
            ("Its path (PDB)", "path.pdb", "chemical/x-pdb", lambda: trajectory_pdb(result, picked)),
        ]
        for title, ending, mime, make in files:
            draw_download(job, Download(title, f"{job.id}-{picked:05d}.{ending}", mime, partial(_encoded, make)))
    _sequences(job, chain, picked)
    left, right = st.columns(2, gap="small")
    with left:
        st.plotly_chart(
            contact_figure(chain), key=f"contacts-{job.id}", config=figures.config(),
            alt=f"Distances between the CA atoms of protein {picked}",
        )  # fmt: skip
    with right:
        st.plotly_chart(
            ramachandran_figure(chain, letters), key=f"torsions-{job.id}", config=figures.config(),
            alt=f"Ramachandran plot of protein {picked}",
        )  # fmt: skip


def _encoded(make: Callable[[], str]) -> bytes:
    return make().encode()


def _colours(job: Job, result: Result, picked: int, colouring: str) -> list[str]:
    """A colour for each residue; none for the viewer's own, by secondary structure."""
    chain, _ = chain_of(result.decoded, picked)
    if colouring == "place":
        import plotly.colors

        places = np.linspace(0.05, 0.95, len(chain))
        shades = plotly.colors.sample_colorscale("Turbo", places.tolist(), colortype="tuple")
        return [_hex([round(255 * part) for part in shade]) for shade in shades]
    if colouring == "weight":
        weights = _local_weights(job.id, job, chain, picked)
        palette = np.array([[int(shade[k : k + 2], 16) for k in (1, 3, 5)] for shade in expert_colours(len(weights))])
        return [_hex([round(float(part)) for part in mix]) for mix in weights.T @ palette]
    return []


@st.cache_data(show_spinner="Asking the experts", max_entries=64)
def _local_weights(job_id: str, _job: Job, _chain: np.ndarray, picked: int) -> np.ndarray:
    experts = experts_of(_job.recipe, [len(_chain)] * DRAWS, "cpu")
    return local_weights(experts, _chain)


def _trajectory(job: Job, result: Result, picked: int, colours: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The moments that the live view kept of this protein, and the last one."""
    kept = [moment for moment in job.run.trace.frames if picked < len(moment.preview.get("residues", ()))]
    painted = [colours] if colours else []
    frames = [scene(moment.preview, [picked], painted, moment.level) for moment in kept]
    labels = [f"step {moment.index}, s = {moment.level:.2g}" for moment in kept]
    return [*frames, scene(result.decoded, [picked], painted)], [*labels, last_moment(result)]


def _sequences(job: Job, chain: np.ndarray, picked: int) -> None:
    """Sequences by ProteinMPNN, on request."""
    key = f"designs-{job.id}-{picked}"
    if not mpnn.is_installed():
        with st.expander("Sequences for it", icon=":material/abc:"):
            st.caption(mpnn.MISSING)
        return
    if st.button("Design sequences for it", icon=":material/abc:", key=f"design-{job.id}", help="By ProteinMPNN"):
        with guarded("the design"), st.spinner("ProteinMPNN designs four sequences"):
            st.session_state[key] = mpnn.design(chain, 4)
    designs = st.session_state.get(key)
    if designs:
        st.dataframe(
            pd.DataFrame([(one.sequence, one.score) for one in designs], columns=["sequence", "score, nats a residue"]),
            hide_index=True,
            column_config={"score, nats a residue": st.column_config.NumberColumn(format="%.3f")},
            alt="Designed sequences with their scores; lower fits the backbone better",
        )
        entries = [
            f">protein_{picked:05d}_design_{k} score {one.score:.3f}\n{one.sequence}\n" for k, one in enumerate(designs)
        ]
        fasta = "".join(entries)
        draw_download(job, Download("Sequences (FASTA)", f"{job.id}-{picked:05d}.fasta", "text/plain", fasta.encode))


def contact_figure(chain: np.ndarray) -> go.Figure:
    """Distances between CA atoms."""
    places = np.arange(1, len(chain) + 1)
    figure = go.Figure(
        go.Heatmap(
            z=contact_map(chain[:, 1]), x=places, y=places, zmin=0, zmax=25, colorscale="Viridis_r",
            colorbar={"title": {"text": "Å"}, "thickness": 10, "len": 0.8},
            hovertemplate="residues %{x} and %{y}: %{z:.1f} Å<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        title={"text": "Distances of CA", "font": {"size": 14}}, height=300, margin={"l": 8, "r": 8, "t": 40, "b": 8}
    )
    figure.update_xaxes(title_text="residue", constrain="domain")
    figure.update_yaxes(title_text="residue", autorange="reversed", scaleanchor="x", constrain="domain")
    return figure


def ramachandran_figure(chain: np.ndarray, letters: str) -> go.Figure:
    """Phi against psi, a dot a residue."""
    phi, psi = torsions(chain)
    figure = go.Figure()
    for letter, name in _KINDS.items():
        rows = np.array([index for index, found in enumerate(letters) if found == letter], int)
        figure.add_scatter(
            x=phi[rows], y=psi[rows], mode="markers", name=name, customdata=rows + 1,
            marker={"size": 6, "color": _hex(COLOURS[letter]), "opacity": 0.8},
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
