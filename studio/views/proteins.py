"""Proteins: chains folding out of noise while a run goes on; a gallery, one protein in 3D; a file of the user's own."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
import torch

from superdiff_engine.domain import Shown
from superdiff_engine.domains.colours import STRUCTURE_COLOURS
from superdiff_engine.domains.proteins.arrays import DecodedProteins, ProteinPreview
from superdiff_engine.domains.proteins.checks import (
    FOLDED,
    checked_proteins,
    secondary_structure,
)
from superdiff_engine.domains.proteins.drawing import depict
from superdiff_engine.domains.proteins.reading import FEWEST, LARGEST_FILE, MOST, ReadProtein
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.result import Result
from superdiff_engine.trace import Frame

from ..charts import finished as figures
from ..charts.backbones import STRUCTURES, strips_figure
from ..charts.cards import Card, lines_of, picture_uri
from ..charts.palette import theme_name
from ..charts.player import Scenes, packed, solid_scenes
from ..charts.scale import draw_plotly
from ..charts.scatter import Axis
from ..charts.viewer import SENT_UNIT, Style, draw_viewer
from ..job import Job
from ..stage.asked import draw_asked
from ..stage.chart_files import draw_chart_files
from ..stage.exports import show_only
from ..stage.gallery import choose_page, draw_card_gallery
from ..stage.sample import choose_one_a_group, draw_one_sample, share_labels
from ..stage.scatter import draw_scatter, draw_selection, selected_of
from ..stage.together import PICKED
from . import GUESS, GUESSED, Beside, OwnFiles, View
from .proteins_one import SPACING, asked_of_run, draw_enlarged, draw_one_protein, legend, scene

if TYPE_CHECKING:
    from superdiff_engine.figures.charts import Sheet

#: Proteins side by side in the live view.
SIDE_BY_SIDE = 4
#: Drawings on one page of the gallery, and their width in pixels: twice that of a card, for sharp screens.
PAGE, CELL = 16, 260
#: Drawings on a page beside other runs.
BESIDE = 9
_WHAT = "proteins as flat drawings"


def _moment(frame: Frame[ProteinPreview]) -> dict[str, Any]:
    """A moment's backbones for static/scene_viewer.js."""
    folded, things = frame.level < FOLDED, []
    for backbone, length in zip(frame.preview.backbone, frame.preview.residues, strict=True):
        chain = backbone[: int(length)]
        structure = secondary_structure(chain) if folded else "-" * len(chain)
        things.append({"structure": structure, "places": packed(chain / SENT_UNIT, "i2")})
    return {"things": things, "style": "cartoon" if folded else "trace"}


@dataclass(frozen=True, eq=False)
class _OwnProtein(DecodedProteins):
    """The protein of a file, measured, with its amino acids: text [1]."""

    sequence: np.ndarray


def _take_own(found: dict[str, Any]) -> tuple[ReadProtein, _OwnProtein]:
    given = ReadProtein.from_plain(found)
    measured = checked_proteins(torch.from_numpy(given.backbone).unsqueeze(0), [len(given.backbone)])
    return given, _OwnProtein(**measured.arrays(), sequence=np.array([given.sequence]))


def _own_columns(own: _OwnProtein) -> dict[str, np.ndarray]:
    return {
        "residues": own.residues,
        "sequence": own.sequence,
        "helix": np.round(own.helix, 2),
        "strand": np.round(own.strand, 2),
        "radius of gyration, Angstrom": np.round(own.radius, 1),
    }


def _draw_own(own: _OwnProtein, index: int, name: str) -> None:
    draw_viewer(
        [scene(own, [index])], "own-3d", name, "The protein of the file in three dimensions", "cartoon", height=300
    )


OWN = OwnFiles(
    domain="proteins",
    title="A protein of your own",
    label=f"A PDB or mmCIF file; its first chain is taken ({FEWEST} to {MOST} residues)",
    types=["pdb", "cif", "ent", "mmcif"],
    one="protein",
    reader="superdiff_engine.domains.proteins.reading:read_plain",
    take=_take_own,
    columns=_own_columns,
    draw=_draw_own,
    megabytes=LARGEST_FILE // 2**20,
)


