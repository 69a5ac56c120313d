"""One protein of a run: in 3D, laid onto others, its distances, torsions and sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from superdiff_engine.domains.asked import Asked
from superdiff_engine.domains.colours import STRUCTURE_COLOURS, rgb
from superdiff_engine.domains.proteins import mpnn
from superdiff_engine.domains.proteins.arrays import DecodedProteins, ProteinPreview
from superdiff_engine.domains.proteins.checks import (
    FOLDED,
    asked_of,
    contact_map,
    secondary_structure,
    torsions,
)
from superdiff_engine.domains.proteins.domain import experts_of
from superdiff_engine.domains.proteins.files import fasta, mmcif, pdb, trajectory_pdb
from superdiff_engine.domains.proteins.local import ASKED_AT, DRAWS, local_weights
from superdiff_engine.domains.proteins.superposed import BY_PLACE, lay
from superdiff_engine.errors import SuperDiffError
from superdiff_engine.figures.numbers import table_csv
from superdiff_engine.result import Result

from ..charts import finished as figures
from ..charts.backbones import STRUCTURES, contact_figure, large_contact_figure, ramachandran_figure
from ..charts.palette import expert_colours, hex_colour, theme_name
from ..charts.scale import draw_plotly
from ..charts.viewer import Style, chain_frame, draw_viewer
from ..guard import callback, guarded, once, plain
from ..job import Job
from ..part import told
from ..stage.asked import draw_asked
from ..stage.chart_files import draw_chart_files
from ..stage.exports import Download, draw_download
from ..stage.sample import KEEP, ancestry, last_moment
from ..stage.superposed import choose_laid, draw_laid_table, legend_of
from ..unbroken import unbroken

if TYPE_CHECKING:
    from superdiff_engine.figures.charts import Sheet

#: Angstrom from one of them to the next.
SPACING = 48.0
#: Where the session keeps (run, protein) of the distance map that is enlarged.
_ENLARGED = "map-enlarged"
#: Where it keeps for which protein sequences are asked for and not designed yet.
_DESIGNED = "designs-asked"
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


def asked_of_run(result: Result[DecodedProteins]) -> list[Asked]:
    """What is asked of the proteins, and what each has."""
    return asked_of([expert.model for expert in result.recipe.experts], result.require_decoded())


def legend() -> str:
    """What the colours of residues mean, in a line."""
    dots = [f':color[●]{{foreground="{STRUCTURE_COLOURS[letter]}"}} {name}' for letter, name in STRUCTURES.items()]
    return " ".join(dots)


def draw_one_protein(job: Job, result: Result[DecodedProteins], picked: int) -> None:
    """The protein that was picked, in 3D, with all that is measured of it."""
    proteins = result.require_decoded()
    chain, letters = proteins.chain(picked)
    st.markdown(
        f"**Protein {picked}** · {len(chain)} residues · {letters.count('H') / len(letters):.0%} helix · "
        f"{letters.count('E') / len(letters):.0%} strand · radius of gyration {proteins.radius[picked]:.1f} Å"
    )
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        style: Style = st.segmented_control(
            "Drawn as", ["cartoon", "trace", "sticks"], default="cartoon", required=True, key=told(f"style-{job.id}"),
            persist_state=KEEP, label_visibility="collapsed",
        )  # fmt: skip
        offered = list(_COLOURINGS) if len(job.run.titles) > 1 else list(_COLOURINGS)[:2]
        colouring = st.selectbox(
            "Coloured by", offered, format_func=_COLOURINGS.__getitem__, key=told(f"colouring-{job.id}"), width=270,
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
    draw_asked(asked_of_run(result), picked)
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
        draw_plotly(
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
        draw_plotly(
            ramachandran_figure(chain, letters), key=f"torsions-{job.id}", config=figures.config(),
            alt=f"Ramachandran plot of protein {picked}",
        )  # fmt: skip
        _torsion_files(job, chain, letters, picked)


def _enlarge(job_id: str, picked: int) -> None:
    st.session_state[_ENLARGED] = (job_id, picked)


def _put_away() -> None:
    st.session_state.pop(_ENLARGED, None)


def draw_enlarged(job: Job, result: Result[DecodedProteins], picked: int) -> None:
    """The distance map of the picked protein in a dialog, while that is open."""
    if st.session_state.get(_ENLARGED) != (job.id, picked):
        return

    def draw() -> None:
        with guarded("the map"):
            chain, letters = result.require_decoded().chain(picked)
            contacts = st.toggle("Surround contacts (closer than 8 Å)", key=f"map-contacts-{job.id}", value=True)
            draw_plotly(
                large_contact_figure(chain, letters, contacts), key=f"map-{job.id}", config=figures.config(),
                alt=f"Distances between the CA atoms of protein {picked}, large, with the numbers of residues",
            )  # fmt: skip
            st.caption(f"Hover says which residues and how far apart. Along the edges: {legend()}")
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


def _ask_for_designs(key: str) -> None:
    st.session_state[_DESIGNED] = key


def _make_designs(key: str, chain: np.ndarray) -> None:
    """Design what was asked for; a drawing that is broken off before leaves that to the next one."""
    if st.session_state.get(_DESIGNED) != key:
        return
    with guarded("the design"), st.spinner("ProteinMPNN designs four sequences"), unbroken():
        del st.session_state[_DESIGNED]
        st.session_state[key] = mpnn.design(chain, 4)


def _sequences(job: Job, chain: np.ndarray, picked: int) -> None:
    """Sequences by ProteinMPNN, on request; without any, a FASTA of the length alone that says so."""
    key, designs = f"designs-{job.id}-{picked}", []
    if mpnn.is_installed():
        st.button(
            "Design sequences for it",
            icon=":material/abc:",
            key=f"design-{job.id}",
            on_click=callback(_ask_for_designs),
            args=(key,),
            help="By ProteinMPNN",
        )
        _make_designs(key, chain)
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
