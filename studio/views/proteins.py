"""Proteins: chains folding out of noise while a run goes on; a gallery, one protein in 3D; a file of the user's own."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st
import torch

from superdiff_engine.domain import Shown
from superdiff_engine.domains.asked import Asked
from superdiff_engine.domains.colours import STRUCTURE_COLOURS, rgb
from superdiff_engine.domains.proteins import mpnn
from superdiff_engine.domains.proteins.arrays import DecodedProteins, ProteinPreview
from superdiff_engine.domains.proteins.checks import (
    FOLDED,
    asked_of,
    checked_proteins,
    contact_map,
    secondary_structure,
    torsions,
)
from superdiff_engine.domains.proteins.domain import experts_of
from superdiff_engine.domains.proteins.drawing import depict
from superdiff_engine.domains.proteins.files import fasta, mmcif, pdb, trajectory_pdb
from superdiff_engine.domains.proteins.local import ASKED_AT, DRAWS, local_weights
from superdiff_engine.domains.proteins.reading import FEWEST, LARGEST_FILE, MOST, ReadProtein
from superdiff_engine.domains.proteins.superposed import BY_PLACE, lay
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.figures.numbers import table_csv
from superdiff_engine.recipes.document import Recipe
from superdiff_engine.result import Result
from superdiff_engine.trace import Frame

from ..charts import finished as figures
from ..charts.backbones import STRUCTURES, contact_figure, large_contact_figure, ramachandran_figure, strips_figure
from ..charts.cards import Card, lines_of, picture_uri
from ..charts.palette import expert_colours, hex_colour, theme_name
from ..charts.player import Scenes, packed
from ..charts.scatter import Axis
from ..charts.viewer import SENT_UNIT, Style, chain_frame, draw_viewer
from ..guard import callback, guarded, once, plain
from ..job import Job
from ..stage.asked import draw_asked
from ..stage.chart_files import draw_chart_files
from ..stage.exports import Download, draw_download, show_only
from ..stage.gallery import choose_page, draw_card_gallery
from ..stage.sample import KEEP, ancestry, choose_one_a_group, draw_one_sample, last_moment, share_labels
from ..stage.scatter import draw_scatter, draw_selection, selected_of
from ..stage.superposed import choose_laid, draw_laid_table, legend_of
from ..stage.together import PICKED
from . import GUESS, GUESSED, Beside, OwnFiles, View

if TYPE_CHECKING:
    from superdiff_engine.figures.charts import Sheet

#: Proteins side by side in the live view, and Angstrom from one to the next.
SIDE_BY_SIDE, SPACING = 4, 48.0
#: Drawings on one page of the gallery, and their width in pixels: twice that of a card, for sharp screens.
PAGE, CELL = 16, 260
#: Drawings on a page beside other runs.
BESIDE = 9
_WHAT = "proteins as flat drawings"
#: Where the session keeps (run, protein) of the distance map that is enlarged.
_ENLARGED = "map-enlarged"
_COLOURINGS = {
    "structure": "coloured by structure",
    "place": "coloured by place in the chain",
    "weight": "coloured by local weight",
}


def scene(
    proteins: ProteinPreview | DecodedProteins,
    rows: Sequence[int],
    colours: Sequence[Sequence[str]] = (),
    level: float = 0.0,
) -> dict[str, Any]:
    """A viewer's frame of some proteins, laid out side by side if there are several."""
    chains, letters = [], []
    columns = int(np.ceil(np.sqrt(len(rows))))
    for position, row in enumerate(rows):
        length = int(proteins.residues[row])
        chain = proteins.backbone[row, :length]
        if isinstance(proteins, DecodedProteins):
            letters.append(proteins.chain(row)[1])
        else:
            letters.append(secondary_structure(chain) if level < FOLDED else "-" * length)
        shift = np.array([position % columns, -(position // columns), 0]) * SPACING
        chains.append(chain + shift if len(rows) > 1 else chain)
    return chain_frame(chains, letters, colours)


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
        return Scenes(
            kind="viewer",
            rows=len(latest.preview.residues),
            moment=_moment,
            alt="Protein backbones in three dimensions at the moment that is shown",
            shared={
                "spacing": SPACING,
                "page": SIDE_BY_SIDE,
                "what": "protein",
                "unit": SENT_UNIT,
                "styles": ["cartoon", "trace", "sticks"],
                "by_moment": True,
            },
            note=self.preview_note,
        )

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
            draw_scatter(job, result, _axes(result.decoded), _asked(result), ("helix", "strand"), "protein")
            _strips(job, result, picked)
            draw_one_sample(job, result, picked)
        with right:
            _one_protein(job, result, picked)
        everything = np.array_equal(rows, np.arange(len(result.decoded.residues)))
        show_only(job, Shown(None if everything else tuple(int(row) for row in rows)))
        _draw_enlarged(job, result, picked)

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
            draw_asked(_asked(result), picked)


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
        f"has, and whether that satisfies it (✓ or ✗); of the geometry only what fails. {_legend()}"
    )
    draw_card_gallery(job, result, _cards(job, result, shown), picked, _WHAT, note)


def _cards(job: Job, result: Result[DecodedProteins], numbers: np.ndarray) -> list[Card]:
    """The proteins of a page."""
    proteins, rows = result.require_decoded(), tuple(int(row) for row in numbers)
    pictures = _depictions(job.id, proteins, rows, theme_name() == "dark")
    shares = share_labels(result, numbers) or [""] * len(rows)
    cards, every = [], _asked(result)
    for row, picture, share in zip(rows, pictures, shares, strict=True):
        asked = [one for one in every if one.expert is not None or not one.holds[row]]
        whole = all(one.holds[row] for one in every if one.expert is None)
        length = int(proteins.residues[row])
        label = " · ".join(filter(None, [f"{row}", f"{length} residues", share]))
        alt = f"Protein {row}: {proteins.helix[row]:.0%} helix, {proteins.strand[row]:.0%} strand"
        cards.append(Card(row, label, picture, alt, lines_of(asked, row), "geometry ✓" if whole else ""))
    return cards


def _asked(result: Result[DecodedProteins]) -> list[Asked]:
    """What is asked of the proteins, and what each has."""
    return asked_of([expert.model for expert in result.recipe.experts], result.require_decoded())


def _legend() -> str:
    dots = [f':color[●]{{foreground="{STRUCTURE_COLOURS[letter]}"}} {name}' for letter, name in STRUCTURES.items()]
    return " ".join(dots)


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
    st.plotly_chart(figure, key=f"strips-{job.id}", config=figures.config(), alt=alt)
    _strip_files(job, letters, int(proteins.residues.max()))


def _one_protein(job: Job, result: Result[DecodedProteins], picked: int) -> None:
    proteins = result.require_decoded()
    chain, letters = proteins.chain(picked)
    st.markdown(
        f"**Protein {picked}** · {len(chain)} residues · {letters.count('H') / len(letters):.0%} helix · "
        f"{letters.count('E') / len(letters):.0%} strand · radius of gyration {proteins.radius[picked]:.1f} Å"
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
    draw_asked(_asked(result), picked)
    if colouring == "weight":
        st.caption(
            f"Each residue in the colours of the experts, by how near each brings it back from noise of "
            f"{10 * ASKED_AT:g} Å ({DRAWS} draws)."
        )
    with st.container(horizontal=True, gap="small"):
        files: list[tuple[str, str, str, Callable[[], str]]] = [
            ("PDB", "pdb", "chemical/x-pdb", lambda: pdb([chain], result.recipe, [picked], result=result)),
            ("mmCIF", "cif", "chemical/x-cif", lambda: mmcif(chain, result.recipe, picked, result)),
            ("Its path (PDB)", "path.pdb", "chemical/x-pdb", lambda: trajectory_pdb(result, picked)),
        ]
        for title, ending, mime, make in files:
            draw_download(job, Download(title, f"{job.id}-{picked:05d}.{ending}", mime, partial(_encoded, make)))
    with st.expander("Superpose others on it", icon=":material/stacks:"), guarded("the superposition"):
        _superposed(job, result, picked)
    _sequences(job, chain, picked)
    left, right = st.columns(2, gap="small")
    with left:
        st.plotly_chart(
            contact_figure(chain), key=f"contacts-{job.id}", config=figures.config(),
            alt=f"Distances between the CA atoms of protein {picked}",
        )  # fmt: skip
        st.button(
            "Enlarge the map",
            icon=":material/open_in_full:",
            args=(job.id, picked),
            **once(f"enlarge-{job.id}", _enlarge),
        )
        _contact_files(job, chain, picked)
    with right:
        st.plotly_chart(
            ramachandran_figure(chain, letters), key=f"torsions-{job.id}", config=figures.config(),
            alt=f"Ramachandran plot of protein {picked}",
        )  # fmt: skip
        _torsion_files(job, chain, letters, picked)


def _enlarge(job_id: str, picked: int) -> None:
    st.session_state[_ENLARGED] = (job_id, picked)


def _put_away() -> None:
    st.session_state.pop(_ENLARGED, None)


def _draw_enlarged(job: Job, result: Result[DecodedProteins], picked: int) -> None:
    """The distance map of the picked protein in a dialog, while that is open."""
    if st.session_state.get(_ENLARGED) != (job.id, picked):
        return

    def draw() -> None:
        with guarded("the map"):
            chain, letters = result.require_decoded().chain(picked)
            contacts = st.toggle("Surround contacts (closer than 8 Å)", key=f"map-contacts-{job.id}", value=True)
            st.plotly_chart(
                large_contact_figure(chain, letters, contacts), key=f"map-{job.id}", config=figures.config(),
                alt=f"Distances between the CA atoms of protein {picked}, large, with the numbers of residues",
            )  # fmt: skip
            st.caption(f"Hover says which residues and how far apart. Along the edges: {_legend()}")
            _contact_files(job, chain, picked, "large-")

    title = f"Distances of CA, protein {picked}"
    st.dialog(title, width="large", on_dismiss=callback(_put_away))(draw)()


def _superposed(job: Job, result: Result[DecodedProteins], picked: int) -> None:
    """Other proteins laid onto the picked one."""
    proteins = result.require_decoded()
    chosen = choose_laid(job, np.arange(len(proteins.residues)), picked, "protein")
    if not chosen:
        st.caption("Choose proteins above; each is turned until its CA lie as near to those of this one as they can.")
        return
    fixed, laid = proteins.chain(picked)[0], {}
    for row in chosen:
        try:
            laid[row] = lay(proteins.chain(row)[0], fixed)
        except SuperDiffError as error:
            st.caption(f"Protein {row}: {plain(str(error))}")
    if not laid:
        return
    numbers = [picked, *laid]
    colours, legend = legend_of(numbers)
    chains = [fixed, *(one.backbone for one in laid.values())]
    painted = [[colour] * len(chain) for chain, colour in zip(chains, colours, strict=True)]
    middle = fixed.reshape(-1, 3).mean(0)
    frame = chain_frame([chain - middle for chain in chains], [proteins.chain(row)[1] for row in numbers], painted)
    alt = f"Proteins {', '.join(map(str, laid))} laid onto protein {picked}"
    draw_viewer([frame], f"laid-3d-{job.id}", f"{job.id}-{numbers}", alt, "cartoon", height=340)
    st.markdown(legend)
    draw_laid_table(
        {
            "protein": list(laid),
            "matched": [f"{one.matched} of {int(proteins.residues[row])} residues" for row, one in laid.items()],
            "RMSD of CA, Å": [one.distance for one in laid.values()],
            "TM-score": [one.score for one in laid.values()],
        },
        f"How far each protein is from protein {picked}",
    )
    way = next(iter(laid.values())).method
    matched = "by their places (TM-align)" if way == BY_PLACE else "one by one along the chains"
    st.caption(
        f"Residues are matched {matched}, and the RMSD is of these. The TM-score is by the length of protein {picked}: "
        "1 for the same shape, above 0.5 as a rule for the same fold, about 0.2 for chains that have nothing in common."
    )
    name = f"{job.id}-superposed.pdb"
    make = partial(pdb, [np.asarray(one, np.float32) for one in chains], result.recipe, numbers, result=result)
    draw_download(job, Download("As they lie (PDB)", name, "chemical/x-pdb", partial(_encoded, make)))


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


def _contact_files(job: Job, chain: np.ndarray, picked: int, beside: str = "") -> None:
    recipe, theme, title = job.run.recipe, theme_name(), f"Distances of CA, protein {picked}"

    def sheet() -> Sheet:
        from superdiff_engine.figures.charts import table_sheet

        return table_sheet(
            title, recipe, contact_map(chain[:, 1]), ("residue", "residue"), theme, first=(1, 1), unit="Å", span=(0, 25)
        )

    draw_chart_files(job, f"{beside}contacts-{picked:05d}", title, sheet, lambda: table_csv(contact_map(chain[:, 1])))


def _torsion_files(job: Job, chain: np.ndarray, letters: str, picked: int) -> None:
    recipe, theme, title = job.run.recipe, theme_name(), f"Ramachandran, protein {picked}"
    phi, psi = torsions(chain)

    def sheet() -> Sheet:
        from superdiff_engine.figures.charts import Group, groups_sheet

        kinds = np.array(list(letters))
        groups = [
            Group(name, STRUCTURE_COLOURS[letter], phi[kinds == letter], psi[kinds == letter])
            for letter, name in STRUCTURES.items()
        ]
        return groups_sheet(title, recipe, groups, ("phi, degrees", "psi, degrees"), theme, (-180, 180), 90)

    draw_chart_files(
        job,
        f"torsions-{picked:05d}",
        title,
        sheet,
        lambda: table_csv(np.column_stack([phi, psi]), "phi_degrees,psi_degrees"),
    )


def _encoded(make: Callable[[], str]) -> bytes:
    return make().encode()


def _colours(job: Job, result: Result[DecodedProteins], picked: int, colouring: str) -> list[str]:
    """A colour for each residue; none for the viewer's own, by secondary structure."""
    chain, _ = result.require_decoded().chain(picked)
    if colouring == "place":
        import plotly.colors

        places = np.linspace(0.05, 0.95, len(chain))
        shades = plotly.colors.sample_colorscale("Turbo", places.tolist(), colortype="tuple")
        return [hex_colour([round(255 * part) for part in shade]) for shade in shades]
    if colouring == "weight":
        weights = _local_weights(job.id, job, chain, picked)
        palette = np.array([rgb(colour) for colour in expert_colours(len(weights))])
        return [hex_colour([round(float(part)) for part in mix]) for mix in weights.T @ palette]
    return []


@st.cache_data(show_spinner="Asking the experts", max_entries=64)
def _local_weights(job_id: str, _job: Job, _chain: np.ndarray, picked: int) -> np.ndarray:
    experts = experts_of(_job.recipe, [len(_chain)] * DRAWS, "cpu")
    return local_weights(experts, _chain)


def _trajectory(
    job: Job, result: Result[DecodedProteins], picked: int, colours: list[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The moments that the live view kept of this protein, and the last one."""
    kept = ancestry(job, picked, lambda preview: len(preview.residues))
    painted = [colours] if colours else []
    frames = [scene(moment.preview, [row], painted, moment.level) for moment, row in kept]
    labels = [f"step {moment.index}, s = {moment.level:.2g}" for moment, _ in kept]
    return [*frames, scene(result.require_decoded(), [picked], painted)], [*labels, last_moment(result)]


def _sequences(job: Job, chain: np.ndarray, picked: int) -> None:
    """Sequences by ProteinMPNN, on request; without any, a FASTA of the length alone that says so."""
    key, designs = f"designs-{job.id}-{picked}", []
    if mpnn.is_installed():
        if st.button("Design sequences for it", icon=":material/abc:", key=f"design-{job.id}", help="By ProteinMPNN"):
            with guarded("the design"), st.spinner("ProteinMPNN designs four sequences"):
                st.session_state[key] = mpnn.design(chain, 4)
        designs = st.session_state.get(key, [])
    else:
        st.caption(mpnn.OFFER)
    if designs:
        st.dataframe(
            pd.DataFrame([(one.sequence, one.score) for one in designs], columns=["sequence", "score, nats a residue"]),
            hide_index=True,
            column_config={"score, nats a residue": st.column_config.NumberColumn(format="%.3f")},
            alt="Designed sequences with their scores; lower fits the backbone better",
        )
    make = partial(fasta, {picked: len(chain)}, {picked: designs})
    title = "Designed sequences (FASTA)" if designs else "FASTA (X: no sequence is known)"
    draw_download(job, Download(title, f"{job.id}-{picked:05d}.fasta", "text/plain", partial(_encoded, make)))
    if not designs:
        st.caption(
            "A backbone has no sequence. Files of atoms hold glycine, which has no side chain; neither is a design."
        )


VIEW = ProteinsView()