class ProteinsView(View[ProteinPreview, DecodedProteins]):
    """Backbones in 3D, and flat drawings to choose from."""

    cancelled_note = GUESSED
    preview_note = GUESS
    own = OWN

    def draw_preview(self, frame: Frame[ProteinPreview], names: list[str], key: str, size: int, recipe: Recipe) -> None:
        """The proteins of a frame as they would become from here, up to four in one viewer."""
        rows = range(min(SIDE_BY_SIDE, len(frame.preview.residues)))
        alt = f"{len(rows)} proteins at level {frame.level:.3g}"
        style: Style = "cartoon" if frame.level < FOLDED else "trace"
        draw_viewer([scene(frame.preview, rows, level=frame.level)], f"{key}-3d", key, alt, style, height=size)

    def scenes(self, job: Job) -> Scenes | None:
        """All backbones that were kept, a page of them side by side, or the chosen one alone."""
        latest = job.run.trace.latest
        if latest is None:
            return None
        return solid_scenes(
            len(latest.preview.residues), _moment, "protein", SPACING, SIDE_BY_SIDE,
            ("cartoon", "trace", "sticks"), True, self.preview_note,
        )  # fmt: skip

    def draw_samples(self, job: Job, result: Result[DecodedProteins]) -> None:
        """The gallery beside the protein that was picked in it."""
        if result.decoded is None:
            return  # the notes above say why
        left, right = st.columns([1, 1.1], gap="medium")
        with left:
            draw_selection(job, "protein")
            rows = _chosen_rows(job, result)
            picked = _picked(job, rows)
            _gallery(job, result, rows, picked)
            draw_scatter(job, result, _axes(result.decoded), asked_of_run(result), ("helix", "strand"), "protein")
            _strips(job, result, picked)
            draw_one_sample(job, result, picked)
        with right:
            draw_one_protein(job, result, picked)
        everything = np.array_equal(rows, np.arange(len(result.decoded.residues)))
        show_only(job, Shown(None if everything else tuple(int(row) for row in rows)))
        draw_enlarged(job, result, picked)

    def draw_beside(self, job: Job, result: Result[DecodedProteins], beside: Beside) -> None:
        """A page of flat drawings, and the picked protein in 3D; all turn with one of them."""
        proteins, picked = result.decoded, beside.picked
        if proteins is None:
            return
        numbers = beside.page(len(proteins.residues), BESIDE)
        draw_card_gallery(job, result, _cards(job, result, numbers), picked, _WHAT, together=PICKED)
        if picked < len(proteins.residues):
            alt, name = f"Protein {picked} in three dimensions", f"{job.id}-{picked}"
            frames = [scene(proteins, [picked])]
            draw_viewer(frames, f"beside-3d-{job.id}", name, alt, "cartoon", height=270, turning="proteins")
            draw_asked(asked_of_run(result), picked)


def _chosen_rows(job: Job, result: Result[DecodedProteins]) -> np.ndarray:
    """The proteins to show: of those that are selected in the scatter all, or one a group."""
    offered, chosen = choose_one_a_group(job, result), selected_of(job)
    return offered if chosen is None else offered[np.isin(offered, chosen)]


def _picked(job: Job, rows: np.ndarray) -> int:
    """The protein that was clicked, while it is among `rows`; else the first of them."""
    key = f"pick-{job.id}"
    if st.session_state.setdefault(key, 0) not in rows and len(rows):
        st.session_state[key] = int(rows[0])
    return int(st.session_state[key])


