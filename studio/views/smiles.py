"""Molecules from text: latents as heat maps while a run goes on; drawings to choose from, and one molecule in 3D."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from superdiff_engine.domain import Shown
from superdiff_engine.domains.depiction import depict
from superdiff_engine.domains.smiles.arrays import PROPERTIES, DecodedSmiles, LatentPreview
from superdiff_engine.domains.smiles.checks import first_of_their_kind
from superdiff_engine.domains.smiles.domain import drawable
from superdiff_engine.domains.smiles.files import sdf
from superdiff_engine.domains.smiles.geometry import build
from superdiff_engine.domains.smiles.latents import AXES, maps, sheet
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.result import Result
from superdiff_engine.trace import Frame

from ..charts.cards import Card, picture_uri
from ..charts.live import at_level
from ..charts.mosaic import grid_shape, moment_pictures
from ..charts.palette import theme_name
from ..charts.player import MOST_SENT, Scenes
from ..charts.scatter import Axis
from ..charts.viewer import Style, atoms_frame, draw_viewer
from ..guard import guarded, plain
from ..job import Job
from ..part import told
from ..stage.choosing import choose_rows, picked_row
from ..stage.exports import Download, draw_download, picture_download, show_only
from ..stage.gallery import choose_page, draw_card_gallery
from ..stage.progress import names_of
from ..stage.sample import KEEP, importance_text, share_labels
from ..stage.scatter import draw_scatter, draw_selection
from ..stage.together import PICKED
from . import GUESS, GUESSED, Beside, View

#: Depictions on one page of the gallery, beside other runs, and their width in pixels: twice that of a card.
PAGE, BESIDE, CELL = 24, 9, 260
#: Molecules whose latents are shown while a run goes on, and pixels that each map is wide at least.
_LIVE, _MAP = 4, 200
#: Width of the live picture over its height.
_WIDE = 1.6
_WHAT = "molecules as flat drawings"
#: Properties on a card, by their place in PROPERTIES.
_ON_CARD = (0, 1, 2)


class SmilesView(View[LatentPreview, DecodedSmiles]):
    """Heat maps of latents, then drawings."""

    first_needs = ("transformers.models.t5.modeling_t5", "rdkit.Chem.rdDepictor")
    loads = "transformers"
    cancelled_note = GUESSED
    preview_note = f"{GUESS} {AXES}"
    below_preview = 44

    def draw_preview(self, frame: Frame[LatentPreview], names: list[str], key: str, size: int, recipe: Recipe) -> None:
        latents = frame.preview.latents[:_LIVE]
        # Two by two, in twice the pixels, for sharp screens.
        wide = round(_WIDE * size) * 2
        drawn = io.BytesIO()
        sheet(latents, wide, 2 * size, theme_name() == "dark", _MAP, 2).save(drawn, "PNG", compress_level=1)
        alt = f"The latents of {len(latents)} molecules at level {frame.level:.3g}, as heat maps"
        st.image(drawn.getvalue(), width="stretch", output_format="PNG", alt=alt)
        st.caption(AXES)

    def scenes(self, job: Job) -> Scenes | None:
        frames = job.run.trace.frames
        if not frames:
            return None
        last = maps(frames[-1].preview.latents)
        made = moment_pictures(last, MOST_SENT // (2 * len(frames)))

        def moment(frame: Frame[LatentPreview]) -> dict[str, Any]:
            return {"picture": made.address(maps(frame.preview.latents))}

        shared = {
            "columns": grid_shape(len(last))[0],
            "count": len(last),
            "width": made.width,
            "height": made.height,
            "smooth": False,
        }
        alt = f"The latents of {len(last)} molecules at the moment that is shown, as heat maps"
        return Scenes("pictures", len(last), moment, alt, shared, self.preview_note)

    def draw_samples(self, job: Job, result: Result[DecodedSmiles]) -> None:
        """The gallery beside the molecule that was picked in it."""
        decoded = result.decoded
        if decoded is None:
            return  # the notes above say why
        left, right = st.columns([1.05, 1], gap="medium")
        with left:
            rows = _chosen_rows(job, result)
            picked = picked_row(job, rows, decoded.valid)
            draw_selection(job, "molecule")
            _gallery(job, result, rows, picked)
            if decoded.valid.sum() > 1:
                first = (PROPERTIES[0].short, PROPERTIES[1].short)
                draw_scatter(job, result, _axes(decoded), [], first, "molecule")
        with right:
            _one_molecule(job, result, picked)
        everything = np.array_equal(rows, np.arange(len(decoded.smiles)))
        show_only(job, Shown(None if everything else tuple(int(row) for row in rows)))

    def draw_presented(self, job: Job, result: Result[DecodedSmiles], size: int) -> None:
        decoded = result.decoded
        if decoded is None:
            return
        numbers = np.arange(min(len(decoded.smiles), PAGE))
        draw_card_gallery(job, result, _cards(job, result, numbers), 0, _WHAT)

    def draw_beside(self, job: Job, result: Result[DecodedSmiles], beside: Beside) -> None:
        """A page of flat drawings, and what the picked one is."""
        decoded = result.decoded
        if decoded is None:
            return
        numbers = beside.page(len(decoded.smiles), BESIDE)
        draw_card_gallery(job, result, _cards(job, result, numbers), beside.picked, _WHAT, together=PICKED)
        if beside.picked < len(decoded.smiles):
            _said(decoded, beside.picked)


def _chosen_rows(job: Job, result: Result[DecodedSmiles]) -> np.ndarray:
    decoded = result.require_decoded()
    filters = {
        "valid": ("valid", lambda: decoded.valid),
        "once": ("no duplicates", lambda: first_of_their_kind(decoded)),
    }
    orders = {one.short: decoded.properties[:, column] for column, one in enumerate(PROPERTIES)}
    return choose_rows(job, result, filters, orders)


def _axes(decoded: DecodedSmiles) -> list[Axis]:
    """What of the molecules can be drawn against each other."""
    known = zip(PROPERTIES, decoded.properties.T.astype(float), strict=True)
    return [Axis(one.short, one.unit or ("count" if one.count else ""), values) for one, values in known]


def _gallery(job: Job, result: Result[DecodedSmiles], rows: np.ndarray, picked: int) -> None:
    decoded = result.require_decoded()
    if not len(rows):
        st.info("No molecule of this run is left by these filters and the selection; take one off.")
        return
    shown = rows[choose_page(job, len(rows), PAGE)]
    note = (
        f"{int(decoded.valid.sum())} of {len(decoded.smiles)} are valid molecules. Click one to see what it is. = "
        "marks one that was there before."
    )
    draw_card_gallery(job, result, _cards(job, result, shown), picked, _WHAT, note)


def _cards(job: Job, result: Result[DecodedSmiles], numbers: np.ndarray) -> list[Card]:
    """The molecules of a page; those that are not valid say why."""
    decoded, rows = result.require_decoded(), tuple(int(row) for row in numbers)
    first = first_of_their_kind(decoded)
    pictures = _depictions(job.id, decoded, rows, theme_name() == "dark")
    shares = share_labels(result, numbers) or [""] * len(rows)
    cards = []
    for row, picture, share in zip(rows, pictures, shares, strict=True):
        valid = bool(decoded.valid[row])
        label = " · ".join(filter(None, [f"{row}{' =' if valid and not first[row] else ''}", share]))
        note = f"not valid: {decoded.reason[row]}"
        if valid:
            note = " · ".join(f"{PROPERTIES[k].short} {_number(decoded, row, k)}" for k in _ON_CARD)
        cards.append(Card(row, label, picture, f"Molecule {row}: {decoded.smiles[row] or 'not valid'}", [], note))
    return cards


def _number(decoded: DecodedSmiles, row: int, column: int) -> str:
    one, value = PROPERTIES[column], decoded.properties[row, column]
    return f"{value:.0f}" if one.count else f"{value:.3g}"


@st.cache_data(show_spinner=False, max_entries=32)
def _depictions(job_id: str, _decoded: DecodedSmiles, rows: tuple[int, ...], dark: bool) -> list[str]:
    """Drawings, a data URI each; a job's molecules never change."""
    return [picture_uri(depict(drawable(_decoded, row)[0], "", CELL, CELL, dark)) for row in rows]