def _axes(proteins: DecodedProteins) -> list[Axis]:
    """What of the proteins can be drawn against each other."""
    return [
        Axis("helix", "%", 100 * proteins.helix),
        Axis("strand", "%", 100 * proteins.strand),
        Axis("helix or strand", "%", 100 * (proteins.helix + proteins.strand)),
        Axis("radius of gyration", "Å", proteins.radius),
        Axis("residues", "count", proteins.residues.astype(float)),
        Axis("CA–CA of 3.8 ± 0.2 Å", "%", 100 * proteins.bonds_ok),
        Axis("CA pairs < 3.6 Å", "% of pairs", 100 * proteins.clashes),
    ]


def _gallery(job: Job, result: Result[DecodedProteins], offered: np.ndarray, picked: int) -> None:
    if not len(offered):
        st.info("No protein of this run is left by the selection and one a group; take one off.")
        return
    shown = offered[choose_page(job, len(offered), PAGE)]
    note = (
        "Click one to see it in 3D. Below each: what the chains are that an expert has learned from, what this one "
        f"has, and whether that satisfies it (✓ or ✗); of the geometry only what fails. {legend()}"
    )
    draw_card_gallery(job, result, _cards(job, result, shown), picked, _WHAT, note)


def _cards(job: Job, result: Result[DecodedProteins], numbers: np.ndarray) -> list[Card]:
    """The proteins of a page."""
    proteins, rows = result.require_decoded(), tuple(int(row) for row in numbers)
    pictures = _depictions(job.id, proteins, rows, theme_name() == "dark")
    shares = share_labels(result, numbers) or [""] * len(rows)
    cards, every = [], asked_of_run(result)
    for row, picture, share in zip(rows, pictures, shares, strict=True):
        asked = [one for one in every if one.expert is not None or not one.holds[row]]
        whole = all(one.holds[row] for one in every if one.expert is None)
        length = int(proteins.residues[row])
        label = " · ".join(filter(None, [f"{row}", f"{length} residues", share]))
        alt = f"Protein {row}: {proteins.helix[row]:.0%} helix, {proteins.strand[row]:.0%} strand"
        cards.append(Card(row, label, picture, alt, lines_of(asked, row), "geometry ✓" if whole else ""))
    return cards


@st.cache_data(show_spinner=False, max_entries=32)
def _depictions(job_id: str, _proteins: DecodedProteins, rows: tuple[int, ...], dark: bool) -> list[str]:
    """Drawings, a data URI each; a job's proteins never change."""
    found = []
    for row in rows:
        png = io.BytesIO()
        depict(*_proteins.chain(row), CELL, dark).save(png, "PNG")
        found.append(picture_uri(png.getvalue()))
    return found


def _strips(job: Job, result: Result[DecodedProteins], picked: int) -> None:
    proteins = result.require_decoded()
    letters = [proteins.chain(row)[1] for row in range(min(PAGE, len(proteins.residues)))]
    figure = strips_figure(letters, int(proteins.residues.max()), picked)
    alt = "Secondary structure along every chain: helix, strand or neither for each residue"
    draw_plotly(figure, key=f"strips-{job.id}", config=figures.config(), alt=alt)
    _strip_files(job, letters, int(proteins.residues.max()))


def _strip_files(job: Job, letters: list[str], longest: int) -> None:
    recipe, theme, kinds = job.run.recipe, theme_name(), list(STRUCTURES)
    table = np.full((len(letters), longest), np.nan)
    for row, found in enumerate(letters):
        table[row, : len(found)] = [kinds.index(letter) for letter in found]

    def sheet() -> Sheet:
        from superdiff_engine.figures.charts import table_sheet  # not before it is asked for: it takes a second

        named = [(STRUCTURES[letter], STRUCTURE_COLOURS[letter]) for letter in kinds]
        return table_sheet(
            "Secondary structure", recipe, table, ("residue", "protein, from 0"), theme, first=(1, 0), kinds=named
        )

    rows = ["protein_from_0,structure", *(f"{row},{found}" for row, found in enumerate(letters)), ""]
    draw_chart_files(job, "structure", "Secondary structure", sheet, lambda: "\n".join(rows).encode())


VIEW = ProteinsView()