def _said(decoded: DecodedSmiles, picked: int) -> None:
    """What the decoder wrote, and what RDKit says of it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**Molecule {picked}**", width="content")
        if decoded.smiles[picked]:
            st.code(str(decoded.smiles[picked]), language=None, wrap_lines=True)
        else:
            st.markdown(f"not valid: {plain(str(decoded.reason[picked]))}")
    written = str(decoded.written[picked])
    if written != str(decoded.smiles[picked]):
        st.caption("As the decoder wrote it" if written else "The decoder wrote nothing.")
        if written:
            st.code(written, language=None, wrap_lines=True)


def _one_molecule(job: Job, result: Result[DecodedSmiles], picked: int) -> None:
    decoded = result.require_decoded()
    _said(decoded, picked)
    solid = bool(decoded.valid[picked]) and _three_dimensions(job, str(decoded.smiles[picked]), picked)
    if decoded.valid[picked]:
        if not solid:
            drawn = depict(drawable(decoded, picked)[0], "", 720, 480, theme_name() == "dark")
            st.image(drawn, width=360, output_format="PNG", alt=f"Molecule {picked} as a flat drawing")
        with st.container(horizontal=True, gap="small"):
            ending, kind = ("3d", "3D") if solid else ("2d", "flat")
            draw_download(
                job,
                Download(
                    f"This molecule (SDF, {kind})",
                    f"{job.id}-{picked:05d}-{ending}.sdf",
                    "chemical/x-mdl-sdfile",
                    lambda: sdf(result, [picked], solid).encode(),
                ),
            )
            draw_download(job, picture_download(job, result, picked))
    if result.importance is not None:
        st.caption(importance_text(job, result, picked))
    values = result.log_density[:, picked]
    rows = [(at_level(result.level, name), f"{value:.3f}") for name, value in zip(names_of(job), values, strict=True)]
    if decoded.valid[picked]:
        rows += [(one.title, _number(decoded, picked, column)) for column, one in enumerate(PROPERTIES)]
    st.dataframe(
        pd.DataFrame(rows, columns=["measured", "value"]),
        hide_index=True,
        alt=f"Log-densities and properties of molecule {picked}",
    )


def _three_dimensions(job: Job, smiles: str, picked: int) -> bool:
    """The molecule in 3D where that is asked for, and there is a geometry; whether it is shown."""
    asked = st.toggle(
        "Show in 3D",
        key=told(f"solid-{job.id}"),
        persist_state=KEEP,
        help="A model of text has no geometry: RDKit embeds the molecule (ETKDG) and relaxes it with MMFF94.",
    )
    if not asked:
        return False
    with guarded("the geometry"):
        built = build(smiles)
        if built is None:
            st.caption("RDKit found no geometry for this molecule within ten seconds.")
            return False
        style: Style = st.segmented_control(
            "Drawn as", ["sticks", "spheres", "surface"], default="sticks", required=True, key=told(f"style-{job.id}"),
            persist_state=KEEP, label_visibility="collapsed",
        )  # fmt: skip
        frame = atoms_frame(built.elements, built.positions, built.bonds)
        alt = f"Molecule {picked} in three dimensions"
        draw_viewer([frame], f"one-3d-{job.id}", f"{job.id}-{picked}", alt, style, height=360)
        st.caption(plain(f"Geometry: {built.said}; it is not the model's own."))
        return True
    return False


VIEW = SmilesView()
